package blockmanager

import (
	"time"

	"redoubt/dfs"
)

// maxReportParts bounds the parts of one full report.
const maxReportParts = 1 << 16

// reporter finds the volume that a report is about.
func (m *Manager) reporter(uuid, volume string) (*storage, error) {
	n, err := m.liveNode(uuid)
	if err != nil {
		return nil, err
	}
	s := n.storage(volume)
	if s == nil {
		return nil, dfs.Errorf(dfs.UnregisteredDatanode, "datanode %s has no volume %s", uuid, volume)
	}
	return s, nil
}

// BeginReport starts a part of a full report. Then Report takes its replicas, in as many
// calls as the caller likes, and EndReport closes the part. Datanodes send what concerns
// one volume, full and incremental reports, one after the other. An unknown datanode or
// volume gives dfs.UnregisteredDatanode.
func (m *Manager) BeginReport(p ReportPart) error {
	if p.Parts < 1 || p.Parts > maxReportParts || p.Part < 0 || p.Part >= p.Parts {
		return dfs.Errorf(dfs.IllegalArgument, "block report part %d of %d", p.Part, p.Parts)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.reporter(p.Node, p.Storage)
	if err != nil {
		return err
	}
	if r := &s.full; !r.begun || r.id != p.ID || r.parts != p.Parts {
		s.beginReport(p)
		m.unsweep(s)
		m.future.forget(s) // what is still there is told again
	}
	return nil
}

// beginReport makes all replicas unseen, unless an earlier report was cut off: what that
// one has seen stays seen.
func (s *storage) beginReport(p ReportPart) {
	r := &s.full
	if !r.begun && !r.sweeping {
		r.epoch ^= slotEpoch
		r.old = s.blocks
	}
	r.id, r.begun, r.parts, r.left = p.ID, true, p.Parts, p.Parts
	r.seen = make([]uint64, (p.Parts+63)/64)
}

func (m *Manager) unsweep(s *storage) {
	if s.full.sweeping {
		s.full.sweeping = false
		m.dirty--
	}
}

// Report takes some replicas of a begun part; about 1000 at a time keep the lock short.
func (m *Manager) Report(now time.Time, p ReportPart, replicas []Replica) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	s, err := m.reporter(p.Node, p.Storage)
	if err != nil {
		return err
	}
	if !s.full.begun || s.full.id != p.ID {
		return dfs.Errorf(dfs.IllegalArgument, "block report %d of volume %s has not begun", p.ID, p.Storage)
	}
	for i := range replicas {
		m.reportOne(s, replicas[i].Block, replicas[i].State)
	}
	return nil
}

// EndReport closes a part. It is true when all parts of the report have come: replicas
// that were known and not reported are then forgotten, by Tick in slices.
func (m *Manager) EndReport(now time.Time, p ReportPart) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	s, err := m.reporter(p.Node, p.Storage)
	if err != nil {
		return false, err
	}
	r := &s.full
	if !r.begun || r.id != p.ID || p.Part < 0 || p.Part >= r.parts {
		return false, nil // a repeated part of a report that has ended
	}
	if w, bit := p.Part/64, uint64(1)<<(p.Part%64); r.seen[w]&bit == 0 {
		r.seen[w] |= bit
		r.left--
	}
	if r.left > 0 {
		return false, nil
	}
	m.finishReport(now, s)
	return true, nil
}

func (m *Manager) finishReport(now time.Time, s *storage) {
	first := !s.full.complete
	s.full.begun, s.full.seen, s.full.complete = false, nil, true
	for _, o := range m.open {
		if p := o.find(s); p != nil && p.reported && p.report != s.full.id {
			if p.target {
				*p = part{storage: s, target: true}
			} else {
				o.drop(s)
			}
		}
	}
	if s.full.old > 0 {
		s.full.sweeping = true
		m.dirty++
	}
	n := s.node
	info := m.snapshot(n)
	info.LastReport, info.LastReportMono = now.UnixMilli(), m.mono(now)
	// Excess replicas are not chosen while a volume that holds some has yet to report.
	if first && !m.startup && m.fullyReported() {
		m.evaluateAll()
	}
}

func (m *Manager) fullyReported() bool {
	for _, n := range m.live {
		if !n.reported() {
			return false
		}
	}
	return true
}

// reported is true when each volume of a node has given a full report.
func (n *node) reported() bool {
	for _, s := range n.storages {
		if !s.full.complete {
			return false
		}
	}
	return true
}

// reportOne takes one line of a full report, or a Received or Receiving event.
func (m *Manager) reportOne(s *storage, b dfs.Block, state dfs.ReplicaState) {
	f, ok := m.src.Block(b.ID)
	if !ok || !tracked(b.ID) {
		m.stranger(s, b)
		return
	}
	if b.GenStamp != f.GenStamp && !m.src.StampIssued(b.GenStamp) {
		m.fromFuture(s, b)
		return
	}
	if state == dfs.ReplicaTemporary {
		return // a copy that is not done yet
	}
	if f.State != Complete {
		m.openReport(s, b, state, f)
		return
	}
	r := m.table.make(b.ID)
	m.catchUp(b.ID, r, f)
	if f.Group != 0 {
		m.setKind(b.ID, r, f)
	}
	if b.GenStamp == f.GenStamp && (state == dfs.ReplicaFinalized && b.Length == f.Length || state == dfs.ReplicaRBW || state == dfs.ReplicaRUR) {
		if state == dfs.ReplicaFinalized {
			m.goodReport(s, b, r)
		} else if sl := m.table.find(r, s.num); sl != nil {
			m.mark(sl, s) // a message that is late, or a recovery that changes nothing
		}
		m.table.tidy(b.ID, r)
		return
	}
	m.badReport(s, b, state, r, f)
	m.tidyID(b.ID)
}

// catchUp completes a block that the namespace has completed, if nobody has told so yet.
func (m *Manager) catchUp(id dfs.BlockID, r *record, f Facts) {
	if r.flags&flagOpen != 0 && !m.open[id].complete {
		m.completed(dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length})
	}
}

// goodReport takes a replica that is as the block should be.
func (m *Manager) goodReport(s *storage, b dfs.Block, r *record) {
	sl := m.table.find(r, s.num)
	if sl == nil {
		m.addReplica(b.ID, r, s)
		m.arrived(b.ID, r, s)
		instead := m.repaired(b.ID, r, s)
		if r.flags&flagGroup == 0 { // else it is looked at with its group
			m.evaluate(b.ID)
		}
		if instead != nil {
			m.moved(b.ID, instead.id.UUID)
		}
		return
	}
	m.mark(sl, s)
	if *sl&slotSent != 0 { // its removal was ordered, but did not happen
		*sl &^= slotSent
		m.discard(s, b.ID, b.GenStamp, true)
	}
	if bad, ok := m.bad(b.ID, s); ok && bad.stale && *sl&slotSent == 0 {
		*sl &^= slotCorrupt // it was behind and has been replaced; one too many it may still be
		m.dropBad(b.ID, r, s)
		m.updateSafe(b.ID, r, true)
		m.evaluate(b.ID)
	}
}

// badReport takes a replica of a complete block that has another stamp or length, or was
// being written when its datanode stopped.
func (m *Manager) badReport(s *storage, b dfs.Block, state dfs.ReplicaState, r *record, f Facts) {
	bad := badReplica{storage: s, stamp: b.GenStamp, stale: true}
	sl := m.table.find(r, s.num)
	if sl != nil && *sl&slotCorrupt == 0 && b.GenStamp < f.GenStamp && state != dfs.ReplicaFinalized {
		// A good one is known on this volume: the message is late.
		m.mark(sl, s)
		return
	}
	if sl != nil && *sl&slotSent != 0 {
		*sl &^= slotSent
		m.discard(s, b.ID, b.GenStamp, true)
	}
	if state == dfs.ReplicaRBW && b.GenStamp < f.GenStamp && r.flags&flagOpen != 0 {
		if p := m.open[b.ID].find(s); p != nil && p.target {
			return // the pipeline has moved on and this node's report is on its way
		}
	}
	m.arrived(b.ID, r, s)
	m.addBad(b.ID, r, bad)
	m.evaluate(b.ID)
}

// stranger takes a replica of a block that no file holds. One whose id or stamp this
// history has never handed out is of another history and is never removed.
func (m *Manager) stranger(s *storage, b dfs.Block) {
	if m.src.NextIssued(b.ID) != b.ID || !m.src.StampIssued(b.GenStamp) {
		m.fromFuture(s, b)
		return
	}
	if m.beingFolded(s, b.ID) {
		return
	}
	if m.startup {
		s.node.strangers = true
		return
	}
	m.discard(s, b.ID, b.GenStamp, false)
}

// Incremental takes what changed on a datanode. Lines about volumes that are not known
// are passed over: a full report will tell.
func (m *Manager) Incremental(now time.Time, uuid string, events []Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	n, err := m.liveNode(uuid)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Kind == NotCopied {
			m.notCopied(n, e.Block.ID, e.Storage)
			continue
		}
		s := n.storage(e.Storage)
		if s == nil {
			continue
		}
		switch e.Kind {
		case Receiving:
			m.reportOne(s, e.Block, dfs.ReplicaRBW)
		case Received:
			m.reportOne(s, e.Block, dfs.ReplicaFinalized)
			m.replaced(s, e.Block.ID)
			if e.DeleteHint != "" {
				m.moved(e.Block.ID, e.DeleteHint)
			}
		case Deleted:
			m.deleted(s, e.Block)
		}
	}
	return nil
}

// replaced forgets what other volumes of a datanode held of a block of which one has just
// got a good replica: a datanode has one replica of a block, which has moved here. Some
// datanodes do not tell that the old one is gone.
func (m *Manager) replaced(s *storage, id dfs.BlockID) {
	r := m.table.get(id)
	if sl := m.table.find(r, s.num); sl == nil || *sl&slotCorrupt != 0 {
		return
	}
	changed := false
	for _, o := range s.node.storages {
		if sl := m.table.find(r, o.num); o != s && sl != nil {
			m.dropReplica(id, r, sl)
			changed = true
		}
	}
	if changed {
		m.evaluate(id)
	}
}

// deleted takes a replica that is gone. The removal of an older one says nothing about
// the present one.
func (m *Manager) deleted(s *storage, b dfs.Block) {
	m.future.drop(s, b.ID)
	r := m.table.get(b.ID)
	if r == nil {
		return
	}
	if r.flags&flagOpen != 0 {
		o := m.open[b.ID]
		if p := o.find(s); p != nil && p.reported && (b.GenStamp == 0 || b.GenStamp >= p.stamp) {
			o.drop(s)
		}
	}
	sl := m.table.find(r, s.num)
	if sl == nil {
		return
	}
	if f, ok := m.src.Block(b.ID); ok && b.GenStamp != 0 {
		stamp := f.GenStamp
		if bad, isBad := m.bad(b.ID, s); isBad {
			stamp = bad.stamp
		}
		if b.GenStamp < stamp {
			return
		}
	}
	m.dropReplica(b.ID, r, sl)
	m.evaluate(b.ID)
	m.tidyID(b.ID)
}
