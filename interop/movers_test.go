package interop

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Hadoop's balancer and mover against our name node and datanodes: they run to the end, the
// blocks have moved, every byte reads back and nothing is missing.

// ownTool runs one of Hadoop's tools in a JVM of its own: the balancer and the mover end the
// process and leave state behind in it. Since 3.4 they register their metrics once more
// in each iteration and die of it in the second one (HDFS-17648), with any name node;
// metrics on standby take no offence.
func (c cluster) ownTool(t *testing.T, tool string, args ...string) result {
	needHadoop(t)
	cmd := exec.Command("./hadoop", append([]string{tool, "-D", "fs.defaultFS=" + c.uri, "-D", "dfs.blocksize=1048576"}, args...)...)
	cmd.Env = append(os.Environ(), "HADOOP_USER_NAME=root", "JAVA_OPTS=-Xmx512m -Dhadoop.metrics.init.mode=STANDBY")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	runErr := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, runErr)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}

// putFile writes a file of blocks of 1 MiB with our shell and gives its digest.
func (c cluster) putFile(t *testing.T, name string, replication, size int, seed byte) (sum [32]byte) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7) ^ byte(i>>9) ^ seed
	}
	local := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(local, data, 0o600))
	r := c.ours(t, "root", "", "fs", "-D", "dfs.blocksize=1048576", "-D", "dfs.replication="+strconv.Itoa(replication), "-put", local, name)
	require.Zero(t, r.code, r.err)
	return sha256.Sum256(data)
}

func (c cluster) sumOf(t *testing.T, name string) [32]byte {
	r := c.ours(t, "root", "", "fs", "-cat", name)
	require.Zero(t, r.code, r.err)
	return sha256.Sum256([]byte(r.out))
}

// checked gives fsck's report, which must be healthy.
func (c cluster) checked(t *testing.T, args ...string) string {
	r := c.ours(t, "root", "", "fsck", append([]string{"-D", "dfs.namenode.http-address=" + c.http, "/"}, args...)...)
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	require.Contains(t, r.out, "is HEALTHY")
	return r.out
}

var usedPercent = regexp.MustCompile(`(?m)^Name: [^\n]*(?:\n[^\n]+)*?\nDFS Used%: ([0-9.]+)%`)

// usage gives how full each datanode is, in percent.
func (c cluster) usage(t *testing.T) (list []float64) {
	r := c.ours(t, "root", "", "dfsadmin", "-report")
	require.Zero(t, r.code, r.err)
	for _, m := range usedPercent.FindAllStringSubmatch(r.out, -1) {
		x, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		list = append(list, x)
	}
	return list
}

// stopped runs a cluster on a directory, has fill write to it, and stops it.
func stopped(t *testing.T, fill func(c cluster), args ...string) (dir string) {
	dir = t.TempDir()
	t.Run("fill", func(t *testing.T) { fill(startAt(t, dir, args...)) })
	return dir
}

// startAt is startRedoubt on a directory that may hold a cluster already.
func startAt(t *testing.T, dir string, args ...string) cluster {
	args = append([]string{"minicluster", "--dir", dir, "--rpc-port", "0", "--http-port", "0", "-D", "dfs.namenode.fs-limits.min-block-size=0"}, args...)
	out := start(t, exec.Command(program(t, "fs"), args...))
	m := readyLine.FindStringSubmatch(await(t, out, readyLine, time.Minute))
	return cluster{uri: m[1], http: m[2], dir: dir}
}

// TestBalancer fills two datanodes, adds more, and has Hadoop's balancer even them out, with
// replicated files and with parity groups.
func TestBalancer(t *testing.T) {
	needHadoop(t)
	for _, c := range []struct {
		name, policy  string
		before, after int
	}{{"replicated", "HOT", 2, 4}} {
		t.Run(c.name, func(t *testing.T) {
			var sum [32]byte
			volumes := []string{"--capacity", "64m"}
			for _, s := range foldSoon {
				volumes = append(volumes, "-D", s)
			}
			dir := stopped(t, func(cl cluster) {
				require.Zero(t, cl.ours(t, "root", "", "fs", "-mkdir", "/d").code)
				require.Zero(t, cl.ours(t, "root", "", "storagepolicies", "-setStoragePolicy", "-path", "/d", "-policy", c.policy).code)
				sum = cl.putFile(t, "/d/f", 2, 36<<20, 1)
				if c.policy != "HOT" {
					waitFor(t, "most is folded", 2*time.Minute, func() bool { return cl.metric(t, "parity_members") >= 24 })
					cl.wantFolds(t, 8)
				}
			}, append(volumes, "--datanodes", strconv.Itoa(c.before))...)
			cl := startAt(t, dir, append(volumes, "--datanodes", strconv.Itoa(c.after))...)
			before := cl.usage(t)
			require.Len(t, before, c.after)
			r := cl.ownTool(t, "balancer", "-D", "dfs.balancer.getBlocks.min-block-size=1", "-threshold", "5")
			require.Zero(t, r.code, "%s%s", r.out, r.err)
			require.Contains(t, r.out, "The cluster is balanced. Exiting...")
			require.Equal(t, sum, cl.sumOf(t, "/d/f"))
			cl.checked(t)
			waitFor(t, "all datanodes are about as full", time.Minute, func() bool {
				after := cl.usage(t)
				low, high := after[0], after[0]
				for _, x := range after {
					low, high = min(low, x), max(high, x)
				}
				return low > 0 && high-low < 13
			})
			t.Logf("used before %v, after %v\n%s", before, cl.usage(t), r.out)
			cl.checked(t)
			require.Equal(t, sum, cl.sumOf(t, "/d/f"))
		})
	}
}

// TestMover has Hadoop's mover, and satisfyStoragePolicy by Hadoop's shell, bring files to the
// media of their policies; a file under RAID5 stands by.
func TestMover(t *testing.T) {
	needHadoop(t)
	c := startAt(t, t.TempDir(), "--datanodes", "4", "--storage-types", "DISK,SSD,ARCHIVE")
	sums := map[string][32]byte{}
	policies := map[string]string{"/cold": "COLD", "/warm": "WARM", "/one": "ONE_SSD", "/all": "ALL_SSD", "/sps": "COLD", "/raid": "RAID5-2"}
	for dir := range policies {
		require.Zero(t, c.ours(t, "root", "", "fs", "-mkdir", dir).code)
		sums[dir] = c.putFile(t, dir+"/f", 3, 5<<20+100, dir[1])
	}
	for dir, policy := range policies {
		r := c.hadoop(t, "root", "storagepolicies", "-setStoragePolicy", "-path", dir, "-policy", policy)
		require.Zero(t, r.code, r.err)
	}
	require.Contains(t, c.checked(t, "-storagepolicies"), "Blocks NOT satisfying")
	r := c.ownTool(t, "mover", "-p", "/cold", "/warm", "/one", "/all", "/raid")
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	require.Contains(t, r.out, "Mover Successful: all blocks satisfy the specified storage policy.")
	const blocks = 6
	media := func(want ...string) bool {
		report := c.checked(t, "-storagepolicies")
		for _, w := range want {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(w) + ` `).MatchString(report) {
				return false
			}
		}
		return true
	}
	waitFor(t, "the replicas that were replaced are gone", time.Minute, func() bool {
		return media("ARCHIVE:3(COLD)", "ARCHIVE:2,DISK:1(WARM)", "DISK:2,SSD:1(ONE_SSD)", "SSD:3(ALL_SSD)")
	})
	r = c.hadoop(t, "root", "storagepolicies", "-satisfyStoragePolicy", "-path", "/sps")
	require.Zero(t, r.code, r.err)
	waitFor(t, "what was asked for is done", 2*time.Minute, func() bool {
		return !strings.Contains(c.checked(t, "-storagepolicies"), "DISK:3(COLD)") && c.metric(t, "policy_moves") == 0
	})
	require.EqualValues(t, 3*blocks, c.metric(t, "policy_moved_total"))
	require.Zero(t, c.metric(t, "policy_move_failures_total"))
	for dir, sum := range sums {
		require.Equal(t, sum, c.sumOf(t, dir+"/f"), dir)
	}
	r = c.hadoop(t, "root", "storagepolicies", "-listPolicies")
	require.Contains(t, r.out, "RAID5", "others are told of all policies")
}
