package datanode

import (
	"context"
	"sync"
)

// removals counts orders to remove replicas that are being carried out. A datanode
// registers only when there are none: what it then reports must stay, since the name node
// may let go of other replicas on the strength of it.
type removals struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0 again; nil while nobody waits
}

func (r *removals) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *removals) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// wait waits until no removal is under way, or ctx ends.
func (r *removals) wait(ctx context.Context) error {
	r.mu.Lock()
	if r.n == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
