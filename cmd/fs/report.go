package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// report prints what dfsadmin -report does: totals first, then the datanodes.
func (a *admin) report(args []string) error {
	s, err := a.c.FsStats(a.ctx)
	if err != nil {
		return err
	}
	on, err := a.c.SetSafeMode(a.ctx, dfs.SafeModeGet)
	if err != nil {
		return err
	}
	if on {
		fmt.Fprintln(a.out, "Safe mode is ON")
	}
	if err := a.reportWarnings(); err != nil {
		return err
	}
	present := s.Used + s.Remaining
	size := func(name string, n int64) { fmt.Fprintf(a.out, "%s: %d (%s)\n", name, n, bytesText(n)) }
	size("Configured Capacity", s.Capacity)
	size("Present Capacity", present)
	size("DFS Remaining", s.Remaining)
	size("DFS Used", s.Used)
	used := 0.0
	if present != 0 {
		used = float64(s.Used) / float64(present)
	}
	fmt.Fprintf(a.out, "DFS Used%%: %.2f%%\n", 100*used)
	if err := a.reportBlocks(); err != nil {
		return err
	}
	fmt.Fprint(a.out, "\n-------------------------------------------------\n")
	return a.reportNodes(args)
}

// reportWarnings prints what the name node warns of. One of HDFS's knows no such question.
func (a *admin) reportWarnings() error {
	for _, addr := range a.nodes {
		warnings, err := a.warnings(addr)
		switch {
		case dfs.Is(err, dfs.Unavailable) && len(a.nodes) > 1:
			fmt.Fprintf(a.out, "WARNING: name node %s can't be asked: %s\n", addr, message(err))
		case err != nil && !unknownCall(err):
			return err
		}
		for _, w := range warnings {
			fmt.Fprintf(a.out, "WARNING: %s\n", w)
		}
	}
	return nil
}

// warnings asks one name node.
func (a *admin) warnings(addr string) ([]string, error) {
	c := control.NewAdminClient(control.ClientConfig{Addr: addr, User: a.user})
	warnings, err := c.Warnings(a.ctx)
	return warnings, errors.Join(err, c.Close())
}

// whySafe tells on standard error what keeps a name node of ours in safe mode although it was
// to leave it. That it can't be asked is no failure of the command.
func (a *admin) whySafe() {
	for _, addr := range a.nodes {
		warnings, err := a.warnings(addr)
		if err != nil {
			continue
		}
		for _, w := range warnings {
			fmt.Fprintf(a.err, "safemode: %s\n", w)
		}
		fmt.Fprintln(a.err, "safemode: only forceExit leaves it in spite of that")
	}
}

// unknownCall reports whether a server does not know a protocol or method.
func unknownCall(err error) bool {
	return dfs.Is(err, dfs.NoSuchProtocol) || dfs.Is(err, dfs.NoSuchMethod)
}

func (a *admin) reportBlocks() error {
	r, err := a.c.ReplicatedBlockStats(a.ctx)
	if err != nil {
		return err
	}
	g, err := a.c.BlockGroupStats(a.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Replicated Blocks:\n\tUnder replicated blocks: %d\n\tBlocks with corrupt replicas: %d\n\tMissing blocks: %d\n"+
		"\tMissing blocks (with replication factor 1): %d\n", r.LowRedundancy, r.Corrupt, r.Missing, r.MissingReplOne)
	a.reportRest(r)
	fmt.Fprintf(a.out, "Erasure Coded Block Groups: \n\tLow redundancy block groups: %d\n\tBlock groups with corrupt internal blocks: %d\n"+
		"\tMissing block groups: %d\n", g.LowRedundancy, g.Corrupt, g.Missing)
	a.reportRest(g)
	return nil
}

func (a *admin) reportRest(s client.BlockStats) {
	fmt.Fprintf(a.out, "\tLow redundancy blocks with highest priority to recover: %d\n\tPending deletion blocks: %d\n", s.HighestPriority, s.PendingDeletion)
}

func (a *admin) reportNodes(args []string) error {
	sections := []struct {
		flag, title string
		kind        dfs.DatanodeReportType
	}{
		{"-live", "Live datanodes", dfs.ReportLive},
		{"-dead", "Dead datanodes", dfs.ReportDead},
		{"-decommissioning", "Decommissioning datanodes", dfs.ReportDecommissioning},
		{"-enteringmaintenance", "Entering maintenance datanodes", dfs.ReportEnteringMaintenance},
		{"-inmaintenance", "In maintenance datanodes", dfs.ReportInMaintenance},
		{"-slownodes", "Slow datanodes", 0},
	}
	chosen := false
	for _, s := range sections {
		chosen = chosen || slices.Contains(args, s.flag)
	}
	for _, s := range sections {
		asked := slices.Contains(args, s.flag)
		if chosen && !asked || s.kind == 0 && !asked {
			continue
		}
		var nodes []dfs.DatanodeInfo
		var err error
		if s.kind == 0 {
			nodes, err = a.c.SlowDatanodes(a.ctx)
		} else {
			nodes, err = a.c.DatanodeReport(a.ctx, s.kind)
		}
		if err != nil {
			return err
		}
		if len(nodes) == 0 && !asked {
			continue
		}
		fmt.Fprintf(a.out, "%s (%d):\n\n", s.title, len(nodes))
		for i := range nodes {
			a.reportNode(&nodes[i])
		}
	}
	return nil
}

func (a *admin) reportNode(n *dfs.DatanodeInfo) {
	p := func(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }
	name := fmt.Sprintf("%s:%d", n.IP, n.XferPort)
	if n.Host != "" && n.Host != n.IP {
		name += " (" + n.Host + ")"
	}
	p("Name: %s\nHostname: %s\n", name, n.Host)
	if n.Location != "/default-rack" {
		p("Rack: %s\n", n.Location)
	}
	p("Decommission Status : %s\n", [...]string{"Normal", "Decommission in progress", "Decommissioned", "Entering Maintenance", "In Maintenance"}[min(int(n.Admin), 4)])
	size := func(name string, v int64) { p("%s: %d (%s)\n", name, v, bytesText(v)) }
	percent := func(part, whole int64, empty float64) float64 {
		if whole <= 0 {
			return empty
		}
		return 100 * float64(part) / float64(whole)
	}
	size("Configured Capacity", n.Capacity)
	size("DFS Used", n.Used)
	size("Non DFS Used", n.NonDFSUsed)
	size("DFS Remaining", n.Remaining)
	p("DFS Used%%: %.2f%%\nDFS Remaining%%: %.2f%%\n", percent(n.Used, n.Capacity, 100), percent(n.Remaining, n.Capacity, 0))
	size("Configured Cache Capacity", n.CacheCapacity)
	size("Cache Used", n.CacheUsed)
	left := n.CacheCapacity - n.CacheUsed
	size("Cache Remaining", left)
	p("Cache Used%%: %.2f%%\nCache Remaining%%: %.2f%%\n", percent(n.CacheUsed, n.CacheCapacity, 100), percent(left, n.CacheCapacity, 0))
	p("Xceivers: %d\nLast contact: %s\n", n.Xceivers, a.javaDate(n.LastUpdate))
	last := "Never"
	if n.LastReport != 0 {
		last = a.javaDate(n.LastReport)
	}
	p("Last Block Report: %s\nNum of Blocks: %d\n\n\n", last, n.Blocks)
}

// javaDate shows a time in ms as Java's Date does.
func (a *admin) javaDate(ms int64) string {
	return time.UnixMilli(ms).In(a.zone).Format("Mon Jan 02 15:04:05 MST 2006")
}

// bytesText shows a number of bytes with a unit and two decimals.
func bytesText(n int64) string { return binarySize(n, "B", 2) }
