// Package vfstest checks that a vfs.FS keeps the contract of package vfs. Each
// implementation runs the one suite, so that code tested on one of them works on all.
package vfstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

// Run checks an implementation. fresh gives a file system and an empty directory on it;
// it is called once for each part of the suite.
func Run(t *testing.T, fresh func(t *testing.T) (fsys vfs.FS, dir string)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f vfs.FS, dir string)
	}{
		{"Files", files}, {"Offsets", offsets}, {"Truncate", truncate}, {"Errors", errorKinds},
		{"Directories", directories}, {"Rename", rename}, {"Links", links}, {"Publish", publish},
		{"PublishFails", publishFails}, {"Sweep", sweep}, {"Lock", lock}, {"Usage", usage},
		{"OpenFilesOutliveNames", outlive}, {"Concurrent", concurrent}, {"Protect", protect},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, dir := fresh(t)
			c.test(t, f, strings.TrimSuffix(dir, "/"))
		})
	}
}

func write(t *testing.T, f vfs.FS, name, text string) {
	t.Helper()
	file, err := f.Create(name)
	require.NoError(t, err)
	n, err := file.WriteAt([]byte(text), 0)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
}

func content(t *testing.T, f vfs.FS, name string) string {
	t.Helper()
	b, err := vfs.ReadFile(f, name, 1<<20)
	require.NoError(t, err)
	return string(b)
}

func list(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	entries, err := f.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		s := e.Name
		if e.Dir {
			s += "/"
		}
		names = append(names, s)
	}
	return strings.Join(names, " ")
}

func files(t *testing.T, f vfs.FS, dir string) {
	write(t, f, dir+"/a", "hello")
	require.Equal(t, "hello", content(t, f, dir+"/a"))
	file, err := f.OpenWrite(dir + "/a")
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("J"), 0)
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = file.ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, "Jello", string(b))
	size, err := file.Size()
	require.NoError(t, err)
	require.EqualValues(t, 5, size)
	require.NoError(t, file.Close())
	_, err = file.ReadAt(b, 0)
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Error(t, file.Close())
	st, err := f.Stat(dir + "/a")
	require.NoError(t, err)
	require.Equal(t, "a", st.Name)
	require.EqualValues(t, 5, st.Size)
	require.False(t, st.Dir)

	file, err = f.Open(dir + "/a")
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("x"), 0)
	require.Error(t, err, "opened for reading")
	require.Error(t, file.Truncate(0))
	require.NoError(t, file.Close())
	require.NoError(t, f.Remove(dir+"/a"))
	require.Equal(t, "", list(t, f, dir))
}

func offsets(t *testing.T, f vfs.FS, dir string) {
	file, err := f.Create(dir + "/a")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.WriteAt([]byte("end"), 10000)
	require.NoError(t, err)
	b := make([]byte, 10003)
	_, err = file.ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("\x00", 10000)+"end", string(b), "a hole reads as zeroes")
	n, err := file.ReadAt(b[:10], 9998)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 5, n)
	n, err = file.ReadAt(b[:10], 10003)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n)
	_, err = file.WriteAt(b, -1)
	require.Error(t, err)
	_, err = file.WriteAt(nil, 0)
	require.NoError(t, err)
	require.NoError(t, vfs.ZeroFill(file, 10001, 300000))
	size, err := file.Size()
	require.NoError(t, err)
	require.EqualValues(t, 310001, size)
	require.NoError(t, vfs.FlushHint(file, 0, size))
}

func truncate(t *testing.T, f vfs.FS, dir string) {
	write(t, f, dir+"/a", strings.Repeat("x", 9000))
	file, err := f.OpenWrite(dir + "/a")
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, file.Truncate(5000))
	require.NoError(t, file.Truncate(9000))
	require.Equal(t, strings.Repeat("x", 5000)+strings.Repeat("\x00", 4000), content(t, f, dir+"/a"))
	require.NoError(t, file.Truncate(0))
	require.Equal(t, "", content(t, f, dir+"/a"))
	require.Error(t, file.Truncate(-1))
}

func errorKinds(t *testing.T, f vfs.FS, dir string) {
	write(t, f, dir+"/a", "")
	_, err := f.Open(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	_, err = f.OpenWrite(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.Create(dir + "/a")
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = f.Create(dir + "/none/a")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.Create(dir + "/a/b")
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = f.Stat(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.ReadDir(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.ReadDir(dir + "/a")
	require.Error(t, err)
	require.ErrorIs(t, f.Remove(dir+"/none"), fs.ErrNotExist)
	require.ErrorIs(t, f.Rename(dir+"/none", dir+"/b"), fs.ErrNotExist)
	require.ErrorIs(t, f.Link(dir+"/none", dir+"/b"), fs.ErrNotExist)
	require.ErrorIs(t, f.SyncDir(dir+"/none"), fs.ErrNotExist)
	require.ErrorIs(t, f.MkdirAll(dir+"/a"), syscall.ENOTDIR)
	require.ErrorIs(t, f.MkdirAll(dir+"/a/b"), syscall.ENOTDIR)
	_, err = f.Usage(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = vfs.ReadFile(f, dir+"/a", -1)
	require.ErrorContains(t, err, "more than")
}

func directories(t *testing.T, f vfs.FS, dir string) {
	require.NoError(t, f.MkdirAll(dir+"/x/y/z"))
	require.NoError(t, f.MkdirAll(dir+"/x/y/z"))
	write(t, f, dir+"/x/b", "12")
	write(t, f, dir+"/x/a", "")
	write(t, f, dir+"/x/.c", "")
	require.Equal(t, ".c a b y/", list(t, f, dir+"/x"), "every entry by its name, in order, directories too")
	entries, err := f.ReadDir(dir + "/x")
	require.NoError(t, err)
	require.EqualValues(t, 2, entries[2].Size)
	st, err := f.Stat(dir + "/x/y")
	require.NoError(t, err)
	require.True(t, st.Dir)
	require.Equal(t, "y", st.Name)
	require.NoError(t, f.SyncDir(dir+"/x"))
	require.ErrorIs(t, f.Remove(dir+"/x"), syscall.ENOTEMPTY)
	require.NoError(t, f.Remove(dir+"/x/y/z"))
	require.NoError(t, f.Remove(dir+"/x/y"))
}

func rename(t *testing.T, f vfs.FS, dir string) {
	require.NoError(t, f.MkdirAll(dir+"/d"))
	require.NoError(t, f.MkdirAll(dir+"/e/full"))
	write(t, f, dir+"/a", "a")
	write(t, f, dir+"/b", "b")
	require.NoError(t, f.Rename(dir+"/a", dir+"/b"))
	require.Equal(t, "a", content(t, f, dir+"/b"))
	require.NoError(t, f.Rename(dir+"/b", dir+"/d/c"))
	require.Equal(t, "c", list(t, f, dir+"/d"))
	require.NoError(t, f.Rename(dir+"/d/c", dir+"/d/c"))
	require.Equal(t, "c", list(t, f, dir+"/d"))
	require.Error(t, f.Rename(dir+"/d/c", dir+"/e"), "a file over a directory")
	require.Error(t, f.Rename(dir+"/d", dir+"/d/inside"))
	require.Error(t, f.Rename(dir+"/d", dir+"/e"), "over a directory that is not empty")
	require.NoError(t, f.Rename(dir+"/d", dir+"/moved"))
	require.Equal(t, "a", content(t, f, dir+"/moved/c"))
}

func links(t *testing.T, f vfs.FS, dir string) {
	write(t, f, dir+"/a", "a")
	require.NoError(t, f.Link(dir+"/a", dir+"/b"))
	require.ErrorIs(t, f.Link(dir+"/a", dir+"/b"), fs.ErrExist)
	require.NoError(t, f.Remove(dir+"/a"))
	require.Equal(t, "a", content(t, f, dir+"/b"))
}

func publish(t *testing.T, f vfs.FS, dir string) {
	for _, text := range []string{"one", "two, longer", "3"} {
		require.NoError(t, f.Publish(dir+"/p", func(w io.Writer) error {
			for _, r := range text {
				if _, err := fmt.Fprintf(w, "%c", r); err != nil {
					return err
				}
			}
			return nil
		}))
		require.Equal(t, text, content(t, f, dir+"/p"))
		require.Equal(t, "p", list(t, f, dir), "no temporary file stays")
	}
}

func publishFails(t *testing.T, f vfs.FS, dir string) {
	mine := errors.New("mine")
	fail := func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return mine
	}
	require.ErrorIs(t, f.Publish(dir+"/p", fail), mine)
	require.Equal(t, "", list(t, f, dir))
	write(t, f, dir+"/p", "old")
	require.ErrorIs(t, f.Publish(dir+"/p", fail), mine)
	require.Equal(t, "old", content(t, f, dir+"/p"))
	require.Equal(t, "p", list(t, f, dir))
	require.ErrorIs(t, f.Publish(dir+"/none/p", fail), fs.ErrNotExist)
}

func sweep(t *testing.T, f vfs.FS, dir string) {
	for _, name := range []string{".p123", ".p12x", ".p", "p123", ".q1", ".pq1"} {
		write(t, f, dir+"/"+name, "")
	}
	require.NoError(t, f.MkdirAll(dir+"/.p9"))
	require.NoError(t, vfs.SweepTemp(f, dir, "p"))
	require.Equal(t, ".p .p12x .p9/ .pq1 .q1 p123", list(t, f, dir))
	require.ErrorIs(t, vfs.SweepTemp(f, dir+"/none", "p"), fs.ErrNotExist)
}

func lock(t *testing.T, f vfs.FS, dir string) {
	l, err := f.Lock(dir + "/in_use.lock")
	require.NoError(t, err)
	_, err = f.Lock(dir + "/in_use.lock")
	require.ErrorIs(t, err, vfs.ErrLocked)
	require.ErrorContains(t, err, dir+"/in_use.lock")
	other, err := f.Lock(dir + "/other.lock")
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.NoError(t, l.Close())
	l, err = f.Lock(dir + "/in_use.lock")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = f.Lock(dir + "/none/lock")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func usage(t *testing.T, f vfs.FS, dir string) {
	u, err := f.Usage(dir)
	require.NoError(t, err)
	require.Positive(t, u.Capacity)
	require.LessOrEqual(t, u.Free, u.Capacity)
}

func outlive(t *testing.T, f vfs.FS, dir string) {
	write(t, f, dir+"/a", "a")
	write(t, f, dir+"/b", "b")
	a, err := f.Open(dir + "/a")
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, f.Rename(dir+"/b", dir+"/a"))
	got := make([]byte, 1)
	_, err = a.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "a", string(got))
}

func concurrent(t *testing.T, f vfs.FS, dir string) {
	file, err := f.Create(dir + "/a")
	require.NoError(t, err)
	defer file.Close()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			part := []byte(strings.Repeat(string(rune('a'+g)), 1000))
			for i := range 20 {
				off := int64(i*8+g) * 1000
				if _, err := file.WriteAt(part, off); err != nil {
					t.Error(err)
				}
				got := make([]byte, 1000)
				if _, err := file.ReadAt(got, off); err != nil || string(got) != string(part) {
					t.Errorf("at %d: %v", off, err)
				}
			}
			if err := file.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// protect: a directory of durable files may itself be a link; what is in it may not.
func protect(t *testing.T, f vfs.FS, dir string) {
	_, err := f.Protect(dir + "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	write(t, f, dir+"/plain", "")
	_, err = f.Protect(dir + "/plain")
	require.Error(t, err)
	require.NoError(t, f.MkdirAll(dir+"/vol"))
	_, err = f.Protect(dir + "/vol")
	require.NoError(t, err)
	_, err = f.Protect(dir + "/vol")
	require.NoError(t, err, "and again at the next start")
	require.NoError(t, f.MkdirAll(dir+"/vol/current/sub"))
	write(t, f, dir+"/vol/current/sub/a", "a")
	require.Equal(t, "a", content(t, f, dir+"/vol/current/sub/a"))
	require.NoError(t, f.Publish(dir+"/vol/current/p", func(w io.Writer) error { _, err := io.WriteString(w, "p"); return err }))
	require.Equal(t, "p", content(t, f, dir+"/vol/current/p"))
	require.Equal(t, "p sub/", list(t, f, dir+"/vol/current"))
	require.NoError(t, f.SyncDir(dir+"/vol/current"))
	l, err := f.Lock(dir + "/vol/in_use.lock")
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// Linker makes a symbolic link on the file system that is checked.
type Linker func(target, name string) error

// RunLinks checks what an implementation that has symbolic links does with them.
func RunLinks(t *testing.T, fresh func(t *testing.T) (fsys vfs.FS, dir string, link Linker)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f vfs.FS, dir string, link Linker)
	}{{"LinkedFiles", linkedFiles}, {"LinkedDirectories", linkedDirectories}, {"LinkedVolume", linkedVolume}} {
		t.Run(c.name, func(t *testing.T) {
			f, dir, link := fresh(t)
			c.test(t, f, strings.TrimSuffix(dir, "/"), link)
		})
	}
}

// linkedFiles: the target of a link is neither opened nor made nor locked, protected or not.
func linkedFiles(t *testing.T, f vfs.FS, dir string, link Linker) {
	for _, in := range []string{dir + "/open", dir + "/protected"} {
		require.NoError(t, f.MkdirAll(in))
		if in == dir+"/protected" {
			_, err := f.Protect(in)
			require.NoError(t, err)
		}
		require.NoError(t, f.MkdirAll(dir+"/victims"))
		victim := dir + "/victims/" + strings.TrimPrefix(in, dir+"/")
		write(t, f, victim, "precious")
		require.NoError(t, link(victim, in+"/link"))
		require.NoError(t, link(victim+".new", in+"/dangling"))
		for _, name := range []string{in + "/link", in + "/dangling"} {
			_, err := f.Open(name)
			require.ErrorIs(t, err, syscall.ELOOP, name)
			require.ErrorContains(t, err, "symbolic link")
			_, err = f.OpenWrite(name)
			require.ErrorIs(t, err, syscall.ELOOP, name)
			_, err = f.Create(name)
			require.ErrorIs(t, err, fs.ErrExist, name)
			_, err = f.Lock(name)
			require.ErrorIs(t, err, syscall.ELOOP, name)
		}
		require.Equal(t, "dangling link", list(t, f, in), "no link counts as a directory")
		// A publication and a removal are about the link, not about what it points to.
		require.NoError(t, f.Publish(in+"/link", func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }))
		require.Equal(t, "new", content(t, f, in+"/link"))
		require.Equal(t, "precious", content(t, f, victim))
		require.NoError(t, f.Remove(in+"/dangling"))
		_, err := f.Stat(victim + ".new")
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

// linkedDirectories: below a protected directory nothing is reached through one.
func linkedDirectories(t *testing.T, f vfs.FS, dir string, link Linker) {
	require.NoError(t, f.MkdirAll(dir+"/elsewhere/deep"))
	write(t, f, dir+"/elsewhere/deep/a", "precious")
	require.NoError(t, f.MkdirAll(dir+"/vol"))
	require.NoError(t, link(dir+"/elsewhere", dir+"/vol/meta"))
	_, err := f.Protect(dir + "/vol")
	require.NoError(t, err)
	for what, do := range map[string]func() error{
		"mkdir":      func() error { return f.MkdirAll(dir + "/vol/meta") },
		"mkdir deep": func() error { return f.MkdirAll(dir + "/vol/meta/deep") },
		"mkdir new":  func() error { return f.MkdirAll(dir + "/vol/meta/new") },
		"open":       func() error { _, err := f.Open(dir + "/vol/meta/deep/a"); return err },
		"write":      func() error { _, err := f.OpenWrite(dir + "/vol/meta/deep/a"); return err },
		"create":     func() error { _, err := f.Create(dir + "/vol/meta/deep/b"); return err },
		"lock":       func() error { _, err := f.Lock(dir + "/vol/meta/deep/l"); return err },
		"list":       func() error { _, err := f.ReadDir(dir + "/vol/meta"); return err },
		"list deep":  func() error { _, err := f.ReadDir(dir + "/vol/meta/deep"); return err },
		"sync":       func() error { return f.SyncDir(dir + "/vol/meta") },
		"stat":       func() error { _, err := f.Stat(dir + "/vol/meta"); return err },
		"publish": func() error {
			return f.Publish(dir+"/vol/meta/deep/p", func(io.Writer) error { return nil })
		},
	} {
		require.ErrorIs(t, do(), syscall.ELOOP, what)
	}
	require.Equal(t, "a", list(t, f, dir+"/elsewhere/deep"))
	require.Equal(t, "deep/", list(t, f, dir+"/elsewhere"))
}

// linkedVolume: the configured directory itself may be a link to a disk.
func linkedVolume(t *testing.T, f vfs.FS, dir string, link Linker) {
	require.NoError(t, f.MkdirAll(dir+"/disk"))
	require.NoError(t, link(dir+"/disk", dir+"/vol"))
	require.NoError(t, f.MkdirAll(dir+"/vol"))
	_, err := f.Protect(dir + "/vol")
	require.NoError(t, err)
	protectedUse(t, f, dir+"/vol")
	require.Equal(t, "a", content(t, f, dir+"/disk/current/a"))
}

func protectedUse(t *testing.T, f vfs.FS, vol string) {
	require.NoError(t, f.MkdirAll(vol+"/current"))
	write(t, f, vol+"/current/a", "a")
	st, err := f.Stat(vol)
	require.NoError(t, err)
	require.True(t, st.Dir)
	require.Equal(t, "current/", list(t, f, vol))
	require.NoError(t, f.SyncDir(vol))
	require.NoError(t, f.Rename(vol+"/current/a", vol+"/b"))
	require.NoError(t, f.Rename(vol+"/b", vol+"/current/a"))
	require.Equal(t, "a", content(t, f, vol+"/current/a"))
	l, err := f.Lock(vol + "/in_use.lock")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, f.Remove(vol+"/in_use.lock"))
}
