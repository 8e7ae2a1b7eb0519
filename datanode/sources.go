package datanode

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// Bounds of what a datanode remembers of the name node's answers about blocks that are not
// here.
const (
	sourcesKept = 2 * time.Second
	sourcesMost = 4096
)

// sourceCache remembers for a short time how to make blocks that are not here, and which
// ones can't be made.
type sourceCache struct {
	flight singleflight.Group

	mu    sync.Mutex
	known map[dfs.BlockID]knownSources
}

type knownSources struct {
	reply *control.SourcesReply // nil: it can't be made
	until time.Time
}

// sourcesOf asks a name node how to make a block; many readers of a block ask once. known
// says that the answer is not fresh. A block that can't be made is dfs.ReplicaNotFound.
func (dn *DataNode) sourcesOf(ctx context.Context, b dfs.Block) (reply *control.SourcesReply, known bool, err error) {
	c := &dn.groups.sources
	c.mu.Lock()
	k, ok := c.known[b.ID]
	c.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		reply, known = k.reply, true
	} else {
		ch := c.flight.DoChan(b.ID.String(), func() (any, error) { return dn.askSources(b) })
		select {
		case r := <-ch:
			if r.Err != nil {
				return nil, false, r.Err
			}
			reply = r.Val.(*control.SourcesReply)
		case <-ctx.Done():
			return nil, false, &dfs.Error{Kind: dfs.Canceled, Op: "sources", Err: ctx.Err()}
		}
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
	ctx, cancel := context.WithTimeout(dn.ctx, dn.cfg.Timeouts.Dial)
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
