package blockmanager

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// Manager is the block manager. Methods may be called at the same time; see the package
// comment for the lock that their caller holds.
type Manager struct {
	cfg Config
	src Source

	mu sync.RWMutex
	registry
	replicas
	work
	clock
	groups
	mover mover
	rng   *rand.Rand
	spin  atomic.Uint64 // drives choices made under the read lock
}

// registry is who is there.
type registry struct {
	nodes     map[string]*node // by UUID
	byAddr    map[string]*node // by ip:port
	byHost    map[netip.Addr][]*node
	live      []*node
	racks     map[string]*rack // that have live nodes
	liveRacks int
	storages  []*storage // by number - 1
	freeNums  []slot
}

// replicas is where blocks are.
type replicas struct {
	table   table
	open    map[dfs.BlockID]*building
	corrupt map[dfs.BlockID][]badReplica
	safe    int64
	total   int64 // slots in use
	excess  int64
	future  future
}

// work is what is to be done.
type work struct {
	startup bool
	paused  bool

	levels  [QueueLevels]ring[dfs.BlockID]
	counts  [QueueLevels]int64
	lonely  int64 // missing blocks of replication 1
	repairs map[dfs.BlockID]*repair
	timeout ring[*repair]
	late    ring[*building] // complete blocks that wait for the rest of their pipeline

	dirty    int    // volumes that are being swept
	cursor   uint64 // next id to be swept or evaluated, from dfs.FirstBlockID
	toJudge  uint64 // ids still to be evaluated in this pass
	pass     uint64
	removals int64 // in the queues of all nodes
}

// groups is what is going on about parity groups.
type groups struct {
	leaving map[dfs.BlockID]leave
	holds   ring[held] // when those end that were asked for
	stirred ring[dfs.BlockID]
	duties  map[dfs.BlockID]*duty
	agenda  ring[dfs.BlockID] // of duties
	planned []*planned
	folds   map[dfs.BlockID]*folding // by parity
	overdue ring[*folding]
	beside  map[dfs.BlockID]*storage // where a replica is made in the place of a damaged one

	hosts    []*node // with a queue or groups that have room
	nextHost int
	orphans  []*bucket
	promises []promise
	flights  map[dfs.BlockID]promise
	gathered map[dfs.BlockID]gathering

	hint   *node // is left rather than others
	effort int   // views made, for the bounds of a slice
	tally  ParityStats
}

// clock is what is due when.
type clock struct {
	epoch     time.Time // of the first event
	now       time.Time // of the latest
	lastTick  time.Time
	nextRound time.Time
	nextDrain time.Time
	nextRoll  time.Time
	round     round
}

// Validate reports every fault of the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("blockmanager: "+format, args...))
		}
	}
	need(c.MinReplication > 0, "dfs.namenode.replication.min %d is not positive", c.MinReplication)
	l := c.Liveness
	need(l.Heartbeat > 0, "dfs.heartbeat.interval %v is not positive", l.Heartbeat)
	need(l.Recheck >= 0, "dfs.namenode.heartbeat.recheck-interval %v is negative", l.Recheck)
	need(l.Stale > 0, "dfs.namenode.stale.datanode.interval %v is not positive", l.Stale)
	need(l.MaxPause > 0, "the longest pause %v is not positive", l.MaxPause)
	need(c.Place.LoadFactor > 0, "dfs.namenode.redundancy.considerLoad.factor %v is not positive", c.Place.LoadFactor)
	need(c.Place.StaleRatio >= 0 && c.Place.StaleRatio <= 1, "dfs.namenode.write.stale.datanode.ratio %v is not between 0 and 1", c.Place.StaleRatio)
	r := c.Repair
	need(r.Interval > 0, "dfs.namenode.redundancy.interval.seconds %v is not positive", r.Interval)
	need(r.WorkMultiplier > 0, "dfs.namenode.replication.work.multiplier.per.iteration %d is not positive", r.WorkMultiplier)
	need(r.MaxStreams > 0, "dfs.namenode.replication.max-streams %d is not positive", r.MaxStreams)
	need(r.MaxStreamsHard >= r.MaxStreams, "dfs.namenode.replication.max-streams-hard-limit %d is below max-streams %d", r.MaxStreamsHard, r.MaxStreams)
	need(r.PendingTimeout > 0, "dfs.namenode.reconstruction.pending.timeout-sec %v is not positive", r.PendingTimeout)
	need(r.InvalidateLimit > 0, "dfs.block.invalidate.limit %d is not positive", r.InvalidateLimit)
	need(r.DrainInterval > 0, "dfs.namenode.decommission.interval %v is not positive", r.DrainInterval)
	f := c.Parity
	need(f.Idle > 0, "redoubt.raid.fold.idle %v is not positive", f.Idle)
	need(f.Streams > 0, "redoubt.raid.fold.streams %d is not positive", f.Streams)
	need(f.Retry > 0, "redoubt.raid.fold.retry %v is not positive", f.Retry)
	need(f.Hold > 0, "redoubt.raid.hold %v is not positive", f.Hold)
	return errors.Join(errs...)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.MinReplication, 1)
	orDefault(&c.MaintenanceMin, 1)
	c.MaintenanceMin = max(0, c.MaintenanceMin)
	orDefault(&c.Liveness.Heartbeat, 3*time.Second)
	orDefault(&c.Liveness.Recheck, 5*time.Minute)
	orDefault(&c.Liveness.Stale, 30*time.Second)
	orDefault(&c.Liveness.MaxPause, 15*time.Second)
	orDefault(&c.Place.LoadFactor, 2)
	orDefault(&c.Place.MinBlocks, 1)
	orDefault(&c.Place.StaleRatio, 0.5)
	r := &c.Repair
	orDefault(&r.Interval, 3*time.Second)
	orDefault(&r.WorkMultiplier, 2)
	orDefault(&r.MaxStreams, 2)
	orDefault(&r.MaxStreamsHard, max(4, r.MaxStreams))
	orDefault(&r.PendingTimeout, 5*time.Minute)
	orDefault(&r.InvalidateLimit, 1000)
	orDefault(&r.DrainInterval, 30*time.Second)
	orDefault(&c.Parity.Idle, 30*time.Second)
	orDefault(&c.Parity.Streams, 2)
	orDefault(&c.Parity.Retry, 30*time.Second)
	orDefault(&c.Parity.Hold, 2*time.Minute)
	return c
}

// deadAfter is how long a datanode may be silent.
func (c *Config) deadAfter() time.Duration {
	const longest = 10 * 365 * 24 * time.Hour // ten of them don't wrap
	return 2*min(c.Liveness.Recheck, 5*longest) + 10*min(c.Liveness.Heartbeat, longest)
}

// New makes an empty Manager in start-up mode: see SetStartup.
func New(cfg Config, src Source) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if src == nil {
		return nil, errors.New("blockmanager: no source of block facts")
	}
	m := &Manager{cfg: cfg.withDefaults(), src: src, rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))}
	m.spin.Store(cfg.Seed)
	m.nodes, m.byAddr, m.racks = map[string]*node{}, map[string]*node{}, map[string]*rack{}
	m.byHost = map[netip.Addr][]*node{}
	m.leaving, m.duties = map[dfs.BlockID]leave{}, map[dfs.BlockID]*duty{}
	m.folds, m.flights = map[dfs.BlockID]*folding{}, map[dfs.BlockID]promise{}
	m.gathered, m.beside = map[dfs.BlockID]gathering{}, map[dfs.BlockID]*storage{}
	m.open = map[dfs.BlockID]*building{}
	m.corrupt = map[dfs.BlockID][]badReplica{}
	m.repairs = map[dfs.BlockID]*repair{}
	m.mover.blocks, m.mover.tickets = map[dfs.BlockID]*misplaced{}, map[uint64]Asked{}
	m.startup = true
	return m, nil
}

// advance takes note of the time of an event.
func (m *Manager) advance(now time.Time) {
	if m.epoch.IsZero() {
		m.epoch = now
	}
	if now.After(m.now) {
		m.now = now
	}
}

// idle reports whether repair and removals are held back.
func (m *Manager) idle() bool { return m.startup || m.paused }

// SetStartup switches start-up mode, in which a new Manager is: nothing is repaired or
// removed, since blocks are still being reported. Leaving it looks at every block.
func (m *Manager) SetStartup(now time.Time, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if m.startup == on {
		return
	}
	if m.startup = on; on {
		return
	}
	m.evaluateAll()
	for _, n := range m.nodes {
		n.ask = n.ask || n.strangers
		n.strangers = false
	}
}

// SetPaused holds back repair and removals, as safe mode by hand does; reports go on.
func (m *Manager) SetPaused(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused == on {
		return
	}
	if m.paused = on; !on {
		m.evaluateAll()
	}
}

// Safe is BlockStats.Safe and the number of live datanodes, for safe mode; it is cheap.
func (m *Manager) Safe() (blocks int64, nodes int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.safe, len(m.live)
}
