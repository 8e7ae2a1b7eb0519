package redundancy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"redoubt/blockmanager"
	"redoubt/wire/control"
)

const pollEvery = 20 * time.Millisecond

// calm is how long nothing must be left to do until the cluster counts as settled: what one
// order has done, the name node hears of with a later heartbeat.
func (c *Config) calm() time.Duration { return min(c.DeadAfter/6, 400*time.Millisecond) }

// foldIdle is how long blocks wait for their group to fill up.
func (c *Config) foldIdle() time.Duration { return min(c.DeadAfter/6, 500*time.Millisecond) }

// patience is how long nothing may change until a wait is given up: some times what one step
// takes, be it to notice a death or to move a group's blocks over one link.
func (c *Config) patience() time.Duration {
	s := &c.Setup
	p := max(20*time.Second, 2*c.DeadAfter)
	for _, rate := range []float64{s.DiskRate, s.LinkRate} {
		if rate > 0 {
			p = max(p, seconds(4*float64(s.BlockBytes)*float64(s.Parity+1)/rate))
		}
	}
	return min(p, c.SettleLimit)
}

// todo says what a cluster still has to do to be as redundant as it can be; "" is nothing.
func todo(s blockmanager.Stats) string {
	var what []string
	add := func(n int64, name string) {
		if n > 0 {
			what = append(what, fmt.Sprintf("%d %s", n, name))
		}
	}
	add(s.Blocks.Building, "being written")
	add(s.Blocks.LowRedundancy, "with too few replicas")
	add(s.Blocks.PendingRepair, "being copied")
	add(s.Blocks.Excess+s.Blocks.PendingDeletion, "being removed")
	add(int64(s.Nodes.ReportsPending), "volumes to report")
	add(int64(s.Nodes.PendingDead), "dead volumes to clean up")
	add(s.Parity.Forming, "parities being made")
	add(s.Parity.Degraded, "to be made from parity")
	add(s.Parity.Leaving, "leaving their group")
	return strings.Join(what, ", ")
}

// wait polls until ok is true, as long as how things stand goes on to change. The error names
// what was waited for and how things stood.
func (l *lab) wait(ctx context.Context, what string, ok func() (bool, string)) error {
	begun, patience := time.Now(), l.cfg.patience()
	moved, last := begun, ""
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		done, how := ok()
		if done {
			return nil
		}
		if how != last {
			moved, last = time.Now(), how
		}
		if time.Since(begun) > l.cfg.SettleLimit || time.Since(moved) > patience {
			l.cfg.Log.Info("redundancy: gave up waiting", "for", what, "how", how, "stats", fmt.Sprintf("%+v", l.stats()))
			return &unsettledError{what, how, time.Since(begun).Round(time.Second)}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

type unsettledError struct {
	what, how string
	waited    time.Duration
}

func (e *unsettledError) Error() string {
	return fmt.Sprintf("redundancy: after %v still waiting for %s: %s", e.waited, e.what, e.how)
}

// settle waits until the cluster has nothing left to do, and gives the moment from which on
// that was so.
func (l *lab) settle(ctx context.Context) (since time.Time, err error) {
	// A block for which there is no group stays a candidate, with its replicas: that
	// some are left is rest, too, once their number has not changed for long.
	var single int64
	var changed time.Time
	quiet := false
	err = l.wait(ctx, "the cluster to come to rest", func() (bool, string) {
		s := l.stats()
		what := todo(s)
		if what == "" && l.rebuilding(ctx) {
			what = "an array is being rebuilt"
		}
		if n := s.Parity.Candidates; n != single {
			single, changed, quiet = n, time.Now(), false
		}
		if what != "" {
			quiet = false
			return false, what
		}
		if !quiet {
			quiet, since = true, time.Now()
		}
		if single > 0 && time.Since(changed) < 4*l.cfg.foldIdle() {
			return false, fmt.Sprintf("%d to be put into groups", single)
		}
		return time.Since(since) >= l.cfg.calm(), "nothing is left, for a moment"
	})
	return since, err
}

func (l *lab) stats() blockmanager.Stats { return l.cluster.NameNode().Blocks() }

// rebuilding tells whether the array of a running node lacks a member.
func (l *lab) rebuilding(ctx context.Context) bool {
	if !arrays(l.scheme) {
		return false
	}
	for i := range l.nodes {
		if l.cluster.DataNode(i) != nil && l.degraded(ctx, i) {
			return true
		}
	}
	return false
}

// degraded asks a datanode about its arrays.
func (l *lab) degraded(ctx context.Context, i int) bool {
	a := l.admin(i)
	defer a.Close()
	s, err := a.ArrayStatus(ctx, &control.ArrayStatusRequest{})
	if err != nil {
		l.cfg.Log.Info("redundancy: no answer about arrays", "node", i+1, "err", err)
		return true
	}
	for _, info := range s.Arrays {
		if info.Degraded || info.Rebuild.Dir != "" {
			return true
		}
	}
	return false
}
