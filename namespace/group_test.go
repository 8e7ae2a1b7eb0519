package namespace

import (
	"hash/crc32"
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

func TestGoldenImageWithGroups(t *testing.T) {
	s := testGoldenImage(t, goldenGroups, goldenGroupHistory(t))
	c := s.Counts()
	require.EqualValues(t, []int64{2, 7, 2}, []int64{c.Groups, c.Members, c.Departed})
}
