package namenode

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf16"

	"redoubt/dfs"
	"redoubt/namespace"
)

// Mkdirs makes a directory and the missing ones above it. One that is there already is
// success, without a look at permissions but those on the way.
func (n *NameNode) Mkdirs(ctx context.Context, c *dfs.Caller, req *dfs.MkdirsRequest) (bool, error) {
	path := req.Path
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	if err := checkNewPath("mkdirs", path); err != nil {
		return false, err
	}
	ok, err := asBool(n.change(ctx, r, "create directory", path, func(r *request) (namespace.Op, any, error) {
		if err := r.look(path, permit{create: true}); err != nil {
			return nil, nil, err
		}
		w := &r.walk
		if d := target(w); d != nil {
			if !d.IsDir() {
				return nil, nil, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "Path is not a directory: " + path}
			}
			return nil, true, nil
		}
		if err := check(w, &r.who, permit{ancestor: dfs.Write, create: true}); err != nil {
			return nil, nil, err
		}
		if err := r.mayCreate(w, path); err != nil {
			return nil, nil, err
		}
		if err := r.roomForMore(); err != nil {
			return nil, nil, err
		}
		k := len(w.Chain)
		if !req.CreateParent && k < len(w.Names) {
			return nil, nil, noParent(w)
		}
		return &namespace.Mkdirs{Head: r.head(r.auth(w, k)), Parent: w.Chain[k-1].ID, Names: w.Names[k-1:],
			Mode: req.Mode & dfs.ModeMask, Owner: r.who.user, CreateParent: req.CreateParent,
			Unmasked: req.Unmasked & dfs.ModeMask, HasUnmasked: req.HasUnmasked && !n.cfg.Attrs.MaskInherited}, nil, nil
	}))
	r.auditNew(err, "mkdirs", path)
	return ok, err
}

func noParent(w *namespace.Walk) error {
	parent := dfs.Join(w.Names[:len(w.Names)-1]...)
	return &dfs.Error{Kind: dfs.NotFound, Path: parent, Msg: "Parent directory doesn't exist: " + parent}
}

// auditNew is audit with what stands at path now.
func (r *request) auditNew(err error, cmd, path string) {
	if r.n.audit == nil {
		return
	}
	if err != nil {
		r.audit(err, cmd, path, "", nil)
		return
	}
	var st dfs.FileStatus
	r.n.state.RLock()
	found, _ := r.status(path, &st)
	r.n.state.RUnlock()
	if found {
		r.audit(nil, cmd, path, "", &st)
	} else {
		r.audit(nil, cmd, path, "", nil)
	}
}

// Delete removes a file or directory; false when there is nothing, or it is the root.
func (n *NameNode) Delete(ctx context.Context, c *dfs.Caller, path string, recursive bool) (bool, error) {
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	answer, err := n.change(ctx, r, "delete", path, func(r *request) (namespace.Op, any, error) {
		if err := r.look(path, permit{parent: dfs.Write}); err != nil {
			return nil, nil, err
		}
		w := &r.walk
		ino := target(w)
		if ino == nil {
			return nil, &namespace.Deleted{}, nil
		}
		if err := r.subtree(ino, dfs.Read|dfs.Write|dfs.Execute, true); err != nil {
			return nil, nil, err
		}
		if ino.IsDir() && ino.Children > 0 && !recursive {
			return nil, nil, &dfs.Error{Kind: dfs.NotEmpty, Path: path, Msg: path + " is non empty"}
		}
		if err := r.mayRemove(w); err != nil {
			return nil, nil, err
		}
		if len(w.Names) == 0 {
			return nil, &namespace.Deleted{}, nil
		}
		op := &namespace.Delete{Head: r.headOnce(r.auth(w, len(w.Chain))), Parent: parentOf(w).ID,
			Name: w.Names[len(w.Names)-1], Target: ino.ID, Recursive: recursive}
		if ino.IsDir() && !r.who.super {
			op.Epoch = n.ns.AuthEpoch()
		}
		return op, nil, nil
	})
	r.audit(err, "delete", path, "", nil)
	d, _ := answer.(*namespace.Deleted)
	if err != nil || d == nil {
		return false, err
	}
	n.removed(r, d.Blocks)
	n.touchedGroups(d.Groups)
	if d.Pending {
		n.wakeReaper()
	}
	return d.OK, nil
}

// removed tells the block manager that blocks are gone.
func (n *NameNode) removed(r *request, blocks []dfs.Block) {
	if len(blocks) == 0 {
		return
	}
	n.state.RLock()
	defer n.state.RUnlock()
	n.blocks.Removed(r.now, blocks)
}

// SetPermission changes a path's mode; only its owner may.
func (n *NameNode) SetPermission(ctx context.Context, c *dfs.Caller, path string, mode dfs.Mode) error {
	_, err := n.setAttr(ctx, c, "setPermission", "set permission for", path, permit{owner: true}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		op.Mask, op.Mode = namespace.AttrMode, mode&dfs.ModeMask
		return nil
	})
	return err
}

// SetOwner changes owner or group, or keeps those that are "". An owner may give his
// file to a group that he is in; anything else is the superuser's.
func (n *NameNode) SetOwner(ctx context.Context, c *dfs.Caller, path, owner, group string) error {
	_, err := n.setAttr(ctx, c, "setOwner", "set owner for", path, permit{owner: true}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		if !r.who.super {
			if owner != "" && owner != r.who.user {
				return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: "User " + r.who.user + " is not a super user (non-super user cannot change owner)."}
			}
			if group != "" && !r.inGroup(group) {
				return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: "User " + r.who.user + " does not belong to " + group}
			}
		}
		if owner != "" {
			op.Mask, op.Owner = op.Mask|namespace.AttrOwner, owner
		}
		if group != "" {
			op.Mask, op.Group = op.Mask|namespace.AttrGroup, group
		}
		return nil
	})
	return err
}

func (r *request) inGroup(group string) bool {
	for _, g := range r.who.groups {
		if g == group {
			return true
		}
	}
	return false
}

// SetTimes changes modification and access time, or keeps one that is -1.
func (n *NameNode) SetTimes(ctx context.Context, c *dfs.Caller, path string, mtime, atime int64) error {
	if n.cfg.Files.AccessTimePrecision < 0 && atime != -1 {
		return &dfs.Error{Kind: dfs.Other, Path: path, Msg: "Access time for hdfs is not configured.  Please set dfs.namenode.accesstime.precision configuration parameter."}
	}
	_, err := n.setAttr(ctx, c, "setTimes", "set times", path, permit{target: dfs.Write}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		if mtime != -1 {
			op.Mask, op.ModTime = op.Mask|namespace.AttrModTime, mtime
		}
		if atime != -1 {
			op.Mask, op.AccessTime = op.Mask|namespace.AttrAccessTime, atime
		}
		return nil
	})
	return err
}

// SetReplication changes how many replicas a file has; false for what is not a file, and
// for nothing at all.
func (n *NameNode) SetReplication(ctx context.Context, c *dfs.Caller, path string, replication uint16) (bool, error) {
	if err := n.checkReplication(path, replication); err != nil {
		return false, err
	}
	changed, err := n.setAttr(ctx, c, "setReplication", "set replication for", path, permit{target: dfs.Write, optional: true}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		if ino.IsFile() {
			op.Mask, op.Replication = namespace.AttrReplication, replication
		}
		return nil
	})
	if err != nil || changed == 0 {
		return false, err
	}
	n.blocksChanged(changed)
	return true, nil
}

// checkReplication holds a replication against the configured limits.
func (n *NameNode) checkReplication(path string, replication uint16) error {
	f := &n.cfg.Files
	problem := ""
	switch {
	case replication > f.MaxReplication:
		problem = " exceeds maximum of " + strconv.Itoa(int(f.MaxReplication))
	case replication < f.MinReplication:
		problem = " is less than the required minimum of " + strconv.Itoa(int(f.MinReplication))
	default:
		return nil
	}
	return &dfs.Error{Kind: dfs.Other, Path: path, Msg: "Requested replication factor of " + strconv.Itoa(int(replication)) + problem + " for " + path}
}

// blocksChanged tells the block manager that a file's blocks are wanted otherwise now.
func (n *NameNode) blocksChanged(file dfs.InodeID) {
	n.state.RLock()
	defer n.state.RUnlock()
	now := n.clock()
	for _, b := range n.ns.Blocks(nil, file, 0, 1<<62) {
		n.blocks.Changed(now, b.ID)
	}
}

// SetStoragePolicy changes a path's own storage policy; "" makes it inherit again.
func (n *NameNode) SetStoragePolicy(ctx context.Context, c *dfs.Caller, path, policy string) error {
	var p dfs.Policy // its zero value inherits
	cmd := "unsetStoragePolicy"
	if policy != "" {
		var ok bool
		if p, ok = dfs.PolicyByName(policy); !ok {
			return &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "Cannot find a block policy with the name " + policy}
		}
		cmd = "setStoragePolicy"
		if err := n.mayGroup(p, path); err != nil {
			return err
		}
	}
	if err := n.maySetPolicy(c, cmd, map[bool]string{true: "set storage policy", false: "unset storage policy"}[policy != ""]); err != nil {
		return err
	}
	_, err := n.setAttr(ctx, c, cmd, "set storage policy for", path, permit{target: dfs.Write}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		op.Mask, op.Policy = namespace.AttrPolicy, p.ID
		return mayChangePolicy(ino, p)
	})
	if live := n.blocks.Groupable(); err == nil && p.Parity() > 0 && live < minParityNodes {
		n.log.Warn("parity groups need more datanodes that know them than there are: until then blocks keep two replicas", "path", path, "policy", policy, "live", live, "needed", minParityNodes)
	}
	return err
}

// mayChangePolicy refuses to set on a file, or to take from it, a policy that counts at its
// creation only.
func mayChangePolicy(ino *namespace.Inode, p dfs.Policy) error {
	if ino.IsDir() {
		return nil
	}
	if p.OnCreate {
		return dfs.Errorf(dfs.IllegalArgument, "Policy %s cannot be set after file creation.", p)
	}
	if old, ok := dfs.PolicyByID(ino.Policy); ok && old.OnCreate {
		return dfs.Errorf(dfs.IllegalArgument, "Existing policy %s cannot be changed after file creation.", old.Name)
	}
	return nil
}

// mayGroup refuses parity groups where the configuration asks for more replicas than blocks
// have before they are in one: no file under them could ever be closed.
func (n *NameNode) mayGroup(p dfs.Policy, path string) error {
	if least := n.cfg.Files.MinReplication; p.Parity() > 0 && least > 2 {
		return &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "Storage policy " + p.Name +
			" keeps two replicas of a block at most, but dfs.namenode.replication.min asks for " + strconv.Itoa(int(least))}
	}
	return nil
}

// minParityNodes is how many datanodes the smallest parity group stands on: two blocks and
// their parity.
const minParityNodes = 3

// Values of SetQuota that stand for no number.
const (
	quotaKeep  = 1<<63 - 1
	quotaClear = -1
)

// SetQuota limits a directory's inodes and bytes, or its bytes on one medium. The largest int64 keeps a limit and -1
// takes it away.
func (n *NameNode) SetQuota(ctx context.Context, c *dfs.Caller, path string, nsQuota, dsQuota int64, typ dfs.StorageType) error {
	if typ != 0 {
		return n.setTypeQuota(ctx, c, path, nsQuota, dsQuota, typ)
	}
	if nsQuota <= 0 && nsQuota != quotaClear || dsQuota < quotaClear {
		return &dfs.Error{Kind: dfs.RuntimeIllegal, Path: path, Msg: "Invalid values for quota : " + strconv.FormatInt(nsQuota, 10) + " and " + strconv.FormatInt(dsQuota, 10)}
	}
	cmd := quotaCommand(nsQuota, dsQuota)
	if err := n.CheckSuperuser(c, cmd); err != nil {
		return err
	}
	_, err := n.setAttr(ctx, c, cmd, "set quota on", path, permit{}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		if !ino.IsDir() {
			return &dfs.Error{Kind: dfs.NotDirectory, Path: path, Msg: "`" + path + "': Is not a directory"}
		}
		if nsQuota != quotaKeep {
			op.Mask, op.NSQuota = op.Mask|namespace.AttrNSQuota, nsQuota
		}
		if dsQuota != quotaKeep {
			op.Mask, op.DSQuota = op.Mask|namespace.AttrDSQuota, dsQuota
		}
		return nil
	})
	return noQuotaDir(err, path)
}

func noQuotaDir(err error, path string) error {
	if dfs.Is(err, dfs.NotFound) {
		return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Directory does not exist: " + path}
	}
	return err
}

// setTypeQuota limits the bytes of one medium. -1 and the largest int64 take the limit away.
func (n *NameNode) setTypeQuota(ctx context.Context, c *dfs.Caller, path string, nsQuota, quota int64, typ dfs.StorageType) error {
	cmd := quotaCommand(nsQuota, quota)
	if err := n.CheckSuperuser(c, cmd); err != nil {
		return err
	}
	switch {
	case nsQuota < quotaClear || quota < quotaClear:
		return &dfs.Error{Kind: dfs.RuntimeIllegal, Path: path,
			Msg: "Illegal value for nsQuota or ssQuota : " + strconv.FormatInt(nsQuota, 10) + " and " + strconv.FormatInt(quota, 10)}
	case n.cfg.Attrs.NoTypeQuotas || nsQuota != quotaKeep:
		return &dfs.Error{Kind: dfs.Unsupported, Path: path, Msg: "Failed to set quota by storage type because either" + // HDFS has no blank here
			"dfs.quota.by.storage.type.enabled is set to " + strconv.FormatBool(!n.cfg.Attrs.NoTypeQuotas) + " or nsQuota value is illegal " + strconv.FormatInt(nsQuota, 10)}
	case !typ.HasQuota():
		return &dfs.Error{Kind: dfs.RuntimeIllegal, Path: path, Msg: "Don't support Quota for storage type : " + typ.String()}
	}
	if quota == quotaKeep {
		quota = quotaClear
	}
	_, err := n.setAttr(ctx, c, cmd, "set quota on", path, permit{}, func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error {
		if !ino.IsDir() {
			return &dfs.Error{Kind: dfs.NotDirectory, Path: path, Msg: "`" + path + "': Is not a directory"}
		}
		op.Mask, op.DSQuota, op.QuotaType = op.Mask|namespace.AttrTypeQuota, quota, uint8(typ)
		return nil
	})
	return noQuotaDir(err, path)
}

// quotaCommand is HDFS's name for a change of quotas.
func quotaCommand(nsQuota, dsQuota int64) string {
	switch {
	case nsQuota == quotaClear && dsQuota == quotaKeep:
		return "clearQuota"
	case nsQuota == quotaKeep && dsQuota == quotaClear:
		return "clearSpaceQuota"
	case nsQuota == quotaKeep:
		return "setSpaceQuota"
	}
	return "setQuota"
}

// checkPathLength holds a path that something new is to have against HDFS's limits. What is
// there may be deeper, since a rename takes along whatever is below.
func checkPathLength(op, path string) error {
	depth, units := 0, 0
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			depth++
		}
	}
	for _, r := range path {
		units += max(1, utf16.RuneLen(r)) // as Java counts characters
	}
	if depth <= dfs.MaxPathDepth && units <= dfs.MaxPathLength {
		return nil
	}
	return &dfs.Error{Kind: dfs.Other, Path: path, Msg: op + ": Pathname too long.  Limit " +
		strconv.Itoa(dfs.MaxPathLength) + " characters, " + strconv.Itoa(dfs.MaxPathDepth) + " levels."}
}

// setAttr changes attributes of a path that must exist, unless p says otherwise. fill says which; none changed is
// success. It gives the inode that was changed, 0 if nothing was.
func (n *NameNode) setAttr(ctx context.Context, c *dfs.Caller, cmd, what, path string, p permit,
	fill func(r *request, ino *namespace.Inode, op *namespace.SetAttr) error) (dfs.InodeID, error) {
	r, err := n.begin(c)
	if err != nil {
		return 0, err
	}
	defer n.end(r)
	var changed dfs.InodeID
	_, err = n.change(ctx, r, what, path, func(r *request) (namespace.Op, any, error) {
		changed = 0
		if err := r.look(path, p); err != nil {
			return nil, nil, err
		}
		ino := target(&r.walk)
		if ino == nil && p.optional {
			return nil, nil, nil
		}
		if ino == nil {
			return nil, nil, notFound(path)
		}
		op := &namespace.SetAttr{Head: r.head(r.auth(&r.walk, len(r.walk.Chain))), Target: ino.ID}
		if err := fill(r, ino, op); err != nil || op.Mask == 0 {
			return nil, nil, err
		}
		changed = ino.ID
		return op, nil, nil
	})
	r.auditNew(err, cmd, path)
	return changed, err
}

// Concat moves the blocks of sources to the end of target and removes the sources.
func (n *NameNode) Concat(ctx context.Context, c *dfs.Caller, path string, sources []string) error {
	if len(sources) == 0 {
		return &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "No sources given"}
	}
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	var changed dfs.InodeID
	_, err = n.change(ctx, r, "concat", path, func(r *request) (namespace.Op, any, error) {
		op := &namespace.Concat{}
		for _, src := range sources {
			if err := r.look(src, permit{target: dfs.Read, parent: dfs.Write}); err != nil {
				return nil, nil, err
			}
			f, err := fileAt(&r.walk, src)
			if err != nil {
				return nil, nil, err
			}
			op.Sources = append(op.Sources, f.ID)
		}
		if err := r.look(path, permit{target: dfs.Write}); err != nil {
			return nil, nil, err
		}
		f, err := fileAt(&r.walk, path)
		if err != nil {
			return nil, nil, err
		}
		op.Head, op.Target = r.headOnce(r.auth(&r.walk, len(r.walk.Chain))), f.ID
		changed = f.ID
		return op, nil, nil
	})
	r.audit(err, "concat", sources[0], path, nil)
	if err == nil && changed != 0 {
		n.blocksChanged(changed)
	}
	return err
}

// checkNewPath refuses the path of something new that has an empty name in it. Elsewhere
// repeated slashes count as one, as in HDFS.
func checkNewPath(op, path string) error {
	if err := checkPathLength(op, path); err != nil {
		return err
	}
	if strings.Contains(path, "//") {
		return &dfs.Error{Kind: dfs.InvalidPath, Path: path, Msg: "Invalid path name " + path}
	}
	return nil
}
