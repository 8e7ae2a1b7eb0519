package simulate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// calm waits until nothing is left to do.
func (s *session) calm(sc *script) (state string) {
	for range 1800 {
		if state = s.unrest(); state == "" && sc.settled != nil {
			state = sc.settled(s)
		}
		if state == "" {
			state = s.untidy()
		}
		if state == "" {
			return ""
		}
		s.sleep(time.Second)
	}
	return state
}

// unrest says what the block manager still has to do.
func (s *session) unrest() string {
	nn := s.c.NameNode()
	if nn == nil {
		return "no name node"
	}
	if text := nn.SafeModeText(); text != "" {
		return text
	}
	b := nn.Blocks()
	n, k := b.Nodes, b.Blocks
	if n.Live != s.c.alive() || n.ReportsPending > 0 || n.PendingTransfers > 0 ||
		k.LowRedundancy+k.Missing+k.Corrupt+k.Excess+k.PendingRepair+k.PendingDeletion+k.PendingRecovery+k.Building+k.Future > 0 {
		return fmt.Sprintf("%+v %+v", n, k)
	}
	if p := b.Parity; p.Forming+p.Degraded+p.Lost+p.Leaving > 0 {
		return fmt.Sprintf("%+v", p)
	}
	return ""
}

// describe shows what is where.
func (s *session) describe() string {
	disks, err := s.c.Replicas()
	nn := s.c.NameNode()
	if err != nil || nn == nil {
		return "nothing can be seen"
	}
	var b strings.Builder
	for _, g := range nn.ParityGroups() {
		fmt.Fprintf(&b, "group %v on %v, k=%d:", g.Parity, disks.on(g.Parity.ID), g.Data)
		for _, m := range g.Members {
			fmt.Fprintf(&b, " %v on %v departed=%v", m.Block, disks.on(m.Block.ID), m.Departed)
		}
		fmt.Fprintln(&b)
	}
	for _, id := range slices.Sorted(maps.Keys(disks)) {
		fmt.Fprintf(&b, "%v on %v; ", id, disks.on(id))
	}
	return b.String()
}

// untidy says what is on the disks that should not be there, or not yet.
func (s *session) untidy() string {
	disks, err := s.c.Replicas()
	if err != nil {
		return err.Error()
	}
	known := map[dfs.BlockID]bool{}
	var state []string
	for _, g := range s.c.NameNode().ParityGroups() {
		known[g.Parity.ID] = true
		for _, m := range g.Members {
			known[m.Block.ID] = true
		}
		if err := disks.CheckGroup(&g, s.c.cfg.Racks); err != nil {
			state = append(state, err.Error())
		}
	}
	err = s.c.NameNode().CheckTree(s.ctx, &dfs.Caller{User: User}, "/", func(f *dfs.FileHealth) error {
		for _, b := range f.Blocks {
			known[b.ID] = true
			if n := len(disks[b.ID]); n != b.Expected {
				state = append(state, fmt.Sprintf("%s, %v: on %v, %d expected", f.Path, b.Block, disks.on(b.ID), b.Expected))
			}
		}
		return nil
	})
	if err != nil {
		state = append(state, err.Error())
	}
	if strays := disks.Strays(known); len(strays) > 0 {
		state = append(state, fmt.Sprintf("unknown blocks on disks: %v", strays))
	}
	return strings.Join(state, "; ")
}

// readEachReplica reads every block from each of its places alone.
func (s *session) readEachReplica(cl *client.Client, found map[string][]byte) {
	alone := map[string]*client.Client{}
	for i, p := range s.c.Data {
		one, err := s.c.Client(s.c.Net.Host(fmt.Sprintf("10.0.2.%d", i+1)), p)
		if err != nil {
			s.fail(err)
			return
		}
		defer one.Close()
		alone[p.IP] = one
	}
	for path, data := range found {
		if len(data) == 0 {
			continue
		}
		blocks, err := cl.BlockLocations(s.ctx, path, 0, int64(len(data)))
		if err != nil {
			s.fail(err)
			continue
		}
		for _, b := range blocks.Blocks {
			if len(b.Locs) == 0 {
				s.fail(fmt.Errorf("%s at %d: no replica", path, b.Offset))
			}
			for _, loc := range b.Locs {
				if err := readFrom(s.ctx, alone[loc.Node.IP], path, b.Offset, data[b.Offset:b.Offset+b.Length]); err != nil {
					s.fail(fmt.Errorf("%s at %d from %s alone: %w", path, b.Offset, loc.Node.Host, err))
				}
				s.reads++
			}
		}
	}
}

func readFrom(ctx context.Context, cl *client.Client, path string, off int64, want []byte) error {
	f, err := cl.Open(ctx, path)
	if err != nil {
		return err
	}
	defer f.Close()
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, off); err != nil && err != io.EOF {
		return err
	}
	return Exactly(want).holds(got)
}
