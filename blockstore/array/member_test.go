package array

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// events collects what an array tells.
type events struct {
	mu   sync.Mutex
	list []Event
	ch   chan Event
}

func (e *events) on(x Event) {
	e.mu.Lock()
	e.list = append(e.list, x)
	e.mu.Unlock()
	select {
	case e.ch <- x:
	default:
	}
}

func (e *events) kinds() (list []EventKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.list {
		list = append(list, x.Kind)
	}
	return list
}

func (e *events) await(t *testing.T, kind EventKind) Event {
	t.Helper()
	for {
		select {
		case x := <-e.ch:
			if x.Kind == kind {
				return x
			}
		case <-t.Context().Done():
			t.Fatal("no event ", kind)
		}
	}
}

func watched(c Config) (Config, *events) {
	e := &events{ch: make(chan Event, 1000)}
	c.OnEvent = e.on
	return c, e
}

// made gives a disk with an array of n members that holds the file /a.
func made(t *testing.T, n int) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	c := dirs(m, n)
	c.Unit = 512
	a := mustOpen(t, c)
	put(t, a, "/a", noise(1, 10_000))
	require.NoError(t, a.Close())
	return m.CrashClone(vfs.Choice{})
}

func refused(t *testing.T, c Config, text ...string) {
	t.Helper()
	_, err := Open(c)
	require.Error(t, err)
	for _, s := range text {
		require.ErrorContains(t, err, s)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	m := vfs.NewMem()
	refused(t, dirs(m, 2), "2 members", "3 to 17")
	refused(t, dirs(m, 18), "18 members")
	refused(t, Config{FS: m, Members: []Member{{Dir: "/a"}, {Dir: "/b"}, {Dir: "/a/"}}}, "/a/ is given twice")
	refused(t, Config{FS: m, Members: []Member{{Dir: "/a"}, {Dir: "/b"}, {Dir: "/a/c"}}}, "/a and /a/c lie in one another")
	refused(t, Config{FS: m, Members: []Member{{Dir: "/a"}, {Dir: "/b"}, {Dir: "/c"}}, Spares: []Member{{Dir: "/b"}}}, "/b is given twice")
	refused(t, Config{Members: []Member{{Dir: "/a"}, {Dir: "/b"}, {Dir: ""}}}, "without a directory", "no file system for /a")
	c := dirs(m, 3)
	c.Unit = 1000
	refused(t, c, "multiple of 512")
	require.Zero(t, m.Steps(), "nothing was touched")

	require.NoError(t, m.MkdirAll("/m1/precious"))
	refused(t, dirs(m, 3), "/m1", "not empty (precious)")
	_, err := m.Stat("/m0")
	require.ErrorIs(t, err, errNotExist)
}

var errNotExist = func() error { _, err := vfs.NewMem().Stat("/none"); return errors.Unwrap(err) }()

func TestParse(t *testing.T) {
	members, spares, is, err := Parse("raid5:/a,/b/,/c,spare=/d")
	require.NoError(t, err)
	require.True(t, is)
	require.Equal(t, []string{"/a", "/b", "/c"}, members)
	require.Equal(t, []string{"/d"}, spares)
	_, _, is, err = Parse("/data")
	require.NoError(t, err)
	require.False(t, is)
	for _, bad := range []string{"raid5:", "raid5:/a,/b", "raid5:/a,/b,", "raid5:/a,/b,/a", "raid5:/a,/b,/a/x", "raid5:/a,/b,/c,spare="} {
		_, _, is, err := Parse(bad)
		require.True(t, is)
		require.Error(t, err, bad)
	}
}

func TestMembersOfOthers(t *testing.T) {
	m := made(t, 3)
	other := vfs.NewMem()
	b := mustOpen(t, disks(other, other, other))
	require.NoError(t, b.Close())
	four := vfs.NewMem()
	require.NoError(t, mustOpen(t, dirs(four, 4)).Close())
	refused(t, disks(m, other, m), "/m0 belongs to array", "/m1 to array")
	refused(t, disks(four, four, four), "/m0 belongs to an array of 4 members, 3 are given")
	c := dirs(m, 3)
	c.Unit = 1024
	refused(t, c, "unit is 512 bytes, not 1024")
	twin := Config{FS: m, Members: []Member{{Dir: "/m0"}, {Dir: "/m1"}, {Dir: "/m0", FS: m.CrashClone(vfs.Choice{})}}}
	m.SyncAll()
	refused(t, twin, "same member twice")

	locked := mustOpen(t, dirs(m, 3))
	refused(t, dirs(m, 3), "/m0", vfs.ErrLocked.Error())
	require.NoError(t, locked.Close())
}

// The order of the directories does not matter, and a member that was moved is known.
func TestMembersSwapped(t *testing.T) {
	m := made(t, 3)
	c, e := watched(dirs(m, 3))
	c.Members[0], c.Members[2] = c.Members[2], c.Members[0]
	a := mustOpen(t, c)
	require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	require.Empty(t, e.kinds())
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m1", "/x"))
	require.NoError(t, m.Rename("/m0", "/m1"))
	require.NoError(t, m.Rename("/x", "/m0"))
	c, e = watched(dirs(m, 3))
	a = mustOpen(t, c)
	require.Equal(t, []EventKind{MemberMoved, MemberMoved}, e.kinds())
	require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	require.Equal(t, "/m0", a.Status().Members[1].Dir)
}

func TestMissingMembers(t *testing.T) {
	m := made(t, 4)
	require.NoError(t, m.Rename("/m1", "/x1"))
	c, e := watched(dirs(m, 4))
	a := mustOpen(t, c)
	st := a.Status()
	require.True(t, st.Degraded)
	require.False(t, st.Lost)
	require.Equal(t, Failed, st.Members[1].State)
	require.ErrorContains(t, st.Members[1].Err, "/m1 is missing")
	require.Equal(t, []EventKind{MemberMissing}, e.kinds())
	put(t, a, "/b", noise(2, 5000))
	require.NoError(t, a.Close())

	// It comes back: it has missed a file.
	require.NoError(t, m.Rename("/x1", "/m1"))
	c, e = watched(dirs(m, 4))
	a = mustOpen(t, c)
	require.Equal(t, []EventKind{MemberStale}, e.kinds())
	require.Equal(t, noise(2, 5000), get(t, a, "/b"))
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m2", "/x2"))
	refused(t, dirs(m, 4), ErrLost.Error(), "/m1", "/m2")

	// Only the stale one and one of the others: that is not enough to know anything by.
	m = made(t, 3)
	require.NoError(t, m.Rename("/m0", "/x0"))
	a = mustOpen(t, dirs(m, 3))
	put(t, a, "/b", nil)
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/x0", "/m0"))
	require.NoError(t, m.Rename("/m1", "/x1"))
	refused(t, dirs(m, 3), "/m0", "/m1")
}

// Two members each say that the other has failed, and the third is away: one of the two
// is stale, and nothing tells which.
func TestContradiction(t *testing.T) {
	m := made(t, 3)
	d := m.CrashClone(vfs.Choice{})
	require.NoError(t, m.Rename("/m0", "/x"))
	require.NoError(t, mustOpen(t, dirs(m, 3)).Close())
	require.NoError(t, d.Rename("/m2", "/x"))
	require.NoError(t, mustOpen(t, dirs(d, 3)).Close())
	_, err := Open(Config{Members: []Member{{Dir: "/m0", FS: d}, {Dir: "/gone", FS: m}, {Dir: "/m2", FS: m}}})
	require.ErrorContains(t, err, "each say that the other had failed")
}

func TestDamagedSuperblockAndLog(t *testing.T) {
	for _, file := range []string{superFile, "meta/log.1"} {
		m := made(t, 3)
		name := "/m2/" + file
		b, err := vfs.ReadFile(m, name, 1<<20)
		require.NoError(t, err)
		for _, at := range []int{0, 7, 20, len(b) - 1} {
			d := m.CrashClone(vfs.Choice{})
			f, err := d.OpenWrite(name)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte{b[at] ^ 0x10}, int64(at))
			require.NoError(t, err)
			require.NoError(t, f.Close())
			a := mustOpen(t, dirs(d, 3))
			require.Equal(t, noise(1, 10_000), get(t, a, "/a"), "%s with byte %d changed", file, at)
			if file == superFile {
				require.Equal(t, Failed, a.Status().Members[2].State)
			}
		}
	}
}

// A member vanishes between two writes; the array goes on, and so does a spare.
func TestMemberVanishes(t *testing.T) {
	for _, spare := range []bool{false, true} {
		m := made(t, 4)
		c, e := watched(dirs(m, 4))
		if spare {
			c.Spares = []Member{{Dir: "/spare"}}
		}
		a := mustOpen(t, c)
		put(t, a, "/b", noise(2, 3000))
		require.NoError(t, m.Rename("/m3", "/pulled"))
		put(t, a, "/c", noise(3, 3000))
		e.await(t, MemberFailed)
		_, err := m.Stat("/m3")
		require.ErrorIs(t, err, errNotExist, "not begun anew at its place")
		if spare {
			require.Equal(t, "/spare", e.await(t, RebuildFinished).Dir)
			require.False(t, a.Status().Degraded)
			require.Empty(t, a.Status().Spares)
		}
		for range 2 {
			for i, size := range []int{10_000, 3000, 3000} {
				require.Equal(t, noise(uint64(i+1), size), get(t, a, "/"+string(rune('a'+i))))
			}
			require.NoError(t, a.Close())
			a = mustOpen(t, c)
		}
		if spare {
			require.NoError(t, a.Close())
			require.NoError(t, m.Rename("/m0", "/gone"))
			a = mustOpen(t, c)
			require.Equal(t, noise(3, 3000), get(t, a, "/c"))
		}
	}
}

func TestTwoLost(t *testing.T) {
	m := made(t, 4)
	x := faultfs.New(m)
	a := mustOpen(t, dirs(x, 4))
	put(t, a, "/b", noise(2, 30_000))
	x.SetHook(faultfs.FailOn(syscall.EIO, func(op faultfs.Op) bool {
		return faultfs.Under("/m1")(op) || faultfs.Under("/m2")(op)
	}))
	f, err := a.Create("/c")
	require.NoError(t, err)
	_, err = f.WriteAt(noise(3, 3000), 0)
	require.NoError(t, err, "in memory")
	require.ErrorIs(t, f.Sync(), ErrLost)
	_, err = f.WriteAt(noise(3, 3000), 0)
	require.ErrorIs(t, err, ErrLost)
	require.Error(t, f.Close())
	require.ErrorIs(t, a.SyncDir("/"), ErrLost)
	require.True(t, a.Status().Lost)

	// What is there can be read; what is not is an error, never other bytes.
	f, err = a.Open("/b")
	require.NoError(t, err)
	want := noise(2, 30_000)
	good, bad := 0, 0
	for off := 0; off < len(want); off += 500 {
		b := make([]byte, min(500, len(want)-off))
		if _, err := f.ReadAt(b, int64(off)); err != nil {
			require.ErrorIs(t, err, syscall.EIO)
			bad++
		} else {
			require.Equal(t, want[off:off+len(b)], b)
			good++
		}
	}
	require.NotZero(t, good)
	require.NotZero(t, bad)
	require.NoError(t, f.Close())
	require.ErrorIs(t, a.Close(), ErrLost)
	x.SetHook(nil)
	refused(t, dirs(m.CrashClone(vfs.Choice{}), 3), "4 members")
}

func TestReplaceRefused(t *testing.T) {
	m := made(t, 3)
	small := vfs.NewMem()
	small.SetCapacity(100)
	require.NoError(t, m.MkdirAll("/full/of"))
	a := mustOpen(t, dirs(m, 3))
	require.ErrorContains(t, a.Replace("/m7", "/new"), "/m7 is no member")
	require.ErrorContains(t, a.Replace("/m1", "/m2"), "/m2")
	require.ErrorContains(t, a.Replace("/m1", "/m2/x"), "lies in")
	require.ErrorContains(t, a.Replace("/m1", "/m1/x"), "lie in one another")
	require.ErrorContains(t, a.Replace("/m1", "/full"), "not empty")
	require.ErrorContains(t, a.ReplaceWith("/m1", Member{Dir: "/small", FS: small}), "too small")
	require.ErrorContains(t, a.Replace("/m1", "/m1"), "already")
	other := mustOpen(t, Config{FS: m, Members: []Member{{Dir: "/o0"}, {Dir: "/o1"}, {Dir: "/o2"}}})
	require.ErrorContains(t, a.Replace("/m1", "/o1"), "belongs to array "+other.Status().ID)
	require.False(t, a.Status().Degraded)
	require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	require.NoError(t, a.Replace("/m1", "/new"))
	require.NoError(t, a.WaitRebuild(context.Background()))
}

// A new disk is mounted where the lost one was.
func TestReplaceInPlace(t *testing.T) {
	m := made(t, 3)
	require.NoError(t, m.Rename("/m1", "/x1"))
	require.NoError(t, m.MkdirAll("/m1"))
	a := mustOpen(t, dirs(m, 3))
	require.True(t, a.Status().Degraded)
	require.Equal(t, Failed, a.Status().Members[1].State)
	require.NoError(t, a.Replace("/m1", "/m1"))
	require.NoError(t, a.WaitRebuild(context.Background()))
	require.False(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m0", "/x0"))
	a = mustOpen(t, dirs(m, 3))
	require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	require.NoError(t, a.Close())
}

// A rebuild that was stopped goes on at the next start, with the directory that the
// configuration does not know of.
func TestRebuildGoesOn(t *testing.T) {
	m := made(t, 3)
	c, e := watched(dirs(m, 3))
	c.RebuildRate = 1 // it waits after the first group
	a := mustOpen(t, c)
	put(t, a, "/b", noise(2, 100_000))
	require.NoError(t, a.Replace("/m0", "/new"))
	put(t, a, "/c", noise(3, 20_000))
	e.await(t, RebuildStarted)
	require.NoError(t, a.Close())
	c.RebuildRate = 0
	a = mustOpen(t, c)
	require.NoError(t, a.WaitRebuild(context.Background()))
	require.False(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m2", "/gone"))
	a = mustOpen(t, c)
	for i, size := range []int{10_000, 100_000, 20_000} {
		require.Equal(t, noise(uint64(i+1), size), get(t, a, "/"+string(rune('a'+i))))
	}
}

// A spare stands in for a member that is missing at the start; one that is too small, or
// holds something, is passed over.
func TestSpareAtTheStart(t *testing.T) {
	m := made(t, 3)
	small := vfs.NewMem()
	small.SetCapacity(500)
	require.NoError(t, m.MkdirAll("/full/of"))
	require.NoError(t, m.Rename("/m0", "/x"))
	c, e := watched(dirs(m, 3))
	c.Spares = []Member{{Dir: "/small", FS: small}, {Dir: "/full"}, {Dir: "/good"}}
	a := mustOpen(t, c)
	require.Equal(t, "/full", e.await(t, SpareRefused).Dir)
	require.Equal(t, "/small", e.await(t, SpareRefused).Dir)
	require.Equal(t, "/good", e.await(t, RebuildFinished).Dir)
	require.False(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m1", "/y"))
	c.Spares = c.Spares[2:]
	require.Equal(t, noise(1, 10_000), get(t, mustOpen(t, c), "/a"))
}

// A member that is being filled is replaced itself.
func TestReplaceTheReplacement(t *testing.T) {
	m := made(t, 3)
	c, e := watched(dirs(m, 3))
	c.RebuildRate = 1
	a := mustOpen(t, c)
	put(t, a, "/b", noise(2, 100_000))
	require.NoError(t, a.Replace("/m2", "/new"))
	e.await(t, RebuildStarted)
	a.rebuild.rate.Store(0)
	require.NoError(t, a.Replace("/new", "/newer"))
	require.Equal(t, "/newer", e.await(t, RebuildFinished).Dir)
	require.Equal(t, "/newer", a.Status().Members[2].Dir)
	require.NoError(t, a.Close())
	require.NoError(t, m.Rename("/m0", "/gone"))
	a = mustOpen(t, c)
	require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	require.Equal(t, noise(2, 100_000), get(t, a, "/b"))
}

// flip changes a byte of a file of a member.
func flip(t *testing.T, f vfs.FS, name string, off int64) {
	t.Helper()
	file, err := f.OpenWrite(name)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = file.ReadAt(b, off)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = file.WriteAt(b, off)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestVerifyRepairs(t *testing.T) {
	m := made(t, 4)
	stride := unitStride(512)
	for member := range 4 {
		for _, off := range []int64{0, 5, 10, 20, 28, 32, 40, 500, stride + 3, 3*stride + 100} {
			d := m.CrashClone(vfs.Choice{})
			c, e := watched(dirs(d, 4))
			flip(t, d, fmt.Sprintf("/m%d/o/0/1", member), off)
			a := mustOpen(t, c)
			require.Equal(t, noise(1, 10_000), get(t, a, "/a"), "read around it")
			rep, err := a.Verify(context.Background())
			require.NoError(t, err)
			require.EqualValues(t, 1, rep.Repaired, "%d %d", member, off)
			require.Empty(t, rep.Damaged)
			require.Contains(t, e.kinds(), UnitRepaired)
			rep, err = a.Verify(context.Background())
			require.NoError(t, err)
			require.Zero(t, rep.Repaired)
			require.NoError(t, a.Close())
		}
	}
}

// However little is read of a unit that rots, it is made again from the others.
func TestReadAroundRot(t *testing.T) {
	m := made(t, 4)
	want := noise(1, 10_000)
	for member := range 4 {
		d := m.CrashClone(vfs.Choice{})
		flip(t, d, fmt.Sprintf("/m%d/o/0/1", member), unitHeader+100)
		a := mustOpen(t, dirs(d, 4))
		f, err := a.Open("/a")
		require.NoError(t, err)
		for _, length := range []int{1, 7, 100, 511} {
			for off := 0; off+length <= len(want); off += length {
				b := make([]byte, length)
				_, err := f.ReadAt(b, int64(off))
				require.NoError(t, err)
				require.Equal(t, want[off:off+length], b, "%d bytes at %d", length, off)
			}
		}
		require.NoError(t, f.Close())
		require.NoError(t, a.Close())
	}
}

func TestVerifyRefuses(t *testing.T) {
	m := made(t, 4)
	flip(t, m, "/m0/o/0/1", 50)
	flip(t, m, "/m1/o/0/1", 50)
	a := mustOpen(t, dirs(m, 4))
	before := make([]string, 4)
	for i := range before {
		before[i] = string(get(t, m, fmt.Sprintf("/m%d/o/0/1", i)))
	}
	rep, err := a.Verify(context.Background())
	require.NoError(t, err)
	require.Zero(t, rep.Repaired)
	require.Len(t, rep.Damaged, 1)
	require.Equal(t, "/a", rep.Damaged[0].File)
	require.Zero(t, rep.Damaged[0].Stripe)
	for i := range before {
		require.Equal(t, before[i], string(get(t, m, fmt.Sprintf("/m%d/o/0/1", i))), "nothing was changed")
	}
	_, err = vfs.ReadFile(a, "/a", 1<<20)
	require.ErrorIs(t, err, syscall.EIO)
	f, err := a.Open("/a")
	require.NoError(t, err)
	b := make([]byte, 3000)
	_, err = f.ReadAt(b, 6000)
	require.NoError(t, err)
	require.Equal(t, noise(1, 10_000)[6000:9000], b, "the rest can be read")
	require.NoError(t, f.Close())
}

// A write that a disk acknowledged and never did leaves an old unit with a right
// checksum: its stamp tells.
func TestLostWrite(t *testing.T) {
	m := vfs.NewMem()
	c := dirs(m, 3)
	c.Unit = 512
	a := mustOpen(t, c)
	put(t, a, "/a", noise(1, 1024))
	name := unitPath("/m0", 1, 0)
	old := get(t, m, name)
	f, err := a.OpenWrite("/a")
	require.NoError(t, err)
	for i := range uint64(2) { // out of place, and then back home
		_, err = f.WriteAt(noise(2+i, 1024), 0)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
	}
	require.NoError(t, f.Close())
	w, err := m.OpenWrite(name)
	require.NoError(t, err)
	_, err = w.WriteAt(old, 0)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, noise(3, 1024), get(t, a, "/a"))
	rep, err := a.Verify(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 1, rep.Repaired)
}
