package namespace

import (
	"fmt"
	"testing"

	"redoubt/dfs"

	"github.com/stretchr/testify/require"
)

func typeQuota(dir dfs.InodeID, t dfs.StorageType, limit int64) *SetAttr {
	return &SetAttr{Target: dir, Mask: AttrTypeQuota, DSQuota: limit, QuotaType: uint8(t)}
}

func goldenTypeHistory(t *testing.T) *history {
	h := newHistory(t)
	h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: []string{"hot", "fast", "deep"}, Mode: 0o755, Owner: "u", CreateParent: true})
	hot, fast := h.id("/hot"), h.id("/hot/fast")
	h.must(&SetAttr{Target: hot, Mask: AttrPolicy, Policy: dfs.PolicyHot})
	h.must(&SetAttr{Target: fast, Mask: AttrPolicy, Policy: 10})
	h.must(typeQuota(hot, dfs.StorageDisk, 1<<40))
	h.file("/hot/f", 3<<20)
	h.file("/hot/fast/g", 2<<20+5)
	h.must(typeQuota(fast, dfs.StorageSSD, 5<<20))
	h.must(typeQuota(fast, dfs.StorageNVDIMM, 0))
	h.must(typeQuota(h.id("/hot/fast/deep"), dfs.StorageArchive, 7))
	h.must(&SetAttr{Target: h.file("/hot/fast/deep/cold", 10), Mask: AttrPolicy, Policy: 2}) // over its quota
	h.must(&SetAttr{Target: h.id("/hot/f"), Mask: AttrReplication, Replication: 9})
	_, err := h.apply(&SetAttr{Target: h.id("/hot/fast/deep/cold"), Mask: AttrReplication, Replication: 9})
	require.True(t, dfs.Is(err, dfs.TypeQuotaExceeded), "%v", err)
	h.recs = h.recs[:len(h.recs)-1] // the log's test takes none that fail
	h.must(typeQuota(fast, dfs.StorageNVDIMM, -1))
	h.must(&AddBlock{File: h.create("/hot/fast/open", "h"), Holder: "h"})
	return h
}

func TestGoldenTypeQuotaImage(t *testing.T) {
	h := goldenTypeHistory(t)
	s := testGoldenImage(t, goldenTypes, h)
	q, ok := s.TypeQuota(h.id("/hot/fast"))
	require.True(t, ok)
	require.Equal(t, TypeQuota{Limit: dfs.TypeSpace{5 << 20, -1, -1, -1, -1}, Used: dfs.TypeSpace{3<<20 + 5, 2 * (3<<20 + 5), 30}}, q)
}

// TestTypeQuotaImageIsHeldAgainstTheTree refuses what the files do not come to.
func TestTypeQuotaImageIsHeldAgainstTheTree(t *testing.T) {
	good := goldenTypeHistory(t)
	fast, file := uint64(good.id("/hot/fast")), uint64(good.id("/hot/f"))
	for name, spoil := range map[string]func(*TypeQuotaRecord){
		"other use":        func(r *TypeQuotaRecord) { r.Types[0].Used++ },
		"no use":           func(r *TypeQuotaRecord) { r.Types = r.Types[:1] },
		"no limit":         func(r *TypeQuotaRecord) { r.Types[0].Limit = -1 },
		"limit below none": func(r *TypeQuotaRecord) { r.Types[0].Limit = -2 },
		"memory":           func(r *TypeQuotaRecord) { r.Types[0].Type = uint8(dfs.StorageRAMDisk) },
		"no medium":        func(r *TypeQuotaRecord) { r.Types[0].Type = 0 },
		"twice":            func(r *TypeQuotaRecord) { r.Types[1].Type = r.Types[0].Type },
		"nothing of it": func(r *TypeQuotaRecord) {
			r.Types = append(r.Types, TypeQuotaEntry{Type: uint8(dfs.StorageNVDIMM), Limit: -1})
		},
		"a file's":           func(r *TypeQuotaRecord) { r.Inode = file },
		"of nothing":         func(r *TypeQuotaRecord) { r.Inode = 1 << 40 },
		"of a directory's 2": func(r *TypeQuotaRecord) { r.Inode = uint64(good.id("/hot")) },
	} {
		h := goldenTypeHistory(t)
		snap := h.s.Snapshot()
		img := imageOf(t, snap)
		h.s.Release(snap)
		var c coder
		changed := false
		require.NoError(t, DecodeSection(SectionTypeQuotas, img.chunks[SectionTypeQuotas][0], func(r any) error {
			rec := r.(*TypeQuotaRecord)
			if rec.Inode == fast {
				spoil(rec)
				changed = true
			}
			rec.code(&c)
			return nil
		}))
		require.True(t, changed)
		img.chunks[SectionTypeQuotas] = [][]byte{c.b}
		err := New(Options{}).Restore(img)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%s: %v", name, err)
		require.ErrorContains(t, err, "quota by storage type of inode", name)
	}
	// Without its section the digest tells.
	snap := good.s.Snapshot()
	img := imageOf(t, snap)
	good.s.Release(snap)
	delete(img.chunks, SectionTypeQuotas)
	require.ErrorContains(t, New(Options{}).Restore(img), "digest")
}

// TestTypeQuotaOpsHaveAVersionOfTheirOwn: a reader that knows version 1 only refuses them, and
// this one refuses a record whose version and mask do not fit.
func TestTypeQuotaOpsHaveAVersionOfTheirOwn(t *testing.T) {
	for _, op := range []*SetAttr{typeQuota(dfs.RootInodeID, dfs.StorageSSD, 5), {Target: dfs.RootInodeID, Mask: AttrDSQuota, DSQuota: 5}} {
		rec := Encode(nil, op)
		at := 4 // behind the head of an array of 17 and the kind
		require.Equal(t, byte(KindSetAttr), rec[at-1])
		require.Equal(t, versionOf(op), rec[at])
		for version := range byte(5) {
			rec[at] = version
			_, err := Decode(rec)
			require.Equal(t, version != versionOf(op), dfs.Is(err, dfs.Corrupt), "version %d: %v", version, err)
		}
	}
	other := Encode(nil, &NextStamp{})
	other[2] = typeQuotaVersion
	_, err := Decode(other)
	require.ErrorContains(t, err, "unsupported version 2 of op NextStamp")
}

// TestTypeQuotasOfADeletedTree: a tree that is freed in slices has none any more, and what
// is above it is rid of its use at once.
func TestTypeQuotasOfADeletedTree(t *testing.T) {
	h := newHistory(t)
	h.must(&Mkdirs{Parent: dfs.RootInodeID, Names: []string{"top", "big", "in"}, Mode: 0o755, Owner: "u", CreateParent: true})
	top, big := h.id("/top"), h.id("/top/big")
	h.must(&SetAttr{Target: top, Mask: AttrPolicy, Policy: 12})
	for _, dir := range []dfs.InodeID{top, big, h.id("/top/big/in")} {
		h.must(typeQuota(dir, dfs.StorageSSD, 1<<40))
	}
	h.file("/top/big/in/f", 5)
	for i := range reapLimit + 1 {
		h.create(fmt.Sprintf("/top/big/%d", i), "h")
	}
	q, _ := h.s.TypeQuota(top)
	require.EqualValues(t, 15, q.Used[0])
	require.True(t, h.must(&Delete{Parent: top, Name: "big", Recursive: true}).(*Deleted).Pending)
	require.NoError(t, h.s.Check())
	q, _ = h.s.TypeQuota(top)
	require.Zero(t, q.Used)
	require.Equal(t, 1, h.s.feature.types.Len())
	restored(t, h.s)
	for h.must(&Delete{Reap: 1000}).(*Deleted).Pending {
		require.NoError(t, h.s.Check())
	}
	h.replayed()
}

// TestTypeSharesFollowTheReplication: the media of a policy's replicas, by HDFS's rule.
func TestTypeSharesFollowTheReplication(t *testing.T) {
	for _, c := range []struct {
		policy uint8
		copies uint16
		want   dfs.TypeSpace // SSD, DISK, ARCHIVE, PROVIDED, NVDIMM
	}{
		{0, 3, dfs.TypeSpace{}}, {99, 3, dfs.TypeSpace{}}, {7, 0, dfs.TypeSpace{}},
		{7, 3, dfs.TypeSpace{1: 30}}, {36, 3, dfs.TypeSpace{1: 30}},
		{10, 1, dfs.TypeSpace{0: 10}}, {10, 4, dfs.TypeSpace{10, 30}},
		{5, 1, dfs.TypeSpace{1: 10}}, {5, 3, dfs.TypeSpace{0, 10, 20}},
		{1, 2, dfs.TypeSpace{1: 10, 3: 10}}, {2, 2, dfs.TypeSpace{2: 20}}, {12, 65535, dfs.TypeSpace{655350}},
		{14, 2, dfs.TypeSpace{4: 20}}, {15, 1, dfs.TypeSpace{1: 10}}, {15, 3, dfs.TypeSpace{1: 30}},
	} {
		var got dfs.TypeSpace
		addTypes(&got, c.policy, 10, c.copies)
		require.Equal(t, c.want, got, "policy %d, %d replicas", c.policy, c.copies)
	}
}
