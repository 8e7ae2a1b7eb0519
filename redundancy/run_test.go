package redundancy_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/redundancy"
	"redoubt/redundancy/result"
	"redoubt/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a run with little data on unlimited disks and links.
func small(t *testing.T) redundancy.Config {
	s := redundancy.Defaults()
	s.DiskRate, s.DiskLatency, s.LinkRate, s.LinkLatency = 0, 0, 0, 0
	s.DataBytes, s.FileBytes, s.BlockBytes = 8<<20, 512<<10, 256<<10
	s.Clients, s.Repeat = 4, 1
	c := redundancy.Config{FS: vfs.OS(), Dir: t.TempDir(), Setup: s, DeadAfter: 2500 * time.Millisecond, SettleLimit: 30 * time.Second}
	if os.Getenv("REDUNDANCY_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return c
}

// survives is what a scheme has to survive without losing a byte.
var survives = map[result.Scheme][]result.Fault{
	result.None:  {result.SlowNode},
	result.Two:   {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
	result.Three: {result.SlowNode, result.Corruption, result.Disk, result.Node, result.TwoNodes, result.Rack},
	// An array does not check what is read of a part of a unit: a spoiled place may cost a
	// block, which has no second replica, until the array is verified.
	result.RAIDNode:    {result.SlowNode, result.Disk},
	result.RAIDCluster: {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
	result.RAIDBoth:    {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
}

// ratio is the space that it takes.
var ratio = map[result.Scheme]float64{result.None: 1, result.Two: 2, result.Three: 3, result.RAIDNode: 1.25, result.RAIDCluster: 1.25, result.RAIDBoth: 1.5625}

// Most of a run is waiting, so all schemes are run at the same time.
func TestSchemes(t *testing.T) {
	runs := map[result.Scheme]*result.Run{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range result.Schemes() {
		c := small(t)
		c.Schemes = []result.Scheme{s}
		wg.Go(func() {
			r, err := redundancy.Run(t.Context(), c)
			left, readErr := c.FS.ReadDir(c.Dir)
			mu.Lock()
			defer mu.Unlock()
			assert.NoError(t, errors.Join(err, readErr))
			assert.Empty(t, left)
			runs[s] = r
		})
	}
	wg.Wait()
	for _, s := range result.Schemes() {
		t.Run(string(s), func(t *testing.T) { check(t, s, runs[s]) })
	}
}

func check(t *testing.T, s result.Scheme, r *result.Run) {
	require.NotNil(t, r)
	got := r.Scheme(s)
	require.Empty(t, got.Err)
	require.InDelta(t, ratio[s], got.Space.Ratio, 0.2)
	require.Positive(t, got.Write.Rate)
	require.Positive(t, got.Read.Rate)
	require.Equal(t, got.Array != nil, s == result.RAIDNode || s == result.RAIDBoth)
	for _, f := range result.Faults() {
		x := got.Fault(f)
		require.NotNil(t, x, f)
		require.Empty(t, x.Untested, f)
		require.NotEmpty(t, x.Victims, f)
		require.Positive(t, x.AtRisk, f)
		require.Zero(t, x.Survived.WrongBytes, f)
		require.Positive(t, x.Read.Rate, f)
		if slices.Contains(survives[s], f) {
			require.Zero(t, x.Survived.LostBytes, f)
			require.True(t, x.Repair.Complete || f == result.SlowNode, "%s: %+v", f, x)
		}
	}
	require.Equal(t, s != result.None, got.Fault(result.Corruption).Repair.Complete)
	for _, f := range []result.Fault{result.Corruption, result.Disk, result.Node, result.TwoNodes, result.Rack} {
		if s == result.None {
			require.Positive(t, got.Fault(f).Survived.LostBytes, "the fault has not hit: %s", f)
		}
	}
	slow := got.Fault(result.SlowNode).Read
	require.Positive(t, slow.P50)
	require.True(t, slow.P50 <= slow.P90 && slow.P90 <= slow.P99 && slow.P99 <= slow.Max)
	if got.Write.Strain.CPU > 0 { // where the system tells
		require.Positive(t, got.Write.CPUPerByte)
		require.Positive(t, got.Read.CPUPerByte)
	}
	goals := map[string]bool{}
	for _, c := range r.Claims {
		require.False(t, goals[c.Text], c.Text)
		goals[c.Text] = true
	}
	require.Len(t, goals, 15, "every run has every goal")
}

// The disk, the nodes and the rack that are taken away hold data, in every round and of every
// seed: with few blocks on many disks most of them hold none.
func TestVictimsHoldData(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for seed := range uint64(2) {
		c := small(t)
		c.Setup.Repeat, c.Setup.Seed = 3, seed
		c.Setup.DataBytes, c.Setup.FileBytes, c.Setup.BlockBytes = 256<<10, 64<<10, 64<<10
		c.Schemes = []result.Scheme{result.None}
		c.Faults = []result.Fault{result.Disk, result.Node, result.TwoNodes, result.Rack}
		wg.Go(func() {
			r, err := redundancy.Run(t.Context(), c)
			if !assert.NoError(t, err) || !assert.Len(t, r.Rounds, 3) {
				return
			}
			victims := map[string]bool{}
			for _, round := range r.Rounds {
				assert.Empty(t, round.Schemes[0].Err)
				for _, f := range round.Schemes[0].Faults {
					assert.Empty(t, f.Untested, f.Fault)
					assert.Positive(t, f.AtRisk, f.Fault)
					assert.Positive(t, f.Survived.LostBytes, "%s of %v lost nothing without redundancy", f.Fault, f.Victims)
					victims[f.Victims[0]] = true
				}
			}
			assert.Greater(t, len(victims), 3, "not always the same ones")
		})
	}
	wg.Wait()
}

// What can't be tested says so: one block stands on one node only.
func TestUntested(t *testing.T) {
	t.Parallel()
	c := small(t)
	c.Setup.DataBytes, c.Setup.FileBytes, c.Setup.BlockBytes = 64<<10, 64<<10, 64<<10
	c.Schemes, c.Faults = []result.Scheme{result.None}, []result.Fault{result.TwoNodes, result.Node}
	r, err := redundancy.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "no two nodes on different racks hold data of the run", r.Scheme(result.None).Fault(result.TwoNodes).Untested)
	require.Len(t, r.Untested(), 1)
	require.Equal(t, int64(64<<10), r.Scheme(result.None).Fault(result.Node).Survived.LostBytes)
	for _, g := range r.Claims {
		require.True(t, g.Missing == "not run" || g.Text == "bytes read wrong, in all schemes and faults", "%+v", g)
	}
}

// A run that is broken off ends soon and leaves nothing behind.
func TestCancel(t *testing.T) {
	t.Parallel()
	c := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	var left []time.Duration
	c.Progress = func(s redundancy.Step) {
		left = append(left, s.Left)
		if s.Doing == "reading" && s.Scheme == result.Three {
			cancel()
		}
	}
	c.Schemes, c.Faults = []result.Scheme{result.Two, result.Three}, []result.Fault{result.Corruption}
	c.Setup.Repeat = 2
	r, err := redundancy.Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "interrupted in round 1 of 2, 3 replicas", r.Interrupted)
	require.Len(t, r.Schemes, 1, "what came to its end, and nothing else")
	require.Equal(t, result.Two, r.Schemes[0].Scheme)
	require.Empty(t, r.Schemes[0].Err)
	require.Len(t, r.Claims, 15)
	require.Positive(t, left[0], "a run has something left when it begins")
	files, err := c.FS.ReadDir(c.Dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestBadConfigurations(t *testing.T) {
	for want, spoil := range map[string]func(c *redundancy.Config){
		"no directory":                    func(c *redundancy.Config) { c.Dir = "" },
		"0 datanodes":                     func(c *redundancy.Config) { c.Setup.Datanodes = 0 },
		"raid5-cluster needs 5 datanodes": func(c *redundancy.Config) { c.Setup.Datanodes, c.Setup.Racks = 4, 4 },
		"raid5-both needs 17 datanodes":   func(c *redundancy.Config) { c.Setup.Parity = 16 },
		"13 racks":                        func(c *redundancy.Config) { c.Setup.Racks = 13 },
		"2 disks in a node":               func(c *redundancy.Config) { c.Setup.DisksPerNode = 2 },
		"k is 1":                          func(c *redundancy.Config) { c.Setup.Parity = 1 },
		"k is 17":                         func(c *redundancy.Config) { c.Setup.Parity = 17 },
		"a rate is negative":              func(c *redundancy.Config) { c.Setup.LinkRate = -1 },
		"a latency is not":                func(c *redundancy.Config) { c.Setup.DiskLatency = 11 },
		"a block of 1000 bytes":           func(c *redundancy.Config) { c.Setup.BlockBytes = 1000 },
		"files of 0 bytes":                func(c *redundancy.Config) { c.Setup.FileBytes = 0 },
		"bytes of data in files":          func(c *redundancy.Config) { c.Setup.FileBytes = 1 },
		`no scheme "raid6"`:               func(c *redundancy.Config) { c.Schemes = []result.Scheme{"raid6"} },
		`no fault "flood"`:                func(c *redundancy.Config) { c.Faults = []result.Fault{"flood"} },
		"fault disk is named twice":       func(c *redundancy.Config) { c.Faults = []result.Fault{result.Disk, result.Disk} },
		"scheme none is named twice":      func(c *redundancy.Config) { c.Schemes = []result.Scheme{result.None, result.None} },
		"measured 0 times":                func(c *redundancy.Config) { c.Setup.Repeat = 0 },
		"a time is negative":              func(c *redundancy.Config) { c.DeadAfter = -1 },
		"201 clients: want at most 200":   func(c *redundancy.Config) { c.Setup.Clients = 201 },
	} {
		c := small(t)
		spoil(&c)
		_, err := redundancy.Run(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
}
