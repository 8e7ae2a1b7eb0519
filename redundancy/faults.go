package redundancy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"redoubt/redundancy/result"
	"redoubt/wire/control"
)

// fault causes a fault, measures what it does, and ends it: when it returns, the cluster is
// whole again.
func (l *lab) fault(ctx context.Context, f result.Fault) (result.FaultResult, error) {
	r := result.FaultResult{Fault: f, Title: f.Title()}
	n := len(l.nodes)
	at := func(i int) *machine { return l.nodes[i%n] }
	var err error
	switch f {
	case result.SlowNode:
		err = l.slowNode(ctx, at(1), &r)
	case result.Corruption:
		err = l.corruption(ctx, &r)
	case result.Disk:
		err = l.lostDisk(ctx, at(2), &r)
	case result.Node:
		err = l.lostNodes(ctx, []*machine{at(3)}, false, &r)
	case result.TwoNodes:
		err = l.lostNodes(ctx, l.nodes[:min(2, n)], false, &r) // dealt out to racks in turn
	case result.Rack:
		var gone []*machine
		for _, m := range l.nodes {
			if m.rack == l.cfg.Setup.Racks-1 {
				gone = append(gone, m)
			}
		}
		err = l.lostNodes(ctx, gone, true, &r)
	}
	if err == nil {
		err = l.mend(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f, err)
	}
	return r, err
}

// hurt measures reading and writing right after a fault.
func (l *lab) hurt(ctx context.Context, r *result.FaultResult) (err error) {
	l.step("reading with %s", r.Title)
	if r.Read, r.Survived, err = l.readFiles(ctx, l.all(), reading{}); err != nil {
		return err
	}
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

// repairing measures the way to full redundancy that begins now. With busy, the data is read
// all the while.
func (l *lab) repairing(ctx context.Context, stood []*machine, busy bool, r *result.FaultResult) error {
	l.step("repairing after %s", r.Title)
	had, err := l.storedAll(stood)
	if err != nil {
		return err
	}
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
	has, err := l.storedAll(stood)
	if err != nil {
		return err
	}
	p := &r.Repair
	s := l.stats()
	p.Complete = settled == nil && s.Blocks.Missing == 0 && s.Parity.Lost == 0
	if settled != nil {
		r.Note = join(r.Note, settled.Error())
	}
	p.Seconds = max(0, end.Sub(before.at).Seconds())
	if settled != nil {
		p.Seconds = u.seconds
	}
	p.Rebuilt = max(0, has-had)
	p.Needed = p.Rebuilt > 0
	p.NetBytes, p.DiskRead, p.DiskWritten = u.link.Received, u.disk.BytesRead, u.disk.BytesWritten
	if busy {
		p.DiskRead = max(0, p.DiskRead-r.Rebuilding.Bytes)
	}
	if p.Rebuilt == 0 {
		p.Seconds = 0
		return nil
	}
	p.MovedPerByte = float64(p.NetBytes+p.DiskRead) / float64(p.Rebuilt)
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
func (l *lab) lostNodes(ctx context.Context, gone []*machine, busy bool, r *result.FaultResult) error {
	stood := without(l.nodes, gone)
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
	err := l.wait(ctx, "the loss to be noticed", func() (bool, string) {
		n := l.stats().Nodes
		return n.Live == len(stood), fmt.Sprintf("%d nodes are alive", n.Live)
	})
	if err != nil {
		return err
	}
	r.Repair.Detect = time.Since(begin).Seconds()
	if err := l.repairing(ctx, stood, busy, r); err != nil {
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

// lostDisk pulls a disk out of a machine. In an array it is replaced by a new one.
func (l *lab) lostDisk(ctx context.Context, m *machine, r *result.FaultResult) error {
	old := m.bays[0]
	begin := time.Now()
	old.disk.Pull()
	if err := l.hurt(ctx, r); err != nil {
		return err
	}
	err := l.wait(ctx, "the lost disk to be noticed", func() (bool, string) {
		if arrays(l.scheme) {
			return l.degraded(ctx, m.index), "the array is whole"
		}
		return l.stats().Nodes.FailedVolumes > 0, "no volume has failed"
	})
	if err != nil {
		return err
	}
	r.Repair.Detect = time.Since(begin).Seconds()
	if !arrays(l.scheme) {
		m.bays = m.bays[1:]
		err := l.repairing(ctx, l.nodes, true, r)
		m.bays = append([]*bay{old}, m.bays...)
		if err != nil {
			return err
		}
		l.step("putting the disk in again")
		old.disk.Plug()
		return l.restart(ctx, m)
	}
	m.bays[0] = old.spare
	a := l.admin(m.index)
	defer a.Close()
	if _, err := a.ArrayReplace(ctx, &control.ArrayReplaceRequest{Old: old.dir, New: old.spare.dir}); err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	return l.repairing(ctx, l.nodes, true, r)
}

func (l *lab) restart(ctx context.Context, m *machine) error {
	if err := l.cluster.StopDataNode(m.index); err != nil {
		return err
	}
	return l.cluster.StartDataNode(ctx, m.index)
}

// slowNode makes disks and link of a machine ten times slower.
func (l *lab) slowNode(ctx context.Context, m *machine, r *result.FaultResult) (err error) {
	s := &l.cfg.Setup
	slow := func(rate float64) int64 {
		if rate == 0 {
			return 10e6
		}
		return max(1, int64(rate/10))
	}
	m.link.SetLimits(slow(s.LinkRate), seconds(s.LinkLatency)*5)
	for _, b := range m.bays {
		b.disk.SetLimits(slow(s.DiskRate), seconds(s.DiskLatency)*10)
	}
	defer func() {
		m.link.SetLimits(int64(s.LinkRate), seconds(s.LinkLatency)/2)
		for _, b := range m.bays {
			b.disk.SetLimits(int64(s.DiskRate), seconds(s.DiskLatency))
		}
	}()
	var some []int
	for i := 0; i < l.cfg.files(); i += 2 {
		some = append(some, i)
	}
	l.step("reading with a slow node")
	if r.Read, r.Survived, err = l.readFiles(ctx, some, reading{positioned: true}); err != nil {
		return err
	}
	l.step("hedged reads with a slow node")
	r.Hedged, _, err = l.readFiles(ctx, some, reading{positioned: true, hedged: true})
	return err
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
