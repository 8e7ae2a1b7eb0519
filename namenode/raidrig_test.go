package namenode

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/namespace"
	"redoubt/raid"
	"redoubt/wire/control"
)

// raidRig is a rig on virtual time whose datanodes keep what they are told to: bytes, in
// replicas, which they copy, fold and remove as they are ordered.
type raidRig struct {
	*rig
	truth map[dfs.BlockID][]byte // of every block that was ever written or folded
	disks map[string]map[dfs.BlockID]kept
	down  map[string]bool
	// intercept sees each order before it is carried out; true: it has been dealt with.
	intercept func(d *fakeNode, c control.Command) bool
	// calm says that every block must survive the loss of any one node, and is held to it
	// after every step.
	calm   bool
	wrote  time.Time // when blocks came to wait for a group last
	scrubs map[dfs.BlockID]int
}

// kept is a replica on a fake disk.
type kept struct {
	block dfs.Block
	data  []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// raidTest runs a test on virtual time with so many datanodes, each on a rack of its own.
func raidTest(t *testing.T, nodes int, test func(t *testing.T, r *raidRig), change ...func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		r := &raidRig{truth: map[dfs.BlockID][]byte{}, disks: map[string]map[dfs.BlockID]kept{}, down: map[string]bool{}, calm: true, scrubs: map[dfs.BlockID]int{}}
		set := func(c *Config) {
			c.Topology = func(d dfs.DatanodeID) string { return "/rack-" + d.UUID }
			c.Blocks.Liveness = blockmanager.Liveness{Heartbeat: time.Second, Recheck: time.Second, Stale: 5 * time.Second}
			c.Blocks.Repair.Interval = time.Second
			c.Blocks.Repair.PendingTimeout = 30 * time.Second
			c.Blocks.Parity = blockmanager.Folding{Idle: 10 * time.Second, Retry: 5 * time.Second}
		}
		r.rig = newRig(t, nodes, append([]func(*Config){set}, change...)...)
		for _, d := range r.nodes {
			r.disks[d.id.UUID] = map[dfs.BlockID]kept{}
		}
		r.mkdir("root", "/r", 0o777)
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/r", "RAID5"))
		test(t, r)
	})
}

// put writes a closed file of blocks of these lengths.
func (r *raidRig) put(p string, lengths ...int64) []dfs.Block {
	r.t.Helper()
	r.create("root", p, "writer")
	return r.fill(p, nil, lengths...)
}

// pairs writes a closed file of blocks of these lengths, two at a time: of what is being
// written, placement gives a datanode that folds no more than that, and the rest to others.
func (r *raidRig) pairs(p string, lengths ...int64) (blocks []dfs.Block) {
	r.t.Helper()
	for i := 0; i < len(lengths); i += 2 {
		var last *dfs.Block
		if i == 0 {
			r.create("root", p, "writer")
		} else {
			lb, _, err := r.Append(ctx, by("root"), p, "writer", dfs.CreateFlagNewBlock)
			require.NoError(r.t, err)
			last = &lb.Block
		}
		blocks = append(blocks, r.fill(p, last, lengths[i:min(i+2, len(lengths))]...)...)
	}
	return blocks
}

// fill adds blocks to an open file and closes it.
func (r *raidRig) fill(p string, previous *dfs.Block, lengths ...int64) (blocks []dfs.Block) {
	r.t.Helper()
	r.wrote = time.Now()
	for _, l := range lengths {
		c := by("root")
		c.Addr = netip.MustParseAddr("192.168.0.1") // on no datanode's machine
		lb, err := r.AddBlock(ctx, c, &dfs.AddBlockRequest{Path: p, Holder: "writer", Previous: previous})
		require.NoError(r.t, err)
		b := lb.Block
		b.Length = l
		data := make([]byte, l)
		src := rand.NewChaCha8([32]byte{byte(b.ID), byte(b.ID >> 8)})
		_, _ = src.Read(data) // never fails
		r.truth[b.ID] = data
		for _, loc := range lb.Locs {
			r.keep(r.node(loc.Node.UUID), b, data)
		}
		blocks, previous = append(blocks, b), &b
	}
	done, err := r.Complete(ctx, by("root"), p, "writer", previous, 0)
	require.NoError(r.t, err)
	require.True(r.t, done)
	return blocks
}

// good reports whether a replica's checksums would hold.
func (r *raidRig) good(k kept) bool { return bytes.Equal(k.data, r.truth[k.block.ID]) }

// keep stores a replica and reports it.
func (r *raidRig) keep(d *fakeNode, b dfs.Block, data []byte) {
	r.disks[d.id.UUID][b.ID] = kept{b, slices.Clone(data)}
	d.event(control.EventReceived, b)
}

// step has every datanode that is up beat once and do what it is told, and lets a second pass.
func (r *raidRig) step() {
	r.t.Helper()
	for _, d := range r.nodes {
		if r.down[d.id.UUID] {
			continue
		}
		d.beat()
		orders := d.orders
		d.orders = nil
		for _, c := range orders {
			if r.intercept == nil || !r.intercept(d, c) {
				r.carry(d, c)
			}
		}
	}
	if r.calm {
		r.survives()
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

// until steps until ok, at most for some virtual minutes.
func (r *raidRig) until(what string, ok func() bool) {
	r.t.Helper()
	for range 300 {
		if ok() {
			return
		}
		r.step()
	}
	r.t.Fatalf("never: %s\n%+v\n%s", what, r.Blocks().Parity, r.dump())
}

func (r *raidRig) steps(n int) {
	r.t.Helper()
	for range n {
		r.step()
	}
}

// dump lists who holds what.
func (r *raidRig) dump() (s string) {
	for _, d := range r.nodes {
		s += fmt.Sprintf("%s down=%v %v\n", d.id.UUID, r.down[d.id.UUID], slices.Sorted(maps.Keys(r.disks[d.id.UUID])))
	}
	r.NameNode.state.RLock()
	defer r.NameNode.state.RUnlock()
	r.ns.EachGroup(func(g dfs.ParityGroup) bool {
		s += fmt.Sprintf("group %d of", g.Parity.ID)
		for _, m := range g.Members {
			s += fmt.Sprintf(" %d(%v)", m.Block.ID, m.Departed)
		}
		s += "\n"
		return true
	})
	return s
}

// carry does what a datanode is told.
func (r *raidRig) carry(d *fakeNode, c control.Command) {
	disk := r.disks[d.id.UUID]
	switch c.Kind {
	case control.CmdRegister, control.CmdReport:
		r.reportAll(d)
	case control.CmdInvalidate:
		for _, b := range c.Blocks {
			if have, ok := disk[b.ID]; ok && have.block.GenStamp == b.GenStamp {
				delete(disk, b.ID)
				d.event(control.EventDeleted, have.block)
			}
		}
	case control.CmdTransfer, control.CmdMove:
		have, ok := disk[c.Block.ID]
		for _, t := range c.Targets {
			if to := r.node(t.Node.UUID); ok && !r.down[t.Node.UUID] && r.good(have) {
				r.keep(to, have.block, have.data)
			}
		}
	case control.CmdFold:
		r.fold(d, c)
	case control.CmdScrubGroup:
		r.scrubs[c.Block.ID]++
	}
}

// fold makes what a CmdFold asks for and tells how it went.
func (r *raidRig) fold(d *fakeNode, c control.Command) *control.FoldDoneRequest {
	done := &control.FoldDoneRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID, Block: c.Block, Storage: d.disk.UUID}
	var out []byte
	for _, s := range c.Sources {
		from, ok := r.disks[d.id.UUID][s.Block.ID]
		for _, t := range s.Targets {
			if !ok && !r.down[t.Node.UUID] {
				from, ok = r.disks[t.Node.UUID][s.Block.ID]
			}
		}
		if !ok || from.block != s.Block || !r.good(from) {
			done.Err = fmt.Sprintf("no good source %v", s.Block)
			require.NoError(r.t, r.FoldDone(ctx, done))
			return done
		}
		crc := crcOf(from.data)
		require.True(r.t, !s.HasCRC || s.CRC == crc, "the name node knows another sum of %s", s.Block)
		done.Members = append(done.Members, dfs.ParityMember{Block: s.Block, CRC: crc, Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
		out = append(out, make([]byte, max(0, len(from.data)-len(out)))...)
		for i, x := range from.data {
			out[i] ^= x
		}
	}
	if c.Block.Length >= 0 {
		out = append(out, make([]byte, max(0, int(c.Block.Length)-len(out)))...)[:c.Block.Length]
	}
	done.Block.Length, done.CRC = int64(len(out)), crcOf(out)
	require.True(r.t, !c.Sum.HasCRC || c.Sum.CRC == done.CRC, "the name node expects another sum of %s", c.Block)
	if was, ok := r.truth[c.Block.ID]; ok {
		require.Equal(r.t, was, out, "%s made again", c.Block)
	}
	r.truth[c.Block.ID] = out
	r.keep(d, done.Block, out)
	require.NoError(r.t, r.FoldDone(ctx, done))
	return done
}

func (r *raidRig) reportAll(d *fakeNode) {
	d.register()
	var blocks []dfs.Block
	for _, id := range slices.Sorted(maps.Keys(r.disks[d.id.UUID])) {
		blocks = append(blocks, r.disks[d.id.UUID][id].block)
	}
	d.report(blocks...)
}

// restartAll restarts the name node; the datanodes come back with what they have.
func (r *raidRig) restartAll() {
	r.stop()
	for _, d := range r.nodes {
		d.orders = nil
	}
	r.start()
	for _, d := range r.nodes {
		if !r.down[d.id.UUID] {
			r.reportAll(d)
		}
	}
}

func (r *raidRig) kill(uuid string) { r.down[uuid] = true }

func (r *raidRig) revive(uuid string) {
	delete(r.down, uuid)
	r.reportAll(r.node(uuid))
}

// holders lists the nodes that are up and hold a good replica of a block.
func (r *raidRig) holders(b dfs.Block) (uuids []string) {
	for _, d := range r.nodes {
		if have, ok := r.disks[d.id.UUID][b.ID]; ok && have.block == b && !r.down[d.id.UUID] && bytes.Equal(have.data, r.truth[b.ID]) {
			uuids = append(uuids, d.id.UUID)
		}
	}
	return uuids
}

// survives holds every complete block to it that any one node may be lost.
func (r *raidRig) survives() {
	r.t.Helper()
	n := r.NameNode
	n.state.RLock()
	defer n.state.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(r.truth)) {
		b, ok := n.ns.Block(id)
		if !ok || b.Kind != dfs.BlockOfFile || b.State != namespace.BlockCompleted {
			continue
		}
		for _, lost := range r.nodes {
			without := func(b dfs.Block) bool {
				return slices.ContainsFunc(r.holders(b), func(uuid string) bool { return uuid != lost.id.UUID })
			}
			if without(b.Block) {
				continue
			}
			g, ok := n.ns.Group(b.Group)
			others := ok && without(g.Parity)
			for _, m := range g.Members {
				others = others && (m.Block.ID == id || without(m.Block))
			}
			if !others {
				r.t.Fatalf("%s (group %d) would be lost with %s: it is on %v", b.Block, b.Group, lost.id.UUID, r.holders(b.Block))
			}
		}
	}
}

// readable reads every block of a file as a client does: at the first place it is sent to,
// which makes it from its group if it has no replica.
func (r *raidRig) readable(p string) {
	r.t.Helper()
	lb, err := r.BlockLocations(by("root"), p, 0, 1<<40)
	require.NoError(r.t, err)
	for _, b := range lb.Blocks {
		require.False(r.t, b.Corrupt, "%s", b.Block)
		require.NotEmpty(r.t, b.Locs, "%s of %s\n%s", b.Block, p, r.dump())
		var first string
		for _, loc := range b.Locs { // a client goes on to the next place by itself
			have, ok := r.disks[loc.Node.UUID][b.ID]
			if !r.down[loc.Node.UUID] && (!ok || r.good(have)) {
				first = loc.Node.UUID
				break
			}
		}
		require.NotEmpty(r.t, first, "%s: only dead and bad places\n%s", b.Block, r.dump())
		if _, ok := r.disks[first][b.ID]; ok {
			continue
		}
		require.True(r.t, bytes.Equal(r.truth[b.ID], r.remade(first, b.Block)), "%s made by %s", b.Block, first)
	}
}

// remade is what a datanode makes of a block that it does not have.
func (r *raidRig) remade(uuid string, b dfs.Block) []byte {
	r.t.Helper()
	reply, err := r.Sources(ctx, &control.SourcesRequest{UUID: uuid, PoolID: r.Info().PoolID, Block: b})
	require.NoError(r.t, err)
	out := make([]byte, 0)
	var sums []raid.Sum
	for _, s := range reply.Sources {
		var from kept
		ok := false
		for _, t := range s.Targets {
			if !ok && !r.down[t.Node.UUID] {
				from, ok = r.disks[t.Node.UUID][s.Block.ID]
				ok = ok && r.good(from)
			}
		}
		require.True(r.t, ok, "no place has the source %s", s.Block)
		require.True(r.t, s.HasCRC)
		require.Equal(r.t, crcOf(from.data), s.CRC)
		sums = append(sums, raid.Sum{CRC: s.CRC, Length: s.Block.Length})
		out = append(out, make([]byte, max(0, len(from.data)-len(out)))...)
		for i, x := range from.data {
			out[i] ^= x
		}
	}
	out = append(out, make([]byte, max(0, int(reply.Block.Length)-len(out)))...)[:reply.Block.Length]
	require.Equal(r.t, crcOf(out), reply.Sum.CRC)
	return out
}

// groupsNow lists the logged groups.
func (r *raidRig) groupsNow() (list []dfs.ParityGroup) {
	r.NameNode.state.RLock()
	defer r.NameNode.state.RUnlock()
	r.ns.EachGroup(func(g dfs.ParityGroup) bool {
		g.Members = slices.Clone(g.Members)
		list = append(list, g)
		return true
	})
	return list
}

func (r *raidRig) groupOf(b dfs.Block) dfs.BlockID {
	r.NameNode.state.RLock()
	defer r.NameNode.state.RUnlock()
	return r.ns.GroupOf(b.ID)
}

// maxAlone is how many blocks may be left over that found no others to form a group with.
const maxAlone = 2

// settled reports that the blocks given are in groups, but for a few that found no company,
// and that all disks together hold one replica of each block and parity, two of those
// blocks, and nothing else.
func (r *raidRig) settled(files ...[]dfs.Block) bool {
	want := map[dfs.BlockID]bool{}
	alone := 0
	for _, g := range r.groupsNow() {
		want[g.Parity.ID] = true
		for _, m := range g.Members {
			want[m.Block.ID] = true
		}
	}
	for _, f := range files {
		for _, b := range f {
			if r.groupOf(b) == 0 {
				if alone++; alone > maxAlone || time.Since(r.wrote) < time.Minute || len(r.holders(b)) != 2 {
					return false
				}
				want[b.ID] = true
			}
		}
	}
	total := 0
	for _, d := range r.nodes {
		for id := range r.disks[d.id.UUID] {
			if !want[id] && !r.down[d.id.UUID] {
				return false
			}
			if !r.down[d.id.UUID] {
				total++
			}
		}
	}
	return total == len(want)+alone && r.Blocks().Parity.Forming == 0
}

// used adds up the bytes on all disks.
func (r *raidRig) used() (n int64) {
	for _, disk := range r.disks {
		for _, k := range disk {
			n += k.block.Length
		}
	}
	return n
}
