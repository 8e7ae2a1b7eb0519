package namenode

import (
	"slices"

	"redoubt/dfs"
)

// identity is who asks, as permissions see it.
type identity struct {
	user   string
	groups []string
	super  bool
}

// step is what permissions see of one inode on a path.
type step struct {
	id    dfs.InodeID
	typ   dfs.FileType
	mode  dfs.Mode
	owner string
	group string
}

// walked is a path as far as it exists: steps[0] is the root, steps[i] the inode of
// names[i-1]. When steps is shorter than names by one or more, the rest is missing.
type walked struct {
	names []string
	steps []step
}

// last is the inode the path names, nil if there is none.
func (w *walked) last() *step {
	if len(w.steps) == len(w.names)+1 {
		return &w.steps[len(w.steps)-1]
	}
	return nil
}

// parent is the inode of the path's directory, nil if it is missing or the path is the root.
func (w *walked) parent() *step {
	if n := len(w.names); n > 0 && len(w.steps) >= n {
		return &w.steps[n-1]
	}
	return nil
}

// ancestor is the nearest inode above the path's last name that exists, nil for the root.
func (w *walked) ancestor() *step {
	if len(w.names) == 0 {
		return nil
	}
	return &w.steps[min(len(w.names), len(w.steps))-1]
}

// pathTo spells the path down to the step with this index.
func (w *walked) pathTo(i int) string { return dfs.Join(w.names[:i]...) }

// allows applies the rwx bits that count for who: the owner's if it owns the inode, else
// the group's if it is a member, else the others'.
func (s *step) allows(who *identity, want dfs.Access) bool {
	if who.super {
		return true
	}
	bits := dfs.Access(s.mode)
	switch {
	case s.owner == who.user:
		bits = dfs.Access(s.mode >> 6)
	case slices.Contains(who.groups, s.group):
		bits = dfs.Access(s.mode >> 3)
	}
	return bits&want == want
}

// permit is what an operation asks of a path. The zero value asks for no more than to be
// able to get there.
type permit struct {
	ancestor dfs.Access // of the nearest existing inode above the last name
	parent   dfs.Access // of the directory that holds the last name
	target   dfs.Access // of the inode itself, if it exists
	owner    bool       // to own the inode
	// create: a file in the way is ParentNotDirectory instead of Permission.
	create bool
}

// check refuses what who may not do. It first walks down: everything but the last name
// must be a directory that who may pass.
func (w *walked) check(who *identity, p permit) error {
	if err := w.traverse(who, p.create); err != nil {
		return err
	}
	if who.super {
		return nil
	}
	last := w.last()
	if p.parent&dfs.Write != 0 && last != nil {
		if err := w.sticky(who); err != nil {
			return err
		}
	}
	if a := w.ancestor(); a != nil && p.ancestor != 0 && !a.allows(who, p.ancestor) {
		return w.denied(who, p.ancestor, min(len(w.names), len(w.steps))-1)
	}
	if d := w.parent(); d != nil && p.parent != 0 && !d.allows(who, p.parent) {
		return w.denied(who, p.parent, len(w.names)-1)
	}
	if last == nil {
		return nil
	}
	if !last.allows(who, p.target) {
		return w.denied(who, p.target, len(w.steps)-1)
	}
	if p.owner && last.owner != who.user {
		path := w.pathTo(len(w.steps) - 1)
		return &dfs.Error{Kind: dfs.Permission, Path: path,
			Msg: "Permission denied. user=" + who.user + " is not the owner of inode=" + path}
	}
	return nil
}

// traverse checks that every existing inode above the last name is a directory that who
// may pass.
func (w *walked) traverse(who *identity, create bool) error {
	for i := range min(len(w.names), len(w.steps)) {
		s := &w.steps[i]
		if s.typ != dfs.TypeDirectory {
			kind := dfs.Permission
			if create {
				kind = dfs.ParentNotDirectory
			}
			path := w.pathTo(i)
			return &dfs.Error{Kind: kind, Path: path, Msg: path + " (is not a directory)"}
		}
		if !s.allows(who, dfs.Execute) {
			return w.denied(who, dfs.Execute, i)
		}
	}
	return nil
}

// sticky refuses to take a name out of a sticky directory unless who owns the directory
// or what the name stands for.
func (w *walked) sticky(who *identity) error {
	parent, last := w.parent(), w.last()
	if parent == nil || last == nil || parent.mode&dfs.Sticky == 0 || parent.owner == who.user || last.owner == who.user {
		return nil
	}
	b := append([]byte("Permission denied by sticky bit: user="), who.user...)
	b = append(b, ", path="...)
	b = appendInode(b, w.pathTo(len(w.steps)-1), last)
	b = append(b, ", parent="...)
	b = appendInode(b, w.pathTo(len(w.steps)-2), parent)
	return &dfs.Error{Kind: dfs.Permission, Path: w.pathTo(len(w.steps) - 1), Msg: string(b)}
}

// denied is the error of an access that the rwx bits of steps[i] do not give.
func (w *walked) denied(who *identity, want dfs.Access, i int) error {
	return deniedAt(who, want, w.pathTo(i), &w.steps[i])
}

// deniedAt words a refusal as HDFS does, since clients show it and some parse it.
func deniedAt(who *identity, want dfs.Access, path string, s *step) error {
	b := append([]byte("Permission denied: user="), who.user...)
	b = append(append(b, ", access="...), accessNames[want&7]...)
	b = appendInode(append(b, ", inode="...), path, s)
	return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: string(b)}
}

var accessNames = [8]string{"NONE", "EXECUTE", "WRITE", "WRITE_EXECUTE", "READ", "READ_EXECUTE", "READ_WRITE", "ALL"}

// appendInode appends "path":owner:group:drwxr-xr-x.
func appendInode(b []byte, path string, s *step) []byte {
	b = append(append(append(b, '"'), path...), '"', ':')
	b = append(append(b, s.owner...), ':')
	b = append(append(b, s.group...), ':')
	letter := byte('-')
	if s.typ == dfs.TypeDirectory {
		letter = 'd'
	}
	return appendMode(b, s.mode, letter)
}
