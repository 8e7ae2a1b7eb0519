package namenode

import (
	"context"
	"slices"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// satisfyMark is the extended attribute system.hdfs.sps of HDFS: the storage policies at and
// below an inode are still to be seen to. It is hard state, so that a request that was
// answered is carried out whatever happens, and it goes with its inode when that is
// renamed or deleted.
const satisfyMark = "hdfs.sps"

// satisfier is what is being done about the inodes that carry the mark.
type satisfier struct {
	// gate is held to read by a request until its tree is in roots, and to write while a mark
	// is taken off: so no request finds a mark that is about to go.
	gate  sync.RWMutex
	mu    sync.Mutex
	roots []*satisfying
}

// satisfying is a tree that is looked at under its present storage policies.
type satisfying struct {
	id     dfs.InodeID
	since  time.Time
	again  bool // asked for once more
	walked bool // every block was looked at
	walk   *treeWalk
	files  int64
}

// maxSatisfied bounds the trees that wait at a time.
const maxSatisfied = 1000

// satisfyStep is how many inodes are looked at under one hold of the state's lock,
// satisfyBlocks how many blocks, and satisfyWait how many blocks of a tree may wait for
// their replicas to be moved before it is walked on.
const (
	satisfyStep   = 200
	satisfyBlocks = 1000
	satisfyWait   = 10_000
)

// SatisfyStoragePolicy has the blocks at and below a path kept as their storage policy says
// now: grouped or replicated, and on which media. It returns when that is noted
// durably; the work is done in the background, after repair.
func (n *NameNode) SatisfyStoragePolicy(ctx context.Context, c *dfs.Caller, path string) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	n.satisfier.gate.RLock()
	defer n.satisfier.gate.RUnlock()
	var root dfs.InodeID
	_, err = n.change(ctx, r, "satisfy storage policy for", path, func(r *request) (op namespace.Op, _ any, err error) {
		op, root, err = r.prepareSatisfy(path)
		return op, nil, err
	})
	if err == nil && root != 0 {
		n.satisfier.add(root, r.now)
		poke(n.satisfy)
	}
	r.audit(err, "satisfyStoragePolicy", path, "", nil)
	return err
}

// prepareSatisfy makes the op that marks a path, none if it has the mark already. The root
// is 0 when there is nothing to do.
func (r *request) prepareSatisfy(path string) (namespace.Op, dfs.InodeID, error) {
	n := r.n
	if err := r.look(path, permit{target: dfs.Write}); err != nil {
		return nil, 0, err
	}
	ino := target(&r.walk)
	switch {
	case ino == nil:
		return nil, 0, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File/Directory does not exist: " + path}
	case ino.IsFile() && ino.Blocks == 0:
		return nil, 0, nil // it has no blocks
	case n.marked(ino.ID):
		return nil, ino.ID, nil
	case n.satisfier.count() >= maxSatisfied:
		return nil, 0, dfs.Errorf(dfs.Retriable, "%d paths wait for their storage policy to be satisfied already. Try again later.", maxSatisfied)
	}
	return &namespace.SetXAttr{Head: r.headOnce(r.auth(&r.walk, len(r.walk.Chain))), Target: ino.ID,
		Space: dfs.XAttrSystem, Name: satisfyMark, Flags: dfs.XAttrCreate | dfs.XAttrReplace}, ino.ID, nil
}

// marked reports whether an inode carries the mark; the state's read lock is held.
func (n *NameNode) marked(id dfs.InodeID) bool {
	return slices.ContainsFunc(n.ns.XAttrs(id), func(x dfs.XAttr) bool { return x.Space == dfs.XAttrSystem && x.Name == satisfyMark })
}

// resumeSatisfying takes up what was asked for before the name node's start.
func (n *NameNode) resumeSatisfying(now time.Time) {
	n.ns.EachWithXAttr(dfs.XAttrSystem, satisfyMark, func(id dfs.InodeID) bool {
		n.satisfier.add(id, now)
		return true
	})
	if k := n.satisfier.count(); k > 0 {
		n.log.Info("storage policies are still to be satisfied", "paths", k)
	}
}

// add begins with a tree, or, if it waits already, has it looked at once more.
func (s *satisfier) add(id dfs.InodeID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.roots, func(t *satisfying) bool { return t.id == id }); i >= 0 {
		s.roots[i].again = true
		return
	}
	s.roots = append(s.roots, &satisfying{id: id, since: now})
}

func (s *satisfier) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.roots)
}

// waiting gives the trees in the order in which they were asked for.
func (s *satisfier) waiting() []*satisfying {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.roots)
}

// restart begins the walk of a tree anew if it was asked for once more.
func (s *satisfier) restart(t *satisfying) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.again {
		t.again, t.walked, t.walk = false, false, nil
		return true
	}
	return false
}

func (s *satisfier) end(t *satisfying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots = slices.DeleteFunc(s.roots, func(o *satisfying) bool { return o == t })
}

// satisfySome does one step of the first tree that can go on, and ends those that are done.
// It is true when there is more to do at once. While safe mode is on nothing is known about
// replicas, and nothing may be changed.
func (n *NameNode) satisfySome(ctx context.Context) (more bool) {
	if n.safe.isOn() || n.failed.Load() != nil {
		return false
	}
	for _, t := range n.satisfier.waiting() {
		asked := n.blocks.Asked(uint64(t.id))
		switch {
		case t.walked && asked.Waiting == 0:
			n.satisfied(ctx, t, asked.Failed)
		case !t.walked && asked.Waiting < satisfyWait:
			return n.satisfyStep(t)
		}
	}
	return false
}

// satisfyStep looks at some more inodes of a tree.
func (n *NameNode) satisfyStep(t *satisfying) (more bool) {
	n.state.RLock()
	if t.walk == nil {
		if ino, ok := n.ns.Inode(t.id); ok {
			t.walk = newTreeWalk("", &ino)
		}
	}
	var found []visited
	var err error
	if t.walk != nil {
		found, err = t.walk.step(nil, n.ns, satisfyStep, func(string, *namespace.Inode) error { return nil })
	}
	n.state.RUnlock()
	for i := range found {
		if found[i].ino.IsFile() {
			t.files++
			n.satisfyFile(t.id, &found[i].ino)
		}
	}
	if len(found) == 0 || err != nil {
		t.walked = true
		n.wakeFolds()
	}
	return true
}

// satisfyFile has the blocks of a file looked at again, some of them at a time.
func (n *NameNode) satisfyFile(root dfs.InodeID, ino *namespace.Inode) {
	span := int64(satisfyBlocks) * max(1, ino.BlockSize)
	for offset := int64(0); offset <= ino.Length && offset >= 0; offset += span {
		n.state.RLock()
		now := n.clock()
		for _, b := range n.ns.Blocks(nil, ino.ID, offset, span) {
			n.blocks.Satisfy(now, b.ID, uint64(root))
		}
		n.state.RUnlock()
	}
}

// satisfied takes the mark off a tree of which every block was seen to.
func (n *NameNode) satisfied(ctx context.Context, t *satisfying, failed int64) {
	n.satisfier.gate.Lock()
	defer n.satisfier.gate.Unlock()
	if n.satisfier.restart(t) {
		return
	}
	_, err := n.propose(ctx, &namespace.SetXAttr{Head: namespace.Head{Time: n.clock().UnixMilli()}, Target: t.id,
		Space: dfs.XAttrSystem, Name: satisfyMark, Flags: namespace.XAttrRemove})
	if err != nil && !dfs.Is(err, dfs.Stale) && !dfs.Is(err, dfs.NoXAttr) { // else it was deleted meanwhile
		n.log.Warn("the mark of a satisfied storage policy stays until the next start", "inode", uint64(t.id), "err", err)
	}
	n.satisfier.end(t)
	n.blocks.Served(uint64(t.id))
	n.state.RLock()
	path, _ := n.ns.Path(t.id)
	n.state.RUnlock()
	if failed > 0 {
		n.log.Warn("storage policy could not be satisfied for all blocks: no place on the media that it asks for, or copies failed",
			"path", path, "blocks", failed, "files", t.files, "after", n.clock().Sub(t.since).Round(time.Millisecond))
		return
	}
	n.log.Info("storage policy is satisfied", "path", path, "files", t.files, "after", n.clock().Sub(t.since).Round(time.Millisecond))
}
