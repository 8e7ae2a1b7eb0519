package namespace

import (
	"maps"
	"slices"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelGroups is the naive parity groups: who is in which, and who has departed.
type modelGroups struct {
	by   map[dfs.BlockID]*dfs.ParityGroup
	in   map[dfs.BlockID]dfs.BlockID // members
	gone map[dfs.BlockID]bool        // departed members
}

func newModelGroups() modelGroups {
	return modelGroups{by: map[dfs.BlockID]*dfs.ParityGroup{}, in: map[dfs.BlockID]dfs.BlockID{}, gone: map[dfs.BlockID]bool{}}
}

// start gives half of the runs two files of two blocks, three of which are in a group.
func (x *modelTest) start() {
	if !rapid.Bool().Draw(x.rt, "start") {
		return
	}
	var blocks []dfs.Block
	for _, path := range []string{"/f", "/g"} {
		id := x.must(&Create{Parent: dfs.RootInodeID, Names: []string{path[1:]}, Mode: 0o640, Owner: "u", Holder: "h1", Machine: "m",
			Flags: dfs.CreateFlagCreate, Replication: modelRepl, BlockSize: modelBlock}).(*Created).Status.ID
		n := &modelNode{mode: 0o640, group: "supergroup", sizes: []int64{modelBlock, 33}, ns: -1, ds: -1, cutTo: -1}
		var last dfs.Block
		for _, size := range n.sizes {
			last = x.must(&AddBlock{File: id, Holder: "h1", Previous: last}).(*AddedBlock).Block
			last.Length = size
			n.ids, blocks = append(n.ids, last.ID), append(blocks, last)
		}
		x.m.touch("/", x.time-int64(len(n.sizes)))
		x.must(&Close{File: id, Holder: "h1", Last: last})
		n.mtime = x.time
		x.m[path] = n
	}
	o := groupHistory{x.history}.commit(3, 0, blocks[0], blocks[2], blocks[3])
	x.must(o)
	x.g.by[o.Parity.ID] = &dfs.ParityGroup{Parity: o.Parity, CRC: o.CRC, Data: int(o.Data), Members: o.Members}
	for _, m := range o.Members {
		x.g.in[m.Block.ID] = o.Parity.ID
	}
}

// end takes a group out and gives its members.
func (g *modelGroups) end(parity dfs.BlockID) []dfs.ParityMember {
	members := g.by[parity].Members
	for _, m := range members {
		delete(g.in, m.Block.ID)
	}
	delete(g.by, parity)
	return members
}

// cuts reports whether a file's end would come to lie inside a grouped block.
func (g *modelGroups) cuts(n *modelNode, to int64) bool {
	start := int64(0)
	for i, s := range n.sizes {
		if start < to && to < start+s && g.in[n.ids[i]] != 0 {
			return true
		}
		start += s
	}
	return false
}

func idsOf(blocks []dfs.Block) []dfs.BlockID {
	ids := []dfs.BlockID{}
	for _, b := range blocks {
		ids = append(ids, b.ID)
	}
	return ids
}

// lost takes blocks from their files and holds what the op said of that against the model.
func (x *modelTest) lost(ids []dfs.BlockID, removed []dfs.Block, groups []dfs.BlockID) {
	free, touched := []dfs.BlockID{}, map[dfs.BlockID]bool{}
	for _, id := range ids {
		parity := x.g.in[id]
		if parity == 0 {
			free = append(free, id)
			continue
		}
		touched[parity] = true
		x.g.gone[id] = true
		if !slices.ContainsFunc(x.g.by[parity].Members, func(m dfs.ParityMember) bool { return !x.g.gone[m.Block.ID] }) {
			for _, m := range x.g.end(parity) {
				free = append(free, m.Block.ID)
				delete(x.g.gone, m.Block.ID)
			}
			free = append(free, parity)
		}
	}
	require.ElementsMatch(x.rt, free, idsOf(removed))
	require.True(x.rt, slices.Equal(slices.Sorted(maps.Keys(touched)), groups), "groups %v, told %v", touched, groups)
}

// known lists the blocks that an op may name: those of files, and departed ones.
func (x *modelTest) known() (list []dfs.Block) {
	for _, path := range slices.Sorted(maps.Keys(x.m)) {
		for _, id := range x.m[path].ids {
			b, _ := x.s.Block(id)
			list = append(list, b.Block)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.g.gone)) {
		b, _ := x.s.Block(id)
		list = append(list, b.Block)
	}
	return list
}

// pick draws one of the groups, or none.
func (x *modelTest) pick() dfs.BlockID {
	return rapid.SampledFrom(append(slices.Sorted(maps.Keys(x.g.by)), 0)).Draw(x.rt, "group")
}

// group forms a group, or a new one in place of another, of blocks that may or may not be
// fit for it.
func (x *modelTest) group() {
	replaces := x.pick()
	known := x.known()
	if rapid.IntRange(0, 3).Draw(x.rt, "any") > 0 { // mostly those that can be in it
		known = slices.DeleteFunc(known, func(b dfs.Block) bool { return x.g.in[b.ID] != 0 && x.g.in[b.ID] != replaces })
	}
	if len(known) == 0 {
		return
	}
	members := rapid.SliceOfNDistinct(rapid.SampledFrom(known), 1, 4, func(b dfs.Block) dfs.BlockID { return b.ID }).Draw(x.rt, "members")
	o := groupHistory{x.history}.commit(rapid.IntRange(2, 5).Draw(x.rt, "k"), replaces, members...)
	r, err := x.apply(o)
	ok, living := len(members) <= int(o.Data), 0
	for _, b := range members {
		in := x.g.in[b.ID]
		if info, _ := x.s.Block(b.ID); info.State != BlockCompleted {
			ok = false
		}
		ok = ok && (in == 0 || in == replaces)
		if !x.g.gone[b.ID] {
			living++
		}
	}
	ok = ok && living > 0
	x.expect(err, ok, "group %v for %d", members, replaces)
	if !ok {
		return
	}
	var freed, left []dfs.BlockID
	if replaces != 0 {
		old := x.g.end(replaces)
		freed, left = x.leave(old, members)
		freed = append(freed, replaces)
	}
	x.told(r.(*GroupChange), freed, left)
	x.g.by[o.Parity.ID] = &dfs.ParityGroup{Parity: o.Parity, CRC: o.CRC, Data: int(o.Data), Members: o.Members}
	for _, b := range members {
		x.g.in[b.ID] = o.Parity.ID
	}
}

// leave tells what becomes of the members of a group that has ended, but of those that stay.
func (x *modelTest) leave(old []dfs.ParityMember, stay []dfs.Block) (freed, left []dfs.BlockID) {
	for _, m := range old {
		switch id := m.Block.ID; {
		case slices.Contains(stay, m.Block):
		case x.g.gone[id]:
			freed = append(freed, id)
			delete(x.g.gone, id)
		default:
			left = append(left, id)
		}
	}
	return freed, left
}

func (x *modelTest) told(r *GroupChange, freed, left []dfs.BlockID) {
	require.ElementsMatch(x.rt, freed, idsOf(r.Removed))
	require.ElementsMatch(x.rt, left, idsOf(r.Left))
}

func (x *modelTest) dissolve() {
	parity := x.pick()
	r, err := x.apply(&ParityGroup{Action: GroupDissolve, Parity: dfs.Block{ID: parity}})
	x.expect(err, parity != 0, "dissolve %d", parity)
	if parity != 0 {
		freed, left := x.leave(x.g.end(parity), nil)
		x.told(r.(*GroupChange), append(freed, parity), left)
	}
}

// compareGroups holds all groups against the model, by each way to read them.
func (x *modelTest) compareGroups() {
	seen := 0
	x.s.EachGroup(func(g dfs.ParityGroup) bool {
		want := x.g.by[g.Parity.ID]
		require.NotNil(x.rt, want)
		seen++
		require.Equal(x.rt, []any{want.Parity, want.CRC, want.Data, len(want.Members)}, []any{g.Parity, g.CRC, g.Data, len(g.Members)})
		for i, m := range want.Members {
			m.Departed = x.g.gone[m.Block.ID]
			require.Equal(x.rt, m, g.Members[i])
			require.Equal(x.rt, g.Parity.ID, x.s.GroupOf(m.Block.ID))
		}
		have, ok := x.s.Group(g.Parity.ID)
		require.True(x.rt, ok)
		require.Equal(x.rt, g, have)
		return true
	})
	require.Len(x.rt, x.g.by, seen)
	var page []dfs.ParityGroup
	for next := uint32(0); ; {
		if page, next = x.s.GroupPage(page, next, 2); next == 0 {
			break
		}
	}
	require.Len(x.rt, page, seen)
	c := x.s.Counts()
	require.EqualValues(x.rt, []int{seen, len(x.g.in), len(x.g.gone)}, []int{int(c.Groups), int(c.Members), int(c.Departed)})
}
