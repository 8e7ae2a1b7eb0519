package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/client"
)

// The parity tables in testdata/parity hold shell lines in groups. A group starts with
// "== name" on an empty file system and an empty local directory. Its lines are:
//
//	%file NAME TEXT      makes a local file in $L; \n and \x00 escapes are known
//	%dir NAME            makes a local directory
//	%policy NAME PATH    makes a directory in the file system and sets its storage policy
//	@USER -command ...   runs a line as USER; without @ as the superuser
//	dfsadmin -report     runs dfsadmin
//
// $L is the local directory, $FS the file system's URI. Words are split as a shell does
// with single and double quotes. After a line, a comment "#! out", "#! err" or "#! code"
// says that this may differ.
//
// TestParity runs the tables twice and compares standard output, standard error and exit
// code of each line:
//
//	PARITY_ORACLE  the command that serves Hadoop's shell (".../hadoop serve"); required
//	PARITY_HADOOP  host:port of the cluster for Hadoop's shell; required
//	PARITY_OURS    host:port of the other cluster; the same one if not set
//	PARITY_SHELL   "hadoop" runs Hadoop's shell against both clusters
//	PARITY_USER    the superuser's name; the process's user if not set
//
// Everything on the clusters is deleted!
func TestParity(t *testing.T) {
	oracle, hadoop := os.Getenv("PARITY_ORACLE"), os.Getenv("PARITY_HADOOP")
	if oracle == "" || hadoop == "" {
		t.Skip("PARITY_ORACLE and PARITY_HADOOP name Hadoop's shell and a cluster to compare with")
	}
	ours := cmpOr(os.Getenv("PARITY_OURS"), hadoop)
	super := cmpOr(os.Getenv("PARITY_USER"), effectiveUser())
	serve := startServe(t, oracle)
	local := t.TempDir()
	a := &paritySide{shell: serve.run, fs: hadoop, super: super, local: local}
	b := &paritySide{shell: runOurs, fs: ours, super: super, local: local}
	if os.Getenv("PARITY_SHELL") == "hadoop" {
		b.shell = serve.run
	}
	files, err := filepath.Glob("testdata/parity/*.txt")
	require.NoError(t, err)
	lines := 0
	for _, file := range files {
		for _, g := range readParity(t, file) {
			lines += len(g.lines)
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+g.name, func(t *testing.T) {
				want := a.run(t, g)
				got := b.run(t, g)
				for i := range g.lines {
					compareParity(t, &g.lines[i], want[i], got[i])
				}
			})
		}
	}
	t.Logf("%d lines compared", lines)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

type parityGroup struct {
	name  string
	setup [][]string
	lines []parityLine
}

type parityLine struct {
	at, text, user string
	args           []string
	loose          string // what may differ
}

type parityResult struct {
	code     int
	out, err string
}

func readParity(t *testing.T, file string) []parityGroup {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var groups []parityGroup
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
			continue
		case strings.HasPrefix(line, "== "):
			groups = append(groups, parityGroup{name: line[3:]})
			continue
		}
		g := &groups[len(groups)-1]
		line, loose, _ := strings.Cut(line, " #! ")
		words := splitWords(line)
		if strings.HasPrefix(words[0], "%") {
			g.setup = append(g.setup, words)
			continue
		}
		l := parityLine{at: fmt.Sprintf("%s:%d", file, n+1), text: line, args: words, loose: loose}
		if strings.HasPrefix(words[0], "@") {
			l.user, l.args = words[0][1:], words[1:]
		}
		g.lines = append(g.lines, l)
	}
	return groups
}

// splitWords splits at blanks outside of quotes.
func splitWords(s string) []string {
	var words []string
	var w strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote == 0 && c == ' ':
			if in {
				words = append(words, w.String())
				w.Reset()
				in = false
			}
		default:
			w.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, w.String())
	}
	return words
}

// paritySide runs groups with one shell on one cluster.
type paritySide struct {
	shell            func(t *testing.T, user, fs string, args []string) parityResult
	fs, super, local string
}

func (s *paritySide) run(t *testing.T, g parityGroup) []parityResult {
	s.reset(t)
	for _, words := range g.setup {
		p := filepath.Join(s.local, words[1])
		if words[0] == "%dir" {
			require.NoError(t, os.MkdirAll(p, 0o755))
			continue
		}
		if words[0] == "%policy" {
			s.policy(t, words[1], words[2])
			continue
		}
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.Join(words[2:], " "), `"`, `\"`) + `"`)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	results := make([]parityResult, len(g.lines))
	for i, l := range g.lines {
		args := make([]string, len(l.args))
		for k, a := range l.args {
			args[k] = strings.NewReplacer("$L", s.local, "$FS", "hdfs://"+s.fs, "$ADDR", s.fs).Replace(a)
		}
		results[i] = s.shell(t, cmpOr(l.user, s.super), s.fs, args)
		results[i].out, results[i].err = s.normal(results[i].out), s.normal(results[i].err)
	}
	return results
}

func (s *paritySide) policy(t *testing.T, name, path string) {
	c, err := client.Open(client.Config{NameNodes: []string{s.fs}, User: s.super})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Mkdirs(context.Background(), path, 0o755, true)
	require.NoError(t, err)
	require.NoError(t, c.SetStoragePolicy(context.Background(), path, name))
}

// reset empties the cluster and the local directory.
func (s *paritySide) reset(t *testing.T) {
	c, err := client.Open(client.Config{NameNodes: []string{s.fs}, User: s.super})
	require.NoError(t, err)
	defer c.Close()
	ctx := context.Background()
	entries, err := c.List(ctx, "/")
	require.NoError(t, err)
	for _, e := range entries {
		_, err := c.Delete(ctx, "/"+e.Name, true)
		require.NoError(t, err)
	}
	require.NoError(t, c.SetPermission(ctx, "/", 0o755))
	require.NoError(t, c.SetOwner(ctx, "/", s.super, "root")) // new files take the group from here
	local, err := os.ReadDir(s.local)
	require.NoError(t, err)
	for _, e := range local {
		require.NoError(t, os.RemoveAll(filepath.Join(s.local, e.Name())))
	}
	for _, user := range []string{"alice", "bob", s.super} {
		_, err := c.Mkdirs(ctx, "/user/"+user, 0o755, true)
		require.NoError(t, err)
		require.NoError(t, c.SetOwner(ctx, "/user/"+user, user, ""))
	}
	_, err = c.Mkdirs(ctx, "/tmp", 0o1777, true)
	require.NoError(t, err)
	require.NoError(t, c.SetPermission(ctx, "/tmp", 0o1777))
}

var (
	parityLog     = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (WARN|INFO|ERROR) .*\n((\tat |Caused by|\t\.\.\.|java\.|org\.apache).*\n)*`)
	parityStack   = regexp.MustCompile(`(?m)^\tat .*\n|^\n`)
	parityUsage   = regexp.MustCompile(`(?ms)^Usage: .*`)
	parityMS      = regexp.MustCompile(`\b1[5-9]\d{11}\b`)
	paritySeconds = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	parityMinutes = regexp.MustCompile(`202[6-9]-\d\d-\d\d \d\d:\d\d`)
)

func (s *paritySide) normal(text string) string {
	text = parityLog.ReplaceAllString(text, "")
	text = parityStack.ReplaceAllString(text, "")
	text = parityUsage.ReplaceAllString(text, "Usage")
	text = paritySeconds.ReplaceAllString(text, "SECONDS")
	text = parityMinutes.ReplaceAllString(text, "MINUTES")
	text = parityMS.ReplaceAllString(text, "MILLIS")
	return strings.ReplaceAll(text, s.fs, "$ADDR")
}

func compareParity(t *testing.T, l *parityLine, want, got parityResult) {
	if strings.Contains(l.loose, "out") {
		want.out, got.out = "", ""
	}
	if strings.Contains(l.loose, "err") {
		want.err, got.err = "", ""
	}
	if strings.Contains(l.loose, "code") {
		want.code, got.code = 0, 0
	}
	if want != got {
		t.Errorf("%s: %s\nwant %d\n%s%s\ngot %d\n%s%s", l.at, l.text, want.code, quoteLines("  ", want.out), quoteLines("  ! ", want.err),
			got.code, quoteLines("  ", got.out), quoteLines("  ! ", got.err))
	}
}

func quoteLines(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+prefix) + "\n"
}

// runOurs runs a line with the shell of this package.
func runOurs(_ *testing.T, user, fs string, args []string) parityResult {
	var out, errOut bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errOut, user: user, dir: "/"}
	// Hadoop's lines run in one JVM, which keeps file systems with the settings of the first:
	// a line with others says that it wants one of its own. Ours is a process's each time.
	if len(args) > 2 && args[0] == "-D" && args[1] == "fs.hdfs.impl.disable.cache=true" {
		args = args[2:]
	}
	full := append([]string{"fs", "-fs", "hdfs://" + fs}, args...)
	if args[0] == "dfsadmin" {
		full = append([]string{"dfsadmin", "-fs", "hdfs://" + fs}, args[1:]...)
	}
	code := run(context.Background(), e, full)
	return parityResult{code, out.String(), errOut.String()}
}

// hadoopServe is Hadoop's shell, many lines in one process.
type hadoopServe struct {
	in  io.Writer
	out *bufio.Reader
}

func startServe(t *testing.T, command string) *hadoopServe {
	words := splitWords(command)
	cmd := exec.Command(words[0], words[1:]...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	s := &hadoopServe{in, bufio.NewReader(out)}
	line, err := s.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return s
}

func (s *hadoopServe) run(t *testing.T, user, fs string, args []string) parityResult {
	fields := []string{user, "org.apache.hadoop.fs.FsShell"}
	if args[0] == "dfsadmin" {
		fields[1], args = "org.apache.hadoop.hdfs.tools.DFSAdmin", args[1:]
	}
	fields = append(append(fields, "-fs", "hdfs://"+fs), args...)
	escape := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
	for i, f := range fields {
		fields[i] = escape.Replace(f)
	}
	_, err := fmt.Fprintln(s.in, strings.Join(fields, "\t"))
	require.NoError(t, err)
	line, err := s.out.ReadString('\n')
	require.NoError(t, err)
	var r parityResult
	var out, errOut int
	_, err = fmt.Sscan(line, &r.code, &out, &errOut)
	require.NoError(t, err)
	buf := make([]byte, out+errOut)
	_, err = io.ReadFull(s.out, buf)
	require.NoError(t, err)
	r.out, r.err = string(buf[:out]), string(buf[out:])
	return r
}
