package datanode

import (
	"context"
	"errors"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// Bounds of what a datanode remembers of the name node's answers about blocks that are not
// here.
const (
	sourcesKept = 2 * time.Second
	sourcesMost = 4096
	askLimit    = 5 * time.Second // for an answer; the reader has other places to go to
)

// sourceCache remembers for a short time how to make blocks that are not here, and which
// ones can't be made.
type sourceCache struct {
	mu     sync.Mutex
	known  map[dfs.BlockID]knownSources
	asking map[dfs.BlockID]*question
}

type knownSources struct {
	reply *control.SourcesReply // nil: it can't be made
	until time.Time
}

// question is one that the name node has not answered yet.
type question struct {
	done  chan struct{} // closed when the rest is set
	reply *control.SourcesReply
	err   error
}

// sourcesOf asks a name node how to make a block; many readers of a block ask once. known
// says that the answer is not fresh. A block that can't be made is dfs.ReplicaNotFound.
func (dn *DataNode) sourcesOf(ctx context.Context, b dfs.Block) (reply *control.SourcesReply, known bool, err error) {
	c := &dn.groups.sources
	c.mu.Lock()
	k, ok := c.known[b.ID]
	if known = ok && time.Now().Before(k.until); known {
		c.mu.Unlock()
		reply = k.reply
	} else {
		q, asked := c.asking[b.ID]
		if !asked {
			q = &question{done: make(chan struct{})}
			c.asking[b.ID] = q
		}
		c.mu.Unlock()
		if !asked {
			q.reply, q.err = dn.askSources(b)
			c.mu.Lock()
			delete(c.asking, b.ID)
			c.mu.Unlock()
			close(q.done)
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, false, &dfs.Error{Kind: dfs.Canceled, Op: "sources", Err: ctx.Err()}
		}
		if q.err != nil {
			return nil, false, dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v; no name node says how to make it: %v", b, q.err)
		}
		reply = q.reply
	}
	if reply == nil || reply.Block.GenStamp < b.GenStamp {
		return nil, known, dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v", b)
	}
	return reply, known, nil
}

// askSources asks the name nodes in turn and remembers the answer; nil is that there are
// none.
func (dn *DataNode) askSources(b dfs.Block) (*control.SourcesReply, error) {
	dn.groups.metrics.asked.Inc()
	ctx, cancel := context.WithTimeout(dn.ctx, min(dn.cfg.Timeouts.Dial, askLimit))
	defer cancel()
	var errs []error
	for _, s := range dn.sessions {
		reply, err := s.nn.Sources(ctx, &control.SourcesRequest{UUID: dn.ID().UUID, PoolID: dn.state.cluster.PoolID, Block: b})
		if err != nil && !dfs.Is(err, dfs.ReplicaNotFound) {
			errs = append(errs, err) // down or on standby: another one may know
			continue
		}
		if err != nil || len(reply.Sources) == 0 {
			reply = nil
		}
		dn.groups.sources.keep(b.ID, reply)
		return reply, nil
	}
	return nil, errors.Join(errs...)
}

func (c *sourceCache) keep(id dfs.BlockID, reply *control.SourcesReply) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= sourcesMost {
		for old, k := range c.known {
			if now.After(k.until) {
				delete(c.known, old)
			}
		}
		if len(c.known) >= sourcesMost {
			clear(c.known)
		}
	}
	c.known[id] = knownSources{reply, now.Add(sourcesKept)}
}

// forget makes the next reader ask again.
func (c *sourceCache) forget(id dfs.BlockID) {
	c.mu.Lock()
	delete(c.known, id)
	c.mu.Unlock()
}
