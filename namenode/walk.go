package namenode

import (
	"redoubt/dfs"
	"redoubt/namespace"
)

// treeWalk visits an inode and all below it in steps, a directory before its children and
// these in order of name, so that nobody waits for the walk of a big tree. What is renamed
// between two steps may be seen twice or not at all.
type treeWalk struct {
	root  *visited
	stack []walkDir
}

type walkDir struct {
	id    dfs.InodeID
	path  string // "" for the root, so that a slash and a name can follow
	after string // the name visited last
	page  []dfs.FileStatus
	done  bool // page is the last one
}

// visited is what a step found.
type visited struct {
	path string
	ino  namespace.Inode
}

// walkPage is how many entries of a directory are listed at a time.
const walkPage = 256

func newTreeWalk(path string, ino *namespace.Inode) *treeWalk {
	return &treeWalk{root: &visited{path: path, ino: *ino}}
}

// step appends the next inodes, at most max, to dst; none when the walk is over. The caller
// holds the state's read lock; enter is asked before a directory is entered.
func (w *treeWalk) step(dst []visited, ns *namespace.State, max int, enter func(path string, dir *namespace.Inode) error) ([]visited, error) {
	visit := func(v visited) error {
		dst = append(dst, v)
		if !v.ino.IsDir() {
			return nil
		}
		if err := enter(v.path, &v.ino); err != nil {
			return err
		}
		d := walkDir{id: v.ino.ID, path: v.path}
		if d.path == "/" {
			d.path = ""
		}
		w.stack = append(w.stack, d)
		return nil
	}
	if w.root != nil {
		root := *w.root
		w.root = nil
		if err := visit(root); err != nil {
			return dst, err
		}
	}
	for len(w.stack) > 0 && len(dst) < max {
		d := &w.stack[len(w.stack)-1]
		if len(d.page) == 0 {
			if d.done {
				w.stack = w.stack[:len(w.stack)-1]
				continue
			}
			left := 0
			d.page, left = ns.List(nil, d.id, d.after, walkPage)
			d.done = left == 0
			continue
		}
		st := d.page[0]
		d.page, d.after = d.page[1:], st.Name
		if ino, ok := ns.Inode(st.ID); ok {
			if err := visit(visited{path: d.path + "/" + st.Name, ino: ino}); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}
