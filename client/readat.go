package client

import (
	"context"
	"io"
	"time"

	"redoubt/dfs"
)

// ReadAt reads len(p) bytes from off. Where hedged reads are on, a replica that does not
// answer in time gets competition, and the first answer is taken.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	size := f.Size()
	if off < 0 {
		return 0, &dfs.Error{Op: "read", Path: f.path, Kind: dfs.IllegalArgument, Msg: "negative offset"}
	}
	done := 0
	for done < len(p) && off < size {
		b, err := f.block(off)
		if err != nil {
			return done, err
		}
		n := int(min(int64(len(p)-done), b.Offset+b.Length-off, size-off))
		if err := f.readRange(p[done:done+n], off); err != nil {
			return done, err
		}
		done += n
		off += int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// readRange reads bytes of one block.
func (f *File) readRange(p []byte, off int64) error {
	if f.c.cfg.Read.Hedge > 0 {
		return f.readHedged(p, off)
	}
	return f.attempt(off, func(b *dfs.LocatedBlock, loc *dfs.ReplicaLoc) error {
		return f.readReplica(p, off, b, loc)
	})
}

// readReplica fills p from one replica.
func (f *File) readReplica(p []byte, off int64, b *dfs.LocatedBlock, loc *dfs.ReplicaLoc) error {
	s, err := f.c.openStream(f.ctx, &loc.Node.DatanodeID, f.request(b, off, int64(len(p))))
	if err != nil {
		return err
	}
	for done := 0; done < len(p); {
		chunk, err := s.next()
		if err != nil {
			s.abort()
			return noEOF(err)
		}
		done += copy(p[done:], chunk)
	}
	s.drain()
	return nil
}

// answer is what one replica of a hedged read came back with.
type answer struct {
	loc  dfs.ReplicaLoc
	data []byte
	err  error
}

// readHedged reads from the first replica and, each time that no answer has come within
// the hedging delay or one has failed, from a further one too.
func (f *File) readHedged(p []byte, off int64) error {
	for round := 0; ; round++ {
		b, err := f.block(off)
		if err != nil {
			return err
		}
		err = f.race(p, off, b)
		if err == nil {
			return nil
		}
		if f.ctx.Err() != nil {
			return &dfs.Error{Op: "read", Path: f.path, Kind: dfs.Canceled, Err: f.ctx.Err()}
		}
		if round >= f.c.cfg.Read.Attempts {
			return f.unobtainable(b, err)
		}
		f.forgive()
		if err := f.relocate(off); err != nil {
			return err
		}
	}
}

// race asks replicas one after the other until one has answered. The slower ones are cut
// off and waited for, so that no goroutine is left behind.
func (f *File) race(p []byte, off int64, b *dfs.LocatedBlock) error {
	locs := f.candidates(b, nil)
	answers := make(chan answer, len(locs))
	race := &File{c: f.c, path: f.path, opt: f.opt}
	running := 0
	var stop context.CancelFunc
	race.ctx, stop = context.WithCancel(f.ctx)
	defer func() {
		stop()
		for ; running > 0; running-- {
			<-answers
		}
	}()
	ask := func() {
		loc := locs[0]
		locs = locs[1:]
		running++
		go func() {
			buf := make([]byte, len(p))
			answers <- answer{loc, buf, race.readReplica(buf, off, b, &loc)}
		}()
	}
	var last error
	timer := time.NewTimer(f.c.cfg.Read.Hedge)
	defer timer.Stop()
	for {
		if running == 0 {
			if len(locs) == 0 {
				return orUnavailable(last)
			}
			ask()
		}
		select {
		case a := <-answers:
			running--
			if a.err == nil {
				copy(p, a.data)
				return nil
			}
			last = a.err
			f.bury(a.loc.Node.UUID)
			if dfs.Is(a.err, dfs.Corrupt) {
				_ = f.c.ReportBadBlocks(f.ctx, b, []dfs.ReplicaLoc{a.loc}) // as far as it goes
			}
		case <-timer.C:
			if len(locs) > 0 {
				ask()
			}
			timer.Reset(f.c.cfg.Read.Hedge)
		}
	}
}

func orUnavailable(err error) error {
	if err == nil {
		return &dfs.Error{Op: "read", Kind: dfs.Unavailable, Msg: "no live datanode holds the block"}
	}
	return err
}
