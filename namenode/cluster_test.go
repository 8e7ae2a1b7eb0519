package namenode

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
	"redoubt/wire/control"
)

// A repeated call gets its first answer, across a restart too, whatever has happened to
// the names since.
func TestRetryCache(t *testing.T) {
	r := newRig(t, 3)
	r.write("/a", 10)
	r.write("/app", 10)
	r.write("/keep", 1<<20, 1<<20, 10)
	type answers struct {
		del, ren bool
		id       dfs.InodeID
		block    dfs.Block
	}
	ask := func() (a answers) {
		st, err := r.Create(ctx, once("root", 1), newFile("/c", "w"))
		require.NoError(t, err)
		a.id = st.ID
		a.ren, err = r.Rename(ctx, once("root", 2), "/a", "/b")
		require.NoError(t, err)
		require.NoError(t, r.Rename2(ctx, once("root", 3), "/b", "/d", dfs.RenameOptions{}))
		a.del, err = r.Delete(ctx, once("root", 4), "/d", false)
		require.NoError(t, err)
		lb, _, err := r.Append(ctx, once("root", 5), "/app", "w2", 0)
		require.NoError(t, err)
		a.block = lb.Block
		return a
	}
	first := ask()
	require.True(t, first.del)
	require.True(t, first.ren)
	require.Equal(t, first, ask())
	r.restart()
	require.Equal(t, first, ask(), "after a restart, in safe mode even")
	_, err := r.Delete(ctx, once("root", 99), "/app", false)
	require.Equal(t, dfs.SafeMode, dfs.KindOf(err))

	// Only successes are remembered: a call that failed runs again.
	r.SetSafeMode(ctx, by("root"), dfs.SafeModeLeave)
	ok, err := r.Delete(ctx, once("root", 99), "/app", false)
	require.NoError(t, err)
	require.True(t, ok)
	// One id for two different calls is the client's mistake and must not be taken for success.
	err = func() error { _, err := r.Create(ctx, once("root", 99), newFile("/z", "w")); return err }()
	require.Equal(t, dfs.IllegalArgument, dfs.KindOf(err))
}

func TestConcurrentRetriesGetOneAnswer(t *testing.T) {
	r := newRig(t, 0)
	var wg sync.WaitGroup
	ids := make([]dfs.InodeID, 16)
	for i := range ids {
		wg.Go(func() {
			st, err := r.Create(ctx, once("root", 7), newFile("/f", "w"))
			if err == nil {
				ids[i] = st.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, r.stat("/f").ID, id)
	}
}

func TestSafeModeByHand(t *testing.T) {
	r := newRig(t, 3)
	r.write("/f", 10)
	_, err := r.SetSafeMode(ctx, by("bob"), dfs.SafeModeEnter)
	kindAndText(t, err, dfs.Permission, "Access denied for user bob. Superuser privilege is required for operation safemode_enter")
	_, err = r.SaveNamespace(ctx, by("root"), 0, 0)
	kindAndText(t, err, dfs.Other, "Safe mode should be turned ON in order to create namespace image.")
	on, err := r.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
	require.NoError(t, err)
	require.True(t, on)

	c := by("root")
	for name, call := range map[string]func() error{
		"create":        func() error { _, err := r.Create(ctx, c, newFile("/g", "w")); return err },
		"append":        func() error { _, _, err := r.Append(ctx, c, "/f", "w", 0); return err },
		"delete":        func() error { _, err := r.Delete(ctx, c, "/f", false); return err },
		"rename":        func() error { _, err := r.Rename(ctx, c, "/f", "/g"); return err },
		"chmod":         func() error { return r.SetPermission(ctx, c, "/f", 0o600) },
		"truncate":      func() error { _, err := r.Truncate(ctx, c, "/f", 1, "t"); return err },
		"concat":        func() error { return r.Concat(ctx, c, "/f", []string{"/f2"}) },
		"recoverLease":  func() error { _, err := r.RecoverLease(ctx, c, "/f", "w"); return err },
		"rollEdits":     func() error { _, err := r.RollEdits(ctx, c); return err },
		"storagePolicy": func() error { return r.SetStoragePolicy(ctx, c, "/f", "HOT") },
		"complete":      func() error { _, err := r.Complete(ctx, c, "/f", "w", nil, 0); return err },
	} {
		err := call()
		require.Equal(t, dfs.SafeMode, dfs.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "Name node is in safe mode.", name)
	}
	_, err = r.BlockLocations(c, "/f", 0, 10) // reading goes on
	require.NoError(t, err)
	saved, err := r.SaveNamespace(ctx, c, 0, 0)
	require.NoError(t, err)
	require.True(t, saved)
	saved, err = r.SaveNamespace(ctx, c, 3600, 1000)
	require.NoError(t, err)
	require.False(t, saved, "the last one is young enough")
	on, err = r.SetSafeMode(ctx, c, dfs.SafeModeLeave)
	require.NoError(t, err)
	require.False(t, on)
	tx, err := r.RollEdits(ctx, c)
	require.NoError(t, err)
	require.Equal(t, r.LastTxID()+1, tx)
}

func TestSafeModeExtension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, func(c *Config) { c.SafeMode.Extension = 30 * time.Second })
		defer r.stop()
		blocks := r.write("/f", 10, 20, 30)
		r.restart()
		r.pass(2 * time.Second)
		require.True(t, r.safe.isOn())
		for _, d := range r.nodes {
			d.report(blocks...)
		}
		require.Contains(t, r.SafeModeText(), "3 of 3 blocks are reported")
		r.pass(29 * time.Second)
		require.True(t, r.safe.isOn())
		r.pass(2 * time.Second)
		require.False(t, r.safe.isOn())
	})
}

// A dead datanode's blocks are copied by others without anybody asking.
func TestReplicationAfterADatanodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		defer r.stop()
		r.write("/f", 10)
		lb, err := r.BlockLocations(by("root"), "/f", 0, 10)
		require.NoError(t, err)
		dead := lb.Blocks[0].Locs[0].Node.UUID
		transferred := func() bool {
			for _, d := range r.nodes {
				for _, c := range d.orders {
					if c.Kind == control.CmdTransfer && c.Block.ID == lb.Blocks[0].ID {
						return true
					}
				}
			}
			return false
		}
		for range 700 {
			time.Sleep(time.Second)
			for _, d := range r.nodes {
				if d.id.UUID != dead {
					d.beat()
				}
			}
			synctest.Wait()
		}
		require.True(t, transferred())
		require.Equal(t, 1, r.Blocks().Nodes.Dead)
		dn, err := r.DatanodeReport(by("root"), dfs.ReportDead)
		require.NoError(t, err)
		require.Len(t, dn, 1)
		reply, err := r.Heartbeat(ctx, &control.HeartbeatRequest{UUID: dead})
		require.NoError(t, err)
		require.Equal(t, control.CmdRegister, reply.Commands[0].Kind)
	})
}

func TestForeignDatanodesAreRefused(t *testing.T) {
	r := newRig(t, 1)
	other := r.Info()
	other.ClusterID = "CID-other"
	_, err := r.Register(ctx, &control.RegisterRequest{Node: dfs.DatanodeID{UUID: "x", IP: "10.0.0.9", XferPort: 1}, Cluster: other})
	kindAndText(t, err, dfs.IncorrectVersion, "CID-other")
	_, err = r.Register(ctx, &control.RegisterRequest{Node: dfs.DatanodeID{IP: "10.0.0.9", XferPort: 1}})
	require.Equal(t, dfs.IllegalArgument, dfs.KindOf(err))
	_, err = r.BlockReport(ctx, &control.BlockReportRequest{UUID: "dn-1", PoolID: "BP-other"})
	require.Equal(t, dfs.IncorrectVersion, dfs.KindOf(err))
	require.Equal(t, dfs.IncorrectVersion, dfs.KindOf(r.CommitSync(ctx, &control.CommitSyncRequest{PoolID: "BP-other"})))
	_, err = r.BlockReport(ctx, &control.BlockReportRequest{UUID: "dn-1", PoolID: r.Info().PoolID, Storage: "ds-1", Parts: 1, Count: 1 << 40, Blocks: []byte{1}})
	require.Error(t, err)
	reply, err := r.BlockReport(ctx, &control.BlockReportRequest{UUID: "nobody", PoolID: r.Info().PoolID, Storage: "ds-1", Parts: 1})
	require.NoError(t, err)
	require.Equal(t, control.CmdRegister, reply.Commands[0].Kind)
}

func TestHostLists(t *testing.T) {
	files := map[string]string{"/in": "10.0.0.1\nhost2 # comment\n10.0.0.3:9866\n", "/out": "\n"}
	r := newRig(t, 3, func(c *Config) {
		c.Hosts = HostsConfig{Include: "/in", Exclude: "/out", ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no " + name)
		}}
	})
	_, err := r.Register(ctx, &control.RegisterRequest{Node: dfs.DatanodeID{UUID: "x", IP: "10.0.0.4", Host: "host4", XferPort: 9866}})
	require.Equal(t, dfs.DisallowedDatanode, dfs.KindOf(err))
	files["/out"] = "host2"
	require.Error(t, r.RefreshNodes(ctx, by("bob")))
	require.NoError(t, r.RefreshNodes(ctx, by("root")))
	draining, err := r.DatanodeReport(by("root"), dfs.ReportAll)
	require.NoError(t, err)
	states := map[string]bool{}
	for _, d := range draining {
		states[d.UUID] = d.Admin == dfs.AdminNormal
	}
	require.Equal(t, map[string]bool{"dn-1": true, "dn-2": false, "dn-3": true}, states)
	delete(files, "/out")
	require.ErrorContains(t, r.RefreshNodes(ctx, by("root")), "dfs.hosts.exclude")
}

func TestBadBlocks(t *testing.T) {
	r := newRig(t, 3)
	b := r.write("/f", 10)[0]
	var nodes []dfs.DatanodeID
	for _, d := range r.nodes {
		nodes = append(nodes, d.id)
	}
	require.NoError(t, r.ReportBadBlocks(ctx, by("bob"), []dfs.BadBlock{{Block: b, Nodes: nodes[:1], Storages: []string{"ds-1"}}}))
	lb, err := r.BlockLocations(by("root"), "/f", 0, 10)
	require.NoError(t, err)
	require.Len(t, lb.Blocks[0].Locs, 2)
	require.NoError(t, r.BadBlocks(ctx, &control.BadBlocksRequest{Reporter: "dn-2", Blocks: []dfs.BadBlock{{Block: b, Nodes: nodes}}}))
	lb, err = r.BlockLocations(by("root"), "/f", 0, 10)
	require.NoError(t, err)
	require.True(t, lb.Blocks[0].Corrupt)
	paths, _, err := r.CorruptFiles(by("root"), "/", "")
	require.NoError(t, err)
	require.Equal(t, []string{"/f"}, paths)
}

func TestBalancerBandwidth(t *testing.T) {
	r := newRig(t, 2)
	require.Equal(t, dfs.Permission, dfs.KindOf(r.SetBalancerBandwidth(by("bob"), 1)))
	require.NoError(t, r.SetBalancerBandwidth(by("root"), 12345))
	r.beatAll()
	r.beatAll()
	for _, d := range r.nodes {
		require.Len(t, d.orders, 1)
		require.Equal(t, control.CmdBandwidth, d.orders[0].Kind)
		require.Equal(t, int64(12345), d.orders[0].Value)
	}
}

func TestAuditTrail(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, 3, func(c *Config) { c.Audit = &out })
	r.mkdir("root", "/d", 0o750)
	_, _ = r.FileInfo(by("bob"), "/d/x", true)
	r.write("/f", 1)
	_, _ = r.Delete(ctx, by("bob"), "/f", false)
	_, _ = r.Delete(ctx, by("root"), "/none", false)
	r.stop()
	text := out.String()
	for _, want := range []string{
		"allowed=true\tugi=root (auth:SIMPLE)\tip=/10.0.0.1\tcmd=mkdirs\tsrc=/d\tdst=null\tperm=root:supergroup:rwxr-x---\tproto=rpc\n",
		"allowed=false\tugi=bob (auth:SIMPLE)\tip=/10.0.0.1\tcmd=getfileinfo\tsrc=/d/x\tdst=null\tperm=null\tproto=rpc\n",
		"allowed=true\tugi=root (auth:SIMPLE)\tip=/10.0.0.1\tcmd=create\tsrc=/f\tdst=null\tperm=root:supergroup:rw-r--r--\tproto=rpc\n",
		"allowed=false\tugi=bob (auth:SIMPLE)\tip=/10.0.0.1\tcmd=delete\tsrc=/f\tdst=null\tperm=null\tproto=rpc\n",
	} {
		require.Contains(t, text, want)
	}
	require.Equal(t, strings.Count(text, "\n"), strings.Count(text, " INFO FSNamesystem.audit: allowed="))
}

// When nothing can be made durable any more, nothing is answered that might be false, and
// the owner is told.
func TestJournalFailureIsFinal(t *testing.T) {
	mem := vfs.NewMem()
	faults := faultfs.New(mem)
	told := make(chan error, 1)
	r := newRig(t, 0, func(c *Config) {
		c.FS = faults
		c.OnFailure = func(err error) { told <- err }
	})
	r.mkdir("root", "/kept", 0o755)
	faults.SetHook(faultfs.FailOn(syscall.EIO, faultfs.Op.Changes))
	_, err := r.Mkdirs(ctx, by("root"), "/lost", 0o755, true)
	require.Error(t, err)
	require.NotNil(t, <-told)
	_, err = r.Mkdirs(ctx, by("root"), "/later", 0o755, true)
	kindAndText(t, err, dfs.Standby, "whether the operation took place is not known")
	require.False(t, r.exists("/lost"), "what is not durable is not visible")
	require.Error(t, r.Err())
	_ = r.Close() // its checkpoint fails too
	r.NameNode = nil
}
