package namenode

import (
	"context"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// SoftwareVersion is what this program calls itself towards datanodes and clients.
const SoftwareVersion = dfs.SoftwareVersion

// Info tells which cluster this is.
func (n *NameNode) Info() dfs.ClusterInfo { return n.cluster }

// ServerDefaults tells what clients take where their user has no wish.
func (n *NameNode) ServerDefaults() dfs.ServerDefaults { return n.cfg.Files.Defaults }

// FsStats sums up the cluster.
func (n *NameNode) FsStats() dfs.FsStats {
	n.state.RLock()
	defer n.state.RUnlock()
	s := n.blocks.Stats(n.clock())
	return dfs.FsStats{
		Capacity: s.Capacity, Used: s.Used, Remaining: s.Remaining,
		UnderReplicated: s.Blocks.LowRedundancy, Corrupt: s.Blocks.Corrupt, Missing: s.Blocks.Missing,
		MissingReplOne: s.Blocks.MissingReplOne, BlocksInFuture: s.Blocks.FutureBytes, PendingDeletion: s.Blocks.PendingDeletion,
	}
}

// administer starts a call that only the superuser may make; cmd is HDFS's name for it.
func (n *NameNode) administer(c *dfs.Caller, cmd string) (*request, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	if err := r.superuser(cmd); err != nil {
		r.audit(err, cmd, "", "", nil)
		n.end(r)
		return nil, err
	}
	return r, nil
}

// DatanodeReport lists datanodes of a kind.
func (n *NameNode) DatanodeReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeInfo, error) {
	r, err := n.administer(c, "datanodeReport")
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	var out []dfs.DatanodeInfo
	for _, d := range n.blocks.Nodes(typ) {
		out = append(out, *d)
	}
	r.audit(nil, "datanodeReport", "", "", nil)
	return out, nil
}

// DatanodeStorageReport lists datanodes of a kind with their volumes.
func (n *NameNode) DatanodeStorageReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeStorageReport, error) {
	r, err := n.administer(c, "getDatanodeStorageReport")
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	r.audit(nil, "getDatanodeStorageReport", "", "", nil)
	return n.blocks.StorageReports(typ), nil
}

// SetSafeMode enters, leaves or asks about safe mode and tells whether it is on now.
func (n *NameNode) SetSafeMode(ctx context.Context, c *dfs.Caller, action dfs.SafeModeAction) (bool, error) {
	if action == dfs.SafeModeGet {
		return n.safe.isOn(), nil
	}
	cmd := map[dfs.SafeModeAction]string{dfs.SafeModeEnter: "safemode_enter", dfs.SafeModeLeave: "safemode_leave", dfs.SafeModeForceExit: "safemode_force_exit"}[action]
	if cmd == "" {
		return false, dfs.Errorf(dfs.IllegalArgument, "unexpected safe mode action %d", action)
	}
	r, err := n.administer(c, cmd)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	if action == dfs.SafeModeEnter {
		n.safe.enter()
		n.blocks.SetPaused(true)
		n.log.Warn("safe mode is on: entered by hand", "user", r.who.user)
	} else if err := n.leaveSafeMode(ctx, r, action == dfs.SafeModeForceExit); err != nil {
		return n.safe.isOn(), err
	}
	r.audit(nil, cmd, "", "", nil)
	return n.safe.isOn(), nil
}

// leaveSafeMode ends safe mode. What tells of another history of the cluster holds it up
// until it is forced, as in HDFS.
func (n *NameNode) leaveSafeMode(ctx context.Context, r *request, force bool) error {
	if n.safe.isHeld() {
		if !force {
			n.log.Error("safe mode is not left without force", "why", n.safe.explain(r.now), "user", r.who.user)
			return nil
		}
		if err := n.goOn(ctx); err != nil {
			return err
		}
	}
	n.state.RLock()
	defer n.state.RUnlock()
	if !n.safe.isOn() {
		return nil
	}
	startup := n.safe.isStartup()
	n.safe.leave()
	n.blocks.SetPaused(false)
	if startup {
		n.blocks.SetStartup(r.now, false)
	}
	n.wakeTick()
	n.log.Info("safe mode is off: left by hand", "user", r.who.user)
	return nil
}

// SaveNamespace writes a checkpoint, in safe mode only. With a window it does nothing if
// the last one is younger than timeWindow seconds and less than txGap transactions old.
func (n *NameNode) SaveNamespace(ctx context.Context, c *dfs.Caller, timeWindow, txGap int64) (bool, error) {
	r, err := n.administer(c, "saveNamespace")
	if err != nil {
		return false, err
	}
	defer n.end(r)
	if !n.safe.isOn() {
		return false, &dfs.Error{Kind: dfs.Other, Msg: "Safe mode should be turned ON in order to create namespace image."}
	}
	if timeWindow > 0 || txGap > 0 {
		s := n.journal.Stats()
		last := s.Checkpoint
		if !last.At.IsZero() && r.now.Sub(last.At) < time.Duration(timeWindow)*time.Second && int64(s.LastTx-last.TxID) <= txGap {
			return false, nil
		}
	}
	_, err = n.journal.Checkpoint(ctx)
	r.audit(err, "saveNamespace", "", "", nil)
	return err == nil, err
}

// RollEdits starts a new log segment and gives its first TxID.
func (n *NameNode) RollEdits(ctx context.Context, c *dfs.Caller) (dfs.TxID, error) {
	r, err := n.administer(c, "rollEditLog")
	if err != nil {
		return 0, err
	}
	defer n.end(r)
	if n.safe.isOn() {
		return 0, &dfs.Error{Kind: dfs.SafeMode, Msg: "Log not rolled. Name node is in safe mode.\n" + n.safe.explain(r.now)}
	}
	txid, err := n.journal.Roll(ctx)
	r.audit(err, "rollEditLog", "", "", nil)
	return txid, err
}

// RefreshNodes reads again which datanodes may register and which are to be drained.
func (n *NameNode) RefreshNodes(ctx context.Context, c *dfs.Caller) error {
	r, err := n.administer(c, "refreshNodes")
	if err != nil {
		return err
	}
	defer n.end(r)
	if err := n.readHosts(); err != nil {
		return err
	}
	n.setAdmin(r.now)
	r.audit(nil, "refreshNodes", "", "", nil)
	n.wakeTick()
	return nil
}

// openFilesPage is how many open files one answer holds.
const openFilesPage = 1000

// OpenFiles lists files being written, in order of inode, at and below a path; or of these
// only the ones whose open blocks keep a datanode from leaving service.
func (n *NameNode) OpenFiles(c *dfs.Caller, after dfs.InodeID, path string, blocking bool) (files []dfs.OpenFile, more bool, err error) {
	r, err := n.administer(c, "listOpenFiles")
	if err != nil {
		return nil, false, err
	}
	defer n.end(r)
	below := strings.TrimSuffix(path, "/") + "/"
	n.state.RLock()
	defer n.state.RUnlock()
	var only map[dfs.InodeID]bool
	if blocking {
		only = n.blockDecommission()
	}
	for {
		page := n.ns.OpenFiles(after, openFilesPage)
		for _, o := range page {
			after = o.ID
			p, ok := n.ns.Path(o.ID)
			if !ok || blocking && !only[o.ID] || path != "" && p != path && !strings.HasPrefix(p, below) {
				continue
			}
			if len(files) == openFilesPage {
				return files, true, nil
			}
			files = append(files, dfs.OpenFile{ID: o.ID, Path: p, Holder: o.Holder, Machine: o.Machine})
		}
		if len(page) < openFilesPage {
			r.audit(nil, "listOpenFiles", path, "", nil)
			return files, false, nil
		}
	}
}

// blockDecommission gives the files with open blocks on datanodes that are to leave service.
// The caller holds the state's read lock.
func (n *NameNode) blockDecommission() map[dfs.InodeID]bool {
	files := map[dfs.InodeID]bool{}
	for _, id := range n.blocks.OpenOnLeaving() {
		if b, ok := n.ns.Block(id); ok {
			files[b.File] = true
		}
	}
	return files
}

// maxCorruptFiles is dfs.namenode.max-corrupt-file-blocks-returned.
const maxCorruptFiles = 100

// CorruptFiles lists files at and below a path with blocks that have no good replica.
// cookie goes on where an earlier answer ended.
func (n *NameNode) CorruptFiles(c *dfs.Caller, path, cookie string) (paths []string, next string, err error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, "", err
	}
	defer n.end(r)
	var after uint64
	if cookie != "" {
		if after, err = strconv.ParseUint(cookie, 10, 64); err != nil {
			return nil, "", dfs.Errorf(dfs.IllegalArgument, "cookie %q is not a number", cookie)
		}
	}
	below := strings.TrimSuffix(path, "/") + "/"
	n.state.RLock()
	defer n.state.RUnlock()
	for len(paths) < maxCorruptFiles {
		ids := n.blocks.Missing(dfs.BlockID(after), maxCorruptFiles)
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			if len(paths) == maxCorruptFiles {
				break
			}
			after = uint64(id)
			b, ok := n.ns.Block(id)
			if !ok {
				continue
			}
			if p, ok := n.ns.Path(b.File); ok && (path == "" || p == path || strings.HasPrefix(p, below)) {
				paths = append(paths, p)
			}
		}
	}
	return paths, strconv.FormatUint(after, 10), nil
}

// Groups gives the groups that a user is taken to be in.
func (n *NameNode) Groups(user string) ([]string, error) { return n.groups.lookup(user, n.clock()) }

// RefreshGroups forgets what is cached about users' groups. Anybody may ask for that, as
// in HDFS when it authorizes no protocols.
func (n *NameNode) RefreshGroups(*dfs.Caller) error {
	n.groups.forget()
	return nil
}

// Counts tells the sizes of the namespace, for metrics.
func (n *NameNode) Counts() namespace.Counts {
	n.state.RLock()
	defer n.state.RUnlock()
	return n.ns.Counts()
}

// CheckSuperuser refuses a caller that is no superuser.
func (n *NameNode) CheckSuperuser(c *dfs.Caller, op string) error {
	r, err := n.administer(c, op)
	if err != nil {
		return err
	}
	n.end(r)
	return nil
}

// LastTxID is the last transaction that is applied.
func (n *NameNode) LastTxID() dfs.TxID {
	n.state.RLock()
	defer n.state.RUnlock()
	return n.ns.Applied()
}
