package damage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

// program builds the name node.
func program(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and kills real processes")
	}
	bin := filepath.Join(t.TempDir(), "namenode")
	out, err := exec.Command("go", "build", "-o", bin, "redoubt/cmd/namenode").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// TestKilledFormat kills the real program many times, in its first 20 ms or anywhere in the
// time that it takes: formatting again works without force, and what it makes starts.
func TestKilledFormat(t *testing.T) {
	bin := program(t)
	cut, done := 0, 0
	begun := time.Now()
	require.NoError(t, exec.Command(bin, "format", "-Ddfs.namenode.name.dir="+filepath.Join(t.TempDir(), "n")).Run())
	whole := time.Since(begun)
	n := 60
	if *long {
		n = 300
	}
	for i := range n {
		within := 20 * time.Millisecond
		if i%2 == 1 {
			within = whole * 3 / 2
		}
		dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
		n1, n2 := filepath.Join(dir, "n1"), filepath.Join(dir, "n2")
		dirs := "-Ddfs.namenode.name.dir=" + n1 + "," + n2
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(within))))
		said, err := exec.CommandContext(ctx, bin, "format", dirs).Output()
		stop()
		if err != nil {
			cut++
			out, err := exec.Command(bin, "format", dirs).CombinedOutput()
			if strings.Contains(string(said), "formatted") {
				done++ // whoever was told may have to use force
			} else {
				require.NoError(t, err, "%s", out)
			}
		}
		nn, err := nameNode(vfs.OS(), nil, n1, n2)
		require.NoError(t, err)
		require.Empty(t, names(t, nn))
		require.NoError(t, nn.Close())
		require.NoError(t, os.RemoveAll(dir))
	}
	t.Logf("%d formats, %d killed, %d of them after they had said that they were done", n, cut, done)
	require.Positive(t, cut)
	require.Less(t, done, cut/2)
}

// TestRemovedUnderARunningNameNode takes the only name directory away from the real program:
// it acknowledges nothing any more, says why, and ends with the exit code of a failed journal.
func TestRemovedUnderARunningNameNode(t *testing.T) {
	bin := program(t)
	for what, remove := range map[string]func(dir string) error{
		"directory removed": os.RemoveAll,
		"directory renamed": func(dir string) error { return os.Rename(dir, dir+".old") },
		"segment removed": func(dir string) error {
			open, err := filepath.Glob(dir + "/current/edits_inprogress_*")
			if err == nil {
				err = os.Remove(open[0])
			}
			return err
		},
	} {
		dir := filepath.Join(t.TempDir(), "name")
		name := "-Ddfs.namenode.name.dir=" + dir
		out, err := exec.Command(bin, "format", name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		cmd := exec.Command(bin, "run", name, "-Ddfs.namenode.rpc-address=127.0.0.1:0", "-Ddfs.namenode.http-address=127.0.0.1:0")
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // has ended, if all is well
		var said bytes.Buffer
		serving := regexp.MustCompile(`msg=serving rpc=\S+ http=(\S+)`)
		buf := make([]byte, 4096)
		for serving.FindSubmatch(said.Bytes()) == nil {
			n, err := stderr.Read(buf)
			require.NoError(t, err, "%s", said.String())
			said.Write(buf[:n])
		}
		health := "http://" + string(serving.FindSubmatch(said.Bytes())[1]) + "/healthz"
		answer, err := http.Get(health)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		answer.Body.Close()
		require.NoError(t, remove(dir), what)
		rest, err := io.ReadAll(stderr) // until it ends
		require.NoError(t, err)
		said.Write(rest)
		_ = cmd.Wait() // its exit code is looked at
		require.Equal(t, 3, cmd.ProcessState.ExitCode(), "%s: %s", what, said.String())
		require.Contains(t, said.String(), "removed, renamed or replaced under the running name node", what)
		if strings.HasPrefix(what, "segment") {
			require.Contains(t, said.String(), "nothing acknowledged is lost")
			n, err := nameNode(vfs.OS(), nil, dir)
			require.NoError(t, err)
			require.NoError(t, n.Close())
		}
	}
}
