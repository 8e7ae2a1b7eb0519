package blockmanager

import (
	"slices"
	"time"

	"redoubt/dfs"
)

// hosting is what a datanode does, or is to do, as the place of parities.
type hosting struct {
	parities int // replicas of parities
	queues   []*forming
	short    []dfs.BlockID // groups with room whose parity was here when they were put in
	members  int           // of the first of them, about
	folds    int           // being made
	kept     int           // blocks that wait on other nodes and have their other replica here
	after    time.Time     // no new ones before
	listed   bool          // in Manager.hosts
}

// forming is what waits on a node to become groups of k blocks. Every block in it has a
// replica on the node, from which the parity is folded, and one elsewhere, which stays.
type forming struct {
	k       int
	buckets []*bucket
	total   int // blocks that wait, and those being written
	flight  int // those being written
	last    time.Time
}

// bucket is what waits and has its other replica on one node.
type bucket struct {
	data   *node
	ids    ring[dfs.BlockID]
	flight int
}

// promise is a block that is being written, or about to be, and the part its two nodes play.
type promise struct {
	host, data *node
	queue      *forming
	bucket     *bucket
	at         time.Time
}

// promiseTime is how long a choice of targets is remembered for an allocation to come.
const promiseTime = time.Minute

// queue gives a node's queue for groups of k.
func (m *Manager) queue(n *node, k int) *forming {
	for _, q := range n.host.queues {
		if q.k == k {
			return q
		}
	}
	q := &forming{k: k, last: m.now}
	n.host.queues = append(n.host.queues, q)
	m.enlist(n)
	return q
}

// enlist puts a node on the list of those that have something to fold.
func (m *Manager) enlist(n *node) {
	if !n.host.listed {
		n.host.listed = true
		m.hosts = append(m.hosts, n)
	}
}

// of gives the queue for groups of k, nil if there is none.
func (h *hosting) of(k int) *forming {
	for _, q := range h.queues {
		if q.k == k {
			return q
		}
	}
	return nil
}

func (q *forming) bucket(data *node) *bucket {
	for _, b := range q.buckets {
		if b.data == data {
			return b
		}
	}
	b := &bucket{data: data}
	q.buckets = append(q.buckets, b)
	return b
}

// count is how many blocks of a queue have their other replica on a node.
func (q *forming) count(data *node) int {
	if q == nil {
		return 0
	}
	for _, b := range q.buckets {
		if b.data == data {
			return b.ids.len() + b.flight
		}
	}
	return 0
}

func (q *forming) push(b *bucket, id dfs.BlockID) {
	b.ids.push(id)
	b.data.host.kept++
	q.total++
}

func (q *forming) pop(b *bucket) dfs.BlockID {
	q.total--
	b.data.host.kept--
	return b.ids.pop()
}

// flag sets or clears a flag of a record and keeps the count that belongs to it.
func (m *Manager) flag(r *record, bit uint32, on bool) {
	if r == nil || (r.flags&bit != 0) == on {
		return
	}
	r.flags ^= bit
	step := int64(1)
	if !on {
		step = -1
	}
	switch bit {
	case flagWaiting:
		m.tally.Candidates += step
	case flagDegraded:
		m.tally.Degraded += step
	case flagLost:
		m.tally.Lost += step
	case flagStuck:
		m.tally.Waiting += step
	}
}

// candidate queues a block that has its replicas and could be in a group.
func (m *Manager) candidate(id dfs.BlockID, r *record, f Facts) {
	if r.flags&(flagWaiting|flagRepair|flagOpen) != 0 || m.leaves(id) {
		return
	}
	var buf [8]*node
	nodes := m.liveOn(buf[:0], r)
	if len(nodes) < 2 {
		return
	}
	k := parityOf(f.Policy)
	host, data := m.roles(id, r, k, nodes)
	q := m.queue(host, k)
	q.push(q.bucket(data), id)
	q.last = m.now
	m.flag(r, flagWaiting, true)
}

// liveOn appends the nodes in service that have a good replica and may be part of a group.
func (m *Manager) liveOn(dst []*node, r *record) []*node {
	var buf scratch
	for _, sl := range m.table.all(buf[:0], r) {
		s := m.at(sl)
		if sl&(slotCorrupt|slotExcess) == 0 && !s.gone && s.node.groups() && !slices.Contains(dst, s.node) {
			dst = append(dst, s.node)
		}
	}
	return dst
}

// roles decides which of a block's nodes is to fold it and which is to keep it: as promised
// when they were chosen, else where it helps a group most.
func (m *Manager) roles(id dfs.BlockID, r *record, k int, nodes []*node) (host, data *node) {
	if r.flags&flagHosted != 0 {
		p := m.flights[id]
		m.land(id, r)
		if slices.Contains(nodes, p.host) && slices.Contains(nodes, p.data) {
			return p.host, p.data
		}
	}
	best := 0.0
	to := m.gathering(id)
	var v *view
	if to != nil {
		v = m.shortGroup(to, k)
	}
	for _, h := range nodes {
		if to != nil && h != to && slices.Contains(nodes, to) {
			continue
		}
		q := h.host.of(k)
		for _, d := range nodes {
			if d == h {
				continue
			}
			score := float64(2*q.count(d)) + float64(h.host.parities+h.host.folds)/4
			if q != nil {
				score += float64(q.total) / float64(k)
			}
			if q == nil || q.total%k == 0 {
				score++
			}
			if h == to && v != nil && v.on(d) >= 0 {
				score += 100
			}
			if host == nil || score < best {
				host, data, best = h, d, score
			}
		}
	}
	return host, data
}

// promised remembers the parts that two nodes are to play for a block about to be written.
func (m *Manager) promised(now time.Time, host, data *node, k int) {
	for len(m.promises) > 0 && now.Sub(m.promises[0].at) > promiseTime {
		m.promises[0].end()
		m.promises = m.promises[1:]
	}
	q := m.queue(host, k)
	p := promise{host: host, data: data, queue: q, bucket: q.bucket(data), at: now}
	q.total++
	q.flight++
	p.bucket.flight++
	m.promises = append(m.promises, p)
}

// end takes a promise out of the counts.
func (p *promise) end() {
	p.queue.total--
	p.queue.flight--
	p.bucket.flight--
}

// fly ties a block that has been allocated to the promise that was made for it.
func (m *Manager) fly(id dfs.BlockID, targets []Target) {
	f, ok := m.src.Block(id)
	r := m.table.get(id)
	if !ok || r == nil || parityOf(f.Policy) == 0 || r.flags&flagHosted != 0 {
		return
	}
	has := func(n *node) bool {
		return slices.ContainsFunc(targets, func(t Target) bool { return t.Node.UUID == n.id.UUID })
	}
	i := slices.IndexFunc(m.promises, func(p promise) bool { return has(p.host) && has(p.data) })
	if i < 0 {
		return
	}
	m.flights[id] = m.promises[i]
	m.promises = slices.Delete(m.promises, i, i+1)
	r.flags |= flagHosted
}

// land ends what fly began.
func (m *Manager) land(id dfs.BlockID, r *record) {
	if r.flags&flagHosted == 0 {
		return
	}
	r.flags &^= flagHosted
	p := m.flights[id]
	p.end()
	delete(m.flights, id)
}

// picked is a candidate taken for a group.
type picked struct {
	block dfs.Block
	data  *node
}

// foldable gives the nodes besides host that keep a candidate, if it still is one.
func (m *Manager) foldable(dst []*node, id dfs.BlockID, host *node, k int) (dfs.Block, []*node) {
	r := m.table.get(id)
	f, ok := m.src.Block(id)
	if !ok || r == nil || f.State != Complete || f.Kind != dfs.BlockOfFile || f.Group != 0 ||
		parityOf(f.Policy) != k || r.flags&(flagRepair|flagOpen) != 0 || m.leaves(id) {
		return dfs.Block{}, nil
	}
	nodes := m.liveOn(dst, r)
	i := slices.Index(nodes, host)
	if i < 0 {
		return dfs.Block{}, nil
	}
	return dfs.Block{ID: id, GenStamp: f.GenStamp, Length: f.Length}, slices.Delete(nodes, i, i+1)
}

// pickTries bounds the entries of one bucket that are looked at for one group.
const pickTries = 16

// draw takes up to want candidates that host can fold into a group of size blocks, each on
// a node that is not among taken, which are the nodes that the group stands on already, host
// included; with strict, no rack gets more than its share. Fewer than least are none. A
// parity is as long as its longest member: they are taken as near to like, a length, as
// there are; if that is negative, to the longest.
func (m *Manager) draw(host *node, q *forming, taken []*node, least, want, size int, strict bool, like int64) []picked {
	list := slices.Clone(q.buckets)
	list = slices.DeleteFunc(list, func(b *bucket) bool {
		return b.ids.len() == 0 || !b.data.inService() || slices.Contains(taken, b.data)
	})
	if len(list) < least || want == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b *bucket) int { return b.ids.len() - a.ids.len() })
	if like < 0 {
		like = m.longest(list[:min(len(list), 2*want)])
	}
	taken = slices.Clone(taken)
	room := func(n *node) bool {
		same := 0
		for _, t := range taken {
			if t == n {
				return false
			}
			if t.rack == n.rack {
				same++
			}
		}
		return !strict || same < m.share(size)
	}
	var got []picked
	for _, b := range list {
		if len(got) == want {
			break
		}
		if !room(b.data) {
			continue
		}
		m.advanceTo(b, like)
		if p, ok := m.drawFrom(host, q, b, room); ok {
			got, taken = append(got, p), append(taken, p.data)
		}
	}
	if len(got) < least {
		for _, p := range got {
			q.push(q.bucket(p.data), p.block.ID)
		}
		return nil
	}
	return got
}

// drawFrom takes the first good candidate of a bucket.
func (m *Manager) drawFrom(host *node, q *forming, b *bucket, room func(*node) bool) (picked, bool) {
	var buf [8]*node
	for n := min(b.ids.len(), pickTries); n > 0; n-- {
		id := q.pop(b)
		block, nodes := m.foldable(buf[:0], id, host, q.k)
		if len(nodes) == 0 {
			m.unwait(id)
			continue
		}
		if slices.Contains(nodes, b.data) {
			return picked{block, b.data}, true
		}
		for _, d := range nodes {
			if room(d) {
				return picked{block, d}, true
			}
		}
		q.push(q.bucket(nodes[0]), id)
	}
	return picked{}, false
}

// unwait takes the mark of a candidate off a block and looks whether it is one elsewhere.
func (m *Manager) unwait(id dfs.BlockID) {
	r := m.table.get(id)
	if r == nil || r.flags&flagWaiting == 0 {
		return
	}
	m.flag(r, flagWaiting, false)
	m.evaluate(id)
	m.tidyID(id)
}

// share is how many of n blocks of a group may be on one rack: one where there are racks
// enough. With fewer, a group does not survive the loss of a rack however it is spread, and
// what counts is that the two replicas of a block that is not folded yet are on two.
func (m *Manager) share(n int) int {
	if m.liveRacks < n {
		return n
	}
	return 1
}

// turn gives blocks that wait on a node in vain to the nodes that keep them, where the two
// can change parts: there others wait that they can be with, or can be brought
// there, or a group has room.
func (m *Manager) turn(n *node, q *forming) {
	for _, b := range slices.Clone(q.buckets) {
		h := &b.data.host
		m.verify(n, q, b)
		if !b.data.inService() || b.ids.len() == 0 {
			continue
		}
		to := h.of(q.k)
		others := to != nil && slices.ContainsFunc(to.buckets, func(o *bucket) bool { return o.data != n && o.ids.len() > 0 })
		if v := m.shortGroup(b.data, q.k); !others && h.kept == b.ids.len() && (v == nil || v.on(n) >= 0) {
			continue
		}
		to = m.queue(b.data, q.k)
		for range min(b.ids.len(), pickTries) {
			to.push(to.bucket(n), q.pop(b))
		}
		to.last = m.now
	}
}

// verify looks whether what waits in a bucket is still where it should be for that.
func (m *Manager) verify(n *node, q *forming, b *bucket) {
	var buf [8]*node
	for range min(b.ids.len(), pickTries) {
		id := q.pop(b)
		_, nodes := m.foldable(buf[:0], id, n, q.k)
		switch {
		case len(nodes) == 0:
			m.unwait(id)
		case slices.Contains(nodes, b.data):
			q.push(b, id)
		default:
			q.push(q.bucket(nodes[0]), id)
		}
	}
}

// orphan gives up a node as the place of parities: what waits there looks for another.
func (m *Manager) orphan(n *node) {
	for _, q := range n.host.queues {
		for _, b := range q.buckets {
			if b.ids.len() > 0 {
				q.abandon(m, b)
			}
		}
	}
	n.host.queues, n.host.short = nil, nil
}

// abandon takes what waits in a bucket out of the queue, to look for another place.
func (q *forming) abandon(m *Manager, b *bucket) {
	m.orphans = append(m.orphans, &bucket{ids: b.ids})
	q.total -= b.ids.len()
	b.data.host.kept -= b.ids.len()
	b.ids = ring[dfs.BlockID]{}
}

// strays finds another place for what waited on nodes that are gone. It is true when there
// is more to do.
func (m *Manager) strays(budget int) bool {
	for len(m.orphans) > 0 {
		b := m.orphans[0]
		for ; b.ids.len() > 0; budget-- {
			if budget == 0 {
				return true
			}
			m.unwait(b.ids.pop())
		}
		m.orphans = m.orphans[1:]
	}
	return false
}
