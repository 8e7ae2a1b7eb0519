package namenode

import (
	"slices"

	"redoubt/dfs"
	"redoubt/namespace"
)

// identity is who asks, as permissions see it.
type identity struct {
	user   string
	groups []string
	super  bool
	ns     *namespace.State // for the ACLs of inodes that have one
}

// The functions below work on a walked path: Chain[0] is the root, Chain[i] the inode of
// Names[i-1]; what is missing of Chain does not exist.

// target is the inode that the path names, nil if there is none.
func target(w *namespace.Walk) *namespace.Inode {
	if len(w.Chain) == len(w.Names)+1 {
		return &w.Chain[len(w.Chain)-1]
	}
	return nil
}

// parentOf is the inode of the path's directory, nil if it is missing or the path is the
// root.
func parentOf(w *namespace.Walk) *namespace.Inode {
	if n := len(w.Names); n > 0 && len(w.Chain) >= n {
		return &w.Chain[n-1]
	}
	return nil
}

// ancestorOf is the nearest inode above the path's last name that exists, nil for the root.
func ancestorOf(w *namespace.Walk) *namespace.Inode {
	if len(w.Names) == 0 {
		return nil
	}
	return &w.Chain[min(len(w.Names), len(w.Chain))-1]
}

// pathTo spells the path down to the inode Chain[i].
func pathTo(w *namespace.Walk, i int) string { return dfs.Join(w.Names[:i]...) }

// allows tells whether who may do what it wants with an inode.
func allows(s *namespace.Inode, who *identity, want dfs.Access) bool {
	switch {
	case who.super:
		return true
	case s.HasACL:
		return allowsACL(s, who, want)
	}
	return allowsMode(s, who, want)
}

// allowsMode applies the rwx bits that count for who: the owner's if it owns the inode,
// else the group's if it is a member, else the others'.
func allowsMode(s *namespace.Inode, who *identity, want dfs.Access) bool {
	bits := dfs.Access(s.Mode)
	switch {
	case s.Owner == who.user:
		bits = dfs.Access(s.Mode >> 6)
	case slices.Contains(who.groups, s.Group):
		bits = dfs.Access(s.Mode >> 3)
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
	// optional: nothing at the path is no error.
	optional bool
}

// check refuses what who may not do. It first walks down: everything but the last name
// must be a directory that who may pass.
func check(w *namespace.Walk, who *identity, p permit) error {
	if err := traverse(w, who, p.create); err != nil {
		return err
	}
	if who.super {
		return nil
	}
	last := target(w)
	if p.parent&dfs.Write != 0 && last != nil {
		if err := sticky(w, who); err != nil {
			return err
		}
	}
	if a := ancestorOf(w); a != nil && p.ancestor != 0 && !allows(a, who, p.ancestor) {
		return denied(w, who, p.ancestor, min(len(w.Names), len(w.Chain))-1)
	}
	if d := parentOf(w); d != nil && p.parent != 0 && !allows(d, who, p.parent) {
		return denied(w, who, p.parent, len(w.Names)-1)
	}
	if last == nil {
		return nil
	}
	if !allows(last, who, p.target) {
		return denied(w, who, p.target, len(w.Chain)-1)
	}
	if p.owner && last.Owner != who.user {
		path := pathTo(w, len(w.Chain)-1)
		return &dfs.Error{Kind: dfs.Permission, Path: path,
			Msg: "Permission denied. user=" + who.user + " is not the owner of inode=" + path}
	}
	return nil
}

// traverse checks that every existing inode above the last name is a directory that who
// may pass.
func traverse(w *namespace.Walk, who *identity, create bool) error {
	for i := range min(len(w.Names), len(w.Chain)) {
		s := &w.Chain[i]
		if s.Type != dfs.TypeDirectory {
			kind := dfs.Permission
			if create {
				kind = dfs.ParentNotDirectory
			}
			path := pathTo(w, i)
			return &dfs.Error{Kind: kind, Path: path, Msg: path + " (is not a directory)"}
		}
		if !allows(s, who, dfs.Execute) {
			return denied(w, who, dfs.Execute, i)
		}
	}
	return nil
}

// sticky refuses to take a name out of a sticky directory unless who owns the directory
// or what the name stands for.
func sticky(w *namespace.Walk, who *identity) error {
	parent, last := parentOf(w), target(w)
	if parent == nil || last == nil || parent.Mode&dfs.Sticky == 0 || parent.Owner == who.user || last.Owner == who.user {
		return nil
	}
	return stickyAt(who, pathTo(w, len(w.Chain)-1), last, pathTo(w, len(w.Chain)-2), parent)
}

func stickyAt(who *identity, path string, ino *namespace.Inode, dir string, parent *namespace.Inode) error {
	b := append([]byte("Permission denied by sticky bit: user="), who.user...)
	b = appendInode(append(b, ", path="...), path, ino)
	b = appendInode(append(b, ", parent="...), dir, parent)
	return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: string(b)}
}

// denied is the error of an access that the rwx bits of Chain[i] do not give.
func denied(w *namespace.Walk, who *identity, want dfs.Access, i int) error {
	return deniedAt(who, want, pathTo(w, i), &w.Chain[i])
}

// deniedAt words a refusal as HDFS does, since clients show it and some parse it.
func deniedAt(who *identity, want dfs.Access, path string, s *namespace.Inode) error {
	b := append([]byte("Permission denied: user="), who.user...)
	b = append(append(b, ", access="...), accessNames[want&7]...)
	b = appendInode(append(b, ", inode="...), path, s)
	return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: string(b)}
}

var accessNames = [8]string{"NONE", "EXECUTE", "WRITE", "WRITE_EXECUTE", "READ", "READ_EXECUTE", "READ_WRITE", "ALL"}

// appendInode appends "path":owner:group:drwxr-xr-x.
func appendInode(b []byte, path string, s *namespace.Inode) []byte {
	b = append(append(append(b, '"'), path...), '"', ':')
	b = append(append(b, s.Owner...), ':')
	b = append(append(b, s.Group...), ':')
	letter := byte('-')
	if s.Type == dfs.TypeDirectory {
		letter = 'd'
	}
	return appendMode(b, s.Mode, letter)
}
