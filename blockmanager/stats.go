package blockmanager

import (
	"fmt"
	"time"

	"redoubt/dfs"
)

// Stats counts.
func (m *Manager) Stats(now time.Time) Stats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var st Stats
	for _, n := range m.nodes {
		m.addNode(&st, n, now)
	}
	st.Nodes.PendingTransfers = len(m.repairs)
	st.Nodes.PendingDead = m.dirty
	b := &st.Blocks
	b.Safe, b.Tracked, b.Replicas = m.safe, m.table.used, m.total
	b.Building = int64(len(m.open))
	b.ByDanger = m.counts
	for level, n := range m.counts {
		if level != DangerMissing {
			b.LowRedundancy += n
		}
	}
	b.Missing, b.MissingReplOne = m.counts[DangerMissing], m.lonely
	b.Corrupt, b.Excess = int64(len(m.corrupt)), m.excess
	b.PendingRepair, b.PendingDeletion = int64(len(m.repairs)), m.removals
	for _, o := range m.open {
		if o.recovery != 0 {
			b.PendingRecovery++
		}
	}
	st.Parity = m.parityStats()
	st.Moves = m.moveStats()
	b.Future, b.FutureBytes = m.future.count, m.future.bytes
	return st
}

func (m *Manager) addNode(st *Stats, n *node, now time.Time) {
	c := &st.Nodes
	c.FailedVolumes += n.failed
	switch n.admin {
	case dfs.AdminDecommissioning:
		c.Decommissioning++
	case dfs.AdminDecommissioned:
		c.Decommissioned++
	case dfs.AdminEnteringMaintenance:
		c.EnteringMaintenance++
	case dfs.AdminInMaintenance:
		c.InMaintenance++
	}
	if !n.alive {
		c.Dead++
		return
	}
	c.Live++
	if m.stale(n, now) {
		c.Stale++
	}
	for _, s := range n.storages {
		c.Storages++
		if !s.full.complete {
			c.ReportsPending++
		}
	}
	st.Capacity += n.info.Capacity
	st.Used += n.info.Used
	st.NonDFSUsed += n.info.NonDFSUsed
	st.Remaining += n.info.Remaining
	st.PoolUsed += n.info.PoolUsed
	st.Xceivers += int64(n.xceivers)
}

// parityStats tells what goes on about parity groups, and what they wait for.
func (m *Manager) parityStats() ParityStats {
	st := m.tally
	service := m.groupable()
	if st.Candidates > 0 && service < 3 {
		st.Waiting += st.Candidates
		st.Why = fmt.Sprintf("%d blocks stay replicated: a parity group needs 3 datanodes in service, there are %d", st.Candidates, service)
	} else if st.Waiting > 0 {
		st.Why = fmt.Sprintf("%d blocks of parity groups wait for a datanode that is free of their group and has room, of %d in service", st.Waiting, service)
	}
	return st
}
