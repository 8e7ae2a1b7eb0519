package redundancy

import (
	"sync"
	"time"
)

// strainWatch tells how long this process is kept waiting though it is ready to run: the
// machine underneath is busy with others, or with the emulation itself. It is a timer that
// looks how late it comes. What is measured while it comes late is the machine's, not the
// scheme's.
type strainWatch struct {
	stop   chan struct{}
	joined sync.WaitGroup

	mu     sync.Mutex
	last   time.Time
	late   time.Duration // in all
	pauses []pause       // the long ones
}

// pause is a time in which the process stood still.
type pause struct {
	end  time.Time
	long time.Duration
}

const (
	strainTick = 5 * time.Millisecond
	// tolerance is how late a timer comes on a machine with nothing else to do.
	tolerance = 2 * time.Millisecond
	// longPause is what is remembered by itself.
	longPause = 100 * time.Millisecond
)

func newStrainWatch() *strainWatch {
	w := &strainWatch{stop: make(chan struct{}), last: time.Now()}
	w.joined.Go(func() {
		tick := time.NewTicker(strainTick)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.note(time.Now())
			}
		}
	})
	return w
}

func (w *strainWatch) note(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := now.Sub(w.last) - strainTick
	w.last = now
	if late > tolerance {
		w.late += late
	}
	if late >= longPause {
		w.pauses = append(w.pauses, pause{now, late})
	}
}

// total is how late all ticks were together.
func (w *strainWatch) total() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// longest is the longest pause that ended after a moment; 0 if none was long.
func (w *strainWatch) longest(since time.Time) (most time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pauses {
		if p.end.After(since) {
			most = max(most, p.long)
		}
	}
	return most
}

func (w *strainWatch) close() {
	close(w.stop)
	w.joined.Wait()
}
