package journal

import (
	"context"
	"errors"
	"time"

	"redoubt/dfs"
	"redoubt/vfs"
)

var errTODO = errors.New("journal: not finished yet")

// Journal is an open journal. Its methods may be called at the same time.
type Journal struct{}

// Format makes the name directories of a new cluster, with an image of the empty state
// at TxID 0. A directory that holds anything already is refused unless force is set,
// and then what it held is gone.
func Format(fs vfs.FS, dirs []string, cluster dfs.ClusterInfo, force bool) error { return errTODO }

// ReadCluster tells which cluster the name directories belong to, without opening
// them. fs.ErrNotExist: none of them is formatted.
func ReadCluster(fs vfs.FS, dirs []string) (dfs.ClusterInfo, error) {
	return dfs.ClusterInfo{}, errTODO
}

// Open locks the name directories, recovers the machine from them and starts a journal.
func Open(ctx context.Context, opt Options) (*Journal, error) { return nil, errTODO }

// Cluster tells which cluster the journal belongs to.
func (j *Journal) Cluster() dfs.ClusterInfo { return dfs.ClusterInfo{} }

// Propose logs a record, waits until it is durable and applied, and gives Apply's
// result and error. rec must not change until Propose returns, and, if it returned
// because ctx ended, never again. An error of kind dfs.Canceled says "outcome unknown":
// the record may or may not be applied later.
func (j *Journal) Propose(ctx context.Context, rec []byte) (result any, txid dfs.TxID, err error) {
	return nil, 0, errTODO
}

// ProposeFunc is Propose with a callback: done is called exactly once, in TxID order,
// on the journal's own goroutine and without Options.Lock, so it must not block. rec
// must not change until then. ProposeFunc itself blocks only while the queue is full.
func (j *Journal) ProposeFunc(rec []byte, done func(result any, txid dfs.TxID, err error)) {}

// Checkpoint writes an image of the state as it is now and gives its TxID. Clients go
// on writing meanwhile. If an image of this very state exists already it is that one.
func (j *Journal) Checkpoint(ctx context.Context) (dfs.TxID, error) { return 0, errTODO }

// Roll finishes the log segment being written and starts the next one. It gives the
// first TxID of the new segment.
func (j *Journal) Roll(ctx context.Context) (dfs.TxID, error) { return 0, errTODO }

// Stats gives a snapshot of the journal's counters.
func (j *Journal) Stats() Stats { return Stats{} }

// Close stops taking proposals, finishes what was taken, writes a last checkpoint
// unless told otherwise, and gives the directories up.
func (j *Journal) Close() error { return errTODO }

// Stats are a journal's counters since Open.
type Stats struct {
	LastTx        dfs.TxID // last transaction that is durable and applied
	Txns          uint64   // transactions committed
	Batches       uint64   // batches committed, each with one sync per directory
	BatchBytes    uint64   // bytes of those batches
	MaxBatch      int      // most transactions in one batch
	SyncTime      Histogram
	Checkpoints   uint64
	Checkpoint    CheckpointStats // the last one that succeeded
	CheckpointErr string          // why the last attempt failed; empty after a success
	Dirs          []DirStats
}

// CheckpointStats describes one checkpoint.
type CheckpointStats struct {
	TxID     dfs.TxID
	At       time.Time
	Duration time.Duration
	Bytes    int64 // size of the image file
}

// DirStats describes one name directory.
type DirStats struct {
	Dir   string
	Alive bool
	Err   string // why it was dropped
}

// Histogram counts durations by powers of two: Counts[i] are those below 2^i
// microseconds and not below 2^(i-1); the last one holds all the rest.
type Histogram struct {
	Counts [24]uint64
	Sum    time.Duration
}
