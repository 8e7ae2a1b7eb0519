package crashtest

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

// register is a value in a file; set is how it is replaced.
func register(set func(fs vfs.FS, value string) error) func() Scenario {
	return func() Scenario {
		sent, acked := 0, 0
		return Scenario{
			Setup: func(fs vfs.FS) error { return set(fs, "v0") },
			Run: func(fs vfs.FS) error {
				for i := 1; i <= 3; i++ {
					sent = i
					if err := set(fs, fmt.Sprintf("v%d", i)); err != nil {
						return err
					}
					acked = i
				}
				return nil
			},
			Recover: func(fs vfs.FS) error { return vfs.SweepTemp(fs, "/", "r") },
			Check: func(fs vfs.FS) error {
				b, err := vfs.ReadFile(fs, "/r", 100)
				if err != nil {
					return err
				}
				for i := acked; i <= sent; i++ {
					if string(b) == fmt.Sprintf("v%d", i) {
						return nil
					}
				}
				return fmt.Errorf("found %q, sent %d, acknowledged %d", b, sent, acked)
			},
		}
	}
}

func TestEachPoint(t *testing.T) {
	n := EachPoint(t, register(func(fs vfs.FS, v string) error {
		return fs.Publish("/r", func(w io.Writer) error { _, err := io.WriteString(w, v); return err })
	}))
	require.Greater(t, n, int64(30))
	require.GreaterOrEqual(t, Total(), n)
}

// recorder is a testing.TB that only notes failures.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()             {}
func (r *recorder) Name() string        { return "recorder" }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Failed() bool        { return len(r.errors) > 0 }
func (r *recorder) Errorf(f string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, args...))
}
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); panic(r) }
func (r *recorder) explore(fresh func() Scenario) {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	EachPoint(r, fresh)
}

// Each way to get the publication wrong must be found.
func TestEachPointFindsMistakes(t *testing.T) {
	for name, set := range map[string]func(fs vfs.FS, v string) error{
		"in place": func(fs vfs.FS, v string) error {
			if err := fs.Remove("/r"); err != nil && !strings.Contains(err.Error(), "not exist") {
				return err
			}
			return write(fs, "/r", v, true, true)
		},
		"no sync of the file":      func(fs vfs.FS, v string) error { return replace(fs, v, false, true) },
		"no sync of the directory": func(fs vfs.FS, v string) error { return replace(fs, v, true, false) },
	} {
		r := &recorder{}
		r.explore(register(set))
		require.NotEmpty(t, r.errors, name)
	}
	r := &recorder{}
	r.explore(register(func(fs vfs.FS, v string) error { return replace(fs, v, true, true) }))
	require.Empty(t, r.errors)
}

func replace(fs vfs.FS, v string, syncFile, syncDir bool) error {
	if err := vfs.SweepTemp(fs, "/", "r"); err != nil {
		return err
	}
	if err := write(fs, "/.r1", v, syncFile, false); err != nil {
		return err
	}
	if err := fs.Rename("/.r1", "/r"); err != nil {
		return err
	}
	if syncDir {
		return fs.SyncDir("/")
	}
	return nil
}

func write(fs vfs.FS, name, v string, syncFile, syncDir bool) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(v), 0); err != nil {
		return err
	}
	if syncFile {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if syncDir {
		return fs.SyncDir("/")
	}
	return nil
}
