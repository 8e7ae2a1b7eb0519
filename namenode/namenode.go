package namenode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
)

// NameNode is a running name service. Its methods may be called at the same time.
type NameNode struct {
	cfg     Config
	log     *slog.Logger
	cluster dfs.ClusterInfo
	started time.Time
	// completeBlocks is how many blocks were complete at the start: what safe mode waits for.
	completeBlocks int64
	// firstBlock is the first block that was not handed out before the start.
	firstBlock dfs.BlockID

	// state guards ns. The journal write-locks it to apply; everybody else only reads.
	state   sync.RWMutex
	ns      *namespace.State
	journal *journal.Journal
	blocks  *blockmanager.Manager
	failed  atomic.Pointer[error] // why the journal has stopped for good

	soft
	background
}

// soft is what a restart forgets.
type soft struct {
	groups     *groupCache
	safe       *safeMode
	leases     *leaseClock
	recoveries recoveries
	arrivals   *arrivals
	audit      *auditLog
	hosts      atomic.Pointer[hostLists]
	commits    commitTimes
	committed  committed
	bandwidth  bandwidth
	satisfier  satisfier
	scrub      scrubber
	scrubs     atomic.Int64
	fence      fence
	leaving    atomic.Int32 // callers that wait for a block to leave its group
	trash      *emptier
	ticked     time.Time // when time has passed last; the background goroutine's
	requests   sync.Pool // of *request
	records    sync.Pool // of *[]byte, for encoded ops
}

// background is the one goroutine and how to talk to it.
type background struct {
	cancel  context.CancelFunc
	closing chan struct{} // closed by Close
	joined  chan struct{} // closed when the goroutine has ended
	tick    chan struct{} // asks for a tick at once
	reap    chan struct{} // asks for detached inodes to be freed
	folds   chan struct{} // asks for parity groups to be made
	satisfy chan struct{} // asks for storage policies to be seen to
	touches sync.WaitGroup
	once    sync.Once
	err     error // of Close
}

// Start recovers the namespace from the name directories and begins to serve. The name
// node works until Close; ctx only bounds the start.
func Start(ctx context.Context, cfg Config) (*NameNode, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	now := time.Now()
	n := &NameNode{cfg: cfg, log: cfg.Log, started: now}
	n.soft.init(&cfg, now)
	n.background.init()
	if err := n.readHosts(); err != nil {
		return nil, err
	}
	n.ns = namespace.New(namespace.Options{
		Owner: cfg.Superuser, Group: cfg.Supergroup, Mode: 0o755, Time: now.UnixMilli(), Seed: rand.Uint64(),
	})
	blocks := cfg.Blocks
	blocks.MinReplication = int(cfg.Files.MinReplication)
	blocks.OnFinalized = n.arrivals.arrived
	var err error
	if n.blocks, err = blockmanager.New(blocks, source{n}); err != nil {
		return nil, fmt.Errorf("namenode: %w", err)
	}
	if n.journal, err = journal.Open(ctx, n.journalOptions()); err != nil {
		return nil, err
	}
	n.cluster = n.journal.Cluster()
	err = n.prepareRoot(ctx)
	if err == nil {
		err = n.beginEpoch(ctx, n.journal.Epoch())
	}
	if err != nil {
		return nil, errors.Join(err, n.journal.Close())
	}
	n.ns.EachBlock(func(b namespace.BlockInfo) bool {
		if b.State == namespace.BlockCompleted {
			n.completeBlocks++
		} else if b.State == namespace.BlockCommitted {
			n.committed.note(b.ID, now)
		}
		return true
	})
	n.resumeSatisfying(now)
	n.audit = newAuditLog(cfg.Audit, cfg.Log)
	counts := n.ns.Counts()
	n.firstBlock = counts.NextBlock
	n.log.Info("name node started", "cluster", n.cluster.ClusterID, "txid", n.ns.Applied(), "files", counts.Files,
		"directories", counts.Directories, "blocks", counts.Blocks, "after", time.Since(now).Round(time.Microsecond))
	n.checkSafeMode()
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	go n.run(runCtx)
	if counts.Detached > 0 {
		n.wakeReaper()
	}
	return n, nil
}

func (s *soft) init(cfg *Config, now time.Time) {
	s.groups = newGroupCache(cfg.Groups, cfg.GroupsTTL)
	s.safe = newSafeMode(cfg.SafeMode)
	s.leases = newLeaseClock(cfg.Leases.Soft, cfg.Leases.Hard, now)
	s.recoveries.by = map[dfs.BlockID]recovery{}
	s.arrivals = newArrivals()
	s.scrub.last, s.ticked = now, now
	s.trash = newEmptier(cfg.Files.Trash, now)
	s.requests.New = func() any { return new(request) }
	s.records.New = func() any { return new([]byte) }
}

func (b *background) init() {
	b.closing, b.joined = make(chan struct{}), make(chan struct{})
	b.tick, b.reap = make(chan struct{}, 1), make(chan struct{}, 1)
	b.folds, b.satisfy = make(chan struct{}, 1), make(chan struct{}, 1)
}

func (n *NameNode) journalOptions() journal.Options {
	return journal.Options{
		FS: n.cfg.FS, Dirs: n.cfg.NameDirs, EditsDirs: n.cfg.Durable.EditsDirs, Machine: machine{n}, Lock: &n.state, Logger: n.log,
		CheckpointTxns: n.cfg.Durable.CheckpointTxns, CheckpointInterval: n.cfg.Durable.CheckpointPeriod,
		Retain: n.cfg.Durable.Retain, FillChunk: n.cfg.Durable.FillChunk, OnFatal: n.onFatal,
	}
}

// prepareRoot gives the root of a fresh namespace to whoever starts it first.
func (n *NameNode) prepareRoot(ctx context.Context) error {
	root, ok := n.ns.Inode(dfs.RootInodeID)
	if !ok || n.ns.Applied() > 0 || root.Owner == n.cfg.Superuser && root.Group == n.cfg.Supergroup {
		return nil
	}
	_, err := n.propose(ctx, &namespace.SetAttr{Head: namespace.Head{Time: n.started.UnixMilli()}, Target: dfs.RootInodeID,
		Mask: namespace.AttrOwner | namespace.AttrGroup | namespace.AttrMode, Owner: n.cfg.Superuser, Group: n.cfg.Supergroup, Mode: 0o755})
	return err
}

// onFatal notes that nothing can be made durable any more.
func (n *NameNode) onFatal(err error) {
	n.failed.CompareAndSwap(nil, &err)
	n.log.Error("the journal has failed: nothing can be made durable any more, the name node stops", "err", err)
	if n.cfg.OnFailure != nil {
		n.cfg.OnFailure(err)
	}
}

// Err tells why the name node can't go on, nil while it can.
func (n *NameNode) Err() error {
	if p := n.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Close stops the background work, finishes what was proposed, writes a last checkpoint
// and gives up the name directories. Calls that come later fail.
func (n *NameNode) Close() error {
	n.once.Do(func() {
		close(n.closing)
		n.cancel()
		<-n.joined
		n.touches.Wait()
		n.err = n.journal.Close()
		n.audit.close()
	})
	return n.err
}

// Journal gives the journal's counters, for metrics.
func (n *NameNode) Journal() journal.Stats { return n.journal.Stats() }

// Blocks gives the block manager's counters, for metrics.
func (n *NameNode) Blocks() blockmanager.Stats {
	n.state.RLock()
	defer n.state.RUnlock()
	return n.blocks.Stats(n.clock())
}

// SafeModeText says why safe mode is on; "" when it is off.
func (n *NameNode) SafeModeText() string {
	if !n.safe.isOn() {
		return ""
	}
	return strings.TrimSpace(n.safe.explain(n.clock()))
}

func (n *NameNode) clock() time.Time { return time.Now() }
