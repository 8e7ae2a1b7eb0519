package namenode

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"redoubt/dfs"
	"redoubt/namespace"
)

// Sizes of the steps of a check, each under one hold of the state's lock.
const (
	checkInodes = 200
	checkBlocks = 100
)

// CheckTree tells how everything at and below a path stands, a directory before its entries
// and these in order of name. The state's lock is let go between steps and while fn runs. The
// caller must be allowed to list the directories and to read the files, as in HDFS.
func (n *NameNode) CheckTree(ctx context.Context, c *dfs.Caller, path string, fn func(*dfs.FileHealth) error) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	walk, err := r.startCheck(path)
	r.audit(err, "fsck", path, "", nil)
	if err != nil {
		return err
	}
	enter := func(p string, dir *namespace.Inode) error {
		if want := dfs.Read | dfs.Execute; !allows(dir, &r.who, want) {
			return deniedAt(&r.who, want, p, dir)
		}
		return nil
	}
	var found []visited
	for {
		n.state.RLock()
		found, err = walk.step(found[:0], n.ns, checkInodes, enter)
		n.state.RUnlock()
		for i := range found {
			if ctx.Err() != nil {
				return &dfs.Error{Op: "fsck", Kind: dfs.Canceled, Err: ctx.Err()}
			}
			if err := r.checkOne(&found[i], fn); err != nil {
				return err
			}
		}
		if err != nil || len(found) == 0 {
			return err
		}
	}
}

func (r *request) startCheck(path string) (*treeWalk, error) {
	r.n.state.RLock()
	defer r.n.state.RUnlock()
	if err := r.look(path, permit{}); err != nil {
		return nil, err
	}
	ino := target(&r.walk)
	if ino == nil {
		return nil, notFound(path)
	}
	return newTreeWalk(cleanPath(path), ino), nil
}

func cleanPath(p string) string { return path.Clean("/" + p) }

// checkOne describes one inode to fn, a file with its blocks. One that has gone meanwhile is
// passed over.
func (r *request) checkOne(v *visited, fn func(*dfs.FileHealth) error) error {
	f := &dfs.FileHealth{Path: v.path}
	n := r.n
	for offset, more := int64(0), true; more; {
		n.state.RLock()
		ino, ok := n.ns.Inode(v.ino.ID)
		if !ok {
			n.state.RUnlock()
			return nil
		}
		if offset == 0 {
			f.FileStatus, f.Open = n.ns.Status(&ino), ino.UnderConstruction
			f.StoragePolicy = n.policyOf(ino.ID)
		}
		if ino.IsFile() && !allows(&ino, &r.who, dfs.Read) {
			n.state.RUnlock()
			return deniedAt(&r.who, dfs.Read, v.path, &ino)
		}
		offset, more = r.checkBlocks(f, &ino, offset)
		n.state.RUnlock()
	}
	return fn(f)
}

// checkBlocks appends the health of some blocks of a file, from an offset on, and tells where
// to go on. The caller holds the state's read lock.
func (r *request) checkBlocks(f *dfs.FileHealth, ino *namespace.Inode, offset int64) (next int64, more bool) {
	if !ino.IsFile() || ino.Blocks == 0 {
		return 0, false
	}
	ns := r.n.ns
	span := int64(checkBlocks) * max(ino.BlockSize, 1)
	if ino.Length-offset <= span {
		span = 1<<62 - offset
	}
	last, _ := ns.LastBlock(ino.ID)
	seen := false
	for _, b := range ns.Blocks(nil, ino.ID, offset, span) {
		if b.Offset < offset {
			continue // it began in the step before
		}
		seen = seen || b.ID == last.ID
		f.Blocks = append(f.Blocks, r.n.blockHealth(&b, ino))
	}
	if ino.Length == 0 && !seen {
		f.Blocks = append(f.Blocks, r.n.blockHealth(&last, ino))
	}
	return offset + span, offset+span < ino.Length
}

// blockHealth tells how a block of a file stands. The caller holds the state's read lock.
func (n *NameNode) blockHealth(b *namespace.BlockInfo, ino *namespace.Inode) dfs.BlockHealth {
	h := dfs.BlockHealth{Block: b.Block, Complete: b.State == namespace.BlockCompleted || b.State == namespace.BlockCommitted,
		Expected: int(ino.Replication), Replicas: n.blocks.Inspect(nil, b.ID)}
	if !h.Complete {
		for _, loc := range n.expected(b.ID) {
			h.Replicas = append(h.Replicas, dfs.ReplicaHealth{ReplicaLoc: loc})
		}
	}
	policy, _ := dfs.PolicyByID(n.policyOf(ino.ID))
	switch {
	case b.Group != 0:
		h.Expected = 1
		h.Group = n.groupHealth(b.Group, &h)
	case policy.Parity() > 0:
		h.Expected = 2
	}
	if h.Misplaced == "" {
		h.Misplaced = n.oneRack(&h)
	}
	return h
}

// oneRack says so when several replicas are all on one rack of several.
func (n *NameNode) oneRack(h *dfs.BlockHealth) string {
	racks := n.blocks.Racks()
	if !h.Complete || h.Expected < 2 || racks < 2 {
		return ""
	}
	first, count := "", 0
	for _, rep := range h.Replicas {
		if !rep.Condition.Counts() {
			continue
		}
		if count++; first != "" && rep.Node.Location != first {
			return ""
		}
		first = rep.Node.Location
	}
	if count < 2 {
		return ""
	}
	return fmt.Sprintf("Block should be additionally replicated on 1 more rack(s). Total number of racks in the cluster: %d", racks)
}

// groupHealth tells how a block's parity group stands.
func (n *NameNode) groupHealth(parity dfs.BlockID, of *dfs.BlockHealth) *dfs.GroupHealth {
	g, ok := n.ns.Group(parity)
	if !ok {
		return nil
	}
	h := &dfs.GroupHealth{Parity: g.Parity, Data: g.Data, Members: len(g.Members), Replicas: n.blocks.Inspect(nil, parity)}
	alone := map[string]dfs.BlockID{} // by datanode: the block that has no other place
	add := func(b dfs.Block, reps []dfs.ReplicaHealth) {
		nodes := goodNodes(reps)
		switch len(nodes) {
		case 0:
			h.Gone++
		case 1:
			if other, ok := alone[nodes[0]]; ok && h.Shared == "" {
				h.Shared = other.String() + " and " + b.ID.String()
			}
			alone[nodes[0]] = b.ID
		}
	}
	add(g.Parity, h.Replicas)
	for _, m := range g.Members {
		if m.Departed {
			h.Departed++
		}
		if m.Block.ID == of.ID {
			add(m.Block, of.Replicas)
		} else {
			add(m.Block, n.blocks.Inspect(nil, m.Block.ID))
		}
	}
	if h.Shared != "" {
		of.Misplaced = h.Shared + " of one parity group are on one datanode"
	}
	return h
}

// goodNodes lists the datanodes that have a readable replica.
func goodNodes(reps []dfs.ReplicaHealth) (uuids []string) {
	for _, r := range reps {
		if r.Condition.Readable() && !slices.Contains(uuids, r.Node.UUID) {
			uuids = append(uuids, r.Node.UUID)
		}
	}
	return uuids
}

// CheckBlock tells how one block stands and which file it is of. Superuser only. A block that
// no file holds is dfs.NotFound.
func (n *NameNode) CheckBlock(c *dfs.Caller, id dfs.BlockID) (dfs.BlockHealth, string, error) {
	r, err := n.administer(c, "fsck")
	if err != nil {
		return dfs.BlockHealth{}, "", err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	b, ok := n.ns.Block(id)
	if !ok {
		return dfs.BlockHealth{}, "", dfs.Errorf(dfs.NotFound, "Block %s does not exist", id)
	}
	if b.Kind != dfs.BlockOfFile {
		h := dfs.BlockHealth{Block: b.Block, Complete: true, Expected: 1, Replicas: n.blocks.Inspect(nil, id)}
		h.Group = n.groupHealth(b.Group, &h)
		return h, "", nil
	}
	ino, ok := n.ns.Inode(b.File)
	if !ok {
		return dfs.BlockHealth{}, "", dfs.Errorf(dfs.NotFound, "Block %s does not exist", id)
	}
	file, _ := n.ns.Path(b.File)
	return n.blockHealth(&b, &ino), file, nil
}

// LostBlocks lists, in order of id, blocks above after of files at and below a path that have
// no good replica and can't be made again, at most max.
func (n *NameNode) LostBlocks(c *dfs.Caller, path string, after dfs.BlockID, max int) ([]dfs.LostBlock, error) {
	r, err := n.administer(c, "listCorruptFileBlocks")
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	below := strings.TrimSuffix(cleanPath(path), "/") + "/"
	n.state.RLock()
	defer n.state.RUnlock()
	if err := r.look(path, permit{}); err != nil {
		return nil, err
	}
	if target(&r.walk) == nil {
		return nil, notFound(path)
	}
	var list []dfs.LostBlock
	for len(list) < max {
		ids := n.blocks.Missing(after, max)
		for _, id := range ids {
			after = id
			b, ok := n.ns.Block(id)
			if !ok || b.Kind != dfs.BlockOfFile || len(list) == max {
				continue
			}
			if p, ok := n.ns.Path(b.File); ok && (below == "/" || p == below[:len(below)-1] || strings.HasPrefix(p, below)) {
				list = append(list, dfs.LostBlock{ID: id, Replication: int(b.Replication), Path: p})
			}
		}
		if len(ids) < max {
			break
		}
	}
	return list, nil
}

// CheckedCluster tells what a check says of the whole cluster.
func (n *NameNode) CheckedCluster() dfs.ClusterHealth {
	s := n.Blocks()
	return dfs.ClusterHealth{
		PoolID: n.cluster.PoolID, Datanodes: s.Nodes.Live, Racks: n.blocks.Racks(),
		Replication: int(n.cfg.Files.Defaults.Replication), MinReplication: int(n.cfg.Files.MinReplication),
		Queued: s.Blocks.PendingRepair, Waiting: s.Parity.Waiting, Why: s.Parity.Why,
	}
}
