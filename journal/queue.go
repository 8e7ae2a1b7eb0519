package journal

import (
	"context"
	"sync"
	"time"

	"redoubt/dfs"
)

// Bounds of what may wait for the committer. Beyond them a proposer waits outside.
const (
	maxWaiting      = 1 << 16
	maxWaitingBytes = 128 << 20
	maxBatchBytes   = 4 << 20 // one bigger record makes a batch of its own
)

// proposal is one record on its way. Exactly one of done and wake is set.
type proposal struct {
	home   *queue // whose pool it belongs to
	rec    []byte
	done   func(result any, txid dfs.TxID, err error)
	wake   chan struct{} // capacity 1
	txid   dfs.TxID
	result any
	err    error
}

// finish answers the proposer. p must not be touched after it.
func (p *proposal) finish() {
	if done := p.done; done != nil {
		result, txid, err := p.result, p.txid, p.err
		p.recycle()
		done(result, txid, err)
		return
	}
	p.wake <- struct{}{}
}

// recycle gives p back once nobody else holds it.
func (p *proposal) recycle() {
	q := p.home
	*p = proposal{home: q, wake: p.wake}
	q.pool.Put(p)
}

// queue holds what waits for the committer.
type queue struct {
	wake chan struct{} // capacity 1: there is something to take
	// pool holds proposals for reuse. It is not shared between journals, so that each can
	// live in a synctest bubble of its own: a channel belongs to the bubble it was made in.
	pool sync.Pool

	mu       sync.Mutex
	room     sync.Cond // signalled when waiting shrinks or closed is set
	waiting  []*proposal
	bytes    int
	want     int // signal wake when so many wait
	controls []func()
	closed   error // refuses whatever comes
}

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1)}
	q.pool.New = func() any { return &proposal{home: q, wake: make(chan struct{}, 1)} }
	q.room.L = &q.mu
	return q
}

// push adds a proposal. While the queue is full it waits for room or ctx.
func (q *queue) push(ctx context.Context, p *proposal) error {
	q.mu.Lock()
	if q.fullLocked(p) {
		if err := q.waitLocked(ctx, p); err != nil {
			q.mu.Unlock()
			return err
		}
	}
	if q.closed != nil {
		defer q.mu.Unlock()
		return q.closed
	}
	q.waiting = append(q.waiting, p)
	q.bytes += len(p.rec)
	tell := len(q.waiting) == 1 || len(q.waiting) == q.want
	q.mu.Unlock()
	if tell {
		q.signal()
	}
	return nil
}

func (q *queue) fullLocked(p *proposal) bool {
	return q.closed == nil && len(q.waiting) > 0 &&
		(len(q.waiting) >= maxWaiting || q.bytes+len(p.rec) > maxWaitingBytes)
}

func (q *queue) waitLocked(ctx context.Context, p *proposal) error {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.room.Broadcast()
	})()
	for q.fullLocked(p) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		q.room.Wait()
	}
	return nil
}

// control has fn run by the committer, after what waits now. It is run even when the
// queue is closed, but not after the committer has ended: then control returns false.
func (q *queue) control(fn func()) bool {
	q.mu.Lock()
	if q.closed == errClosed {
		q.mu.Unlock()
		return false
	}
	q.controls = append(q.controls, fn)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves up to limit proposals into buf, and the controls once no proposal is left
// before them.
func (q *queue) take(buf []*proposal, limit int) (props []*proposal, controls []func(), closed error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < min(limit, len(q.waiting)) {
		size := len(q.waiting[n].rec)
		if n > 0 && bytes+size > maxBatchBytes {
			break
		}
		bytes += size
		n++
	}
	props = append(buf[:0], q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	q.bytes -= bytes
	if n > 0 {
		q.room.Broadcast()
	}
	if rest == 0 {
		controls, q.controls = q.controls, nil
	}
	return props, controls, q.closed
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// await waits until n proposals wait, or something else is to be done, or d has passed,
// and tells how many waited before and after. It does not wait when there is none.
func (q *queue) await(n int, d time.Duration, timer *time.Timer) (had, got int) {
	timer.Reset(d)
	defer timer.Stop()
	had = -1
	for {
		q.mu.Lock()
		got = len(q.waiting)
		if had < 0 {
			had = got
		}
		done := got == 0 || got >= min(n, maxWaiting) || q.closed != nil || len(q.controls) > 0
		if q.want = n; done {
			q.want = 0
		}
		q.mu.Unlock()
		if done {
			return had, got
		}
		select {
		case <-q.wake:
		case <-timer.C:
			return had, q.size()
		}
	}
}

// close refuses what comes from now on with err; the first close counts, except that
// errClosed comes last. What waits stays.
func (q *queue) close(err error) {
	q.mu.Lock()
	if q.closed == nil || err == errClosed {
		q.closed = err
	}
	q.room.Broadcast()
	q.mu.Unlock()
	q.signal()
}
