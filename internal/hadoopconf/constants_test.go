package hadoopconf

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDefaultsAreHadoops holds the table against the defaults that interop.TestConstants has
// asked Hadoop for.
func TestDefaultsAreHadoops(t *testing.T) {
	text, err := os.ReadFile("../../interop/testdata/constants.txt")
	require.NoError(t, err)
	byName := map[string]Key{}
	for _, k := range Keys {
		byName[k.Name] = k
	}
	checked := 0
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "conf ")
		name, theirs, _ := strings.Cut(rest, " ")
		k, known := byName[name]
		if !ok || !known {
			continue
		}
		checked++
		theirs = strings.TrimPrefix(theirs, "=")
		if k.Kind == Float {
			theirs = strings.TrimSuffix(theirs, "f")
		}
		if theirs != "(none)" && theirs != k.Default {
			t.Errorf("%s: our default is %q, Hadoop's %q", name, k.Default, theirs)
		}
	}
	require.Greater(t, checked, 50)
}
