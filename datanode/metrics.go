package datanode

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/wire/datatransfer"
)

// metrics is everything that a DataNode counts.
type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector

	ops         *prometheus.HistogramVec
	failures    *prometheus.CounterVec
	arrayEvents *prometheus.CounterVec
	readBytes   prometheus.Counter
	writeBytes  prometheus.Counter

	refused, malformed, badPackets, mirrorFailures prometheus.Counter
	blocksWritten, removed, bad, volumeFailures    prometheus.Counter
	recoveries, recoveryFailures                   prometheus.Counter
	copiedBytes, scrubbed, commands                prometheus.Counter
}

// newMetrics builds and registers the metrics of one DataNode.
func newMetrics(dn *DataNode, reg prometheus.Registerer) (*metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{registry: reg}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "redoubt", Subsystem: "datanode", Name: name, Help: help})
		m.collectors = append(m.collectors, c)
		return c
	}
	m.ops = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "redoubt", Subsystem: "datanode", Name: "op_seconds", Help: "Time that data transfer operations took, streams as a whole.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
	}, []string{"op"})
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "redoubt", Subsystem: "datanode", Name: "op_failures_total", Help: "Data transfer operations that failed, hung-up readers not counted.",
	}, []string{"op"})
	m.collectors = append(m.collectors, m.ops, m.failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "redoubt", Subsystem: "datanode", Name: "streams", Help: "Open data transfer connections."},
			func() float64 { return float64(dn.streams.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "redoubt", Subsystem: "datanode", Name: "parity_work", Help: "Folds, rebuilds and group scrubs that wait or are being done."},
			func() float64 { return float64(dn.groups.waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "redoubt", Subsystem: "datanode", Name: "degraded_streams", Help: "Blocks being made from their parity group for readers."},
			func() float64 { return float64(len(dn.groups.slots)) }),
		&volumeCollector{dn}, newArrayCollector(dn))
	m.arrayEvents = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "redoubt", Subsystem: "datanode", Name: "array_events_total", Help: "What happened to members of RAID-5 volumes.",
	}, []string{"event"})
	m.collectors = append(m.collectors, m.arrayEvents)
	m.readBytes = counter("read_bytes_total", "Bytes of blocks sent to readers.")
	m.writeBytes = counter("written_bytes_total", "Bytes of blocks received and stored.")
	m.copiedBytes = counter("copied_bytes_total", "Bytes of blocks pushed to other datanodes.")
	dn.moves.bytes = counter("moved_bytes_total", "Bytes of blocks sent, received or moved between volumes for balancers and storage policies.")
	m.refused = counter("connections_refused_total", "Connections closed because there were too many.")
	m.malformed = counter("malformed_operations_total", "Connections that did not speak the protocol.")
	m.badPackets = counter("bad_packets_total", "Packets that did not match their checksums.")
	m.mirrorFailures = counter("mirror_failures_total", "Pipelines whose next node failed.")
	m.blocksWritten = counter("blocks_written_total", "Replicas received completely.")
	m.removed = counter("blocks_removed_total", "Replicas removed for the name node.")
	m.bad = counter("blocks_damaged_total", "Replicas found damaged.")
	m.volumeFailures = counter("volume_failures_total", "Volumes that failed.")
	m.recoveries = counter("block_recoveries_total", "Block recoveries led to their end.")
	m.recoveryFailures = counter("block_recovery_failures_total", "Block recoveries that failed.")
	m.scrubbed = counter("scrubbed_bytes_total", "Bytes read to look for damage.")
	m.commands = counter("commands_total", "Commands of name nodes.")
	dn.groups.metrics.make(counter)
	for _, c := range m.collectors {
		if err := reg.Register(c); err != nil {
			m.unregister()
			return nil, fmt.Errorf("datanode: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	for _, c := range m.collectors {
		m.registry.Unregister(c)
	}
}

func (m *metrics) observe(op datatransfer.Op, d time.Duration, err error) {
	m.ops.WithLabelValues(op.String()).Observe(d.Seconds())
	if err != nil && !hungUp(err) {
		m.failures.WithLabelValues(op.String()).Inc()
	}
}

// volumeCollector tells the state of the volumes when it is asked.
type volumeCollector struct{ dn *DataNode }

var volumeDescs = map[string]*prometheus.Desc{
	"capacity": prometheus.NewDesc("redoubt_datanode_volume_capacity_bytes", "Size of a volume.", []string{"dir"}, nil),
	"used":     prometheus.NewDesc("redoubt_datanode_volume_used_bytes", "Bytes of replicas and their checksums.", []string{"dir"}, nil),
	"free":     prometheus.NewDesc("redoubt_datanode_volume_free_bytes", "Bytes free for replicas.", []string{"dir"}, nil),
	"replicas": prometheus.NewDesc("redoubt_datanode_volume_replicas", "Replicas on a volume.", []string{"dir"}, nil),
	"failed":   prometheus.NewDesc("redoubt_datanode_volume_failed", "1 if the volume has failed.", []string{"dir"}, nil),
}

// Describe tells what there is.
func (c *volumeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range volumeDescs {
		ch <- d
	}
}

// Collect asks the store.
func (c *volumeCollector) Collect(ch chan<- prometheus.Metric) {
	for _, v := range c.dn.Volumes() {
		gauge := func(name string, value float64) {
			ch <- prometheus.MustNewConstMetric(volumeDescs[name], prometheus.GaugeValue, value, v.Dir)
		}
		failed := 0.0
		if v.Err != nil {
			failed = 1
		}
		gauge("failed", failed)
		gauge("capacity", float64(v.Capacity))
		gauge("used", float64(v.Used))
		gauge("free", float64(v.Free))
		gauge("replicas", float64(v.Replicas))
	}
}
