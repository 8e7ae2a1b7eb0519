package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// until asks again and again until the answer is yes.
func until(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ok, err := ask(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, errors.Join(context.Cause(ctx), last))
		case <-tick.C:
		}
	}
}

// parityGroups is what the name node counts.
type parityGroups struct{ groups, members, loose, forming, degraded, lost, parityBytes int64 }

// metric reads one value of the name node's /metrics.
func metricValue(text, name string) (int64, bool) {
	for line := range strings.SplitSeq(text, "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return int64(f), err == nil
		}
	}
	return 0, false
}

// parityMetric is the name node's metric of parity groups, by kind.
func parityMetric(kind string) string { return "redoubt_namenode_parity_" + kind }

// groups asks the name node's /metrics.
func (t *tour) groups(ctx context.Context) (parityGroups, error) {
	text, err := httpText(ctx, t.cl.http()+"/metrics")
	if err != nil {
		return parityGroups{}, err
	}
	var g parityGroups
	for name, to := range map[string]*int64{"groups": &g.groups, "members": &g.members, "candidates": &g.loose, "forming": &g.forming,
		"degraded": &g.degraded, "lost": &g.lost} {
		v, ok := metricValue(text, parityMetric(name))
		if !ok {
			return g, fmt.Errorf("%s/metrics has no %s", t.cl.http(), parityMetric(name))
		}
		*to = v
	}
	g.parityBytes, _ = metricValue(text, "redoubt_namenode_parity_bytes")
	return g, nil
}

// folded reports whether all blocks that can be are in groups.
func (t *tour) folded(ctx context.Context) (bool, error) {
	g, err := t.groups(ctx)
	return err == nil && g.groups > 0 && g.loose <= 1 && g.forming == 0, err // one that is left alone stays at two replicas
}

// whole reports whether the name node has noticed who is dead and nothing lacks anything.
func (t *tour) whole(ctx context.Context) (bool, error) {
	runs := 0
	for _, p := range t.cl.data {
		if p.cmd != nil {
			runs++
		}
	}
	live, err := t.c.DatanodeReport(ctx, dfs.ReportLive)
	if err != nil || len(live) != runs {
		return false, err
	}
	s, err := t.c.ReplicatedBlockStats(ctx)
	if err != nil || s != (client.BlockStats{PendingDeletion: s.PendingDeletion}) {
		return false, err
	}
	g, err := t.groups(ctx)
	return err == nil && g.degraded == 0 && g.lost == 0, err
}

// httpText gets a page.
func httpText(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(text), err
}
