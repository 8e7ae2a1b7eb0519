package redundancy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/slownet"
	"redoubt/redundancy/result"
	"redoubt/vfs/slowfs"
)

// meter is the counters of all disks and links at one moment.
type meter struct {
	at     time.Time
	cpu    time.Duration
	disk   slowfs.Counters
	busy   []time.Duration  // of each disk
	link   slownet.Counters // of datanodes
	client slownet.Counters
	lines  []time.Duration // out and in of each link, datanodes first
	watch  *strainWatch
	late   time.Duration // in all
}

func (l *lab) meter() meter {
	m := meter{at: time.Now(), cpu: cpuTime(), watch: l.watch, late: l.watch.total()}
	for _, d := range l.disks() {
		m.disk = m.disk.Add(d.Counters())
		m.busy = append(m.busy, d.Busy())
	}
	line := func(n *slownet.Node) slownet.Counters {
		out, in := n.Busy()
		m.lines = append(m.lines, out, in)
		return n.Counters()
	}
	for _, n := range l.nodes {
		m.link = m.link.Add(line(n.link))
	}
	for _, c := range l.clients {
		m.client = m.client.Add(line(c.link))
	}
	return m
}

// used is what was done between two moments.
type used struct {
	seconds     float64
	disk        slowfs.Counters
	link        slownet.Counters
	client      slownet.Counters
	busiestDisk float64 // seconds of work
	busiestLink float64 // the same, of datanodes' links
	cpuSeconds  float64
	strain      result.Strain
}

func (m meter) since(before meter, cpus int) used {
	u := used{seconds: m.at.Sub(before.at).Seconds(), disk: m.disk.Sub(before.disk), link: m.link.Sub(before.link), client: m.client.Sub(before.client)}
	u.busiestDisk = most(m.busy, before.busy)
	u.busiestLink = most(m.lines, before.lines)
	u.cpuSeconds = (m.cpu - before.cpu).Seconds()
	if u.seconds > 0 {
		u.strain = result.Strain{CPU: u.cpuSeconds / u.seconds / float64(cpus), Late: (m.late - before.late).Seconds() / u.seconds,
			Stall: m.watch.longest(before.at).Seconds()}.Judge()
	}
	return u
}

func most(now, before []time.Duration) (s float64) {
	for i := range now {
		s = max(s, (now[i] - before[i]).Seconds())
	}
	return s
}

// job does one file of a load. took is told of each piece.
type job func(ctx context.Context, at *station, file int, t *tally, took func(time.Duration)) error

// window is the part of a load in which all clients had work: until one found none left.
// What comes after it depends on the chance of whose last file is the longest.
type window struct {
	once    sync.Once
	seconds float64
	bytes   int64 // done by then
	sent    int64 // by clients
}

func (w *window) end(l *lab, before meter, t *tally) {
	w.once.Do(func() {
		now := l.meter()
		w.seconds, w.bytes, w.sent = now.at.Sub(before.at).Seconds(), t.bytes.Load(), now.client.Sent-before.client.Sent
	})
}

// run has all clients work through files, each taking the next one, and measures. Once stop
// is closed (nil: never) no further file is begun.
func (l *lab) run(ctx context.Context, files []int, stop <-chan struct{}, do job) (result.Load, *tally, error) {
	var (
		t      tally
		w      window
		wg     sync.WaitGroup
		mu     sync.Mutex
		pieces []time.Duration
		next   atomic.Int64
	)
	before := l.meter()
	for _, at := range l.clients {
		wg.Go(func() {
			var mine []time.Duration
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(files) || closed(stop) {
					w.end(l, before, &t)
					break
				}
				if err := do(ctx, at, files[i], &t, func(d time.Duration) { mine = append(mine, d) }); err != nil {
					t.failed.Add(1)
					l.cfg.Log.Info("redundancy: a file failed", "scheme", l.scheme, "file", files[i], "err", err)
				}
			}
			mu.Lock()
			pieces = append(pieces, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return result.Load{}, &t, ctx.Err()
	}
	u := l.meter().since(before, l.cfg.Setup.CPUs)
	l.cpu = max(l.cpu, u.strain.CPU)
	r := summary(&t, u, pieces)
	if int(next.Load()) >= 2*len(l.clients) && w.seconds > 0 {
		done := float64(w.bytes)
		// A file counts as written when it is closed; how much of those under way was done
		// is told by what the clients had sent.
		if u.client.Sent > r.Bytes {
			done = float64(r.Bytes) * float64(w.sent) / float64(u.client.Sent)
		}
		r.Rate = done / w.seconds
	}
	return r, &t, nil
}

// summary is a load as a whole.
func summary(t *tally, u used, pieces []time.Duration) result.Load {
	r := result.Load{Measured: true, Bytes: t.bytes.Load(), Seconds: u.seconds, Failed: int(t.failed.Load())}
	r.Rate, r.Strain = float64(r.Bytes)/u.seconds, u.strain
	r.BusiestDisk, r.BusiestLink = u.busiestDisk/u.seconds, u.busiestLink/u.seconds
	if r.Bytes > 0 {
		n := float64(r.Bytes)
		r.NetPerByte, r.CPUPerByte = float64(u.link.Received+u.client.Received)/n, u.cpuSeconds/n
		r.DiskReadPerByte, r.DiskWritePerByte = float64(u.disk.BytesRead)/n, float64(u.disk.BytesWritten)/n
	}
	slices.Sort(pieces)
	if n := len(pieces); n > 0 {
		r.P50, r.P90, r.P99, r.Max = pieces[n/2].Seconds(), pieces[n*90/100].Seconds(), pieces[n*99/100].Seconds(), pieces[n-1].Seconds()
	}
	return r
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// all numbers the files of the data.
func (l *lab) all() []int {
	files := make([]int, l.cfg.files())
	for i := range files {
		files[i] = i
	}
	return files
}

// reading reads and compares files, by all clients at once.
type reading struct {
	positioned bool
	hedged     bool
	stop       <-chan struct{}
}

func (l *lab) readFiles(ctx context.Context, files []int, how reading) (result.Load, result.Survived, error) {
	r, t, err := l.run(ctx, files, how.stop, func(ctx context.Context, at *station, i int, t *tally, took func(time.Duration)) error {
		c := at.client
		if how.hedged {
			c = at.hedged
		}
		return l.read(ctx, c, i, how.positioned, t, took)
	})
	s := result.Survived{Files: len(files), LostFiles: int(t.lostFiles.Load()), LostBytes: t.lostBytes.Load(), WrongBytes: t.wrong.Load()}
	for _, i := range files {
		s.Bytes += l.cfg.size(i)
	}
	return r, s, err
}

// writeFiles writes files of their size in the data.
func (l *lab) writeFiles(ctx context.Context, files []int, size func(int) int64) (result.Load, error) {
	r, t, err := l.run(ctx, files, nil, func(ctx context.Context, at *station, i int, t *tally, took func(time.Duration)) error {
		return l.write(ctx, at, i, size(i), t, took)
	})
	if err == nil && int(t.failed.Load()) == len(files) {
		err = errors.New("redundancy: no file could be written")
	}
	return r, err
}
