package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/internal/crashtest"
	"redoubt/internal/golden"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// under matches the operations that change something below a directory.
func under(dir string) func(faultfs.Op) bool {
	return func(op faultfs.Op) bool { return op.Changes() && strings.HasPrefix(op.Name, dir+"/") }
}

func failing(match func(faultfs.Op) bool) faultfs.Hook {
	return func(op faultfs.Op) faultfs.Fault {
		if match(op) {
			return faultfs.Fault{Err: syscall.EIO}
		}
		return faultfs.Fault{}
	}
}

// disk gives every file of the directories with its contents.
func disk(t testing.TB, fs vfs.FS, dirs ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, d := range dirs {
		for _, name := range files(t, fs, d) {
			b, err := vfs.ReadFile(fs, d+"/current/"+name, 1<<30)
			require.NoError(t, err)
			all[d+"/"+name] = string(b)
		}
	}
	return all
}

func flip(t testing.TB, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenWrite(name)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	require.NoError(t, err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, off)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func TestDirectoryLostAndBroughtBack(t *testing.T) {
	fs := faultfs.New(formatted(t, "/a", "/b"))
	m := newMachine()
	var log memoryLog
	opt := options(fs, m, "/a", "/b")
	opt.Logger = log.logger()
	j := open(t, opt)
	propose(t, j, 1, 5)
	fs.SetHook(failing(under("/b")))
	propose(t, j, 6, 10)
	require.Contains(t, log.String(), "name directory dropped")
	dirs := j.Stats().Dirs
	require.Equal(t, DirStats{Dir: "/a", Alive: true}, dirs[0])
	require.False(t, dirs[1].Alive)
	require.Contains(t, dirs[1].Err, "input/output error")
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.False(t, j.Stats().Dirs[1].Alive, "still sick")
	require.Contains(t, log.String(), "stays out")
	propose(t, j, 11, 12)
	fs.SetHook(nil)
	_, err = j.Checkpoint(background)
	require.NoError(t, err)
	require.True(t, j.Stats().Dirs[1].Alive)
	propose(t, j, 13, 15)
	require.Contains(t, files(t, fs, "/b"), "edits_inprogress_0000000000000000001.stale")
	require.NoError(t, j.Close())

	again := newMachine()
	j = open(t, options(fs, again, "/b"))
	require.Equal(t, m, again, "the directory that came back is a whole copy")
	require.NoError(t, j.Close())
}

func TestCrashWhileADirectoryIsLostAndBroughtBack(t *testing.T) {
	dirs := []string{"/a", "/b"}
	crashtest.EachPoint(t, func() crashtest.Scenario {
		o := &oracle{phase: "start"}
		return crashtest.Scenario{
			Phase: o.doing,
			Setup: func(fs vfs.FS) error { return Format(fs, dirs, cluster, false) },
			Run: func(mem vfs.FS) error {
				fs := faultfs.New(mem)
				j, err := Open(background, options(fs, newMachine(), dirs...))
				if err != nil {
					return err
				}
				defer j.Close()
				if err := o.propose(j, 2); err != nil {
					return powerOff(err)
				}
				fs.SetHook(failing(under("/b")))
				if err := o.propose(j, 2); err != nil {
					return powerOff(err)
				}
				fs.SetHook(nil)
				o.phase = "a directory is brought back"
				if _, err := j.Checkpoint(background); err != nil {
					return powerOff(err)
				}
				return powerOff(o.propose(j, 2))
			},
			Recover: func(fs vfs.FS) error { return powerOff(start(fs, dirs...)) },
			Check:   func(fs vfs.FS) error { return o.check(fs, dirs...) },
		}
	})
}

// workload is what the injection tests run: everything a journal does.
func workload(fs vfs.FS, o *oracle, dirs ...string) error {
	j, err := Open(background, options(fs, newMachine(), dirs...))
	if err != nil {
		return err
	}
	for range 3 {
		if err = o.propose(j, 3); err != nil {
			break
		}
		if _, err = j.Checkpoint(background); err != nil {
			break
		}
	}
	if err == nil {
		err = o.propose(j, 2)
	}
	return errors.Join(err, j.Close())
}

// Each operation fails in turn: once, for ever, and half-way. Whatever the journal
// says, after a restart on a disk that is well again nothing acknowledged is missing,
// nothing unsent is there, and nothing was appended behind debris.
func TestFailEachOperation(t *testing.T) {
	for _, dirs := range [][]string{{"/a"}, {"/a", "/b"}} {
		for _, how := range []string{"once", "for ever", "half", "full"} {
			points := 0
			for k := 0; ; k++ {
				mem := formatted(t, dirs...)
				fs := faultfs.New(mem)
				hit := new(atomic.Bool)
				fs.SetHook(func(op faultfs.Op) faultfs.Fault {
					switch {
					case !op.Changes() || op.Index < k || (how != "for ever" && op.Index > k):
						return faultfs.Fault{}
					}
					hit.Store(true)
					switch how {
					case "half":
						return faultfs.Fault{Err: syscall.EIO, Half: op.Len / 2, DropData: true}
					case "full":
						return faultfs.Fault{Err: syscall.ENOSPC, Half: op.Len / 3}
					}
					return faultfs.Fault{Err: syscall.EIO}
				})
				o := new(oracle)
				_ = workload(fs, o, dirs...) // may fail anywhere
				if fs.Ops() <= k {
					break
				}
				if !hit.Load() {
					continue // an operation that only reads
				}
				points++
				require.NoError(t, o.check(crash(mem), dirs...), "%s: operation %d of %v", how, k, fs.Trace()[k])
			}
			t.Logf("%d directories, %s: %d failing operations", len(dirs), how, points)
			require.Greater(t, points, 30)
		}
	}
}

// After a failed write nothing goes on: the debris of the failed one would hide what
// follows. And no reader ever sees what could not be logged.
func TestFailedAppendIsFinalAndInvisible(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.Write, faultfs.Sync} {
		mem := formatted(t, "/a")
		fs := faultfs.New(mem)
		m := newMachine()
		fatal := make(chan error, 2)
		opt := options(fs, m, "/a")
		opt.OnFatal = func(err error) { fatal <- err }
		j := open(t, opt)
		propose(t, j, 1, 3)
		fs.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind == kind {
				return faultfs.Fault{Err: syscall.EIO, Half: 40}
			}
			return faultfs.Fault{}
		})
		_, _, err := j.Propose(background, number(4))
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorContains(t, err, "outcome of what was under way unknown")
		require.ErrorIs(t, <-fatal, syscall.EIO)
		fs.SetHook(nil) // the disk is well again: the journal is not
		for n := uint64(5); n < 8; n++ {
			_, _, err = j.Propose(background, number(n))
			require.ErrorContains(t, err, "stopped for good")
		}
		_, err = j.Checkpoint(background)
		require.Error(t, err)
		_, err = j.Roll(background)
		require.Error(t, err)
		require.Equal(t, upTo(3), m.list, "what wasn't logged isn't visible")
		require.ErrorContains(t, j.Close(), "stopped for good")
		require.Empty(t, fatal, "told once")
		o := oracle{sent: 4, acked: 3}
		require.NoError(t, o.check(crash(mem), "/a"))
	}
}

// A read error at start is no reason to shorten the log.
func TestReadErrorOnReplayChangesNothing(t *testing.T) {
	mem := formatted(t, "/a")
	o := new(oracle)
	require.NoError(t, workload(mem, o, "/a"))
	j := open(t, options(mem, newMachine(), "/a"))
	propose(t, j, 100, 110)
	mem = crash(mem)
	require.NoError(t, j.Close())
	before := disk(t, mem, "/a")
	for skip := 0; ; skip++ {
		fs := faultfs.New(mem)
		reads := 0
		fs.SetHook(func(op faultfs.Op) faultfs.Fault {
			if op.Kind != faultfs.Read && op.Kind != faultfs.Size && op.Kind != faultfs.Open {
				return faultfs.Fault{}
			}
			reads++
			if reads == skip+1 {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		_, err := Open(background, options(fs, newMachine(), "/a"))
		if reads <= skip {
			break
		}
		if err == nil { // it was read for writing, after recovery
			t.Fatalf("read %d failed and nobody noticed", skip)
		}
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("read %d: %v", skip, err)
		}
		after := disk(t, mem, "/a")
		if len(after) != len(before) {
			continue // recovery had succeeded; the new segment could not be opened
		}
		require.Equal(t, before, after, "read %d", skip)
	}
}

// Rot in acknowledged records is refused when it is the only copy, with the place
// named, and nothing on disk changes.
func TestDamageInTheOnlyCopyIsRefused(t *testing.T) {
	mem := formatted(t, "/a")
	j := open(t, options(mem, newMachine(), "/a"))
	propose(t, j, 1, 10)
	mem = crash(mem)
	require.NoError(t, j.Close())
	segment := "/a/current/edits_inprogress_0000000000000000001"
	flip(t, mem, segment, 512+60)
	before := disk(t, mem, "/a")
	_, err := Open(background, options(mem, newMachine(), "/a"))
	var damage *editlog.CorruptError
	require.ErrorAs(t, err, &damage)
	require.Equal(t, segment, damage.Segment)
	require.EqualValues(t, 512, damage.Offset)
	require.EqualValues(t, 1, damage.TxID)
	require.Equal(t, before, disk(t, mem, "/a"))
}

// Nor is a segment in progress taken for an empty one because its header can't be read:
// the header was durable before the segment had its name.
func TestDamagedHeaderOfTheOnlyCopyIsRefused(t *testing.T) {
	const segment = "/current/edits_inprogress_0000000000000000011"
	damages := map[string]func(t *testing.T, fs *vfs.Mem, name string){
		"magic":    func(t *testing.T, fs *vfs.Mem, name string) { flip(t, fs, name, 3) },
		"checksum": func(t *testing.T, fs *vfs.Mem, name string) { flip(t, fs, name, 120) },
		"cut": func(t *testing.T, fs *vfs.Mem, name string) {
			f, err := fs.OpenWrite(name)
			require.NoError(t, err)
			require.NoError(t, f.Truncate(0))
			require.NoError(t, f.Sync())
			require.NoError(t, f.Close())
		},
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			mem, _ := imagesAt(t, "/a")
			damage(t, mem, "/a"+segment)
			before := disk(t, mem, "/a")
			_, err := Open(background, options(mem, newMachine(), "/a"))
			require.ErrorContains(t, err, "/a"+segment)
			require.Equal(t, before, disk(t, mem, "/a"))
			rep, err := Inspect(mem, []string{"/a"})
			require.NoError(t, err)
			require.False(t, rep.Recoverable)
			require.Len(t, rep.Choices, 1)
			require.Equal(t, "keep-10", rep.Choices[0].ID)
			require.NoError(t, Recover(mem, []string{"/a"}, "keep-10"))
			m := newMachine()
			require.NoError(t, open(t, options(mem, m, "/a")).Close())
			require.Equal(t, upTo(10), m.list)
			require.Contains(t, files(t, mem, "/a"), strings.TrimPrefix(segment, "/current/")+".corrupt")

			mem, want := imagesAt(t, "/a", "/b")
			damage(t, mem, "/b"+segment)
			m = newMachine()
			require.NoError(t, open(t, options(mem, m, "/a", "/b")).Close())
			require.Equal(t, want, m, "the other directory tells")
		})
	}
}

// With another copy the journal goes on from that, repairs the damaged one, and keeps
// the evidence.
func TestDamageIsRepairedFromTheOtherDirectory(t *testing.T) {
	for _, sick := range []string{"/a", "/b"} {
		for _, finished := range []bool{false, true} {
			mem := formatted(t, "/a", "/b")
			m := newMachine()
			j := open(t, options(mem, m, "/a", "/b"))
			propose(t, j, 1, 10)
			name := "edits_inprogress_0000000000000000001"
			if finished {
				_, err := j.Roll(background)
				require.NoError(t, err)
				propose(t, j, 11, 12)
				name = "edits_0000000000000000001-0000000000000000010"
			}
			clone := crash(mem)
			require.NoError(t, j.Close())
			flip(t, clone, sick+"/current/"+name, 800)
			again := newMachine()
			var log memoryLog
			opt := options(clone, again, "/a", "/b")
			opt.Logger = log.logger()
			j = open(t, opt)
			require.Equal(t, m, again)
			require.NoError(t, j.Close())
			if sick == "/a" || !finished { // the copies are looked at in order; in-progress ones all
				require.Contains(t, files(t, clone, sick), name+".corrupt")
				require.Contains(t, log.String(), "damaged segment set aside")
				alone := newMachine()
				j = open(t, options(clone, alone, sick))
				require.Equal(t, m, alone, "%s was repaired", sick)
				require.NoError(t, j.Close())
			}
		}
	}
}

// imagesAt makes checkpoints after 5 and 10 transactions, and 3 more in the log.
func imagesAt(t *testing.T, dirs ...string) (*vfs.Mem, *machine) {
	mem := formatted(t, dirs...)
	m := newMachine()
	j := open(t, options(mem, m, dirs...))
	for _, n := range []uint64{1, 6} {
		propose(t, j, n, n+4)
		_, err := j.Checkpoint(background)
		require.NoError(t, err)
	}
	propose(t, j, 11, 13)
	clone := crash(mem)
	require.NoError(t, j.Close())
	return clone, m
}

const image10 = "fsimage_0000000000000000010"

func TestDamagedImageIsSetAsideAndTheOlderOneUsed(t *testing.T) {
	mem, m := imagesAt(t, "/a")
	flip(t, mem, "/a/current/"+image10, 30)
	again := newMachine()
	j := open(t, options(mem, again, "/a"))
	require.Equal(t, m, again)
	require.EqualValues(t, 8, j.Stats().Replayed)
	require.Contains(t, files(t, mem, "/a"), image10+".corrupt")
	require.NotContains(t, files(t, mem, "/a"), image10)
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.NoError(t, j.Close())

	mem, m = imagesAt(t, "/a", "/b")
	flip(t, mem, "/a/current/"+image10, 30)
	again = newMachine()
	j = open(t, options(mem, again, "/a", "/b"))
	require.Equal(t, m, again)
	require.EqualValues(t, 3, j.Stats().Replayed, "the other directory's image is as good")
	require.Contains(t, files(t, mem, "/a"), image10, "and was copied")
	require.NoError(t, j.Close())
}

func TestDamagedImageIsRefusedIfTheLogDoesNotReach(t *testing.T) {
	mem, _ := imagesAt(t, "/a")
	require.NoError(t, mem.Remove("/a/current/edits_0000000000000000006-0000000000000000010"))
	flip(t, mem, "/a/current/"+image10, 30)
	mem.SyncAll()
	before := disk(t, mem, "/a")
	_, err := Open(background, options(mem, newMachine(), "/a"))
	require.True(t, dfs.Is(err, dfs.Corrupt))
	require.ErrorContains(t, err, image10)
	require.ErrorContains(t, err, "transactions 6 to 13 are in no name directory")
	require.Equal(t, before, disk(t, mem, "/a"))
}

func TestMissingSegmentIsRefused(t *testing.T) {
	mem := formatted(t, "/a")
	j := open(t, options(mem, newMachine(), "/a"))
	propose(t, j, 1, 3)
	_, err := j.Roll(background)
	require.NoError(t, err)
	propose(t, j, 4, 6)
	require.NoError(t, j.Close())
	require.NoError(t, mem.Remove("/a/current/edits_0000000000000000001-0000000000000000003"))
	_, err = Open(background, options(mem, newMachine(), "/a"))
	require.ErrorContains(t, err, "transactions 1 to 6 are in no name directory")
	require.NoError(t, mem.Remove("/a/current/fsimage_0000000000000000000"))
	_, err = Open(background, options(mem, newMachine(), "/a"))
	require.ErrorContains(t, err, "no name directory holds an image")
}

// That old files can't be removed doesn't make a checkpoint fail.
func TestPurgeFailureDoesNotFailTheCheckpoint(t *testing.T) {
	fs := faultfs.New(formatted(t, "/a"))
	m := newMachine()
	var log memoryLog
	opt := options(fs, m, "/a")
	opt.Logger = log.logger()
	j := open(t, opt)
	fs.SetHook(failing(func(op faultfs.Op) bool { return op.Kind == faultfs.Remove }))
	for i := uint64(0); i < 4; i++ {
		propose(t, j, 2*i+1, 2*i+2)
		_, err := j.Checkpoint(background)
		require.NoError(t, err)
	}
	require.Contains(t, log.String(), "old checkpoints and log segments stay")
	require.Contains(t, files(t, fs, "/a"), "fsimage_0000000000000000000")
	fs.SetHook(nil)
	propose(t, j, 100, 100)
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.NotContains(t, files(t, fs, "/a"), "fsimage_0000000000000000000")
	require.NoError(t, j.Close())
}

// An image that can't be written leaves everything as it was, and says so.
func TestFailedCheckpointIsReported(t *testing.T) {
	fs := faultfs.New(formatted(t, "/a"))
	j := open(t, options(fs, newMachine(), "/a"))
	propose(t, j, 1, 3)
	fs.SetHook(failing(func(op faultfs.Op) bool { return op.Kind == faultfs.Create && strings.Contains(op.Name, "fsimage") }))
	_, err := j.Checkpoint(background)
	require.ErrorIs(t, err, syscall.EIO)
	require.Contains(t, j.Stats().CheckpointErr, "input/output error")
	propose(t, j, 4, 5)
	fs.SetHook(nil)
	txid, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.EqualValues(t, 5, txid)
	require.Empty(t, j.Stats().CheckpointErr)
	require.NoError(t, j.Close())
}

// A directory that fell behind is rebuilt; what it had beyond is set aside, not mixed in.
func TestDirectoryBehindIsRebuilt(t *testing.T) {
	mem := formatted(t, "/a", "/b")
	m := newMachine()
	j := open(t, options(mem, m, "/a", "/b"))
	propose(t, j, 1, 4)
	mem = crash(mem)
	require.NoError(t, j.Close())
	// Started twice without /b, which still has its segment of the first run in progress.
	for n := uint64(5); n < 7; n++ {
		m = newMachine()
		j = open(t, options(mem, m, "/a"))
		propose(t, j, n, n)
		require.NoError(t, j.Close())
	}
	again := newMachine()
	j = open(t, options(mem, again, "/b", "/a"))
	require.Equal(t, m, again)
	require.NoError(t, j.Close())
	alone := newMachine()
	j = open(t, options(mem, alone, "/b"))
	require.Equal(t, m, alone)
	require.NoError(t, j.Close())
}

// wentApart gives two directories of one past of three transactions: /a went on alone with
// 50 to 52, /b had gone on to last. Of /b's watermark, what is older than at three counts.
func wentApart(t *testing.T, last uint64, forget bool) *vfs.Mem {
	mem := formatted(t, "/a", "/b")
	j := open(t, options(mem, newMachine(), "/a", "/b"))
	propose(t, j, 1, 3)
	atThree := crash(mem)
	propose(t, j, 4, last)
	b := disk(t, mem, "/b")
	require.NoError(t, j.Close())
	j = open(t, options(atThree, newMachine(), "/a"))
	propose(t, j, 50, 52)
	require.NoError(t, j.Close())
	for name, contents := range b { // now the disk of /b is plugged in again
		if forget && strings.HasSuffix(name, watermarkFile) {
			continue
		}
		dir, base, _ := strings.Cut(name[1:], "/")
		_ = atThree.Remove("/" + dir + "/current/" + base)
		f, err := atThree.Create("/" + dir + "/current/" + base)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte(contents), 0)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	return atThree
}

// A disk with more transactions, none of them acknowledged, doesn't win over one that
// was used after it.
func TestNewerEpochWinsOverLongerLog(t *testing.T) {
	mem := wentApart(t, 4, true)
	again := newMachine()
	j := open(t, options(mem, again, "/b", "/a"))
	require.Equal(t, []uint64{1, 2, 3, 50, 51, 52}, again.list)
	require.NoError(t, j.Close())
	require.Contains(t, files(t, mem, "/b"), "edits_inprogress_0000000000000000001.stale")
}

// Two directories that each acknowledged what the other lacks: neither is taken unasked,
// what is said is true, and each can be chosen as a whole.
func TestDirectoriesThatWentApart(t *testing.T) {
	ofA, ofB := []uint64{1, 2, 3, 50, 51, 52}, upTo(9)
	for _, c := range []struct {
		choice, loses string
		want          []uint64
	}{
		{"take-/a", "transactions 4 to 9 as /b has them", ofA},
		{"take-/b", "transactions 4 to 6 as /a has them", ofB},
	} {
		for _, old := range []bool{false, true} { // without watermarks the log tells
			mem := wentApart(t, 9, false)
			b := 9
			if old {
				require.NoError(t, mem.Remove("/a/current/watermark"))
				require.NoError(t, mem.Remove("/b/current/watermark"))
				b = 8 // the last one may not have been answered
			}
			before := disk(t, mem, "/a", "/b")
			for _, dirs := range [][]string{{"/a", "/b"}, {"/b", "/a"}} {
				_, err := Open(background, options(mem, newMachine(), dirs...))
				require.True(t, dfs.Is(err, dfs.Corrupt))
				require.ErrorContains(t, err, "went apart after transaction 3")
				require.ErrorContains(t, err, "/a has transactions up to 6")
				require.ErrorContains(t, err, fmt.Sprintf("/b has transactions up to %d", b))
			}
			rep, err := Inspect(mem, []string{"/a", "/b"})
			require.NoError(t, err)
			require.False(t, rep.Recoverable)
			require.Len(t, rep.Choices, 2)
			require.Equal(t, before, disk(t, mem, "/a", "/b"))
			for _, have := range rep.Choices {
				if have.ID == c.choice && !old {
					require.Equal(t, c.loses, have.Loses)
				}
			}
			require.NoError(t, Recover(mem, []string{"/a", "/b"}, c.choice))
			m := newMachine()
			j := open(t, options(mem, m, "/a", "/b"))
			require.Equal(t, c.want, m.list, c.choice)
			propose(t, j, 100, 101)
			require.NoError(t, j.Close())
			for _, alone := range []string{"/a", "/b"} {
				again := newMachine()
				require.NoError(t, startWith(t, mem, again, alone))
				require.Equal(t, m, again, "%s, then %s alone", c.choice, alone)
			}
		}
	}
}

// Directories that only started apart, and acknowledged nothing since, are one: whichever
// started last, the one with more counts.
func TestStartsApartWithoutTransactionsAreNoSplit(t *testing.T) {
	for _, idle := range []string{"/a", "/b"} {
		mem := formatted(t, "/a", "/b")
		j := open(t, options(mem, newMachine(), "/a", "/b"))
		propose(t, j, 1, 3)
		mem = crash(mem)
		require.NoError(t, j.Close())
		for _, dir := range []string{"/a", "/b"} {
			j = open(t, options(mem, newMachine(), dir))
			if dir != idle {
				propose(t, j, 4, 6)
			}
			require.NoError(t, j.Close())
		}
		for range 3 { // the idle one has the newest epoch by far
			require.NoError(t, startWith(t, mem, newMachine(), idle))
		}
		m := newMachine()
		j = open(t, options(mem, m, "/a", "/b"))
		require.Equal(t, upTo(6), m.list)
		propose(t, j, 7, 7)
		require.NoError(t, j.Close())
		for _, alone := range []string{"/a", "/b"} {
			m := newMachine()
			require.NoError(t, startWith(t, mem, m, alone))
			require.Equal(t, upTo(7), m.list)
		}
	}
}

// Whoever brings back a directory that a choice gave up is told so.
func TestGivenUpDirectoryThatComesBack(t *testing.T) {
	mem, _ := imagesAt(t, "/a", "/b")
	require.NoError(t, mem.Rename("/b", "/away"))
	require.NoError(t, mem.Remove("/a/current/edits_inprogress_0000000000000000011"))
	require.NoError(t, Recover(mem, []string{"/a"}, "keep-10"))
	j := open(t, options(mem, newMachine(), "/a"))
	propose(t, j, 30, 31)
	require.NoError(t, j.Close())
	require.NoError(t, mem.Rename("/away", "/b"))
	_, err := Open(background, options(mem, newMachine(), "/a", "/b"))
	require.ErrorContains(t, err, "went apart after transaction 10")
	require.ErrorContains(t, err, "/b has transactions up to 13")
}

// A blank directory joins at start; one that holds something else does not.
func TestBlankDirectoryJoins(t *testing.T) {
	mem, m := imagesAt(t, "/a")
	require.NoError(t, mem.MkdirAll("/b"))
	require.NoError(t, mem.MkdirAll("/c/current"))
	f, err := mem.Create("/c/current/precious")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	again := newMachine()
	j := open(t, options(mem, again, "/a", "/b", "/c", "/missing"))
	var alive []bool
	for _, d := range j.Stats().Dirs {
		alive = append(alive, d.Alive)
	}
	require.Equal(t, []bool{true, true, false, false}, alive)
	require.NoError(t, j.Close())
	require.Equal(t, []string{"precious"}, files(t, mem, "/c"))
	alone := newMachine()
	j = open(t, options(mem, alone, "/b"))
	require.Equal(t, m, alone)
	require.NoError(t, j.Close())
}

// TestStaleDirectoryAloneIsRefused: of two directories one was dropped, the other went on
// and then is away. The first knows nothing of what it missed, so a start with both
// configured must not take it for the latest.
func TestStaleDirectoryAloneIsRefused(t *testing.T) {
	mem, _ := imagesAt(t, "/a")
	require.NoError(t, mem.MkdirAll("/b"))
	j := open(t, options(mem, newMachine(), "/a", "/b"))
	require.NoError(t, j.Close())
	m := newMachine()
	j = open(t, options(mem, m, "/b")) // goes on without /a
	propose(t, j, 77, 78)
	require.NoError(t, j.Close())
	require.NoError(t, mem.Rename("/b", "/away"))

	opt := options(mem, newMachine(), "/a", "/b")
	opt.AllowMissing = false
	_, err := Open(background, opt)
	var missing *MissingError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "/b", missing.Dir)
	require.ErrorContains(t, err, "it may hold what the others miss")

	require.NoError(t, mem.Rename("/away", "/b"))
	again := newMachine()
	opt.Machine = again
	j = open(t, opt)
	require.Equal(t, m.list, again.list)
	require.NoError(t, j.Close())
}

// forgetful applies differently on replay.
type forgetful struct{ *machine }

func (f forgetful) Apply(txid dfs.TxID, rec []byte) (any, error) {
	if txid == 5 {
		rec = number(999)
	}
	return f.machine.Apply(txid, rec)
}

func TestDigestInTheLogIsCompared(t *testing.T) {
	mem := formatted(t, "/a")
	j := open(t, options(mem, newMachine(), "/a"))
	propose(t, j, 1, 20)
	require.NoError(t, j.Close())
	_, err := Open(background, options(mem, forgetful{newMachine()}, "/a"))
	require.ErrorContains(t, err, "replay gives a state with digest")
	require.True(t, dfs.Is(err, dfs.Corrupt))
}

// other restores something else than was saved.
type other struct{ *machine }

func (o other) Restore(src dfs.SectionSource) error {
	err := o.machine.Restore(src)
	if err == nil && len(src.Sections()) > 0 {
		o.add(12345)
	}
	return err
}

func TestDigestOfTheImageIsCompared(t *testing.T) {
	mem, _ := imagesAt(t, "/a")
	_, err := Open(background, options(mem, other{newMachine()}, "/a"))
	require.ErrorContains(t, err, "loads to a state with digest")
}

// The order of I/O of a checkpoint is the document. Read the difference before you
// update the file.
func TestCheckpointTrace(t *testing.T) {
	fs := faultfs.New(formatted(t, "/a"))
	j := open(t, options(fs, newMachine(), "/a"))
	propose(t, j, 1, 5)
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	propose(t, j, 6, 7)
	fs.ResetTrace()
	_, err = j.Checkpoint(background)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	got := fs.TraceText()
	require.Equal(t, string(golden.Reviewed(t, "testdata/checkpoint.trace", []byte(got))), got)
}

// A dropped directory whose disk was replaced comes back if the new one is blank, and
// not if it is somebody else's.
func TestReplacedDiskWhileRunning(t *testing.T) {
	mem := formatted(t, "/a", "/b")
	fs := faultfs.New(mem)
	m := newMachine()
	var log memoryLog
	opt := options(fs, m, "/a", "/b")
	opt.Logger = log.logger()
	j := open(t, opt)
	propose(t, j, 1, 3)
	fs.SetHook(failing(under("/b")))
	propose(t, j, 4, 5)
	fs.SetHook(nil)
	for _, name := range files(t, mem, "/b") {
		require.NoError(t, mem.Remove("/b/current/"+name))
	}
	foreign := cluster
	foreign.ClusterID = "CID-foreign"
	b := newNameDir("/b", holdsBoth)
	require.NoError(t, b.writeVersion(mem, foreign))
	_, err := j.Checkpoint(background)
	require.NoError(t, err)
	require.False(t, j.Stats().Dirs[1].Alive)
	require.Contains(t, log.String(), "CID-foreign")
	require.Equal(t, []string{"VERSION"}, files(t, mem, "/b"), "nothing of it was touched")
	require.NoError(t, mem.Remove("/b/current/VERSION"))
	_, err = j.Checkpoint(background)
	require.NoError(t, err)
	require.True(t, j.Stats().Dirs[1].Alive)
	propose(t, j, 6, 7)
	require.NoError(t, j.Close())
	again := newMachine()
	j = open(t, options(mem, again, "/b"))
	require.Equal(t, m, again)
	require.NoError(t, j.Close())
}
