package journal

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// Stats are a journal's counters since Open.
type Stats struct {
	LastTx        dfs.TxID // last transaction that is durable and applied
	Replayed      int64    // transactions applied from the log by Open
	Txns          uint64   // transactions committed
	Batches       uint64   // batches committed, each with one sync per directory
	BatchBytes    uint64   // bytes of those batches
	MaxBatch      int      // most transactions in one batch
	SyncTime      Histogram
	Checkpoints   uint64
	Checkpoint    CheckpointStats // the last one that succeeded, since Open
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

// reached is what is durable, for whoever asks.
type reached struct {
	txid   atomic.Uint64
	mu     sync.Mutex
	floors Floors
}

func (r *reached) setFloors(f Floors) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.floors = f
}

func (r *reached) getFloors() Floors {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floors
}

// Histogram counts durations by powers of two: Counts[i] are those below 2^i
// microseconds and not below 2^(i-1); the last one holds all the rest.
type Histogram struct {
	Counts [24]uint64
	Sum    time.Duration
}

func (h *Histogram) add(d time.Duration) {
	i := min(bits.Len64(uint64(d.Microseconds())), len(h.Counts)-1)
	h.Counts[i]++
	h.Sum += d
}

// counters are Stats under a lock.
type counters struct {
	mu    sync.Mutex
	stats Stats
}

func (c *counters) get() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Dirs = append([]DirStats(nil), c.stats.Dirs...)
	return s
}

func (c *counters) batch(txns, bytes int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Txns += uint64(txns)
	c.stats.Batches++
	c.stats.BatchBytes += uint64(bytes)
	c.stats.MaxBatch = max(c.stats.MaxBatch, txns)
	c.stats.SyncTime.add(took)
}

func (c *counters) applied(last dfs.TxID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.LastTx = last
}

func (c *counters) checkpoint(txid dfs.TxID, start time.Time, bytes int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.stats.CheckpointErr = err.Error()
		return
	}
	c.stats.Checkpoints++
	c.stats.CheckpointErr = ""
	c.stats.Checkpoint = CheckpointStats{TxID: txid, At: start, Duration: time.Since(start), Bytes: bytes}
}

func (c *counters) dir(dir string, alive bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := DirStats{Dir: dir, Alive: alive}
	if err != nil {
		d.Err = err.Error()
	}
	for i := range c.stats.Dirs {
		if c.stats.Dirs[i].Dir == dir {
			c.stats.Dirs[i] = d
			return
		}
	}
	c.stats.Dirs = append(c.stats.Dirs, d)
}
