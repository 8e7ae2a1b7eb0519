package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTour takes the tour as a user does: the program itself, with its processes.
func TestTour(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	bin := filepath.Join(t.TempDir(), "fs")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(bin, "tour")
	cmd.Dir = t.TempDir() // an empty directory: the tour has files of its own
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	said := string(text)
	require.Contains(t, said, "Nothing that was acknowledged is lost.")
	require.Equal(t, 10, strings.Count(said, "every acknowledged byte is there\n"), said)
	for _, word := range []string{"parity blocks", "went on with another replica", "takes its spare by itself", "reported and replaced", "only parity", "replayed its log"} {
		require.Contains(t, said, word)
	}
}

// TestTourRefuses holds what is said about wrong arguments, before anything is started.
func TestTourRefuses(t *testing.T) {
	full := t.TempDir()
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, user: effectiveUser(), dir: full}
	require.Equal(t, exitUsage, run(t.Context(), e, []string{"tour", "x"}))
	require.Contains(t, errs.String(), `unexpected argument "x"`)
	errs.Reset()
	require.Equal(t, exitUsage, run(t.Context(), e, []string{"tour", "--keep", filepath.Dir(full)}))
	require.Contains(t, errs.String(), "is not empty")
	require.Empty(t, out.String())
}
