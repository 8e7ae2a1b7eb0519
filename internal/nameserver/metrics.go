package nameserver

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"redoubt/journal"
	"redoubt/namenode"
	"redoubt/wire/hadooprpc"
)

// metrics is everything that a name node counts: calls as they are answered, and the
// state of journal, namespace and blocks when somebody asks.
type metrics struct {
	calls    *prometheus.HistogramVec
	failures *prometheus.CounterVec

	mu      sync.Mutex // held to add to methods
	methods atomic.Pointer[map[method]*methodMetrics]
}

// method is how a call was named.
type method struct{ protocol, name string }

type methodMetrics struct {
	time     prometheus.Observer
	failures prometheus.Counter
}

func newMetrics(nn *namenode.NameNode, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "redoubt", Subsystem: "rpc", Name: "call_seconds",
			Help:    "Time from a call's arrival to its answer, queueing and syncing included.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10),
		}, []string{"protocol", "method"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "redoubt", Subsystem: "rpc", Name: "call_failures_total", Help: "Calls that were answered with an error.",
		}, []string{"protocol", "method"}),
	}
	m.methods.Store(&map[method]*methodMetrics{})
	for _, c := range []prometheus.Collector{m.calls, m.failures, &stateCollector{nn},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("nameserver: metrics: %w", err)
		}
	}
	return m, nil
}

// refusals registers the count of connections that were too many.
func refusals(reg prometheus.Registerer, port string, total func() int64) error {
	err := reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "redoubt", Subsystem: port, Name: "connections_refused_total",
		Help: "Connections that were refused because there were too many."}, func() float64 { return float64(total()) }))
	if err != nil {
		return fmt.Errorf("nameserver: metrics: %w", err)
	}
	return nil
}

// observe is told of every answered call, from many goroutines.
func (m *metrics) observe(protocol, name string, d time.Duration, err error) {
	mm := m.method(protocol, name, err)
	mm.time.Observe(d.Seconds())
	if err != nil {
		mm.failures.Inc()
	}
}

func (m *metrics) method(protocol, name string, err error) *methodMetrics {
	key := method{protocol, name}
	if mm := (*m.methods.Load())[key]; mm != nil {
		return mm
	}
	// A made-up name must not become a label of its own.
	var remote *hadooprpc.RemoteError
	if errors.As(err, &remote) && remote.Detail != hadooprpc.ErrorApplication {
		key = method{"", "unknown"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.methods.Load()
	if mm := old[key]; mm != nil {
		return mm
	}
	short := key.protocol[strings.LastIndexByte(key.protocol, '.')+1:]
	key = method{strings.Clone(key.protocol), strings.Clone(key.name)}
	mm := &methodMetrics{m.calls.WithLabelValues(short, key.name), m.failures.WithLabelValues(short, key.name)}
	next := maps.Clone(old)
	next[key] = mm
	m.methods.Store(&next)
	return mm
}

// stateCollector reads journal, namespace and blocks at the time of asking.
type stateCollector struct{ nn *namenode.NameNode }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("redoubt_namenode_"+name, help, labels, nil)
}

var (
	descTx         = desc("last_txid", "Last transaction that is durable and applied.")
	descTxns       = desc("journal_transactions_total", "Transactions committed.")
	descBatches    = desc("journal_batches_total", "Batches committed, each with one sync per name directory.")
	descBatchBytes = desc("journal_bytes_total", "Bytes of those batches, in one name directory.")
	descSync       = desc("journal_sync_seconds", "Time to write and sync a batch to all name directories.")
	descCommit     = desc("commit_seconds", "Time from a change's proposal until it is durable and applied: queue, sync and turn.")
	descImages     = desc("checkpoints_total", "Checkpoints written.")
	descStuck      = desc("checkpoint_failing", "1 while the last attempt at a checkpoint failed.")
	descCheckpoint = desc("checkpoint_seconds", "Duration of the last checkpoint.")
	descImage      = desc("checkpoint_bytes", "Size of the last image.")
	descDir        = desc("name_directory_up", "1 while a name directory is written, 0 once it has failed.", "dir")
	descObjects    = desc("objects", "Files, directories, blocks and more in the namespace.", "kind")
	descSafeMode   = desc("safe_mode", "1 while safe mode is on.")
	descWarnings   = desc("warnings", "Things that are wrong and that nothing mends by itself; /healthz and dfsadmin -report name them.")
	descNodes      = desc("datanodes", "Datanodes by state.", "state")
	descBlocks     = desc("blocks", "Blocks by state.", "state")
	descBytes      = desc("capacity_bytes", "Bytes of all datanodes.", "kind")
	descMoves      = desc("policy_moves", "Blocks with replicas to be moved to the media of their storage policy, asked for by satisfyStoragePolicy.")
	descMoved      = desc("policy_moved_total", "Replicas moved for that.")
	descUnmoved    = desc("policy_move_failures_total", "Blocks given up: no place on the media asked for, or copies that failed.")
)

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descTx, descTxns, descBatches, descBatchBytes, descSync, descCommit, descImages, descStuck, descCheckpoint, descImage, descDir, descObjects, descSafeMode, descWarnings, descNodes, descBlocks, descBytes, descMoves, descMoved, descUnmoved} {
		ch <- d
	}
	describeParity(ch)
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.journal(ch, gauge)
	n := c.nn.Counts()
	for kind, v := range map[string]int64{"file": n.Files, "directory": n.Directories, "block": n.Blocks, "open file": n.OpenFiles,
		"lease": n.Leases, "retry cache entry": n.Retries} {
		gauge(descObjects, float64(v), kind)
	}
	b := c.nn.Blocks()
	collectParity(ch, n, b.Parity, c.nn.Scrubs())
	gauge(descMoves, float64(b.Moves.Waiting))
	ch <- prometheus.MustNewConstMetric(descMoved, prometheus.CounterValue, float64(b.Moves.Done))
	ch <- prometheus.MustNewConstMetric(descUnmoved, prometheus.CounterValue, float64(b.Moves.Failed))
	on := 0.0
	if c.nn.SafeModeText() != "" {
		on = 1
	}
	gauge(descSafeMode, on)
	gauge(descWarnings, float64(len(c.nn.Warnings())))
	for state, v := range map[string]int{"live": b.Nodes.Live, "dead": b.Nodes.Dead, "stale": b.Nodes.Stale,
		"decommissioning": b.Nodes.Decommissioning, "decommissioned": b.Nodes.Decommissioned,
		"in maintenance": b.Nodes.InMaintenance + b.Nodes.EnteringMaintenance} {
		gauge(descNodes, float64(v), state)
	}
	for state, v := range map[string]int64{"safe": b.Blocks.Safe, "low redundancy": b.Blocks.LowRedundancy, "missing": b.Blocks.Missing,
		"corrupt": b.Blocks.Corrupt, "pending repair": b.Blocks.PendingRepair, "pending deletion": b.Blocks.PendingDeletion,
		"pending recovery": b.Blocks.PendingRecovery, "replicas": b.Blocks.Replicas, "excess replicas": b.Blocks.Excess, "foreign replicas": b.Blocks.Future} {
		gauge(descBlocks, float64(v), state)
	}
	for kind, v := range map[string]int64{"capacity": b.Capacity, "used": b.Used, "remaining": b.Remaining} {
		gauge(descBytes, float64(v), kind)
	}
}

func (c *stateCollector) journal(ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	s := c.nn.Journal()
	gauge(descTx, float64(s.LastTx))
	ch <- prometheus.MustNewConstMetric(descTxns, prometheus.CounterValue, float64(s.Txns))
	ch <- prometheus.MustNewConstMetric(descBatches, prometheus.CounterValue, float64(s.Batches))
	ch <- prometheus.MustNewConstMetric(descBatchBytes, prometheus.CounterValue, float64(s.BatchBytes))
	ch <- prometheus.MustNewConstMetric(descImages, prometheus.CounterValue, float64(s.Checkpoints))
	stuck := 0.0
	if s.CheckpointErr != "" {
		stuck = 1
	}
	gauge(descStuck, stuck)
	ch <- histogram(descSync, s.SyncTime)
	ch <- histogram(descCommit, c.nn.CommitTime())
	gauge(descCheckpoint, s.Checkpoint.Duration.Seconds())
	gauge(descImage, float64(s.Checkpoint.Bytes))
	for _, d := range s.Dirs {
		up := 0.0
		if d.Alive {
			up = 1
		}
		gauge(descDir, up, d.Dir)
	}
}

// histogram turns the journal's powers of two microseconds into Prometheus' buckets.
func histogram(d *prometheus.Desc, h journal.Histogram) prometheus.Metric {
	var count uint64
	buckets := map[float64]uint64{}
	for i, n := range h.Counts {
		count += n
		if i < len(h.Counts)-1 {
			buckets[float64(uint64(1)<<i)/1e6] = count
		}
	}
	return prometheus.MustNewConstHistogram(d, count, h.Sum.Seconds(), buckets)
}
