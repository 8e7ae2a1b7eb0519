package namespace

import "redoubt/dfs"

// reapLimit is the size of a subtree up to which a delete frees it at once.
const reapLimit = 4096

// bury frees an inode that has no place in the tree, blocks, children or writer any more.
func (s *State) bury(i uint32) {
	in := s.inodes.at(i)
	s.sum.sub(s.attrs(in))
	s.dropFeatures(in)
	s.strings.release(in.ownerID())
	s.strings.release(in.groupID())
	s.byID.set(in.id, 0)
	if in.isDir() {
		s.dirs.drop(in.slot())
		s.dirsCount--
	} else {
		s.files--
	}
	s.inodes.drop(i)
}

// removeFile takes away a file with its blocks, as r tells afterwards.
func (s *State) removeFile(i uint32, r *Deleted) {
	s.detach(i)
	s.dropBlocks(i, r)
	if s.inodes.at(i).has(flagOpen) {
		s.endWriter(i)
	}
	s.bury(i)
}

func (s *State) checkDelete(o *Delete) (target uint32, err error) {
	if o.Reap > 0 {
		return 0, nil
	}
	dir := s.live(o.Parent)
	if dir == 0 {
		return 0, errStale
	}
	if !s.inodes.at(dir).isDir() {
		return 0, s.notDirectory(dir)
	}
	target = s.lookup(dir, o.Name)
	if target == 0 {
		if o.Auth != 0 && o.Target != 0 {
			return 0, errStale
		}
		return 0, nil
	}
	in := s.inodes.at(target)
	if o.Auth != 0 && (in.id != uint64(o.Target) || s.chainAuth(target) != o.Auth) || o.Epoch != 0 && o.Epoch != s.authEpoch {
		return 0, errStale
	}
	if in.isDir() && in.count() > 0 && !o.Recursive {
		path := s.pathOf(target)
		return 0, &dfs.Error{Kind: dfs.NotEmpty, Path: path, Msg: "`" + path + " is non empty': Directory is not empty"}
	}
	return target, nil
}

func (s *State) delete(o *Delete) (any, error) {
	target, err := s.checkDelete(o)
	if err != nil {
		return nil, err
	}
	r := &Deleted{}
	if o.Reap > 0 {
		r.OK = true
		s.reap(int(o.Reap), r)
		r.settle()
		return r, nil
	}
	if target != 0 {
		parent := s.inodes.at(target).parent
		s.removeTree(target, r)
		s.touch(parent, o.Time)
		r.OK = true
		r.settle()
	}
	r.Pending = s.detached.Len() > 0
	return r, nil
}

// removeTree takes away a subtree, whose inodes are freed at once if they are few.
func (s *State) removeTree(i uint32, r *Deleted) {
	in := s.inodes.at(i)
	if !in.isDir() {
		if in.has(flagOpen) {
			r.Files = append(r.Files, dfs.InodeID(in.id))
		}
		s.removeFile(i, r)
		return
	}
	slots, all := s.subtree(i, reapLimit)
	if !all && s.typed() {
		s.dropTypesBelow(i)
	}
	s.detach(i)
	if !all {
		in := s.inodes.edit(i)
		in.setFlag(flagDetached, true)
		s.sum.add(s.place(in))
		s.detached.Set(in.id, struct{}{})
		return
	}
	s.sum.add(s.place(s.inodes.at(i)))
	for k := len(slots) - 1; k >= 0; k-- {
		s.free(slots[k], r)
	}
}

// subtree lists an inode and everything below it, directories before their contents,
// unless they are more than limit.
func (s *State) subtree(i uint32, limit int) (slots []uint32, all bool) {
	slots = append(slots, i)
	for k := 0; k < len(slots); k++ {
		in := s.inodes.at(slots[k])
		if !in.isDir() {
			continue
		}
		if len(slots)+int(in.count()) > limit {
			return nil, false
		}
		s.dirs.each(in.slot(), func(child uint32) bool {
			slots = append(slots, child)
			return true
		})
	}
	return slots, true
}

// free buries one inode of a subtree that is out of the tree. Its directory's child index and
// counters are not kept up, since they go too.
func (s *State) free(i uint32, r *Deleted) {
	in := s.inodes.at(i)
	s.sum.sub(s.place(in))
	if in.isFile() {
		s.dropBlocks(i, r)
		if in.has(flagOpen) {
			r.Files = append(r.Files, dfs.InodeID(in.id))
			s.endWriter(i)
		}
	}
	if in = s.inodes.at(i); in.parent != 0 {
		s.names.remove(hashName(s.seed, in.parent, s.nameOf(in)), i)
		s.arena.remove(in.name, in.nameLen())
	}
	s.bury(i)
}

// reap frees up to max inodes of deleted subtrees. The order is the same whatever the
// history of the state in memory: the root with the smallest id first, its children in
// order of their names' bytes; a child directory becomes a root itself.
func (s *State) reap(max int, r *Deleted) {
	var page []uint32
	for max > 0 {
		id, _, ok := s.detached.Min()
		if !ok {
			return
		}
		i := s.byID.get(id)
		in := s.inodes.at(i)
		page = s.dirs.reapable(s, page[:0], in.slot(), max)
		for _, child := range page {
			s.reapChild(child, r)
		}
		max -= len(page)
		if s.inodes.at(i).count() == 0 && max > 0 {
			s.detached.Delete(id)
			s.sum.sub(s.place(s.inodes.at(i)))
			s.bury(i)
			max--
		}
	}
	r.Pending = s.detached.Len() > 0
}

func (s *State) reapChild(i uint32, r *Deleted) {
	in := s.inodes.at(i)
	if in.isDir() {
		s.detach(i)
		in = s.inodes.edit(i)
		in.setFlag(flagDetached, true)
		s.sum.add(s.place(in))
		s.detached.Set(in.id, struct{}{})
		return
	}
	if in.has(flagOpen) {
		r.Files = append(r.Files, dfs.InodeID(in.id))
	}
	s.removeFile(i, r)
}

// move is a checked rename.
type move struct {
	src, dst, dir uint32 // dst 0: nothing there; dir is the destination's directory
	done          bool   // onto itself
	refused       bool   // answer false
}

func (s *State) checkRename(o *Rename) (m move, err error) {
	from := s.live(o.SrcParent)
	m.dir = s.live(o.DstParent)
	if from == 0 || m.dir == 0 || !s.inodes.at(from).isDir() {
		return m, errStale
	}
	if !s.inodes.at(m.dir).isDir() {
		path := s.pathOf(m.dir)
		if o.Legacy {
			return m, s.notDirectory(m.dir)
		}
		return m, &dfs.Error{Kind: dfs.ParentNotDirectory, Path: path, Msg: "rename destination parent " + s.join(m.dir, o.DstName) + " is a file."}
	}
	m.src, m.dst = s.lookup(from, o.SrcName), s.lookup(m.dir, o.DstName)
	if m.src == 0 {
		if o.Auth != 0 && o.Source != 0 {
			return m, errStale
		}
		path := s.join(from, o.SrcName)
		return s.refuse(o, m, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "rename source " + path + " is not found."})
	}
	if o.Auth != 0 {
		target := m.dir
		if m.dst != 0 {
			target = m.dst
		}
		if s.inodes.at(m.src).id != uint64(o.Source) || s.chainAuth(m.src) != o.Auth || s.chainAuth(target) != o.DstAuth {
			return m, errStale
		}
	}
	return s.checkMove(o, m)
}

// refuse gives legacy rename's false, or the error.
func (s *State) refuse(o *Rename, m move, err *dfs.Error) (move, error) {
	if o.Legacy {
		m.refused = true
		return m, nil
	}
	return m, err
}

func (s *State) checkMove(o *Rename, m move) (move, error) {
	if m.src == m.dst {
		if o.Legacy {
			m.done = true
			return m, nil
		}
		path := s.pathOf(m.src)
		return m, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "The source " + path + " and destination " + path + " are the same"}
	}
	for p := m.dir; p != 0; p = s.inodes.at(p).parent {
		if p == m.src {
			return s.refuse(o, m, dfs.Errorf(dfs.Other, "Rename destination %s is a directory or file under source %s",
				s.join(m.dir, o.DstName), s.pathOf(m.src)))
		}
	}
	if m.dst != 0 {
		if err := s.checkOverwrite(o, m); err != nil {
			return s.refuse(o, m, err)
		}
	} else if err := s.checkNew(m.dir, []string{o.DstName}); err != nil {
		return m, err
	}
	if s.feature.quotas.Len() > 0 || s.typed() {
		return m, s.verifyQuota(m.dir, s.moved(m), s.inodes.at(m.src).parent)
	}
	return m, nil
}

// moved is what a rename adds to its destination's directory.
func (s *State) moved(m move) (g growth) {
	g.ns, g.ds = s.usage(m.src)
	typed := s.typedAbove(m.dir)
	if typed {
		g.types = s.typeUse(m.src, s.policyOf(m.dir))
	}
	if m.dst != 0 {
		ns, ds := s.usage(m.dst)
		g.ns, g.ds = g.ns-ns, g.ds-ds
		if typed {
			for k, n := range s.typeUseHere(m.dst) {
				g.types[k] -= n
			}
		}
	}
	return g
}

func (s *State) checkOverwrite(o *Rename, m move) *dfs.Error {
	src, dst := s.inodes.at(m.src), s.inodes.at(m.dst)
	path := s.pathOf(m.dst)
	switch {
	case src.isDir() != dst.isDir():
		return dfs.Errorf(dfs.Other, "Source %s and destination %s must both be directories", s.pathOf(m.src), path)
	case o.Legacy || !o.Overwrite:
		return &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "rename destination " + path + " already exists"}
	case dst.isDir() && dst.count() > 0:
		return dfs.Errorf(dfs.Other, "rename destination directory is not empty: %s", path)
	}
	return nil
}

func (s *State) rename(o *Rename) (any, error) {
	m, err := s.checkRename(o)
	if err != nil {
		return nil, err
	}
	r := &Renamed{OK: !m.refused}
	if m.refused || m.done {
		return r, nil
	}
	from := s.inodes.at(m.src).parent
	if m.dst != 0 {
		var d Deleted
		s.removeTree(m.dst, &d)
		d.settle()
		r.Blocks, r.Files, r.Groups = d.Blocks, d.Files, d.Groups
	}
	if s.inodes.at(m.src).isDir() {
		s.authEpoch++
	}
	s.detach(m.src)
	s.attach(m.src, m.dir, o.DstName)
	if s.typed() && s.policyOf(from) != s.policyOf(m.dir) {
		s.recountTypes(m.src)
	}
	s.touch(from, o.Time)
	s.touch(m.dir, o.Time)
	return r, nil
}
