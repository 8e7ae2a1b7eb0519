package hadooprpc

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const keepBuffer = 256 << 10 // bytes of a buffer that is worth keeping for reuse

// batch gathers frames and writes them with few system calls. Whoever adds a frame when
// nobody writes, writes it at once, so that a lone frame never waits; what is added
// during a write goes out together in the next one.
type batch struct {
	nc      net.Conn
	timeout time.Duration // of one write; 0 none
	onError func(error)   // called once, without mu

	mu       sync.Mutex
	drained  sync.Cond // a write ended
	buf      []byte    // frames that no write has taken yet
	spare    []byte
	writing  bool // somebody writes, and will look for more
	held     bool // the reader will flush soon: only add
	err      error
	deadline time.Time // last one set
	flushers sync.WaitGroup
}

func (b *batch) init(nc net.Conn, timeout time.Duration, onError func(error)) {
	b.nc, b.timeout, b.onError = nc, timeout, onError
	b.drained.L = &b.mu
}

// flushLocked writes what is there unless somebody else will. It gives up mu meanwhile.
// With gather it first lets other ready goroutines run, which may add frames too.
func (b *batch) flushLocked(gather bool) {
	if b.writing || b.held || len(b.buf) == 0 || b.err != nil {
		return
	}
	b.writing = true
	if gather {
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
	}
	b.writeLocked()
	if len(b.buf) > 0 && b.err == nil {
		// Others keep adding: no caller should write for them for ever.
		b.flushers.Add(1)
		go b.drain()
		return
	}
	b.writing = false
}

// drain writes until nothing is left.
func (b *batch) drain() {
	defer b.flushers.Done()
	b.mu.Lock()
	for len(b.buf) > 0 && b.err == nil {
		b.writeLocked()
	}
	b.writing = false
	b.drained.Broadcast()
	b.mu.Unlock()
}

// writeLocked writes one buffer, without mu.
func (b *batch) writeLocked() {
	out := b.buf
	b.buf, b.spare = b.spare[:0], nil
	renew := false
	if b.timeout > 0 {
		if now := time.Now(); now.Add(b.timeout * 3 / 4).After(b.deadline) {
			b.deadline, renew = now.Add(b.timeout), true
		}
	}
	deadline := b.deadline
	b.mu.Unlock()
	if renew {
		_ = b.nc.SetWriteDeadline(deadline) // a closed connection fails the write too
	}
	_, err := b.nc.Write(out)
	b.mu.Lock()
	if cap(out) <= keepBuffer {
		b.spare = out[:0]
	}
	if err != nil && b.err == nil {
		b.err = err
		b.buf = nil
		b.mu.Unlock()
		b.onError(err)
		b.mu.Lock()
	}
	b.drained.Broadcast()
}

// hold makes others leave the writing to the caller until release.
func (b *batch) hold() {
	b.mu.Lock()
	b.held = true
	b.mu.Unlock()
}

// release writes what has gathered and lets others write again. If more than limit bytes
// are then still waiting, it waits for the peer to take them.
func (b *batch) release(limit int) {
	b.mu.Lock()
	b.held = false
	b.flushLocked(false)
	for len(b.buf) > limit && b.writing && b.err == nil {
		b.drained.Wait()
	}
	b.mu.Unlock()
}

// fail makes every later write a no-op.
func (b *batch) fail(err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err = err
		b.buf = nil
	}
	b.drained.Broadcast()
	b.mu.Unlock()
}

// size is how many bytes wait.
func (b *batch) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.buf)
}
