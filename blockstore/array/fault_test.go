package array

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// Each single operation on one of the members fails once, or fails and all after it on
// that member: nobody above notices.
func TestEachOperationFails(t *testing.T) {
	judged := 0
	for _, sticky := range []bool{false, true} {
		for k := 0; ; k++ {
			m := vfs.NewMem()
			p := newPlayer()
			cfg := scenario{n: 3}.config(m)
			a, err := Open(cfg)
			require.NoError(t, err)
			p.f = a
			require.NoError(t, before(p, a, m))
			require.NoError(t, a.Close())
			x := faultfs.New(m)
			var mu sync.Mutex
			fired := ""
			x.SetHook(func(op faultfs.Op) faultfs.Fault {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case fired != "" && sticky && faultfs.Under(fired)(op), fired == "" && op.Index == k:
					if fired == "" {
						fired = "/" + op.Name[1:3] // the member
					}
					return faultfs.FailAt(op.Index, false)(op)
				}
				return faultfs.Fault{}
			})
			cfg = scenario{n: 3}.config(x)
			clear(p.open)
			a, err = Open(cfg)
			if err == nil {
				p.f = a
				require.NoError(t, all(p, a), "operation %d", k)
				s, err := seen(a)
				require.NoError(t, err, "operation %d", k)
				require.NoError(t, p.judge(s), "operation %d", k)
				require.NoError(t, a.Close(), "operation %d", k)
			} else {
				require.NotErrorIs(t, err, ErrLost)
			}
			mu.Lock()
			done := fired == ""
			mu.Unlock()
			judged++
			// The machine restarts: whether the member is seen to have failed or not, no
			// other bytes come out, with it and without it.
			for _, lost := range []string{"", fired} {
				d := m.CrashClone(vfs.Choice{})
				if lost != "" {
					require.NoError(t, away(d, lost))
				}
				b, err := Open(scenario{n: 3}.config(d))
				require.NoError(t, err, "operation %d, %q away", k, lost)
				s, err := seen(b)
				require.NoError(t, err, "operation %d, %q away", k, lost)
				require.NoError(t, p.judge(s), "operation %d, %q away", k, lost)
				require.NoError(t, b.Close())
			}
			if done {
				break
			}
		}
	}
	t.Logf("%d failing operations judged", judged)
}

// A device without room is nobody's failure: the writer hears of it, the array stays
// whole, and what was there stays.
func TestFull(t *testing.T) {
	for room := int64(0); room < 60_000; room += 1700 {
		m := made(t, 3)
		x := made(t, 3) // for its size
		u, err := x.Usage("/")
		require.NoError(t, err)
		used := u.Capacity - u.Free
		m.SetCapacity(used + 20_000 + room)
		a, err := Open(dirs(m, 3))
		if err != nil {
			require.True(t, isFull(err), "%v", err)
			continue
		}
		f, err := a.Create("/b")
		require.NoError(t, err)
		for off := int64(0); off < 60_000 && err == nil; off += 5000 {
			if _, err = f.WriteAt(noise(uint64(off), 5000), off); err == nil {
				err = f.Sync()
			}
		}
		if err != nil {
			require.True(t, isFull(err), "%v", err)
		}
		_ = f.Close()
		require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
		require.False(t, a.Status().Degraded, "room %d", room)
		m.SetCapacity(0)
		require.NoError(t, a.Remove("/b"))
		put(t, a, "/c", noise(3, 9000))
		require.NoError(t, a.Close())
		a = mustOpen(t, dirs(m, 3))
		require.Equal(t, noise(3, 9000), get(t, a, "/c"))
		require.Equal(t, noise(1, 10_000), get(t, a, "/a"))
	}
}

// On devices that are full to the last byte files can be removed, and their space comes back.
func TestRemoveWhenFull(t *testing.T) {
	m := vfs.NewMem()
	a := mustOpen(t, dirs(m, 3))
	for i := range 100 {
		put(t, a, fmt.Sprint("/", i), noise(uint64(i), 40_000))
	}
	u, err := m.Usage("/")
	require.NoError(t, err)
	m.SetCapacity(u.Capacity - u.Free)
	for i := range 90 {
		require.NoError(t, a.Remove(fmt.Sprint("/", i)))
		if i%40 == 9 {
			require.NoError(t, a.SyncDir("/"))
		}
	}
	require.NoError(t, a.SyncDir("/"))
	require.False(t, a.Status().Degraded)
	put(t, a, "/new", noise(7, 300_000))
	require.NoError(t, a.Close())
	a = mustOpen(t, dirs(m, 3))
	require.Equal(t, noise(7, 300_000), get(t, a, "/new"))
	require.Equal(t, noise(95, 40_000), get(t, a, "/95"))
	_, err = a.Stat("/5")
	require.ErrorIs(t, err, errNotExist)
}

// model is the array beside a file system in memory; members fail, are replaced, and the
// array is opened again, at random.
type model struct {
	disk  *vfs.Mem
	x     *faultfs.FS
	cfg   Config
	a     *Array
	plain *vfs.Mem
	open  map[string][2]vfs.File
	next  int
	sick  string
}

func (s *model) both(t *rapid.T, do func(f vfs.FS) error) {
	a, b := do(s.a), do(s.plain)
	require.Equal(t, b == nil, a == nil, "array: %v, memory: %v", a, b)
}

func (s *model) closeFiles(t *rapid.T) {
	for _, name := range slices.Sorted(maps.Keys(s.open)) {
		require.NoError(t, s.open[name][0].Close())
		require.NoError(t, s.open[name][1].Close())
		delete(s.open, name)
	}
}

func (s *model) file(t *rapid.T, name string) (vfs.File, vfs.File, bool) {
	if f, ok := s.open[name]; ok {
		return f[0], f[1], true
	}
	b, err := s.plain.OpenWrite(name)
	a, aerr := s.a.OpenWrite(name)
	require.Equal(t, err == nil, aerr == nil, "array: %v, memory: %v", aerr, err)
	if err != nil {
		return nil, nil, false
	}
	s.open[name] = [2]vfs.File{a, b}
	return a, b, true
}

var modelName = rapid.SampledFrom([]string{"/a", "/b", "/c", "/d/x", "/d/y"})

func (s *model) actions() map[string]func(*rapid.T) {
	onFile := func(do func(t *rapid.T, name string, a, b vfs.File)) func(*rapid.T) {
		return func(t *rapid.T) {
			name := modelName.Draw(t, "name")
			if a, b, ok := s.file(t, name); ok {
				do(t, name, a, b)
			}
		}
	}
	write := onFile(func(t *rapid.T, _ string, a, b vfs.File) {
		off := rapid.Int64Range(0, 30_000).Draw(t, "off")
		data := noise(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 9000).Draw(t, "length"))
		_, err := a.WriteAt(data, off)
		require.NoError(t, err)
		_, err = b.WriteAt(data, off)
		require.NoError(t, err)
	})
	return map[string]func(*rapid.T){
		"create": func(t *rapid.T) {
			name := modelName.Draw(t, "name")
			s.both(t, func(f vfs.FS) error {
				file, err := f.Create(name)
				if err == nil {
					err = file.Close()
				}
				return err
			})
		},
		"write": write, "write more": write,
		"truncate": onFile(func(t *rapid.T, _ string, a, b vfs.File) {
			size := rapid.Int64Range(0, 40_000).Draw(t, "size")
			require.NoError(t, a.Truncate(size))
			require.NoError(t, b.Truncate(size))
		}),
		"sync": onFile(func(t *rapid.T, _ string, a, b vfs.File) {
			require.NoError(t, a.Sync())
			require.NoError(t, b.Sync())
		}),
		"read": onFile(func(t *rapid.T, name string, a, b vfs.File) {
			off := rapid.Int64Range(0, 40_000).Draw(t, "off")
			p := make([]byte, rapid.IntRange(0, 9000).Draw(t, "length"))
			q := make([]byte, len(p))
			n, err := a.ReadAt(p, off)
			k, kerr := b.ReadAt(q, off)
			require.Equal(t, kerr == nil, err == nil, "array: %v, memory: %v", err, kerr)
			require.Equal(t, q[:k], p[:n], name)
		}),
		"close": func(t *rapid.T) { s.closeFiles(t) },
		"remove": func(t *rapid.T) {
			name := modelName.Draw(t, "name")
			s.both(t, func(f vfs.FS) error { return f.Remove(name) })
			if f, ok := s.open[name]; ok {
				require.NoError(t, errors.Join(f[0].Close(), f[1].Close()))
				delete(s.open, name)
			}
		},
		"rename": func(t *rapid.T) {
			old, new := modelName.Draw(t, "old"), modelName.Draw(t, "new")
			s.closeFiles(t)
			s.both(t, func(f vfs.FS) error { return f.Rename(old, new) })
		},
		"link": func(t *rapid.T) {
			old, new := modelName.Draw(t, "old"), modelName.Draw(t, "new")
			s.both(t, func(f vfs.FS) error { return f.Link(old, new) })
		},
		"fail":    s.fail,
		"replace": s.replace,
		"verify": func(t *rapid.T) {
			rep, err := s.a.Verify(context.Background())
			require.NoError(t, err)
			require.Empty(t, rep.Damaged)
			require.Zero(t, rep.Repaired)
		},
		"reopen": func(t *rapid.T) {
			s.closeFiles(t)
			require.NoError(t, s.a.Close())
			s.start(t)
		},
		"": s.check,
	}
}

func (s *model) start(t *rapid.T) {
	a, err := Open(s.cfg)
	require.NoError(t, err)
	a.checkpointAfter = 2000
	s.a = a
}

// fail makes a member fail from now on, if all are well.
func (s *model) fail(t *rapid.T) {
	require.NoError(t, s.a.WaitRebuild(context.Background()))
	if s.sick != "" || s.a.Status().Degraded {
		return
	}
	s.sick = s.a.Status().Members[rapid.IntRange(0, len(s.cfg.Members)-1).Draw(t, "member")].Dir
	sick := s.sick
	s.x.SetHook(faultfs.FailOn(errors.New("broken"), func(op faultfs.Op) bool { return faultfs.Under(sick)(op) }))
}

// replace gives the failed member's place to a new directory.
func (s *model) replace(t *rapid.T) {
	if s.sick == "" {
		return
	}
	s.next++
	require.NoError(t, s.a.Replace(s.sick, fmt.Sprint("/new", s.next)))
	for i, m := range s.cfg.Members {
		if m.Dir == s.sick {
			s.cfg.Members[i].Dir = fmt.Sprint("/new", s.next)
		}
	}
	s.sick = ""
}

// check compares names, sizes and, of those not open, bytes.
func (s *model) check(t *rapid.T) {
	for _, dir := range []string{"/", "/d"} {
		a, err := s.a.ReadDir(dir)
		require.NoError(t, err)
		b, err := s.plain.ReadDir(dir)
		require.NoError(t, err)
		require.Equal(t, len(b), len(a))
		for i := range a {
			require.Equal(t, b[i].Name, a[i].Name)
			require.Equal(t, b[i].Size, a[i].Size, a[i].Name)
			if b[i].Dir {
				continue
			}
			name := dir + "/" + b[i].Name
			p, err := vfs.ReadFile(s.a, name, 1<<20)
			require.NoError(t, err)
			q, err := vfs.ReadFile(s.plain, name, 1<<20)
			require.NoError(t, err)
			require.Equal(t, string(q), string(p), name)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &model{disk: vfs.NewMem(), plain: vfs.NewMem(), open: map[string][2]vfs.File{}}
		s.x = faultfs.New(s.disk)
		s.cfg = dirs(s.x, rapid.IntRange(3, 6).Draw(t, "members"))
		s.cfg.Unit = rapid.SampledFrom([]int64{512, 1024, 4096}).Draw(t, "unit")
		s.start(t)
		for _, f := range []vfs.FS{s.a, s.plain} {
			require.NoError(t, f.MkdirAll("/d"))
		}
		t.Repeat(s.actions())
		s.closeFiles(t)
		require.NoError(t, s.a.Close())
	})
}
