package blockmanager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// TestPlainNodesAreFreeOfGroups: Hadoop's own datanodes can't fold, so that neither member
// nor parity goes there; with too few others a block gets replicas anywhere.
func TestPlainNodesAreFreeOfGroups(t *testing.T) {
	w := cluster(t, 6)
	policy, ok := dfs.PolicyByName("RAID5-2")
	require.True(t, ok)
	plain := map[string]bool{}
	makePlain := func(n *fakeNode) {
		n.reg.Plain = true
		w.start(n)
		plain[n.reg.Node.UUID] = true
	}
	for _, n := range w.nodes[:3] {
		makePlain(n)
	}
	require.Equal(t, 3, w.m.Groupable())
	for range 50 {
		targets := w.m.Choose(&PlaceRequest{Count: 2, Size: 1 << 20, Policy: policy.ID})
		require.Len(t, targets, 2)
		for _, target := range targets {
			require.False(t, plain[target.Node.UUID], target.Node.UUID)
		}
	}
	for _, n := range w.nodes[3:] {
		makePlain(n)
	}
	require.Zero(t, w.m.Groupable())
	require.Len(t, w.m.Choose(&PlaceRequest{Count: 2, Size: 1 << 20, Policy: policy.ID}), 2, "replicas then")
}

// TestLifelineLeavesOrders: a lifeline keeps a datanode alive; its orders wait for the next
// heartbeat.
func TestLifelineLeavesOrders(t *testing.T) {
	w := cluster(t, 3)
	n := w.nodes[0]
	b := w.create(3)
	w.settle()
	w.remove(b)
	w.tick()
	beat := Heartbeat{UUID: n.reg.Node.UUID, Storages: n.reg.Storages, Lifeline: true}
	orders, err := w.m.Heartbeat(w.now, &beat)
	require.NoError(t, err)
	require.Empty(t, orders)
	beat.Lifeline = false
	orders, err = w.m.Heartbeat(w.now, &beat)
	require.NoError(t, err)
	require.NotEmpty(t, orders)
}
