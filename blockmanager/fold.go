package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
	"redoubt/raid"
)

// folding is a parity that is being made.
type folding struct {
	parity  dfs.Block
	plan    ParityPlan
	host    *node
	since   time.Time
	sources []FoldSource
	old     dfs.ParityGroup // that is replaced
	storage *storage        // where the parity is, once that is known
	ready   bool            // the gate has been passed: only Grouped and FoldFailed end it
	spoiled bool            // the parity has been found damaged
	over    bool
}

// Fold orders a plan's parity, whose id and stamp have just been logged as handed out, to be
// made by the plan's datanode. It is false when the plan does not hold any more; the id is
// then wasted.
func (m *Manager) Fold(now time.Time, plan ParityPlan, parity dfs.Block) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	p := m.takeUp(func(p *planned) bool {
		return !p.plan.Dissolve && p.plan.Host == plan.Host && p.plan.Replaces == plan.Replaces && slices.Equal(p.plan.Members, plan.Members)
	})
	if p == nil {
		return false
	}
	f := &folding{parity: parity, plan: p.plan, host: p.host, since: now}
	f.parity.Length = 0
	for _, b := range plan.Members {
		f.parity.Length = max(f.parity.Length, b.Length)
	}
	target := m.foldTarget(now, f)
	if target == nil || !m.foldSources(f) {
		m.putOff(f)
		m.abandon(p)
		return false
	}
	m.folds[parity.ID] = f
	m.overdue.push(f)
	m.tally.Forming++
	f.host.host.folds++
	c := Command{Kind: Fold, Block: f.parity, NewLength: -1, Targets: []Target{target.target()}, Sources: f.sources,
		Sum: Sum{Checksum: dfs.ChecksumCRC32C, BytesPer: 512}}
	c.Sum.CRC, c.Sum.HasCRC = f.expected()
	f.host.orders = append(f.host.orders, c)
	return true
}

// takeUp takes a plan that was handed out.
func (m *Manager) takeUp(match func(*planned) bool) *planned {
	i := slices.IndexFunc(m.planned, match)
	if i < 0 {
		return nil
	}
	p := m.planned[i]
	m.planned = slices.Delete(m.planned, i, i+1)
	return p
}

// foldTarget picks the volume of a new parity.
func (m *Manager) foldTarget(now time.Time, f *folding) *storage {
	if !f.host.inService() {
		return nil
	}
	policy, _ := dfs.ParityPolicy(f.plan.Data)
	p := m.placing(now, f.parity.Length, policy.ID)
	for _, t := range append(wantedTypes(policy.ID, 1), policy.ReplicationFallback...) {
		if s := p.volume(f.host, t); s != nil {
			return s
		}
	}
	return nil
}

// foldSources decides what a parity is made from: all members, or the parity that it replaces
// and what is new or goes, whichever reads less over the network.
func (m *Manager) foldSources(f *folding) bool {
	var whole, delta []FoldSource
	add := func(list []FoldSource, b dfs.Block, crc uint32, has bool) []FoldSource {
		return append(list, FoldSource{Block: b, CRC: crc, HasCRC: has, Targets: m.readableAt(b.ID, f.host)})
	}
	var old dfs.ParityGroup
	if f.plan.Replaces != 0 {
		var ok bool
		if old, ok = m.src.Group(f.plan.Replaces); !ok {
			return false
		}
		delta = add(delta, old.Parity, old.CRC, true)
	}
	f.old = old
	for _, b := range f.plan.Members {
		i := slices.IndexFunc(old.Members, func(p dfs.ParityMember) bool { return p.Block.ID == b.ID })
		if i >= 0 {
			whole = add(whole, b, old.Members[i].CRC, true)
			continue
		}
		whole = add(whole, b, 0, false)
		delta = add(delta, b, 0, false)
	}
	for _, p := range old.Members {
		if !slices.ContainsFunc(f.plan.Members, func(b dfs.Block) bool { return b.ID == p.Block.ID }) {
			delta = add(delta, p.Block, p.CRC, true)
		}
	}
	f.sources = whole
	if n, ok := remote(delta, f.plan.Host); ok && f.plan.Replaces != 0 {
		d := m.duties[f.plan.Replaces]
		if w, ok := remote(whole, f.plan.Host); !ok || n < w && (d == nil || !d.whole) {
			f.sources = delta
		}
	}
	_, ok := remote(f.sources, f.plan.Host)
	return ok
}

// remote adds up what a fold reads over the network; it is false when something has no place.
func remote(list []FoldSource, host string) (bytes int64, ok bool) {
	for _, s := range list {
		if len(s.Targets) == 0 {
			return 0, false
		}
		if s.Targets[0].Node.UUID != host {
			bytes += s.Block.Length
		}
	}
	return bytes, true
}

// readableAt gives the places of a block's good replicas, that on host first.
func (m *Manager) readableAt(id dfs.BlockID, host *node) []Target {
	var list []Target
	var buf scratch
	for _, sl := range m.table.all(buf[:0], m.table.get(id)) {
		s := m.at(sl)
		switch {
		case s.gone || !s.node.alive || sl&(slotCorrupt|slotSent) != 0:
		case s.node == host:
			list = slices.Insert(list, 0, s.target())
		default:
			list = append(list, s.target())
		}
	}
	return list
}

// expected gives the CRC of a parity whose members' are all known.
func (f *folding) expected() (uint32, bool) {
	var sums []raid.Sum
	for _, b := range f.plan.Members {
		i := slices.IndexFunc(f.old.Members, func(p dfs.ParityMember) bool { return p.Block.ID == b.ID })
		if i < 0 {
			return 0, false
		}
		sums = append(sums, raid.Sum{CRC: f.old.Members[i].CRC, Length: b.Length})
	}
	return raid.ParityCRC(sums...).CRC, true
}

// Folded takes the datanode's answer to a Fold command. It is true when a group stands ready
// to be logged: every member has a good replica on a node of its own beside the parity's, and
// the sums are right. The caller logs it and calls Grouped, or FoldFailed when that fails. It
// is false also for the rebuilding of a lost block, after which there is nothing to log.
func (m *Manager) Folded(now time.Time, uuid string, r *FoldResult) (Formed, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	f := m.folds[r.Block.ID]
	if f == nil {
		m.rebuilt(uuid, r)
		return Formed{}, false
	}
	if f.host.id.UUID != uuid || f.ready {
		return Formed{}, false
	}
	if r.Err == "" && f.storage == nil {
		f.storage = f.host.storage(r.Storage)
	}
	g, ok := f.group(r)
	if !ok || f.storage == nil || f.storage.gone || f.spoiled || !m.gate(f) {
		m.failed(f)
		return Formed{}, false
	}
	f.ready = true
	return Formed{Group: g, Replaces: f.plan.Replaces}, true
}

// group makes the group's record of what a datanode has read, if that is what it was to read
// and adds up.
func (f *folding) group(r *FoldResult) (dfs.ParityGroup, bool) {
	g := dfs.ParityGroup{Parity: f.parity, CRC: r.CRC, Data: f.plan.Data}
	if r.Err != "" || r.Block != f.parity || len(r.Members) != len(f.sources) {
		return g, false
	}
	for i, s := range f.sources {
		if r.Members[i].Block != s.Block || s.HasCRC && r.Members[i].CRC != s.CRC {
			return g, false
		}
	}
	var sums []raid.Sum
	for _, b := range f.plan.Members {
		same := func(p dfs.ParityMember) bool { return p.Block == b }
		// What is recorded is as good as read again, and counts: of a source that was joined to
		// others on another datanode, its sums are all that is known.
		i := slices.IndexFunc(f.old.Members, same)
		from := f.old.Members
		if i < 0 {
			from = r.Members
			if i = slices.IndexFunc(from, same); i < 0 {
				return g, false
			}
		}
		p := from[i]
		p.Departed = false
		g.Members = append(g.Members, p)
		sums = append(sums, raid.Sum{CRC: p.CRC, Length: p.Block.Length})
	}
	return g, raid.ParityCRC(sums...) == raid.Sum{CRC: r.CRC, Length: r.Block.Length}
}

// gate reports whether a group may be logged: each member is as it was planned, and has a
// good replica on a node of its own that is not the parity's, and those that leave have
// replicas enough.
func (m *Manager) gate(f *folding) bool {
	var v view
	for _, b := range f.plan.Members {
		facts, ok := m.src.Block(b.ID)
		if !ok || facts.State != Complete || facts.Kind != dfs.BlockOfFile || facts.GenStamp != b.GenStamp || facts.Length != b.Length ||
			facts.Group != 0 && facts.Group != f.plan.Replaces || facts.Group == 0 && m.leaves(b.ID) {
			return false
		}
		s := m.lookAt(&v, b.ID)
		n := 0
		for _, at := range s.places[:s.live] {
			if at.node != f.host {
				s.places[n] = at
				n++
			}
		}
		s.live = n
	}
	m.match(&v)
	for i := range v.blocks[:v.n] {
		if v.blocks[i].at == nil {
			return false
		}
	}
	if d := m.duties[f.plan.Replaces]; d != nil {
		for _, id := range d.without {
			var left view
			if facts, ok := m.src.Block(id); ok && facts.Kind == dfs.BlockOfFile && !m.independent(m.lookAt(&left, id)) {
				return false
			}
		}
	}
	return v.n > 0
}

// rebuilt takes the end of the rebuilding of a lost block, though nobody may wait for it any
// more. A replica that was made in the place of a damaged one is good now.
func (m *Manager) rebuilt(uuid string, r *FoldResult) {
	id := r.Block.ID
	p, rec, n := m.repairs[id], m.table.get(id), m.nodes[uuid]
	waited := p != nil && p.kind == Fold && p.source == n
	if rec == nil || n == nil {
		return
	}
	if r.Err != "" {
		if waited {
			m.tally.Failed++
			m.retry(p)
		}
		return
	}
	s := n.storage(r.Storage)
	if s == nil || !m.sumIs(r) {
		return
	}
	if sl := m.table.find(rec, s.num); sl != nil {
		if *sl&(slotCorrupt|slotExcess) == slotCorrupt && m.beside[id] == s {
			delete(m.beside, id)
			*sl &^= slotCorrupt
			m.dropBad(id, rec, s)
			m.updateSafe(id, rec, true)
			m.stir(id)
		}
		if waited {
			m.repaired(id, rec, s)
		}
	}
	m.evaluate(id)
}

// sumIs reports whether what a datanode has made is what the group's record says.
func (m *Manager) sumIs(r *FoldResult) bool {
	f, _ := m.src.Block(r.Block.ID)
	g, ok := m.src.Group(f.Group)
	if !ok {
		return false
	}
	if g.Parity == r.Block {
		return g.CRC == r.CRC
	}
	return slices.ContainsFunc(g.Members, func(p dfs.ParityMember) bool { return p.Block == r.Block && p.CRC == r.CRC })
}

// Grouped tells that a plan has been logged, and how.
func (m *Manager) Grouped(now time.Time, c *GroupChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if parity := c.Group.Parity.ID; parity != 0 {
		m.formed(parity, &c.Group)
	} else {
		m.tally.Dissolved++
	}
	for _, b := range c.Removed {
		m.takeUp(func(p *planned) bool { return p.plan.Dissolve && p.plan.Replaces == b.ID })
		m.removeBlock(b)
	}
	for _, b := range c.Left {
		if l, ok := m.leaving[b.ID]; ok {
			m.dropLeave(b.ID)
			if !l.forced {
				m.hold(b.ID)
			}
		}
		m.evaluate(b.ID)
		m.tidyID(b.ID)
	}
}

// formed takes a new group over: from now on its parity counts.
func (m *Manager) formed(parity dfs.BlockID, g *dfs.ParityGroup) {
	m.tally.Folds++
	f := m.folds[parity]
	if f != nil {
		m.endFold(f)
		facts, ok := m.src.Block(parity)
		if ok && f.storage != nil && !f.storage.gone {
			r := m.table.make(parity)
			m.setKind(parity, r, facts)
			m.addReplica(parity, r, f.storage)
			if f.spoiled {
				m.addBad(parity, r, badReplica{storage: f.storage, stamp: facts.GenStamp})
			}
		}
	}
	for _, p := range g.Members {
		m.scatter(p.Block.ID)
		if r := m.table.get(p.Block.ID); r != nil {
			m.flag(r, flagWaiting, false)
		}
	}
	m.stirGroup(parity)
	m.settleGroup(parity)
}

// FoldFailed tells that a group could not be logged: its parity is removed and its members
// are tried again later.
func (m *Manager) FoldFailed(now time.Time, parity dfs.BlockID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if f := m.folds[parity]; f != nil {
		m.failed(f)
	}
}

// failed gives a fold up.
func (m *Manager) failed(f *folding) {
	m.tally.Failed++
	m.endFold(f)
	if f.storage != nil {
		m.discard(f.storage, f.parity.ID, f.parity.GenStamp, false)
	}
	m.putOff(f)
	m.abandon(&planned{f.plan, f.host})
	if f.plan.Replaces != 0 {
		m.stirGroup(f.plan.Replaces)
	}
}

// putOff has a while pass before the next try.
func (m *Manager) putOff(f *folding) {
	after := m.now.Add(m.cfg.Parity.Retry)
	if d := m.duties[f.plan.Replaces]; d != nil {
		d.after, d.whole = after, !d.whole
		return
	}
	f.host.host.after = after
}

// endFold forgets a fold.
func (m *Manager) endFold(f *folding) {
	if f.over {
		return
	}
	f.over = true
	delete(m.folds, f.parity.ID)
	m.tally.Forming--
	f.host.host.folds--
	f.host.orders = slices.DeleteFunc(f.host.orders, func(c Command) bool { return c.Kind == Fold && c.Block.ID == f.parity.ID })
	if d := m.duties[f.plan.Replaces]; d != nil {
		d.busy = false
	}
}

// cancelFolds gives up the folds of a node.
func (m *Manager) cancelFolds(n *node) {
	for _, f := range m.folds {
		if f.host == n && !f.ready {
			m.failed(f)
		}
	}
}

// expireFolds gives up folds that took too long. It is true when there is more.
func (m *Manager) expireFolds(now time.Time, budget int) bool {
	for ; m.overdue.len() > 0; budget-- {
		f := m.overdue.peek()
		if !f.over && !f.ready && now.Sub(f.since) < m.cfg.Repair.PendingTimeout {
			return false
		}
		if budget == 0 {
			return true
		}
		m.overdue.pop()
		if !f.over && !f.ready {
			m.failed(f)
		}
	}
	return false
}

// pending reports whether an unknown block is a parity that is being made, and notes where it is.
func (m *Manager) beingFolded(s *storage, id dfs.BlockID) bool {
	f := m.folds[id]
	if f == nil || f.host != s.node {
		return false
	}
	f.storage = s
	return true
}
