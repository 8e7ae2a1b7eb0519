package journal

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/crashtest"
	"redoubt/vfs"
)

func TestMain(m *testing.M) { crashtest.Main(m) }

var (
	background = context.Background()
	cluster    = dfs.ClusterInfo{ClusterID: "CID-a", PoolID: "BP-a", NamespaceID: 1}
)

// machine is a list of numbers. A record is a number; one that is there already fails;
// "bad" can't be understood. The digest is the xor of the hashes of (position, number).
type machine struct {
	list   []uint64
	seen   map[uint64]bool
	digest dfs.Digest
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func newMachine() *machine { return &machine{seen: make(map[uint64]bool)} }

var errTwice = dfs.Errorf(dfs.AlreadyExists, "number is there already")

func (m *machine) Apply(txid dfs.TxID, rec []byte) (any, error) {
	if len(rec) != 8 {
		return nil, dfs.Errorf(dfs.Corrupt, "record of %d bytes", len(rec))
	}
	n := binary.BigEndian.Uint64(rec)
	if m.seen[n] {
		return nil, errTwice
	}
	m.add(n)
	return len(m.list), nil
}

func (m *machine) add(n uint64) {
	m.seen[n] = true
	m.list = append(m.list, n)
	h := fnv.New128a()
	h.Write(number(uint64(len(m.list))))
	h.Write(number(n))
	for i, b := range h.Sum(nil) {
		m.digest[i] ^= b
	}
}

func (m *machine) Digest() dfs.Digest { return m.digest }

func (m *machine) Snapshot() Snapshot { return &frozen{list: slices.Clone(m.list), digest: m.digest} }

func (m *machine) Restore(src dfs.SectionSource) error {
	*m = *newMachine()
	return src.Chunks("numbers", func(b []byte) error {
		if len(b)%8 != 0 {
			return dfs.Errorf(dfs.Corrupt, "chunk of %d bytes", len(b))
		}
		for ; len(b) > 0; b = b[8:] {
			m.add(binary.BigEndian.Uint64(b))
		}
		return nil
	})
}

type frozen struct {
	list     []uint64
	digest   dfs.Digest
	released bool
}

func (f *frozen) Digest() dfs.Digest { return f.digest }
func (f *frozen) Release()           { f.released = true }
func (f *frozen) Sections() []dfs.Section {
	return []dfs.Section{{Name: "numbers", Write: func(emit func([]byte) error) error {
		for part := range slices.Chunk(f.list, 16) {
			var b []byte
			for _, n := range part {
				b = append(b, number(n)...)
			}
			if err := emit(b); err != nil {
				return err
			}
		}
		return nil
	}}}
}

// options for tests: no timers, small chunks, so that the order of I/O is the same in
// every run.
func options(fs vfs.FS, m Machine, dirs ...string) Options {
	return Options{
		FS: fs, Dirs: dirs, Machine: m, FillChunk: 512, DigestEvery: 3,
		CheckpointTxns: -1, CheckpointInterval: -1, IdlePromise: -1, NoFinalCheckpoint: true, AllowMissing: true,
	}
}

func formatted(t testing.TB, dirs ...string) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	require.NoError(t, Format(fs, dirs, cluster, false))
	return fs
}

func open(t testing.TB, opt Options) *Journal {
	t.Helper()
	j, err := Open(background, opt)
	require.NoError(t, err)
	return j
}

func propose(t testing.TB, j *Journal, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		_, _, err := j.Propose(background, number(n))
		require.NoError(t, err)
	}
}

func upTo(n uint64) (list []uint64) {
	for i := uint64(1); i <= n; i++ {
		list = append(list, i)
	}
	return list
}

// crash gives the disk as a killed process leaves it: everything written is there.
func crash(fs *vfs.Mem) *vfs.Mem {
	fs.SyncAll()
	return fs.CrashClone(vfs.Choice{})
}

// files lists a directory's current files, hidden ones too.
func files(t testing.TB, fs vfs.FS, dir string) (names []string) {
	t.Helper()
	entries, err := fs.ReadDir(dir + "/current")
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

// memoryLog collects log lines.
type memoryLog struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *memoryLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(b)
}

func (l *memoryLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *memoryLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestProposeAndReopen(t *testing.T) {
	fs := formatted(t, "/a")
	m := newMachine()
	j := open(t, options(fs, m, "/a"))
	require.Equal(t, cluster, j.Cluster())
	for n := uint64(1); n <= 20; n++ {
		result, txid, err := j.Propose(background, number(n))
		require.NoError(t, err)
		require.Equal(t, int(n), result)
		require.EqualValues(t, n, txid)
	}
	_, txid, err := j.Propose(background, number(7))
	require.ErrorIs(t, err, errTwice)
	require.EqualValues(t, 21, txid, "a failing operation is logged too")
	stats := j.Stats()
	require.EqualValues(t, 21, stats.LastTx)
	require.EqualValues(t, 21, stats.Txns)
	require.NoError(t, j.Close())
	require.NoError(t, j.Close())
	_, _, err = j.Propose(background, number(1))
	require.True(t, dfs.Is(err, dfs.Unavailable))
	_, err = j.Checkpoint(background)
	require.True(t, dfs.Is(err, dfs.Unavailable))
	_, err = j.Roll(background)
	require.True(t, dfs.Is(err, dfs.Unavailable))

	again := newMachine()
	j = open(t, options(fs, again, "/a"))
	require.Equal(t, m, again)
	require.EqualValues(t, 21, j.Stats().Replayed)
	require.NoError(t, j.Close())
}

func TestCheckpointRetentionAndPurge(t *testing.T) {
	fs := formatted(t, "/a", "/b")
	m := newMachine()
	j := open(t, options(fs, m, "/a", "/b"))
	for i := uint64(0); i < 5; i++ {
		propose(t, j, i*10+1, i*10+10)
		txid, err := j.Checkpoint(background)
		require.NoError(t, err)
		require.EqualValues(t, i*10+10, txid)
	}
	txid, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.EqualValues(t, 50, txid, "no second image of the same state")
	first, err := j.Roll(background)
	require.NoError(t, err)
	require.EqualValues(t, 51, first, "an empty segment is not rolled")
	propose(t, j, 51, 55)
	first, err = j.Roll(background)
	require.NoError(t, err)
	require.EqualValues(t, 56, first)
	stats := j.Stats()
	require.EqualValues(t, 5, stats.Checkpoints)
	require.EqualValues(t, 50, stats.Checkpoint.TxID)
	for _, dir := range []string{"/a", "/b"} {
		require.Equal(t, []string{
			"VERSION",
			"edits_0000000000000000041-0000000000000000050", "edits_0000000000000000051-0000000000000000055",
			"edits_inprogress_0000000000000000056",
			"fsimage_0000000000000000040", "fsimage_0000000000000000050", "watermark",
		}, files(t, fs, dir))
	}
	disk := crash(fs)
	require.NoError(t, j.Close())
	again := newMachine()
	j = open(t, options(disk, again, "/b", "/a"))
	require.Equal(t, m, again)
	require.EqualValues(t, 5, j.Stats().Replayed)
	require.NoError(t, j.Close())
}

func TestCheckpointByCountTimeAndOnClose(t *testing.T) {
	fs := formatted(t, "/a")
	opt := options(fs, newMachine(), "/a")
	opt.NoFinalCheckpoint = false
	j := open(t, opt)
	propose(t, j, 1, 5)
	require.NoError(t, j.Close())
	require.Contains(t, files(t, fs, "/a"), "fsimage_0000000000000000005")
	require.Contains(t, files(t, fs, "/a"), "edits_0000000000000000001-0000000000000000005", "the log is sealed")
}

func TestFormatRefusesAndForces(t *testing.T) {
	fs := formatted(t, "/a", "/b")
	j := open(t, options(fs, newMachine(), "/a", "/b"))
	propose(t, j, 1, 5)
	err := Format(fs, []string{"/a"}, cluster, true)
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.ErrorContains(t, err, "/a")
	_, err = Open(background, options(fs, newMachine(), "/b"))
	require.ErrorAs(t, err, &locked)
	require.ErrorContains(t, err, "name directory /b is in use")
	require.NoError(t, j.Close())

	before := files(t, fs, "/a")
	err = Format(fs, []string{"/new", "/a"}, cluster, false)
	require.True(t, dfs.Is(err, dfs.AlreadyExists))
	require.Equal(t, before, files(t, fs, "/a"))
	require.Empty(t, files(t, fs, "/new"), "nothing is written before all were looked at")
	other := cluster
	other.ClusterID = "CID-b"
	require.NoError(t, Format(fs, []string{"/a"}, other, true))
	require.Equal(t, []string{"VERSION", "fsimage_0000000000000000000", "watermark"}, files(t, fs, "/a"))
	got, err := ReadCluster(fs, []string{"/none", "/a"})
	require.NoError(t, err)
	require.Equal(t, other, got)

	_, err = Open(background, options(fs, newMachine(), "/a", "/b"))
	var foreign *ClusterError
	require.ErrorAs(t, err, &foreign)
	require.ErrorContains(t, err, "CID-a")
	require.ErrorContains(t, err, "CID-b")
	opt := options(fs, newMachine(), "/a")
	opt.Cluster = cluster
	_, err = Open(background, opt)
	require.ErrorAs(t, err, &foreign)

	require.Error(t, Format(fs, nil, cluster, false))
	require.Error(t, Format(fs, []string{"/c", "/c"}, cluster, false))
	require.Error(t, Format(fs, []string{"/c"}, dfs.ClusterInfo{}, false))
}

func TestNotFormatted(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll("/a"))
	_, err := Open(background, options(fs, newMachine(), "/a"))
	require.True(t, dfs.Is(err, dfs.IllegalState))
	_, err = ReadCluster(fs, []string{"/a"})
	require.ErrorContains(t, err, "not exist")
	_, err = Open(background, options(fs, newMachine(), "/missing"))
	require.ErrorContains(t, err, "/missing")
	_, err = Open(background, Options{})
	require.ErrorContains(t, err, "FS is missing")
	require.ErrorContains(t, err, "no name directory")
}

func TestVersionFile(t *testing.T) {
	got, err := decodeVersion(encodeVersion(cluster))
	require.NoError(t, err)
	require.Equal(t, cluster, got)
	whole := encodeVersion(cluster)
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 4
		_, err := decodeVersion(b)
		require.Error(t, err, "byte %d", i)
	}
	_, err = decodeVersion([]byte(strings.Replace(string(whole), "layoutVersion=1", "layoutVersion=2", 1)))
	require.True(t, dfs.Is(err, dfs.IncorrectVersion), "%v", err)
	require.ErrorContains(t, err, "unsupported layout version 2")
}

func TestManyCallers(t *testing.T) {
	fs := formatted(t, "/a", "/b")
	m := newMachine()
	j := open(t, options(fs, m, "/a", "/b"))
	var callers sync.WaitGroup
	for c := range uint64(32) {
		callers.Go(func() {
			for i := range uint64(50) {
				if i%2 == 0 {
					_, _, err := j.Propose(background, number(1000*c+i))
					require.NoError(t, err)
					continue
				}
				callers.Add(1)
				j.ProposeFunc(number(1000*c+i), func(result any, txid dfs.TxID, err error) {
					defer callers.Done()
					require.NoError(t, err)
					require.Equal(t, int(txid), result, "answers come in order of the log")
				})
			}
		})
	}
	for range 3 {
		_, err := j.Checkpoint(background)
		require.NoError(t, err)
	}
	callers.Wait()
	require.Len(t, m.list, 1600)
	require.NoError(t, j.Close())
	again := newMachine()
	j = open(t, options(fs, again, "/a"))
	require.Equal(t, m.list, again.list)
	require.NoError(t, j.Close())
}

// A caller that gives up is told that the outcome is unknown.
func TestCallerGivesUp(t *testing.T) {
	fs := formatted(t, "/a")
	var lock sync.Mutex
	m := newMachine()
	opt := options(fs, m, "/a")
	opt.Lock = &lock
	j := open(t, opt)
	lock.Lock() // nothing is applied
	ctx, cancel := context.WithCancel(background)
	answer := make(chan error)
	go func() {
		_, _, err := j.Propose(ctx, number(1))
		answer <- err
	}()
	for j.Stats().Txns == 0 { // until it is durable
		select {
		case err := <-answer:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	err := <-answer
	require.True(t, dfs.Is(err, dfs.Canceled))
	require.ErrorContains(t, err, "outcome unknown")
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = j.Propose(ctx, number(2))
	require.ErrorContains(t, err, "not proposed")
	require.False(t, dfs.Is(err, dfs.Canceled))
	lock.Unlock()
	propose(t, j, 3, 3)
	require.Equal(t, []uint64{1, 3}, m.list)
	_, _, err = j.Propose(background, make([]byte, dfs.MaxRecord+1))
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
	require.NoError(t, j.Close())
}

// A record the machine can't understand stops a live journal, and replay.
func TestUndecodableRecordStops(t *testing.T) {
	fs := formatted(t, "/a")
	fatal := make(chan error, 1)
	opt := options(fs, newMachine(), "/a")
	opt.OnFatal = func(err error) { fatal <- err }
	j := open(t, opt)
	propose(t, j, 1, 3)
	_, _, err := j.Propose(background, []byte("what?"))
	require.True(t, dfs.Is(err, dfs.Corrupt))
	require.ErrorContains(t, <-fatal, "transaction 4")
	_, _, err = j.Propose(background, number(9))
	require.ErrorContains(t, err, "stopped for good")
	require.ErrorContains(t, j.Close(), "stopped for good")
	_, err = Open(background, options(fs, newMachine(), "/a"))
	require.ErrorContains(t, err, "transaction 4")
	require.ErrorContains(t, err, "edits_inprogress_0000000000000000001")
	require.True(t, dfs.Is(err, dfs.Corrupt))
}

// A machine that is made differently at each start begins from the state that was
// formatted, not from its own.
func TestFormatState(t *testing.T) {
	fs := vfs.NewMem()
	first := newMachine()
	first.add(77)
	snap := first.Snapshot()
	require.NoError(t, FormatState(fs, []string{"/a"}, cluster, snap, false))
	require.True(t, snap.(*frozen).released)
	for range 2 {
		m := newMachine()
		m.add(uint64(1000 + len(m.list)))
		j := open(t, options(fs, m, "/a"))
		require.EqualValues(t, 77, m.list[0])
		require.NoError(t, j.Close())
	}
}
