package redundancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"redoubt/redundancy/result"
)

// Run runs every scheme against every fault, in several rounds. A scheme that can't go on has
// its error in its result, and the others are run nevertheless; the error of Run is about the
// run as a whole. When ctx ends, the run has all that came to its end before: each scheme with
// the rounds it was whole in.
func Run(ctx context.Context, cfg Config) (*result.Run, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.applyDefaults()
	r := &result.Run{Begun: time.Now(), Setup: cfg.Setup}
	steps := newProgress(&cfg)
	// Round by round, not scheme by scheme: what changes on the machine meanwhile meets all
	// schemes alike, and after the first round there is something to compare.
	for round := range cfg.Setup.Repeat {
		r.Rounds = append(r.Rounds, result.Round{})
		for _, s := range cfg.Schemes {
			one := runScheme(ctx, &cfg, s, round, steps)
			if ctx.Err() != nil {
				r.Interrupted = fmt.Sprintf("interrupted in round %d of %d, %s", round+1, cfg.Setup.Repeat, s.Title())
				break
			}
			r.Rounds[round].Schemes = append(r.Rounds[round].Schemes, one)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if n := len(r.Rounds); len(r.Rounds[n-1].Schemes) == 0 {
		r.Rounds = r.Rounds[:n-1]
	}
	r.Schemes = result.Summarize(r.Rounds)
	r.Claims = claims(r)
	r.Seconds = time.Since(r.Begun).Seconds()
	if r.Interrupted != "" {
		return r, fmt.Errorf("redundancy: %s: %w", r.Interrupted, ctx.Err())
	}
	return r, nil
}

func runScheme(ctx context.Context, cfg *Config, scheme result.Scheme, round int, p *progress) (r result.SchemeResult) {
	begun := time.Now()
	r = result.SchemeResult{Scheme: scheme, Title: scheme.Title()}
	p.scheme(scheme, round)
	p.tell("starting %d nodes", cfg.Setup.Datanodes)
	l, err := newLab(ctx, cfg, scheme, round, p.tell)
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
	p.next()
	if err := l.fill(ctx, r, p); err != nil {
		return err
	}
	p.next()
	l.step("reading")
	var whole result.Survived
	if r.Read, whole, err = l.readFiles(ctx, l.all(), reading{}); err != nil {
		return err
	}
	if whole.LostFiles > 0 || whole.WrongBytes > 0 {
		return fmt.Errorf("redundancy: without any fault %d files were lost and %d bytes wrong", whole.LostFiles, whole.WrongBytes)
	}
	p.next()
	for _, f := range l.cfg.Faults {
		l.step("%s", f.Title())
		res, err := l.fault(ctx, f)
		r.Faults = append(r.Faults, res)
		if err != nil {
			return err
		}
		p.next()
	}
	return l.whole(ctx)
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
	l.step("writing")
	before := l.meter()
	if r.Write, err = l.writeFiles(ctx, l.all(), l.cfg.size); err != nil {
		return err
	}
	if r.Write.Failed > 0 {
		return fmt.Errorf("redundancy: %d files could not be written", r.Write.Failed)
	}
	closed := time.Now()
	if r.Space.WrittenBytes, err = l.storedAll(l.nodes); err != nil {
		return err
	}
	p.next()
	l.step("waiting for the final form")
	end, err := l.settle(ctx)
	if err != nil {
		return err
	}
	u := l.meter().since(before, l.cfg.Setup.CPUs)
	n := float64(l.cfg.Setup.DataBytes)
	r.Write.NetPerByte, r.Write.CPUPerByte = float64(u.link.Received+u.client.Received)/n, u.cpuSeconds/n
	r.Write.DiskReadPerByte, r.Write.DiskWritePerByte = float64(u.disk.BytesRead)/n, float64(u.disk.BytesWritten)/n
	r.Space.UserBytes = l.cfg.Setup.DataBytes
	r.Space.FoldSeconds = max(0, end.Sub(closed).Seconds())
	r.Space.StoredBytes, err = l.storedAll(l.nodes)
	r.Space.Ratio = float64(r.Space.StoredBytes) / n
	return err
}
