package journal

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

func TestWatermarkSlots(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("/a"))
	want := watermark{durable: 70, segment: 61, end: 4000, floors: Floors{5, 6}, starts: []epochStart{{1 << 32, 1}, {2<<32 | 7, 50}}}
	m, err := newMarkWriter(mem, "/a", cluster, &want)
	require.NoError(t, err)
	read := func(fs vfs.FS) watermark {
		t.Helper()
		w, err := readWatermark(fs, "/a", cluster)
		require.NoError(t, err)
		return *w
	}
	require.Equal(t, want, read(mem))
	durable := want
	for i := range 7 {
		want.durable++
		require.NoError(t, m.put(&want))
		require.Equal(t, want, read(mem), "the process may stop here")
		for _, c := range mem.Choices(20, uint64(i)) { // the machine may
			require.GreaterOrEqual(t, read(mem.CrashClone(c)).durable, durable.durable)
		}
		if i%3 == 2 {
			require.NoError(t, m.sync())
			durable = want
		}
	}
	require.NoError(t, m.close())

	b, err := vfs.ReadFile(mem, "/a/watermark", 1<<20)
	require.NoError(t, err)
	for i := range b { // one damage leaves the other slot, or touches nothing
		b[i] ^= 0x10
		w, err := decodeWatermark(b, owner(cluster))
		require.NoError(t, err)
		require.Contains(t, []dfs.TxID{want.durable, want.durable - 1}, w.durable, "byte %d", i)
		b[i] ^= 0x10
	}
	foreign := cluster
	foreign.ClusterID = "CID-b"
	_, err = decodeWatermark(b, owner(foreign))
	require.ErrorContains(t, err, "another cluster's")
	_, err = decodeWatermark(b[:5000], owner(cluster))
	require.ErrorContains(t, err, "5000 bytes")
}

func TestWatermarkKeepsTheLastStarts(t *testing.T) {
	var w watermark
	for i := range uint64(maxStarts + 9) {
		w.starts = append(w.starts, epochStart{i << 32, dfs.TxID(i)})
	}
	b := w.append(nil, 1, owner(cluster))
	require.LessOrEqual(t, len(b), slotSize)
	got, _, err := decodeSlot(append(b, make([]byte, slotSize-len(b))...), owner(cluster))
	require.NoError(t, err)
	require.Equal(t, w.starts[9:], got.starts)
	require.EqualValues(t, (maxStarts+8)<<32, got.epoch())
}

// What was acknowledged and is gone is missed, whatever the name directory lost of its
// log, and the place where it should be is named.
func TestMissingNewestSegmentsAreRefused(t *testing.T) {
	const open11, done6 = "edits_inprogress_0000000000000000011", "edits_0000000000000000006-0000000000000000010"
	for what, remove := range map[string][]string{
		"segment in progress": {open11},
		"all of the log":      {open11, done6},
		"image and log":       {open11, done6, image10},
	} {
		mem, want := imagesAt(t, "/a", "/b")
		for _, name := range remove {
			require.NoError(t, mem.Remove("/a/current/"+name))
		}
		before := disk(t, mem, "/a")
		_, err := Open(background, options(mem, newMachine(), "/a"))
		require.True(t, dfs.Is(err, dfs.Corrupt), what)
		require.ErrorContains(t, err, "to 13 are in no name directory", what)
		require.ErrorContains(t, err, "/a/current/watermark says that transaction 13 was durable", what)
		require.ErrorContains(t, err, "there is no /a/current/"+open11, what)
		require.Equal(t, before, disk(t, mem, "/a"), what)

		rep, err := Inspect(mem, []string{"/a"})
		require.NoError(t, err)
		require.False(t, rep.Recoverable)
		require.EqualValues(t, 13, rep.LastDurable)
		require.Len(t, rep.Choices, 1)

		m := newMachine()
		require.NoError(t, startWith(t, mem, m, "/a", "/b"))
		require.Equal(t, want, m, "%s: the other directory has it", what)
	}
}

// startWith starts, and stops again.
func startWith(t *testing.T, fs vfs.FS, m Machine, dirs ...string) error {
	t.Helper()
	j, err := Open(background, options(fs, m, dirs...))
	if err != nil {
		return err
	}
	return j.Close()
}

// The log cut off or zeroed at the end of any batch, after a kill: what was acknowledged
// is missed.
func TestLogCutAtABatchIsRefused(t *testing.T) {
	const name = "/a/current/edits_inprogress_0000000000000000001"
	mem := formatted(t, "/a")
	j := open(t, options(mem, newMachine(), "/a"))
	ends := []int64{j.dirs[0].log.Size()}
	for n := uint64(1); n <= 8; n++ {
		propose(t, j, n, n)
		ends = append(ends, j.dirs[0].log.Size())
	}
	for acked := 1; acked < len(ends); acked++ {
		for cut := range ends {
			for _, zeroed := range []bool{false, true} {
				disk := crash(mem)
				f, err := disk.OpenWrite(name)
				require.NoError(t, err)
				size, err := f.Size()
				require.NoError(t, err)
				require.NoError(t, f.Truncate(ends[cut]))
				if zeroed {
					require.NoError(t, f.Truncate(size))
				}
				require.NoError(t, f.Close())
				err = startWith(t, disk, newMachine(), "/a")
				if cut == len(ends)-1 && zeroed {
					require.NoError(t, err)
					continue
				}
				if cut == len(ends)-1 {
					continue // only zeroes ahead of the log are gone
				}
				require.True(t, dfs.Is(err, dfs.Corrupt), "cut at %d", ends[cut])
				require.ErrorContains(t, err, name)
			}
		}
	}
	require.NoError(t, j.Close())
}

// Cut off after a power cut, with a watermark that had not been synced, the log itself tells:
// its file is shorter than its batches had made it.
func TestLogCutAfterAPowerCutIsRefused(t *testing.T) {
	const name = "/a/current/edits_inprogress_0000000000000000001"
	mem := formatted(t, "/a")
	j := open(t, options(mem, newMachine(), "/a"))
	var ends []int64
	for n := uint64(1); n <= 6; n++ {
		propose(t, j, n, n)
		ends = append(ends, j.dirs[0].log.Size())
	}
	for _, end := range ends[1:] { // of the first batch's zeroes nothing proves a sync
		disk := mem.CrashClone(vfs.Choice{})
		w, err := readWatermark(disk, "/a/current", cluster)
		require.NoError(t, err)
		require.Zero(t, w.durable, "it was never synced")
		f, err := disk.OpenWrite(name)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(end))
		require.NoError(t, f.Close())
		err = startWith(t, disk, newMachine(), "/a")
		require.True(t, dfs.Is(err, dfs.Corrupt), "cut at %d", end)
		require.ErrorContains(t, err, fmt.Sprintf("%s: damaged at offset %d", name, end))
		require.ErrorContains(t, err, "the file is cut off")
	}
	require.NoError(t, j.Close())
}

// A directory of an older program has no watermark: it is believed as it is, and gets one.
func TestDirectoryWithoutAWatermarkGetsOne(t *testing.T) {
	mem, want := imagesAt(t, "/a")
	require.NoError(t, mem.Remove("/a/current/watermark"))
	m := newMachine()
	opt := options(mem, m, "/a")
	var log memoryLog
	opt.Logger = log.logger()
	j := open(t, opt)
	require.Equal(t, want, m)
	require.Contains(t, log.String(), "there is no watermark")
	require.NoError(t, j.Close())
	w, err := readWatermark(mem, "/a/current", cluster)
	require.NoError(t, err)
	require.EqualValues(t, 13, w.durable)
	require.Len(t, w.starts, 2, "the start before shows in the log")
}

func TestDamagedWatermarkIsSetAside(t *testing.T) {
	for what, damage := range map[string]func(mem *vfs.Mem){
		"both slots": func(mem *vfs.Mem) {
			flip(t, mem, "/a/current/watermark", 3)
			flip(t, mem, "/a/current/watermark", slotSize+3)
		},
		"directory": func(mem *vfs.Mem) {
			require.NoError(t, mem.Remove("/a/current/watermark"))
			require.NoError(t, mem.MkdirAll("/a/current/watermark"))
		},
	} {
		mem, want := imagesAt(t, "/a")
		damage(mem)
		m := newMachine()
		opt := options(mem, m, "/a")
		var log memoryLog
		opt.Logger = log.logger()
		j := open(t, opt)
		require.Equal(t, want, m, what)
		require.Contains(t, log.String(), "damaged watermark set aside", what)
		require.Contains(t, files(t, mem, "/a"), "watermark.corrupt", what)
		require.NoError(t, j.Close())
	}
}

// Floors are durable when SetFloors returns, only rise, and outlive the loss of any
// directory but one, and of the log.
func TestFloors(t *testing.T) {
	mem := formatted(t, "/a", "/b")
	j := open(t, options(mem, newMachine(), "/a", "/b"))
	require.NoError(t, j.SetFloors(background, Floors{BlockID: 100, GenStamp: 7}))
	require.NoError(t, j.SetFloors(background, Floors{BlockID: 50, GenStamp: 9}))
	require.Equal(t, Floors{100, 9}, j.Floors())
	propose(t, j, 1, 3)
	require.EqualValues(t, 3, j.Durable())
	lost := mem.CrashClone(vfs.Choice{}) // all that was not synced is gone
	epoch := j.Epoch()
	require.NoError(t, j.Close())
	for _, dirs := range [][]string{{"/a"}, {"/b"}, {"/a", "/b"}} {
		again := lost.CrashClone(vfs.Choice{})
		j = open(t, options(again, newMachine(), dirs...))
		require.Equal(t, Floors{100, 9}, j.Floors())
		require.Greater(t, j.Epoch(), epoch)
		require.NoError(t, j.Close())
	}
	require.Error(t, j.SetFloors(background, Floors{1, 1}))

	mem, _ = imagesAt(t, "/a")
	j = open(t, options(mem, newMachine(), "/a"))
	require.NoError(t, j.SetFloors(background, Floors{BlockID: 1, GenStamp: 2}))
	propose(t, j, 14, 15)
	epoch = j.Epoch()
	mem = crash(mem)
	require.NoError(t, j.Close())
	for _, name := range files(t, mem, "/a") {
		if strings.HasPrefix(name, "edits_") {
			require.NoError(t, mem.Remove("/a/current/"+name))
		}
	}
	rep, err := Inspect(mem, []string{"/a"})
	require.NoError(t, err)
	require.NoError(t, Recover(mem, []string{"/a"}, rep.Choices[0].ID))
	m := newMachine()
	j = open(t, options(mem, m, "/a"))
	require.Equal(t, upTo(10), m.list)
	require.Equal(t, Floors{1, 2}, j.Floors())
	require.Greater(t, j.Epoch(), epoch+1<<32, "the choice was a start of its own")
	require.NoError(t, j.Close())
}

// While a journal works, the watermarks are synced beside the log now and then; when it
// falls silent, at once.
func TestWatermarkIsSyncedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := formatted(t, "/a", "/b")
		opt := options(mem, newMachine(), "/a", "/b")
		opt.IdlePromise = 100 * time.Millisecond
		j := open(t, opt)
		durable := func() dfs.TxID {
			w, err := readWatermark(mem.CrashClone(vfs.Choice{}), "/b/current", cluster)
			require.NoError(t, err)
			return w.durable
		}
		for n := uint64(1); n <= 100; n++ {
			propose(t, j, n, n)
			if n > 20 {
				require.GreaterOrEqual(t, durable(), dfs.TxID(n-12), "ten batches and the one on its way")
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 100, durable())
		require.NoError(t, j.Close())
	})
}

// TestImagesAlone: without log and watermark a start is refused, and recover goes on from the
// image. A directory that was only formatted starts.
func TestImagesAlone(t *testing.T) {
	fs := formatted(t, "/a")
	opt := options(fs, newMachine(), "/a")
	opt.NoFinalCheckpoint = false
	j := open(t, opt)
	propose(t, j, 1, 5)
	require.NoError(t, j.Close())
	for _, name := range files(t, fs, "/a") {
		if strings.HasPrefix(name, "edits_") || name == watermarkFile {
			require.NoError(t, fs.Remove("/a/current/"+name))
		}
	}
	before := files(t, fs, "/a")
	_, err := Open(background, options(fs, newMachine(), "/a"))
	require.ErrorContains(t, err, "neither a log nor a watermark")
	require.Equal(t, before, files(t, fs, "/a"))
	rep, err := Inspect(fs, []string{"/a"})
	require.NoError(t, err)
	require.False(t, rep.Recoverable)
	require.Len(t, rep.Choices, 1)
	require.NoError(t, Recover(fs, []string{"/a"}, rep.Choices[0].ID))
	m := newMachine()
	j = open(t, options(fs, m, "/a"))
	require.Equal(t, upTo(5), m.list)
	require.NoError(t, j.Close())

	fresh := formatted(t, "/a")
	require.NoError(t, fresh.Remove("/a/current/"+watermarkFile))
	require.NoError(t, open(t, options(fresh, newMachine(), "/a")).Close())
}
