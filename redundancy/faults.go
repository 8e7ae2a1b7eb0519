package redundancy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"redoubt/redundancy/result"
	"redoubt/wire/control"
)

// fault causes a fault, measures what it does, and ends it: when it returns, the cluster is
// whole again.
func (l *lab) fault(ctx context.Context, f result.Fault) (result.FaultResult, error) {
	r := result.FaultResult{Fault: f, Title: f.Title()}
	s := l.stats()
	l.missing, l.lost = s.Blocks.Missing, s.Parity.Lost
	var err error
	switch f {
	case result.SlowNode:
		err = l.slowNode(ctx, &r)
	case result.Corruption:
		err = l.corruption(ctx, &r)
	case result.Disk:
		err = l.lostDisk(ctx, &r)
	case result.Node, result.TwoNodes:
		err = l.lostNodes(ctx, f, false, &r)
	case result.Rack:
		err = l.lostNodes(ctx, f, true, &r)
	}
	if err == nil {
		err = l.mend(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f, err)
	}
	return r, err
}

// hurt measures reading right after a fault.
func (l *lab) hurt(ctx context.Context, r *result.FaultResult) (err error) {
	l.step("reading with %s", r.Title)
	r.Read, r.Survived, err = l.readFiles(ctx, l.all(), reading{})
	return err
}

// writing measures writing while what was lost is away.
func (l *lab) writing(ctx context.Context, r *result.FaultResult) (err error) {
	l.step("writing with %s", r.Title)
	r.Write, err = l.writeMore(ctx)
	return err
}

// writeMore measures writing with files that are removed again.
func (l *lab) writeMore(ctx context.Context) (result.Load, error) {
	have, full := l.cfg.files(), l.cfg.size(0)
	var files []int
	for i := range max(len(l.clients), have/3) {
		files = append(files, have+i)
	}
	load, err := l.writeFiles(ctx, files, func(int) int64 { return full })
	for _, i := range files {
		if _, err := l.clients[0].client.Delete(ctx, fileName(i), false); err != nil {
			return load, fmt.Errorf("redundancy: %w", err)
		}
	}
	return load, err
}

// repairing measures the way to full redundancy that begins now. had is what was stored
// before the fault on the disks that are left. With busy, the data is read all the while.
func (l *lab) repairing(ctx context.Context, stood []*bay, had int64, busy bool, r *result.FaultResult) error {
	l.step("repairing after %s", r.Title)
	before := l.meter()
	stop, joined := make(chan struct{}), make(chan error, 1)
	go func() {
		if !busy {
			joined <- nil
			return
		}
		var files []int
		for range 50 {
			files = append(files, l.all()...)
		}
		var err error
		r.Rebuilding, _, err = l.readFiles(ctx, files, reading{stop: stop})
		joined <- err
	}()
	end, settled := l.settle(ctx)
	u := l.meter().since(before, l.cfg.Setup.CPUs)
	close(stop)
	if err := errors.Join(<-joined, ctx.Err()); err != nil {
		return err
	}
	if settled != nil {
		r.Note, end = join(r.Note, settled.Error()), time.Now()
	}
	return l.repaired(stood, had, u, end.Sub(before.at), settled == nil, r)
}

// repaired fills in what a repair has come to, that took so long and used u.
func (l *lab) repaired(stood []*bay, had int64, u used, took time.Duration, settled bool, r *result.FaultResult) error {
	has, err := l.storedOn(stood)
	if err != nil {
		return err
	}
	p := &r.Repair
	s := l.stats()
	p.Complete = settled && s.Blocks.Missing <= l.missing && s.Parity.Lost <= l.lost
	p.Rebuilt = max(0, has-had)
	p.Needed = p.Rebuilt > 0
	if p.Rebuilt == 0 {
		return nil
	}
	p.Seconds = max(0, took.Seconds())
	p.Strain, p.CPUPerByte = u.strain, u.cpuSeconds/float64(p.Rebuilt)
	p.NetBytes, p.DiskWritten = u.link.Received, u.disk.BytesWritten
	p.DiskRead = max(0, u.disk.BytesRead-u.client.Received) // clients that read at the same time
	p.NetPerByte, p.ReadPerByte = float64(p.NetBytes)/float64(p.Rebuilt), float64(p.DiskRead)/float64(p.Rebuilt)
	p.MovedPerByte = p.NetPerByte + p.ReadPerByte
	if p.Seconds > 0 {
		p.Rate = float64(p.Rebuilt) / p.Seconds
		p.BusiestDisk, p.BusiestLink = min(1, u.busiestDisk/p.Seconds), min(1, u.busiestLink/p.Seconds)
	}
	if w := max(u.busiestDisk, u.busiestLink); w > 0 {
		p.Limit = float64(p.Rebuilt) / w
	}
	return nil
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// lostNodes takes machines away at once.
func (l *lab) lostNodes(ctx context.Context, f result.Fault, busy bool, r *result.FaultResult) error {
	h, err := l.holding(ctx, l.all())
	if err != nil {
		return err
	}
	gone, untested := l.drawNodes(f, h, l.lots(f))
	if r.Untested = untested; untested != "" {
		return nil
	}
	if err := l.hit(r, bays(gone), machineNames(gone)...); err != nil || r.Untested != "" {
		return err
	}
	stood := without(l.nodes, gone)
	had, err := l.storedAll(stood)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := each(gone, func(m *machine) error {
		m.link.Cut()
		return l.cluster.StopDataNode(m.index)
	}); err != nil {
		return err
	}
	if err := l.hurt(ctx, r); err != nil {
		return err
	}
	err = l.wait(ctx, "the loss to be noticed", func() (bool, string) {
		n := l.stats().Nodes
		return n.Live == len(stood), fmt.Sprintf("%d nodes are alive", n.Live)
	})
	if err != nil {
		return err
	}
	r.Repair.Detect = time.Since(begin).Seconds()
	if err := l.repairing(ctx, bays(stood), had, busy, r); err != nil {
		return err
	}
	if len(stood) == 0 {
		r.Note = join(r.Note, "no node was left")
	} else if err := l.writing(ctx, r); err != nil {
		return err
	}
	l.step("starting what was lost again")
	return each(gone, func(m *machine) error {
		m.link.Mend()
		return l.cluster.StartDataNode(ctx, m.index)
	})
}

func without(all, some []*machine) (rest []*machine) {
	for _, m := range all {
		keep := true
		for _, s := range some {
			keep = keep && s != m
		}
		if keep {
			rest = append(rest, m)
		}
	}
	return rest
}

// each does something with machines at the same time.
func each(machines []*machine, do func(*machine) error) error {
	errs := make([]error, len(machines))
	var wg sync.WaitGroup
	for i, m := range machines {
		wg.Go(func() { errs[i] = do(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lostDisk pulls a disk out of a machine, and lets it be repaired in peace; then another one,
// while the data is read. In an array it is replaced by a new one; elsewhere its blocks are
// made again on the disks that are left.
func (l *lab) lostDisk(ctx context.Context, r *result.FaultResult) error {
	rng := l.lots(result.Disk)
	if arrays(l.scheme) {
		return l.lostMember(ctx, rng, r)
	}
	noticed, err := l.pull(ctx, rng, r, func(*result.FaultResult) error { return l.touch(ctx) })
	if err != nil || r.Untested != "" {
		return err
	}
	// The first disk came back as a disk with nothing of value on it: another one is drawn.
	var second result.FaultResult
	second.Title = r.Title
	if _, err = l.pull(ctx, rng, &second, func(s *result.FaultResult) error { return l.hurt(ctx, s) }); err != nil {
		return err
	}
	r.Read, r.Rebuilding, r.Survived, r.Write = second.Read, second.Read, second.Survived, second.Write
	r.Untested, r.Victims, r.AtRisk = second.Untested, second.Victims, second.AtRisk
	r.Repair.Detect = noticed.Seconds()
	return nil
}

// pull takes a disk out of a machine with plain ones, measures its repair and puts it back;
// use is what uses the disks so that it is noticed: then repair begins at once. Writing
// without the disk is measured if use has measured reading.
func (l *lab) pull(ctx context.Context, rng *rand.Rand, r *result.FaultResult, use func(*result.FaultResult) error) (noticed time.Duration, err error) {
	h, err := l.holding(ctx, l.all())
	if err != nil {
		return 0, err
	}
	m, place, untested := l.drawDisk(h, rng)
	if r.Untested = untested; untested != "" {
		return 0, nil
	}
	out := m.bays[place]
	if err := l.hit(r, []*bay{out}, m.diskName(place)); err != nil || r.Untested != "" {
		return 0, err
	}
	stood := slices.DeleteFunc(bays(l.nodes), func(b *bay) bool { return b == out })
	had, err := l.storedOn(stood)
	if err != nil {
		return 0, err
	}
	l.step("a disk is pulled out")
	before := l.meter()
	out.disk.Pull()
	done := make(chan error, 1)
	var at time.Time
	go func() {
		done <- l.wait(ctx, "the lost disk to be noticed", func() (bool, string) {
			at = time.Now()
			return l.stats().Nodes.FailedVolumes > 0, "no volume has failed"
		})
	}()
	err = use(r)
	if err := errors.Join(err, <-done); err != nil {
		return 0, err
	}
	end, settled := l.settle(ctx)
	if settled != nil {
		r.Note, end = settled.Error(), time.Now()
	}
	u := l.meter().since(before, l.cfg.Setup.CPUs)
	if err := l.repaired(stood, had, u, end.Sub(at), settled == nil, r); err != nil {
		return 0, err
	}
	if r.Read.Measured {
		if err := l.writing(ctx, r); err != nil {
			return 0, err
		}
	}
	return at.Sub(before.at), l.putBack(ctx, m, out)
}

func (l *lab) putBack(ctx context.Context, m *machine, disk *bay) error {
	l.step("putting the disk in again")
	disk.disk.Plug()
	if err := l.restart(ctx, m); err != nil {
		return err
	}
	return l.mend(ctx)
}

// touch reads a little of every block.
func (l *lab) touch(ctx context.Context) error {
	_, _, err := l.run(ctx, l.all(), nil, func(ctx context.Context, at *station, i int, t *tally, took func(time.Duration)) error {
		f, err := at.client.Open(ctx, fileName(i))
		if err != nil {
			return err
		}
		defer f.Close()
		for off := int64(0); off < l.cfg.size(i) && err == nil; off += l.cfg.Setup.BlockBytes {
			_, err = f.ReadAt(make([]byte, 1), off)
		}
		return err
	})
	return err
}

// lostMember is lostDisk for an array.
func (l *lab) lostMember(ctx context.Context, rng *rand.Rand, r *result.FaultResult) error {
	h, err := l.holding(ctx, l.all())
	if err != nil {
		return err
	}
	m, place, untested := l.drawDisk(h, rng)
	if r.Untested = untested; untested != "" {
		return nil
	}
	if err := l.hit(r, []*bay{m.bays[place]}, m.diskName(place)); err != nil || r.Untested != "" {
		return err
	}
	begin := time.Now()
	m.bays[place].disk.Pull()
	if err := l.hurt(ctx, r); err != nil {
		return err
	}
	if err := l.writing(ctx, r); err != nil {
		return err
	}
	if err := l.noticed(ctx, m); err != nil {
		return err
	}
	r.Repair.Detect = time.Since(begin).Seconds()
	fresh, err := l.replace(ctx, m, place)
	if err != nil {
		return err
	}
	if err := l.repairing(ctx, []*bay{fresh}, 0, false, r); err != nil {
		return err
	}
	place = (place + 1) % len(m.bays)
	m.bays[place].disk.Pull()
	if err := errors.Join(l.touch(ctx), l.noticed(ctx, m)); err != nil {
		return err
	}
	second := result.FaultResult{Title: r.Title}
	if fresh, err = l.replace(ctx, m, place); err != nil {
		return err
	}
	err = l.repairing(ctx, []*bay{fresh}, 0, true, &second)
	r.Rebuilding = second.Rebuilding
	return err
}

// noticed waits until a machine's array is degraded.
func (l *lab) noticed(ctx context.Context, m *machine) error {
	return l.wait(ctx, "the lost disk to be noticed", func() (bool, string) {
		return l.degraded(ctx, m.index), "the array is whole"
	})
}

// replace puts a new disk into the place of one that was pulled, for an array to rebuild.
func (l *lab) replace(ctx context.Context, m *machine, place int) (*bay, error) {
	old, fresh := m.bays[place], m.spare[0]
	m.bays[place], m.spare = fresh, m.spare[1:]
	a := l.admin(m.index)
	defer a.Close()
	if _, err := a.ArrayReplace(ctx, &control.ArrayReplaceRequest{Old: old.dir, New: fresh.dir}); err != nil {
		return nil, fmt.Errorf("redundancy: %w", err)
	}
	return fresh, nil
}

func (l *lab) restart(ctx context.Context, m *machine) error {
	if err := l.cluster.StopDataNode(m.index); err != nil {
		return err
	}
	return l.cluster.StartDataNode(ctx, m.index)
}

// slowNode makes disks and link of a machine ten times slower and reads half of the files.
func (l *lab) slowNode(ctx context.Context, r *result.FaultResult) (err error) {
	var some []int
	for i := 0; i < l.cfg.files(); i += 2 {
		some = append(some, i)
	}
	h, err := l.holding(ctx, some)
	if err != nil {
		return err
	}
	rng := l.lots(result.SlowNode)
	// With two replicas or more readers may all go to the others: then nothing was tested, and
	// another node is drawn.
	for range 5 {
		drawn, untested := l.drawNodes(result.SlowNode, h, rng)
		if untested != "" {
			if r.Untested == "" {
				r.Untested = untested
			}
			return nil
		}
		if err := l.slowReads(ctx, drawn[0], some, r); err != nil || r.Untested == "" {
			return err
		}
		delete(h.node, drawn[0])
	}
	return nil
}

// slowReads reads files while a machine is slow.
func (l *lab) slowReads(ctx context.Context, m *machine, files []int, r *result.FaultResult) (err error) {
	r.Untested = ""
	if err := l.hit(r, m.bays, m.name()); err != nil || r.Untested != "" {
		return err
	}
	l.slow(m, 10)
	defer l.slow(m, 1)
	l.step("reading with a slow node")
	before := m.link.Counters()
	if r.Read, r.Survived, err = l.readFiles(ctx, files, reading{positioned: true}); err != nil {
		return err
	}
	if sent := m.link.Counters().Sub(before).Sent; sent < min(l.cfg.Setup.BlockBytes, pieceBytes)/2 {
		r.Untested = "no read came to the slow node"
		return nil
	}
	l.step("hedged reads with a slow node")
	r.Hedged, _, err = l.readFiles(ctx, files, reading{positioned: true, hedged: true})
	return err
}

// slow makes a machine so many times slower than the others.
func (l *lab) slow(m *machine, times float64) {
	s := &l.cfg.Setup
	rate := func(all float64) int64 {
		switch {
		case times == 1:
			return int64(all)
		case all == 0: // unlimited
			return 10e6
		}
		return max(1, int64(all/times))
	}
	m.link.SetLimits(rate(s.LinkRate), seconds(s.LinkLatency*times)/2)
	for _, b := range m.bays {
		b.disk.SetLimits(rate(s.DiskRate), seconds(s.DiskLatency*times))
	}
}

// mend waits until all is well again and writes anew what the fault has cost.
func (l *lab) mend(ctx context.Context) error {
	l.step("waiting until all is well")
	_, err := l.settle(ctx)
	var late *unsettledError
	if err != nil && !errors.As(err, &late) {
		return err
	}
	s := l.stats()
	if err == nil && s.Blocks.Missing == 0 && s.Blocks.Corrupt == 0 && s.Parity.Lost == 0 {
		return nil
	}
	var mu sync.Mutex
	var lost []int
	_, _, err = l.run(ctx, l.all(), nil, func(ctx context.Context, at *station, i int, t *tally, took func(time.Duration)) error {
		err := l.read(ctx, at.client, i, false, t, took)
		if err != nil {
			mu.Lock()
			lost = append(lost, i)
			mu.Unlock()
		}
		return err
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	if _, err := l.writeFiles(ctx, lost, l.cfg.size); err != nil {
		return err
	}
	_, err = l.settle(ctx)
	return err
}
