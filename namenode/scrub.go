package namenode

import (
	"math"
	"time"
)

// scrubber goes round all parity groups, at a pace that a round takes its period.
type scrubber struct {
	cursor uint32
	owed   float64 // groups that should have been looked at by now
	last   time.Time
}

// maxScrubs bounds the groups that are looked at in one go.
const maxScrubs = 64

// scrubGroups orders the scrubs that have come due since the last call. Only the background
// goroutine calls it.
func (n *NameNode) scrubGroups(now time.Time) {
	s, period := &n.scrub, n.cfg.Files.Parity.ScrubPeriod
	elapsed := now.Sub(s.last)
	s.last = now
	if period < 0 || n.safe.isOn() || elapsed <= 0 || elapsed > period {
		return
	}
	n.state.RLock()
	defer n.state.RUnlock()
	s.owed += float64(n.ns.Counts().Groups) * (float64(elapsed) / float64(period))
	due := int(math.Min(s.owed, maxScrubs))
	if due == 0 {
		return
	}
	s.owed -= float64(due)
	page, next := n.ns.GroupPage(nil, s.cursor, due)
	for _, g := range page {
		if n.blocks.Scrub(now, g.Parity.ID) {
			n.scrubs.Add(1)
		}
	}
	s.cursor = next
}

// Scrubs is how many comparisons of a parity group have been ordered so far.
func (n *NameNode) Scrubs() int64 { return n.scrubs.Load() }
