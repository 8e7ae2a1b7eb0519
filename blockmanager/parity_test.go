package blockmanager

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func raid5(k int) uint8 { p, _ := dfs.ParityPolicy(k); return p.ID }

func TestGroupsForm(t *testing.T) {
	w := newRaidWorld(t, 5)
	for i := range 40 {
		require.NotZero(t, w.write(raid5(4), 3, 100+i, w.nodes[i%5]))
		w.calm(3 * time.Second)
	}
	w.calm(2 * time.Minute)
	w.settled()
	require.Len(t, w.groups, 10, "all are full")
	for _, n := range w.m.live {
		require.InDelta(t, 2, n.host.parities, 1, "parities are spread")
	}
}
