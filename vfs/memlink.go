package vfs

import (
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// findLocked gives the node of a name; a link as its last component is an error.
func (m *Mem) findLocked(name string) (*node, error) { return m.walkLocked(name, false, 0) }

// walkLocked follows the links that a name may lead through: those that are not below a
// protected directory, and the last component only if follow is set.
func (m *Mem) walkLocked(name string, follow bool, depth int) (*node, error) {
	n, at, inside := m.root, "", m.roots["/"]
	rest := clean(name)[1:]
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[part]; n == nil {
			return nil, fs.ErrNotExist
		}
		at += "/" + part
		if n.link != "" {
			if inside || depth > 40 || rest == "" && !follow && !m.roots[at] {
				return nil, ErrLink
			}
			var err error
			if n, err = m.walkLocked(path.Join(path.Dir(at), n.link), true, depth+1); err != nil {
				return nil, err
			}
		}
		inside = inside || m.roots[at]
	}
	return n, nil
}

// Symlink makes a symbolic link, as a stranger may have on a real disk.
func (m *Mem) Symlink(target, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parentLocked(name)
	if err == nil && d.entries[base] != nil {
		err = fs.ErrExist
	}
	if err == nil {
		err = m.addLocked(d, base, &node{link: target})
	}
	if err != nil {
		return pathErr("symlink", name, err)
	}
	return nil
}

// Protect takes a directory for one below which no link is followed. A Mem has no users.
func (m *Mem) Protect(dir string) (warning string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err = m.readLocked(); err == nil {
		var n *node
		if n, err = m.walkLocked(dir, true, 0); err == nil && !n.dir {
			err = syscall.ENOTDIR
		}
	}
	if err != nil {
		return "", pathErr("protect", dir, err)
	}
	m.roots[clean(dir)] = true
	return "", nil
}
