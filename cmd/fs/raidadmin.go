package main

import (
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"time"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// arrayNode is a datanode to be asked about its RAID-5 volumes.
type arrayNode struct {
	name  string // host:port of its data transfer, as -report shows it
	admin *control.ArrayClient
}

// transferAddr is the host:port of a datanode's data transfer, as -report shows it.
func transferAddr(d dfs.DatanodeID) string {
	return net.JoinHostPort(d.IP, strconv.Itoa(int(d.XferPort)))
}

// arrayNodes finds the datanodes that a command is about: the one with the address, that
// of its data transfer or of its RPC, or all live ones.
func (a *admin) arrayNodes(args []string) ([]arrayNode, error) {
	report, err := a.c.DatanodeReport(a.ctx, dfs.ReportLive)
	if err != nil {
		return nil, err
	}
	open := func(name, addr string) arrayNode {
		return arrayNode{name, control.NewArrayClient(control.ClientConfig{Addr: addr, User: a.user})}
	}
	var nodes []arrayNode
	for _, d := range report {
		at := func(host string, p int) string { return net.JoinHostPort(host, strconv.Itoa(p)) }
		name, ipc := transferAddr(d.DatanodeID), at(d.IP, int(d.IPCPort))
		if len(args) == 0 {
			nodes = append(nodes, open(name, ipc))
			continue
		}
		switch args[0] {
		case name, ipc, at(d.Host, int(d.XferPort)), at(d.Host, int(d.IPCPort)):
			return []arrayNode{open(name, ipc)}, nil
		}
	}
	if len(args) == 0 {
		return nodes, nil
	}
	if _, _, err := net.SplitHostPort(args[0]); err != nil {
		return nil, fmt.Errorf("%s is not HOST:PORT of a datanode", args[0])
	}
	return nil, fmt.Errorf("no live datanode has the address %s", args[0])
}

// eachArrayNode asks the datanodes in turn and goes on when one fails.
func (a *admin) eachArrayNode(args []string, f func(n arrayNode) error) error {
	nodes, err := a.arrayNodes(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range nodes {
		err := f(n)
		if cerr := n.admin.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", n.name, message(err)))
		}
	}
	return errors.Join(errs...)
}

func (a *admin) raidStatus(args []string) error {
	found := 0
	err := a.eachArrayNode(args, func(n arrayNode) error {
		reply, err := n.admin.ArrayStatus(a.ctx, &control.ArrayStatusRequest{})
		if err != nil {
			return err
		}
		for i := range reply.Arrays {
			a.printArray(n.name, &reply.Arrays[i])
			found++
		}
		return nil
	})
	if found == 0 && err == nil {
		fmt.Fprintln(a.out, "No RAID-5 volumes.")
	}
	return err
}

// arrayHealth is an array's state in a word.
func arrayHealth(s *control.ArrayInfo) string {
	switch {
	case s.Lost:
		return "LOST: more than one member is gone"
	case s.Degraded && s.Rebuild.Dir != "":
		return "DEGRADED, rebuilding"
	case s.Degraded:
		return "DEGRADED: one more member lost is data lost"
	}
	if s.Damaged > 0 {
		return "complete, but DAMAGED: stripes were seen that nothing can make again; -raidVerify lists them"
	}
	return "healthy"
}

func (a *admin) printArray(node string, s *control.ArrayInfo) {
	fmt.Fprintf(a.out, "Datanode %s, array %s: %s\n", node, s.ID, arrayHealth(s))
	fmt.Fprintf(a.out, "  Members: %d, unit %d KiB, event count %d, files %d\n", len(s.Members), s.Unit>>10, s.Events, s.Files)
	fmt.Fprintf(a.out, "  Capacity: %d (%s), free: %d (%s)\n", s.Capacity, shortSize(s.Capacity), s.Free, shortSize(s.Free))
	for _, m := range s.Members {
		fmt.Fprintf(a.out, "  %2d  %-10s  %s", m.Place, m.State, m.Dir)
		if m.Err != "" {
			fmt.Fprintf(a.out, "  (%s)", m.Err)
		}
		fmt.Fprintln(a.out)
	}
	for _, dir := range s.Spares {
		fmt.Fprintf(a.out, "      spare       %s\n", dir)
	}
	if r := s.Rebuild; r.Dir != "" {
		percent := 100.0
		if r.TotalBytes > 0 {
			percent = min(100, 100*float64(r.Bytes)/float64(r.TotalBytes))
		}
		fmt.Fprintf(a.out, "  Rebuild onto %s: %.1f %% (%d of %d bytes, %d of %d files) since %s", r.Dir, percent, r.Bytes, r.TotalBytes,
			r.Files, r.TotalFiles, time.UnixMilli(r.StartedMS).In(a.zone).Format(time.DateTime))
		if r.Err != "" {
			fmt.Fprintf(a.out, "; stands still: %s", r.Err)
		}
		fmt.Fprintln(a.out)
	}
	if s.Repaired > 0 || s.Damaged > 0 {
		fmt.Fprintf(a.out, "  Units repaired since the start: %d, times a stripe was seen that could not be: %d\n", s.Repaired, s.Damaged)
	}
}

func (a *admin) raidReplace(args []string) error {
	for _, dir := range args[1:] {
		if !path.IsAbs(dir) {
			return fmt.Errorf("%s: want the absolute path of a directory on the datanode", dir)
		}
	}
	return a.eachArrayNode(args[:1], func(n arrayNode) error {
		reply, err := n.admin.ArrayReplace(a.ctx, &control.ArrayReplaceRequest{Old: args[1], New: args[2]})
		if err == nil {
			fmt.Fprintf(a.out, "Array %s on %s is being rebuilt onto %s; -raidStatus shows how far it is.\n", reply.ID, n.name, args[2])
		}
		return err
	})
}

func (a *admin) raidVerify(args []string) error {
	found := 0
	err := a.eachArrayNode(args, func(n arrayNode) error {
		reply, err := n.admin.ArrayVerify(a.ctx, &control.ArrayVerifyRequest{})
		if err != nil {
			return err
		}
		damaged := 0
		for _, v := range reply.Arrays {
			found++
			fmt.Fprintf(a.out, "Datanode %s, array %s: %d files, %d stripes, %s read, %d units repaired, %d stripes damaged\n",
				n.name, v.ID, v.Files, v.Stripes, shortSize(v.Bytes), v.Repaired, len(v.Damaged))
			for _, d := range v.Damaged {
				fmt.Fprintln(a.out, "  damaged:", d)
			}
			damaged += len(v.Damaged)
		}
		if damaged > 0 {
			return fmt.Errorf("%d stripes can't be repaired here", damaged)
		}
		return nil
	})
	if found == 0 && err == nil {
		fmt.Fprintln(a.out, "No RAID-5 volumes.")
	}
	return err
}
