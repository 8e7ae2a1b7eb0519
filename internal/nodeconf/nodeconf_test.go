package nodeconf_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockmanager"
	"redoubt/blockstore/array"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
	"redoubt/namenode"
	"redoubt/vfs"
)

func load(t *testing.T, overrides ...string) *hadoopconf.Conf {
	conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: os.ReadFile}, nil, overrides)
	require.NoError(t, err)
	return conf
}

func TestDataNode(t *testing.T) {
	read := func(overrides ...string) datanode.Config {
		cfg, err := nodeconf.DataNode(load(t, overrides...), nil)
		require.NoError(t, err)
		require.NoError(t, cfg.Validate())
		return cfg
	}
	cfg := read()
	require.Equal(t, []string{"127.0.0.1:8020"}, cfg.NameNodes)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, datanode.Addresses{Transfer: "127.0.0.1:9866", IPC: "127.0.0.1:9867", HTTP: "127.0.0.1:9864", Host: host}, cfg.Listen)
	require.Zero(t, cfg.Timeouts.Heartbeat, "the name node says")
	require.Equal(t, 4096, cfg.Limits.Streams)

	cfg = read("fs.defaultFS=hdfs://nn.example", "dfs.datanode.data.dir=[SSD]file:///a,/b", "dfs.datanode.address=0.0.0.0", "dfs.heartbeat.interval=1",
		"dfs.datanode.failed.volumes.tolerated=0", "dfs.datanode.du.reserved=1g", "dfs.block.scanner.volume.bytes.per.second=0", "dfs.datanode.hostname=me")
	require.Equal(t, []string{"nn.example:8020"}, cfg.NameNodes)
	require.Equal(t, "0.0.0.0:9866", cfg.Listen.Transfer)
	require.Equal(t, time.Second, cfg.Timeouts.Heartbeat)
	require.Equal(t, dfs.StorageSSD, cfg.Volumes[0].Type)
	require.Equal(t, "/b", cfg.Volumes[1].Dir)
	require.Equal(t, -1, cfg.FailedVolumesTolerated)
	require.Equal(t, int64(1<<30), cfg.Reserved)
	require.Negative(t, cfg.Limits.ScrubBandwidth)
	require.Equal(t, "me", cfg.Listen.Host)
	cfg = read("fs.defaultFS=hdfs://clients:1", "dfs.namenode.rpc-address=nn:2", "dfs.namenode.servicerpc-address=nn:3", "dfs.datanode.failed.volumes.tolerated=-1")
	require.Equal(t, []string{"nn:3"}, cfg.NameNodes)
	require.Zero(t, cfg.FailedVolumesTolerated)
}

// TestArrays holds how RAID-5 arrays stand in a list of directories.
func TestArrays(t *testing.T) {
	const key = "dfs.datanode.data.dir="
	dirs := func(list []array.Member) (out []string) {
		for _, m := range list {
			out = append(out, m.Dir)
		}
		return out
	}
	for value, want := range map[string]struct {
		plain           []string
		members, spares [][]string
	}{
		"/a,raid5:/b,/c,/d":                                          {plain: []string{"/a"}, members: [][]string{{"/b", "/c", "/d"}}, spares: [][]string{nil}},
		"[SSD]raid5:/b,/c,/d/,spare=/s,[DISK]/a":                     {plain: []string{"/a"}, members: [][]string{{"/b", "/c", "/d"}}, spares: [][]string{{"/s"}}},
		"raid5:/b,/c,/d,raid5:file:///e,/f,/g":                       {members: [][]string{{"/b", "/c", "/d"}, {"/e", "/f", "/g"}}, spares: [][]string{nil, nil}},
		nodeconf.JoinVolumes([]string{"raid5:/b,/c,/d", "spare=/s"}): {members: [][]string{{"/b", "/c", "/d"}}, spares: [][]string{{"/s"}}},
		nodeconf.JoinVolumes([]string{"raid5:/b,/c,/d", "/a"}):       {plain: []string{"/a"}, members: [][]string{{"/b", "/c", "/d"}}, spares: [][]string{nil}},
	} {
		cfg, err := nodeconf.DataNode(load(t, key+value), nil)
		require.NoError(t, err, value)
		require.NoError(t, cfg.Validate(), value)
		var plain []string
		for _, v := range cfg.Volumes {
			plain = append(plain, v.Dir)
		}
		require.Equal(t, want.plain, plain, value)
		require.Len(t, cfg.Arrays, len(want.members), value)
		for i, a := range cfg.Arrays {
			require.Equal(t, want.members[i], dirs(a.Members), value)
			require.Equal(t, want.spares[i], dirs(a.Spares), value)
		}
	}
	for value, want := range map[string]string{
		"raid5:/a,/b":                   "2 members: RAID-5 needs 3 to 17",
		"raid5:/a,/b,/b":                "/b",
		"raid5:/a,/b,/a/c":              "/a/c",
		"/a,raid5:/a,/b,/c":             "/a is used by another volume",
		"raid5:/a,/b,/c,raid5:/c,/d,/e": "/c is used by another volume",
		"spare=/s,raid5:/a,/b,/c":       "spare=/s",
		"[TAPE]raid5:/a,/b,/c":          "TAPE",
	} {
		cfg, err := nodeconf.DataNode(load(t, key+value), nil)
		if err == nil {
			err = cfg.Validate()
		}
		require.ErrorContains(t, err, want, value)
	}
}

// TestKeysAreThoseThatAreRead holds that the help of both commands lists every key that
// counts and no other.
func TestKeysAreThoseThatAreRead(t *testing.T) {
	for _, tc := range []struct {
		keys  []hadoopconf.Key
		files []string
		more  []string // read by hadoopconf itself
	}{
		{nodeconf.NameNodeKeys(), []string{"namenode.go", "../../cmd/namenode/run.go", "topology.go", "access.go", "hosts.go", "../authorize/guard.go"}, []string{"hadoop.tmp.dir", "dfs.nameservices"}},
		{nodeconf.DataNodeKeys(), []string{"datanode.go", "access.go", "hosts.go", "../authorize/guard.go"}, []string{"hadoop.tmp.dir", "dfs.nameservices", "fs.defaultFS",
			"dfs.namenode.rpc-address", "dfs.namenode.servicerpc-address", "dfs.datanode.address", "dfs.datanode.http.address", "dfs.datanode.ipc.address"}},
	} {
		read := map[string]bool{}
		for _, name := range tc.more {
			read[name] = true
		}
		for _, file := range tc.files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`conf\.[A-Z]\w+\("([a-zA-Z0-9.-]+)"\)`).FindAllStringSubmatch(string(text), -1) {
				read[m[1]] = true
			}
		}
		listed := map[string]bool{}
		for _, k := range tc.keys {
			require.False(t, listed[k.Name], k.Name)
			listed[k.Name] = true
		}
		require.Equal(t, read, listed)
	}
}

// TestPermissions: the modes that HDFS's keys give to directories.
func TestPermissions(t *testing.T) {
	conf := load(t, "dfs.namenode.storage.dir.perm=750", "dfs.datanode.data.dir.perm=755")
	nn, err := nodeconf.NameNode(conf)
	require.NoError(t, err)
	require.Equal(t, vfs.OSPerm(0o750), nn.FS)
	dn, err := nodeconf.DataNode(conf, nil)
	require.NoError(t, err)
	require.Equal(t, vfs.OSPerm(0o755), dn.FS)
	dn, err = nodeconf.DataNode(load(t), nil)
	require.NoError(t, err)
	require.Equal(t, vfs.OSPerm(0o700), dn.FS)
	for _, bad := range []string{"077", "u=rwx", "1777", "", "9"} {
		_, err = nodeconf.DataNode(load(t, "dfs.datanode.data.dir.perm="+bad), nil)
		require.ErrorContains(t, err, "dfs.datanode.data.dir.perm", bad)
	}
}

// TestHTTPHosts: by which names a server answers.
func TestHTTPHosts(t *testing.T) {
	hosts := nodeconf.HTTPHosts(load(t, "fs.defaultFS=hdfs://nn.example:8020/x", "dfs.namenode.http-address=web.example:9870",
		"dfs.datanode.hostname=dn.example", "dfs.namenode.http-bind-host=0.0.0.0", "redoubt.http.hosts=alias, *"))
	for _, want := range []string{"nn.example", "web.example", "dn.example", "alias", "*"} {
		require.Contains(t, hosts, want)
	}
	name, err := os.Hostname()
	require.NoError(t, err)
	require.Contains(t, nodeconf.HTTPHosts(load(t)), name)
	require.NotContains(t, nodeconf.HTTPHosts(load(t)), "*")
}

// TestOver holds that a cluster keeps what it was made with, but for keys that are set.
func TestOver(t *testing.T) {
	made := func() namenode.Config {
		return namenode.Config{NameDirs: []string{"/mine"}, Superuser: "me",
			Files:    namenode.FileConfig{Defaults: dfs.ServerDefaults{Replication: 2}},
			SafeMode: namenode.SafeModeConfig{Extension: -1},
			Blocks:   blockmanager.Config{Liveness: blockmanager.Liveness{Heartbeat: time.Second, Recheck: 5 * time.Second, Stale: 5 * time.Second}},
			Topology: func(dfs.DatanodeID) string { return "/r" }}
	}
	cfg := made()
	require.NoError(t, nodeconf.OverNameNode(load(t), &cfg))
	require.NoError(t, cfg.Validate())
	require.Equal(t, []string{"/mine"}, cfg.NameDirs)
	require.Equal(t, "me", cfg.Superuser)
	require.Equal(t, uint16(2), cfg.Files.Defaults.Replication)
	require.Equal(t, made().Blocks.Liveness, cfg.Blocks.Liveness)
	require.Equal(t, time.Duration(-1), cfg.SafeMode.Extension)
	require.NotNil(t, cfg.Topology)

	cfg = made()
	require.NoError(t, nodeconf.OverNameNode(load(t, "dfs.replication=1", "dfs.heartbeat.interval=7", "dfs.namenode.safemode.extension=3000",
		"dfs.namenode.fs-limits.min-block-size=0", "dfs.namenode.name.dir=/other", "dfs.permissions.superusergroup=wheel"), &cfg))
	require.Equal(t, []string{"/mine"}, cfg.NameDirs, "the cluster's directory decides")
	require.Equal(t, uint16(1), cfg.Files.Defaults.Replication)
	require.Equal(t, 7*time.Second, cfg.Blocks.Liveness.Heartbeat)
	require.Equal(t, 5*time.Second, cfg.Blocks.Liveness.Recheck)
	require.Equal(t, 3*time.Second, cfg.SafeMode.Extension)
	require.Equal(t, int64(1), cfg.Files.MinBlockSize)
	require.Equal(t, "wheel", cfg.Supergroup)
	require.ErrorContains(t, nodeconf.OverNameNode(load(t, "dfs.checksum.type=NULL"), &cfg), "dfs.checksum.type")

	dn := datanode.Config{NameNodes: []string{"nn:1"}, Listen: datanode.Addresses{Host: "localhost"}}
	require.NoError(t, nodeconf.OverDataNode(load(t, "dfs.datanode.max.transfer.threads=9", "dfs.datanode.address=0.0.0.0:1"), &dn))
	require.Equal(t, 9, dn.Limits.Streams)
	require.Equal(t, datanode.Addresses{Host: "localhost"}, dn.Listen)
	require.Equal(t, []string{"nn:1"}, dn.NameNodes)
	require.Empty(t, dn.Volumes)
}

// A zero that somebody set is one, and not the default.
func TestZeroIsAValue(t *testing.T) {
	zero := func(keys ...string) *hadoopconf.Conf {
		for i := range keys {
			keys[i] += "=0"
		}
		conf, err := hadoopconf.Load(hadoopconf.System{Properties: map[string]string{"user.name": "ann"}}, nil, keys)
		require.NoError(t, err)
		return conf
	}
	nn, err := nodeconf.NameNode(zero("dfs.namenode.safemode.threshold-pct", "dfs.namenode.safemode.extension", "dfs.namenode.heartbeat.recheck-interval",
		"dfs.namenode.redundancy.considerLoad.factor", "dfs.namenode.accesstime.precision", "dfs.namenode.fs-limits.max-xattrs-per-inode"))
	require.NoError(t, err)
	require.Negative(t, nn.SafeMode.Threshold)
	require.Negative(t, nn.SafeMode.Extension)
	require.Equal(t, time.Millisecond, nn.Blocks.Liveness.Recheck)
	require.Less(t, nn.Blocks.Place.LoadFactor, 1e-9)
	require.Negative(t, nn.Files.AccessTimePrecision)
	require.Negative(t, nn.Attrs.MaxXAttrs)

	dn, err := nodeconf.DataNode(zero("dfs.client.socket-timeout", "dfs.datanode.socket.write.timeout", "dfs.datanode.socket.reuse.keepalive",
		"dfs.blockreport.split.threshold", "dfs.block.scanner.volume.bytes.per.second"), nil)
	require.NoError(t, err)
	require.Greater(t, dn.Timeouts.Read, 1000*time.Hour)
	require.Greater(t, dn.Timeouts.Write, 1000*time.Hour)
	require.EqualValues(t, 1, dn.Timeouts.KeepAlive)
	require.Equal(t, 1, dn.Limits.ReportReplicas)
	require.Negative(t, dn.Limits.ScrubBandwidth)

	for _, key := range []string{"dfs.namenode.stale.datanode.interval", "dfs.namenode.write.stale.datanode.ratio", "dfs.datanode.balance.bandwidthPerSec"} {
		_, err := hadoopconf.Load(hadoopconf.System{Properties: map[string]string{"user.name": "ann"}}, nil, []string{key + "=0"})
		require.ErrorContains(t, err, key)
	}
}
