package redundancy_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

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
	s.Clients = 4
	c := redundancy.Config{FS: vfs.OS(), Dir: t.TempDir(), Setup: s, DeadAfter: 800 * time.Millisecond, SettleLimit: 30 * time.Second}
	if os.Getenv("REDUNDANCY_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return c
}

// must is what a scheme has to survive.
var must = map[result.Scheme][]result.Fault{
	result.None:        {result.SlowNode},
	result.Two:         {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
	result.Three:       {result.SlowNode, result.Corruption, result.Disk, result.Node, result.TwoNodes, result.Rack},
	result.RAIDNode:    {result.SlowNode, result.Corruption, result.Disk},
	result.RAIDCluster: {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
	result.RAIDBoth:    {result.SlowNode, result.Corruption, result.Disk, result.Node, result.Rack},
}

// ratio is the space that it takes.
var ratio = map[result.Scheme]float64{result.None: 1, result.Two: 2, result.Three: 3, result.RAIDNode: 1.25, result.RAIDCluster: 1.25, result.RAIDBoth: 1.5625}

func TestSchemes(t *testing.T) {
	for _, s := range result.Schemes() {
		t.Run(string(s), func(t *testing.T) {
			c := small(t)
			c.Schemes = []result.Scheme{s}
			r, err := redundancy.Run(t.Context(), c)
			require.NoError(t, err)
			got := r.Scheme(s)
			require.Empty(t, got.Err)
			require.InDelta(t, ratio[s], got.Space.Ratio, 0.1)
			require.Positive(t, got.Write.Rate)
			require.Positive(t, got.Read.Rate)
			for _, f := range result.Faults() {
				x := got.Fault(f)
				require.NotNil(t, x, f)
				require.Zero(t, x.Survived.WrongBytes, f)
				t.Logf("%s: %+v", f, *x)
			}
			for _, f := range must[s] {
				require.Zero(t, got.Fault(f).Survived.LostBytes, f)
			}
			left, err := c.FS.ReadDir(c.Dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
