package namenode

import (
	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
)

// machine is the namespace as the journal drives it.
type machine struct{ n *NameNode }

func (m machine) Apply(txid dfs.TxID, rec []byte) (any, error) { return m.n.ns.Apply(txid, rec) }
func (m machine) Restore(src dfs.SectionSource) error          { return m.n.ns.Restore(src) }
func (m machine) Digest() dfs.Digest                           { return m.n.ns.Digest() }

// Snapshot freezes the namespace; the journal holds the state's lock.
func (m machine) Snapshot() journal.Snapshot { return &frozen{m.n, m.n.ns.Snapshot()} }

// frozen gives a snapshot back under the lock that the namespace needs for it.
type frozen struct {
	n *NameNode
	*namespace.Snapshot
}

func (f *frozen) Release() {
	f.n.state.Lock()
	defer f.n.state.Unlock()
	f.n.ns.Release(f.Snapshot)
}

// source answers the block manager's questions about hard facts.
type source struct{ n *NameNode }

// Block gives what the namespace knows of a block.
func (s source) Block(id dfs.BlockID) (blockmanager.Facts, bool) {
	b, ok := s.n.ns.Block(id)
	if !ok {
		return blockmanager.Facts{}, false
	}
	f := blockmanager.Facts{GenStamp: b.GenStamp, Length: b.Length, Replication: b.Replication, Policy: b.Policy, Kind: b.Kind, Group: b.Group}
	if f.Policy == dfs.PolicyUnspecified && f.Kind == dfs.BlockOfFile {
		f.Policy = s.n.policyOf(b.File)
	}
	switch b.State {
	case namespace.BlockCommitted:
		f.State = blockmanager.Committed
	case namespace.BlockCompleted:
		f.State = blockmanager.Complete
	default:
		f.State = blockmanager.Building
	}
	return f, true
}

// Group gives the group of a parity block.
func (s source) Group(parity dfs.BlockID) (dfs.ParityGroup, bool) { return s.n.ns.Group(parity) }

// LastBlock is the highest block id ever handed out.
func (s source) LastBlock() dfs.BlockID { return s.n.ns.Counts().NextBlock - 1 }

// NextIssued is the smallest block id from id on that was ever handed out.
func (s source) NextIssued(id dfs.BlockID) dfs.BlockID { return s.n.ns.NextIssued(id) }

// StampIssued tells whether a generation stamp was ever handed out.
func (s source) StampIssued(stamp dfs.GenStamp) bool { return s.n.ns.StampIssued(stamp) }
