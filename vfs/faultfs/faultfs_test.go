package faultfs

import (
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

func TestTraceOfPublish(t *testing.T) {
	f := New(vfs.NewMem())
	require.NoError(t, f.Publish("/p", func(w io.Writer) error { _, err := w.Write([]byte("text")); return err }))
	require.NoError(t, Golden(f.TraceText(), []byte("create /.p1\nwrite /.p1 0+4\nsync /.p1\nrename /.p1 /p\nsyncdir /\n")))
	require.ErrorContains(t, Golden(f.TraceText(), []byte("create /.p1\n")), "line 2")
}

// Whatever fails, the old contents stay until the rename and no temporary file does.
func TestPublishWithEachOpFailing(t *testing.T) {
	for i := 0; ; i++ {
		mem := vfs.NewMem()
		require.NoError(t, mem.Publish("/p", func(w io.Writer) error { _, err := w.Write([]byte("old")); return err }))
		f := New(mem)
		f.SetHook(FailAt(i, false))
		err := f.Publish("/p", func(w io.Writer) error { _, err := w.Write([]byte("new")); return err })
		if f.Ops() <= i {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, syscall.EIO, "op %d", i)
		list, err := mem.ReadDir("/")
		require.NoError(t, err)
		require.Len(t, list, 1)
	}
}

func TestShortWriteFlipAndDroppedSync(t *testing.T) {
	mem := vfs.NewMem()
	f := New(mem)
	file, err := f.Create("/a")
	require.NoError(t, err)
	require.NoError(t, f.SyncDir("/"))
	f.SetHook(func(op Op) Fault {
		switch op.Kind {
		case Write:
			return Fault{Err: syscall.ENOSPC, Half: 3}
		case Read:
			return Fault{Flip: 1}
		case Sync:
			return Fault{Err: syscall.EIO, DropData: true}
		}
		return Fault{}
	})
	n, err := file.WriteAt([]byte("abcdef"), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3, n)
	b := make([]byte, 3)
	_, err = file.ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, string([]byte{'a' ^ 0xff, 'b', 'c'}), string(b))
	require.ErrorIs(t, file.Sync(), syscall.EIO)
	f.SetHook(nil)
	require.NoError(t, file.Sync(), "the page looks clean now")
	got, err := vfs.ReadFile(mem.CrashClone(vfs.Choice{}), "/a", 10)
	require.NoError(t, err)
	require.NotContains(t, string(got), "abc")
}

func TestStall(t *testing.T) {
	f := New(vfs.NewMem())
	release, entered := make(chan struct{}), make(chan struct{})
	f.SetHook(func(op Op) Fault {
		close(entered)
		return Fault{Stall: release}
	})
	done := make(chan error)
	go func() { done <- f.MkdirAll("/d") }()
	<-entered
	select {
	case <-done:
		t.Fatal("went on although stalled")
	default:
	}
	close(release)
	require.NoError(t, <-done)
}

func TestUnder(t *testing.T) {
	u := Under("/a/")
	require.True(t, u(Op{Name: "/a"}))
	require.True(t, u(Op{Name: "/a/b"}))
	require.True(t, u(Op{Name: "/x", To: "/a/b"}))
	require.False(t, u(Op{Name: "/ab"}))
}
