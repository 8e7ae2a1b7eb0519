package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// building is a block under construction, or one that is complete and still waits for
// some of its pipeline to report.
type building struct {
	id       dfs.BlockID
	reps     []part
	complete bool
	since    time.Time    // of completion
	recovery dfs.GenStamp // the latest one ordered; 0: none
	primary  *node        // of that recovery
}

// part is a replica of a block under construction.
type part struct {
	storage  *storage
	target   bool // the name node has sent the writer there
	reported bool
	state    dfs.ReplicaState
	stamp    dfs.GenStamp
	length   int64
	report   uint64 // id of the volume's full report that has seen it last
}

// OpenOnLeaving lists the blocks that are being written, or just were, with a replica on a
// live datanode that is to be decommissioned or to enter maintenance: it waits for them.
func (m *Manager) OpenOnLeaving() (ids []dfs.BlockID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id, b := range m.open {
		if slices.ContainsFunc(b.reps, func(p part) bool {
			n := p.storage.node
			return n.alive && (n.admin == dfs.AdminDecommissioning || n.admin == dfs.AdminEnteringMaintenance)
		}) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (b *building) find(s *storage) *part {
	for i := range b.reps {
		if b.reps[i].storage == s {
			return &b.reps[i]
		}
	}
	return nil
}

func (b *building) drop(s *storage) {
	b.reps = slices.DeleteFunc(b.reps, func(p part) bool { return p.storage == s })
}

// opened gives the entry of a block under construction. A new one takes over the replicas
// that were known: the block was complete before.
func (m *Manager) opened(id dfs.BlockID, f Facts) *building {
	r := m.table.make(id)
	b := m.open[id]
	if b == nil {
		b = &building{id: id}
		m.open[id] = b
		r.flags |= flagOpen
	}
	b.complete = false
	m.endRepair(id, r)
	m.setLevel(id, r, levelNone, false)
	for r.slots[0] != 0 {
		sl := r.slots[0]
		s := m.at(sl)
		p := part{storage: s, target: sl&(slotCorrupt|slotExcess) == 0, reported: true,
			state: dfs.ReplicaFinalized, stamp: f.GenStamp, length: f.Length, report: s.full.id}
		if bad, ok := m.bad(id, s); ok {
			p.stamp, p.length = bad.stamp, -1
		}
		if !s.gone && b.find(s) == nil {
			b.reps = append(b.reps, p)
		}
		m.dropReplica(id, r, &r.slots[0])
	}
	m.setSafe(r, false)
	return b
}

func (m *Manager) closeBuilding(id dfs.BlockID, r *record) {
	delete(m.open, id)
	r.flags &^= flagOpen
}

// volume finds a volume by node and storage UUID; without the latter any of the node's.
func (m *Manager) volume(node, uuid string) *storage {
	n := m.nodes[node]
	if n == nil {
		return nil
	}
	if s := n.storage(uuid); s != nil || uuid != "" || len(n.storages) == 0 {
		return s
	}
	return n.storages[0]
}

// Allocated tells that a file got a new block whose writer was sent to targets.
func (m *Manager) Allocated(now time.Time, b dfs.Block, targets []Target) {
	if !tracked(b.ID) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if !m.unfinished(b.ID) {
		return
	}
	o := m.opened(b.ID, Facts{GenStamp: b.GenStamp, Length: b.Length})
	if o.reps == nil {
		o.reps = make([]part, 0, len(targets))
	}
	for _, t := range targets {
		s := m.volume(t.Node.UUID, t.Storage)
		if s == nil {
			continue
		}
		if p := o.find(s); p != nil { // it has reported already
			p.target = true
			continue
		}
		s.schedule()
		o.reps = append(o.reps, part{storage: s, target: true})
	}
	m.fly(b.ID, targets)
}

// Reopened tells that a complete block is building again (append, truncate, lease
// recovery); b is as it was before. Its replicas are the expected ones until Pipeline.
func (m *Manager) Reopened(now time.Time, b dfs.Block) {
	if !tracked(b.ID) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if m.unfinished(b.ID) {
		m.opened(b.ID, Facts{GenStamp: b.GenStamp, Length: b.Length})
	}
}

// unfinished reports whether the namespace has a block and it is not complete. The name
// node tells of changes after they are applied, so the next one may have been already.
func (m *Manager) unfinished(id dfs.BlockID) bool {
	f, ok := m.src.Block(id)
	return ok && f.State != Complete
}

// Pipeline tells the block's new stamp and length and where its writer goes on; it
// replaces the expected locations.
func (m *Manager) Pipeline(now time.Time, b dfs.Block, nodes []dfs.DatanodeID, storages []string) {
	if !tracked(b.ID) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if !m.unfinished(b.ID) {
		return
	}
	o := m.opened(b.ID, Facts{GenStamp: b.GenStamp, Length: b.Length})
	for i := range o.reps {
		o.reps[i].target = false
	}
	for i, id := range nodes {
		uuid := ""
		if i < len(storages) {
			uuid = storages[i]
		}
		s := m.volume(id.UUID, uuid)
		if s == nil {
			continue
		}
		if p := o.find(s); p != nil {
			p.target = true
		} else {
			s.schedule()
			o.reps = append(o.reps, part{storage: s, target: true})
		}
	}
	o.reps = slices.DeleteFunc(o.reps, func(p part) bool {
		if p.target || p.reported {
			return false
		}
		p.storage.unschedule()
		return true
	})
	o.recovery, o.primary = 0, nil
}

// openReport takes what a datanode says about a replica of a block under construction. A
// late message that tells less than an earlier one changes nothing.
func (m *Manager) openReport(s *storage, b dfs.Block, state dfs.ReplicaState, f Facts) {
	o := m.opened(b.ID, f)
	p := o.find(s)
	if p == nil {
		o.reps = append(o.reps, part{storage: s})
		p = &o.reps[len(o.reps)-1]
	}
	p.report = s.full.id
	if p.reported && (b.GenStamp < p.stamp ||
		b.GenStamp == p.stamp && p.state == dfs.ReplicaFinalized && state != dfs.ReplicaFinalized) {
		return
	}
	if !p.reported && p.target && state == dfs.ReplicaFinalized {
		s.unschedule()
	}
	p.reported, p.state, p.stamp, p.length = true, state, b.GenStamp, b.Length
	if state == dfs.ReplicaFinalized && m.cfg.OnFinalized != nil {
		m.cfg.OnFinalized(b.ID)
	}
}

// Completed tells that a block is complete as b. Replicas of another stamp or length are
// stale from now on.
func (m *Manager) Completed(now time.Time, b dfs.Block) {
	if !tracked(b.ID) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if f, ok := m.src.Block(b.ID); ok && f.State == Complete && f.GenStamp == b.GenStamp {
		m.completed(b)
	}
}

func (m *Manager) completed(b dfs.Block) {
	r := m.table.make(b.ID)
	o := m.open[b.ID]
	if o == nil {
		o = &building{id: b.ID}
	}
	waiting := o.reps[:0]
	for _, p := range o.reps {
		switch {
		case p.storage.gone:
		case p.reported && p.state == dfs.ReplicaFinalized && p.stamp == b.GenStamp && p.length == b.Length:
			m.addReplica(b.ID, r, p.storage)
		case p.reported && (p.stamp != b.GenStamp && !p.target || p.stamp > b.GenStamp || p.state == dfs.ReplicaFinalized && p.stamp == b.GenStamp):
			m.addBad(b.ID, r, badReplica{storage: p.storage, stamp: p.stamp, stale: true})
		case p.target || p.stamp == b.GenStamp:
			waiting = append(waiting, p)
		}
	}
	clear(o.reps[len(waiting):])
	if o.reps = waiting; len(waiting) > 0 {
		o.complete, o.since, o.recovery, o.primary = true, m.now, 0, nil
		m.open[b.ID] = o
		r.flags |= flagOpen
		m.late.push(o)
	} else {
		m.closeBuilding(b.ID, r)
	}
	m.updateSafe(b.ID, r, true)
	m.evaluate(b.ID)
}

// arrived takes a replica off the list of those a complete block waits for.
func (m *Manager) arrived(id dfs.BlockID, r *record, s *storage) {
	if r.flags&flagOpen == 0 {
		return
	}
	o := m.open[id]
	if o.drop(s); len(o.reps) == 0 {
		m.closeBuilding(id, r)
	}
}

// expireLate gives up waiting for what a pipeline never reported. It is true when there
// is more to do.
func (m *Manager) expireLate(now time.Time, budget int) bool {
	for ; m.late.len() > 0 && now.Sub(m.late.peek().since) >= m.cfg.Repair.PendingTimeout; budget-- {
		if budget == 0 {
			return true
		}
		o := m.late.pop()
		r := m.table.get(o.id)
		if m.open[o.id] != o || !o.complete || now.Sub(o.since) < m.cfg.Repair.PendingTimeout || r == nil {
			continue
		}
		m.closeBuilding(o.id, r)
		for _, p := range o.reps {
			if p.reported && !p.storage.gone { // a stale one after all
				m.addBad(o.id, r, badReplica{storage: p.storage, stamp: p.stamp, stale: true})
			}
		}
		m.evaluate(o.id)
		m.tidyID(o.id)
	}
	return false
}

func (m *Manager) tidyID(id dfs.BlockID) {
	if r := m.table.get(id); r != nil {
		m.table.tidy(id, r)
	}
}

// Finalized counts the live datanodes with a finalized replica of exactly this stamp and
// length: enough of them make a block complete.
func (m *Manager) Finalized(b dfs.Block) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.table.get(b.ID)
	if r == nil {
		return 0
	}
	count := m.readable(r)
	if o := m.open[b.ID]; o != nil {
		for _, p := range o.reps {
			if p.reported && p.state == dfs.ReplicaFinalized && p.stamp == b.GenStamp && p.length == b.Length &&
				!p.storage.gone && p.storage.node.alive {
				count++
			}
		}
	}
	return count
}

// places gives the volumes where a building block's replicas are or should be: the
// writer's targets, or after a restart what has been reported, best stamps first.
func (m *Manager) places(o *building) []*storage {
	var targets, reported []*storage
	f, _ := m.src.Block(o.id)
	newest := f.GenStamp // what is older was left behind by the pipeline
	for _, p := range o.reps {
		newest = max(newest, p.stamp)
	}
	for _, p := range o.reps {
		switch {
		case p.storage.gone:
		case p.target:
			targets = append(targets, p.storage)
		case p.stamp == newest:
			reported = append(reported, p.storage)
		}
	}
	if len(targets) > 0 {
		return targets
	}
	return reported
}

// Expected gives where a building block's replicas are or should be.
func (m *Manager) Expected(id dfs.BlockID) []Target {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := m.open[id]
	if o == nil {
		return nil
	}
	var list []Target
	for _, s := range m.places(o) {
		list = append(list, s.target())
	}
	return list
}

// AllExpected reports whether every place that a building block was written to is known
// and alive: then what none of them has does not exist. After a restart it is never known.
func (m *Manager) AllExpected(id dfs.BlockID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := m.open[id]
	if o == nil {
		return false
	}
	targets := 0
	for _, p := range o.reps {
		if !p.target {
			continue
		}
		if targets++; p.storage.gone || !p.storage.node.alive {
			return false
		}
	}
	return targets > 0
}

func (s *storage) target() Target {
	return Target{Node: s.node.id, Storage: s.report.UUID, Type: s.report.Type}
}

// StartRecovery orders the recovery of a building block by one of its datanodes, another
// one each time. It is false when none that holds a replica is alive.
func (m *Manager) StartRecovery(now time.Time, rec Recovery) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	o := m.open[rec.Block.ID]
	if o == nil || o.complete {
		return false
	}
	var live []*storage
	for _, s := range m.places(o) {
		if s.node.alive {
			live = append(live, s)
		}
	}
	if len(live) == 0 {
		return false
	}
	// The next one after the last primary, so that a primary that can't do it is not
	// asked for ever; of the rest the one heard of last.
	primary := live[0].node
	if i := slices.IndexFunc(live, func(s *storage) bool { return s.node == o.primary }); i >= 0 {
		primary = live[(i+1)%len(live)].node
	} else {
		for _, s := range live {
			if s.node.beat.After(primary.beat) {
				primary = s.node
			}
		}
	}
	c := Command{Kind: Recover, Block: rec.Block, RecoveryID: rec.ID, NewLength: rec.NewLength}
	for _, s := range live {
		c.Targets = append(c.Targets, s.target())
	}
	if o.primary != nil {
		o.primary.orders = slices.DeleteFunc(o.primary.orders, func(c Command) bool { return c.Kind == Recover && c.Block.ID == o.id })
	}
	o.recovery, o.primary = rec.ID, primary
	primary.orders = append(primary.orders, c)
	return true
}
