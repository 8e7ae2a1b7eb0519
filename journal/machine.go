package journal

import "redoubt/dfs"

// Machine is a deterministic state machine: the same records applied in the same order
// give the same state, the same results and the same digest on every run. It knows
// nothing of files, clocks or the network. The journal is its only caller for
// everything below; package ha drives the same interface by consensus instead.
type Machine interface {
	// Apply carries out one logged record. It is called in TxID order with
	// Options.Lock held, for a fresh proposal, on replay and under consensus alike.
	// rec is the machine's only until Apply returns.
	//
	// err is the operation's own failure ("file exists"): deterministic, given to
	// whoever proposed the record, ignored on replay. A record that can't be
	// understood is another matter: an err for which dfs.Is(err, dfs.Corrupt) holds
	// stops replay, and stops a live journal for good.
	Apply(txid dfs.TxID, rec []byte) (result any, err error)

	// Snapshot freezes the state as it is, copy-on-write, in a time that doesn't
	// depend on its size. It is called with Options.Lock held. The snapshot is then
	// read without the lock while Apply goes on.
	Snapshot() Snapshot

	// Restore replaces the whole state by a checkpoint's, whatever the state was: it
	// may be called again after it failed half-way. It is called before the first
	// Apply, with Options.Lock held. A checkpoint without any section is the empty
	// state. One that can't be understood gives an error of kind dfs.Corrupt.
	Restore(src dfs.SectionSource) error

	// Digest is the set hash of the whole state. It must cost no more than an Apply.
	// It is called with Options.Lock held.
	Digest() dfs.Digest
}

// Snapshot is a frozen state. Its methods may be called from any goroutine, without
// Options.Lock, while the machine goes on.
type Snapshot interface {
	// Sections gives the parts to write. Their Write functions may run at the same
	// time, each one at most once at a time.
	Sections() []dfs.Section
	// Digest is the machine's digest at the instant of the snapshot.
	Digest() dfs.Digest
	// Release ends the copy-on-write. It is called exactly once, after the last use,
	// from any goroutine and without Options.Lock: a machine that needs the lock for
	// it takes the lock itself.
	Release()
}
