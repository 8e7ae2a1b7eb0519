// Package golden holds what tests expect in files, behind one flag: -update. It knows two
// kinds of them. A frozen file is what some version of a durable format wrote; it is
// evidence, so -update makes a missing one and never changes one that exists. A reviewed
// file is what today's program says; -update writes it anew, and git diff is the review.
package golden

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write golden files: frozen ones only where they are missing, reviewed ones anew")

// Frozen gives the contents of a file that never changes. got becomes the file if there is
// none and -update is set; whether an existing one equals got is the caller's to ask, since
// a later version may read an old file and write another.
func Frozen(t testing.TB, file string, got []byte) []byte {
	t.Helper()
	_, err := os.Stat(file)
	return read(t, file, got, *update && errors.Is(err, fs.ErrNotExist))
}

// Reviewed gives the contents of a file after -update, if it is set, has made it got.
func Reviewed(t testing.TB, file string, got []byte) []byte {
	t.Helper()
	return read(t, file, got, *update)
}

func read(t testing.TB, file string, got []byte, write bool) []byte {
	t.Helper()
	if write {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v: -update makes it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}
