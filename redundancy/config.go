package redundancy

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"redoubt/dfs"
	"redoubt/redundancy/result"
	"redoubt/vfs"
)

// Config says what to compare. FS and Dir must be set; other zero fields take defaults.
type Config struct {
	FS  vfs.FS // vfs.OS()
	Dir string // an empty directory for all disks; what is left in it is the caller's to remove

	Setup   result.Setup    // see Defaults; Clients, Parity and CPUs may be 0
	Schemes []result.Scheme // all
	Faults  []result.Fault  // all

	// Hedge is after how long without an answer a hedged read asks another replica; 0: six
	// times as long as the emulated disk or link needs for a read, at least 20 ms.
	Hedge time.Duration
	// DeadAfter is how long a node may be silent before it counts as dead; 0: 3 s, or as long
	// as it takes to read all data before repair begins, by the rates.
	DeadAfter time.Duration
	// SettleLimit is how long to wait for repair to come to its end, 10 min. A repair that
	// does not go on is given up sooner.
	SettleLimit time.Duration

	Progress func(Step)   // nil: nobody watches
	Log      *slog.Logger // nil: discarded
}

// Step is what a run is about. Done and Total count steps of all rounds and schemes.
type Step struct {
	Scheme        result.Scheme
	Round, Rounds int // counted from 1
	Doing         string
	Done, Total   int
	Left          time.Duration // about how long the run still takes
}

// Defaults are the emulation that `fs redundancy` runs when it is asked for nothing else.
// Its rates are a tenth or less of real ones and so are its sizes, so that times come out as
// they would; two processors carry the whole cluster without being the limit.
func Defaults() result.Setup {
	return result.Setup{
		Datanodes: 12, Racks: 6, DisksPerNode: 5, DiskRate: 8e6, DiskLatency: 0.001, LinkRate: 12e6, LinkLatency: 0.0002,
		DataBytes: 80 << 20, FileBytes: 1 << 20, BlockBytes: 512 << 10, Parity: 4, Seed: 1, Repeat: 3,
	}
}

// Validate names every fault of the configuration.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("redundancy: "+format, args...))
		}
	}
	s := c.Setup
	need(c.FS != nil && c.Dir != "", "no directory for the emulated disks")
	need(s.Datanodes >= 1 && s.Datanodes <= 100, "%d datanodes: want 1 to 100", s.Datanodes)
	need(s.Racks >= 1 && s.Racks <= max(1, s.Datanodes), "%d racks: want 1 to the number of datanodes, %d", s.Racks, s.Datanodes)
	need(s.DisksPerNode >= 3 && s.DisksPerNode <= 17, "%d disks in a node: RAID-5 wants 3 to 17", s.DisksPerNode)
	need(s.Clients >= 0 && s.Clients <= 200, "%d clients: want at most 200", s.Clients)
	need(s.DiskRate >= 0 && s.LinkRate >= 0, "a rate is negative")
	need(s.DiskLatency >= 0 && s.LinkLatency >= 0 && s.DiskLatency <= 10 && s.LinkLatency <= 10, "a latency is not between 0 and 10 s")
	need(s.BlockBytes >= 1<<16 && s.BlockBytes%dfs.BytesPerChecksum == 0, "a block of %d bytes: want at least 65536, in multiples of %d", s.BlockBytes, dfs.BytesPerChecksum)
	need(s.FileBytes >= 1 && s.FileBytes <= s.DataBytes, "files of %d bytes: want 1 to all data, %d", s.FileBytes, s.DataBytes)
	need(s.DataBytes <= 1<<40 && s.DataBytes/max(1, s.FileBytes) <= 100_000, "%d bytes of data in files of %d: want at most 100000 files and 1 TiB", s.DataBytes, s.FileBytes)
	need(s.Parity == 0 || s.Parity >= dfs.MinParityData && s.Parity <= dfs.MaxParityData, "k is %d: RAID-5 wants %d to %d", s.Parity, dfs.MinParityData, dfs.MaxParityData)
	need(s.Repeat >= 1 && s.Repeat <= 100, "everything measured %d times: want 1 to 100", s.Repeat)
	need(c.Hedge >= 0 && c.DeadAfter >= 0 && c.SettleLimit >= 0, "a time is negative")
	schemes := c.Schemes
	if len(schemes) == 0 {
		schemes = result.Schemes()
	}
	for i, x := range schemes {
		need(!slices.Contains(schemes[:i], x), "scheme %s is named twice", x)
		need(slices.Contains(result.Schemes(), x), "there is no scheme %q: want %v", x, result.Schemes())
		n := nodesFor(x, orElse(s.Parity, dfs.DefaultParityData))
		need(s.Datanodes >= n, "%s needs %d datanodes, there are %d", x, n, s.Datanodes)
	}
	for i, x := range c.Faults {
		need(!slices.Contains(c.Faults[:i], x), "fault %s is named twice", x)
		need(slices.Contains(result.Faults(), x), "there is no fault %q: want %v", x, result.Faults())
	}
	return errors.Join(errs...)
}

// nodesFor is how many datanodes a scheme needs to do what it promises.
func nodesFor(s result.Scheme, k int) int {
	switch s {
	case result.Two:
		return 2
	case result.Three:
		return 3
	case result.RAIDCluster, result.RAIDBoth:
		return k + 1
	}
	return 1
}

func (c *Config) applyDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	if len(c.Schemes) == 0 {
		c.Schemes = result.Schemes()
	}
	if len(c.Faults) == 0 {
		c.Faults = result.Faults()
	}
	s := &c.Setup
	s.Clients = orElse(s.Clients, 2*s.Datanodes)
	s.Parity = orElse(s.Parity, dfs.DefaultParityData)
	s.CPUs = runtime.GOMAXPROCS(0)
	if c.DeadAfter == 0 {
		// Reading everything must be over by then.
		rate := min(s.LinkRate, s.DiskRate*float64(s.DisksPerNode)) * float64(s.Datanodes)
		c.DeadAfter = 3 * time.Second
		if rate > 0 {
			c.DeadAfter = max(c.DeadAfter, 3*time.Second/2+seconds(float64(s.DataBytes)/(0.35*rate)))
		}
	}
	if c.SettleLimit == 0 {
		c.SettleLimit = 10 * time.Minute
	}
	if c.Hedge == 0 {
		c.Hedge = 20 * time.Millisecond
		for _, rate := range []float64{s.DiskRate, s.LinkRate} {
			if rate > 0 {
				c.Hedge = max(c.Hedge, seconds(6*pieceBytes/rate))
			}
		}
	}
}

func orElse(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// files is how many files hold the data, and size how long file i is.
func (c *Config) files() int {
	return int((c.Setup.DataBytes + c.Setup.FileBytes - 1) / c.Setup.FileBytes)
}

func (c *Config) size(i int) int64 {
	return min(c.Setup.FileBytes, c.Setup.DataBytes-int64(i)*c.Setup.FileBytes)
}
