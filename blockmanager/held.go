package blockmanager

import (
	"redoubt/dfs"
)

// HeldQuery asks which blocks a datanode holds that could be moved away.
type HeldQuery struct {
	Node    string          // UUID
	Type    dfs.StorageType // only those on volumes of a medium; 0: on all
	MinSize int64           // bytes; shorter ones are left out
	To      uint64          // only ids numbered below this; 0: all
}

// Held appends blocks that a datanode holds, with the places of all their good replicas.
// It looks at budget ids from the one numbered from on and gives the number to go on
// with; 0 says that there are no more. An unknown datanode is an error.
func (m *Manager) Held(dst []dfs.HeldBlock, q *HeldQuery, from uint64, budget int) ([]dfs.HeldBlock, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.nodes[q.Node]
	if n == nil {
		return dst, 0, dfs.Errorf(dfs.IllegalArgument, "Datanode %s not found.", q.Node)
	}
	span := min(m.span(), uint64(len(m.table.pages))<<pageBits)
	if q.To > 0 {
		span = min(span, q.To)
	}
	for ; budget > 0 && from < span; budget-- {
		if m.table.pages[from>>pageBits] == nil {
			from = (from>>pageBits + 1) << pageBits
			continue
		}
		id := dfs.FirstBlockID + dfs.BlockID(from)
		from++
		if b, ok := m.held(id, n, q); ok {
			dst = append(dst, b)
		}
	}
	if from >= span {
		from = 0
	}
	return dst, from, nil
}

// IDs is the number of ids that Held can be asked about.
func (m *Manager) IDs() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.span()
}

// held describes a block if a node has a good replica of it that could go elsewhere.
func (m *Manager) held(id dfs.BlockID, n *node, q *HeldQuery) (b dfs.HeldBlock, ok bool) {
	r := m.table.get(id)
	if r == nil || r.flags&(flagOpen|flagRepair) != 0 || !m.onNode(r, n, q.Type) {
		return b, false
	}
	f, known := m.facts(id)
	if !known || f.State != Complete || f.Length < q.MinSize || f.Group != 0 && !m.movable(id, f) {
		return b, false
	}
	b.Block = dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		if s := m.at(sl); !s.gone && s.node.alive && sl&(slotCorrupt|slotExcess) == 0 {
			b.Nodes = append(b.Nodes, s.node.id.UUID)
			b.Storages = append(b.Storages, s.report.UUID)
			b.Types = append(b.Types, s.report.Type)
		}
	}
	return b, true
}

// onNode reports whether a node has a good replica on a volume of a medium, 0 being any, that
// has told all it holds.
func (m *Manager) onNode(r *record, n *node, t dfs.StorageType) bool {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		s := m.at(sl)
		if s.node == n && !s.gone && s.full.complete && sl&(slotCorrupt|slotExcess) == 0 && (t == 0 || s.report.Type == t) {
			return true
		}
	}
	return false
}

// movable reports whether a block of a group could go to another node: the group lacks
// nothing, and there is a node that nothing of it stands on.
func (m *Manager) movable(id dfs.BlockID, f Facts) bool {
	var v view
	if !m.look(&v, f.Group) || !v.whole() {
		return false
	}
	i := v.index(id)
	if i < 0 || v.blocks[i].live != 1 || v.blocks[i].leaving || v.blocks[i].departed {
		return false
	}
	for _, n := range m.live {
		if n.inService() && !m.crowds(&v, v.blocks[i].r, n) {
			return true
		}
	}
	return false
}
