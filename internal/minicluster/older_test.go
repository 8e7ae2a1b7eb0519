package minicluster

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

var (
	olderRuns = flag.Int("minicluster.older", 6, "combinations of older copies to try, 0 for all of them")
	olderSeed = flag.Uint64("minicluster.seed", 1, "which ones")
)

// history is a cluster of a name node and three datanodes of which copies were made.
type history struct {
	t      *testing.T
	copies string // DIR/VERSION/{name,data1,data2,data3}
	// written is what was acknowledged under a path in each version.
	written []map[string][]byte
}

const (
	olderVersions = 3
	olderNodes    = 3
	olderFiles    = 6 // written in each version: 2 of one replica, 2 of two, 2 of three
)

// content is different for every version, file and round of writing.
func content(parts ...any) []byte {
	return bytes.Repeat([]byte(fmt.Sprint(parts...)+"\n"), 300)
}

func newOlderHistory(t *testing.T) *history {
	h := &history{t: t, copies: t.TempDir()}
	dir := t.TempDir()
	known := map[string][]byte{}
	for v := range olderVersions {
		c := h.start(dir)
		require.NoError(t, c.WaitReady(t.Context()))
		h.writeFiles(c, known, fmt.Sprintf("/v%d", v))
		if v > 0 {
			// Changes of older files: a new stamp, and ids that are gone.
			h.appendTo(c, known, fmt.Sprintf("/v%d-2", v-1))
			h.remove(c, known, fmt.Sprintf("/v%d-5", v-1))
		}
		require.NoError(t, c.Close())
		at := map[string][]byte{}
		for p, b := range known {
			at[p] = b
		}
		h.written = append(h.written, at)
		require.NoError(t, os.CopyFS(filepath.Join(h.copies, fmt.Sprint(v)), os.DirFS(dir)))
	}
	return h
}

// start starts a name node and datanodes and does not wait until these are known.
func (h *history) start(dir string) *Cluster {
	c, err := Start(h.t.Context(), Config{Dir: dir, Datanodes: -1, HTTPPort: -1})
	require.NoError(h.t, err)
	c.nodes = make([]*datanode.DataNode, olderNodes)
	for i := range olderNodes {
		require.NoError(h.t, c.startDataNode(h.t.Context(), i))
	}
	return c
}

func (h *history) client(c *Cluster) *client.Client {
	cl, err := client.Open(client.Config{NameNodes: []string{c.RPCAddr()}, User: hadoopconf.User(os.LookupEnv), Read: client.ReadConfig{Attempts: 1}})
	require.NoError(h.t, err)
	return cl
}

func (h *history) writeFiles(c *Cluster, known map[string][]byte, name string) {
	cl := h.client(c)
	defer cl.Close()
	for i := range olderFiles {
		p := fmt.Sprintf("%s-%d", name, i)
		data := content(p, rand.Uint64())
		w, err := cl.Create(h.t.Context(), p, client.CreateOptions{Replication: uint16(i/2 + 1)})
		require.NoError(h.t, err)
		_, err = w.Write(data)
		require.NoError(h.t, err)
		require.NoError(h.t, w.Close())
		known[p] = data
	}
}

func (h *history) appendTo(c *Cluster, known map[string][]byte, p string) {
	cl := h.client(c)
	defer cl.Close()
	w, err := cl.Append(h.t.Context(), p, client.AppendOptions{})
	require.NoError(h.t, err)
	more := content("more", p)
	_, err = w.Write(more)
	require.NoError(h.t, err)
	require.NoError(h.t, w.Close())
	known[p] = append(bytes.Clone(known[p]), more...)
}

func (h *history) remove(c *Cluster, known map[string][]byte, p string) {
	cl := h.client(c)
	defer cl.Close()
	ok, err := cl.Delete(h.t.Context(), p, false)
	require.NoError(h.t, err)
	require.True(h.t, ok)
	delete(known, p)
}

// TestOlderCopiesOfEverything puts older copies of name directory and volumes together in
// every combination, as after a restore of backups, a cloned disk or a lost end of the log.
// No read may ever give other bytes than were written under that path at that time, whatever
// is written afterwards; what only the older name node does not know stays on the disks; and
// a name node of the past says so and waits to be told.
func TestOlderCopiesOfEverything(t *testing.T) {
	h := newOlderHistory(t)
	var all [][olderNodes + 1]int
	for n := range 81 {
		all = append(all, [...]int{n / 27, n / 9 % 3, n / 3 % 3, n % 3})
	}
	if *olderRuns > 0 {
		rng := rand.New(rand.NewPCG(*olderSeed, 0))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		// The worst ones are always among them: an old name directory under new volumes.
		all = append([][olderNodes + 1]int{{0, 2, 2, 2}, {1, 2, 1, 0}, {2, 0, 0, 0}}, all...)[:*olderRuns]
	}
	reads, wrong, held := 0, 0, 0
	for _, pick := range all {
		t.Run(fmt.Sprint(pick), func(t *testing.T) {
			r := h.restore(t, pick)
			reads, wrong = reads+r.reads, wrong+r.wrong
			if r.held {
				held++
			}
		})
	}
	t.Logf("%d combinations, %d reads, %d wrong; %d name nodes of the past waited to be told", len(all), reads, wrong, held)
	require.Zero(t, wrong)
}

type outcome struct {
	reads, wrong int
	held         bool
}

// restore runs a cluster of a combination of copies: it reads what was there, writes, reads
// again, and looks at what is left on the disks.
func (h *history) restore(t *testing.T, pick [olderNodes + 1]int) (out outcome) {
	dir := t.TempDir()
	past := false
	for i, part := range []string{"name", "data1", "data2", "data3"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(h.copies, fmt.Sprint(pick[i]), part))))
		past = past || pick[i] > pick[0]
	}
	before := replicasOn(t, dir)
	h = &history{t: t, copies: h.copies, written: h.written}
	c := h.start(dir)
	defer func() { require.NoError(t, c.Close()) }()
	out.held = leaveSafeMode(t, c)
	require.Equal(t, past, out.held, "a name node of the past waits to be told, any other one does not")
	known := h.written[pick[0]]
	ours := map[string][]byte{}
	for round := range 2 {
		h.writeFiles(c, ours, fmt.Sprintf("/new%d", round))
		if round > 0 { // and once more after a restart, with all that was accepted
			require.NoError(t, c.StopNameNode())
			require.NoError(t, c.StartNameNode(t.Context()))
			require.NoError(t, c.WaitReady(t.Context()))
			require.False(t, leaveSafeMode(t, c), "what was accepted holds up no later start")
		}
		h.readAll(c, known, ours, &out)
	}
	if past {
		require.Subset(t, replicasOn(t, dir), h.unknownTo(t, pick, before), "what only newer histories know was removed")
	}
	return out
}

// leaveSafeMode waits for the datanodes and ends safe mode, by force where only that does it.
func leaveSafeMode(t *testing.T, c *Cluster) (held bool) {
	nn := c.NameNode()
	super := &dfs.Caller{User: hadoopconf.User(os.LookupEnv)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		require.NoError(t, ctx.Err(), nn.Warnings())
		nodes := nn.Blocks().Nodes
		ready := nodes.Live == olderNodes && nodes.ReportsPending == 0
		for i := range olderNodes {
			select {
			case <-c.DataNode(i).Ready():
			default:
				ready = false
			}
		}
		if strings.Contains(nn.SafeModeText(), "forceExit") {
			on, err := nn.SetSafeMode(ctx, super, dfs.SafeModeLeave)
			require.NoError(t, err)
			require.True(t, on, "a plain leave is not enough")
			_, err = nn.SetSafeMode(ctx, super, dfs.SafeModeForceExit)
			require.NoError(t, err)
			held = true
		}
		if ready {
			break
		}
	}
	_, err := nn.SetSafeMode(ctx, super, dfs.SafeModeForceExit) // blocks may be missing for ever
	require.NoError(t, err)
	return held
}

// readAll reads every file through every replica that the name node tells of.
func (h *history) readAll(c *Cluster, known, ours map[string][]byte, out *outcome) {
	cl := h.client(c)
	defer cl.Close()
	for _, files := range []map[string][]byte{known, ours} {
		for p, want := range files {
			for range 2 {
				got, err := readFile(h.t.Context(), cl, p)
				if err != nil {
					continue
				}
				if out.reads++; !bytes.Equal(want, got) {
					out.wrong++
					h.t.Errorf("%s: other bytes: %q", p, got[:min(len(got), 40)])
				}
			}
		}
	}
	for p := range ours {
		got, err := readFile(h.t.Context(), cl, p)
		require.NoError(h.t, err, "what was just written")
		require.Equal(h.t, ours[p], got)
	}
}

func readFile(ctx context.Context, cl *client.Client, p string) ([]byte, error) {
	f, err := cl.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// replicasOn lists the finalized replicas on all volumes, as volume/block_stamp.
func replicasOn(t *testing.T, dir string) (list []string) {
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".meta") && strings.Contains(p, "finalized") {
			rel, _ := filepath.Rel(dir, p)
			list = append(list, strings.SplitN(rel, string(filepath.Separator), 2)[0]+"/"+filepath.Base(p))
		}
		return err
	}))
	return list
}

// unknownTo lists those replicas that the name node's version had not handed out yet.
func (h *history) unknownTo(t *testing.T, pick [olderNodes + 1]int, before []string) (list []string) {
	issued := map[string]bool{}
	for v := range pick[0] + 1 {
		for _, r := range replicasOn(t, filepath.Join(h.copies, fmt.Sprint(v))) {
			issued[filepath.Base(r)] = true
		}
	}
	for _, r := range before {
		if !issued[filepath.Base(r)] {
			list = append(list, r)
		}
	}
	return list
}
