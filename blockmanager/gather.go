package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// gathering is a candidate that found no company where its replicas are: it gets a third one
// on a node where others wait, or where a group has room.
type gathering struct {
	host  *node // nil: it was in vain, and is not tried again before until
	until time.Time
}

// gathering gives the node that a block is being gathered on, nil if it is not.
func (m *Manager) gathering(id dfs.BlockID) *node {
	if len(m.gathered) == 0 {
		return nil
	}
	return m.gathered[id].host
}

// Bounds of gathering: it is for what is left over, and each one costs a copy.
const (
	maxGathered = 64 // at a time, those included that it was in vain for
	gatherPause = 30 * time.Minute
	gatherHosts = 64 // nodes looked at for one
)

// gather brings a block that waits on h in vain to where it can be in a group. Of two nodes
// the one with the lesser UUID gathers, so that blocks do not pass each other.
func (m *Manager) gather(now time.Time, h *node, q *forming) {
	if len(m.gathered) >= maxGathered {
		return
	}
	for _, b := range q.buckets {
		if b.ids.len() == 0 || !b.data.inService() {
			continue
		}
		to := m.gatherer(h, b.data, q.k)
		if to == nil {
			continue
		}
		if _, known := m.gathered[b.ids.peek()]; known {
			b.ids.push(b.ids.pop())
			continue
		}
		id := q.pop(b)
		r := m.table.get(id)
		block, nodes := m.foldable(nil, id, h, q.k)
		if r == nil || len(nodes) == 0 || m.has(r, to) || block.Length > 0 && m.roomOn(to, block.Length) == nil {
			m.unwait(id)
			continue
		}
		m.gathered[id] = gathering{to, now.Add(2 * m.cfg.Repair.PendingTimeout)}
		m.unwait(id) // now it lacks a replica
		m.queue(to, q.k).last = now
		return
	}
}

// gatherer finds a node where a block that is on h and d could be in a group.
func (m *Manager) gatherer(h, d *node, k int) *node {
	for i := range min(len(m.hosts), gatherHosts) {
		to := m.hosts[(m.nextHost+i)%len(m.hosts)]
		q := to.host.of(k)
		if q == nil || to == h || to == d || !to.inService() || to.rack == nil {
			continue
		}
		if v := m.shortGroup(to, k); v != nil && v.whole() && (v.on(h) < 0 || v.on(d) < 0) {
			return to
		}
		if to.id.UUID < h.id.UUID && slices.ContainsFunc(q.buckets, func(b *bucket) bool {
			return b.ids.len() > 0 && b.data.inService() && !(b.data == h && b.data == d)
		}) {
			return to
		}
	}
	return nil
}

// roomOn gives a volume of a node for a block.
func (m *Manager) roomOn(n *node, length int64) *storage {
	p := m.placing(m.now, length, dfs.PolicyHot)
	p.repair = true
	return p.volume(n, dfs.StorageDisk)
}

// gatherTarget gives where a block that is being gathered is to be copied, if it is not there.
func (m *Manager) gatherTarget(id dfs.BlockID, r *record, length int64) *storage {
	n := m.gathering(id)
	if n == nil || !n.inService() || m.has(r, n) || slices.Contains(m.future.nodes(id), n) {
		return nil
	}
	return m.roomOn(n, length)
}

// scatter ends a gathering: the block is in a group, or will not be.
func (m *Manager) scatter(id dfs.BlockID) {
	if len(m.gathered) > 0 {
		delete(m.gathered, id)
	}
}

// endGathering gives up what took too long.
func (m *Manager) endGathering(now time.Time) {
	for id, g := range m.gathered {
		switch {
		case g.host == nil && now.After(g.until):
			delete(m.gathered, id)
		case g.host != nil && (now.After(g.until) || !g.host.inService()):
			m.gathered[id] = gathering{until: now.Add(gatherPause)}
			m.evaluate(id)
			m.tidyID(id)
		}
	}
}
