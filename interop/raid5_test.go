package interop

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var raid5All = flag.Bool("raid5", false, "run all suites of the contract under RAID5 too, not only those that write")

// raid5Contract are the contract's suites in which blocks come to be, change and go.
var raid5Contract = []string{"Append", "Concat", "Create", "Delete", "MultipartUploader", "Open", "Rename", "RootDirectory", "VectoredRead"}

// foldSoon are settings under which blocks get their parity at once.
var foldSoon = []string{"redoubt.raid.fold.idle=1ms", "redoubt.raid.fold.retry=50ms", "dfs.namenode.redundancy.interval.seconds=20ms", "dfs.heartbeat.interval=50ms",
	"dfs.namenode.fs-limits.min-block-size=0"}

// raid5Cluster starts a cluster in racks with a policy on its root.
func raid5Cluster(t *testing.T, datanodes, racks int, policy string) cluster {
	args := []string{"--datanodes", strconv.Itoa(datanodes), "--racks", strconv.Itoa(racks)}
	for _, s := range foldSoon {
		args = append(args, "-D", s)
	}
	c := startRedoubt(t, args...)
	if c.http == "" {
		t.Skip("the policy RAID5 is ours alone")
	}
	c.setPolicy(t, "/", policy)
	return c
}

func (c cluster) setPolicy(t *testing.T, path, policy string) {
	r := c.ours(t, currentUser(t), "", "storagepolicies", "-setStoragePolicy", "-path", path, "-policy", policy)
	require.Zero(t, r.code, "%s%s", r.out, r.err)
}

// wantFolds says that what went on went on beside the making of parity groups.
func (c cluster) wantFolds(t *testing.T, atLeast int64) {
	folds := c.metric(t, "parity_folds_total")
	require.GreaterOrEqual(t, folds, atLeast, "parities made")
	require.Zero(t, c.metric(t, "parity_lost"))
	require.Zero(t, c.metric(t, `blocks{state="missing"}`))
	t.Logf("%d parities made meanwhile", folds)
}

// waitFor waits for something that the cluster does by itself.
func waitFor(t testing.TB, what string, limit time.Duration, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			require.Fail(t, "timeout", "%s: not within %s", what, limit)
		}
	}
}

// TestRAID5Contract holds the file system contract against a cluster that folds blocks
// into parity groups while the tests run.
func TestRAID5Contract(t *testing.T) {
	classes := contractClasses(t)
	c := raid5Cluster(t, 7, 4, "RAID5")
	suites := raid5Contract
	if *raid5All {
		suites = contractTests
	}
	c.contract(t, classes, suites...)
	c.wantFolds(t, 3)
}

// TestRAID5GoClient runs colinmarc/hdfs's own suite on such a cluster, TestRAID5HDFSNative
// our script for the Rust client. They have few blocks: two fill a group.
func TestRAID5GoClient(t *testing.T) {
	c := raid5Cluster(t, 4, 4, "RAID5-2")
	c.goClientSuite(t)
	c.wantFolds(t, 1)
}

func TestRAID5HDFSNative(t *testing.T) {
	c := raid5Cluster(t, 4, 4, "RAID5-2")
	c.nativeSuite(t, "0.5")
	c.wantFolds(t, 1)
}

// raid5Shell is Hadoop's shell on a cluster.
type raid5Shell struct {
	t *testing.T
	c cluster
}

// on is the same shell in a test of its own.
func (s raid5Shell) on(t *testing.T) raid5Shell { return raid5Shell{t, s.c} }

// ok runs a command that must succeed and gives what it prints.
func (s raid5Shell) ok(tool string, args ...string) string {
	s.t.Helper()
	code, out := s.run(tool, args...)
	require.Zero(s.t, code, "%s %q: %s", tool, args, out)
	return out
}

func (s raid5Shell) run(tool string, args ...string) (code int, out string) {
	// The shells in one JVM would share file systems, with the settings of the first one.
	args = append([]string{"-D", "fs.hdfs.impl.disable.cache=true", "-D", "dfs.blocksize=1048576", "-D", "dfs.namenode.http-address=" + s.c.http}, args...)
	begun := time.Now()
	r := s.c.hadoop(s.t, currentUser(s.t), tool, args...)
	if took := time.Since(begun); took > 5*time.Second {
		s.t.Logf("%s %q took %s", tool, args[6:], took)
	}
	return r.code, r.out + r.err
}

// fsck checks everything and gives the part about parity groups.
func (s raid5Shell) fsck() string {
	out := s.ok("fsck", "/", "-files", "-blocks", "-locations")
	require.Contains(s.t, out, "The filesystem under path '/' is HEALTHY")
	_, groups, ok := strings.Cut(out, "Parity Groups:")
	require.True(s.t, ok, out)
	return groups
}

// file makes a local file of random bytes.
func (s raid5Shell) file(size int) (name string, data []byte) {
	random := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	data = make([]byte, size)
	_, err := random.Read(data)
	require.NoError(s.t, err)
	name = filepath.Join(s.t.TempDir(), strconv.Itoa(size))
	require.NoError(s.t, os.WriteFile(name, data, 0o644))
	return name, data
}

// same has Hadoop's shell fetch a file.
func (s raid5Shell) same(want []byte, path string) {
	s.t.Helper()
	local := filepath.Join(s.t.TempDir(), "got")
	s.ok("fs", "-get", path, local)
	got, err := os.ReadFile(local)
	require.NoError(s.t, err)
	require.True(s.t, bytes.Equal(want, got), "%s: %d bytes came back as %d", path, len(want), len(got))
}

// folded waits until at least n blocks are in groups and no group is being made.
func (s raid5Shell) folded(n int64) {
	s.t.Helper()
	waitFor(s.t, fmt.Sprintf("%d blocks in parity groups", n), 30*time.Second, func() bool {
		return s.c.metric(s.t, "parity_members") >= n && s.c.metric(s.t, "parity_forming") == 0 && s.c.metric(s.t, `blocks{state="excess replicas"}`) == 0
	})
}

// TestRAID5Shell uses the policy as its users do, by Hadoop's own commands.
func TestRAID5Shell(t *testing.T) {
	needHadoop(t)
	c := raid5Cluster(t, 7, 4, "RAID5")
	c.ours(t, currentUser(t), "", "storagepolicies", "-unsetStoragePolicy", "-path", "/")
	s := raid5Shell{t, c}
	t.Run("Policies", func(t *testing.T) { s.on(t).policies() })

	local, data := s.file(12<<20 + 5)
	s.ok("fs", "-mkdir", "-p", "/r/sub")
	s.ok("storagepolicies", "-setStoragePolicy", "-path", "/r", "-policy", "RAID5")
	s.ok("fs", "-put", local, "/r/sub/f")
	sum := s.ok("fs", "-checksum", "/r/sub/f")
	s.folded(10)
	require.Equal(t, sum, s.ok("fs", "-checksum", "/r/sub/f"), "a file's checksum changes when it is folded")
	s.same(data, "/r/sub/f")
	require.Regexp(t, `Groups:\s+[1-9]`, s.fsck())

	t.Run("Append", func(t *testing.T) {
		s := s.on(t)
		more, tail := s.file(1<<20 + 77)
		s.ok("fs", "-appendToFile", more, "/r/sub/f")
		data = append(data, tail...)
		s.same(data, "/r/sub/f")
	})
	t.Run("Truncate", func(t *testing.T) {
		s := s.on(t)
		s.ok("fs", "-truncate", "-w", "5000001", "/r/sub/f")
		data = data[:5000001]
		s.same(data, "/r/sub/f")
		s.fsck()
	})
	t.Run("Setrep", func(t *testing.T) {
		s := s.on(t)
		s.ok("fs", "-setrep", "2", "/r/sub/f")
		require.Equal(t, "2\n", s.ok("fs", "-stat", "%r", "/r/sub/f"))
	})
	t.Run("Rename", func(t *testing.T) {
		s := s.on(t)
		s.ok("fs", "-mv", "/r/sub/f", "/r/g")
		s.same(data, "/r/g")
	})
	t.Run("BackToReplication", func(t *testing.T) {
		s := s.on(t)
		s.ok("storagepolicies", "-unsetStoragePolicy", "-path", "/r")
		s.ok("storagepolicies", "-satisfyStoragePolicy", "-path", "/r")
		waitFor(t, "no groups", 60*time.Second, func() bool {
			return c.metric(t, "parity_groups") == 0 && c.metric(t, `blocks{state="low redundancy"}`) == 0
		})
		s.same(data, "/r/g")
		require.Contains(t, s.ok("fsck", "/r/g", "-files", "-blocks"), "Live_repl=2")
	})
	t.Run("ConvertAndDelete", func(t *testing.T) {
		s := s.on(t)
		s.ok("fs", "-put", local, "/r/h") // with three replicas
		s.ok("storagepolicies", "-setStoragePolicy", "-path", "/r", "-policy", "RAID5-2")
		s.ok("storagepolicies", "-satisfyStoragePolicy", "-path", "/r")
		s.folded(10)
		s.same(data, "/r/g")
		s.ok("fs", "-rm", "-skipTrash", "/r/g", "/r/h")
		waitFor(t, "all gone", 60*time.Second, func() bool { return c.metric(t, "parity_groups") == 0 && c.metric(t, `blocks{state="replicas"}`) == 0 })
	})
}

// policies sets, shows and removes policies.
func (s raid5Shell) policies() {
	const raid5 = "BlockStoragePolicy{RAID5:36, storageTypes=[DISK], creationFallbacks=[], replicationFallbacks=[ARCHIVE]}"
	require.Contains(s.t, s.ok("storagepolicies", "-listPolicies"), raid5)
	s.ok("fs", "-mkdir", "-p", "/p/q")
	s.ok("fs", "-touchz", "/p/q/f")
	require.Equal(s.t, "Set storage policy RAID5 on /p\n", s.ok("storagepolicies", "-setStoragePolicy", "-path", "/p", "-policy", "RAID5"))
	require.Equal(s.t, "The storage policy of /p/q/f:\n"+raid5+"\n", s.ok("storagepolicies", "-getStoragePolicy", "-path", "/p/q/f"))
	s.ok("storagepolicies", "-setStoragePolicy", "-path", "/p/q", "-policy", "RAID5-16")
	require.Contains(s.t, s.ok("storagepolicies", "-getStoragePolicy", "-path", "/p/q/f"), "{RAID5-16:48,")
	s.ok("storagepolicies", "-unsetStoragePolicy", "-path", "/p/q")
	require.Contains(s.t, s.ok("storagepolicies", "-getStoragePolicy", "-path", "/p/q/f"), raid5)
	require.Contains(s.t, s.ok("storagepolicies", "-satisfyStoragePolicy", "-path", "/p"), "Scheduled blocks to move based on the current storage policy on /p")
	for _, bad := range []string{"RAID5-1", "RAID5-17", "RAID5-x", "RAID6"} {
		code, out := s.run("storagepolicies", "-setStoragePolicy", "-path", "/p", "-policy", bad)
		require.Equal(s.t, 2, code, bad)
		require.Contains(s.t, out, bad)
	}
	s.ok("fs", "-rm", "-r", "-skipTrash", "/p")
}

// TestRAID5Degraded kills a datanode and has foreign clients read everything at once.
func TestRAID5Degraded(t *testing.T) {
	needHadoop(t)
	p := startProcesses(t, 6, append(foldSoon, "dfs.heartbeat.interval=500ms", "dfs.namenode.heartbeat.recheck-interval=1000")...)
	p.setPolicy(t, "/", "RAID5")
	s := raid5Shell{t, p.cluster}
	files, sums := map[string][]byte{}, map[string]string{}
	total := int64(0)
	for _, size := range []int{0, 1, 511, 65537, 1<<20 - 1, 1 << 20, 3<<20 + 511, 13 << 20} {
		local, data := s.file(size)
		name := "/" + strconv.Itoa(size)
		s.ok("fs", "-put", local, name)
		files[name] = data
		total += int64(size+1<<20-1) >> 20
	}
	s.folded(total * 3 / 4)
	for name := range files {
		sums[name] = s.ok("fs", "-checksum", name)
	}
	readAll := func(t *testing.T) {
		s := s.on(t)
		for name, data := range files {
			s.same(data, name)
			require.Equal(t, sums[name], s.ok("fs", "-checksum", name))
			got, err := p.goClient(t, currentUser(t)).ReadFile(name)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), "%s by the Go client", name)
		}
		nativeReads(t, p.uri, files)
	}
	p.kill(t, 0)
	t.Run("AtOnce", readAll)
	waitFor(t, "rebuild", 60*time.Second, func() bool {
		return p.metric(t, `datanodes{state="dead"}`) == 1 && p.metric(t, "parity_degraded") == 0 && p.metric(t, `blocks{state="low redundancy"}`) == 0
	})
	require.Positive(t, p.metric(t, "parity_rebuilds_total"))
	groups := s.fsck()
	require.Regexp(t, `Degraded groups:\s+0`, groups)
	require.Regexp(t, `Lost groups:\s+0`, groups)

	p.kill(t, 1)
	t.Run("TheNext", readAll)
	p.startDatanode(t, 0)
	p.startDatanode(t, 1)
	waitFor(t, "all back", 60*time.Second, func() bool {
		return p.metric(t, `datanodes{state="live"}`) == 6 && p.metric(t, "parity_degraded") == 0 && p.metric(t, `blocks{state="excess replicas"}`) == 0
	})
	t.Run("Back", readAll)
}

// nativeReads has the Rust client read files and compares what it got.
func nativeReads(t *testing.T, uri string, files map[string][]byte) {
	py, err := python()
	if err != nil {
		t.Logf("hdfs-native can't be had here: %v", err)
		return
	}
	args := []string{"testdata/read.py", uri}
	for name := range files {
		args = append(args, name)
	}
	out, err := exec.Command(py, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for name, data := range files {
		require.Contains(t, string(out), fmt.Sprintf("%x %s\n", sha256.Sum256(data), name), "by the Rust client")
	}
}
