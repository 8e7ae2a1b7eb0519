package badinput

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// line is a row of one of the page's tables.
type line struct {
	command, says, exit string
}

func page(t *testing.T) (lines []line) {
	text, err := os.ReadFile("../../docs/bad-input.md")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?m)^\\| `(.+)` \\| (.+) \\| (\\d+) \\|$").FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, line{m[1], m[2], m[3]})
	}
	return lines
}

// prelude are the page's own words.
const prelude = `
flip() { b=$(od -An -tu1 -j$2 -N1 "$1"); printf "\\$(printf %o $((255 - b)))" | dd of="$1" bs=1 seek=$2 conv=notrunc 2>/dev/null; }
cut() { dd of="$1" bs=1 seek=$2 count=0 2>/dev/null </dev/null; }
`

// stage is the programs, a running cluster, and name directories to copy.
type stage struct {
	dir string
	env []string
}

func (s *stage) set(name, value string) { s.env = append(s.env, name+"="+value) }

// sh runs a command in the stage's environment.
func (s *stage) sh(t *testing.T, command string) (out string, code int) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", prelude+command)
	// A command that should have failed and serves instead is ended with its children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Env = s.env
	cmd.Dir = s.dir
	b, err := cmd.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err, command)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func (s *stage) must(t *testing.T, command string) string {
	out, code := s.sh(t, command)
	require.Zero(t, code, "%s\n%s", command, out)
	return out
}

// serve starts a server and waits for a line; it is killed at the test's end at the latest.
func (s *stage) serve(t *testing.T, ready string, name string, args ...string) (match []string, kill func()) {
	cmd := exec.Command(filepath.Join(s.dir, "bin", name), args...)
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	kill = func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()         // killed
		r.Close()
	}
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if match = regexp.MustCompile(ready).FindStringSubmatch(seen.String()); match != nil {
			break
		}
		require.NoError(t, err, "%s", seen.String())
	}
	go func() {
		for err := error(nil); err == nil; {
			_, err = r.Read(buf) // the pipe must not fill
		}
	}()
	return match, kill
}

func newStage(t *testing.T) *stage {
	s := &stage{dir: t.TempDir()}
	bin := filepath.Join(s.dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	out, err := exec.Command("go", "build", "-o", bin+"/", "redoubt/cmd/...").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for name, value := range map[string]string{
		"PATH": bin + ":" + os.Getenv("PATH"), "HOME": s.dir, "USER": "tester", "HADOOP_USER_NAME": "tester", "LONG": strings.Repeat("x", 256),
		"PORTS": "-D dfs.namenode.rpc-address=127.0.0.1:0 -D dfs.namenode.http-address=127.0.0.1:0",
		"FREE":  "-D dfs.datanode.address=127.0.0.1:0 -D dfs.datanode.ipc.address=127.0.0.1:0 -D dfs.datanode.http.address=127.0.0.1:0",
	} {
		s.set(name, value)
	}
	s.nameDirs(t)
	s.foreignVolume(t)
	data := filepath.Join(s.dir, "cluster")
	uri, kill := s.serve(t, `ready in .*: (hdfs://127.0.0.1:(\d+)) http://(\S+)`, "fs", "minicluster", "--dir", data, "--rpc-port", "0", "--http-port", "0", "--datanodes", "1")
	t.Cleanup(kill)
	s.set("NN", uri[1])
	s.set("BUSY", uri[2])
	s.set("WEB", "dfs.namenode.http-address="+uri[3])
	s.arrays(t, "127.0.0.1:"+uri[2])
	s.set("LIVE", filepath.Join(data, "name"))
	s.set("VOLUME", filepath.Join(data, "data1"))
	s.must(t, "fs -fs $NN -put /etc/hosts /f && fs -fs $NN -mkdir /d && fs -fs $NN -touchz /d/x")
	return s
}

// nameDirs makes base/n1 and base/n2: an image of transaction 7, a finished segment up to
// 11, and one in progress, as a kill leaves them.
func (s *stage) nameDirs(t *testing.T) {
	base := filepath.Join(s.dir, "base")
	dirs := "dfs.namenode.name.dir=" + base + "/n1," + base + "/n2"
	s.must(t, "namenode format -D "+dirs)
	addr, kill := s.serve(t, `msg=serving rpc=(\S+)`, "namenode", "run", "-D", dirs, "-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0",
		"-D", "dfs.namenode.safemode.extension=0")
	defer kill()
	fs := "export HADOOP_CONF_DIR=; nn=hdfs://" + addr[1] + "; "
	s.must(t, fs+"fs -fs $nn -mkdir -p /a/b; fs -fs $nn -touchz /a/1 /a/2; fs dfsadmin -fs $nn -safemode enter; fs dfsadmin -fs $nn -saveNamespace; fs dfsadmin -fs $nn -safemode leave")
	s.must(t, fs+"fs -fs $nn -touchz /a/3 /a/4; fs dfsadmin -fs $nn -rollEdits; fs -fs $nn -touchz /a/5 /a/6; fs -fs $nn -mkdir /z")
	s.set("IMAGE", "fsimage_0000000000000000007")
	s.set("SEGMENT", "edits_0000000000000000008-0000000000000000011")
	s.set("OPEN", "edits_inprogress_0000000000000000012")
}

// foreignVolume makes a volume of another cluster.
func (s *stage) foreignVolume(t *testing.T) {
	dir := filepath.Join(s.dir, "foreign")
	name, volume := "dfs.namenode.name.dir="+dir+"/name", dir+"/data"
	s.must(t, "namenode format --clusterid CID-foreign -D "+name)
	addr, kill := s.serve(t, `msg=serving rpc=(\S+)`, "namenode", "run", "-D", name, "-D", "dfs.namenode.rpc-address=127.0.0.1:0", "-D", "dfs.namenode.http-address=127.0.0.1:0")
	defer kill()
	_, stop := s.datanode(t, `msg=registered`, addr[1], volume)
	stop()
	s.set("FOREIGN", volume)
}

// arrays makes two arrays of a cluster that has no datanode any more, and one that serves.
func (s *stage) arrays(t *testing.T, nameNode string) {
	own, kill := s.serve(t, `ready in .*: hdfs://(\S+)`, "fs", "minicluster", "--dir", filepath.Join(s.dir, "lonely"), "--rpc-port", "0", "--http-port", "-1", "--datanodes", "0")
	t.Cleanup(kill)
	// An array knows where its members were: they have to be made where they will be used.
	for _, name := range []string{"w/a", "w/b"} {
		_, stop := s.datanode(t, `msg=registered`, own[1], s.array(name))
		stop()
	}
	s.must(t, "mv w/* base")
	node, kill := s.datanode(t, `transfer=(\S+)`, nameNode, s.array("array/m"))
	t.Cleanup(kill)
	for _, place := range []string{"1", "2", "3"} {
		s.set("M"+place, filepath.Join(s.dir, "array", "m"+place))
		s.set("A"+place, filepath.Join(s.dir, "w", "a"+place))
		s.set("B"+place, filepath.Join(s.dir, "w", "b"+place))
	}
	s.set("NODE", node[1])
	s.set("RUN", "datanode run --name-node "+own[1]+" -D dfs.datanode.address=127.0.0.1:0 -D dfs.datanode.ipc.address=127.0.0.1:0 -D dfs.datanode.http.address=127.0.0.1:0")
}

// array names an array of three members by what their directories begin with.
func (s *stage) array(name string) string {
	name = filepath.Join(s.dir, name)
	return "raid5:" + name + "1," + name + "2," + name + "3"
}

func (s *stage) datanode(t *testing.T, ready, nameNode, volume string) (match []string, kill func()) {
	return s.serve(t, ready, "datanode", "run", "--name-node", nameNode, "--data-dir", volume,
		"-D", "dfs.datanode.address=127.0.0.1:0", "-D", "dfs.datanode.ipc.address=127.0.0.1:0", "-D", "dfs.datanode.http.address=127.0.0.1:0")
}

var only = flag.String("only", "", "run only the lines whose command matches this expression")

// TestPage runs every line of the page.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs")
	}
	lines := page(t)
	require.Greater(t, len(lines), 100, "the tables have another form")
	s := newStage(t)
	vars := regexp.MustCompile(`\$[A-Z]\w*`)
	for i, l := range lines {
		if !regexp.MustCompile(*only).MatchString(l.command) {
			continue
		}
		w := filepath.Join(s.dir, "w")
		s.must(t, "rm -rf w; cp -r base w")
		env := append(s.env[:len(s.env):len(s.env)], "W="+w, "ONE=-D dfs.namenode.name.dir="+w+"/n1", "TWO=-D dfs.namenode.name.dir="+w+"/n1,"+w+"/n2")
		run := &stage{dir: s.dir, env: env}
		begun := time.Now()
		out, code := run.sh(t, l.command)
		if took := time.Since(begun); took > time.Second {
			t.Logf("line %d took %s: %s", i+1, took.Round(time.Millisecond), l.command)
		}
		says := vars.ReplaceAllStringFunc(l.says, func(v string) string {
			for _, e := range env {
				if value, ok := strings.CutPrefix(e, v[1:]+"="); ok {
					return value
				}
			}
			return v
		})
		assert.Contains(t, out, says, "line %d: %s", i+1, l.command)
		assert.Equal(t, l.exit, strconv.Itoa(code), "line %d: %s\n%s", i+1, l.command, out)
		assert.NotContains(t, out, "goroutine ", l.command)
	}
	t.Logf("%d lines", len(lines))
}
