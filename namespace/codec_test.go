package namespace

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"testing"

	"redoubt/dfs"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"
)

// everyOp has one op of each kind with telling values.
func everyOp() []Op {
	h := Head{Time: 1_700_000_000_123, Call: dfs.CallID{Client: [16]byte{1, 2, 3}, Call: -5}, Auth: 1 << 63}
	b := dfs.Block{ID: 1 << 31, GenStamp: 70_000, Length: 1 << 40}
	long := string(bytes.Repeat([]byte("n"), 300))
	return []Op{
		&BeginEpoch{Head: h, Number: 7<<32 | 5, Block: 1 << 31, Stamp: 70_000},
		&Mkdirs{Head: h, Parent: 16385, Names: []string{"a", "é", long}, Mode: 0o1777, Unmasked: 0o777, HasUnmasked: true, Owner: "u", CreateParent: true},
		&Create{Head: Head{Time: -1}, Parent: 200, Names: []string{"f"}, Mode: 0o644, Owner: "u", Holder: "DFSClient_NONMAPREDUCE_1234567_1", Machine: "127.0.0.1",
			Flags: 3, Replication: 300, BlockSize: 128 << 20, Policy: 7, Existing: 70_000},
		&AddBlock{Head: h, File: 5, Holder: "h", Previous: b},
		&AddBlock{},
		&AbandonBlock{Head: h, File: 5, Holder: "h", Block: b},
		&UpdateBlocks{Head: h, File: 5, Holder: "h", Action: BlockPipeline, Old: 3, Block: b},
		&Close{Head: h, File: 5, Holder: "h", Last: b},
		&Append{Head: h, File: 5, Holder: "h", Machine: "m", NewBlock: true},
		&Delete{Head: h, Parent: 1, Name: "x", Target: 2, Recursive: true, Epoch: 9, Reap: 1000},
		&Rename{Head: h, SrcParent: 1, SrcName: "a", Source: 2, DstParent: 3, DstName: "b", DstAuth: 4, Legacy: true, Overwrite: true, ToTrash: true},
		&Concat{Head: h, Target: 1, Sources: []dfs.InodeID{2, 3, 1 << 40}},
		&Truncate{Head: h, File: 1, Length: 5, Holder: "h", Machine: "m"},
		&SetAttr{Head: h, Target: 1, Mask: 511, Mode: 0o700, Owner: "o", Group: "g", ModTime: 5, AccessTime: -1, Replication: 2, Policy: 3, NSQuota: -1, DSQuota: -1 << 40, QuotaType: 1},
		&SetAttr{Head: h, Target: 1, Mask: AttrTypeQuota, DSQuota: 1 << 40, QuotaType: uint8(dfs.StorageArchive)},
		&SetACL{Head: h, Target: 1, Mode: 0o750, Entries: []ACLEntry{{Type: 1, Scope: 1, Perm: 7, Name: "staff"}}},
		&SetXAttr{Head: h, Target: 1, Flags: 1, Space: 2, Name: "n", Value: bytes.Repeat([]byte{7}, 70_000)},
		&SetXAttr{Head: h, Target: 1, Flags: 128, Name: "n"},
		&NextStamp{Head: h},
		&ReassignLease{Head: h, File: 1, OldHolder: "a", Holder: "b"},
		&CommitSync{Head: h, Block: b, Stamp: 5, Length: -1 << 20, Close: true, Remove: true},
		&ParityGroup{Head: h, Action: GroupCommit, Parity: dfs.Block{ID: 9, GenStamp: 8, Length: 1 << 40}, CRC: 0xfedcba98, Data: 16, Replaces: 1 << 39,
			Members: []dfs.ParityMember{{Block: b, CRC: 1 << 31, Checksum: dfs.ChecksumCRC32C, BytesPer: 512}, {Block: dfs.Block{ID: 1}, BytesPer: 1 << 24, Departed: true}}},
		&ParityGroup{Action: GroupAllocate},
		&Cluster{Head: h, Key: "k", Value: "v"},
	}
}

func msgpack() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.PositiveIntUnsigned = true
	return h
}

// otherEncoding decodes a record with go-msgpack and encodes it again with that.
func otherEncoding(t testing.TB, rec []byte) []byte {
	var v []any
	d := codec.NewDecoderBytes(rec, msgpack())
	require.NoError(t, d.Decode(&v))
	require.Equal(t, len(rec), d.NumBytesRead())
	var out []byte
	require.NoError(t, codec.NewEncoderBytes(&out, msgpack()).Encode(v))
	return out
}

func TestEveryOpIsMsgpackAndComesBack(t *testing.T) {
	seen := map[Kind]bool{}
	for _, op := range everyOp() {
		seen[op.Kind()] = true
		rec := Encode(nil, op)
		back, err := Decode(rec)
		require.NoError(t, err, op.Kind())
		require.Equal(t, rec, Encode(nil, back))
		require.Equal(t, rec, otherEncoding(t, rec), "%s: go-msgpack writes other bytes", op.Kind())
		if op.Kind() != KindConcat && op.Kind() != KindSetXAttr {
			require.Equal(t, op, back)
		}
		d, err := Describe(rec)
		require.NoError(t, err)
		require.Equal(t, op.Kind().String(), d.Kind)
		_, err = json.Marshal(d)
		require.NoError(t, err)
		_, err = xml.Marshal(d.Body)
		require.NoError(t, err)
	}
	for k := Kind(1); k < kindCount; k++ {
		require.Equal(t, seen[k], newOp(k) != nil, "kind %s", k)
		require.NotContains(t, k.String(), "(")
	}
	require.Less(t, kindCount, 26)
}

func TestUnknownRecordsAreCorrupt(t *testing.T) {
	rec := Encode(nil, &NextStamp{})
	for name, bad := range map[string][]byte{
		"empty": {}, "no array": {1}, "unknown kind": {0x95, 77, 1, 0, 0xc0, 0}, "reserved kind": {0x95, byte(KindSnapshot), 1, 0, 0xc0, 0},
		"newer version": {0x95, byte(KindNextStamp), 2, 0, 0xc0, 0}, "short": rec[:len(rec)-1], "long": append(bytes.Clone(rec), 0),
		"too many fields": {0x96, byte(KindNextStamp), 1, 0, 0xc0, 0, 0}, "huge array": {0xdd, 0xff, 0xff, 0xff, 0xff, 1, 1},
	} {
		s := New(Options{})
		before := s.Digest()
		_, err := s.Apply(1, bad)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%s: %v", name, err)
		_, err = Decode(bad)
		require.True(t, dfs.Is(err, dfs.Corrupt), name)
		require.Equal(t, before, s.Digest())
	}
}

// FuzzApply feeds records to a state with a little tree: never a panic, never a broken
// state, and no record that is read but not understood by go-msgpack.
func FuzzApply(f *testing.F) {
	for _, op := range everyOp() {
		f.Add(Encode(nil, op))
	}
	f.Add(Encode(nil, &Create{Parent: 16386, Names: []string{"x", "y"}, Flags: 3, CreateParent: true, BlockSize: 1, Holder: "h"}))
	f.Add(Encode(nil, &Delete{Parent: 16385, Name: "a", Recursive: true}))
	f.Add(Encode(nil, &Rename{SrcParent: 16385, SrcName: "a", DstParent: 16387, DstName: "b", Legacy: true}))
	g := newHistory(f)
	g.mkdir("/a/b")
	g.file("/a/f", 3<<20)
	g.create("/a/open", "h")
	withGroups(g)
	for _, rec := range g.recs[len(g.recs)-4:] {
		f.Add(rec)
	}
	member := groupHistory{g}.blocks("/g/f")[0].ID
	f.Add(Encode(nil, groupHistory{g}.commit(4, g.s.GroupOf(member), groupHistory{g}.blocks("/a/f")...)))
	f.Add(Encode(nil, &ParityGroup{Action: GroupDissolve, Parity: dfs.Block{ID: g.s.GroupOf(member)}}))
	f.Fuzz(func(t *testing.T, rec []byte) {
		h := newHistory(t)
		h.mkdir("/a/b")
		h.file("/a/f", 3<<20)
		h.create("/a/open", "h")
		withGroups(h)
		op, err := Decode(rec)
		_, aerr := h.s.Apply(99, rec)
		require.Equal(t, dfs.Is(err, dfs.Corrupt), err != nil)
		require.NoError(t, h.s.Check())
		if err != nil {
			require.Error(t, aerr)
			return
		}
		again := Encode(nil, op)
		require.Equal(t, again, otherEncoding(t, again))
	})
}

// FuzzSections feeds chunks to the section decoders and to Restore.
func FuzzSections(f *testing.F) {
	h := newHistory(f)
	h.mkdir("/a/b")
	h.file("/a/f", 70<<20)
	h.create("/a/open", "h")
	h.must(&SetXAttr{Target: h.id("/a"), Flags: XAttrCreate, Name: "k", Value: []byte("v")})
	withGroups(h)
	n := h.s.Snapshot()
	img := imageOf(f, n)
	for name, chunks := range img.chunks {
		for _, c := range chunks {
			f.Add(name, c)
		}
	}
	f.Fuzz(func(t *testing.T, name string, chunk []byte) {
		_ = DescribeSection(name, chunk, func(Description) error { return nil })
		if img.chunks[name] == nil {
			return
		}
		damaged := &memImage{names: img.names, chunks: map[string][][]byte{}}
		for k, v := range img.chunks {
			damaged.chunks[k] = v
		}
		damaged.chunks[name] = [][]byte{chunk}
		s := New(Options{})
		if err := s.Restore(damaged); err != nil {
			require.True(t, dfs.Is(err, dfs.Corrupt), err)
			return
		}
		require.NoError(t, s.Check())
	})
}

// TestDamagedImagesAreRefused flips every byte of every chunk once.
func TestDamagedImagesAreRefused(t *testing.T) {
	h := newHistory(t)
	h.mkdir("/a/b")
	h.file("/a/f", 3<<20)
	h.create("/a/open", "h")
	withGroups(h)
	n := h.s.Snapshot()
	img := imageOf(t, n)
	tried := 0
	for name, chunks := range img.chunks {
		for i, c := range chunks {
			for at := range c {
				bad := bytes.Clone(c)
				bad[at] ^= 1 << (at % 8)
				img.chunks[name][i] = bad
				s := New(Options{})
				err := s.Restore(img)
				tried++
				if err != nil {
					require.True(t, dfs.Is(err, dfs.Corrupt), err)
					continue
				}
				// Only what the state does not rest on may differ unseen: the TxID and
				// strings that nothing uses. The image file's own checksums cover them.
				require.Equal(t, h.s.Digest(), s.Digest(), "section %s, byte %d: damage was not seen", name, at)
				require.NoError(t, s.Check())
			}
			img.chunks[name][i] = c
		}
	}
	t.Logf("%d damaged images", tried)
	require.NoError(t, New(Options{}).Restore(img))
}
