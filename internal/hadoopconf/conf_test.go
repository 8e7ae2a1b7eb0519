package hadoopconf

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// system is a machine with these files and environment.
func system(files, env map[string]string) System {
	return System{
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := files[name]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		LookupEnv:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Properties: map[string]string{"user.name": "ann"},
	}
}

func site(props ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!-- c --><?xml-stylesheet type="text/xsl" href="configuration.xsl"?><configuration>` + "\n")
	for i := 0; i < len(props); i += 2 {
		b.WriteString("<property><name>" + props[i] + "</name><value>" + props[i+1] + "</value></property>\n")
	}
	b.WriteString("</configuration>")
	return b.String()
}

func mustLoad(t *testing.T, files map[string]string, overrides ...string) *Conf {
	t.Helper()
	c, err := Load(system(files, nil), []string{"/c"}, overrides)
	require.NoError(t, err)
	return c
}

func TestDefaultsAreValid(t *testing.T) {
	c, err := Load(system(nil, nil), nil, nil)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, k := range Keys {
		require.NotEmpty(t, k.Doc, k.Name)
		require.NotContains(t, k.Doc, "\n", k.Name)
		for _, n := range append([]string{k.Name}, k.Old...) {
			require.False(t, names[n], "%s stands twice", n)
			names[n] = true
		}
		require.NotPanics(t, func() { c.value(k.Name, k.Kind) }, k.Name)
		require.Equal(t, "default", c.Origin(k.Name))
	}
	require.Equal(t, 3, c.Int("dfs.replication"))
	require.Equal(t, int64(128<<20), c.Size("dfs.blocksize"))
	require.Equal(t, 3*time.Second, c.Duration("dfs.heartbeat.interval"))
	require.Equal(t, 5*time.Minute, c.Duration("dfs.namenode.heartbeat.recheck-interval"))
	require.InDelta(t, 0.999, c.Float("dfs.namenode.safemode.threshold-pct"), 1e-12)
	require.Equal(t, []string{"file:///tmp/hadoop-ann/dfs/name"}, c.List("dfs.namenode.name.dir"))
	require.Panics(t, func() { c.Int("dfs.blocksize") })
	require.Panics(t, func() { c.String("no.such.key") })
}

func TestKinds(t *testing.T) {
	c := mustLoad(t, map[string]string{"/c/hdfs-site.xml": site(
		"dfs.replication", " 0x2 ", "dfs.blocksize", "64M", "dfs.heartbeat.interval", "500MS",
		"dfs.permissions.enabled", "FALSE", "dfs.namenode.safemode.threshold-pct", "0.5f",
		"dfs.namenode.name.dir", " /a ,\n/b,, ", "dfs.blockreport.intervalMsec", "9223372036854775807",
		"dfs.replication.max", "   ", "dfs.checksum.type", "crc32")})
	require.Equal(t, 2, c.Int("dfs.replication"))
	require.Equal(t, int64(64<<20), c.Size("dfs.blocksize"))
	require.Equal(t, 500*time.Millisecond, c.Duration("dfs.heartbeat.interval"))
	require.False(t, c.Bool("dfs.permissions.enabled"))
	require.Equal(t, 0.5, c.Float("dfs.namenode.safemode.threshold-pct"))
	require.Equal(t, []string{"/a", "/b"}, c.List("dfs.namenode.name.dir"))
	require.Positive(t, c.Duration("dfs.blockreport.intervalMsec"))
	require.Equal(t, 512, c.Int("dfs.replication.max"), "a blank number is not set")
	require.Equal(t, "/c/hdfs-site.xml", c.Origin("dfs.blocksize"))
}

func TestOrderFinalAndOverrides(t *testing.T) {
	files := map[string]string{
		"/c/core-site.xml": `<configuration>
			<property><name>dfs.replication</name><value>2</value><final>true</final></property>
			<property name="dfs.namenode.rpc-address" value="h:1"/>
			<property><name>no.value</name></property><property><value>x</value></property>
			<odd><property><name>dfs.blocksize</name><value>1</value></property></odd>
			<property><name>unknown.key</name><value>kept ${dfs.replication}</value></property>
		</configuration>`,
		"/c/hdfs-site.xml": site("dfs.replication", "1", "dfs.block.size", "2m"),
	}
	c := mustLoad(t, files)
	require.Equal(t, 2, c.Int("dfs.replication"), "final")
	require.Equal(t, "h:1", c.String("dfs.namenode.rpc-address"))
	require.Equal(t, int64(2<<20), c.Size("dfs.blocksize"), "the old name")
	v, ok := c.Lookup("unknown.key")
	require.True(t, ok)
	require.Equal(t, "kept 2", v)
	require.False(t, c.IsSet("no.value"))

	c = mustLoad(t, files, "dfs.replication=1", "dfs.block.size = 4m")
	require.Equal(t, 1, c.Int("dfs.replication"), "-D is over final")
	require.Equal(t, "-D", c.Origin("dfs.replication"))
	require.Equal(t, int64(4<<20), c.Size("dfs.blocksize"))
}

func TestEveryFaultAtOnce(t *testing.T) {
	files := map[string]string{"/c/hdfs-site.xml": site(
		"dfs.replication", "0", "dfs.blocksize", "12q", "dfs.heartbeat.interval", "soon",
		"dfs.permissions.enabled", "maybe", "dfs.checksum.type", "MD5", "dfs.namenode.safemode.threshold-pct", "NaN")}
	_, err := Load(system(files, nil), []string{"/c"}, []string{"nonsense", "dfs.ls.limit=1e3", "dfs.replication.max=99999999999999999999"})
	var faults *Errors
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults.Faults, 9)
	require.Contains(t, err.Error(), `/c/hdfs-site.xml:2: dfs.replication = "0": want a whole number from 1 to 32767`)
	require.Contains(t, err.Error(), `/c/hdfs-site.xml:5: dfs.permissions.enabled = "maybe": want true or false`)
	require.Contains(t, err.Error(), `-D: dfs.ls.limit = "1e3": want`)
	require.Contains(t, err.Error(), "one of NULL, CRC32, CRC32C")
}

func TestMissingDirectories(t *testing.T) {
	_, err := Load(system(nil, nil), []string{"/nowhere"}, nil)
	require.ErrorContains(t, err, "/nowhere holds neither core-site.xml nor hdfs-site.xml")
	c, err := Load(system(map[string]string{"/e/core-site.xml": site("fs.defaultFS", "hdfs://h")},
		map[string]string{ConfDirEnv: "/e"}), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "hdfs://h", c.String("fs.defaultFS"))
	_, err = Load(system(nil, map[string]string{ConfDirEnv: "/empty"}), nil, nil)
	require.NoError(t, err)
}

func TestExpand(t *testing.T) {
	sys := system(nil, map[string]string{"SET": "s", "EMPTY": ""})
	c, err := Load(sys, nil, []string{"a=1${b}", "b=2", "loop=x${loop}", "l1=${l2}", "l2=${l1}", "user.name=bob",
		"many=" + strings.Repeat("${b}", maxExpansions+1), "big=" + strings.Repeat("x", maxExpanded), "name=b"})
	require.NoError(t, err)
	for in, want := range map[string]string{
		"${a}": "12", "${user.name}": "ann", "-${nope}-${b}": "-${nope}-${b}",
		"${env.SET}": "s", "${env.GONE}": "${env.GONE}", "${env.GONE-d}": "d", "${env.EMPTY-d}": "", "${env.EMPTY:-d}": "d",
		"${loop}": "${loop}", "${l1}": "${l1}", "${}": "${}", "${a b}": "${a b}", "${": "${", "$${b}": "$2", "${${name}}": "2", "}": "}",
	} {
		got, err := c.expand(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	_, err = c.expand("${many}")
	require.ErrorContains(t, err, "at most 20")
	_, err = c.expand("${big}${big}")
	require.ErrorContains(t, err, "characters")
	_, err = Load(sys, nil, []string{"dfs.namenode.rpc-address=" + strings.Repeat("${b}", 30), "b=2"})
	require.ErrorContains(t, err, "dfs.namenode.rpc-address")
}

func TestInclude(t *testing.T) {
	main := `<configuration xmlns:xi="http://www.w3.org/2001/XInclude">
		<xi:include href="more.xml"><xi:fallback><property><name>x</name><value>fallback</value></property></xi:fallback></xi:include>
		<xi:include href="gone.xml"><xi:fallback><property><name>y</name><value>fallback</value></property></xi:fallback></xi:include>
	</configuration>`
	files := map[string]string{"/c/core-site.xml": main, "/c/more.xml": site("x", "included")}
	c := mustLoad(t, files)
	x, _ := c.Lookup("x")
	y, _ := c.Lookup("y")
	require.Equal(t, []string{"included", "fallback"}, []string{x, y})

	files["/c/core-site.xml"] = `<configuration><include href="gone.xml"/></configuration>`
	_, err := Load(system(files, nil), []string{"/c"}, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "/c/gone.xml")
	files["/c/core-site.xml"] = `<configuration><include href="core-site.xml"/></configuration>`
	_, err = Load(system(files, nil), []string{"/c"}, nil)
	require.ErrorContains(t, err, "levels")
}

func TestBadXML(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "root element",
		"<configuration>":                     "EOF",
		"<conf/>":                             "root element",
		"<configuration/><configuration/>":    "follows",
		"<configuration>\n\n<a></b>":          "core-site.xml:3",
		"<configuration>&boom;":               "boom",
		strings.Repeat("<configuration>", 99): "nested",
		"<configuration><property>" + strings.Repeat("<a>", 99):   "nested",
		`<?xml version="1.0" encoding="ebcdic"?><configuration/>`: "ebcdic",
	} {
		_, err := Load(system(map[string]string{"/c/core-site.xml": text}, nil), []string{"/c"}, nil)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "/c/core-site.xml", text)
	}
	latin := "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><configuration><property><name>k</name><value>\xe9</value></property></configuration>"
	v, _ := mustLoad(t, map[string]string{"/c/core-site.xml": latin}).Lookup("k")
	require.Equal(t, "é", v)
}

func TestNameNodes(t *testing.T) {
	c := mustLoad(t, map[string]string{"/c/core-site.xml": site("fs.defaultFS", "hdfs://ha", "dfs.nameservices", "ha,one,bad",
		"dfs.ha.namenodes.ha", "n1,n2", "dfs.namenode.rpc-address.ha.n1", "a:1", "dfs.namenode.rpc-address.ha.n2", "b",
		"dfs.namenode.rpc-address.one", "c:3", "dfs.ha.namenodes.bad", "x")})
	for uri, want := range map[string][]string{
		"": {"a:1", "b:8020"}, "hdfs://one/": {"c:3"}, "hdfs://h/p": {"h:8020"}, "hdfs://ha:99": {"ha:99"}, "hdfs://[::1]": {"[::1]:8020"},
	} {
		got, err := c.NameNodes(uri)
		require.NoError(t, err, uri)
		require.Equal(t, want, got, uri)
	}
	for _, uri := range []string{"file:///", "hdfs:///x", "%", "hdfs://bad"} {
		_, err := c.NameNodes(uri)
		require.Error(t, err, uri)
	}
}

func TestLocalDir(t *testing.T) {
	for item, want := range map[string][2]string{
		"/a": {"", "/a"}, "file:///a/b": {"", "/a/b"}, "[ssd]file:///s": {"SSD", "/s"}, "[DISK] rel": {"DISK", "rel"}, "file:/x": {"", "/x"},
	} {
		medium, dir, err := LocalDir(item)
		require.NoError(t, err, item)
		require.Equal(t, want, [2]string{medium, dir}, item)
	}
	for _, item := range []string{"", "[SSD", "[SSD]", "file://host/x", "file://"} {
		_, _, err := LocalDir(item)
		require.Error(t, err, item)
	}
}

func TestWindowsDirectories(t *testing.T) {
	for dir, want := range map[string]string{`C:\data\1`: "C:/data/1", "/C:/data": "C:/data", "d:/x": "d:/x", "/data": "/data", "rel": "rel", "C:": "C:", "/a:b/c": "/a:b/c"} {
		require.Equal(t, want, fromWindows(dir), dir)
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	require.NoError(t, WriteHelp(&b, Keys))
	require.Equal(t, len(Keys)+1, strings.Count(b.String(), "\n"))
	require.Regexp(t, `dfs\.replication +3 +replicas`, b.String())
}

func FuzzLoad(f *testing.F) {
	f.Add(site("dfs.replication", "3", "a", "${b}", "b", "${a}"), "a=${b}")
	f.Add(`<configuration><property name="dfs.blocksize" value="1k"/><include href="core-site.xml"/></configuration>`, "x")
	f.Add(strings.Repeat("<configuration>", 50), "dfs.heartbeat.interval=-9999999999999d")
	f.Fuzz(func(t *testing.T, text, override string) {
		sys := system(map[string]string{"/c/core-site.xml": text}, nil)
		c, err := Load(sys, []string{"/c"}, []string{override})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		for _, k := range Keys {
			c.value(k.Name, k.Kind) // must not panic
		}
	})
}
