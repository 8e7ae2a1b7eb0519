package namespace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the naive tree: a flat map of paths.
type model map[string]*modelNode

type modelNode struct {
	dir    bool
	mode   dfs.Mode
	group  string
	mtime  int64
	sizes  []int64 // of the blocks
	ids    []dfs.BlockID
	holder string // open for writing
	again  bool   // the last block is being written again
	cutTo  int64  // under recovery down to this, -1 no
	ns, ds int64  // quota limits, -1 none
	policy uint8
	types  *[2]int64 // limits of SSD and DISK, -1 none
}

func (m model) below(path string) []string {
	var list []string
	for p := range m {
		if strings.HasPrefix(p, strings.TrimSuffix(path, "/")+"/") && p != path {
			list = append(list, p)
		}
	}
	return list
}

func (m model) touch(path string, time int64) {
	n := m[path]
	n.mtime = max(n.mtime, time)
}

// blockSize and replication of every file in the model.
const (
	modelBlock = 100
	modelRepl  = 2
)

func (n *modelNode) space() (space int64) {
	for i, s := range n.sizes {
		if i == len(n.sizes)-1 && n.holder != "" && (s == 0 || n.cutTo >= 0 || n.again) {
			s = modelBlock
		}
		space += s * modelRepl
	}
	return space
}

// fits tells whether quotas above dir bear the growth, of bytes on SSD and DISK last. moving is a path whose ancestors
// hold it already.
func (m model) fits(dir string, ns, ds int64, moving string, types ...int64) bool {
	for p := dir; ; p, _ = dfs.Split(p) {
		n := m[p]
		inside := moving != "" && (p == "/" || strings.HasPrefix(moving, p+"/"))
		if !inside && (n.ns >= 0 || n.ds >= 0) {
			uns, uds := int64(1), int64(0)
			for _, c := range m.below(p) {
				uns++
				uds += m[c].space()
			}
			if ns > 0 && n.ns >= 0 && uns+ns > n.ns || ds > 0 && n.ds >= 0 && uds+ds > n.ds {
				return false
			}
		}
		if !inside && n.types != nil && types != nil {
			use := m.typeUse(p, m.policy(p))
			for k := range use {
				if types[k] > 0 && n.types[k] >= 0 && use[k]+types[k] > n.types[k] {
					return false
				}
			}
		}
		if p == "/" {
			return true
		}
	}
}

// modelTest runs random ops on a state and the model at once.
type modelTest struct {
	*history
	rt    *rapid.T
	m     model
	g     modelGroups
	paths []string
}

func (x *modelTest) path(label string) string {
	return rapid.SampledFrom(x.paths).Draw(x.rt, label)
}

// split resolves a path as the name service does: the deepest existing directory and the
// names that are missing below it. ok is false below a file.
func (x *modelTest) split(path string) (parent dfs.InodeID, names []string, ok bool) {
	comps, _ := dfs.Components(path)
	var w Walk
	require.NoError(x.t, x.s.Resolve(&w, comps))
	if w.Last() != nil {
		return w.Chain[max(len(w.Chain)-2, 0)].ID, comps[max(len(comps)-1, 0):], true
	}
	return w.Chain[len(w.Chain)-1].ID, w.Missing(), w.Chain[len(w.Chain)-1].IsDir()
}

func (x *modelTest) expect(err error, ok bool, what string, args ...any) {
	if (err == nil) != ok {
		x.rt.Fatalf("%s: want success %v, got %v", fmt.Sprintf(what, args...), ok, err)
	}
}

func (x *modelTest) mkdirs() {
	path := x.path("dir")
	parent, names, _ := x.split(path)
	_, err := x.apply(&Mkdirs{Parent: parent, Names: names, Mode: 0o750, Owner: "u", CreateParent: true})
	var missing []string
	ok := true
	for p := path; ; p, _ = dfs.Split(p) {
		if n := x.m[p]; n != nil {
			ok = n.dir
			if ok && len(missing) > 0 {
				ok = x.m.fits(p, int64(len(missing)), 0, "")
			}
			break
		}
		missing = append(missing, p)
	}
	x.expect(err, ok, "mkdirs %s", path)
	if ok {
		x.makeAll(missing, 0o750, 0o750)
	}
}

func (x *modelTest) makeAll(missing []string, mode, implicit dfs.Mode) {
	slices.Reverse(missing)
	for i, p := range missing {
		up, _ := dfs.Split(p)
		n := &modelNode{dir: true, mode: implicit | 0o300, group: x.m[up].group, mtime: x.time, ns: -1, ds: -1, cutTo: -1}
		if i == len(missing)-1 {
			n.mode = mode
		}
		x.m[p] = n
		x.m.touch(up, x.time)
	}
}

func (x *modelTest) create() {
	path := x.path("file")
	overwrite := rapid.Bool().Draw(x.rt, "overwrite")
	flags := dfs.CreateFlagCreate
	if overwrite {
		flags |= dfs.CreateFlagOverwrite
	}
	holder := rapid.SampledFrom([]string{"h1", "h2"}).Draw(x.rt, "holder")
	parent, names, _ := x.split(path)
	r, err := x.apply(&Create{Parent: parent, Names: names, Mode: 0o640, Owner: "u", Holder: holder, Machine: "m", Flags: flags,
		CreateParent: true, Replication: modelRepl, BlockSize: modelBlock})
	up, _ := dfs.Split(path)
	var missing []string
	ok, have := path != "/", x.m[path]
	if have != nil {
		ok = ok && !have.dir && overwrite
	} else {
		p := up
		for ; x.m[p] == nil; p, _ = dfs.Split(p) {
			missing = append(missing, p)
		}
		ok = x.m[p].dir && x.m.fits(p, int64(len(missing)+1), 0, "")
		if ok && len(missing) > 0 {
			implicit := x.m[p].mode & 0o777
			x.makeAll(missing, implicit|0o300, implicit)
		}
	}
	x.expect(err, ok, "create %s", path)
	if ok {
		if have != nil {
			x.lost(have.ids, r.(*Created).Removed, r.(*Created).Groups)
		}
		x.m[path] = &modelNode{mode: 0o640, group: x.m[up].group, mtime: x.time, holder: holder, ns: -1, ds: -1, cutTo: -1}
		x.m.touch(up, x.time)
	}
}

// write appends a block of the given size to an open file, or closes it, or both.
func (x *modelTest) write() {
	path := x.path("file")
	n := x.m[path]
	if n == nil || n.dir || n.cutTo >= 0 {
		return
	}
	id := x.id(path)
	size := rapid.Int64Range(1, modelBlock).Draw(x.rt, "size")
	last, _ := x.s.LastBlock(id)
	open := n.holder != ""
	if last.State == BlockCompleted && rapid.Bool().Draw(x.rt, "none") {
		last.Block = dfs.Block{} // as a client that was given no block to append to
	}
	r, err := x.apply(&AddBlock{File: id, Holder: n.holder, Previous: last.Block})
	up, _ := dfs.Split(path)
	more := int64(modelBlock)
	if n.again { // counted as full so far
		more += n.sizes[len(n.sizes)-1] - modelBlock
	}
	ok := open && x.m.fits(up, 0, more*modelRepl, "", x.m.types(path, more)...)
	x.expect(err, ok, "add block to %s", path)
	if ok {
		b := r.(*AddedBlock).Block
		b.Length = size
		_, err = x.apply(&UpdateBlocks{File: id, Holder: n.holder, Action: BlockCommit, Block: b})
		x.expect(err, true, "commit")
		n.sizes, n.ids, n.again = append(n.sizes, size), append(n.ids, b.ID), false
	}
	if open && rapid.Bool().Draw(x.rt, "close") {
		_, err = x.apply(&Close{File: id, Holder: n.holder})
		x.expect(err, true, "close %s", path)
		n.holder, n.mtime, n.again = "", x.time, false
	}
}

// append opens a file again. Its last block is written on unless it is full or grouped.
func (x *modelTest) append() {
	path := x.path("file")
	n := x.m[path]
	if n == nil || n.dir {
		return
	}
	last := len(n.sizes) - 1
	again := last >= 0 && n.sizes[last] < modelBlock && x.g.in[n.ids[last]] == 0 && !rapid.Bool().Draw(x.rt, "new block")
	r, err := x.apply(&Append{File: x.id(path), Holder: "h1", Machine: "m", NewBlock: last >= 0 && !again && x.g.in[n.ids[last]] == 0})
	up, _ := dfs.Split(path)
	ok := n.holder == "" && (!again || x.m.fits(up, 0, (modelBlock-n.sizes[last])*modelRepl, "", x.m.types(path, modelBlock-n.sizes[last])...))
	x.expect(err, ok, "append to %s", path)
	if ok {
		n.holder, n.again = "h1", again
		require.Equal(x.t, again, r.(*Appended).Last != nil)
	}
}

func (x *modelTest) truncate() {
	path := x.path("file")
	n := x.m[path]
	if n == nil || n.dir {
		return
	}
	id := x.id(path)
	size := int64(0)
	for _, s := range n.sizes {
		size += s
	}
	to := rapid.Int64Range(0, size+1).Draw(x.rt, "to")
	r, err := x.apply(&Truncate{File: id, Length: to, Holder: "t", Machine: "m"})
	up, _ := dfs.Split(path)
	ok := n.holder == "" && to <= size && !x.g.cuts(n, to) && x.m.fits(up, 0, 0, "", x.m.types(path, n.cutGrowth(to))...) || n.cutTo == to
	x.expect(err, ok, "truncate %s to %d of %d", path, to, size)
	if !ok || n.cutTo >= 0 || to == size {
		return
	}
	n.mtime = x.time
	var sizes []int64
	end := int64(0)
	for _, s := range n.sizes {
		if end >= to {
			break
		}
		sizes = append(sizes, s)
		end += s
	}
	x.lost(n.ids[len(sizes):], r.(*Truncated).Removed, r.(*Truncated).Groups)
	n.sizes, n.ids = sizes, n.ids[:len(sizes):len(sizes)]
	done := end == to
	require.Equal(x.t, done, r.(*Truncated).Done)
	if done {
		return
	}
	sizes[len(sizes)-1] -= end - to
	n.holder, n.cutTo = "t", to
	if rapid.Bool().Draw(x.rt, "recover") {
		tr := r.(*Truncated)
		_, err := x.apply(&CommitSync{Block: tr.Last, Stamp: tr.Stamp, Length: tr.NewLength, Close: true})
		x.expect(err, true, "recovery of %s", path)
		n.holder, n.cutTo, n.mtime = "", -1, x.time
	}
}

func (x *modelTest) delete() {
	path := x.path("victim")
	if path == "/" {
		return
	}
	recursive := rapid.Bool().Draw(x.rt, "recursive")
	parent, names, ok := x.split(path)
	if !ok || len(names) != 1 {
		return
	}
	r, err := x.apply(&Delete{Parent: parent, Name: names[0], Recursive: recursive})
	n := x.m[path]
	good := n == nil || recursive || len(x.m.below(path)) == 0
	x.expect(err, good, "delete %s", path)
	if !good {
		return
	}
	require.Equal(x.t, n != nil, r.(*Deleted).OK)
	if n != nil {
		up, _ := dfs.Split(path)
		ids := slices.Clone(n.ids)
		for _, p := range x.m.below(path) {
			ids = append(ids, x.m[p].ids...)
			delete(x.m, p)
		}
		delete(x.m, path)
		x.m.touch(up, x.time)
		x.lost(ids, r.(*Deleted).Blocks, r.(*Deleted).Groups)
	}
}

func (x *modelTest) rename() {
	src, dst := x.path("src"), x.path("dst")
	o := &Rename{Overwrite: rapid.Bool().Draw(x.rt, "overwrite"), Legacy: rapid.Bool().Draw(x.rt, "legacy")}
	sp, sn, sok := x.split(src)
	dp, dn, dok := x.split(dst)
	if src == "/" || dst == "/" || !sok || !dok || len(sn) != 1 || len(dn) != 1 {
		return
	}
	o.SrcParent, o.SrcName, o.DstParent, o.DstName = sp, sn[0], dp, dn[0]
	r, err := x.apply(o)
	s, d := x.m[src], x.m[dst]
	from, _ := dfs.Split(src)
	to, _ := dfs.Split(dst)
	moved := s != nil && src != dst && !strings.HasPrefix(dst, src+"/")
	if moved && d != nil {
		moved = !o.Legacy && o.Overwrite && d.dir == s.dir && len(x.m.below(dst)) == 0
	}
	quota := true
	if moved {
		ns, ds := int64(1), s.space()
		for _, p := range x.m.below(src) {
			ns++
			ds += x.m[p].space()
		}
		types := x.m.typeUse(src, x.m.policy(to))
		if d != nil {
			ns--
			ds -= d.space()
			gone := x.m.typeUse(dst, x.m.policy(to))
			types[0], types[1] = types[0]-gone[0], types[1]-gone[1]
		}
		quota = x.m.fits(to, ns, ds, src, types[:]...)
	}
	same := src == dst && s != nil
	if o.Legacy {
		x.expect(err, quota, "legacy rename %s to %s", src, dst)
		if err == nil {
			require.Equal(x.t, moved || same, r.(*Renamed).OK, "legacy rename %s to %s", src, dst)
		}
	} else {
		x.expect(err, moved && quota, "rename %s to %s", src, dst)
	}
	if !moved || !quota {
		return
	}
	if d != nil {
		x.lost(d.ids, r.(*Renamed).Blocks, r.(*Renamed).Groups)
	}
	delete(x.m, dst)
	for _, p := range x.m.below(src) {
		x.m[dst+p[len(src):]] = x.m[p]
		delete(x.m, p)
	}
	x.m[dst] = s
	delete(x.m, src)
	x.m.touch(from, x.time)
	x.m.touch(to, x.time)
}

func (x *modelTest) attr() {
	path := x.path("target")
	n := x.m[path]
	if n == nil {
		return
	}
	id := x.id(path)
	if n.dir && rapid.Bool().Draw(x.rt, "quota") {
		ns, ds := rapid.Int64Range(-1, 6).Draw(x.rt, "ns"), rapid.SampledFrom([]int64{-1, 200, 500, 2000}).Draw(x.rt, "ds")
		_, err := x.apply(&SetAttr{Target: id, Mask: AttrNSQuota | AttrDSQuota, NSQuota: ns, DSQuota: ds})
		x.expect(err, true, "quota of %s", path)
		n.ns, n.ds = ns, ds
		return
	}
	if rapid.Bool().Draw(x.rt, "media") {
		x.typeAttr(path, n)
		return
	}
	n.mode = rapid.SampledFrom([]dfs.Mode{0o700, 0o755, 0o1777}).Draw(x.rt, "mode")
	n.group = rapid.SampledFrom([]string{"g1", "g2"}).Draw(x.rt, "group")
	_, err := x.apply(&SetAttr{Target: id, Mask: AttrMode | AttrGroup, Mode: n.mode, Group: n.group})
	x.expect(err, true, "attributes of %s", path)
}

func (x *modelTest) concat() {
	target, src := x.path("target"), x.path("src")
	t, s := x.m[target], x.m[src]
	if t == nil || s == nil || t.dir {
		return
	}
	up, _ := dfs.Split(target)
	bears := true
	if !s.dir {
		more, less := x.m.types(target, s.space()/modelRepl), x.m.types(src, s.space()/modelRepl)
		bears = x.m.fits(up, 0, 0, "", more[0]-less[0], more[1]-less[1])
	}
	_, err := x.apply(&Concat{Target: x.id(target), Sources: []dfs.InodeID{x.id(src)}})
	upS, _ := dfs.Split(src)
	ok := bears && !s.dir && t.holder == "" && s.holder == "" && len(s.sizes) > 0 && target != src && up == upS
	x.expect(err, ok, "concat %s to %s", src, target)
	if ok {
		t.sizes, t.ids = append(t.sizes, s.sizes...), append(t.ids, s.ids...)
		t.mtime = x.time
		delete(x.m, src)
		x.m.touch(up, x.time)
	}
}

// compare holds the whole tree against the model.
func (x *modelTest) compare() {
	require.NoError(x.rt, x.s.Check())
	seen := 0
	for path, n := range x.m {
		comps, _ := dfs.Components(path)
		var w Walk
		require.NoError(x.rt, x.s.Resolve(&w, comps))
		in := w.Last()
		require.NotNil(x.rt, in, path)
		seen++
		require.Equal(x.rt, n.dir, in.IsDir(), path)
		require.Equal(x.rt, []any{n.mode, n.group, n.mtime, n.holder != ""}, []any{in.Mode, in.Group, in.ModTime, in.UnderConstruction}, path)
		if n.dir {
			x.compareTypes(path, n, in.ID)
			var names []string
			for _, p := range slices.Sorted(maps.Keys(x.m)) {
				if up, name := dfs.Split(p); up == path && name != "" {
					names = append(names, name)
				}
			}
			page, rest := x.s.List(nil, in.ID, "", 1000)
			require.Len(x.rt, page, len(names))
			require.Zero(x.rt, rest)
			for i := range page {
				require.Equal(x.rt, names[i], page[i].Name)
			}
			continue
		}
		var sizes []int64
		var ids []dfs.BlockID
		for _, b := range x.s.Blocks(nil, in.ID, 0, 1<<40) {
			sizes, ids = append(sizes, b.Length), append(ids, b.ID)
			require.Equal(x.rt, x.g.in[b.ID], b.Group)
		}
		require.Equal(x.rt, n.sizes, sizes, path)
		require.True(x.rt, slices.Equal(n.ids, ids), path)
		f, open := x.s.OpenFile(in.ID)
		require.Equal(x.rt, n.holder != "", open)
		require.Equal(x.rt, n.holder, f.Holder)
	}
	c := x.s.Counts()
	require.EqualValues(x.rt, seen, c.Files+c.Directories)
	x.compareGroups()
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		x := &modelTest{history: h, rt: rt, g: newModelGroups(), m: model{"/": {dir: true, mode: 0o755, group: "supergroup", ns: -1, ds: -1, cutTo: -1}}}
		x.paths = []string{"/", "/a", "/b", "/a/b", "/a/c", "/a/b/c", "/a/b/d", "/b/a", "/b/a/e", "/f", "/g"}
		x.start()
		var frozen *Snapshot
		var was dfs.Digest
		rt.Repeat(map[string]func(*rapid.T){
			"mkdirs":   func(*rapid.T) { x.mkdirs() },
			"create":   func(*rapid.T) { x.create() },
			"write":    func(*rapid.T) { x.write() },
			"append":   func(*rapid.T) { x.append() },
			"group":    func(*rapid.T) { x.group() },
			"regroup":  func(*rapid.T) { x.group() },
			"dissolve": func(*rapid.T) { x.dissolve() },
			"truncate": func(*rapid.T) { x.truncate() },
			"delete":   func(*rapid.T) { x.delete() },
			"rename":   func(*rapid.T) { x.rename() },
			"attr":     func(*rapid.T) { x.attr() },
			"concat":   func(*rapid.T) { x.concat() },
			"snapshot": func(*rapid.T) {
				if frozen == nil {
					frozen, was = h.s.Snapshot(), h.s.Digest()
					return
				}
				// What was frozen is what it was, whatever has happened since.
				r := New(Options{})
				require.NoError(rt, r.Restore(imageOf(t, frozen)))
				require.Equal(rt, was, r.Digest())
				h.s.Release(frozen)
				frozen = nil
			},
			"": func(*rapid.T) { x.compare() },
		})
		h.replayed()
		restored(t, h.s)
	})
}
