package namespace

import (
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"redoubt/dfs"
	"redoubt/raid"

	"github.com/stretchr/testify/require"
)

// groupHistory is a history with helpers for parity groups.
type groupHistory struct{ *history }

// allocate hands out a parity of some length.
func (h groupHistory) allocate(length int64) dfs.Block {
	b := h.must(&ParityGroup{Action: GroupAllocate}).(*GroupChange).Parity
	b.Length = length
	return b
}

// crcOf stands for the checksum of a block's bytes.
func crcOf(b dfs.Block) uint32 {
	return crc32.Checksum([]byte(b.String()), crc32.MakeTable(crc32.Castagnoli))
}

func memberOf(b dfs.Block) dfs.ParityMember {
	return dfs.ParityMember{Block: b, CRC: crcOf(b), Checksum: dfs.ChecksumCRC32C, BytesPer: 512}
}

// commit makes the op that groups blocks under a new parity.
func (h groupHistory) commit(k int, replaces dfs.BlockID, blocks ...dfs.Block) *ParityGroup {
	o := &ParityGroup{Action: GroupCommit, Data: uint8(k), Replaces: replaces}
	longest := int64(0)
	var sums []raid.Sum
	for _, b := range blocks {
		o.Members = append(o.Members, memberOf(b))
		longest = max(longest, b.Length)
		sums = append(sums, raid.Sum{CRC: crcOf(b), Length: b.Length})
	}
	o.Parity = h.allocate(longest)
	sum := raid.ParityCRC(sums...)
	o.CRC = sum.CRC
	return o
}

// group groups blocks under a new parity.
func (h groupHistory) group(k int, replaces dfs.BlockID, blocks ...dfs.Block) *GroupChange {
	h.t.Helper()
	return h.must(h.commit(k, replaces, blocks...)).(*GroupChange)
}

// blocks lists the blocks of files.
func (h groupHistory) blocks(paths ...string) (list []dfs.Block) {
	for _, p := range paths {
		for _, b := range h.s.Blocks(nil, h.id(p), 0, 1<<40) {
			list = append(list, b.Block)
		}
	}
	return list
}

// goldenGroupHistory leads to a state with groups of all sorts.
func goldenGroupHistory(t *testing.T) *history {
	h := groupHistory{newHistory(t)}
	for _, name := range []string{"/a", "/b", "/c", "/d", "/e"} {
		h.file(name, 1<<20+int64(name[1]))
	}
	h.must(&SetAttr{Target: h.id("/a"), Mask: AttrPolicy, Policy: 36})
	b := h.blocks("/a", "/b", "/c", "/d", "/e")
	require.Len(t, b, 10)
	first := h.group(4, 0, b[0], b[2], b[4], b[6])
	second := h.group(2, 0, b[1], b[3])
	third := h.commit(16, 0, b[5], b[7], b[8])
	third.Members[1].Checksum, third.Members[1].BytesPer = dfs.ChecksumCRC32, 4096
	h.must(third)
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "b"})
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "d"})
	h.group(4, first.Parity.ID, b[9], b[4], b[0], b[2]) // b[6] is freed, b[2] stays and is of no file
	h.must(&ParityGroup{Head: Head{Call: dfs.CallID{Client: [16]byte{4}, Call: 3}}, Action: GroupDissolve, Parity: dfs.Block{ID: second.Parity.ID}})
	h.must(&Append{File: h.id("/a"), Holder: "h", Machine: "m"})
	return h.history
}

// withGroups adds a file to a tree, and a group of two of its blocks and a departed one.
func withGroups(h *history) {
	g := groupHistory{h}
	h.file("/g/f", 2<<20+1)
	h.file("/gone", 9)
	b := g.blocks("/g/f", "/gone")
	g.group(4, 0, b[0], b[2], b[3])
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "gone"})
	g.allocate(0)
}

func TestGoldenImageWithGroups(t *testing.T) {
	s := testGoldenImage(t, goldenGroups, goldenGroupHistory(t))
	c := s.Counts()
	require.EqualValues(t, []int64{2, 7, 2}, []int64{c.Groups, c.Members, c.Departed})
}

func TestLifeOfAGroup(t *testing.T) {
	h := groupHistory{newHistory(t)}
	h.file("/a", 3<<20)
	h.file("/b", 77)
	b := h.blocks("/a", "/b")
	before := h.s.Digest()

	parity := h.allocate(0)
	require.Equal(t, b[3].ID+1, parity.ID)
	require.Equal(t, b[3].GenStamp+1, parity.GenStamp)
	require.Equal(t, Counts{Groups: 0}.Groups, h.s.Counts().Groups, "what is allocated is not kept")
	require.NotEqual(t, before, h.s.Digest(), "but counted")

	r := h.group(4, 0, b[0], b[1], b[3])
	require.Empty(t, r.Removed)
	require.Empty(t, r.Left)
	g, ok := h.s.Group(r.Parity.ID)
	require.True(t, ok)
	require.Equal(t, r.Group, g)
	require.Equal(t, dfs.ParityGroup{Parity: r.Parity, CRC: r.Group.CRC, Data: 4, Members: []dfs.ParityMember{memberOf(b[0]), memberOf(b[1]), memberOf(b[3])}}, g)
	require.EqualValues(t, 1<<20, r.Parity.Length)
	for i, want := range []dfs.BlockID{r.Parity.ID, r.Parity.ID, 0, r.Parity.ID} {
		require.Equal(t, want, h.s.GroupOf(b[i].ID))
		info, ok := h.s.Block(b[i].ID)
		require.True(t, ok)
		require.Equal(t, want, info.Group)
		require.Equal(t, dfs.BlockOfFile, info.Kind)
	}
	require.Equal(t, r.Parity.ID, h.s.GroupOf(r.Parity.ID))
	info, ok := h.s.Block(r.Parity.ID)
	require.True(t, ok)
	require.Equal(t, BlockInfo{Block: r.Parity, State: BlockCompleted, Replication: 1, Kind: dfs.BlockOfParity, Group: r.Parity.ID}, info)
	require.EqualValues(t, []int64{4, 1, 3, 0, 1 << 20}, h.groupCounts())

	// The file of one member goes: its bytes are needed until a parity without them is logged.
	d := h.must(&Delete{Parent: dfs.RootInodeID, Name: "b"}).(*Deleted)
	require.Empty(t, d.Blocks)
	require.Equal(t, []dfs.BlockID{r.Parity.ID}, d.Groups)
	info, ok = h.s.Block(b[3].ID)
	require.True(t, ok)
	require.Equal(t, BlockInfo{Block: b[3], State: BlockCompleted, Replication: 1, Kind: dfs.BlockDeparted, Group: r.Parity.ID}, info)
	require.EqualValues(t, []int64{3, 1, 3, 1, 1 << 20}, h.groupCounts())
	h.s.EachBlock(func(b BlockInfo) bool { require.Equal(t, dfs.BlockOfFile, b.Kind); return true })

	// A new parity takes another block in and lets the departed one go.
	r2 := h.group(4, r.Parity.ID, b[2], b[0])
	require.Equal(t, []dfs.Block{b[3], r.Parity}, r2.Removed)
	require.Equal(t, []dfs.Block{b[1]}, r2.Left)
	_, ok = h.s.Group(r.Parity.ID)
	require.False(t, ok)
	_, ok = h.s.Block(b[3].ID)
	require.False(t, ok)
	require.Zero(t, h.s.GroupOf(b[1].ID))

	r3 := h.must(&ParityGroup{Action: GroupDissolve, Parity: dfs.Block{ID: r2.Parity.ID}}).(*GroupChange)
	require.Equal(t, r2.Parity, r3.Parity)
	require.Equal(t, []dfs.Block{r2.Parity}, r3.Removed)
	require.Equal(t, []dfs.Block{b[2], b[0]}, r3.Left)
	require.EqualValues(t, []int64{3, 0, 0, 0, 0}, h.groupCounts())
	require.NoError(t, h.s.Check())
	h.replayed()
	restored(t, h.s)
}

func (h groupHistory) groupCounts() []int64 {
	c := h.s.Counts()
	return []int64{c.Blocks, c.Groups, c.Members, c.Departed, c.ParityBytes}
}

// refused carries an op out that must fail and change nothing.
func (h groupHistory) refused(kind dfs.Kind, op Op, why string) {
	h.t.Helper()
	before := h.s.Digest()
	_, err := h.apply(op)
	require.Error(h.t, err, why)
	require.Equal(h.t, kind, dfs.KindOf(err), "%s: %v", why, err)
	require.Equal(h.t, before, h.s.Digest(), why)
	require.NoError(h.t, h.s.Check(), why)
}

func TestCommitIsHeldAgainstTheState(t *testing.T) {
	h := groupHistory{newHistory(t)}
	h.file("/a", 6<<20+5)
	b := h.blocks("/a")
	open := h.create("/open", "w")
	writing := h.must(&AddBlock{File: open, Holder: "w"}).(*AddedBlock).Block
	other := h.group(2, 0, b[5], b[6])
	for _, c := range []struct {
		why  string
		kind dfs.Kind
		with func(o *ParityGroup)
	}{
		{"another stamp", dfs.Stale, func(o *ParityGroup) { o.Members[1].Block.GenStamp++ }},
		{"another length", dfs.Stale, func(o *ParityGroup) { o.Members[1].Block.Length-- }},
		{"an unknown block", dfs.Stale, func(o *ParityGroup) { o.Members[1].Block.ID = 5 }},
		{"a block that is written", dfs.Stale, func(o *ParityGroup) { o.Members[1] = memberOf(writing) }},
		{"a member of another group", dfs.Stale, func(o *ParityGroup) { o.Members[1] = memberOf(b[5]) }},
		{"a parity", dfs.Stale, func(o *ParityGroup) { o.Members[1] = memberOf(other.Parity) }},
		{"a group that is not there", dfs.Stale, func(o *ParityGroup) { o.Replaces = 77 }},
		{"a member in place of a group", dfs.Stale, func(o *ParityGroup) { o.Replaces = b[5].ID }},
		{"a parity that was not handed out", dfs.Stale, func(o *ParityGroup) { o.Parity.ID = 1 << 39 }},
		{"a stamp that was not handed out", dfs.Stale, func(o *ParityGroup) { o.Parity.GenStamp = 1 << 39 }},
		{"no parity", dfs.IllegalArgument, func(o *ParityGroup) { o.Parity = dfs.Block{} }},
		{"a file's block as parity", dfs.Stale, func(o *ParityGroup) { o.Parity.ID = b[3].ID }},
		{"another group's parity", dfs.Stale, func(o *ParityGroup) { o.Parity.ID = other.Parity.ID }},
		{"too short a parity", dfs.IllegalArgument, func(o *ParityGroup) { o.Parity.Length-- }},
		{"too long a parity", dfs.IllegalArgument, func(o *ParityGroup) { o.Parity.Length++ }},
		{"no members", dfs.IllegalArgument, func(o *ParityGroup) { o.Members, o.Parity.Length = nil, 0 }},
		{"too many members", dfs.IllegalArgument, func(o *ParityGroup) { o.Data = 2 }},
		{"k too small", dfs.IllegalArgument, func(o *ParityGroup) { o.Data = 1 }},
		{"k too large", dfs.IllegalArgument, func(o *ParityGroup) { o.Data = 17 }},
		{"a member twice", dfs.IllegalArgument, func(o *ParityGroup) { o.Members[1] = o.Members[0] }},
		{"its own member", dfs.IllegalArgument, func(o *ParityGroup) { o.Parity.ID = b[0].ID }},
		{"a negative length", dfs.IllegalArgument, func(o *ParityGroup) { o.Members[1].Block.Length = -1 }},
		{"an unknown checksum", dfs.IllegalArgument, func(o *ParityGroup) { o.Members[1].Checksum = 9 }},
		{"bytes per checksum", dfs.IllegalArgument, func(o *ParityGroup) { o.Members[1].BytesPer = -1 }},
		{"an unknown action", dfs.IllegalArgument, func(o *ParityGroup) { o.Action = 9 }},
		{"a group to dissolve", dfs.Stale, func(o *ParityGroup) { o.Action = GroupDissolve }},
		{"a member to dissolve", dfs.Stale, func(o *ParityGroup) { o.Action, o.Parity.ID = GroupDissolve, b[5].ID }},
	} {
		o := h.commit(4, 0, b[0], b[1], b[2])
		c.with(o)
		h.refused(c.kind, o, c.why)
	}
	good := h.commit(4, 0, b[0], b[1], b[2])
	h.must(good)
	h.refused(dfs.Stale, good, "the same again")
	damaged := h.commit(4, good.Parity.ID, b[0], b[1], b[3])
	damaged.Members[0].CRC++
	h.refused(dfs.Stale, damaged, "a member with other bytes than the group has recorded")
	h.refused(dfs.Stale, h.commit(4, good.Parity.ID, b[0], b[5]), "taking a member of a third group")
	h.replayed()
}

// TestDepartedMembersStayOrGo replaces groups some of whose members have no file any more.
func TestDepartedMembersStayOrGo(t *testing.T) {
	h := groupHistory{newHistory(t)}
	for _, name := range []string{"/a", "/b", "/c", "/d"} {
		h.file(name, 1000)
	}
	b := h.blocks("/a", "/b", "/c", "/d")
	g := h.group(4, 0, b[0], b[1], b[2])
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "a"})
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "b"})
	// A parity that was being made when /b went still has it in it.
	o := h.commit(4, g.Parity.ID, b[3], b[1], b[2])
	r := h.must(o).(*GroupChange)
	require.Equal(t, []dfs.Block{b[0], g.Parity}, r.Removed)
	require.Equal(t, []bool{false, true, false}, []bool{r.Group.Members[0].Departed, r.Group.Members[1].Departed, r.Group.Members[2].Departed})
	h.refused(dfs.Stale, h.commit(4, r.Parity.ID, b[1]), "only departed members")
	h.refused(dfs.Stale, h.commit(4, 0, b[1], b[3]), "departed members of a group that is not replaced")
	h.refused(dfs.Stale, h.commit(4, r.Parity.ID, b[0], b[3]), "a block that is freed")
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "c"})
	d := h.must(&Delete{Parent: dfs.RootInodeID, Name: "d"}).(*Deleted)
	require.Equal(t, []dfs.Block{b[3], b[1], b[2], r.Parity}, d.Blocks, "with its last member a group ends")
	require.Equal(t, []dfs.BlockID{r.Parity.ID}, d.Groups)
	_, ok := h.s.Group(r.Parity.ID)
	require.False(t, ok)
	require.EqualValues(t, []int64{0, 0, 0, 0, 0}, h.groupCounts())
	require.Zero(t, h.s.group.byBlock.count())
	h.replayed()
	restored(t, h.s)
}

// TestEveryWayToLoseAFile departs members by each op that takes blocks from files.
func TestEveryWayToLoseAFile(t *testing.T) {
	gone := func(r any) ([]dfs.Block, []dfs.BlockID) {
		switch r := r.(type) {
		case *Deleted:
			return r.Blocks, r.Groups
		case *Created:
			return r.Removed, r.Groups
		case *Renamed:
			return r.Blocks, r.Groups
		case *Truncated:
			return r.Removed, r.Groups
		}
		return nil, nil
	}
	for name, op := range map[string]func(h groupHistory) Op{
		"delete": func(groupHistory) Op { return &Delete{Parent: dfs.RootInodeID, Name: "f"} },
		"delete of a tree": func(h groupHistory) Op {
			h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: []string{"d"}, Owner: "u"})
			h.must(&Rename{SrcParent: dfs.RootInodeID, SrcName: "f", DstParent: h.id("/d"), DstName: "g"})
			return &Delete{Parent: dfs.RootInodeID, Name: "d", Recursive: true}
		},
		"overwrite": func(groupHistory) Op {
			return &Create{Parent: dfs.RootInodeID, Names: []string{"f"}, Holder: "h", Flags: dfs.CreateFlagOverwrite, Replication: 1, BlockSize: 1 << 20}
		},
		"rename over": func(h groupHistory) Op {
			h.file("/over", 0)
			return &Rename{SrcParent: dfs.RootInodeID, SrcName: "over", DstParent: dfs.RootInodeID, DstName: "f", Overwrite: true}
		},
		"truncate to nothing": func(h groupHistory) Op { return &Truncate{File: h.id("/f"), Holder: "h"} },
		"delete of an open file": func(h groupHistory) Op {
			h.must(&Append{File: h.id("/f"), Holder: "h", NewBlock: true})
			return &Delete{Parent: dfs.RootInodeID, Name: "f"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := groupHistory{newHistory(t)}
			h.file("/f", 2<<20+9)
			h.file("/keep", 1<<20)
			b := h.blocks("/f", "/keep")
			lives := h.group(4, 0, b[3], b[0])
			ends := h.group(2, 0, b[1])
			blocks, groups := gone(h.must(op(h)))
			require.ElementsMatch(t, []dfs.Block{b[1], ends.Parity, b[2]}, blocks)
			require.Equal(t, []dfs.BlockID{lives.Parity.ID, ends.Parity.ID}, groups)
			require.EqualValues(t, []int64{1, 1, 2, 1, 1 << 20}, h.groupCounts())
			info, ok := h.s.Block(b[0].ID)
			require.True(t, ok)
			require.Equal(t, dfs.BlockDeparted, info.Kind)
			require.NoError(t, h.s.Check())
			h.replayed()
			restored(t, h.s)
		})
	}
}

// TestGroupedBlocksDoNotChange asks for everything that would change one.
func TestGroupedBlocksDoNotChange(t *testing.T) {
	h := groupHistory{newHistory(t)}
	id := h.file("/f", 2<<20+9)
	one := h.file("/one", 5)
	b := h.blocks("/f", "/one")
	g := h.group(4, 0, b[0], b[2], b[3])
	h.refused(dfs.Stale, &Truncate{File: id, Length: 7, Holder: "h"}, "truncate inside the first block")
	h.refused(dfs.Stale, &Truncate{File: id, Length: 2<<20 + 1, Holder: "h"}, "truncate inside the last block")
	h.refused(dfs.Stale, &Truncate{File: one, Length: 1, Holder: "h"}, "truncate inside an only block")

	// Append leaves it and goes on with a new block, whatever becomes of the group meanwhile.
	for _, file := range []struct {
		id   dfs.InodeID
		last dfs.Block
	}{{id, b[2]}, {one, b[3]}} {
		require.Nil(t, h.must(&Append{File: file.id, Holder: "h", Machine: "m"}).(*Appended).Last)
		require.NoError(t, h.s.Check())
		last, _ := h.s.LastBlock(file.id)
		require.Equal(t, file.last, last.Block)
		require.Equal(t, BlockCompleted, last.State)
	}
	b1 := h.must(&AddBlock{File: id, Holder: "h"}).(*AddedBlock)
	require.EqualValues(t, 2<<20+9, b1.Offset)
	require.Equal(t, b1.Block, h.must(&AddBlock{File: id, Holder: "h"}).(*AddedBlock).Block, "the answer was lost")
	h.must(&ParityGroup{Action: GroupDissolve, Parity: dfs.Block{ID: g.Parity.ID}})
	b2 := h.must(&AddBlock{File: one, Holder: "h"}).(*AddedBlock)
	require.EqualValues(t, 5, b2.Offset)
	b1.Block.Length, b2.Block.Length = 100, 3
	h.must(&Close{File: id, Holder: "h", Last: b1.Block})
	h.must(&Close{File: one, Holder: "h", Last: b2.Block})
	require.Len(t, h.blocks("/f", "/one"), 6)

	// Without a group all is as it was.
	require.NotNil(t, h.must(&Append{File: one, Holder: "h", Machine: "m"}).(*Appended).Last)
	h.must(&Truncate{File: id, Length: 7, Holder: "h"})
	require.NoError(t, h.s.Check())
	h.replayed()
	restored(t, h.s)
}

// TestReopenedBlocksAreNotGrouped: what was a candidate when its parity was made may be
// written again before the group is logged.
func TestReopenedBlocksAreNotGrouped(t *testing.T) {
	h := groupHistory{newHistory(t)}
	h.file("/a", 9)
	cut := h.file("/b", 9)
	b := h.blocks("/a", "/b")
	o := h.commit(2, 0, b...)
	h.must(&Append{File: h.id("/a"), Holder: "h"})
	h.refused(dfs.Stale, o, "appended to")
	h.must(&Close{File: h.id("/a"), Holder: "h", Last: b[0]})
	h.must(&Truncate{File: cut, Length: 3, Holder: "h"})
	h.refused(dfs.Stale, o, "being truncated")
	h.replayed()
}

// TestMovedBlocksStayInTheirGroups: a group knows blocks and not files.
func TestMovedBlocksStayInTheirGroups(t *testing.T) {
	h := groupHistory{newHistory(t)}
	h.file("/a", 1<<20)
	h.file("/b", 2<<20)
	h.file("/c", 3)
	b := h.blocks("/a", "/b", "/c")
	g := h.group(4, 0, b...)
	h.must(&Concat{Target: h.id("/a"), Sources: []dfs.InodeID{h.id("/b"), h.id("/c")}})
	h.mkdir("/d")
	h.must(&Rename{SrcParent: dfs.RootInodeID, SrcName: "a", DstParent: h.id("/d"), DstName: "e"})
	require.Equal(t, b, h.blocks("/d/e"))
	for _, m := range b {
		info, _ := h.s.Block(m.ID)
		require.Equal(t, h.id("/d/e"), info.File)
		require.Equal(t, g.Parity.ID, info.Group)
	}
	r := h.must(&Truncate{File: h.id("/d/e"), Length: 1 << 20, Holder: "h"}).(*Truncated)
	require.True(t, r.Done)
	require.Empty(t, r.Removed)
	require.Equal(t, []dfs.BlockID{g.Parity.ID}, r.Groups)
	require.EqualValues(t, []int64{1, 1, 4, 3, 1 << 20}, h.groupCounts())
	require.NoError(t, h.s.Check())
	h.replayed()
	restored(t, h.s)
}

// TestSnapshotStandsStillWhileGroupsChange writes an image while groups are made, replaced,
// thinned out and ended. Under the race detector it shows that nobody touches what is frozen.
func TestSnapshotStandsStillWhileGroupsChange(t *testing.T) {
	h := groupHistory{newHistory(t)}
	const files = 400
	var blocks []dfs.Block
	for i := range files {
		h.file(fmt.Sprintf("/f%d", i), 1000)
	}
	h.s.EachBlock(func(b BlockInfo) bool { blocks = append(blocks, b.Block); return true })
	var groups []dfs.BlockID
	for i := 0; i+4 <= files/2; i += 4 {
		groups = append(groups, h.group(4, 0, blocks[i:i+4]...).Parity.ID)
	}
	want := h.s.Digest()
	snap := h.s.Snapshot()
	written := make(chan *memImage)
	go func() { written <- imageOf(t, snap) }()
	for i, g := range groups {
		switch i % 4 {
		case 0:
			h.group(4, g, blocks[4*i], blocks[4*i+1], blocks[files/2+i])
		case 1:
			h.must(&Delete{Parent: dfs.RootInodeID, Name: fmt.Sprintf("f%d", 4*i)})
		case 2:
			h.must(&ParityGroup{Action: GroupDissolve, Parity: dfs.Block{ID: g}})
		case 3:
			for k := range 4 {
				h.must(&Delete{Parent: dfs.RootInodeID, Name: fmt.Sprintf("f%d", 4*i+k)})
			}
		}
	}
	r := New(Options{})
	require.NoError(t, r.Restore(<-written))
	h.s.Release(snap)
	require.Equal(t, want, r.Digest())
	require.NoError(t, r.Check())
	require.EqualValues(t, files/8, r.Counts().Groups)
	require.NoError(t, h.s.Check())
	require.Less(t, h.s.Counts().Groups, int64(files/8))
	h.replayed()
}

// TestImagesWithBadGroupsAreRefused changes an image's groups in ways that their digest alone would tell.
func TestImagesWithBadGroupsAreRefused(t *testing.T) {
	h := groupHistory{newHistory(t)}
	h.file("/a", 2<<20+1)
	h.file("/b", 2<<20+1)
	h.file("/c", 1)
	b := h.blocks("/a", "/b", "/c")
	h.group(4, 0, b[0], b[1], b[6])
	h.group(4, 0, b[3], b[4])
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "c"})
	snap := h.s.Snapshot()
	img := imageOf(t, snap)
	h.s.Release(snap)
	var good []ParityGroupRecord
	require.NoError(t, DecodeSection(SectionParityGroups, img.chunks[SectionParityGroups][0], func(r any) error {
		good = append(good, *r.(*ParityGroupRecord))
		return nil
	}))
	for why, change := range map[string]func(g []ParityGroupRecord){
		"a departed member that has a file":   func(g []ParityGroupRecord) { g[0].Members[0].Departed = true },
		"a member without a file":             func(g []ParityGroupRecord) { g[0].Members[2].Departed = false },
		"only departed members":               func(g []ParityGroupRecord) { g[0].Members = g[0].Members[2:]; g[0].Parity.Length = 1 },
		"a member of two groups":              func(g []ParityGroupRecord) { g[1].Members[0] = g[0].Members[0] },
		"a departed member of two groups":     func(g []ParityGroupRecord) { g[1].Members = append(g[1].Members, g[0].Members[2]) },
		"a parity twice":                      func(g []ParityGroupRecord) { g[1].Parity = g[0].Parity },
		"a parity that is a file's block":     func(g []ParityGroupRecord) { g[1].Parity = b[5] },
		"a parity that was never handed out":  func(g []ParityGroupRecord) { g[1].Parity.ID = 1 << 39 },
		"a departed block never handed out":   func(g []ParityGroupRecord) { g[0].Members[2].Block.ID = 1 << 39 },
		"more members than k":                 func(g []ParityGroupRecord) { g[0].Data = 2 },
		"a parity that is too short":          func(g []ParityGroupRecord) { g[0].Parity.Length-- },
		"a member with another stamp":         func(g []ParityGroupRecord) { g[0].Members[0].Block.GenStamp++ },
		"a member with another checksum type": func(g []ParityGroupRecord) { g[0].Members[0].Checksum = dfs.ChecksumCRC32 },
		"a group less":                        func(g []ParityGroupRecord) { g[1] = ParityGroupRecord{} },
	} {
		bad := slices.Clone(good)
		for i := range bad {
			bad[i].Members = slices.Clone(bad[i].Members)
		}
		change(bad)
		var c coder
		for i := range bad {
			if bad[i].Data > 0 {
				bad[i].code(&c)
			}
		}
		img.chunks[SectionParityGroups] = [][]byte{c.b}
		err := New(Options{}).Restore(img)
		require.Error(t, err, why)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%s: %v", why, err)
	}
}
