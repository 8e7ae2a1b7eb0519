package golden

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUpdate(t *testing.T) {
	defer func(was bool) { *update = was }(*update)
	file := filepath.Join(t.TempDir(), "v1", "file")

	*update = true
	require.Equal(t, "first", string(Frozen(t, file, []byte("first"))), "a missing file is made")
	require.Equal(t, "first", string(Frozen(t, file, []byte("other"))), "a frozen file never changes")
	*update = false
	require.Equal(t, "first", string(Reviewed(t, file, []byte("second"))), "without the flag nothing is written")
	*update = true
	require.Equal(t, "second", string(Reviewed(t, file, []byte("second"))))
	on, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "second", string(on))
}

// failed records that a test would have ended.
type failed struct{ testing.TB }

func (failed) Helper()               {}
func (failed) Fatal(args ...any)     { panic(args) }
func (failed) Fatalf(string, ...any) { panic("missing") }

func TestMissingFileFails(t *testing.T) {
	defer func(was bool) { *update = was }(*update)
	*update = false
	file := filepath.Join(t.TempDir(), "none")
	require.Panics(t, func() { Frozen(failed{t}, file, nil) })
	require.Panics(t, func() { Reviewed(failed{t}, file, nil) })
	require.NoFileExists(t, file)
}
