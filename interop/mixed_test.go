package interop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/stretchr/testify/require"
)

var allMixed = flag.Bool("mixed.all", false, "run all suites of the contract on the mixed cluster, not only those that write and recover")

// mixedTests are the suites of the contract that write, append and recover: what datanodes
// have most to do with.
var mixedTests = []string{"Append", "Concat", "Create", "LeaseRecovery", "Open", "Seek"}

// mixed is one name node of ours over datanodes of both kinds.
type mixed struct {
	*processes
	t       *testing.T  // of the whole test: what a part starts lives on after it
	port    int         // of Hadoop's datanodes
	hadoops []*exec.Cmd // ./hadoop datanode
	https   []string    // HTTP addresses of our datanodes
}

func startMixed(t *testing.T) *mixed {
	needHadoop(t)
	m := &mixed{processes: startProcesses(t, 0, "dfs.heartbeat.interval=1", "dfs.namenode.heartbeat.recheck-interval=2000",
		"dfs.namenode.fs-limits.min-block-size=0", "dfs.namenode.replication.pending.timeout-sec=10"), t: t, port: freePorts(t, 20)}
	m.datanodes, m.https, m.hadoops = make([]*exec.Cmd, 2), make([]string, 2), make([]*exec.Cmd, 2)
	for i := range 2 {
		m.startHadoopNode(t, i)
	}
	for i := range 2 {
		m.startOurs(t, i)
	}
	m.wantLive(t, 4)
	return m
}

func (m *mixed) startOurs(t *testing.T, i int) {
	cmd, found := m.server(t, `msg="datanode started".* http=(\S+)`, "datanode", "--name-node", strings.TrimPrefix(m.uri, "hdfs://"),
		"--data-dir", filepath.Join(m.dir, fmt.Sprintf("data%d", i)))
	m.datanodes[i], m.https[i] = cmd, found[1]
}

// startHadoopNode starts Hadoop's own datanode i, on what it had before if it was there.
func (m *mixed) startHadoopNode(t *testing.T, i int) {
	log, err := os.Create(filepath.Join(m.dir, fmt.Sprintf("hadoop%d.log", i)))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command("./hadoop", "datanode", filepath.Join(m.dir, fmt.Sprintf("hadoop%d", i)), strconv.Itoa(m.port+10*i), m.uri, "-Ddfs.heartbeat.interval=1")
	cmd.Env = append(os.Environ(), "JAVA_OPTS=-Xmx256m", "HADOOP_USER_NAME="+currentUser(t))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	m.hadoops[i] = cmd
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", log.Name(), tail(string(text), 6000))
		}
	})
}

func (m *mixed) wantLive(t *testing.T, n int64) {
	waitFor(t, "datanodes", 2*time.Minute, func() bool { return m.metric(t, `datanodes{state="live"}`) == n })
}

// ourRecoveries counts the block recoveries that our datanodes have led.
func (m *mixed) ourRecoveries(t *testing.T) (n int) {
	for _, addr := range m.https {
		resp, err := http.Get("http://" + addr + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		found := regexp.MustCompile(`(?m)^redoubt_datanode_block_recoveries_total (\d+)`).FindSubmatch(text)
		require.NotNil(t, found, "%s", text)
		one, err := strconv.Atoi(string(found[1]))
		require.NoError(t, err)
		n += one
	}
	return n
}

func randomBytes(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(data) // it never fails
	return data
}

// TestMixedCluster holds one name node of ours over two of Hadoop's datanodes and two of
// ours: each kind takes part in the other's pipelines, recoveries and copies.
func TestMixedCluster(t *testing.T) {
	m := startMixed(t)
	t.Run("Recovery", m.recovery)
	t.Run("Copies", m.copies)
	t.Run("ParityGroups", m.parity)
	t.Run("Contract", func(t *testing.T) {
		suites := mixedTests
		if *allMixed {
			suites = contractTests
		}
		m.contract(t, contractClasses(t), suites...)
	})
	t.Run("Kill", m.kills)
}

// recovery: writers that vanish leave blocks whose replicas are on both kinds. They are
// recovered until datanodes of both kinds have led a recovery of the others' replicas.
func (m *mixed) recovery(t *testing.T) {
	shell := raid5Shell{t, m.cluster}
	const most = 24
	files, begun := 0, m.ourRecoveries(t)
	for files < most {
		files++
		name := fmt.Sprintf("/open%d", files)
		want := randomBytes(100_000 + files)
		m.abandon(t, name, want)
		shell.ok("debug", "recoverLease", "-path", name, "-retries", "30")
		require.True(t, bytes.Equal(want, []byte(m.ours(t, currentUser(t), "", "fs", "-cat", name).out)), name)
		if led := m.ourRecoveries(t) - begun; led > 0 && led < files {
			break
		}
	}
	led := m.ourRecoveries(t) - begun
	t.Logf("%d recoveries, %d led by our datanodes, %d by Hadoop's", files, led, files-led)
	require.Positive(t, led, "led by ours")
	require.Positive(t, files-led, "led by Hadoop's")
}

// abandon writes a file to all datanodes, flushes it, and leaves it open.
func (m *mixed) abandon(t *testing.T, name string, data []byte) {
	c, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(m.uri, "hdfs://")}, User: currentUser(t)})
	require.NoError(t, err)
	w, err := c.CreateFile(name, 4, 1<<20, 0o644)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.NoError(t, c.Close())
}

// kills ends a datanode of each kind with kill -9, each under a writer and a reader.
func (m *mixed) kills(t *testing.T) {
	read := randomBytes(9 << 20)
	require.Zero(t, m.ours(t, currentUser(t), string(read), "fs", "-D", "dfs.replication=4", "-put", "-", "/read").code)
	for _, k := range []struct {
		kind    string
		kill    func()
		restart func()
	}{
		{"hadoop", func() { require.NoError(t, syscall.Kill(-m.hadoops[0].Process.Pid, syscall.SIGKILL)) }, func() { m.startHadoopNode(m.t, 0) }},
		{"ours", func() { m.processes.kill(t, 0) }, func() { m.startOurs(m.t, 0) }},
	} {
		reader := exec.Command(program(t, "fs"), "fs", "-fs", m.uri, "-cat", "/read")
		reader.Env = append(os.Environ(), "HADOOP_CONF_DIR=")
		out, err := reader.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, reader.Start())
		got := make([]byte, 1<<20)
		_, err = io.ReadFull(out, got)
		require.NoError(t, err)

		want := randomBytes(6<<20 + len(k.kind))
		writer := exec.Command("./hadoop", "fs", "-fs", m.uri, "-D", "dfs.replication=4", "-D", "dfs.blocksize=67108864", "-put", "-", "/written-"+k.kind)
		in, err := writer.StdinPipe()
		require.NoError(t, err)
		var said bytes.Buffer
		writer.Stdout, writer.Stderr = &said, &said
		require.NoError(t, writer.Start())
		_, err = in.Write(want[:3<<20])
		require.NoError(t, err)
		waitFor(t, "the writer's block", time.Minute, func() bool {
			return len(m.replicas(t, "/written-"+k.kind+"._COPYING_")) == 4
		})
		k.kill()
		_, err = in.Write(want[3<<20:])
		require.NoError(t, err)
		require.NoError(t, in.Close())
		require.NoError(t, writer.Wait(), "%s", said.String())

		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		require.NoError(t, reader.Wait())
		require.True(t, bytes.Equal(read, append(got, rest...)), "the reader's bytes")
		m.wantLive(t, 3)
		m.readBack(t, "/written-"+k.kind, want)
		k.restart()
		m.wantLive(t, 4)
		m.readBack(t, "/written-"+k.kind, want)
	}
	m.readBack(t, "/read", read)
}

// replicas gives the addresses of those who have a one-block file's replicas, or are
// writing them.
func (m *mixed) replicas(t *testing.T, name string) []string {
	resp, err := http.Get("http://" + m.http + "/fsck?ugi=" + currentUser(t) + "&files=1&blocks=1&locations=1&openforwrite=1&path=" + name)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	var all []string
	for _, d := range regexp.MustCompile(`DatanodeInfoWithStorage\[([^,]+),`).FindAllSubmatch(text, -1) {
		all = append(all, string(d[1]))
	}
	return all
}

// readBack reads a file by our shell and by Hadoop's.
func (m *mixed) readBack(t *testing.T, name string, want []byte) {
	t.Helper()
	r := m.ours(t, currentUser(t), "", "fs", "-cat", name)
	require.Zero(t, r.code, r.err)
	require.True(t, bytes.Equal(want, []byte(r.out)), name)
	raid5Shell{t, m.cluster}.same(want, name)
}

// copies: replicas go from each kind to the other, and excess ones go away on both.
func (m *mixed) copies(t *testing.T) {
	shell := raid5Shell{t, m.cluster}
	want := map[string][]byte{}
	for i := range 6 {
		name := fmt.Sprintf("/copied%d", i)
		want[name] = randomBytes(200_000 + i)
		require.Zero(t, m.ours(t, currentUser(t), string(want[name]), "fs", "-D", "dfs.replication=1", "-put", "-", name).code)
	}
	names := slices.Sorted(maps.Keys(want))
	for _, n := range []int{4, 1, 4, 2} {
		shell.ok("fs", append([]string{"-setrep", strconv.Itoa(n)}, names...)...)
		waitFor(t, fmt.Sprintf("%d replicas of each", n), time.Minute, func() bool {
			for _, name := range names {
				if len(m.replicas(t, name)) != n {
					return false
				}
			}
			return true
		})
	}
	for name, data := range want {
		m.readBack(t, name, data)
	}
}

// parity: Hadoop's datanodes can't fold, and two of ours are too few for a group, so that
// blocks keep two replicas.
func (m *mixed) parity(t *testing.T) {
	shell := raid5Shell{t, m.cluster}
	shell.ok("fs", "-mkdir", "/raid5")
	m.setPolicy(t, "/raid5", "RAID5-2")
	want := randomBytes(3 << 20)
	require.Zero(t, m.ours(t, currentUser(t), string(want), "fs", "-put", "-", "/raid5/a").code)
	m.readBack(t, "/raid5/a", want)
	require.Zero(t, m.metric(t, "parity_members"))
	require.Contains(t, shell.ok("fsck", "/raid5", "-files", "-blocks"), "Live_repl=2")
}
