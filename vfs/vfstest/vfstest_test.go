package vfstest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
	"redoubt/vfs/faultfs"
	"redoubt/vfs/vfstest"
)

func TestOS(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
}

func TestMem(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		m := vfs.NewMem()
		require.NoError(t, m.MkdirAll("/some/dir"))
		return m, "/some/dir"
	})
}

// A crash clone is a file system like any other.
func TestClone(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		m := vfs.NewMem()
		require.NoError(t, m.MkdirAll("/some/dir"))
		return m.CrashClone(vfs.Choice{}), "/some/dir"
	})
}

func TestFaultFS(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return faultfs.New(vfs.NewMem()), "/" })
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return faultfs.New(vfs.OS()), t.TempDir() })
}

func TestLinks(t *testing.T) {
	t.Run("OS", func(t *testing.T) {
		vfstest.RunLinks(t, func(t *testing.T) (vfs.FS, string, vfstest.Linker) { return vfs.OS(), t.TempDir(), os.Symlink })
	})
	t.Run("Mem", func(t *testing.T) {
		vfstest.RunLinks(t, func(*testing.T) (vfs.FS, string, vfstest.Linker) {
			m := vfs.NewMem()
			return m, "/", m.Symlink
		})
	})
	t.Run("FaultFS", func(t *testing.T) {
		vfstest.RunLinks(t, func(*testing.T) (vfs.FS, string, vfstest.Linker) {
			m := vfs.NewMem()
			return faultfs.New(m), "/", m.Symlink
		})
	})
}
