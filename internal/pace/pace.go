// Package pace holds work back to a rate, as a disk or a link does: a Line serves its
// users one after the other, each for as long as its bytes take. The emulated disks of
// vfs/slowfs and the emulated links of internal/slownet are Lines.
//
// A Line is a schedule and not a loop of sleeps. Each user reserves the next free
// stretch of it and waits until the stretch is over, so the rate is right however
// late a timer fires. Only package time is used: in a testing/synctest bubble all of it
// is exact.
package pace

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Slack is how much of the time that nobody used may be made up for: a user who comes
	// back late from a timer loses nothing, and one after a pause is ahead by so much.
	Slack = 10 * time.Millisecond
	// grain is the shortest wait. Shorter ones stay on the schedule and add up.
	grain = 500 * time.Microsecond
)

// Line is something with a rate: a disk, or one direction of a link. The zero value is
// unlimited. Its methods may be called at the same time.
type Line struct {
	rate atomic.Int64 // bytes/s; 0: unlimited
	busy atomic.Int64 // ns that were reserved in all

	mu   sync.Mutex
	free time.Time // when everything reserved so far is done
}

// SetRate changes the rate for what comes; 0 is unlimited.
func (l *Line) SetRate(bytesPerSecond int64) { l.rate.Store(max(0, bytesPerSecond)) }

// Rate is the present rate in bytes/s; 0 is unlimited.
func (l *Line) Rate() int64 { return l.rate.Load() }

// Busy is for how long the line was in use, waits that are still to come included.
func (l *Line) Busy() time.Duration { return time.Duration(l.busy.Load()) }

// Reserve takes the line for n bytes and the time extra, behind everybody who came
// before, and returns how long the caller has to wait until that is over.
func (l *Line) Reserve(n int, extra time.Duration) time.Duration {
	rate := l.rate.Load()
	if rate == 0 && extra == 0 {
		return 0
	}
	need := extra
	if rate > 0 {
		need += time.Duration(float64(n) / float64(rate) * float64(time.Second))
	}
	l.busy.Add(int64(need))
	now := time.Now()
	l.mu.Lock()
	if early := now.Add(-Slack); l.free.Before(early) {
		l.free = early
	}
	l.free = l.free.Add(need)
	wait := l.free.Sub(now)
	l.mu.Unlock()
	if wait < grain {
		return 0
	}
	return wait
}

// Sleep waits for d, or until done is closed if that is earlier; then it is false.
func Sleep(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	if done == nil {
		time.Sleep(d)
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
