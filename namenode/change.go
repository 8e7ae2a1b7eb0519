package namenode

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
)

// maxStale is how often a change is checked and proposed again because others changed
// what it was checked against.
const maxStale = 20

// preparer looks at the state, under its read lock, and makes the op to propose. With no
// op the answer is there already and nothing is to be changed. It is called again when
// the op came too late.
type preparer func(r *request) (op namespace.Op, answer any, err error)

// change carries out one change of the namespace: answer from the retry cache, or check,
// log and apply. what and path are for safe mode's refusal.
func (n *NameNode) change(ctx context.Context, r *request, what, path string, prepare preparer) (any, error) {
	for range maxStale {
		op, answer, err := n.prepare(r, what, path, prepare)
		if op == nil || err != nil {
			return answer, err
		}
		answer, err = n.propose(ctx, op)
		if !dfs.Is(err, dfs.Stale) {
			return answer, err
		}
	}
	return nil, &dfs.Error{Kind: dfs.Retriable, Path: path, Msg: "Others keep changing " + path + " or the directories above it. Try again."}
}

func (n *NameNode) prepare(r *request, what, path string, prepare preparer) (namespace.Op, any, error) {
	n.state.RLock()
	defer n.state.RUnlock()
	if !r.c.ID.IsZero() {
		if answer, ok := n.ns.Retry(r.c.ID); ok {
			return nil, answer, nil
		}
	}
	if err := n.safe.check(what, path, r.now); err != nil {
		return nil, nil, err
	}
	if path == "/"+reservedName && what != "create directory" {
		return nil, nil, &dfs.Error{Kind: dfs.InvalidPath, Path: path, Msg: "Invalid path name " + path}
	}
	if !r.who.super && isRaw(path) {
		return nil, nil, r.notRaw(what)
	}
	op, answer, err := prepare(r)
	if op == nil || err != nil {
		return nil, answer, err
	}
	if err := n.ns.Precheck(op); err != nil && !dfs.Is(err, dfs.Stale) {
		return nil, nil, err
	}
	return op, nil, nil
}

// propose has the journal make an op durable and apply it. It does not end early when ctx
// does: what was logged must be followed up, whoever still waits for the answer.
func (n *NameNode) propose(ctx context.Context, op namespace.Op) (any, error) {
	buf := n.records.Get().(*[]byte)
	rec := namespace.Encode((*buf)[:0], op)
	begun := time.Now()
	answer, _, err := n.journal.Propose(context.WithoutCancel(ctx), rec)
	n.commits.add(time.Since(begun))
	*buf = rec
	if cap(rec) <= maxKeptRecord {
		n.records.Put(buf)
	}
	if err == nil {
		err = n.reserveFor(ctx, answer)
	}
	if err != nil && n.failed.Load() != nil {
		return nil, n.failure()
	}
	return answer, err
}

// reserveFor sees to it that the ids in an answer are reserved before anybody gets it.
func (n *NameNode) reserveFor(ctx context.Context, answer any) error {
	switch a := answer.(type) {
	case *namespace.AddedBlock:
		return n.handedOut(ctx, a.Block.ID, a.Block.GenStamp)
	case dfs.GenStamp:
		return n.handedOut(ctx, 0, a)
	case *namespace.Truncated:
		return n.handedOut(ctx, 0, a.Stamp)
	case *namespace.GroupChange:
		return n.handedOut(ctx, a.Parity.ID, a.Parity.GenStamp)
	}
	return nil
}

// maxKeptRecord bounds the record buffers that are kept for reuse, bytes.
const maxKeptRecord = 64 << 10

// failure is the answer to everything once the journal has failed. Whether the change
// took place is unknown, so it must look like neither; as a standby's answer it sends
// clients that have another name node there.
func (n *NameNode) failure() error {
	return &dfs.Error{Kind: dfs.Standby, Msg: "The name node's journal has failed and it is stopping; whether the operation took place is not known.", Err: *n.failed.Load()}
}

// asBool reads an answer that may come as bool from the op or from the retry cache.
func asBool(answer any, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	ok, _ := answer.(bool)
	return ok, nil
}

// commitTimes is a journal.Histogram that many add to.
type commitTimes struct {
	counts [len(journal.Histogram{}.Counts)]atomic.Uint64
	sum    atomic.Int64
}

func (c *commitTimes) add(d time.Duration) {
	i := min(bits.Len64(uint64(d.Microseconds())), len(c.counts)-1)
	c.counts[i].Add(1)
	c.sum.Add(int64(d))
}

// CommitTime is how long changes took from their proposal until they were durable and
// applied: the wait for their batch, its sync and its turn.
func (n *NameNode) CommitTime() (h journal.Histogram) {
	for i := range h.Counts {
		h.Counts[i] = n.commits.counts[i].Load()
	}
	h.Sum = time.Duration(n.commits.sum.Load())
	return h
}
