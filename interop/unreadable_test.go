package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatOurClientCantRead holds our shell against a real HDFS with erasure-coded files and
// an encryption zone: what it can't read or write it refuses by name and leaves as it is.
func TestWhatOurClientCantRead(t *testing.T) {
	needHadoop(t)
	dir := t.TempDir()
	keys := "jceks://file" + filepath.Join(dir, "keys.jceks")
	out, err := exec.Command("./hadoop", "java", "org.apache.hadoop.crypto.key.KeyShell", "create", "zonekey", "-provider", keys).CombinedOutput()
	require.NoError(t, err, "%s", out)
	c := startHadoop(t, 3, "-Dhadoop.security.key.provider.path="+keys)

	data := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	local := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(local, data, 0o644))
	for _, line := range [][]string{
		{"ec", "-enablePolicy", "-policy", "XOR-2-1-1024k"},
		{"fs", "-mkdir", "-p", "/ec", "/zone", "/plain"},
		{"ec", "-setPolicy", "-path", "/ec", "-policy", "XOR-2-1-1024k"},
		{"crypto", "-createZone", "-keyName", "zonekey", "-path", "/zone"},
		{"fs", "-put", local, "/ec/f"},
		{"fs", "-put", local, "/zone/f"},
		{"fs", "-put", local, "/plain/f"},
	} {
		r := c.hadoop(t, "root", line[0], line[1:]...)
		require.Zero(t, r.code, "%v: %s%s", line, r.out, r.err)
	}
	const openFiles = "Client Host         \tClient Name         \tOpen File Path\n"
	ec, zone := "it is erasure-coded with policy XOR-2-1-1024k, which this client does not know", "it is in an encryption zone, whose keys this client can't use"
	for _, path := range []string{"/ec/f", "/zone/f"} {
		why := map[string]string{"/ec/f": ec, "/zone/f": zone}[path]
		for _, line := range [][]string{
			{"-cat", path}, {"-text", path}, {"-head", path}, {"-tail", path}, {"-get", path, filepath.Join(dir, "got")},
			{"-cp", path, "/plain/copy"}, {"-getmerge", filepath.Dir(path), filepath.Join(dir, "merged")}, {"-cat", "/plain/f", path},
		} {
			r := c.ours(t, "root", "", "fs", line...)
			require.NotZero(t, r.code, "%v", line)
			require.Contains(t, r.err, path+" can't be read: "+why, "%v", line)
			if line[1] == path {
				require.Empty(t, r.out, "%v", line)
			}
		}
		require.NoFileExists(t, filepath.Join(dir, "got"))
		require.Equal(t, 1, c.ours(t, "root", "", "fs", "-test", "-e", "/plain/copy").code)
		r := c.ours(t, "root", "more", "fs", "-appendToFile", "-", path)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, path+" can't be appended to: "+why)
	}
	r := c.ours(t, "root", "", "fs", "-checksum", "/ec/f")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "/ec/f can't be summed up: "+ec)
	r = c.ours(t, "root", "", "fs", "-checksum", "/zone/f")
	require.Equal(t, c.hadoop(t, "root", "fs", "-checksum", "/zone/f"), r, "of the ciphertext, as Hadoop's")

	t.Run("Writes", func(t *testing.T) {
		r := c.ours(t, "root", "", "fs", "-put", local, "/ec/new")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, "can't be written: "+ec)
		r = c.ours(t, "root", "", "fs", "-put", "-f", local, "/ec/f")
		require.Equal(t, 1, r.code)
		r = c.ours(t, "root", "", "fs", "-put", local, "/zone/new")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.err, "crypto protocol")
		require.Zero(t, c.ours(t, "root", "", "fs", "-touchz", "/ec/empty").code)
		require.Equal(t, "/ec/empty\n/ec/f\n/zone/.Trash\n/zone/f\n", c.hadoop(t, "root", "fs", "-ls", "-C", "/ec", "/zone").out)
		require.Equal(t, string(data), c.hadoop(t, "root", "fs", "-cat", "/ec/f").out)
		require.Equal(t, openFiles, c.hadoop(t, "root", "dfsadmin", "-listOpenFiles").out, "no lease is left behind")
	})
	t.Run("Shown", func(t *testing.T) {
		for _, line := range [][]string{{"-ls", "-e", "/"}, {"-ls", "-e", "/ec", "/zone", "/plain"}, {"-count", "-e", "-v", "/", "/ec", "/ec/f", "/plain/f", "/zone/f"}} {
			require.Equal(t, c.hadoop(t, "root", "fs", line...), c.ours(t, "root", "", "fs", line...), "%v", line)
		}
	})
}
