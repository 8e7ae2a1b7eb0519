package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/namespace"
	"redoubt/vfs"
)

// dumpFiles makes an image and a log segment of a small namespace in a directory.
func dumpFiles(t *testing.T) (image, segment string) {
	t.Helper()
	dir := t.TempDir()
	cluster := dfs.ClusterInfo{ClusterID: "CID-x", PoolID: "BP-x", NamespaceID: 3}
	ns := namespace.New(namespace.Options{Time: 1000})
	w, err := editlog.Create(vfs.OS(), dir, editlog.WriterOptions{First: 1, Cluster: cluster, FillChunk: 4096})
	require.NoError(t, err)
	var batch editlog.Batch
	for i, name := range []string{"plain", "<&\">", "new\nline", "last"} {
		rec := namespace.Encode(nil, &namespace.Mkdirs{Head: namespace.Head{Time: 2000}, Parent: dfs.RootInodeID, Names: []string{name}, Mode: 0o755, Owner: "me"})
		batch.Reset(dfs.TxID(i + 1))
		batch.SetMark(editlog.Mark{TxID: dfs.TxID(i), Digest: ns.Digest()})
		require.NoError(t, batch.Add(rec))
		require.NoError(t, w.Append(&batch))
		_, err := ns.Apply(dfs.TxID(i+1), rec)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	snap := ns.Snapshot()
	_, err = fsimage.Write(vfs.OS(), dir, fsimage.Info{TxID: 4, Digest: ns.Digest(), Cluster: cluster}, snap.Sections(), fsimage.WriteOptions{})
	require.NoError(t, err)
	ns.Release(snap)
	return filepath.Join(dir, fsimage.Name(4)), filepath.Join(dir, editlog.InProgressName(1))
}

func view(t *testing.T, run func(context.Context, *env, []string) int, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), &env{stdout: &stdout, stderr: &stderr, dir: "/"}, args)
	return code, stdout.String(), stderr.String()
}

func TestViewersPrintEveryForm(t *testing.T) {
	image, segment := dumpFiles(t)
	for _, c := range []struct {
		run  func(context.Context, *env, []string) int
		file string
		kind string
	}{{runOIV, image, "Inode"}, {runOEV, segment, "Mkdirs"}, {runOIV, segment, "Mkdirs"}} {
		code, out, errOut := view(t, c.run, "-i", c.file)
		require.Zero(t, code, errOut)
		require.Contains(t, out, c.kind+" ")
		require.Contains(t, out, `"new\nline"`)

		code, out, errOut = view(t, c.run, "--inputFile", c.file, "-p", "JSON")
		require.Zero(t, code, errOut)
		var doc struct {
			Head     map[string]any
			Sections []struct {
				Name    string
				Records []struct{ Kind string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &doc), out)
		require.Equal(t, "CID-x", doc.Head["ClusterID"])
		require.NotEmpty(t, doc.Sections[0].Records)

		code, out, errOut = view(t, c.run, "-i", c.file, "-p", "XML")
		require.Zero(t, code, errOut)
		d := xml.NewDecoder(strings.NewReader(out))
		found := false
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, out)
			s, ok := tok.(xml.StartElement)
			found = found || ok && s.Name.Local == c.kind
		}
		require.True(t, found)

		code, out, errOut = view(t, c.run, "-i", c.file, "-p", "stats")
		require.Zero(t, code, errOut)
		require.Regexp(t, `\d `+c.kind, out)

		code, out, errOut = view(t, c.run, "-i", c.file, "-p", "check")
		require.Zero(t, code, errOut)
		require.Contains(t, out, "good")

		to := filepath.Join(t.TempDir(), "out")
		code, out, _ = view(t, c.run, "-i", c.file, "-o", to)
		require.Zero(t, code)
		require.Empty(t, out)
		b, err := os.ReadFile(to)
		require.NoError(t, err)
		require.Contains(t, string(b), c.kind)
	}
}

func TestViewersNameThePlaceOfDamage(t *testing.T) {
	image, segment := dumpFiles(t)
	for file, at := range map[string]int{image: 40, segment: 520} { // a chunk, an early batch
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		b[at] ^= 1
		require.NoError(t, os.WriteFile(file, b, 0o644))
		for _, p := range []string{"check", "text", "json", "xml", "stats"} {
			code, _, errOut := view(t, runOIV, "-i", file, "-p", p)
			require.Equal(t, exitFailed, code)
			require.Contains(t, errOut, "damaged")
			require.Contains(t, errOut, "offset")
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("hello"), 0o644))
	code, _, errOut := view(t, runOEV, "-i", other)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "not an edit log segment")
	code, _, errOut = view(t, runOIV, "-i", other)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "not an image")
	code, _, errOut = view(t, runOIV, "-i", other+"none")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "no such file")
	for _, args := range [][]string{{}, {"-i", image, "-p", "word"}, {"-x"}, {"-i", image, "more"}} {
		code, _, errOut = view(t, runOIV, args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "Usage: fs oiv")
	}
}

func TestViewerTornTail(t *testing.T) {
	_, segment := dumpFiles(t)
	b, err := os.ReadFile(segment)
	require.NoError(t, err)
	end := len(bytes.TrimRight(b, "\x00"))
	b[end-3] ^= 1
	require.NoError(t, os.WriteFile(segment, b, 0o644))
	code, out, _ := view(t, runOEV, "-i", segment, "-p", "check")
	require.Zero(t, code)
	require.Contains(t, out, "good up to transaction 3, then a torn tail")
	code, out, _ = view(t, runOEV, "-i", segment, "-p", "json")
	require.Zero(t, code)
	require.True(t, json.Valid([]byte(out)), out)
}

func TestViewerBlockMeta(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("redoubt"), 200)
	meta := []byte{0, 1, 2, 0, 0, 2, 0}
	for off := 0; off < len(data); off += 512 {
		sum := crc32.Checksum(data[off:min(off+512, len(data))], crc32.MakeTable(crc32.Castagnoli))
		meta = append(meta, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	}
	name := filepath.Join(dir, "blk_1073741825_1001.meta")
	require.NoError(t, os.WriteFile(name, meta, 0o644))
	code, out, errOut := view(t, runOIV, "-i", name)
	require.Zero(t, code, errOut)
	require.Contains(t, out, `Type="CRC32C" BytesPerChecksum=512 Checksums=3`)
	code, out, _ = view(t, runOIV, "-i", name, "-p", "check")
	require.Zero(t, code)
	require.Contains(t, out, "no block file")
	block := filepath.Join(dir, "blk_1073741825")
	require.NoError(t, os.WriteFile(block, data, 0o644))
	code, out, _ = view(t, runOIV, "-i", name, "-p", "check")
	require.Zero(t, code)
	require.Contains(t, out, "all as the block file has them")
	data[600] ^= 1
	require.NoError(t, os.WriteFile(block, data, 0o644))
	code, _, errOut = view(t, runOIV, "-i", name, "-p", "check")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "offset 512")
	require.NoError(t, os.WriteFile(block, data[:1000], 0o644))
	code, _, _ = view(t, runOIV, "-i", name, "-p", "check")
	require.Equal(t, exitFailed, code)
	for _, bad := range [][]byte{meta[:3], {0, 2, 2, 0, 0, 2, 0}, {0, 1, 9, 0, 0, 2, 0}, meta[:9]} {
		require.NoError(t, os.WriteFile(name, bad, 0o644))
		code, _, errOut = view(t, runOIV, "-i", name)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errOut, "blk_1073741825_1001.meta")
	}
}
