package array

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/slowfs"
)

const (
	diskRate    = 100 << 20 // bytes a second of an emulated disk
	diskLatency = time.Millisecond
	benchFile   = 128 << 20
)

// slow gives an array of n emulated disks.
func slow(b *testing.B, n int, hole bool) (*Array, []*slowfs.Disk) {
	dir := b.TempDir()
	on := map[string]*slowfs.Disk{}
	var list []*slowfs.Disk
	c := Config{hole: hole}
	for i := range n {
		d := slowfs.NewDisk(diskRate, diskLatency)
		list = append(list, d)
		name := fmt.Sprintf("%s/%d", dir, i)
		on[name] = d
		c.Members = append(c.Members, Member{Dir: name})
	}
	f := slowfs.New(vfs.OS(), on)
	f.Volatile = true
	c.FS = f
	return mustOpen(b, c), list
}

// shares reports how much of the sum of the disks' rates was used: by user bytes, and
// with parity and headers.
func shares(b *testing.B, list []*slowfs.Disk, before slowfs.Counters) {
	var c slowfs.Counters
	for _, d := range list {
		c = c.Add(d.Counters())
	}
	c = c.Sub(before)
	sum := b.Elapsed().Seconds() * diskRate * float64(len(list))
	b.ReportMetric(100*float64(b.N)*benchFile/sum, "%user")
	b.ReportMetric(100*float64(c.BytesRead+c.BytesWritten)/sum, "%raw")
	b.ReportMetric(float64(c.Seeks)/float64(b.N), "seeks/op")
}

func counters(list []*slowfs.Disk) (c slowfs.Counters) {
	for _, d := range list {
		c = c.Add(d.Counters())
	}
	return c
}

func writeFile(b *testing.B, f vfs.FS, name string, piece int) {
	file, err := f.Create(name)
	require.NoError(b, err)
	data := noise(1, piece)
	for off := int64(0); off < benchFile; off += int64(piece) {
		if _, err := file.WriteAt(data, off); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, file.Sync())
	require.NoError(b, file.Close())
}

func readFile(b *testing.B, f vfs.FS, name string, piece int) {
	file, err := f.Open(name)
	require.NoError(b, err)
	data := make([]byte, piece)
	for off := int64(0); off < benchFile; off += int64(piece) {
		if _, err := file.ReadAt(data, off); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, file.Close())
}

// BenchmarkEmulatedWrite writes a large file in packets of 64 KiB and syncs it: with the
// write hole closed, and without.
func BenchmarkEmulatedWrite(b *testing.B) {
	for _, n := range []int{4, 5} {
		for _, hole := range []bool{false, true} {
			b.Run(fmt.Sprintf("disks=%d/hole=%v", n, hole), func(b *testing.B) {
				a, list := slow(b, n, hole)
				before := counters(list)
				b.SetBytes(benchFile)
				b.ReportAllocs()
				for b.Loop() {
					writeFile(b, a, "/a", 64<<10)
					require.NoError(b, a.Remove("/a"))
				}
				shares(b, list, before)
			})
		}
	}
}

// BenchmarkEmulatedSyncs writes 8 MiB in packets of 64 KiB, each synced: the worst for
// an array that writes nothing in place.
func BenchmarkEmulatedSyncs(b *testing.B) {
	for _, hole := range []bool{false, true} {
		b.Run(fmt.Sprintf("hole=%v", hole), func(b *testing.B) {
			a, _ := slow(b, 4, hole)
			data := noise(1, 64<<10)
			b.SetBytes(8 << 20)
			for b.Loop() {
				f, err := a.Create("/a")
				require.NoError(b, err)
				for off := int64(0); off < 8<<20; off += 64 << 10 {
					_, err = f.WriteAt(data, off)
					require.NoError(b, err)
					require.NoError(b, f.Sync())
				}
				require.NoError(b, f.Close())
				require.NoError(b, a.Remove("/a"))
			}
		})
	}
}

// BenchmarkEmulatedRead reads a large file in sequence, in packets and in big pieces,
// with all disks and with one pulled.
func BenchmarkEmulatedRead(b *testing.B) {
	for _, n := range []int{4, 5} {
		for _, piece := range []int{64 << 10, 256 << 10, 8 << 20} {
			for _, degraded := range []bool{false, true} {
				b.Run(fmt.Sprintf("disks=%d/piece=%dK/degraded=%v", n, piece>>10, degraded), func(b *testing.B) {
					a, list := slow(b, n, false)
					for _, d := range list {
						d.SetLimits(0, 0)
					}
					writeFile(b, a, "/a", 1<<20)
					if degraded {
						list[1].Pull()
						_, _ = a.Usage("/")
						require.True(b, a.Status().Degraded)
					}
					for _, d := range list {
						d.SetLimits(diskRate, diskLatency)
					}
					before := counters(list)
					b.SetBytes(benchFile)
					b.ReportAllocs()
					b.ResetTimer()
					for b.Loop() {
						readFile(b, a, "/a", piece)
					}
					shares(b, list, before)
				})
			}
		}
	}
}

// bare gives an array on directories of this machine.
func bare(b *testing.B, n int, hole bool) *Array {
	c := Config{FS: vfs.OS(), hole: hole}
	dir := b.TempDir()
	for i := range n {
		c.Members = append(c.Members, Member{Dir: fmt.Sprintf("%s/%d", dir, i)})
	}
	return mustOpen(b, c)
}

func BenchmarkWrite(b *testing.B) {
	for _, hole := range []bool{false, true} {
		b.Run(fmt.Sprintf("hole=%v", hole), func(b *testing.B) {
			a := bare(b, 4, hole)
			b.SetBytes(benchFile)
			b.ReportAllocs()
			for b.Loop() {
				writeFile(b, a, "/a", 64<<10)
				require.NoError(b, a.Remove("/a"))
				require.NoError(b, a.SyncDir("/"))
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, degraded := range []bool{false, true} {
		b.Run(fmt.Sprintf("degraded=%v", degraded), func(b *testing.B) {
			a := bare(b, 4, false)
			writeFile(b, a, "/a", 1<<20)
			if degraded {
				require.NoError(b, a.fail(a.members()[1], errDecode))
			}
			b.SetBytes(benchFile)
			b.ReportAllocs()
			for b.Loop() {
				readFile(b, a, "/a", 64<<10)
			}
		})
	}
}

// BenchmarkEmulatedRebuild replaces a disk that held its share of two large files.
func BenchmarkEmulatedRebuild(b *testing.B) {
	for _, n := range []int{4, 5} {
		b.Run(fmt.Sprintf("disks=%d", n), func(b *testing.B) {
			a, list := slow(b, n, false)
			for _, d := range list {
				d.SetLimits(0, 0)
			}
			writeFile(b, a, "/a", 1<<20)
			writeFile(b, a, "/b", 1<<20)
			next := slowfs.NewDisk(diskRate, diskLatency)
			dir := b.TempDir()
			for _, d := range list {
				d.SetLimits(diskRate, diskLatency)
			}
			b.SetBytes(2 * benchFile / int64(n-1))
			b.ResetTimer()
			for i := range b.N {
				f := slowfs.New(vfs.OS(), map[string]*slowfs.Disk{dir: next})
				f.Volatile = true
				require.NoError(b, a.ReplaceWith(a.Status().Members[1].Dir, Member{Dir: fmt.Sprint(dir, "/", i), FS: f}))
				require.NoError(b, a.WaitRebuild(b.Context()))
			}
			b.ReportMetric(100*float64(b.N)*2*benchFile/float64(n-1)/b.Elapsed().Seconds()/diskRate, "%ofdisk")
		})
	}
}
