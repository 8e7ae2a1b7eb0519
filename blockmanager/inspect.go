package blockmanager

import "redoubt/dfs"

// Inspect appends every replica of a block that is known on a live datanode, the damaged and
// the excess ones included, with how it stands.
func (m *Manager) Inspect(dst []dfs.ReplicaHealth, id dfs.BlockID) []dfs.ReplicaHealth {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.table.get(id)
	if r == nil {
		return dst
	}
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if s := m.at(sl); !s.gone && s.node.alive {
			dst = append(dst, dfs.ReplicaHealth{ReplicaLoc: s.loc(), Condition: m.condition(sl, s)})
		}
	}
	return dst
}

func (m *Manager) condition(sl slot, s *storage) dfs.ReplicaCondition {
	n := s.node
	switch {
	case sl&slotCorrupt != 0:
		return dfs.ReplicaCorrupt
	case n.admin == dfs.AdminDecommissioned:
		return dfs.ReplicaDecommissioned
	case n.admin == dfs.AdminDecommissioning:
		return dfs.ReplicaDecommissioning
	case n.admin == dfs.AdminInMaintenance:
		return dfs.ReplicaInMaintenance
	case n.admin == dfs.AdminEnteringMaintenance:
		return dfs.ReplicaEntering
	case sl&slotExcess != 0:
		return dfs.ReplicaExcess
	case m.stale(n, m.now):
		return dfs.ReplicaStaleNode
	case !s.full.complete:
		return dfs.ReplicaStaleContent
	}
	return dfs.ReplicaLive
}

// Racks counts the racks that have live datanodes.
func (m *Manager) Racks() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.liveRacks
}
