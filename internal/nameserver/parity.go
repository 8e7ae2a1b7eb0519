package nameserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"redoubt/blockmanager"
	"redoubt/namespace"
)

// parityCounts is what is known of parity groups: hard facts from the namespace, soft ones
// from the block manager.
type parityCounts struct {
	n      namespace.Counts
	p      blockmanager.ParityStats
	scrubs int64
}

// parityMetrics are the metrics of parity groups. Counters only grow while the name node runs.
var parityMetrics = []struct {
	desc    *prometheus.Desc
	counter bool
	value   func(*parityCounts) int64
}{
	{desc("parity_groups", "Parity groups that are logged."), false, func(c *parityCounts) int64 { return c.n.Groups }},
	{desc("parity_members", "Blocks in parity groups, with those whose files are gone."), false, func(c *parityCounts) int64 { return c.n.Members }},
	{desc("parity_departed", "Blocks in parity groups whose files are gone."), false, func(c *parityCounts) int64 { return c.n.Departed }},
	{desc("parity_bytes", "Bytes of all parity blocks."), false, func(c *parityCounts) int64 { return c.n.ParityBytes }},
	{desc("parity_replicas", "Replicas of parity blocks."), false, func(c *parityCounts) int64 { return c.p.Parities }},
	{desc("parity_candidates", "Complete blocks under RAID5 that wait for a group."), false, func(c *parityCounts) int64 { return c.p.Candidates }},
	{desc("parity_forming", "Parities that are being made."), false, func(c *parityCounts) int64 { return c.p.Forming }},
	{desc("parity_degraded", "Blocks of groups, parities included, without a replica, that can be made again."), false, func(c *parityCounts) int64 { return c.p.Degraded }},
	{desc("parity_lost", "Blocks of groups that can't be made again."), false, func(c *parityCounts) int64 { return c.p.Lost }},
	{desc("parity_leaving", "Blocks that have been asked to leave their group."), false, func(c *parityCounts) int64 { return c.p.Leaving }},
	{desc("parity_waiting", "Blocks that wait for datanodes or racks."), false, func(c *parityCounts) int64 { return c.p.Waiting }},
	{desc("parity_folds_total", "Parities made and logged."), true, func(c *parityCounts) int64 { return c.p.Folds }},
	{desc("parity_fold_failures_total", "Parities that could not be made or logged."), true, func(c *parityCounts) int64 { return c.p.Failed }},
	{desc("parity_rebuilds_total", "Blocks made again from their group."), true, func(c *parityCounts) int64 { return c.p.Rebuilds }},
	{desc("parity_dissolved_total", "Groups that have ended."), true, func(c *parityCounts) int64 { return c.p.Dissolved }},
	{desc("parity_scrubs_total", "Comparisons of a whole group that have been ordered."), true, func(c *parityCounts) int64 { return c.scrubs }},
}

func describeParity(ch chan<- *prometheus.Desc) {
	for _, m := range parityMetrics {
		ch <- m.desc
	}
}

func collectParity(ch chan<- prometheus.Metric, n namespace.Counts, p blockmanager.ParityStats, scrubs int64) {
	c := &parityCounts{n, p, scrubs}
	for _, m := range parityMetrics {
		typ := prometheus.GaugeValue
		if m.counter {
			typ = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(m.desc, typ, float64(m.value(c)))
	}
}
