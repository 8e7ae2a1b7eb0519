package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/dfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// invoke runs fs on the local file system.
func invoke(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	env := &env{stdin: strings.NewReader(stdin), stdout: &o, stderr: &e, user: "alice", dir: t.TempDir()}
	code = run(context.Background(), env, append([]string{"-fs", "file:///"}, args...))
	return code, o.String(), e.String()
}

func TestTypedURI(t *testing.T) {
	for _, s := range []string{"a", "/a/b", "a:b", "hdfs://h:1/x", "hdfs:///x", "hdfs:/x", "file:/x", "file:///x y", "//h/x", "with%20percent"} {
		require.Equal(t, s, typedURI(s).String())
	}
	require.Equal(t, uri{scheme: "hdfs", authority: "h:1", path: "/x", slashes: true}, typedURI("hdfs://h:1/x"))
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string]string{"a//b/": "a/b", "/a/../b": "/b", "/": "/", ".": "", "a/./b": "a/b", "hdfs://h//x": "/x"} {
		u, err := parsePath(in)
		require.NoError(t, err, in)
		require.Equal(t, want, u.path, in)
	}
	for _, in := range []string{"", "a:b", ":x"} {
		_, err := parsePath(in)
		require.True(t, isUsage(err), in)
	}
}

func TestRelativeTo(t *testing.T) {
	for _, c := range [][3]string{
		{"/user/a", "/user/a", "."}, {"/user/a", "/user/a/b/c", "b/c"}, {"/user/a", "/user/b", "../b"}, {"/user/a", "/user", ".."}, {"/user/a", "/x", "../../x"},
	} {
		require.Equal(t, c[2], relativeTo(c[0], c[1], true), c)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"a*", "abc", true}, {"a*", "ba", false}, {"a?c", "abc", true}, {"[ab]1", "b1", true}, {"[!a]1", "b1", true}, {"[^a]1", "a1", false},
		{"[a-c]1", "b1", true}, {"{a,bc}d", "bcd", true}, {"{a,b{c,d}}", "bd", true}, {`a\*`, "a*", false}, {"a.b*", "axb", false}, {"ä?", "äö", true},
	} {
		re, err := globRegexp(c.glob)
		require.NoError(t, err, c.glob)
		require.Equal(t, c.want, re != nil && re.MatchString(c.name), "%s on %s", c.glob, c.name)
	}
	for _, bad := range []string{"[a", "{a", `a\`} {
		_, err := globRegexp(bad)
		require.ErrorContains(t, err, "Illegal file pattern", bad)
	}
	got, err := expandBraces("/x/{a/b,c{d,e/f}}/g")
	require.NoError(t, err)
	require.Equal(t, []string{"/x/a/b/g", "/x/cd/g", "/x/ce/f/g"}, got)
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		change    string
		from      uint16
		dir       bool
		want      uint16
		malformed bool
	}{
		{change: "755", from: 0o1644, want: 0o755}, {change: "1777", from: 0, want: 0o1777}, {change: "u+x", from: 0o644, want: 0o744},
		{change: "a+X", from: 0o644, want: 0o644}, {change: "a+X", from: 0o644, dir: true, want: 0o755}, {change: "go-w,u=r", from: 0o777, want: 0o455},
		{change: "+t", from: 0o755, want: 0o1755}, {change: "o=", malformed: true}, {change: "8", malformed: true}, {change: "2755", malformed: true},
	} {
		m, err := parseModeChange(c.change)
		if c.malformed {
			require.True(t, isUsage(err), c.change)
			continue
		}
		require.NoError(t, err, c.change)
		require.EqualValues(t, c.want, m.apply(dfs.Mode(c.from), c.dir), c.change)
	}
	umask, err := parseUmask("u=rwx,g=rx,o=")
	require.NoError(t, err)
	require.EqualValues(t, 0o027, umask)
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1 K", 1536: "1.5 K", 1 << 20: "1 M", 1<<20 - 1: "1.0 M", -2048: "-2 K", 1<<63 - 1: "8.0 E"} {
		require.Equal(t, want, shortSize(n))
	}
	require.Equal(t, "251.97 GB", bytesText(270553174016))
	require.Equal(t, "0 B", bytesText(0))
}

func TestFlags(t *testing.T) {
	f := flags{min: 1, max: 2, names: []string{"a"}, valued: []string{"v"}}
	rest, err := f.parse([]string{"-a", "-v", "x", "--", "-p"})
	require.NoError(t, err)
	require.Equal(t, []string{"-p"}, rest)
	require.True(t, f.given["a"])
	require.Equal(t, "x", f.values["v"])
	for _, bad := range [][]string{{}, {"-z", "p"}, {"a", "b", "c"}} {
		_, err := f.parse(bad)
		require.True(t, isUsage(err), "%v", bad)
	}
	rest, err = f.parse([]string{"-"})
	require.NoError(t, err)
	require.Equal(t, []string{"-"}, rest)
}

func TestLocalFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	code, out, errOut := invoke(t, "hello\n", "-put", "-", a)
	require.Equal(t, [3]any{0, "", ""}, [3]any{code, out, errOut})
	_, out, _ = invoke(t, "", "-cat", a, a)
	require.Equal(t, "hello\nhello\n", out)
	code, _, errOut = invoke(t, "", "-put", a, a)
	require.Equal(t, 1, code)
	require.Equal(t, "put: `"+a+"': File exists\n", errOut)
	code, _, _ = invoke(t, "", "-cp", a, b)
	require.Zero(t, code)
	require.FileExists(t, filepath.Join(dir, ".b.crc"))
	_, out, _ = invoke(t, "", "-ls", "-C", dir)
	require.Equal(t, a+"\n"+b+"\n", out)
	_, out, _ = invoke(t, "", "-ls", "-C", dir+"/[b-z]")
	require.Equal(t, b+"\n", out)
	code, _, errOut = invoke(t, "", "-ls", dir+"/nope*")
	require.Equal(t, 1, code)
	require.Equal(t, "ls: `"+dir+"/nope*': No such file or directory\n", errOut)
	code, _, _ = invoke(t, "", "-test", "-e", a)
	require.Zero(t, code)
	code, _, _ = invoke(t, "", "-test", "-d", a)
	require.Equal(t, 1, code)
	_, out, _ = invoke(t, "", "-rm", a, b)
	require.Equal(t, "Deleted "+a+"\nDeleted "+b+"\n", out)
	require.NoFileExists(t, filepath.Join(dir, ".b.crc"))
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte("unzipped"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(dir+"/z", z.Bytes(), 0o600))
	_, out, _ := invoke(t, "", "-text", dir+"/z")
	require.Equal(t, "unzipped", out)

	// Text -> IntWritable, uncompressed, one record "key" -> 7.
	seq := "SEQ\x06\x19org.apache.hadoop.io.Text\x20org.apache.hadoop.io.IntWritable\x00\x00\x00\x00\x00\x00" + "0123456789abcdef" +
		"\x00\x00\x00\x08\x00\x00\x00\x04\x03key\x00\x00\x00\x07"
	require.NoError(t, os.WriteFile(dir+"/s", []byte(seq), 0o600))
	_, out, errOut := invoke(t, "", "-text", dir+"/s")
	require.Equal(t, "key\t7\n", out, errOut)
	require.NoError(t, os.WriteFile(dir+"/bad", []byte(seq[:len(seq)-2]), 0o600))
	code, _, errOut := invoke(t, "", "-text", dir+"/bad")
	require.Equal(t, 1, code)
	require.NotEmpty(t, errOut)
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"-nope"}, {"ls"}, {"-ls", "-Z"}, {"-mkdir"}, {"-chmod", "9", "/x"}} {
		code, _, errOut := invoke(t, "", args...)
		require.Equal(t, exitUsage, code, "%v", args)
		require.Contains(t, errOut, "Usage:")
	}
}

func TestConfiguration(t *testing.T) {
	dir := t.TempDir()
	site := `<configuration><property><name>fs.defaultFS</name><value>hdfs://ns</value></property>
<property><name>dfs.ha.namenodes.ns</name><value>a, b</value></property>
<property><name>dfs.namenode.rpc-address.ns.a</name><value>h1:9</value></property>
<property><name>dfs.namenode.rpc-address.ns.b</name><value>h2</value></property></configuration>`
	require.NoError(t, os.WriteFile(dir+"/core-site.xml", []byte(site), 0o600))
	e := &env{config: settings{dir: dir}, stderr: io.Discard}
	args, err := e.genericOptions([]string{"-D", "a=b", "-Dc=d", "-ls", "-D"})
	require.NoError(t, err)
	require.Equal(t, []string{"-ls", "-D"}, args)
	require.Equal(t, "b", e.config.get("a", ""))
	require.Equal(t, "d", e.config.get("c", ""))
	require.Equal(t, []string{"h1:9", "h2:8020"}, e.config.nameNodes("ns"))
	require.Equal(t, []string{"host:8020"}, e.config.nameNodes("host"))
}

func FuzzSequenceText(f *testing.F) {
	f.Add([]byte("SEQ\x06\x19org.apache.hadoop.io.Text\x20org.apache.hadoop.io.IntWritable\x00\x00\x00\x00\x00\x000123456789abcdef\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeText(bytes.NewReader(data), "x")
		if err != nil {
			return
		}
		var out bytes.Buffer
		_, _ = out.ReadFrom(r) // any error is fine, a crash is not
	})
}
