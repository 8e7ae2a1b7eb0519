package namenode

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// arrivals wakes those who wait for a replica of a block to be finalized.
type arrivals struct {
	count atomic.Int32 // of waiters, so that an event nobody waits for takes no lock

	mu sync.Mutex
	by map[dfs.BlockID][]chan struct{}
}

func newArrivals() *arrivals { return &arrivals{by: map[dfs.BlockID][]chan struct{}{}} }

// join makes ch get a message for every replica of the blocks; it must have room for one.
func (a *arrivals) join(ch chan struct{}, blocks []dfs.Block) {
	a.count.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range blocks {
		a.by[b.ID] = append(a.by[b.ID], ch)
	}
}

func (a *arrivals) leave(ch chan struct{}, blocks []dfs.Block) {
	a.count.Add(-1)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range blocks {
		list := slices.DeleteFunc(a.by[b.ID], func(c chan struct{}) bool { return c == ch })
		if len(list) == 0 {
			delete(a.by, b.ID)
		} else {
			a.by[b.ID] = list
		}
	}
}

// arrived is the block manager's OnFinalized: it neither waits nor calls back.
func (a *arrivals) arrived(id dfs.BlockID) {
	if a.count.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ch := range a.by[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// await waits until ready, looked at under the state's read lock, says yes or fails. It is
// asked again whenever one of the blocks gets a finalized replica, and gives up, with
// false, after Files.AddBlockWait.
func (n *NameNode) await(ctx context.Context, ready func() (bool, error), blocks func() []dfs.Block) (bool, error) {
	look := func() (bool, error) {
		n.state.RLock()
		defer n.state.RUnlock()
		return ready()
	}
	ok, err := look()
	if ok || err != nil || n.cfg.Files.AddBlockWait < 0 {
		return ok, err
	}
	n.state.RLock()
	list := blocks()
	n.state.RUnlock()
	ch := make(chan struct{}, 1)
	n.arrivals.join(ch, list)
	defer n.arrivals.leave(ch, list)
	timer := time.NewTimer(n.cfg.Files.AddBlockWait)
	defer timer.Stop()
	for {
		// Only after joining: a replica that came in between must not be missed.
		if ok, err := look(); ok || err != nil {
			return ok, err
		}
		select {
		case <-ch:
		case <-timer.C:
			return false, nil
		case <-n.closing:
			return false, &dfs.Error{Kind: dfs.Retriable, Msg: "The name node is stopping"}
		case <-ctx.Done():
			return false, &dfs.Error{Kind: dfs.Canceled, Err: ctx.Err()}
		}
	}
}
