package namenode

import (
	"sync"
	"time"
)

// leaseClock remembers when each lease holder was last heard of. Which files a holder has
// open is logged and lives in the namespace; this is soft: a restart counts as news
// from everybody, as in HDFS.
type leaseClock struct {
	soft, hard time.Duration

	mu    sync.Mutex
	start time.Time            // what counts for a holder that the clock has no entry for
	last  map[string]time.Time // by holder
}

func newLeaseClock(soft, hard time.Duration, now time.Time) *leaseClock {
	return &leaseClock{soft: soft, hard: hard, start: now, last: map[string]time.Time{}}
}

// touch notes that holder opened a file.
func (l *leaseClock) touch(holder string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[holder] = now
}

// renew notes that holder lives, if it is one that has opened files: a client that only
// reads renews as well and must not cost memory.
func (l *leaseClock) renew(holder string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.last[holder]; ok {
		l.last[holder] = now
	}
}

func (l *leaseClock) heardLocked(holder string) time.Time {
	if t, ok := l.last[holder]; ok {
		return t
	}
	return l.start
}

// softExpired reports whether another writer may take over holder's files.
func (l *leaseClock) softExpired(holder string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.heardLocked(holder)) > l.soft
}

// hardExpired lists the holders whose files are to be recovered without anybody asking.
func (l *leaseClock) hardExpired(now time.Time) []string { return l.silent(now, l.hard) }

// quiet lists the holders not heard of for a soft limit: candidates to be forgotten.
func (l *leaseClock) quiet(now time.Time) []string { return l.silent(now, l.soft) }

// silent lists the holders not heard of for longer than limit.
func (l *leaseClock) silent(now time.Time, limit time.Duration) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for h, t := range l.last {
		if now.Sub(t) > limit {
			out = append(out, h)
		}
	}
	return out
}

// forget drops a holder that has no open file any more. A holder that has been touched
// since asOf stays.
func (l *leaseClock) forget(holder string, asOf time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.last[holder]; ok && !t.After(asOf) {
		delete(l.last, holder)
	}
}
