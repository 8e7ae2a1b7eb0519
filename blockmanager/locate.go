package blockmanager

import (
	"net/netip"

	"redoubt/dfs"
)

// nodeAt finds a live datanode at an address; several on one host take turns.
func (m *Manager) nodeAt(addr netip.Addr) *node {
	list := m.byHost[addr]
	for range list {
		if n := list[m.random()%uint64(len(list))]; n.alive {
			return n
		}
	}
	for _, n := range list {
		if n.alive {
			return n
		}
	}
	return nil
}

// random is a number for choices that are made under the read lock.
func (m *Manager) random() uint64 {
	z := m.spin.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Locate appends the places of a block's replicas that a reader can use, nearest first;
// corrupt is true when there are replicas, but all of them are damaged: then it is those
// that are returned.
func (m *Manager) Locate(dst []dfs.ReplicaLoc, id dfs.BlockID, reader netip.Addr) (locs []dfs.ReplicaLoc, corrupt bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.table.get(id)
	if r == nil {
		return m.withParity(dst, len(dst), id), false
	}
	if r.flags&flagOpen != 0 {
		if o := m.open[id]; !o.complete {
			for _, s := range m.places(o) {
				if s.node.alive {
					dst = append(dst, s.loc())
				}
			}
			return dst, false
		}
	}
	from := len(dst)
	var near []*node
	var rk *rack
	if reader.IsValid() {
		near = m.byHost[reader.Unmap()]
		if len(near) > 0 {
			rk = near[0].rack
		}
	}
	var buf scratch
	var keyBuf [len(buf)]uint64
	keys := keyBuf[:0]
	slots := m.table.all(buf[:0], r)
	bad := 0
	for pass := 0; pass < 2 && len(dst) == from; pass++ {
		for _, sl := range slots {
			s := m.at(sl)
			if s.gone || !s.node.alive {
				continue
			}
			if sl&slotCorrupt != 0 {
				bad++
				continue
			}
			if sl&slotExcess != 0 && pass == 0 {
				continue // unless there is nothing else
			}
			dst, keys = insert(dst, keys, from, s.loc(), m.farness(s, near, rk))
		}
	}
	if r.flags&flagGroup != 0 {
		dst = m.withParity(dst, from, id)
	}
	if len(dst) > from || bad == 0 {
		return dst, false
	}
	for _, sl := range slots {
		if s := m.at(sl); !s.gone && s.node.alive {
			dst = append(dst, s.loc())
		}
	}
	return dst, true
}

func (s *storage) loc() dfs.ReplicaLoc {
	return dfs.ReplicaLoc{Node: s.node.info, Storage: s.report.UUID, Type: s.report.Type}
}

// farness orders replicas for a reader: out-of-service nodes last, stale ones before
// them, then by distance, and at random where all that is equal.
func (m *Manager) farness(s *storage, near []*node, rk *rack) uint64 {
	n := s.node
	key := m.random() >> 8
	switch {
	case n.admin != dfs.AdminNormal:
		key |= 1 << 63
	case m.cfg.Place.AvoidStaleRead && m.stale(n, m.now):
		key |= 1 << 62
	}
	switch {
	case len(near) > 0 && near[0].addr == n.addr:
	case rk != nil && rk == n.rack:
		key |= 1 << 56
	default:
		key |= 2 << 56
	}
	return key
}

// insert adds a location to dst[from:], which is sorted by keys.
func insert(dst []dfs.ReplicaLoc, keys []uint64, from int, loc dfs.ReplicaLoc, key uint64) ([]dfs.ReplicaLoc, []uint64) {
	dst, keys = append(dst, loc), append(keys, key)
	for i := len(keys) - 1; i > 0 && keys[i] < keys[i-1]; i-- {
		keys[i], keys[i-1] = keys[i-1], keys[i]
		dst[from+i], dst[from+i-1] = dst[from+i-1], dst[from+i]
	}
	return dst, keys
}

// withParity adds to the places of a block of a file, from dst[from] on, the last one to turn
// to: the node of its group's parity, which can make the block from the others while those
// can be read.
func (m *Manager) withParity(dst []dfs.ReplicaLoc, from int, id dfs.BlockID) []dfs.ReplicaLoc {
	f, ok := m.src.Block(id)
	var v view
	if !ok || f.Group == 0 || f.Kind != dfs.BlockOfFile || !m.look(&v, f.Group) {
		return dst
	}
	i, p := v.index(id), &v.blocks[0]
	if i < 0 || p.reads == 0 || !v.others(i) {
		return dst
	}
	s := p.readers[0]
	if p.at != nil {
		s = p.at
	}
	for _, l := range dst[from:] {
		if l.Node == s.node.info {
			return dst
		}
	}
	return append(dst, s.loc())
}
