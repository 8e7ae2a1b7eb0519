package hadooprpc

import "sync"

// task is a call and the function that answers it.
type task struct {
	call *Call
	run  func()
}

// workers is a bounded pool of goroutines that are used again, the last one that became
// idle first, so that their stacks stay grown and in cache.
type workers struct {
	mu     sync.Mutex
	freed  sync.Cond
	idle   []*worker
	n      int // running and idle
	max    int
	wanted int // callers of run that wait for one
	closed bool
	wg     sync.WaitGroup
}

type worker struct{ work chan task }

const keepIdle = 256 // idle workers that stay

func (p *workers) init(max int) {
	p.max = max
	p.freed.L = &p.mu
}

// run gives t to a worker. While all are busy it waits, having sent what conn's reader
// has gathered.
func (p *workers) run(t task, conn *serverConn) {
	p.mu.Lock()
	if len(p.idle) == 0 && p.n >= p.max {
		p.mu.Unlock()
		conn.out.release(0)
		defer conn.out.hold()
		p.mu.Lock()
		p.wanted++
		for len(p.idle) == 0 && p.n >= p.max {
			p.freed.Wait()
		}
		p.wanted--
	}
	if k := len(p.idle); k > 0 {
		w := p.idle[k-1]
		p.idle = p.idle[:k-1]
		p.mu.Unlock()
		w.work <- t
		return
	}
	p.n++
	p.wg.Add(1)
	p.mu.Unlock()
	w := &worker{work: make(chan task, 1)}
	w.work <- t
	go p.loop(w)
}

func (p *workers) loop(w *worker) {
	defer p.wg.Done()
	growStack()
	for t := range w.work {
		t.run()
		t.call.ended(false)
		p.mu.Lock()
		if p.closed || len(p.idle) >= keepIdle && p.wanted == 0 {
			p.n--
			p.freed.Signal()
			p.mu.Unlock()
			return
		}
		p.idle = append(p.idle, w)
		p.freed.Signal()
		p.mu.Unlock()
	}
}

// close ends the idle workers, and the busy ones when they are done, and waits for them.
// No run may come after it.
func (p *workers) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.idle {
		close(w.work)
	}
	p.idle = nil
	p.mu.Unlock()
	p.wg.Wait()
}

// growStack makes the goroutine's stack as large as a handler needs, once.
//
//go:noinline
func growStack() byte {
	var b [8 << 10]byte
	for i := range b {
		b[i] = byte(i)
	}
	return b[len(b)-1]
}
