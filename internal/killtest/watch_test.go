package killtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// reader reads random files, open ones too, while everything is being killed. Errors are
// fine then; wrong bytes, and fewer than were acknowledged, never.
type reader struct {
	client *client.Client
	oracle *oracle
	rng    *rand.Rand
	gate   *sync.RWMutex
	good   *atomic.Int64 // reads that could be judged
}

func (r *reader) run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if paths := r.oracle.known(); len(paths) > 0 {
			r.gate.RLock()
			r.readOne(ctx, paths[max(0, len(paths)-1-r.rng.IntN(60))])
			r.gate.RUnlock()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (r *reader) readOne(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	legal, version := r.oracle.now(path)
	data, err := read(ctx, r.client, path)
	if after, now := r.oracle.now(path); now != version {
		return // something began meanwhile
	} else if dfs.Is(err, dfs.NotFound) {
		data, legal = nil, append(legal, after...)
	} else if err != nil {
		if dfs.Is(err, dfs.Corrupt) {
			r.oracle.report(fmt.Errorf("read of %s: %w", path, err))
		}
		return
	}
	var wrong error
	for _, is := range legal {
		switch {
		case err != nil && !is.exists():
			wrong = nil
		case err != nil || !is.exists():
			wrong = errors.Join(wrong, fmt.Errorf("%v, should be there: %v", err, is.exists()))
			continue
		default:
			if e := is.check(data); e != nil {
				wrong = errors.Join(wrong, e)
				continue
			}
		}
		r.good.Add(1)
		return
	}
	r.oracle.report(fmt.Errorf("while things were killed, %s was read: %w", path, wrong))
}

// sharers are clients that append to one file in turn. When one has failed, the next one
// takes the file away from it, looks how long it is, and goes on there.
type sharers struct {
	path    string
	clients []*client.Client
	oracle  *oracle
	rng     *rand.Rand
	gate    *sync.RWMutex
	done    func()
	is      outcome
	turns   int
}

func (s *sharers) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.gate.RLock()
		one, cancel := context.WithTimeout(ctx, opLimit)
		c := s.clients[s.turns%len(s.clients)]
		s.turns++
		if s.is.min == s.is.max || s.takeOver(one, c) {
			s.turn(one, c)
		}
		cancel()
		s.gate.RUnlock()
	}
}

// turn appends and leaves s.is as what may be there now.
func (s *sharers) turn(ctx context.Context, c *client.Client) {
	n := int64(1 + s.rng.IntN(30_000))
	id := fmt.Sprint(s.path, "#", s.turns)
	after, from := s.is.and(fresh(id, n)), s.is.max
	d := s.oracle.begin("shared append", map[string]outcome{s.path: after})
	defer func() {
		s.is = after
		s.oracle.settleAs(s.path, after)
	}()
	f, err := c.Append(ctx, s.path, client.AppendOptions{})
	if err != nil {
		return
	}
	defer f.Abort()
	sum := int64(0)
	for sum < n {
		k := min(n-sum, int64(1+s.rng.IntN(20_000)))
		if _, err = f.Write(contents(id, sum, int(k))); err != nil {
			return
		}
		if sum += k; s.rng.IntN(3) == 0 {
			if err = f.Sync(s.rng.IntN(2) == 0); err != nil {
				return
			}
			after.min = from + sum
			s.oracle.synced(d, s.path, after.min)
			s.done()
		}
	}
	if s.rng.IntN(8) == 0 {
		return // as if the client had died
	}
	if f.Close() == nil {
		after = after.exactly(from + n)
		s.done()
	}
}

// takeOver recovers the file's lease and learns the file's length; false: not now.
func (s *sharers) takeOver(ctx context.Context, c *client.Client) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		closed, err := c.RecoverLease(ctx, s.path)
		if err == nil && closed {
			break
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	data, err := read(ctx, c, s.path)
	if err != nil {
		return false
	}
	if err := s.is.check(data); err != nil {
		s.oracle.report(fmt.Errorf("%s after lease recovery: %w", s.path, err))
		return false
	}
	s.is = s.is.cut(int64(len(data)))
	s.oracle.begin("lease recovery", map[string]outcome{s.path: s.is})
	s.oracle.settleAs(s.path, s.is)
	return true
}

// settleAs makes a range of outcomes certain.
func (o *oracle) settleAs(path string, is outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.certain[path] = is
	delete(o.doubts, path)
}
