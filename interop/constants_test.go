package interop

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	classInSource = regexp.MustCompile(`"((?:org\.apache\.hadoop|java)\.[A-Za-z0-9.$]*\.[A-Z][A-Za-z0-9$]*)"`)
	keyInTable    = regexp.MustCompile(`\{Name: "([^"]+)"`)
)

// TestConstants asks Hadoop's classes for the constants that we have too: numbers of enums,
// names, classes, defaults. What they say is kept in testdata/constants.txt, against which
// wire/clientrpc and internal/hadoopconf hold ours without a JVM. REDOUBT_UPDATE=1 writes it.
func TestConstants(t *testing.T) {
	needHadoop(t)
	args := append([]string{"java", "Facts.java"}, namedClasses(t)...)
	table, err := os.ReadFile("../internal/hadoopconf/keys.go")
	require.NoError(t, err)
	for _, m := range keyInTable.FindAllSubmatch(table, -1) {
		if key := string(m[1]); !strings.HasPrefix(key, "redoubt.") {
			args = append(args, "conf:"+key)
		}
	}
	out, err := exec.Command("./hadoop", args...).Output()
	require.NoError(t, err)
	const file = "testdata/constants.txt"
	if os.Getenv("REDOUBT_UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, out, 0o644))
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	now := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		now[line] = true
	}
	for line := range strings.Lines(string(kept)) { // a key that is new in our table is not kept yet
		require.True(t, now[line], "Hadoop does not say %q any more; REDOUBT_UPDATE=1 writes the file anew", line)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "class ") {
			require.NotContains(t, line, "(none)", "our sources name a class that Hadoop does not have")
		}
	}
}

// namedClasses lists the Java classes that our sources name.
func namedClasses(t *testing.T) (names []string) {
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, ".pb.go") {
			return err
		}
		if dir := filepath.ToSlash(p); strings.HasPrefix(dir, "../interop/") || strings.HasSuffix(dir, "_test.go") && !strings.Contains(dir, "/clientrpc/") {
			return nil
		}
		text, err := os.ReadFile(p)
		for _, m := range classInSource.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	require.NoError(t, err)
	slices.Sort(names)
	return slices.Compact(names)
}
