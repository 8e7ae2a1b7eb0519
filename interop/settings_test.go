package interop

import (
	"archive/zip"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSettingsAreAllKnown holds docs/settings.md, which is made from the programs' tables,
// against the keys that Hadoop's own jars list: each has exactly one verdict.
func TestSettingsAreAllKnown(t *testing.T) {
	needHadoop(t)
	jars, err := hadoopJars()
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/settings.md")
	require.NoError(t, err)
	verdicts := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^(?:\| |- )([a-zA-Z0-9._\[\]-]+)(?: \||$)`).FindAllStringSubmatch(string(page), -1) {
		verdicts[m[1]]++
	}
	counted := 0
	for _, list := range []struct{ jar, file string }{{"hadoop-hdfs", "hdfs-default.xml"}, {"hadoop-common", "core-default.xml"}} {
		keys := defaults(t, jars, list.jar, list.file)
		for key := range keys {
			if otherFileSystem.MatchString(key) || deprecated[key] {
				continue
			}
			want := strings.Replace(key, "dfs.ha.namenodes.EXAMPLENAMESERVICE", "dfs.namenode.rpc-address", 1) // named in the text
			want = strings.TrimSuffix(want, ".blocked")
			require.Equal(t, 1, verdicts[want], "%s of %s", key, list.file)
			counted++
		}
		t.Logf("%s: %d keys", list.file, len(keys))
	}
	t.Logf("%d keys have a verdict", counted)
}

// otherFileSystem are the keys of core-default.xml that are about others than HDFS, and
// not listed one by one.
var otherFileSystem = regexp.MustCompile(`^(fs\.(s3a|azure|abfss?|wasbs?|adl|gs|obs|ftp|har|viewfs|AbstractFileSystem)\b.*|fs\..*\.impl|adl\..*|ftp\..*|fs\.client\.htrace.*|hadoop\.htrace.*)$`)

// deprecated are names in core-default.xml that go by others now, which are listed.
var deprecated = map[string]bool{"fs.default.name": true, "io.bytes.per.checksum": true}

// defaults reads the keys of a file in a jar.
func defaults(t *testing.T, dir, jar, file string) map[string]bool {
	names, err := filepath.Glob(filepath.Join(dir, jar+"-[0-9]*.jar"))
	require.NoError(t, err)
	keys := map[string]bool{}
	for _, name := range names {
		if strings.Contains(name, "-tests") {
			continue
		}
		z, err := zip.OpenReader(name)
		require.NoError(t, err)
		defer z.Close()
		f, err := z.Open(file)
		require.NoError(t, err)
		var doc struct {
			Property []struct {
				Name string `xml:"name"`
			} `xml:"property"`
		}
		require.NoError(t, xml.NewDecoder(f).Decode(&doc))
		for _, p := range doc.Property {
			keys[strings.TrimSpace(p.Name)] = true
		}
	}
	require.NotEmpty(t, keys)
	return keys
}
