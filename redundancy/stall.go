package redundancy

import (
	"sync"
	"time"
)

// stallWatch notices when the whole process stands still: the machine underneath was busy
// with others, or asleep. What was measured then tells nothing.
type stallWatch struct {
	stop   chan struct{}
	joined sync.WaitGroup

	mu   sync.Mutex
	last time.Time
	most time.Duration
}

const (
	stallTick = 20 * time.Millisecond
	// stallLimit is how long a pause may be in what is taken for a measurement.
	stallLimit = 400 * time.Millisecond
)

func newStallWatch() *stallWatch {
	w := &stallWatch{stop: make(chan struct{}), last: time.Now()}
	w.joined.Go(func() {
		tick := time.NewTicker(stallTick)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.note()
			}
		}
	})
	return w
}

func (w *stallWatch) note() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.most = max(w.most, now.Sub(w.last)-stallTick)
	w.last = now
}

func (w *stallWatch) reset() {
	w.note()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = 0
}

// longest is the longest pause since the last reset.
func (w *stallWatch) longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

func (w *stallWatch) close() {
	close(w.stop)
	w.joined.Wait()
}
