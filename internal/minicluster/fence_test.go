package minicluster

import (
	"bytes"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nameserver"
	"redoubt/namenode"
	"redoubt/vfs"
)

// logBuffer is a log that a test reads while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// copyLive copies a directory that somebody writes to, without its lock.
func copyLive(t *testing.T, from, to string) {
	require.NoError(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if d.Name() == "in_use.lock" {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

// eventually waits for a condition of another goroutine's making.
func eventually(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, 5*time.Millisecond, what)
}

// TestTwoNameNodesOnCopies starts a second name node on a copy of the first one's directory,
// with datanodes that are told of both. They serve the newer one. The older one can't change
// or remove anything any more, and both sides say why; what only the older one knows stays.
func TestTwoNameNodesOnCopies(t *testing.T) {
	dir, log1, log2, logD := t.TempDir(), new(logBuffer), new(logBuffer), new(logBuffer)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the second one's address, known beforehand
	require.NoError(t, err)
	second := l.Addr().String()
	require.NoError(t, l.Close())
	c, err := Start(t.Context(), Config{Dir: dir, Datanodes: 2, HTTPPort: -1,
		NameNode: func(cfg *namenode.Config) { cfg.Log = log1.logger() },
		DataNode: func(_ int, cfg *datanode.Config) {
			cfg.NameNodes, cfg.Log = append(cfg.NameNodes, second), logD.logger()
		}})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	h := &history{t: t}
	common, mine := map[string][]byte{}, map[string][]byte{}
	h.writeFiles(c, common, "/common")
	copyLive(t, filepath.Join(dir, "name"), filepath.Join(dir, "copy"))
	h.writeFiles(c, mine, "/mine")
	before := replicasOn(t, dir)

	nn2, err := nameserver.Start(t.Context(), nameserver.Config{RPC: second, HTTP: "-", NameNode: namenode.Config{
		FS: vfs.OS(), NameDirs: []string{filepath.Join(dir, "copy")}, Superuser: hadoopconf.User(os.LookupEnv), Log: log2.logger(),
		SafeMode: namenode.SafeModeConfig{Extension: -1}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, nn2.Close()) }()
	eventually(t, func() bool { return nn2.NameNode().Blocks().Nodes.Live == 2 }, "the newer one gets the datanodes")
	eventually(t, func() bool { return strings.Contains(c.NameNode().SafeModeText(), "newer start epoch") }, "the older one learns of it")

	require.True(t, dfs.Is(c.NameNode().Superseded(), dfs.Fenced), "and is not healthy any more")
	require.NoError(t, nn2.NameNode().Superseded())
	super := &dfs.Caller{User: hadoopconf.User(os.LookupEnv)}
	_, err = c.NameNode().Delete(t.Context(), super, "/common-0", false)
	require.True(t, dfs.Is(err, dfs.SafeMode), "the older one changes nothing any more: %v", err)
	require.Contains(t, log1.String(), "another name node of this cluster has taken over")
	eventually(t, func() bool { return strings.Contains(logD.String(), "has served a newer one of the same cluster") }, "the datanodes say whom they refuse")

	said := regexp.MustCompile(`newer=(\S+)`).FindStringSubmatch(log1.String())
	require.Contains(t, logD.String(), "a newer one of the same cluster, "+said[1], "both sides name the epoch alike")

	// The newer one is behind: what the first acknowledged later it keeps, and says so.
	eventually(t, func() bool { return nn2.NameNode().Blocks().Blocks.Future > 0 }, "it meets what only the other one knows")
	require.Contains(t, nn2.NameNode().SafeModeText(), "older copy of the name directory")
	_, err = nn2.NameNode().SetSafeMode(t.Context(), super, dfs.SafeModeForceExit)
	require.NoError(t, err)
	cl, err := client.Open(client.Config{NameNodes: []string{second}, User: super.User})
	require.NoError(t, err)
	defer cl.Close()
	for p, want := range common {
		got, err := readFile(t.Context(), cl, p)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	ok, err := cl.Delete(t.Context(), "/common-4", false)
	require.NoError(t, err)
	require.True(t, ok)
	eventually(t, func() bool { return len(replicasOn(t, dir)) < len(before) }, "what the newer one removes goes")
	left := replicasOn(t, dir)
	require.GreaterOrEqual(t, len(left), len(before)-2, "but only that")
	_, err = c.NameNode().SetSafeMode(t.Context(), super, dfs.SafeModeLeave)
	require.NoError(t, err)
	require.NotEmpty(t, c.NameNode().SafeModeText(), "without force the older one stays where it is")
	require.Equal(t, 1, strings.Count(log1.String(), "has taken over"), "not at every heartbeat of every datanode")
}

// TestTwoProcessesWithOneIdentity starts a datanode on a copy of another one's volume. The
// second is refused as long as the first lives, and takes its place when it is gone.
func TestTwoProcessesWithOneIdentity(t *testing.T) {
	dir, log := t.TempDir(), new(logBuffer)
	clone := filepath.Join(dir, "clone")
	c, err := Start(t.Context(), Config{Dir: dir, Datanodes: 2, HTTPPort: -1, Log: log.logger(),
		DataNode: func(i int, cfg *datanode.Config) {
			if i == 1 {
				cfg.Volumes[0].Dir = clone
			}
			cfg.Timeouts.Heartbeat = 20 * time.Millisecond
		}})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	require.NoError(t, c.StopDataNode(1))
	h := &history{t: t}
	files := map[string][]byte{}
	cl := h.client(c)
	defer cl.Close()
	require.NoError(t, os.RemoveAll(clone))
	copyLive(t, filepath.Join(dir, "data1"), clone)

	require.NoError(t, c.startDataNode(t.Context(), 1))
	second := c.DataNode(1)
	select {
	case <-second.Done():
	case <-time.After(time.Minute):
		t.Fatal("the second process is not refused")
	}
	require.ErrorContains(t, second.Err(), "two processes have the same identity")
	require.Contains(t, strings.Join(c.NameNode().Warnings(), "\n"), "two processes have the identity of one datanode")
	require.Contains(t, log.String(), "the second one is refused")
	require.NoError(t, c.StopDataNode(1))
	w, err := cl.Create(t.Context(), "/one", client.CreateOptions{Replication: 1})
	require.NoError(t, err, "the first one serves on")
	files["/one"] = content("one")
	_, err = w.Write(files["/one"])
	require.NoError(t, err)
	require.NoError(t, w.Close())

	require.NoError(t, c.StopDataNode(0))
	require.NoError(t, c.StartDataNode(t.Context(), 1), "with the first one gone, the copy is the datanode")
}
