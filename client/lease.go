package client

import (
	"context"
	"sync"
	"time"

	"redoubt/wire/hdfspb"
)

// renewEvery is half of the soft limit after which others may take a lease over.
const renewEvery = 30 * time.Second

// leases renews the client's lease while it has files open for writing.
type leases struct {
	c *Client

	mu     sync.Mutex
	open   int
	stop   context.CancelFunc // of the renewing goroutine; nil when none runs
	closed bool
	wg     sync.WaitGroup
}

func (l *leases) init(c *Client) { l.c = c }

// add counts a file that was opened for writing.
func (l *leases) add() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	if l.open == 1 && !l.closed {
		var ctx context.Context
		ctx, l.stop = context.WithCancel(context.Background())
		l.wg.Add(1)
		go l.renew(ctx)
	}
}

// remove counts a file that was closed.
func (l *leases) remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open--; l.open == 0 && l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

func (l *leases) renew(ctx context.Context) {
	defer l.wg.Done()
	for sleep(ctx, renewEvery) == nil {
		// A failure is not fatal: the next renewal, or the writer's own call, tells.
		_ = l.c.names.call(ctx, "renewLease", &hdfspb.RenewLeaseRequest{ClientName: &l.c.holder}, nil)
	}
}

func (l *leases) close() {
	l.mu.Lock()
	l.closed = true
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
	l.mu.Unlock()
	l.wg.Wait()
}
