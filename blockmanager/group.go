package blockmanager

import (
	"slices"

	"redoubt/dfs"
)

// maxGroup is the most blocks of a group, its parity included.
const maxGroup = dfs.MaxParityData + 1

// view is a parity group as it stands: where its blocks have good replicas, and how they can
// be told apart so that each has a node of its own.
type view struct {
	group  dfs.ParityGroup
	n      int // blocks: the parity, then the members
	lost   int // blocks that nobody can read
	blocks [maxGroup]viewed
}

// viewed is a block of a group.
type viewed struct {
	id       dfs.BlockID
	r        *record
	departed bool
	leaving  bool
	readable bool        // on some live node, draining ones included, and not about to be removed
	live     int         // good replicas on nodes in service; places holds that many, at most
	places   [4]*storage // their volumes, one a node
	readers  [4]*storage // where it can be read, the first few
	reads    int
	at       *storage // the one that is its own; nil: it shares a node, or has no replica
}

// parityOf is the k of a storage policy, 0 for plain replication.
func parityOf(policy uint8) int { return dfs.ParityData(policy) }

// facts gives the facts of a block with the number of replicas that is expected of it as it
// stands now in the place of its file's.
func (m *Manager) facts(id dfs.BlockID) (Facts, bool) {
	f, ok := m.src.Block(id)
	if ok && (f.Group != 0 || parityOf(f.Policy) > 0) {
		f.Replication = m.wanted(id, f)
	}
	return f, ok
}

// wanted is how many replicas a block under a parity policy, or of a group, has to have: one
// when a parity stands for it, else two; as many as its file wants if it is to leave its
// group for plain replication.
func (m *Manager) wanted(id dfs.BlockID, f Facts) uint16 {
	switch {
	case f.Group == 0:
		if m.gathering(id) != nil {
			return 3
		}
		return 2
	case f.Kind != dfs.BlockOfFile:
		return 1
	case parityOf(f.Policy) == 0:
		return f.Replication
	case m.leaves(id) || m.omitted(id, f.Group):
		return 2
	}
	return 1
}

// omitted reports whether a plan or a fold is about to take a member out of its group.
func (m *Manager) omitted(id, group dfs.BlockID) bool {
	d := m.duties[group]
	return d != nil && d.busy && slices.Contains(d.without, id)
}

func (m *Manager) leaves(id dfs.BlockID) bool {
	_, ok := m.leaving[id]
	return ok
}

// look fills in a view. It is false when there is no such group.
func (m *Manager) look(v *view, parity dfs.BlockID) bool {
	g, ok := m.src.Group(parity)
	if !ok || len(g.Members) >= maxGroup {
		return false
	}
	v.group, v.n, v.lost = g, 0, 0
	m.lookAt(v, g.Parity.ID)
	if f := m.folds[parity]; f != nil && f.storage != nil && !f.spoiled && !v.blocks[0].readable && !f.storage.gone {
		// Logged, and Grouped is about to be called: the replica has not been counted yet.
		p := &v.blocks[0]
		p.readable, p.live, p.places[0] = true, 1, f.storage
		p.readers[0], p.reads = f.storage, 1
		v.lost--
	}
	for i := range g.Members {
		b := m.lookAt(v, g.Members[i].Block.ID)
		if b.departed = g.Members[i].Departed; !b.departed {
			f, ok := m.src.Block(b.id)
			b.leaving = m.leaves(b.id) || ok && parityOf(f.Policy) == 0
		}
	}
	m.match(v)
	return true
}

// lookAt adds a block to a view.
func (m *Manager) lookAt(v *view, id dfs.BlockID) *viewed {
	b := &v.blocks[v.n]
	v.n++
	*b = viewed{id: id, r: m.table.get(id)}
	var buf scratch
	slots := m.table.all(buf[:0], b.r)
	for i, sl := range slots {
		s := m.at(sl)
		if s.gone || !s.node.alive || sl&(slotCorrupt|slotSent) != 0 {
			continue
		}
		b.readable = true
		if b.reads < len(b.readers) {
			b.readers[b.reads] = s
			b.reads++
		}
		if sl&slotExcess == 0 && s.node.inService() && b.live < len(b.places) && !m.doubled(slots[:i], s.node) {
			b.places[b.live] = s
			b.live++
		}
	}
	if !b.readable {
		v.lost++
	}
	return b
}

// match gives each block a node of its own where that can be done, the parity and the living
// members first: a maximum matching by augmenting paths.
func (m *Manager) match(v *view) {
	for i := range v.blocks[:v.n] {
		if v.blocks[i].live > 1 {
			m.prefer(v, i)
		}
	}
	for _, departed := range []bool{false, true} {
		for i := range v.blocks[:v.n] {
			if v.blocks[i].departed == departed {
				var buf [2 * maxGroup]*node
				v.augment(i, buf[:0])
			}
		}
	}
}

// augment finds a node for block i, moving others aside. visited are nodes that were tried.
func (v *view) augment(i int, visited []*node) bool {
	ok, _ := v.augmentFrom(i, visited)
	return ok
}

func (v *view) augmentFrom(i int, visited []*node) (bool, []*node) {
	b := &v.blocks[i]
	for _, s := range b.places[:b.live] {
		if slices.Contains(visited, s.node) {
			continue
		}
		visited = append(visited, s.node)
		free := true
		if j := v.on(s.node); j >= 0 {
			free, visited = v.augmentFrom(j, visited)
		}
		if free {
			b.at = s
			return true, visited
		}
	}
	return false, visited
}

// on gives the block that a node is the own one of, -1 if none.
func (v *view) on(n *node) int {
	for i := range v.blocks[:v.n] {
		if at := v.blocks[i].at; at != nil && at.node == n {
			return i
		}
	}
	return -1
}

// prefer sorts the places of a block that has several: fresh nodes first, those on crowded
// racks and full volumes last.
func (m *Manager) prefer(v *view, i int) {
	b := &v.blocks[i]
	score := func(s *storage) (x float64) {
		if s.node == m.hint {
			x += 8
		}
		if m.stale(s.node, m.now) {
			x += 4
		}
		if m.liveRacks > 1 {
			for j := range v.blocks[:v.n] {
				if o := &v.blocks[j]; j != i && o.live == 1 && o.places[0].node.rack == s.node.rack {
					x += 2
					break
				}
			}
		}
		if s.report.Capacity > 0 {
			x += 1 - float64(s.report.Remaining)/float64(s.report.Capacity)
		}
		return x
	}
	slices.SortStableFunc(b.places[:b.live], func(a, c *storage) int {
		switch x, y := score(a), score(c); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

// index finds a block in a view, -1 if it is not there.
func (v *view) index(id dfs.BlockID) int {
	for i := range v.blocks[:v.n] {
		if v.blocks[i].id == id {
			return i
		}
	}
	return -1
}

// whole reports whether every block has a good replica on a node of its own, on a volume
// that has told all it has.
func (v *view) whole() bool {
	for i := range v.blocks[:v.n] {
		if at := v.blocks[i].at; at == nil || !at.full.complete {
			return false
		}
	}
	return true
}

// living counts the members whose files are there, and of those the ones that stay.
func (v *view) living() (living, stay, departed int) {
	for i := 1; i < v.n; i++ {
		switch b := &v.blocks[i]; {
		case b.departed:
			departed++
		case b.leaving:
			living++
		default:
			living++
			stay++
		}
	}
	return living, stay, departed
}

// crowded reports whether block i should stand on another rack: there are racks enough for
// each block to have its own, and an earlier one stands on this one's. With fewer racks a
// group does not survive the loss of one anyway, and nothing is moved for it.
func (m *Manager) crowded(v *view, i int) bool {
	at := v.blocks[i].at
	if m.liveRacks < v.n || at == nil {
		return false
	}
	for j := range i {
		if o := v.blocks[j].at; o != nil && o.node.rack == at.node.rack {
			return true
		}
	}
	return false
}
