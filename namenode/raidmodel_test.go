package namenode

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
)

var (
	raidSeeds = flag.Int("namenode.seeds", 8, "histories of TestRaidHistories")
	raidSeed  = flag.Uint64("namenode.seed", 0, "only this one")
)

// history is a random sequence of what users, datanodes and the name node can do.
type history struct {
	*raidRig
	rnd   *rand.Rand
	files []string
	made  int
	log   []string
}

// TestRaidHistories: random histories under RAID5 with one node down or one replica spoilt at
// a time, orders and answers lost, and restarts of the name node. At every step every file can be read whole; while
// all nodes are up and nothing is amiss any one could be lost; in the end everything is in
// groups, and nothing is left over.
func TestRaidHistories(t *testing.T) {
	seeds := []uint64{*raidSeed}
	if *raidSeed == 0 {
		seeds = seeds[:0]
		n := *raidSeeds
		if testing.Short() {
			n = min(n, 2)
		}
		for i := range n {
			seeds = append(seeds, uint64(i+1))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			raidTest(t, 5+rnd.IntN(3), func(t *testing.T, r *raidRig) {
				h := &history{raidRig: r, rnd: rnd}
				defer func() {
					if t.Failed() {
						t.Logf("seed %d: %v", seed, h.log)
					}
				}()
				h.run(60)
			}, func(c *Config) { c.Blocks.Seed = seed; c.Files.Parity.ScrubPeriod = 10 * time.Minute })
		})
	}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *history) run(actions int) {
	h.calm = false
	h.mkdir("root", "/p", 0o777)
	h.intercept = h.lose
	for range actions {
		h.act()
		for range h.rnd.IntN(8) {
			h.step()
			h.look()
		}
	}
	h.intercept = nil
	h.wholeAgain()
	h.wrote = time.Now()
	h.note("the end")
	for _, dir := range []string{"/r", "/p"} { // a rename may have brought a file under another policy
		require.NoError(h.t, h.SatisfyStoragePolicy(ctx, by("root"), dir))
	}
	var last []dfs.Block
	h.until("all is well", func() bool {
		last = last[:0]
		for _, p := range h.files {
			last = append(last, h.blocksOf(p)...)
		}
		return time.Since(h.wrote) > 2*time.Minute && h.tidy(last)
	})
	h.survives()
	h.look()
	for _, p := range h.files {
		_, err := h.Delete(ctx, by("root"), p, false)
		require.NoError(h.t, err)
	}
	h.until("nothing is left", func() bool { return h.used() == 0 && len(h.groupsNow()) == 0 })
}

// look reads every closed file.
func (h *history) look() {
	h.t.Helper()
	if h.SafeModeText() != "" {
		return // reports are coming in
	}
	for _, p := range h.files {
		if closed, err := h.IsFileClosed(by("root"), p); err == nil && closed {
			h.readable(p)
		}
	}
}

// lose drops some orders, and some answers.
func (h *history) lose(d *fakeNode, c control.Command) bool {
	switch {
	case c.Kind == control.CmdRecover:
		h.cut(c)
		return true
	case c.Kind != control.CmdFold:
		return h.rnd.IntN(30) == 0 && c.Kind == control.CmdTransfer
	case h.rnd.IntN(6) == 0:
		return true
	case h.rnd.IntN(6) == 0:
		done := h.fold(d, c)
		require.NoError(h.t, h.FoldDone(ctx, done), "told twice")
		return true
	}
	return false
}

// cut ends a truncate's recovery.
func (h *history) cut(c control.Command) {
	if c.NewLength < 0 || int64(len(h.truth[c.Block.ID])) < c.NewLength {
		return
	}
	h.truth[c.Block.ID] = h.truth[c.Block.ID][:c.NewLength:c.NewLength]
	b := dfs.Block{ID: c.Block.ID, GenStamp: c.RecoveryID, Length: c.NewLength}
	req := &control.CommitSyncRequest{PoolID: h.Info().PoolID, Block: c.Block, NewStamp: c.RecoveryID, NewLength: c.NewLength, Close: true}
	for _, t := range c.Targets {
		if !h.down[t.Node.UUID] {
			h.keep(h.node(t.Node.UUID), b, h.truth[b.ID])
			req.Targets = append(req.Targets, t)
		}
	}
	h.note("cut %d to %d on %d", c.Block.ID, c.NewLength, len(req.Targets))
	if err := h.CommitSync(ctx, req); err != nil {
		h.note("%v", err)
	}
}

func (h *history) pick() string {
	if len(h.files) == 0 {
		return ""
	}
	return h.files[h.rnd.IntN(len(h.files))]
}

func (h *history) act() {
	actions := []func(){h.write, h.write, h.write, h.write, h.remove, h.grow, h.truncate, h.overwrite, h.policy, h.kill1, h.kill1, h.restart, h.spoil, h.spoil, h.safeMode}
	actions[h.rnd.IntN(len(actions))]()
}

func (h *history) write() {
	dir := []string{"/r", "/r", "/r", "/p"}[h.rnd.IntN(4)]
	h.made++
	p := fmt.Sprintf("%s/f%d", dir, h.made)
	lengths := make([]int64, 1+h.rnd.IntN(4))
	for i := range lengths {
		lengths[i] = kib
	}
	lengths[len(lengths)-1] = 1 + h.rnd.Int64N(kib)
	h.note("write %s %v", p, lengths)
	h.put(p, lengths...)
	h.files = append(h.files, p)
}

func (h *history) remove() {
	p := h.pick()
	if p == "" {
		return
	}
	h.note("remove %s", p)
	_, err := h.Delete(ctx, by("root"), p, false)
	require.NoError(h.t, err)
	h.files = slices.DeleteFunc(h.files, func(s string) bool { return s == p })
}

func (h *history) grow() {
	p := h.pick()
	if p == "" {
		return
	}
	lb, _, err := h.Append(ctx, by("root"), p, "writer", dfs.CreateFlagNewBlock)
	if err != nil {
		h.note("append %s: %v", p, err)
		return
	}
	h.note("append %s", p)
	var last *dfs.Block
	if lb != nil {
		last = &lb.Block
	}
	h.fill(p, last, 1+h.rnd.Int64N(kib))
}

func (h *history) truncate() {
	p := h.pick()
	if p == "" {
		return
	}
	st := h.stat(p)
	length := h.rnd.Int64N(st.Length + 1)
	type answer struct {
		done bool
		err  error
	}
	ch := make(chan answer, 1)
	go func() {
		done, err := h.Truncate(ctx, by("root"), p, length, "cutter")
		ch <- answer{done, err}
	}()
	for range 100 {
		synctest.Wait()
		select {
		case a := <-ch:
			h.note("truncate %s from %d to %d: %v %v", p, st.Length, length, a.done, a.err)
			for i := 0; i < 100 && a.err == nil && !a.done; i++ {
				if closed, err := h.IsFileClosed(by("root"), p); err == nil && closed {
					return
				}
				h.step()
			}
			return
		default:
			h.step()
		}
	}
	h.t.Fatal("a truncate has no end")
}

func (h *history) overwrite() {
	p, q := h.pick(), h.pick()
	if p == q || p == "" {
		return
	}
	err := h.Rename2(ctx, by("root"), p, q, dfs.RenameOptions{Overwrite: true})
	h.note("rename %s to %s: %v", p, q, err)
	if err == nil {
		h.files = slices.DeleteFunc(h.files, func(s string) bool { return s == p })
	}
}

func (h *history) policy() {
	dir := []string{"/r", "/p"}[h.rnd.IntN(2)]
	name := []string{"RAID5", "RAID5-2", "RAID5-3", "HOT", "RAID5-16"}[h.rnd.IntN(5)]
	h.note("policy %s on %s", name, dir)
	require.NoError(h.t, h.SetStoragePolicy(ctx, by("root"), dir, name))
	err := h.SatisfyStoragePolicy(ctx, by("root"), dir)
	require.True(h.t, err == nil || dfs.Is(err, dfs.SafeMode), err)
}

// kill1 kills a node, or brings the one back that is down, if everything is whole without it.
func (h *history) kill1() {
	if len(h.down) > 0 {
		h.wholeAgain()
		return
	}
	h.whole()
	d := h.nodes[h.rnd.IntN(len(h.nodes))]
	h.note("kill %s", d.id.UUID)
	h.kill(d.id.UUID)
	h.look()
	for range h.rnd.IntN(30) {
		h.step()
		h.look()
	}
}

// spoil turns a byte of a replica that has been whole, and has its datanode find that.
func (h *history) spoil() {
	h.wholeAgain()
	d := h.nodes[h.rnd.IntN(len(h.nodes))]
	ids := slices.Sorted(maps.Keys(h.disks[d.id.UUID]))
	if len(ids) == 0 {
		return
	}
	k := h.disks[d.id.UUID][ids[h.rnd.IntN(len(ids))]]
	if len(k.data) == 0 {
		return
	}
	h.note("spoil %d on %s", k.block.ID, d.id.UUID)
	k.data[h.rnd.IntN(len(k.data))] ^= 1
	h.look() // before anybody knows
	require.NoError(h.t, h.BadBlocks(ctx, &control.BadBlocksRequest{Reporter: d.id.UUID,
		Blocks: []dfs.BadBlock{{Block: k.block, Nodes: []dfs.DatanodeID{d.id}, Storages: []string{d.disk.UUID}}}}))
	h.look()
	h.until("the damage is repaired", func() bool {
		h.look()
		now, ok := h.disks[d.id.UUID][k.block.ID]
		return !ok || h.good(now)
	})
}

func (h *history) safeMode() {
	h.note("safe mode")
	_, err := h.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
	require.NoError(h.t, err)
	h.raidRig.steps(h.rnd.IntN(20))
	_, err = h.SetSafeMode(ctx, by("root"), dfs.SafeModeLeave)
	require.NoError(h.t, err)
}

// wholeAgain waits until what a dead node had is elsewhere, and revives it.
func (h *history) wholeAgain() {
	for uuid := range h.down {
		if h.rnd.IntN(2) == 0 {
			h.until("dead", func() bool { h.look(); return h.Blocks().Nodes.Live == len(h.nodes)-1 })
			h.raidRig.steps(3) // what that means is still to be worked out
			h.until("made again", func() bool { h.look(); return h.redundant() })
		}
		h.note("revive %s", uuid)
		h.revive(uuid)
	}
	h.whole()
}

// whole waits until any node may be lost.
func (h *history) whole() {
	h.until("whole", func() bool {
		h.look()
		return len(h.down) == 0 && h.redundant() && h.Blocks().Nodes.Live == len(h.nodes)
	})
	h.survives()
}

func (h *history) redundant() bool {
	b := h.Blocks()
	return b.Blocks.LowRedundancy == 0 && b.Blocks.Missing == 0 && b.Parity.Degraded == 0 && b.Blocks.PendingRepair == 0 && b.Parity.Lost == 0
}

func (h *history) restart() {
	h.note("restart the name node")
	h.restartAll()
	h.until("out of safe mode", func() bool { return h.SafeModeText() == "" })
}

// tidy reports that each block has what its policy asks for, and that no replica is over.
func (h *history) tidy(blocks []dfs.Block) bool {
	want := map[dfs.BlockID]int{}
	for _, g := range h.groupsNow() {
		want[g.Parity.ID] = 1
		for _, m := range g.Members {
			if m.Departed {
				return false // a parity without it is due
			}
			want[m.Block.ID] = 1
		}
	}
	h.NameNode.state.RLock()
	for _, b := range blocks {
		info, _ := h.ns.Block(b.ID)
		if want[b.ID] == 0 {
			want[b.ID] = min(copies(h.policyOf(info.File), info.Replication), len(h.nodes))
		}
	}
	h.NameNode.state.RUnlock()
	have := map[dfs.BlockID]int{}
	for _, disk := range h.disks {
		for id := range disk {
			have[id]++
		}
	}
	for id, n := range want {
		if have[id] != n {
			return false
		}
	}
	return len(have) == len(want)
}
