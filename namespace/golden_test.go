package namespace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/dfs"
	"redoubt/internal/golden"

	"github.com/stretchr/testify/require"
)

// Directories of golden files: what the first version wrote, what came to it with parity groups,
// with epochs and with quotas by storage type.
// Each kind of op is in one of them.
const (
	goldenFirst  = "v1"
	goldenGroups = "v1-groups"
	goldenEpochs = "v1-epochs"
	goldenTypes  = "v1-typequotas"
)

func goldenDirOf(op Op) string {
	if versionOf(op) == typeQuotaVersion {
		return goldenTypes
	}
	return goldenDir(op.Kind())
}

func goldenDir(k Kind) string {
	switch k {
	case KindParityGroup:
		return goldenGroups
	case KindEpoch:
		return goldenEpochs
	}
	return goldenFirst
}

// frozenFile is a golden file: comment lines, then lines of words.
type frozenFile struct {
	t    *testing.T
	path string
	text strings.Builder
}

const goldenHead = `# %s
#
# Do not regenerate this file: it is what version 1 wrote, and every later version has to read it and
# come to the same. A new version of the format gets a directory of its own. It was made by
# "go test -run Golden -update" from the lists in golden_test.go, which writes missing files only.
`

func newGolden(t *testing.T, dir, name, about string) *frozenFile {
	g := &frozenFile{t: t, path: "testdata/" + dir + "/" + name}
	fmt.Fprintf(&g.text, goldenHead, about)
	return g
}

func (g *frozenFile) line(words ...string) {
	g.text.WriteString(strings.Join(words, " ") + "\n")
}

// lines holds what today's code gives against the file and returns the file's lines.
func (g *frozenFile) lines() (lines [][]string) {
	have := golden.Frozen(g.t, g.path, []byte(g.text.String()))
	now := strings.Split(g.text.String(), "\n")
	for i, line := range strings.Split(strings.TrimSuffix(string(have), "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		require.Less(g.t, i, len(now))
		if line != now[i] {
			g.t.Fatalf("%s, line %d: other bytes than version 1 wrote", g.path, i+1)
		}
		lines = append(lines, strings.SplitN(line, " ", 3))
	}
	require.Equal(g.t, len(have), g.text.Len())
	require.NotEmpty(g.t, lines)
	return lines
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

// TestGoldenOps holds the record of each op kind: today's code gives the same bytes for
// the same fields, and reads them.
func TestGoldenOps(t *testing.T) {
	for _, dir := range []string{goldenFirst, goldenGroups, goldenEpochs, goldenTypes} {
		t.Run(dir, func(t *testing.T) { testGoldenOps(t, dir) })
	}
}

func testGoldenOps(t *testing.T, dir string) {
	g := newGolden(t, dir, "ops.txt", "Records of all kinds of operations: kind, bytes. Their fields stand in everyOp in codec_test.go.")
	kinds := map[string]bool{}
	for _, op := range everyOp() {
		if goldenDirOf(op) != dir {
			continue
		}
		if x, ok := op.(*SetXAttr); ok {
			x.Value = x.Value[:min(len(x.Value), 300)]
		}
		g.line(op.Kind().String(), hex.EncodeToString(Encode(nil, op)))
	}
	for _, l := range g.lines() {
		rec := unhex(t, l[1])
		op, err := Decode(rec)
		require.NoError(t, err)
		require.Equal(t, l[0], op.Kind().String())
		require.Equal(t, rec, Encode(nil, op))
		kinds[l[0]] = true
	}
	requireAllKinds(t, dir, kinds)
}

func requireAllKinds(t *testing.T, dir string, kinds map[string]bool) {
	for k := Kind(1); k < kindCount; k++ {
		if goldenDir(k) == dir {
			require.Equal(t, newOp(k) != nil, kinds[k.String()], "kind %s", k)
		}
	}
}

// goldenHistory leads to a state that has something in every section of an image.
func goldenHistory(t *testing.T) *history {
	h := newHistory(t)
	call := func(n int32) Head {
		return Head{Time: h.time, Call: dfs.CallID{Client: [16]byte{0xc1, 1, 2, 15: 9}, Call: n}}
	}
	h.must(&Mkdirs{Head: call(1), Parent: dfs.RootInodeID, Names: []string{"user", "alice", "däta"}, Mode: 0o1777, Owner: "alice", CreateParent: true})
	alice := h.id("/user/alice")
	h.file("/user/alice/empty", 0)
	h.file("/user/alice/small", 77)
	h.file("/user/alice/two", 1<<20+1)
	h.file("/user/alice/long", 130<<20) // more blocks than its inode's record takes
	h.must(&SetAttr{Target: alice, Mask: AttrNSQuota | AttrDSQuota, NSQuota: 100, DSQuota: 1 << 40})
	h.must(&SetAttr{Target: h.id("/user"), Mask: AttrDSQuota, DSQuota: 1 << 50})
	h.must(&SetAttr{Target: alice, Mask: AttrOwner | AttrGroup | AttrMode | AttrModTime | AttrAccessTime | AttrPolicy, Owner: "alice", Group: "staff",
		Mode: 0o2750 & dfs.ModeMask, ModTime: 1234, AccessTime: 1 << 47, Policy: 7})
	h.must(&SetAttr{Target: h.id("/user/alice/two"), Mask: AttrReplication, Replication: 5})
	h.must(&SetACL{Target: h.id("/user/alice/däta"), Mode: 0o770, Entries: []ACLEntry{{Perm: 7, Name: "bob"}, {Type: 2, Perm: 5}, {Scope: 1, Perm: 7}, {Type: 1, Scope: 1, Perm: 5, Name: "staff"}}})
	for i, space := range []dfs.XAttrSpace{0, 1, 4} {
		h.must(&SetXAttr{Target: h.id("/user/alice/small"), Flags: XAttrCreate, Space: space, Name: fmt.Sprintf("name%d", i), Value: bytes.Repeat([]byte{0xff, 0}, i*150)})
	}
	h.must(&Create{Head: call(2), Parent: alice, Names: []string{"däta", "open"}, Mode: 0o640, Unmasked: 0o666, HasUnmasked: true, Owner: "bob", Holder: "DFSClient_1",
		Machine: "10.0.0.7", Flags: dfs.CreateFlagCreate, Replication: 2, BlockSize: 1 << 20, Policy: 12})
	open := h.id("/user/alice/däta/open")
	b := h.must(&AddBlock{File: open, Holder: "DFSClient_1"}).(*AddedBlock).Block
	for i := range int64(3) {
		b.Length = 1<<20 - i
		b = h.must(&AddBlock{File: open, Holder: "DFSClient_1", Previous: b}).(*AddedBlock).Block
	}
	h.must(&UpdateBlocks{File: open, Holder: "DFSClient_1", Action: BlockLength, Block: dfs.Block{ID: b.ID, GenStamp: b.GenStamp, Length: 99}})
	h.must(&UpdateBlocks{File: open, Holder: "DFSClient_1", Action: BlockPipeline, Old: b.GenStamp,
		Block: dfs.Block{ID: b.ID, GenStamp: h.must(&NextStamp{Head: call(3)}).(dfs.GenStamp), Length: 100}})
	h.must(&Append{Head: call(4), File: h.id("/user/alice/small"), Holder: "DFSClient_2", Machine: "10.0.0.8"})
	h.must(&Truncate{Head: call(5), File: h.file("/cut", 3<<20), Length: 1<<20 + 5, Holder: "DFSClient_1", Machine: "10.0.0.7"})
	h.must(&ReassignLease{File: h.create("/lost", "gone"), OldHolder: "gone", Holder: "NN_Recovery"})
	h.must(&Rename{Head: call(6), SrcParent: alice, SrcName: "empty", DstParent: dfs.RootInodeID, DstName: strings.Repeat("long", 60)})
	h.file("/part", 5)
	h.must(&Concat{Head: call(7), Target: h.file("/whole", 1<<20), Sources: []dfs.InodeID{h.id("/part")}})
	h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: strings.Split(strings.Repeat("x", 4200), ""), Mode: 0o700, Owner: "carol", CreateParent: true})
	h.must(&Delete{Head: call(8), Parent: dfs.RootInodeID, Name: "x", Target: h.id("/x"), Recursive: true})
	h.must(&Delete{Reap: 8390})
	for _, owner := range []string{"dave", "erin"} { // the first one's number is free then
		h.must(&SetAttr{Target: h.id("/whole"), Mask: AttrOwner, Owner: owner})
		h.must(&SetAttr{Target: h.id("/whole"), Mask: AttrGroup, Group: owner + "s"})
	}
	h.must(&SetAttr{Target: h.id("/whole"), Mask: AttrGroup, Group: "staff"})
	late := h.create("/late", "DFSClient_3")
	b = h.must(&AddBlock{File: late, Holder: "DFSClient_3"}).(*AddedBlock).Block
	h.must(&AbandonBlock{File: late, Holder: "DFSClient_3", Block: b})
	b = h.must(&AddBlock{File: late, Holder: "DFSClient_3"}).(*AddedBlock).Block
	h.must(&CommitSync{Block: b, Stamp: h.must(&NextStamp{}).(dfs.GenStamp), Length: 44, Close: true})
	h.must(&SetXAttr{Target: late, Flags: XAttrCreate, Name: "short"})
	h.must(&SetXAttr{Target: late, Flags: XAttrRemove, Name: "short"})
	h.must(&Cluster{Key: "setting", Value: "value"})
	h.file("/gone", 1)
	h.must(&Delete{Parent: dfs.RootInodeID, Name: "gone"})
	return h
}

// TestGoldenLog replays a log: the same records lead to the same digest for ever.
func TestGoldenLog(t *testing.T) {
	t.Run(goldenFirst, func(t *testing.T) { testGoldenLog(t, goldenFirst, goldenHistory(t)) })
	t.Run(goldenGroups, func(t *testing.T) { testGoldenLog(t, goldenGroups, goldenGroupHistory(t)) })
	t.Run(goldenEpochs, func(t *testing.T) { testGoldenLog(t, goldenEpochs, goldenEpochHistory(t)) })
	t.Run(goldenTypes, func(t *testing.T) { testGoldenLog(t, goldenTypes, goldenTypeHistory(t)) })
}

func testGoldenLog(t *testing.T, dir string, h *history) {
	g := newGolden(t, dir, "log.txt", "Records of a log: the digest after each, kind, bytes. The first state is that of New(Options{}).")
	s := New(Options{})
	for i, rec := range h.recs {
		op, err := s.Apply(dfs.TxID(i+1), rec)
		require.NoError(t, err, op)
		d := s.Digest()
		kind, _ := Describe(rec)
		g.line(hex.EncodeToString(d[:]), kind.Kind, hex.EncodeToString(rec))
	}
	s = New(Options{Seed: 77})
	kinds := map[string]bool{}
	for i, l := range g.lines() {
		kinds[l[1]] = true
		_, err := s.Apply(dfs.TxID(i+1), unhex(t, l[2]))
		require.NoError(t, err)
		d := s.Digest()
		require.Equal(t, l[0], hex.EncodeToString(d[:]), "after record %d", i+1)
	}
	require.NoError(t, s.Check())
	requireAllKinds(t, dir, kinds)
}

// TestGoldenImage restores an image with something in every section and writes it again.
func TestGoldenImage(t *testing.T) {
	h := goldenHistory(t)
	s := testGoldenImage(t, goldenFirst, h)
	snap := s.Snapshot()
	for name, chunks := range imageOf(t, snap).chunks {
		require.NotEmpty(t, chunks, "section %s is empty", name)
	}
	s.Release(snap)
	c := s.Counts()
	require.EqualValues(t, 9, c.Files)
	require.Greater(t, len(s.strings.free), 0)
	require.EqualValues(t, 1, c.Detached)
	require.EqualValues(t, 8, c.Retries)
	require.EqualValues(t, 4, c.OpenFiles)
	require.Zero(t, c.Groups)
	r, ok := s.Retry(dfs.CallID{Client: [16]byte{0xc1, 1, 2, 15: 9}, Call: 2})
	require.True(t, ok)
	require.EqualValues(t, h.id("/user/alice/däta/open"), r.(*Created).Status.ID)
	require.Len(t, s.Blocks(nil, h.id("/user/alice/long"), 0, 1<<40), 130)
	require.Len(t, s.XAttrs(h.id("/user/alice/small")), 3)
}

// testGoldenImage gives the state that the frozen image restores to.
func testGoldenImage(t *testing.T, dir string, h *history) *State {
	g := newGolden(t, dir, "image.txt", "The chunks of an image: section, bytes. It is of the state that log.txt leads to.")
	snap := h.s.Snapshot()
	img := imageOf(t, snap)
	h.s.Release(snap)
	for _, name := range img.names {
		for _, c := range img.chunks[name] {
			g.line(name, hex.EncodeToString(c))
		}
	}
	frozen := &memImage{chunks: map[string][][]byte{}}
	for _, l := range g.lines() {
		if frozen.chunks[l[0]] == nil {
			frozen.names = append(frozen.names, l[0])
		}
		frozen.chunks[l[0]] = append(frozen.chunks[l[0]], unhex(t, l[1]))
	}
	written := slices.DeleteFunc(slices.Clone(img.names), func(name string) bool { return len(img.chunks[name]) == 0 })
	require.Equal(t, written, frozen.names)
	s := New(Options{Seed: 5})
	require.NoError(t, s.Restore(frozen))
	require.NoError(t, s.Check())
	require.Equal(t, h.s.Digest(), s.Digest())
	again := s.Snapshot()
	for name, chunks := range imageOf(t, again).chunks {
		if name != SectionInodes && name != SectionMeta { // free slots are not kept
			require.Equal(t, frozen.chunks[name], chunks, "section %s is not written as it was read", name)
		}
	}
	s.Release(again)
	return s
}
