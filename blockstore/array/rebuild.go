package array

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// saveEvery is after how many rebuilt bytes the progress is written into the superblocks.
const saveEvery = 64 << 20

// saveFiles is after how many rebuilt files it is.
const saveFiles = 1000

// rebuilder fills a member that has taken a place with what the others know of it.
type rebuilder struct {
	a      *Array
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	rate   atomic.Int64 // bytes a second; 0 is no limit
	wanted bool         // a member that fails is replaced by a spare; guarded by Array.mu

	mu   sync.Mutex
	at   Progress
	idle chan struct{} // closed while no rebuild is under way
	last error
}

func (b *rebuilder) init(a *Array) {
	b.a = a
	b.rate.Store(a.cfg.RebuildRate)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.idle = make(chan struct{})
	close(b.idle)
}

func (b *rebuilder) stop() {
	b.a.mu.Lock()
	b.cancel()
	b.a.mu.Unlock()
	b.wg.Wait()
}

func (b *rebuilder) progress() Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *rebuilder) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		idle := b.idle
		b.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.mu.Lock()
		same, err := idle == b.idle, b.last
		b.mu.Unlock()
		if same {
			return err
		}
	}
}

// resume goes on with a rebuild that was under way at the last end, or puts a spare in
// the place of a member that is missing.
func (b *rebuilder) resume() {
	b.a.mu.Lock()
	b.wanted = true
	b.a.mu.Unlock()
	for _, m := range b.a.members() {
		if m.is(Rebuilding) {
			b.start(m)
			return
		}
	}
	b.takeSpare()
}

// takeSpare puts a spare in the place of the failed member, if there is one of each.
func (b *rebuilder) takeSpare() {
	a := b.a
	for {
		var failed *member
		for _, m := range a.members() {
			if m.is(Failed) {
				failed = m
			}
		}
		if failed == nil || a.count(Active) < a.geo.Members()-1 || b.ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		if len(a.spares) == 0 || a.closed {
			a.mu.Unlock()
			return
		}
		spare := a.spares[0]
		a.spares = a.spares[1:]
		a.mu.Unlock()
		err := a.join(failed, spare.Member, spare.fs)
		if err == nil {
			return
		}
		a.event(Event{Kind: SpareRefused, Dir: spare.Dir, Err: err})
	}
}

// spareDue is called when a member has failed.
func (b *rebuilder) spareDue() {
	b.a.mu.Lock()
	due := b.wanted && len(b.a.spares) > 0 && b.ctx.Err() == nil
	if due {
		b.wg.Add(1)
	}
	b.a.mu.Unlock()
	if due {
		go func() {
			defer b.wg.Done()
			b.takeSpare()
		}()
	}
}

// start begins or goes on with filling a member.
func (b *rebuilder) start(m *member) {
	b.a.mu.Lock()
	defer b.a.mu.Unlock()
	if b.ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = Progress{Dir: m.dir, Place: m.place, Started: time.Now()}
	idle := make(chan struct{})
	b.idle = idle
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		b.a.event(Event{Kind: RebuildStarted, Dir: m.dir})
		err := b.run(m)
		b.mu.Lock()
		if b.idle == idle { // else the next one has begun already
			b.last, b.at.Err = err, err
			if err == nil {
				b.at = Progress{}
			}
		}
		b.mu.Unlock()
		if err == nil {
			b.a.event(Event{Kind: RebuildFinished, Dir: m.dir})
		} else if b.ctx.Err() == nil {
			b.a.event(Event{Kind: RebuildStopped, Dir: m.dir, Err: err})
			b.takeSpare()
		}
		close(idle)
	}()
}

// run rebuilds file after file, in the order of their ids.
func (b *rebuilder) run(m *member) error {
	a := b.a
	var ids []uint64
	total := a.memberBytes(func(id uint64) {
		if id < m.first.Load() && id > m.done.Load() {
			ids = append(ids, id)
		}
	})
	slices.Sort(ids)
	b.mu.Lock()
	b.at.TotalFiles, b.at.TotalBytes = len(ids), total
	b.mu.Unlock()
	saved, files := int64(0), 0
	for _, id := range ids {
		if err := a.rebuildFile(b, m, id); err != nil {
			return err
		}
		m.done.Store(id)
		b.mu.Lock()
		b.at.Files++
		now := b.at.Bytes
		b.mu.Unlock()
		if files++; now-saved >= saveEvery || files >= saveFiles {
			saved, files = now, 0
			a.change.Lock()
			err := a.publishSupers(a.events)
			a.change.Unlock()
			if err != nil {
				return err
			}
		}
	}
	return a.finish(m)
}

// finish makes a filled member a full one.
func (a *Array) finish(m *member) error {
	a.change.Lock()
	defer a.change.Unlock()
	if err := a.settle(); err != nil {
		return err
	}
	if err := a.mayRebuild(m); err != nil {
		return err
	}
	if !m.state.CompareAndSwap(uint32(Rebuilding), uint32(Active)) {
		return m.cause()
	}
	if err := a.publishSupers(a.events + 1); err != nil {
		return err
	}
	return a.settle()
}

// rebuildFile writes a member's units of one file: of each stripe that is on the members.
// What changes meanwhile goes to the new member too, and is synced at the end: then all
// that the log says of the file is there.
func (a *Array) rebuildFile(b *rebuilder, m *member, id uint64) error {
	n, w := a.hold(id)
	if n == nil {
		return nil // removed meanwhile
	}
	defer a.release(n, w)
	for {
		before := a.broken(w)
		if err := a.rebuildStripes(b, m, n, w); err != nil {
			return err
		}
		a.settleFile(n, w)
		if a.broken(w) == before {
			break
		}
		// Its writer met an error just now: what was left to it will not come any more.
	}
	w.io.Lock()
	defer w.io.Unlock()
	if err := w.syncColumn(n, m); err != nil {
		if err := a.fail(m, err); err != nil {
			return err
		}
		return m.cause()
	}
	return nil
}

func (a *Array) broken(w *work) bool {
	w.io.Lock()
	defer w.io.Unlock()
	return a.ready(w) != nil
}

// mayRebuild says why a rebuild has to end: too few others, or its place was given away.
func (a *Array) mayRebuild(m *member) error {
	if a.members()[m.place] != m {
		return fmt.Errorf("array: another directory has taken the place of %s", m.dir)
	}
	if a.count(Active) < a.geo.Members()-1 {
		return a.lost()
	}
	return nil
}

func (a *Array) rebuildStripes(b *rebuilder, m *member, n *node, w *work) error {
	damaged := false
	for stripe := int64(0); ; stripe += rebuildBatch * int64(a.rows) {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := a.mayRebuild(m); err != nil {
			return err
		}
		count, more, bad, err := a.rebuildRows(n, w, m, stripe)
		if err != nil {
			return err
		}
		damaged = damaged || bad
		b.mu.Lock()
		b.at.Bytes += count
		spent, done := time.Since(b.at.Started), b.at.Bytes
		b.mu.Unlock()
		if !more {
			break
		}
		if err := b.pace(spent, done); err != nil {
			return err
		}
	}
	if damaged {
		a.event(Event{Kind: StripeDamaged, Dir: m.dir, File: a.nameOf(n), Err: errUnits})
	}
	return nil
}

// settleFile makes what is not in the log durable. If that fails the file's writer will
// hear of it, and the log says what the file is.
func (a *Array) settleFile(n *node, w *work) {
	w.io.Lock()
	due := w.err == nil && (w.changed || w.dirty || n.size.Load() != n.logged)
	w.io.Unlock()
	if due {
		_ = a.sync(n, w) // the writer hears of it
	}
}

// pace keeps to the rate that the configuration allows.
func (b *rebuilder) pace(spent time.Duration, done int64) error {
	rate := b.rate.Load()
	if rate <= 0 {
		return nil
	}
	due := time.Duration(float64(done) / float64(rate) * float64(time.Second))
	if due <= spent {
		return nil
	}
	t := time.NewTimer(due - spent)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// rebuildBatch is how many groups are rebuilt while the file can't change.
const rebuildBatch = 8

// rowsRead is a group that was read to be rebuilt.
type rowsRead struct {
	g     *group
	infos [maxRows]rowInfo
}

// rebuildRows writes a member's units of some groups of stripes, the next one being read
// while one is written. more says that there are other groups, damaged that some stripe
// has lost more than this unit.
func (a *Array) rebuildRows(n *node, w *work, m *member, first int64) (written int64, more, damaged bool, err error) {
	w.io.Lock()
	defer w.io.Unlock()
	v, need := a.onDisk(n, w)
	sb := a.geo.StripeBytes()
	end := first + rebuildBatch*int64(a.rows)
	read := make(chan *rowsRead, 1)
	go func() {
		defer close(read)
		for at := first; at == first || at < end && at*sb < v.size; at += int64(a.rows) {
			x := &rowsRead{g: a.newGroup(at)}
			a.readUnits(n, w, x.g, 0, a.rows, v.over, func(r, _ int) bool { return need(at+int64(r)) > 0 }, &x.infos)
			read <- x
		}
	}()
	for x := range read {
		if err == nil {
			count, bad, werr := a.rebuildGroup(n, w, m, x, v, need)
			written, damaged, err = written+count, damaged || bad, werr
		}
		a.freeGroup(x.g)
	}
	return written, end*sb < v.size, damaged, err
}

func (a *Array) rebuildGroup(n *node, w *work, m *member, x *rowsRead, v view, need func(int64) int64) (written int64, damaged bool, err error) {
	var rows [maxRows]bool
	for r := range a.rows {
		length := need(x.g.first + int64(r))
		if length == 0 {
			continue
		}
		a.judge(x.g, n.id, r, &x.infos[r])
		if _, err := a.reconstruct(x.g, n.id, r, &x.infos[r], length); err != nil {
			damaged = true
			a.damaged.Add(1)
			continue
		}
		x.g.fill[r], rows[r] = x.infos[r].fill, true
		written += int64(a.stored(x.g, n.id, r, m.place))
	}
	if err := a.writeColumn(n, w, x.g, &rows, v.over, m); err != nil {
		if err := a.fail(m, err); err != nil {
			return written, damaged, err
		}
	}
	if m.is(Failed) {
		return written, damaged, fmt.Errorf("array: %s failed: %w", m.dir, m.cause())
	}
	return written, damaged, nil
}

// onDisk gives what of a file is on the members: where its stripes are, and how many
// bytes of each are surely there; none of those that are changed in memory, which are to
// be written again. Of a file whose writer met an error it is what the log says, since
// nothing more will come. io is held.
func (a *Array) onDisk(n *node, w *work) (v view, need func(stripe int64) int64) {
	w.flights.Wait()
	if a.ready(w) != nil {
		v = view{over: n.over, size: n.logged}
		return v, func(stripe int64) int64 { return v.need(a, stripe) }
	}
	v = view{over: w.over, size: n.size.Load()}
	w.mu.RLock()
	defer w.mu.RUnlock()
	inMemory := map[int64]bool{}
	for first, g := range w.groups {
		for r := range a.rows {
			if g.dirty[r] {
				inMemory[first+int64(r)] = true
			}
		}
	}
	if w.small != nil && w.dirty {
		inMemory[0] = true // it is all in one stripe
	}
	return v, func(stripe int64) int64 {
		if inMemory[stripe] {
			return 0
		}
		return v.need(a, stripe)
	}
}

// hold keeps a file and its work, by id; nil if there is none.
func (a *Array) hold(id uint64) (*node, *work) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.tree.files[id]
	if n == nil {
		return nil, nil
	}
	if n.work == nil {
		n.work = newWork(a, n)
	}
	n.refs++
	return n, n.work
}

// maxNamed is how many files are told of by name, each of which takes a walk through the
// tree; the others by their id.
const maxNamed = 1000

// nameOf finds a name of a file, for messages.
func (a *Array) nameOf(n *node) (name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.named++; a.named > maxNamed {
		return fmt.Sprintf("file %x", n.id)
	}
	a.tree.walk(a.tree.root, "", func(full string, e *dirent) {
		if e.file == n && (name == "" || full < name) {
			name = full
		}
	})
	return name
}
