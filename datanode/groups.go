package datanode

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// Bounds of the work for parity groups.
const (
	groupWorkers = 2   // folds, rebuilds and scrubs at a time
	groupQueue   = 256 // that wait
)

// Clients count as active until clientQuiet after their last bytes. While they are, a fold
// rests foldRest times as long as it works, a rebuild, which ends a danger, rebuildRest
// times.
const (
	clientQuiet = 200 * time.Millisecond
	foldRest    = 3
	rebuildRest = 1
)

// groups is a datanode's work for parity groups: the commands that wait, the pace, and what
// degraded reads need.
type groups struct {
	limit   *throttle
	clients atomic.Int64  // when a client's stream last moved, ns since the epoch
	slots   chan struct{} // one for each degraded read
	sources sourceCache
	metrics groupMetrics

	mu      sync.Mutex
	queue   []groupJob
	busy    map[groupKey]bool // in the queue or being done
	workers int
}

type groupKey struct {
	kind  control.CommandKind
	block dfs.BlockID
}

type groupJob struct {
	s   *session
	cmd control.Command
}

func newGroups(l Limits) *groups {
	return &groups{
		limit: newThrottle(l.GroupBandwidth), slots: make(chan struct{}, l.DegradedStreams),
		sources: sourceCache{known: map[dfs.BlockID]knownSources{}, asking: map[dfs.BlockID]*question{}}, busy: map[groupKey]bool{},
	}
}

// enqueue takes a CmdFold or CmdScrubGroup to be done when it is its turn. One that is
// waiting or being done already is dropped.
func (dn *DataNode) enqueue(s *session, cmd control.Command) {
	g := dn.groups
	key := groupKey{cmd.Kind, cmd.Block.ID}
	g.mu.Lock()
	if g.busy[key] {
		g.mu.Unlock()
		return
	}
	if len(g.queue) >= groupQueue {
		g.mu.Unlock()
		if cmd.Kind == control.CmdFold {
			s.addFold(dn.foldDone(cmd, foldResult{}, fmt.Errorf("datanode: %d commands wait already", groupQueue)))
		}
		return
	}
	g.busy[key] = true
	g.queue = append(g.queue, groupJob{s, cmd})
	more := g.workers < groupWorkers
	if more {
		g.workers++
	}
	g.mu.Unlock()
	if more && !dn.background(dn.groupWorker) {
		g.mu.Lock()
		g.workers--
		g.mu.Unlock()
	}
}

// groupWorker does what is in the queue until nothing is left.
func (dn *DataNode) groupWorker() {
	g := dn.groups
	for {
		g.mu.Lock()
		if len(g.queue) == 0 || dn.ctx.Err() != nil {
			g.workers--
			g.mu.Unlock()
			return
		}
		job := g.queue[0]
		g.queue = g.queue[1:]
		g.mu.Unlock()
		switch job.cmd.Kind {
		case control.CmdFold:
			dn.fold(job.s, job.cmd)
		case checkSources:
			dn.checkAll(job.cmd.Sources)
		default:
			dn.scrubGroup(job.cmd)
		}
		g.mu.Lock()
		delete(g.busy, groupKey{job.cmd.Kind, job.cmd.Block.ID})
		g.mu.Unlock()
	}
}

// waiting counts the commands that wait or are being done.
func (g *groups) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.busy)
}

// clientMoved notes that a client's stream has moved.
func (g *groups) clientMoved(now time.Time) { g.clients.Store(now.UnixNano()) }

// pace holds background work back: to its rate, after n bytes that took some time, and
// while clients are active to a share of the time.
func (g *groups) pace(ctx context.Context, n int, took time.Duration, rest int) error {
	if err := g.limit.wait(ctx, n); err != nil {
		return err
	}
	return g.yield(ctx, took, rest)
}

// yield rests, while clients are active, some times as long as the work before it took.
func (g *groups) yield(ctx context.Context, took time.Duration, rest int) error {
	if time.Since(time.Unix(0, g.clients.Load())) < clientQuiet {
		pause := min(time.Duration(rest)*took, time.Second)
		g.metrics.yielded.Add(pause.Seconds())
		sleep(ctx, pause)
	}
	return ctx.Err()
}

// groupMetrics counts the work for parity groups.
type groupMetrics struct {
	folds, rebuilds, failures, written prometheus.Counter
	localBytes, remoteBytes, yielded   prometheus.Counter
	degraded, degradedBytes            prometheus.Counter
	degradedFailures, asked            prometheus.Counter
	scrubs, bad, disagree              prometheus.Counter
	links, broken                      prometheus.Counter
}

func (m *groupMetrics) make(counter func(name, help string) prometheus.Counter) {
	m.folds = counter("parity_folds_total", "Parity blocks made.")
	m.rebuilds = counter("parity_rebuilds_total", "Lost blocks of parity groups rebuilt.")
	m.failures = counter("parity_fold_failures_total", "Parity blocks and lost blocks that could not be made.")
	m.written = counter("parity_written_bytes_total", "Bytes of parity blocks and rebuilt blocks.")
	m.localBytes = counter("parity_read_local_bytes_total", "Bytes of own replicas read for parity groups.")
	m.remoteBytes = counter("parity_read_remote_bytes_total", "Bytes of other datanodes' replicas read for parity groups.")
	m.yielded = counter("parity_yielded_seconds_total", "Time that folds and rebuilds rested for clients.")
	m.degraded = counter("degraded_reads_total", "Reads and checksums of blocks that were made from their parity group.")
	m.degradedBytes = counter("degraded_read_bytes_total", "Bytes of blocks that were made from their parity group for readers.")
	m.degradedFailures = counter("degraded_read_failures_total", "Degraded reads that failed.")
	m.asked = counter("parity_sources_asked_total", "Questions to the name node about blocks that are not here.")
	m.links = counter("parity_chain_links_total", "Parts of a chain of datanodes that joins the sources of a block.")
	m.broken = counter("parity_chains_broken_total", "Chains that broke or could not be made: the sources were read each by itself.")
	m.scrubs = counter("parity_scrubs_total", "Parity groups checked by their checksums.")
	m.bad = counter("parity_sources_bad_total", "Replicas that are not what the name node has recorded.")
	m.disagree = counter("parity_disagreements_total", "Parity groups whose checksums do not add up though each is as recorded.")
}
