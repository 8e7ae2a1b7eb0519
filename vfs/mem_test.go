package vfs

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func put(t *testing.T, f FS, name, text string) File {
	t.Helper()
	file, err := f.Create(name)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte(text), 0)
	require.NoError(t, err)
	return file
}

func names(t *testing.T, f FS, dir string) string {
	t.Helper()
	list, err := f.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

// outcomes gives every listing of dir over all choices.
func outcomes(t *testing.T, m *Mem, dir string) map[string]bool {
	seen := map[string]bool{}
	for _, c := range m.Choices(1000, 1) {
		seen[names(t, m.CrashClone(c), dir)] = true
	}
	return seen
}

// An unsynced removal can survive while another entry is lost, and the other way round.
func TestCrashRemovalsAreEffectsToo(t *testing.T) {
	m := NewMem()
	put(t, m, "/old", "x")
	m.SyncAll()
	require.NoError(t, m.Remove("/old"))
	put(t, m, "/new", "y")
	require.Equal(t, map[string]bool{"": true, "new": true, "old": true, "new old": true}, outcomes(t, m, "/"))
	require.NoError(t, m.SyncDir("/"))
	require.Equal(t, map[string]bool{"new": true}, outcomes(t, m, "/"))
}

func TestCrashRenameNeverLosesTheFile(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.MkdirAll("/a"))
	require.NoError(t, m.MkdirAll("/b"))
	put(t, m, "/a/x", "x")
	m.SyncAll()
	require.NoError(t, m.Rename("/a/x", "/b/x"))
	both := map[string]bool{}
	for _, c := range m.Choices(1000, 1) {
		d := m.CrashClone(c)
		both[names(t, d, "/a")+"|"+names(t, d, "/b")] = true
	}
	require.Equal(t, map[string]bool{"x|": true, "|x": true, "x|x": true}, both)
	require.NoError(t, m.SyncDir("/b"))
	require.Equal(t, map[string]bool{"x": true}, outcomes(t, m, "/b"))
	require.Equal(t, map[string]bool{"x": true, "": true}, outcomes(t, m, "/a"))
	require.NoError(t, m.Rename("/b/x", "/b/y"))
	require.NoError(t, m.SyncDir("/b"))
	require.NoError(t, m.SyncDir("/b"))
	require.Equal(t, map[string]bool{"y": true}, outcomes(t, m, "/b"))
	require.NoError(t, m.SyncDir("/a"))
	require.Equal(t, map[string]bool{"": true}, outcomes(t, m, "/a"))
}

func TestCrashRenameOutOfASyncedDirectory(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.MkdirAll("/a"))
	require.NoError(t, m.MkdirAll("/b"))
	put(t, m, "/a/x", "new")
	put(t, m, "/b/x", "old")
	m.SyncAll()
	require.NoError(t, m.Remove("/b/x"))
	require.NoError(t, m.Rename("/a/x", "/b/x"))
	require.NoError(t, m.SyncDir("/a"))
	require.NoError(t, m.SyncDir("/b"))
	require.Equal(t, map[string]bool{"x": true}, outcomes(t, m, "/b"))
}

func TestCrashWritesLostKeptTornReordered(t *testing.T) {
	m := NewMem()
	f := put(t, m, "/f", strings.Repeat("a", 1024))
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("/"))
	_, err := f.WriteAt([]byte(strings.Repeat("b", 1024)), 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("c"), 1536)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, c := range m.Choices(1000, 3) {
		b, err := ReadFile(m.CrashClone(c), "/f", 1<<20)
		require.NoError(t, err)
		key := fmt.Sprintf("%c%c%d", b[0], b[512], len(b))
		seen[key] = true
	}
	for _, want := range []string{"aa1024", "bb1024", "ab1024", "ba1024", "aa1537", "bb1537"} {
		require.Contains(t, seen, want)
	}
	require.NoError(t, f.Sync())
	require.Len(t, m.Choices(1000, 3), 1)
}

func TestDropUnsynced(t *testing.T) {
	m := NewMem()
	f := put(t, m, "/f", "first")
	m.SyncAll()
	_, err := f.WriteAt([]byte(strings.Repeat("x", 2*pageSize)), 2*pageSize)
	require.NoError(t, err)
	f.(*memFile).DropUnsynced()
	require.NoError(t, f.Sync())
	b, err := ReadFile(m.CrashClone(Choice{}), "/f", 1<<20)
	require.NoError(t, err)
	require.NotContains(t, string(b), "x")
	b, err = ReadFile(m, "/f", 1<<20)
	require.NoError(t, err)
	require.Contains(t, string(b), "x")
}

// The durable and live sides against plain byte slices, over random histories.
func TestMemAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := NewMem()
		f := put(t, m, "/f", "")
		m.SyncAll()
		var live, durable []byte
		for range 40 {
			switch rng.IntN(5) {
			case 0, 1:
				b := make([]byte, rng.IntN(9000))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				off := rng.IntN(20000)
				_, err := f.WriteAt(b, int64(off))
				require.NoError(t, err)
				if len(b) > 0 && off+len(b) > len(live) {
					live = append(live, make([]byte, off+len(b)-len(live))...)
				}
				copy(live[min(off, len(live)):], b)
			case 2:
				n := rng.IntN(25000)
				require.NoError(t, f.Truncate(int64(n)))
				if n > len(live) {
					live = append(live, make([]byte, n-len(live))...)
				}
				live = live[:n:n]
			case 3:
				require.NoError(t, f.Sync())
				durable = append([]byte(nil), live...)
			case 4:
				all := fates(1000, Kept)
				checkFile(t, m.CrashClone(Choice{}), durable)
				checkFile(t, m.CrashClone(Choice{Fates: all}), live)
			}
			checkFile(t, m, live)
		}
	}
}

func checkFile(t *testing.T, m *Mem, want []byte) {
	t.Helper()
	b, err := ReadFile(m, "/f", 1<<20)
	require.NoError(t, err)
	require.Equal(t, len(want), len(b))
	require.Equal(t, string(want), string(b))
}

func TestStopAfter(t *testing.T) {
	m := NewMem()
	m.StopAfter(2)
	f := put(t, m, "/f", "x") // two steps
	require.False(t, m.Stopped())
	require.ErrorIs(t, f.Sync(), ErrPowerOff)
	require.True(t, m.Stopped())
	_, err := f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, ErrPowerOff)
	_, err = m.Open("/f")
	require.ErrorIs(t, err, ErrPowerOff)
	require.Equal(t, 2, m.Steps())
}

func TestPublishOverACrash(t *testing.T) {
	for k := 0; ; k++ {
		m := NewMem()
		require.NoError(t, m.Publish("/f", func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }))
		start := m.Steps()
		m.StopAfter(start + k)
		err := m.Publish("/f", func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err })
		for _, c := range m.Choices(64, 1) {
			d := m.CrashClone(c)
			b, rerr := ReadFile(d, "/f", 10)
			require.NoError(t, rerr)
			if err == nil {
				require.Equal(t, "new", string(b))
			} else {
				require.Contains(t, []string{"old", "new"}, string(b))
			}
			require.NoError(t, SweepTemp(d, "/", "f"))
			require.Equal(t, "f", names(t, d, "/"))
		}
		if err == nil {
			require.Equal(t, 5, k, "create, write, sync, rename, sync of the directory")
			return
		}
	}
}

func BenchmarkMemAppendSync(b *testing.B) {
	m := NewMem()
	f, err := m.Create("/f")
	if err != nil {
		b.Fatal(err)
	}
	rec := make([]byte, 100)
	b.ReportAllocs()
	for i := range b.N {
		if _, err := f.WriteAt(rec, int64(i)*100); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
