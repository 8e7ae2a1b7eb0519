package namenode

import (
	"slices"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// FileInfo describes a path; nil when there is nothing. Below a file the superuser is
// told "nothing" and everybody else that it is not a directory, as in HDFS.
func (n *NameNode) FileInfo(c *dfs.Caller, path string, followLink bool) (*dfs.FileStatus, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	st := new(dfs.FileStatus)
	n.state.RLock()
	found, err := r.status(path, st)
	n.state.RUnlock()
	r.audit(err, "getfileinfo", path, "", nil)
	if err != nil || !found {
		return nil, err
	}
	return st, nil
}

// status describes a path. The caller holds the state's read lock.
func (r *request) status(path string, st *dfs.FileStatus) (found bool, err error) {
	if err := r.look(path, permit{}); err != nil {
		if dfs.Is(err, dfs.Permission) && r.who.super || dfs.Is(err, dfs.NotFound) {
			return false, nil
		}
		return false, err
	}
	ino := target(&r.walk)
	if ino == nil {
		if isReserved(r.walk.Names) {
			*st = reservedStatus()
			return true, nil
		}
		return false, nil
	}
	*st = r.n.ns.Status(ino)
	if ino.UnderConstruction {
		st.Length += r.n.beingCut(ino.ID)
	}
	return true, nil
}

// LocatedFileInfo is FileInfo with the file's block locations.
func (n *NameNode) LocatedFileInfo(c *dfs.Caller, path string) (*dfs.ListEntry, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	e := new(dfs.ListEntry)
	found, err := r.status(path, &e.FileStatus)
	r.audit(err, "getfileinfo", path, "", nil)
	if err != nil || !found {
		return nil, err
	}
	if ino := target(&r.walk); ino != nil && ino.IsFile() {
		e.Blocks = r.located(ino, 0, 1<<62)
	}
	return e, nil
}

// Listing gives a page of a directory's entries after a name; nil when there is no such
// path. A file lists as one entry without a name.
func (n *NameNode) Listing(c *dfs.Caller, path, startAfter string, located bool) (*dfs.Listing, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	l, err := r.listing(path, startAfter, located)
	r.audit(err, "listStatus", path, "", nil)
	return l, err
}

func (r *request) listing(path, after string, located bool) (*dfs.Listing, error) {
	if err := r.resolve(&r.walk, path); err != nil {
		if dfs.Is(err, dfs.NotFound) {
			return nil, nil
		}
		return nil, err
	}
	ino, p := target(&r.walk), permit{}
	if ino != nil && ino.IsDir() {
		p.target = dfs.Read | dfs.Execute
	}
	if err := check(&r.walk, &r.who, p); err != nil {
		return nil, err
	}
	if ino == nil {
		if isReserved(r.walk.Names) {
			return r.reservedListing(after), nil
		}
		return nil, nil
	}
	if !ino.IsDir() {
		e := dfs.ListEntry{FileStatus: r.n.ns.Status(ino)}
		if located && ino.IsFile() {
			e.Blocks = r.located(ino, 0, 1<<62)
		}
		return &dfs.Listing{Entries: []dfs.ListEntry{e}}, nil
	}
	page, remaining := r.n.ns.List(r.page[:0], ino.ID, after, r.n.cfg.Files.ListLimit)
	r.page = page
	l := &dfs.Listing{Entries: make([]dfs.ListEntry, 0, len(page)), Remaining: remaining}
	budget := r.n.cfg.Files.ListLimit // of locations in one answer
	for i := range page {
		if located && budget <= 0 {
			l.Remaining += len(page) - i
			break
		}
		e := dfs.ListEntry{FileStatus: page[i]}
		if located && e.Type == dfs.TypeFile {
			if f, ok := r.n.ns.Inode(e.ID); ok {
				e.Blocks = r.located(&f, 0, 1<<62)
				for _, b := range e.Blocks.Blocks {
					budget -= len(b.Locs)
				}
			}
		}
		l.Entries = append(l.Entries, e)
	}
	return l, nil
}

// BlockLocations tells where the blocks are that overlap the range, and moves the file's
// access time if that is older than its precision.
func (n *NameNode) BlockLocations(c *dfs.Caller, path string, offset, length int64) (*dfs.LocatedBlocks, error) {
	if offset < 0 || length < 0 {
		return nil, &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: "Negative offset or length is not supported. File: " + path}
	}
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	n.state.RLock()
	lb, ino, err := r.open(path, offset, length)
	n.state.RUnlock()
	r.audit(err, "open", path, "", nil)
	if err != nil {
		return nil, err
	}
	n.touch(r, ino)
	return lb, nil
}

func (r *request) open(path string, offset, length int64) (*dfs.LocatedBlocks, namespace.Inode, error) {
	if err := r.look(path, permit{target: dfs.Read}); err != nil {
		return nil, namespace.Inode{}, err
	}
	f, err := fileAt(&r.walk, path)
	if err != nil {
		return nil, namespace.Inode{}, err
	}
	if r.who.super && r.n.unreadable(f) {
		return nil, namespace.Inode{}, &dfs.Error{Kind: dfs.Permission, Path: path, Msg: "Access is denied for " + r.who.user + " since the superuser is not allowed to perform this operation."}
	}
	lb := r.located(f, offset, length)
	return lb, *f, r.unreported(path, lb)
}

// reportTime is how long after the start a block being written that nobody has reported
// is still expected to be.
const reportTime = 30 * time.Second

// unreported refuses to open a file while its datanodes may not have reported yet. For a
// block being written without any datanode, clients would take the length known here,
// which is less than what was synced. In a block of after the start nothing was: its writer
// is being told where to go.
func (r *request) unreported(path string, lb *dfs.LocatedBlocks) error {
	n := r.n
	startup := n.safe.isStartup()
	bare := lb.Last != nil && !lb.LastComplete && len(lb.Last.Locs) == 0 && lb.Last.ID < n.firstBlock && (startup || r.now.Sub(n.started) < reportTime)
	for i := range lb.Blocks {
		bare = bare || startup && len(lb.Blocks[i].Locs) == 0 && !lb.Blocks[i].Corrupt
	}
	if !bare {
		return nil
	}
	return &dfs.Error{Kind: dfs.SafeMode, Path: path,
		Msg: "Zero blocklocations for " + path + ". Name node is in safe mode.\nIts datanodes have not reported yet. It ends by itself once they have."}
}

// unreadable reports the extended attribute that keeps a file's contents even from the
// superuser.
func (n *NameNode) unreadable(f *namespace.Inode) bool {
	if !f.HasXAttrs {
		return false
	}
	return slices.ContainsFunc(n.ns.XAttrs(f.ID), func(x dfs.XAttr) bool { return x.FullName() == dfs.UnreadableBySuperuser })
}

// touch moves a file's access time on, without the reader waiting for it. Access times
// are kept to a precision only, so this is rare.
func (n *NameNode) touch(r *request, f namespace.Inode) {
	precision := n.cfg.Files.AccessTimePrecision
	if precision < 0 || r.ms() <= f.AccessTime+precision.Milliseconds() || n.safe.isOn() || n.failed.Load() != nil {
		return
	}
	op := &namespace.SetAttr{Head: namespace.Head{Time: r.ms()}, Target: f.ID, Mask: namespace.AttrAccessTime, AccessTime: r.ms()}
	rec := namespace.Encode(nil, op)
	n.touches.Add(1)
	n.journal.ProposeFunc(rec, func(any, dfs.TxID, error) { n.touches.Done() })
}

// located lists the blocks of a file that overlap a range. Of a file that is open the
// length covers all but the block being written, which stands in Last. The caller holds
// the state's read lock.
func (r *request) located(f *namespace.Inode, offset, length int64) *dfs.LocatedBlocks {
	ns := r.n.ns
	lb := &dfs.LocatedBlocks{UnderConstruction: f.UnderConstruction, FileLength: f.Length}
	last, any := ns.LastBlock(f.ID)
	if !any {
		return lb // without a block there is no complete one, HDFS says
	}
	// A block that is being cut by its datanodes has its new length already: what lies
	// beyond must not be read any more, so readers are not sent to ask for more.
	lb.LastComplete = last.State == namespace.BlockCompleted || last.State == namespace.BlockUnderRecovery
	if !lb.LastComplete {
		lb.FileLength -= last.Length
	}
	length = max(length, 1) // of no bytes HDFS tells the block that they would be in
	if length > 1<<62-offset {
		length = 1<<62 - offset
	}
	var room [8]namespace.BlockInfo
	for _, b := range ns.Blocks(room[:0], f.ID, offset, length) {
		if b.ID == last.ID && !lb.LastComplete && b.Length == 0 {
			continue // an empty block being written stands in Last only
		}
		lb.Blocks = append(lb.Blocks, r.locate(b))
	}
	l := r.locate(last)
	lb.Last = &l
	return lb
}

// locate finds a block's replicas, nearest to the caller first.
func (r *request) locate(b namespace.BlockInfo) dfs.LocatedBlock {
	lb := dfs.LocatedBlock{Block: b.Block, PoolID: r.n.cluster.PoolID, Offset: b.Offset}
	if b.State == namespace.BlockCompleted || b.State == namespace.BlockCommitted {
		lb.Locs, lb.Corrupt = r.n.blocks.Locate(nil, b.ID, r.c.Addr)
		return lb
	}
	if lb.Locs = r.n.expected(b.ID); len(lb.Locs) == 0 { // it is being reopened: its replicas are known as those of a complete one
		lb.Locs, _ = r.n.blocks.Locate(nil, b.ID, r.c.Addr)
	}
	return lb
}

// expected gives where the replicas of a block that is being written are or should be.
func (n *NameNode) expected(id dfs.BlockID) []dfs.ReplicaLoc {
	return n.replicaLocs(n.blocks.Expected(id))
}

// ContentSummary adds up a subtree. Big ones are added up in steps with the lock let go
// in between, so that nobody waits for them.
func (n *NameNode) ContentSummary(c *dfs.Caller, path string) (*dfs.ContentSummary, error) {
	r, err := n.begin(c)
	if err != nil {
		return nil, err
	}
	defer n.end(r)
	sum, err := n.summarize(r, path)
	r.audit(err, "contentSummary", path, "", nil)
	return sum, err
}

// summaryStep is how many inodes are visited under one hold of the lock.
const summaryStep = 5000

func (n *NameNode) summarize(r *request, path string) (*dfs.ContentSummary, error) {
	n.state.RLock()
	defer n.state.RUnlock()
	if err := r.look(path, permit{}); err != nil {
		return nil, err
	}
	ino := target(&r.walk)
	if ino == nil {
		return nil, notFound(path)
	}
	if err := r.subtree(ino, dfs.Read|dfs.Execute, false); err != nil {
		return nil, err
	}
	s, ok := n.ns.Summarize(ino.ID)
	if !ok {
		return nil, notFound(path)
	}
	for !s.Step(n.ns, summaryStep) {
		n.state.RUnlock()
		n.state.RLock()
	}
	return &s.Sum, nil
}

// subtree checks that who may do want with every directory from ino down. With skipEmpty
// empty directories other than ino do not count, which is what delete asks for. The lock stays held.
func (r *request) subtree(ino *namespace.Inode, want dfs.Access, skipEmpty bool) error {
	if r.who.super || !ino.IsDir() {
		return nil
	}
	todo := []namespace.Inode{*ino}
	var page []dfs.FileStatus
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if skipEmpty && d.Children == 0 {
			continue
		}
		if !allows(&d, &r.who, want) {
			path, _ := r.n.ns.Path(d.ID)
			return deniedAt(&r.who, want, path, &d)
		}
		for after, left := "", 1; left > 0; {
			page, left = r.n.ns.List(page[:0], d.ID, after, 1000)
			for i := range page {
				after = page[i].Name
				child, ok := r.n.ns.Inode(page[i].ID)
				if !ok {
					continue
				}
				if skipEmpty && d.Mode&dfs.Sticky != 0 && d.Owner != r.who.user && child.Owner != r.who.user {
					path, _ := r.n.ns.Path(d.ID)
					return stickyAt(&r.who, dfs.Join(append(mustComponents(path), page[i].Name)...), &child, path, &d)
				}
				if child.IsDir() {
					todo = append(todo, child)
				}
			}
		}
	}
	return nil
}

func mustComponents(path string) []string {
	names, _ := dfs.Components(path) // the namespace only spells good ones
	return names
}

// IsFileClosed reports whether nobody writes a file.
func (n *NameNode) IsFileClosed(c *dfs.Caller, path string) (bool, error) {
	var closed bool
	err := n.lookAt(c, "isFileClosed", path, permit{}, func(r *request, ino *namespace.Inode) error {
		if !ino.IsFile() {
			return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path is not a file: " + path}
		}
		closed = !ino.UnderConstruction
		return nil
	})
	return closed, err
}

// CheckAccess refuses what the caller may not do with a path.
func (n *NameNode) CheckAccess(c *dfs.Caller, path string, want dfs.Access) error {
	err := n.lookAt(c, "checkAccess", path, permit{target: want}, func(*request, *namespace.Inode) error { return nil })
	if dfs.Is(err, dfs.NotFound) {
		return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path not found: " + path}
	}
	return err
}

// LinkTarget refuses, since there are no symbolic links.
func (n *NameNode) LinkTarget(c *dfs.Caller, path string) (string, error) {
	err := n.lookAt(c, "getLinkTarget", path, permit{}, func(*request, *namespace.Inode) error {
		return &dfs.Error{Kind: dfs.NotLink, Path: path, Msg: "Path " + path + " is not a symbolic link"}
	})
	return "", err
}

// PreferredBlockSize is a file's block size.
func (n *NameNode) PreferredBlockSize(c *dfs.Caller, path string) (size int64, err error) {
	err = n.lookAt(c, "getPreferredBlockSize", path, permit{}, func(r *request, ino *namespace.Inode) error {
		if !ino.IsFile() {
			return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path is not a file: " + path}
		}
		size = ino.BlockSize
		return nil
	})
	return size, err
}

// StoragePolicy is the policy that counts for a path.
func (n *NameNode) StoragePolicy(c *dfs.Caller, path string) (p dfs.Policy, err error) {
	err = n.lookAt(c, "getStoragePolicy", path, permit{target: dfs.Read}, func(r *request, ino *namespace.Inode) error {
		p, _ = dfs.PolicyByID(n.policyOf(ino.ID))
		return nil
	})
	return p, err
}

// policyOf is the storage policy that counts for an inode, the default where nothing is
// set. The caller holds the state's read lock.
func (n *NameNode) policyOf(id dfs.InodeID) uint8 {
	if p := n.ns.EffectivePolicy(id); p != dfs.PolicyUnspecified {
		return p
	}
	return dfs.PolicyHot
}

// lookAt resolves and authorises a path that must exist and lets fn look at it under the
// state's read lock.
func (n *NameNode) lookAt(c *dfs.Caller, cmd, path string, p permit, fn func(r *request, ino *namespace.Inode) error) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	err = r.look(path, p)
	if err == nil {
		if ino := target(&r.walk); ino != nil {
			err = fn(r, ino)
		} else {
			err = notFound(path)
		}
	}
	r.audit(err, cmd, path, "", nil)
	return err
}
