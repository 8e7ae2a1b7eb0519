package minicluster_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockmanager"
	"redoubt/client"
	"redoubt/dfs"
	"redoubt/internal/minicluster"
	"redoubt/namenode"
)

const raidBlock = 1 << 20

// raidCluster runs datanodes on a rack each, with a clock that is fast enough to watch.
func raidCluster(t *testing.T, dir string, nodes int) (*minicluster.Cluster, *client.Client) {
	t.Helper()
	c := start(t, minicluster.Config{Dir: dir, Datanodes: nodes, Racks: nodes, NameNode: func(cfg *namenode.Config) {
		cfg.Files.Defaults.BlockSize = raidBlock
		cfg.Blocks.Liveness = blockmanager.Liveness{Heartbeat: 200 * time.Millisecond, Recheck: time.Second, Stale: 2 * time.Second}
		cfg.Blocks.Repair.Interval = 200 * time.Millisecond
		cfg.Blocks.Parity = blockmanager.Folding{Idle: 500 * time.Millisecond, Retry: 500 * time.Millisecond}
	}})
	return c, open(t, c)
}

// eventually waits for something that the cluster does by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 60*time.Second, 50*time.Millisecond, what)
}

// standing is what all replicas of all nodes add up to.
func standing(c *minicluster.Cluster) (groups, members, candidates, replicas int64) {
	n, b := c.NameNode().Counts(), c.NameNode().Blocks()
	return n.Groups, n.Members, b.Parity.Candidates, b.Blocks.Replicas
}

func page(t *testing.T, c *minicluster.Cluster, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + c.HTTPAddr() + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// ask checks a path as hdfs fsck does.
func ask(t *testing.T, c *minicluster.Cluster, path string, flags ...string) string {
	t.Helper()
	st, err := c.NameNode().FileInfo(&dfs.Caller{User: "anyone"}, "/", true)
	require.NoError(t, err)
	q := url.Values{"ugi": {st.Owner}, "path": {path}}
	for _, f := range flags {
		q.Set(f, "1")
	}
	return page(t, c, "/fsck?"+q.Encode())
}

// TestRAID5 is the life of files under RAID5 on real datanodes: they are written by pipelines
// of two, folded, read with a node gone, made again, read after a restart, appended to, cut,
// and removed without a trace.
func TestRAID5(t *testing.T) {
	dir := t.TempDir()
	c, cl := raidCluster(t, dir, 6)
	_, err := cl.Mkdirs(t.Context(), "/r", 0o755, true)
	require.NoError(t, err)
	require.NoError(t, cl.SetStoragePolicy(t.Context(), "/r", "RAID5"))
	data := map[string][]byte{}
	put := func(name string, size int) {
		data[name] = random(size)
		write(t, cl, name, data[name])
	}
	check := func() {
		t.Helper()
		for name, want := range data {
			require.True(t, bytes.Equal(want, read(t, cl, name)), name)
		}
	}
	for i := range 8 {
		put(fmt.Sprintf("/r/f%d", i), 2*raidBlock)
	}
	eventually(t, "all blocks are grouped, and their second replicas gone", func() bool {
		groups, members, candidates, replicas := standing(c)
		return groups >= 4 && members+candidates == 16 && candidates <= 2 && replicas == groups+members+2*candidates
	})
	groups, members, candidates, _ := standing(c)
	t.Logf("%d groups, %d members, %d alone", groups, members, candidates)
	require.LessOrEqual(t, c.NameNode().Counts().ParityBytes, groups*raidBlock)
	check()
	require.Contains(t, ask(t, c, "/r", "files", "blocks", "locations"), "parity: policy=RAID5, 2 block(s):  OK")
	require.Contains(t, ask(t, c, "/r"), "is HEALTHY")
	metrics, beans := page(t, c, "/metrics"), page(t, c, "/jmx?get=Hadoop:service=NameNode,name=ParityGroups::Groups")
	require.Contains(t, metrics, fmt.Sprintf("\nredoubt_namenode_parity_groups %d\n", groups))
	require.Contains(t, metrics, fmt.Sprintf("\nredoubt_namenode_parity_members %d\n", members))
	require.Contains(t, metrics, fmt.Sprintf("\nredoubt_namenode_parity_candidates %d\n", candidates))
	require.Contains(t, metrics, "\nredoubt_namenode_parity_degraded 0\n")
	require.Contains(t, metrics, fmt.Sprintf("\nredoubt_namenode_parity_folds_total %d\n", c.NameNode().Blocks().Parity.Folds))
	require.Contains(t, beans, fmt.Sprintf(`"Groups": %d`, groups))

	require.NoError(t, c.StopDataNode(2))
	check() // before anybody has noticed
	eventually(t, "the node is dead", func() bool { return c.NameNode().Blocks().Nodes.Dead == 1 })
	check()
	eventually(t, "what it had is made again", func() bool {
		b := c.NameNode().Blocks()
		groups, members, candidates, replicas := standing(c)
		return b.Parity.Degraded == 0 && b.Blocks.LowRedundancy == 0 && replicas == groups+members+2*candidates
	})
	require.Contains(t, ask(t, c, "/"), "Degraded groups:\t\t0")
	check()
	require.NoError(t, c.StartDataNode(t.Context(), 2))
	eventually(t, "its old replicas are gone", func() bool {
		groups, members, candidates, replicas := standing(c)
		return replicas == groups+members+2*candidates
	})
	require.NoError(t, c.StopNameNode())
	require.NoError(t, c.StartNameNode(t.Context()))
	require.NoError(t, c.WaitReady(t.Context()))
	eventually(t, "safe mode is over", func() bool { return c.NameNode().SafeModeText() == "" })
	check()
	changeFiles(t, cl, data)
	check()
	for name := range data {
		_, err := cl.Delete(t.Context(), name, false)
		require.NoError(t, err)
	}
	eventually(t, "nothing is left", func() bool {
		groups, members, _, replicas := standing(c)
		return groups == 0 && members == 0 && replicas == 0
	})
}

// changeFiles appends to files whose last block is in a group, and cuts one inside such a block.
func changeFiles(t *testing.T, cl *client.Client, data map[string][]byte) {
	t.Helper()
	w, err := cl.Append(t.Context(), "/r/f0", client.AppendOptions{})
	require.NoError(t, err)
	more := random(12345)
	_, err = w.Write(more)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	data["/r/f0"] = append(data["/r/f0"], more...)
	for _, length := range []int64{raidBlock + 1000, 77} {
		_, err := cl.Truncate(t.Context(), "/r/f1", length)
		require.NoError(t, err)
		eventually(t, "the cut is done", func() bool {
			st, err := cl.Stat(t.Context(), "/r/f1")
			closed, err2 := cl.IsFileClosed(t.Context(), "/r/f1")
			return err == nil && err2 == nil && closed && st.Length == length
		})
		data["/r/f1"] = data["/r/f1"][:length]
		require.True(t, bytes.Equal(data["/r/f1"], read(t, cl, "/r/f1")))
	}
}
