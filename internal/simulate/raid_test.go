package simulate

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"redoubt/blockmanager"
	"redoubt/client"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/namenode"
)

// raidConfig is a cluster on which groups are made soon.
func raidConfig(datanodes, racks int) Config {
	return Config{Datanodes: datanodes, Racks: racks, NameNode: func(cfg *namenode.Config) {
		cfg.Blocks.Parity = blockmanager.Folding{Idle: 3 * time.Second, Retry: 2 * time.Second, Hold: 10 * time.Second}
		cfg.Files.Parity.ScrubPeriod = time.Minute
	}}
}

// under makes a directory with a policy.
func (s *session) under(dir, policy string) {
	_, err := s.cl.Mkdirs(s.ctx, dir, 0o755, true)
	s.must(err)
	s.must(s.cl.SetStoragePolicy(s.ctx, dir, policy))
}

// await lets virtual time pass until cond, but not for ever: when a node is down it may
// not come true, and what follows must work all the same.
func (s *session) await(what string, cond func() bool) {
	for range 120 {
		if s.c.NameNode() != nil && cond() {
			return
		}
		s.sleep(500 * time.Millisecond)
	}
	s.o.Refuse("await", errors.New(what))
	s.debug("await", what, s.unrest(), s.untidy(), s.describe())
}

// awaitGroups waits until all blocks are in so many groups.
func (s *session) awaitGroups(n int) {
	s.await(fmt.Sprint(n, " groups"), func() bool { return s.groups() == n && s.unrest() == "" })
}

// groups counts the groups, -1 without a name node.
func (s *session) groups() int {
	if nn := s.c.NameNode(); nn != nil {
		return len(nn.ParityGroups())
	}
	return -1
}

// grouped reports whether all of so many blocks are members, and nothing else is.
func (s *session) grouped(blocks int) bool {
	nn := s.c.NameNode()
	if nn == nil {
		return false
	}
	n := 0
	for _, g := range nn.ParityGroups() {
		for _, m := range g.Members {
			if !m.Departed {
				n++
			}
		}
	}
	return n == blocks
}

// allGrouped is what must be true in the end where nodes are enough: there are no two
// blocks in no group of which a datanode that has both could make one.
func allGrouped(s *session) string {
	nn := s.c.NameNode()
	disks, err := s.c.Replicas()
	if nn == nil || err != nil {
		return fmt.Sprint("no name node or disk: ", err)
	}
	var alone []dfs.BlockID
	err = nn.CheckTree(s.ctx, &dfs.Caller{User: User}, "/r", func(f *dfs.FileHealth) error {
		for _, b := range f.Blocks {
			if b.Group == nil && b.Length > 0 {
				alone = append(alone, b.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	for i, a := range alone {
		for _, b := range alone[i+1:] {
			if p := s.common(disks[a], disks[b]); p != nil {
				return fmt.Sprintf("%s could make a group of %v on %v and %v on %v", p.Name, a, disks.on(a), b, disks.on(b))
			}
		}
	}
	return ""
}

// common gives a datanode that could fold two blocks: it has both, and there are two others
// that have one each, on racks of their own where there are any.
func (s *session) common(a, b map[*Party][]byte) *Party {
	apart := func(x, y *Party) bool {
		if s.c.cfg.Racks < 3 {
			return x != y
		}
		return s.c.rack(dfs.DatanodeID{IP: x.IP}) != s.c.rack(dfs.DatanodeID{IP: y.IP})
	}
	for p := range a {
		if b[p] == nil {
			continue
		}
		for x := range a {
			for y := range b {
				if apart(x, p) && apart(y, p) && apart(x, y) {
					return p
				}
			}
		}
	}
	return nil
}

// someFiles writes three files of ragged lengths, four blocks.
func someFiles(s *session) {
	s.write("/r/a", BlockSize+1000, 3, client.CreateOptions{})
	s.write("/r/b", 700, 2, client.CreateOptions{})
	s.write("/r/c", BlockSize, 1, client.CreateOptions{})
}

const someBlocks = 4

// folded is a setup: some files, in groups.
func folded(policy string) func(s *session) {
	return func(s *session) {
		s.under("/r", policy)
		someFiles(s)
		s.await("folded", func() bool { return s.grouped(someBlocks) && s.unrest() == "" })
		if r := s.o.Refusals(); len(r) > 0 {
			s.fail(fmt.Errorf("setup: %v; %s", r, s.unrest()))
		}
	}
}

// makingScripts are how groups come to be.
func makingScripts() []*script {
	return []*script{
		{name: "raid-write", cfg: raidConfig(6, 0), setup: func(s *session) { s.under("/r", "RAID5-2") },
			run: func(s *session) {
				someFiles(s)
				s.check("/r/a")
			}},
		{name: "raid-fold", cfg: raidConfig(6, 3), setup: func(s *session) { s.under("/r", "RAID5-2"); someFiles(s) },
			run: func(s *session) {
				s.await("folded", func() bool { return s.grouped(someBlocks) && s.unrest() == "" })
				s.check("/r/a")
			}, settled: allGrouped},
		{name: "raid-rack", cfg: raidConfig(6, 3), setup: folded("RAID5-2"), victims: []string{"rack1", "rack2", "rack3"}, run: func(s *session) {
			s.write("/r/d", BlockSize+300, 2, client.CreateOptions{})
			s.await("folded", func() bool { return s.grouped(someBlocks+2) && s.unrest() == "" })
			s.remove("/r/c")
			s.check("/r/a")
			s.await("calm", func() bool { return s.unrest() == "" })
		}, settled: allGrouped},
		{name: "raid-extend", cfg: raidConfig(7, 0), setup: func(s *session) {
			s.under("/r", "RAID5")
			s.write("/r/x", 1000, 1, client.CreateOptions{})
			s.write("/r/y", 2000, 1, client.CreateOptions{})
			s.await("a small group", func() bool { return s.grouped(2) && s.unrest() == "" })
		}, run: func(s *session) {
			s.write("/r/z", BlockSize+3000, 1, client.CreateOptions{})
			s.await("extended", func() bool { return s.grouped(4) && s.unrest() == "" })
			s.check("/r/z")
		}},
		{name: "raid-convert", cfg: raidConfig(6, 2), setup: func(s *session) {
			_, err := s.cl.Mkdirs(s.ctx, "/r", 0o755, true)
			s.must(err)
			someFiles(s)
		}, run: func(s *session) {
			s.call("set policy", s.cl.SetStoragePolicy(s.ctx, "/r", "RAID5-2"))
			s.call("satisfy", s.cl.SatisfyStoragePolicy(s.ctx, "/r"))
			s.await("folded", func() bool { return s.grouped(someBlocks) && s.unrest() == "" })
			s.check("/r/a")
		}},
	}
}

// changingScripts are what happens to blocks that are in groups.
func changingScripts() []*script {
	return []*script{
		{name: "raid-read", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: func(s *session) {
			for range 3 {
				s.check("/r/a")
				s.check("/r/b")
				s.check("/r/c")
			}
		}, settled: allGrouped},
		{name: "raid-delete", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: func(s *session) {
			s.remove("/r/b")
			s.await("calm", func() bool { return s.unrest() == "" })
			s.remove("/r/a")
			s.remove("/r/c")
			s.awaitGroups(0)
		}},
		{name: "raid-append", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: func(s *session) {
			s.appendTo("/r/b", 500, 3)
			s.appendTo("/r/a", BlockSize, 2)
			s.await("folded again", func() bool { return s.grouped(someBlocks+2) && s.unrest() == "" })
			s.check("/r/b")
		}},
		{name: "raid-truncate", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: func(s *session) {
			s.truncate("/r/a", BlockSize+77)
			s.truncate("/r/c", 0)
			s.check("/r/a")
			s.await("calm", func() bool { return s.unrest() == "" })
		}},
		{name: "raid-rename", cfg: raidConfig(6, 0), setup: func(s *session) {
			folded("RAID5-2")(s)
			_, err := s.cl.Mkdirs(s.ctx, "/plain", 0o755, true)
			s.must(err)
		}, run: func(s *session) {
			s.rename("/r/a", "/r/d")
			s.rename("/r/b", "/plain/b") // inherits another policy there
			_, err := s.cl.SetReplication(s.ctx, "/r/c", 2)
			s.call("setrep", err)
			s.call("satisfy", s.cl.SatisfyStoragePolicy(s.ctx, "/plain"))
			s.await("calm", func() bool { return s.unrest() == "" })
			s.check("/plain/b")
		}},
		{name: "raid-policy-back", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: func(s *session) {
			s.call("set policy", s.cl.SetStoragePolicy(s.ctx, "/r", "HOT"))
			s.call("satisfy", s.cl.SatisfyStoragePolicy(s.ctx, "/r"))
			s.awaitGroups(0)
			s.check("/r/a")
		}},
		{name: "raid-few-nodes", cfg: raidConfig(3, 0), setup: folded("RAID5-2"), run: func(s *session) {
			s.write("/r/d", 1500, 2, client.CreateOptions{})
			s.check("/r/a")
			s.remove("/r/b")
			s.sleep(20 * time.Second)
		}},
		{name: "raid-decommission", cfg: raidConfig(6, 0), setup: folded("RAID5-2"), run: drainOne},
	}
}

// lossScripts are what happens after a datanode is lost; the kill is a second failure then.
func lossScripts() []*script {
	rebuilt := func(s *session) {
		s.await("whole again", func() bool { return s.unrest() == "" && allGrouped(s) == "" })
	}
	return []*script{
		{name: "raid-rebuild-member", cfg: raidConfig(6, 0), double: true, setup: folded("RAID5-2"), run: func(s *session) {
			s.lose(func(g *dfs.ParityGroup) dfs.BlockID { return g.Members[0].Block.ID }, true)
			s.check("/r/a")
			rebuilt(s)
			s.check("/r/b")
		}, settled: allGrouped},
		{name: "raid-rebuild-parity", cfg: raidConfig(6, 0), double: true, setup: folded("RAID5-2"), run: func(s *session) {
			s.lose(func(g *dfs.ParityGroup) dfs.BlockID { return g.Parity.ID }, true)
			s.check("/r/a")
			rebuilt(s)
			s.check("/r/c")
		}, settled: allGrouped},
		{name: "raid-rebuild-wide", cfg: raidConfig(7, 0), double: true, setup: folded("RAID5"), run: func(s *session) {
			s.lose(func(g *dfs.ParityGroup) dfs.BlockID { return g.Members[1].Block.ID }, true)
			s.check("/r/a")
			rebuilt(s)
			s.check("/r/b")
		}, settled: allGrouped},
		{name: "raid-read-wide", cfg: raidConfig(7, 0), setup: folded("RAID5"), run: func(s *session) {
			s.check("/r/a")
			s.check("/r/c")
		}, settled: allGrouped},
		{name: "raid-old-replicas", cfg: raidConfig(6, 0), double: true, setup: folded("RAID5-2"), run: func(s *session) {
			p := s.lose(func(g *dfs.ParityGroup) dfs.BlockID { return g.Members[0].Block.ID }, false)
			s.remove("/r/b")
			s.appendTo("/r/c", 900, 2)
			rebuilt(s)
			if p != nil && !p.Alive() {
				s.restart(p)
			}
			s.await("calm", func() bool { return s.unrest() == "" })
			s.check("/r/a")
		}, settled: allGrouped},
		{name: "raid-back-early", cfg: raidConfig(6, 0), double: true, setup: folded("RAID5-2"), run: func(s *session) {
			p := s.lose(func(g *dfs.ParityGroup) dfs.BlockID { return g.Members[0].Block.ID }, false)
			s.check("/r/a")
			s.sleep(16 * time.Second) // it counts as dead, and rebuilding has begun
			if p != nil && !p.Alive() {
				s.restart(p)
			}
			s.await("calm", func() bool { return s.unrest() == "" })
		}, settled: allGrouped},
	}
}

// spoilScripts are what follows a byte that a disk has changed by itself.
func spoilScripts() []*script {
	scrubbed := func() Config {
		cfg := raidConfig(6, 0)
		cfg.DataNode = func(_ int, dn *datanode.Config) {
			dn.Limits.ScrubBandwidth, dn.Limits.ScrubPeriod = 1<<20, 20*time.Second
		}
		return cfg
	}
	spoil := func(which func(g *dfs.ParityGroup) dfs.BlockID) func(s *session) {
		return func(s *session) {
			id := s.spoil(which)
			s.check("/r/a")
			s.await("repaired", func() bool {
				disks, err := s.c.Replicas()
				return err == nil && len(disks[id]) > 0 && s.unrest() == "" && s.untidy() == ""
			})
			s.check("/r/a")
		}
	}
	return []*script{
		{name: "raid-spoiled-member", cfg: scrubbed(), double: true, setup: folded("RAID5-2"),
			run: spoil(func(g *dfs.ParityGroup) dfs.BlockID { return g.Members[0].Block.ID }), settled: allGrouped},
		{name: "raid-spoiled-parity", cfg: scrubbed(), double: true, setup: folded("RAID5-2"),
			run: spoil(func(g *dfs.ParityGroup) dfs.BlockID { return g.Parity.ID }), settled: allGrouped},
	}
}

// spoil changes a byte of a block of the first group on its disk.
func (s *session) spoil(which func(g *dfs.ParityGroup) dfs.BlockID) dfs.BlockID {
	nn := s.c.NameNode()
	if nn == nil {
		return 0
	}
	for _, g := range nn.ParityGroups() {
		if err := s.c.Spoil(which(&g)); err != nil {
			s.refuse("spoil", err)
		}
		return which(&g)
	}
	return 0
}

// lose takes the datanode down that holds a block of the first group, with its disk or
// without.
func (s *session) lose(which func(g *dfs.ParityGroup) dfs.BlockID, wipe bool) *Party {
	nn := s.c.NameNode()
	disks, err := s.c.Replicas()
	if nn == nil || err != nil {
		return nil
	}
	for _, g := range nn.ParityGroups() {
		for p := range disks[which(&g)] {
			if p.Alive() {
				s.wiped[p] = wipe
				s.c.Kill(p, Reset)
				return p
			}
		}
	}
	return nil
}

// drainOne takes a datanode out of service and back in.
func drainOne(s *session) {
	s.exclude("data2")
	s.call("refresh", s.cl.RefreshNodes(s.ctx))
	s.await("drained", func() bool {
		n := s.c.NameNode().Blocks().Nodes
		return n.Decommissioned == 1
	})
	s.check("/r/a")
	s.exclude("")
	s.call("refresh", s.cl.RefreshNodes(s.ctx))
	s.check("/r/b")
}

// TestKillRaid kills each party at the events of every path that a block under RAID5 can
// take.
func TestKillRaid(t *testing.T) {
	for _, sc := range slices.Concat(makingScripts(), changingScripts(), lossScripts(), spoilScripts()) {
		t.Run(sc.name, func(t *testing.T) {
			if sc.runs == 0 {
				sc.runs = 35
			}
			sum := killEverywhere(t, sc)
			sum.print(t, sc.name)
		})
	}
}
