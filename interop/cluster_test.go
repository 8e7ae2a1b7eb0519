package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cluster is a running HDFS, Redoubt's or Hadoop's.
type cluster struct {
	uri  string // hdfs://127.0.0.1:PORT
	http string // host:port of the name node's web server
	dir  string // where its data is
}

// programs builds our commands once for all tests and gives the directory they are in.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "redoubt-interop-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/...")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
	}
	return dir, nil
})

// program gives the path of one of our commands.
func program(t testing.TB, name string) string {
	dir, err := programs()
	require.NoError(t, err)
	return filepath.Join(dir, name)
}

func TestMain(m *testing.M) {
	code := m.Run()
	stopShared()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var readyLine = regexp.MustCompile(`ready in \d+ ms: (hdfs://[^ ]+) http://([^ ]+)`)

// startRedoubt runs `fs minicluster` as a process until the test ends. With INTEROP_FS set
// it gives that cluster instead: so a test can be held against real Hadoop itself.
func startRedoubt(t testing.TB, args ...string) cluster {
	if uri := os.Getenv("INTEROP_FS"); uri != "" {
		return cluster{uri: uri}
	}
	dir := t.TempDir()
	args = append([]string{"minicluster", "--dir", dir, "--rpc-port", "0", "--http-port", "0"}, args...)
	out := start(t, exec.Command(program(t, "fs"), args...))
	m := readyLine.FindStringSubmatch(await(t, out, readyLine, 30*time.Second))
	return cluster{uri: m[1], http: m[2], dir: dir}
}

// startHadoop runs a real Hadoop cluster until the test ends. With INTEROP_HADOOP set it
// gives that empty cluster instead, which must have been started with the same settings.
func startHadoop(t testing.TB, datanodes int, args ...string) cluster {
	return startHadoopIn(t, t.TempDir(), datanodes, args...)
}

// startHadoopIn runs one with its data in dir, and dir/conf on its class path.
func startHadoopIn(t testing.TB, dir string, datanodes int, args ...string) cluster {
	needHadoop(t)
	if uri := os.Getenv("INTEROP_HADOOP"); uri != "" {
		return cluster{uri: uri}
	}
	port := freePorts(t, 10*(datanodes+1)+3)
	args = append([]string{"cluster", dir, strconv.Itoa(port), strconv.Itoa(datanodes)}, args...)
	out := start(t, exec.Command("./hadoop", args...))
	await(t, out, regexp.MustCompile(`ready \d+`), 2*time.Minute)
	return cluster{uri: fmt.Sprintf("hdfs://127.0.0.1:%d", port), http: fmt.Sprintf("127.0.0.1:%d", port+1)}
}

// freePorts finds n ports in a row below the ephemeral range.
func freePorts(t testing.TB, n int) int {
	for base := 21000; base < 32000; base += n {
		free := true
		for p := base; p < base+n && free; p++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// start runs a command in the background and stops it, first kindly, when the test ends.
func start(t testing.TB, cmd *exec.Cmd) io.Reader {
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s did not stop within 30 s of SIGTERM", cmd.Args)
		}
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", cmd.Args, tail(stderr.String(), 4000))
		}
	})
	return out
}

// await reads lines until one matches, then drains the rest in the background.
func await(t testing.TB, out io.Reader, want *regexp.Regexp, limit time.Duration) string {
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if want.MatchString(lines.Text()) {
				found <- lines.Text()
				break
			}
		}
		close(found)
		io.Copy(io.Discard, out)
	}()
	select {
	case line, ok := <-found:
		require.True(t, ok, "ended without a line that matches %s", want)
		return line
	case <-time.After(limit):
		require.Fail(t, "timeout", "no line that matches %s within %s", want, limit)
	}
	return ""
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// needHadoop fetches Hadoop's jars, or skips the test in one line when that can't be.
func needHadoop(t testing.TB) {
	if _, err := hadoopJars(); err != nil {
		t.Skipf("Hadoop's jars can't be had here: %v", err)
	}
}

var hadoopJars = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("./hadoop", "fetch").Output()
	return strings.TrimSpace(string(out)), err
})

// hadoopShell is one JVM that runs Hadoop's commands (see Serve.java).
type hadoopShell struct {
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

var shared *hadoopShell

// hadoopServe gives the shell that all tests share.
func hadoopServe(t testing.TB) *hadoopShell {
	needHadoop(t)
	if shared != nil {
		return shared
	}
	s := &hadoopShell{cmd: exec.Command("./hadoop", "serve")}
	var err error
	s.in, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	s.out = bufio.NewReader(out)
	require.NoError(t, s.cmd.Start())
	line, err := s.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	shared = s
	return s
}

func stopShared() {
	if shared != nil {
		shared.in.Close()
		shared.cmd.Wait()
	}
}

// result of one command.
type result struct {
	code     int
	out, err string
}

var escape = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// run executes one command of a tool class as a user.
func (s *hadoopShell) run(t testing.TB, user, class string, args ...string) result {
	s.mu.Lock()
	defer s.mu.Unlock()
	fields := []string{user, class}
	for _, a := range args {
		fields = append(fields, escape.Replace(a))
	}
	_, err := io.WriteString(s.in, strings.Join(fields, "\t")+"\n")
	require.NoError(t, err)
	head, err := s.out.ReadString('\n')
	require.NoError(t, err)
	var r result
	var outLen, errLen int
	_, err = fmt.Sscanf(head, "%d %d %d", &r.code, &outLen, &errLen)
	require.NoError(t, err, "answer %q", head)
	text := make([]byte, outLen+errLen)
	_, err = io.ReadFull(s.out, text)
	require.NoError(t, err)
	r.out, r.err = string(text[:outLen]), string(text[outLen:])
	return r
}

// tool classes by the names that users type.
var toolClass = map[string]string{
	"fs":       "org.apache.hadoop.fs.FsShell",
	"dfs":      "org.apache.hadoop.fs.FsShell",
	"dfsadmin": "org.apache.hadoop.hdfs.tools.DFSAdmin",
	"groups":   "org.apache.hadoop.hdfs.tools.GetGroups",
	"fsck":     "org.apache.hadoop.hdfs.tools.DFSck",
	"ec":       "org.apache.hadoop.hdfs.tools.ECAdmin",
	"crypto":   "org.apache.hadoop.hdfs.tools.CryptoAdmin",
	"debug":    "org.apache.hadoop.hdfs.tools.DebugAdmin",

	"storagepolicies": "org.apache.hadoop.hdfs.tools.StoragePolicyAdmin",
}

// hadoop runs `hdfs TOOL ARGS` as a user against a cluster.
func (c cluster) hadoop(t testing.TB, user, tool string, args ...string) result {
	all := append([]string{"-fs", c.uri}, args...)
	return hadoopServe(t).run(t, user, toolClass[tool], all...)
}

// ours runs our own shell as a process, as a user, against a cluster.
func (c cluster) ours(t testing.TB, user, stdin, tool string, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	all := append([]string{tool, "-fs", c.uri}, args...)
	cmd := exec.CommandContext(ctx, program(t, "fs"), all...)
	cmd.Env = append(os.Environ(), "HADOOP_USER_NAME="+user, "HADOOP_CONF_DIR=")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	runErr := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, runErr)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}
