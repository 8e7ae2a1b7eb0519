package redundancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"redoubt/redundancy/result"
)

// Run runs every scheme against every fault. A scheme that can't go on has its error in its
// result, and the others are run nevertheless; the error of Run is about the run as a whole,
// which then has what was measured until then.
func Run(ctx context.Context, cfg Config) (*result.Run, error) {
	cfg.applyDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &result.Run{Begun: time.Now(), Setup: cfg.Setup}
	steps := progress{cfg: &cfg, total: len(cfg.Schemes) * (stepsBefore + len(cfg.Faults))}
	for i, s := range cfg.Schemes {
		steps.scheme, steps.done = s, i*(stepsBefore+len(cfg.Faults))
		r.Schemes = append(r.Schemes, runScheme(ctx, &cfg, s, &steps))
		if err := ctx.Err(); err != nil {
			return r, fmt.Errorf("redundancy: %w", err)
		}
	}
	r.Claims = claims(r)
	r.Seconds = time.Since(r.Begun).Seconds()
	return r, nil
}

// stepsBefore are the steps of a scheme before its first fault: start, write, fold, read.
const stepsBefore = 4

type progress struct {
	cfg         *Config
	scheme      result.Scheme
	done, total int
}

func (p *progress) tell(format string, args ...any) {
	p.cfg.Progress(Step{Scheme: p.scheme, Doing: fmt.Sprintf(format, args...), Done: p.done, Total: p.total})
}

func runScheme(ctx context.Context, cfg *Config, scheme result.Scheme, p *progress) (r result.SchemeResult) {
	begun := time.Now()
	r = result.SchemeResult{Scheme: scheme, Title: scheme.Title()}
	p.tell("starting %d nodes", cfg.Setup.Datanodes)
	l, err := newLab(ctx, cfg, scheme, p.tell)
	if err == nil {
		err = l.measure(ctx, &r, p)
		r.CPU = l.cpu
		err = errors.Join(err, l.close())
		err = errors.Join(err, removeAll(cfg.FS, l.dir))
	}
	if err != nil {
		r.Err = err.Error()
	}
	r.Seconds = time.Since(begun).Seconds()
	return r
}

// measure fills a result in: healthy first, then fault by fault.
func (l *lab) measure(ctx context.Context, r *result.SchemeResult, p *progress) (err error) {
	if arrays(l.scheme) {
		if r.Array, err = l.oneArray(ctx); err != nil {
			return err
		}
	}
	p.done++
	if err := l.fill(ctx, r, p); err != nil {
		return err
	}
	p.done++
	l.step("reading")
	var whole result.Survived
	for try := range 2 {
		l.watch.reset()
		if r.Read, whole, err = l.readFiles(ctx, l.all(), reading{}); err != nil {
			return err
		}
		if try > 0 || l.watch.longest() < stallLimit {
			break
		}
	}
	if whole.LostFiles > 0 || whole.WrongBytes > 0 {
		return fmt.Errorf("redundancy: without any fault %d files were lost and %d bytes wrong", whole.LostFiles, whole.WrongBytes)
	}
	p.done++
	for _, f := range l.cfg.Faults {
		l.step("%s", f.Title())
		res, err := l.unstalled(ctx, f)
		r.Faults = append(r.Faults, res)
		if err != nil {
			return err
		}
		p.done++
	}
	return l.whole(ctx)
}

// unstalled causes a fault, and once more if the machine underneath stood still meanwhile so
// that nothing was measured but that. A disk of an array can't be replaced twice.
func (l *lab) unstalled(ctx context.Context, f result.Fault) (result.FaultResult, error) {
	l.watch.reset()
	res, err := l.fault(ctx, f)
	pause := l.watch.longest()
	again := !(f == result.Disk && arrays(l.scheme))
	if pause >= stallLimit && again && err == nil {
		l.watch.reset()
		res, err = l.fault(ctx, f)
		pause = l.watch.longest()
	}
	if pause >= stallLimit {
		res.Note = join(res.Note, fmt.Sprintf("the machine underneath stood still for %.1f s", pause.Seconds()))
	}
	return res, err
}

// whole compares all data once more. Nodes that were taken for dead because the machine stood
// still come back by themselves: what is missing at first is looked for again.
func (l *lab) whole(ctx context.Context) error {
	var s result.Survived
	for try := range 3 {
		l.step("comparing everything once more")
		var err error
		if _, s, err = l.readFiles(ctx, l.all(), reading{}); err != nil {
			return err
		}
		if s.LostFiles == 0 || s.WrongBytes > 0 || try == 2 {
			break
		}
		if err := l.mend(ctx); err != nil {
			return err
		}
	}
	if s.LostFiles > 0 || s.WrongBytes > 0 {
		return fmt.Errorf("redundancy: after all faults were over %d files were lost and %d bytes wrong", s.LostFiles, s.WrongBytes)
	}
	return nil
}

// fill writes the data and waits for its final form.
func (l *lab) fill(ctx context.Context, r *result.SchemeResult, p *progress) (err error) {
	var before meter
	for try := range 2 {
		l.step("writing")
		l.watch.reset()
		before = l.meter()
		if r.Write, err = l.writeFiles(ctx, l.all(), l.cfg.size); err != nil {
			return err
		}
		// An array keeps the room of what was removed for later: its space would not be that
		// of the data any more.
		if try > 0 || l.watch.longest() < stallLimit || arrays(l.scheme) {
			break
		}
		if err := l.empty(ctx); err != nil {
			return err
		}
	}
	if r.Write.Failed > 0 {
		return fmt.Errorf("redundancy: %d files could not be written", r.Write.Failed)
	}
	closed := time.Now()
	if r.Space.WrittenBytes, err = l.storedAll(l.nodes); err != nil {
		return err
	}
	p.done++
	l.step("waiting for the final form")
	end, err := l.settle(ctx)
	if err != nil {
		return err
	}
	u := l.meter().since(before, l.cfg.Setup.CPUs)
	n := float64(l.cfg.Setup.DataBytes)
	r.Write.NetPerByte = float64(u.link.Received+u.client.Received) / n
	r.Write.DiskReadPerByte, r.Write.DiskWritePerByte = float64(u.disk.BytesRead)/n, float64(u.disk.BytesWritten)/n
	r.Space.UserBytes = l.cfg.Setup.DataBytes
	r.Space.FoldSeconds = max(0, end.Sub(closed).Seconds())
	r.Space.StoredBytes, err = l.storedAll(l.nodes)
	r.Space.Ratio = float64(r.Space.StoredBytes) / n
	return err
}

// empty removes the data again, for another try.
func (l *lab) empty(ctx context.Context) error {
	for _, i := range l.all() {
		if _, err := l.clients[0].client.Delete(ctx, fileName(i), false); err != nil {
			return fmt.Errorf("redundancy: %w", err)
		}
	}
	_, err := l.settle(ctx)
	return err
}
