package damage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/vfs"
)

var pool = dfs.ClusterInfo{ClusterID: "CID-damage", PoolID: "BP-1-127.0.0.1-1", NamespaceID: 7}

// told is what a store's owner was told.
type told struct {
	mu  sync.Mutex
	bad []string
	cut []string
}

func (w *told) badness(b blockstore.Bad) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = append(w.bad, fmt.Sprint(b.Block, b.Err))
}

func (w *told) shortened(b blockstore.Bad) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = append(w.cut, fmt.Sprint(b.Block, b.Err))
}

// openStore opens the volume /v of a file system: a disk, or an array.
func openStore(fs vfs.FS, w *told) (*blockstore.Store, error) {
	return blockstore.Open(blockstore.Config{FS: fs, Cluster: pool, FailedVolumesTolerated: -1, OnBad: w.badness, OnCut: w.shortened,
		Volumes: []blockstore.VolumeConfig{{Dir: "/v"}}})
}

func content(id dfs.BlockID, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(id), 9))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// write sends data from an offset on, a chunk at a time.
func write(t *testing.T, w *blockstore.Writer, data []byte, from int) {
	t.Helper()
	for at := from; at < len(data); {
		n := min(dfs.BytesPerChecksum-at%dfs.BytesPerChecksum, len(data)-at)
		sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(data[at:at+n], crc32.MakeTable(crc32.Castagnoli)))
		require.NoError(t, w.Write(int64(at), data[at:at+n], sum, false))
		at += n
	}
}

// replicas is a volume as a kill leaves it, with the blocks that were acknowledged: 1 and
// 2 are as long, 3 was appended to, 4 is being written and synced in the middle of a chunk,
// and a copy of 5 is on its way.
type replicas struct {
	now    files
	before []files
	acked  map[dfs.BlockID]dfs.Block
}

func newReplicas(t *testing.T, mem *vfs.Mem, fs vfs.FS, dirs ...string) *replicas {
	r := &replicas{acked: map[dfs.BlockID]dfs.Block{}}
	s, err := openStore(fs, new(told))
	require.NoError(t, err)
	create := func(id dfs.BlockID, temporary bool) *blockstore.Writer {
		w, err := s.Create(blockstore.CreateOptions{Block: dfs.Block{ID: id, GenStamp: 10}, Temporary: temporary, Expected: 4096})
		require.NoError(t, err)
		return w
	}
	finalize := func(w *blockstore.Writer) {
		x, err := w.Finalize()
		require.NoError(t, err)
		r.acked[x.Block.ID] = x.Block
		require.NoError(t, w.Close())
	}
	for id, n := range map[dfs.BlockID]int{1: 3000, 2: 3000, 3: 1300} {
		w := create(id, false)
		write(t, w, content(id, n), 0)
		finalize(w)
	}
	r.before = append(r.before, save(t, mem, dirs...))
	w, err := s.Append(r.acked[3], 11, 1300)
	require.NoError(t, err)
	write(t, w, content(3, 2700), 1300)
	finalize(w)
	open := create(4, false)
	write(t, open, content(4, 1700), 0)
	require.NoError(t, open.Sync())
	r.before = append(r.before, save(t, mem, dirs...))
	write(t, open, content(4, 1900), 1700)
	require.NoError(t, open.Sync())
	r.acked[4] = dfs.Block{ID: 4, GenStamp: 10, Length: 1900}
	temporary := create(5, true)
	write(t, temporary, content(5, 2000), 0)
	r.now = save(t, mem, dirs...)
	require.NoError(t, s.Close())
	return r
}

// read reads all of a block that was acknowledged, as a client does that checks what it gets.
func read(s *blockstore.Store, b dfs.Block) ([]byte, error) {
	rd, err := s.OpenReader(context.Background(), blockstore.ReadOptions{Block: b, Length: b.Length, Verify: true})
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := rd.Read(buf, nil)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all[:min(len(all), int(b.Length))], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// judge reads every block that was acknowledged, scrubs, and closes: then all was told.
func (r *replicas) judge(t *testing.T, s *blockstore.Store, w *told) (outcome, string) {
	type seen struct {
		got   []byte
		err   error
		x     blockstore.Replica
		there bool
	}
	found := map[dfs.BlockID]seen{}
	for id, b := range r.acked {
		got, err := read(s, b)
		x, there := s.Get(id)
		found[id] = seen{got, err, x, there}
	}
	_, err := s.Scrub(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	worst, why := harmless, ""
	note := func(o outcome, format string, args ...any) {
		if slices.Index(outcomes, o) > slices.Index(outcomes, worst) {
			worst, why = o, fmt.Sprintf(format, args...)
		}
	}
	for id, b := range r.acked {
		f := found[id]
		got, err, x, there := f.got, f.err, f.x, f.there
		want := content(id, int(b.Length))
		switch {
		case err == nil && bytes.Equal(got, want):
		case err == nil:
			note(silent, "block %d: %d bytes that differ", id, len(got))
		case x.State == dfs.ReplicaRWR && x.Block.Length < b.Length && len(w.cut) == 0:
			note(silent, "block %d: %d bytes of %d are left and nobody was told", id, x.Block.Length, b.Length)
		case x.State == dfs.ReplicaRWR:
			note(lost, "block %d: %s", id, w.cut)
		case !there: // the block report lacks it
			note(reported, "block %d is not there: %v", id, err)
		default:
			note(reported, "block %d: %v", id, err)
		}
	}
	if len(w.bad) > 0 {
		note(reported, "%s", w.bad)
	}
	return worst, why
}

// try damages a file of a volume and starts; with two copies another datanode has the blocks.
func (r *replicas) try(t *testing.T, v victim, d damage, copies int) (outcome, string) {
	mem := r.now.lay(t)
	d.do(t, mem)
	mem.SyncAll()
	w := new(told)
	s, err := openStore(mem, w)
	if err != nil {
		if !strings.Contains(err.Error(), "/v") {
			return vague, err.Error()
		}
		return refused, err.Error()
	}
	o, why := r.judge(t, s, w)
	if copies == 2 && (o == reported || o == lost) {
		other, err := openStore(r.now.lay(t), new(told))
		require.NoError(t, err)
		if now, why := r.judge(t, other, new(told)); now != harmless {
			return now, why
		}
		return repaired, why
	}
	return o, why
}

// victims finds the files of the volume by what they are.
func (r *replicas) victims(t *testing.T) (list []victim) {
	at := func(suffix string) string {
		for name := range r.now {
			if strings.HasSuffix(name, suffix) {
				return name
			}
		}
		t.Fatalf("no file %s", suffix)
		return ""
	}
	every := func(n, step, first int) []int {
		marks := []int{0}
		for p := first; p < n; p += step {
			if p > 0 {
				marks = append(marks, p)
			}
		}
		return append(marks, n)
	}
	data := func(kind, suffix string, others ...string) victim {
		name := at(suffix)
		return victim{kind: kind, name: name, records: every(len(r.now[name]), 512, 0), others: others, vacant: path.Dir(name) + "/blk_999"}
	}
	sums := func(kind, suffix string, others ...string) victim {
		name := at(suffix)
		return victim{kind: kind, name: name, records: every(len(r.now[name]), 4, 7), others: others,
			vacant: path.Dir(name) + "/blk_" + strings.SplitN(path.Base(name), "_", 3)[1] + "_99.meta"}
	}
	appended, appendedSums := data("block data", "/blk_3"), sums("block checksums", "/blk_3_11.meta")
	appended.older = [][]byte{r.before[0][appended.name]}
	appendedSums.older = [][]byte{r.before[0][strings.Replace(appendedSums.name, "_11.", "_10.", 1)]}
	open, openSums := data("replica being written", "rbw/blk_4"), sums("its checksums", "rbw/blk_4_10.meta")
	open.older, openSums.older = [][]byte{r.before[1][open.name]}, [][]byte{r.before[1][openSums.name]}
	return []victim{
		{kind: "volume VERSION", name: "/v/current/VERSION", records: lines(r.now["/v/current/VERSION"]), others: []string{at("/BP-1-127.0.0.1-1/current/VERSION")}},
		{kind: "pool VERSION", name: at("/BP-1-127.0.0.1-1/current/VERSION"), records: lines(r.now[at("/BP-1-127.0.0.1-1/current/VERSION")])},
		data("block data", "/blk_1", at("/blk_2"), at("/blk_3")), sums("block checksums", "/blk_1_10.meta", at("/blk_2_10.meta")),
		appended, appendedSums, open, openSums,
		data("copy under way", "tmp/blk_5"), sums("copy under way", "tmp/blk_5_10.meta"),
		{kind: "in_use.lock", name: "/v/in_use.lock"},
	}
}

// TestVolumes damages each file of a datanode's volume. Two copies: another datanode has the
// same blocks.
func TestVolumes(t *testing.T) {
	mem := vfs.NewMem()
	r := newReplicas(t, mem, mem, "/v")
	tb := newTable()
	for _, v := range r.victims(t) {
		for _, d := range v.damages(r.now) {
			for copies := 1; copies <= 2; copies++ {
				o, why := r.try(t, v, d, copies)
				tb.add(copies, v.kind, d.class, o)
				if o == silent || o == vague || *show {
					t.Logf("%s: %s, %s, %d copies: %s", o, v.name, d.what, copies, why)
				}
			}
		}
	}
	tb.print(t)
}
