package array

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/crashtest"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

var long = flag.Bool("array.long", false, "crash tests judge every disk with every member away")

// view is a file system as it was, or may be, after a restart: names and bytes.
type state map[string]string

// player does things to an array and knows which states a restart may find: the last one
// that was acknowledged, or one of those begun since. Bytes count once a sync has begun.
type player struct {
	f      vfs.FS
	now    state // names, and bytes as last synced
	live   map[string][]byte
	open   map[string]vfs.File
	states []state
	acked  int
	phase  string
	each   bool // any write may become durable at any time
}

func newPlayer() *player {
	return &player{now: state{}, live: map[string][]byte{}, open: map[string]vfs.File{}, states: []state{{}}}
}

func (p *player) begin(phase string) {
	p.phase = phase
	p.states = append(p.states, maps.Clone(p.now))
}

func (p *player) ack(err error) error {
	if err == nil {
		p.acked = len(p.states) - 1
	}
	return err
}

func (p *player) create(name string) error {
	p.now[name], p.live[name] = "", nil
	p.begin("create")
	f, err := p.f.Create(name)
	p.open[name] = f
	return err
}

func (p *player) write(name string, off int, data []byte) error {
	b := p.live[name]
	if end := off + len(data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[off:], data)
	return p.change(name, b, func(f vfs.File) error {
		_, err := f.WriteAt(data, int64(off))
		return err
	})
}

func (p *player) truncate(name string, size int) error {
	b := slices.Clone(p.live[name][:size])
	return p.change(name, b, func(f vfs.File) error { return f.Truncate(int64(size)) })
}

func (p *player) change(name string, b []byte, do func(f vfs.File) error) error {
	p.live[name] = b
	if p.each {
		p.now[name] = string(b)
		p.begin("write")
	}
	p.phase = "write"
	f := p.open[name]
	if f == nil {
		var err error
		if f, err = p.f.OpenWrite(name); err != nil {
			return err
		}
		p.open[name] = f
	}
	return do(f)
}

func (p *player) sync(name string) error {
	p.now[name] = string(p.live[name])
	p.begin("sync")
	return p.ack(p.open[name].Sync())
}

func (p *player) close(name string) error {
	f := p.open[name]
	delete(p.open, name)
	return f.Close()
}

func (p *player) syncDir() error {
	p.begin("sync directory")
	return p.ack(p.f.SyncDir("/"))
}

func (p *player) remove(name string) error {
	delete(p.now, name)
	delete(p.live, name)
	p.begin("remove")
	return p.f.Remove(name)
}

func (p *player) rename(old, new string) error {
	p.now[new], p.live[new] = p.now[old], p.live[old]
	delete(p.now, old)
	delete(p.live, old)
	if f := p.open[old]; f != nil {
		p.open[new] = f
		delete(p.open, old)
	}
	p.begin("rename")
	return p.f.Rename(old, new)
}

func (p *player) publish(name string, data []byte) error {
	// The temporary file is a state of its own; judge leaves out such names.
	p.now[name], p.live[name] = string(data), data
	p.begin("publish")
	return p.ack(p.f.Publish(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}))
}

// seen reads everything.
func seen(f vfs.FS) (state, error) {
	entries, err := f.ReadDir("/")
	if err != nil {
		return nil, err
	}
	s := state{}
	for _, e := range entries {
		if e.Name[0] == '.' {
			continue
		}
		b, err := vfs.ReadFile(f, "/"+e.Name, 1<<30)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		s["/"+e.Name] = string(b)
	}
	return s, nil
}

func (p *player) judge(s state) error {
	for i := p.acked; i < len(p.states); i++ {
		if maps.Equal(s, p.states[i]) {
			return nil
		}
	}
	text := ""
	for name, b := range s {
		want, there := p.states[p.acked][name]
		text += fmt.Sprintf("; %s has %d bytes, was acknowledged %v with %d, same %v", name, len(b), there, len(want), b == want)
	}
	for name := range p.states[p.acked] {
		if _, ok := s[name]; !ok {
			text += "; " + name + " is gone"
		}
	}
	return errors.New("a state that never was" + text)
}

// away takes a member's directory away from a disk.
func away(f vfs.FS, dir string) error {
	if err := f.Rename(dir, "/away"); err != nil {
		return err
	}
	return f.SyncDir("/")
}

// scenario cuts the power during run. In the checks each of the members in lose, and
// none, is away; the dirs whole must be whole when none is.
type scenario struct {
	n       int
	lose    []int
	setup   func(p *player, a *Array, f vfs.FS) error
	wrap    func(f vfs.FS) vfs.FS
	spare   bool
	run     func(p *player, a *Array) error
	each    bool
	short   bool  // runs in short tests too
	nested  bool  // the restart is cut too, not only with array.long
	second  []int // may be away too: opening is refused then, or finds what is right
	damaged bool  // a member fails on the way
}

func (c scenario) config(f vfs.FS) Config {
	cfg := dirs(f, c.n)
	cfg.Unit, cfg.ballast = 512, 700
	if c.spare {
		cfg.Spares = []Member{{Dir: "/spare"}}
	}
	return cfg
}

func (c scenario) crash(t *testing.T) {
	if testing.Short() && !c.short {
		t.Skip("long")
	}
	turn := 0
	count := crashtest.EachPoint(t, func() crashtest.Scenario {
		p := newPlayer()
		p.each = c.each
		checked := 0
		return crashtest.Scenario{
			Setup: func(f vfs.FS) error {
				a, err := Open(c.config(f))
				if err != nil {
					return err
				}
				p.f = a
				err = c.setup(p, a, f)
				p.acked = len(p.states) - 1
				return errors.Join(err, a.Close())
			},
			Phase: func() string { return p.phase },
			Run: func(f vfs.FS) error {
				p.phase = "open"
				disk := f.(*vfs.Mem)
				if c.wrap != nil {
					f = c.wrap(f)
				}
				clear(p.open)
				a, err := Open(c.config(f))
				if err != nil {
					return err
				}
				defer a.Close()
				p.f = a
				err = c.run(p, a)
				if err != nil && disk.Stopped() {
					err = vfs.ErrPowerOff // whatever became of it on the way
				}
				return err
			},
			Recover: func(f vfs.FS) error {
				if !c.nested && !*long {
					return nil
				}
				turn++
				if i := turn % (len(c.lose) + 1); i < len(c.lose) {
					if err := away(f, fmt.Sprint("/m", c.lose[i])); err != nil {
						return err
					}
				}
				a, err := Open(c.config(f))
				if err != nil {
					return err
				}
				return a.Close()
			},
			Check: func(f vfs.FS) error {
				checked++
				return c.check(p, f.(*vfs.Mem), checked)
			},
		}
	})
	require.Greater(t, count, int64(50))
}

// check judges the disk with no member away, and with each of lose; without array.long
// with one of them, in turn.
func (c scenario) check(p *player, disk *vfs.Mem, turn int) error {
	gone := ""
	if _, err := disk.Stat("/away"); err == nil {
		gone = "/away" // the recovery that was cut had one member away already
	}
	for i, lost := range append([]int{-1}, c.lose...) {
		if gone != "" && i > 0 || !*long && i > 0 && i-1 != turn%max(1, len(c.lose)) {
			continue
		}
		d := disk.CrashClone(vfs.Choice{})
		if lost >= 0 {
			if err := away(d, fmt.Sprint("/m", lost)); err != nil {
				return err
			}
		}
		a, err := Open(c.config(d))
		if err != nil {
			return fmt.Errorf("with member %d away: %w", lost, err)
		}
		err = c.judge(p, a, lost < 0 && gone == "" && !c.damaged)
		if err := errors.Join(err, a.Close()); err != nil {
			return fmt.Errorf("with member %d away: %w", lost, err)
		}
	}
	for _, lost := range c.second {
		if gone != "" {
			break
		}
		d := disk.CrashClone(vfs.Choice{})
		if err := away(d, fmt.Sprint("/m", lost)); err != nil {
			return err
		}
		a, err := Open(c.config(d))
		if errors.Is(err, ErrLost) {
			continue
		}
		if err == nil {
			err = c.judge(p, a, false)
			err = errors.Join(err, a.Close())
		}
		if err != nil {
			return fmt.Errorf("with member %d away as the second: %w", lost, err)
		}
	}
	return nil
}

func (c scenario) judge(p *player, a *Array, whole bool) error {
	s, err := seen(a)
	if err == nil {
		err = p.judge(s)
	}
	if err != nil || !whole {
		return err
	}
	if err := a.WaitRebuild(context.Background()); err != nil {
		return err
	}
	if rep, err := a.Verify(context.Background()); err != nil || len(rep.Damaged) > 0 || rep.Repaired > 0 {
		return fmt.Errorf("verify: %+v, %w", rep, err)
	}
	if s, err = seen(a); err != nil {
		return err
	}
	return p.judge(s)
}

// all is what happens to files: written, synced in the middle of a stripe, gone on with,
// overwritten, cut, renamed, removed.
func all(p *player, _ *Array) error {
	return errors.Join(nil, run(
		func() error { return p.create("/a") },
		func() error { return p.write("/a", 0, noise(1, 700)) },
		func() error { return p.sync("/a") },
		func() error { return p.write("/a", 700, noise(2, 1500)) }, // beyond a stripe
		func() error { return p.sync("/a") },
		func() error { return p.write("/a", 2200, noise(3, 100)) },
		func() error { return p.sync("/a") },
		func() error { return p.write("/a", 600, noise(4, 50)) }, // inside a whole stripe
		func() error { return p.sync("/a") },
		p.syncDir,
		func() error { return p.truncate("/a", 1100) },
		func() error { return p.sync("/a") },
		func() error { return p.write("/a", 1100, noise(5, 1300)) },
		func() error { return p.sync("/a") },
		func() error { return p.close("/a") },
		func() error { return p.rename("/a", "/b") },
		p.syncDir,
		func() error { return p.create("/c") },
		func() error { return p.write("/c", 0, noise(6, 3000)) },
		func() error { return p.sync("/c") },
		func() error { return p.close("/c") },
		func() error { return p.rename("/c", "/old") },
		func() error { return p.remove("/b") },
		p.syncDir,
		func() error { return p.publish("/p", noise(7, 40)) },
		func() error { return p.publish("/p", noise(8, 1400)) },
	))
}

func run(steps ...func() error) error {
	for i, s := range steps {
		if err := s(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// before is what the disk holds at first.
func before(p *player, _ *Array, _ vfs.FS) error {
	return run(
		func() error { return p.create("/old") },
		func() error { return p.write("/old", 0, noise(10, 2500)) },
		func() error { return p.sync("/old") },
		func() error { return p.write("/old", 2000, noise(11, 800)) },
		func() error { return p.sync("/old") },
		func() error { return p.close("/old") },
		func() error { return p.create("/small") },
		func() error { return p.write("/small", 0, noise(12, 100)) },
		func() error { return p.sync("/small") },
		func() error { return p.close("/small") },
		p.syncDir)
}

func TestCrashFiles(t *testing.T) {
	scenario{n: 3, lose: []int{0, 1, 2}, short: true, nested: true, setup: before, run: all}.crash(t)
}

func TestCrashFilesOfFour(t *testing.T) {
	if !*long {
		t.Skip("with -array.long")
	}
	scenario{n: 4, lose: []int{0, 1, 2, 3}, setup: before, run: all}.crash(t)
}

// The array is degraded already: everything must be there without the redundancy too.
func TestCrashDegraded(t *testing.T) {
	scenario{n: 3, damaged: true, nested: true, run: all, setup: func(p *player, a *Array, f vfs.FS) error {
		if err := before(p, a, f); err != nil {
			return err
		}
		return f.Rename("/m1", "/pulled")
	}}.crash(t)
}

// A member fails on the way, at a different moment each time. What it missed must not
// come back when it does.
func TestCrashMemberFails(t *testing.T) {
	scenario{n: 3, lose: []int{1}, second: []int{0, 2}, damaged: true, setup: before, run: all, wrap: failing(3)}.crash(t)
}

// failing makes /m1 fail, each time some operations later.
func failing(step int) func(f vfs.FS) vfs.FS {
	k := 0
	return func(f vfs.FS) vfs.FS {
		x := faultfs.New(f)
		k += step
		after := 40 + k%150
		x.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Index > after && faultfs.Under("/m1")(op) {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		return x
	}
}

// The same, and a spare stands in and is filled while the files change.
func TestCrashSpareStandsIn(t *testing.T) {
	scenario{n: 3, lose: []int{1}, second: []int{0, 2}, spare: true, each: true, damaged: true, setup: before,
		run: func(p *player, a *Array) error {
			if err := all(p, a); err != nil {
				return err
			}
			p.phase = "rebuild"
			return a.WaitRebuild(context.Background())
		}, wrap: failing(7)}.crash(t)
}

// A member is replaced, and files change while the new one is filled.
func TestCrashReplace(t *testing.T) {
	for _, pulled := range []bool{false, true} {
		t.Run(fmt.Sprintf("pulled %v", pulled), func(t *testing.T) {
			lose := []int{1}
			if pulled {
				lose = nil
			}
			scenario{n: 3, lose: lose, each: true, damaged: true, nested: true, setup: func(p *player, a *Array, f vfs.FS) error {
				err := before(p, a, f)
				if pulled && err == nil {
					err = f.Rename("/m1", "/pulled")
				}
				return err
			}, run: func(p *player, a *Array) error {
				p.phase = "replace"
				if err := a.Replace("/m1", "/new"); err != nil {
					return err
				}
				err := run(
					func() error { return p.write("/old", 300, noise(20, 600)) },
					func() error { return p.sync("/old") },
					func() error { return p.create("/a") },
					func() error { return p.write("/a", 0, noise(21, 1700)) },
					func() error { return p.sync("/a") },
					func() error { return p.write("/old", 2700, noise(22, 600)) },
					func() error { return p.sync("/old") },
					p.syncDir)
				p.phase = "rebuild"
				if werr := a.WaitRebuild(context.Background()); err == nil {
					err = werr
				}
				return err
			}}.crash(t)
		})
	}
}

// After a replacement that was finished the array is whole: any member may go.
func TestCrashAfterReplace(t *testing.T) {
	c := scenario{n: 3, lose: []int{0, 2}, each: true, setup: func(p *player, a *Array, f vfs.FS) error {
		if err := before(p, a, f); err != nil {
			return err
		}
		return run(
			func() error { return p.write("/old", 100, noise(30, 20_000)) }, // on its way, not synced
			func() error { return a.Replace("/m1", "/new") },
			func() error { return a.WaitRebuild(context.Background()) },
			func() error { return p.write("/old", 200, noise(31, 20)) },
			func() error { return p.sync("/old") },
			func() error { return p.close("/old") })
	}, run: all}
	c.crash(t)
}

// Making an array: until it is there nothing hinders the next attempt.
func TestCrashFormat(t *testing.T) {
	c := scenario{n: 3}
	crashtest.EachPoint(t, func() crashtest.Scenario {
		p := newPlayer()
		return crashtest.Scenario{
			Phase: func() string { return p.phase },
			Run: func(f vfs.FS) error {
				p.phase = "format"
				a, err := Open(c.config(f))
				if err != nil {
					return err
				}
				defer a.Close()
				p.f = a
				return run(func() error { return p.create("/a") }, func() error { return p.write("/a", 0, noise(1, 50)) },
					func() error { return p.sync("/a") })
			},
			Recover: func(f vfs.FS) error {
				a, err := Open(c.config(f))
				if err != nil {
					return err
				}
				return a.Close()
			},
			Check: func(f vfs.FS) error {
				for lost := -1; lost < 3; lost++ {
					d := f.(*vfs.Mem).CrashClone(vfs.Choice{})
					if lost >= 0 && d.Rename(fmt.Sprint("/m", lost), "/away") != nil {
						continue
					}
					a, err := Open(c.config(d))
					if err != nil {
						return fmt.Errorf("with %d away: %w", lost, err)
					}
					s, err := seen(a)
					if err == nil {
						err = p.judge(s)
					}
					if err := errors.Join(err, a.Close()); err != nil {
						return fmt.Errorf("with %d away: %w", lost, err)
					}
				}
				return nil
			},
		}
	})
}
