package array

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// tree is the names of an array: the state that its log makes durable. Every change is
// a record, live and when the log is read; apply is the one place that makes it.
type tree struct {
	root   *dirent
	files  map[uint64]*node
	nextID uint64
}

// dirent is a directory (file is nil) or a name of a file.
type dirent struct {
	file  *node
	names map[string]*dirent // of a directory; made when first needed
	mod   int64              // of a directory
}

func (e *dirent) isDir() bool { return e.file == nil }

// node is a file. Size and mod are what users see; logged and over, guarded by Array.mu,
// what the log says: how long the file is and which of its stripes are not at home.
type node struct {
	id     uint64
	size   atomic.Int64
	mod    atomic.Int64
	logged int64
	over   map[int64]int64 // stripe -> slot; never changed, only replaced
	links  int32
	refs   int32
	work   *work // while it is open or has changes that are not in the log
}

type recordKind uint64

const (
	recMkdir  recordKind = 1 // path, time
	recCreate recordKind = 2 // path, id, time
	recRemove recordKind = 3 // path, time
	recRename recordKind = 4 // old, new, time
	recLink   recordKind = 5 // old, new, time
	recCommit recordKind = 6 // id, size, time, [stripe, slot+1 or 0 for home, ...]
	recNextID recordKind = 7 // the next file's id; ends a checkpoint
)

// record is one change of the tree.
type record struct {
	kind  recordKind
	path  string
	to    string
	id    uint64
	size  int64
	time  int64
	moves []int64 // pairs: stripe, slot or home
}

const home = -1

func newTree() *tree {
	return &tree{root: &dirent{}, files: map[uint64]*node{}, nextID: 1}
}

func (r *record) append(b []byte) []byte {
	switch r.kind {
	case recMkdir, recRemove:
		b = appendString(appendUint(appendArray(b, 3), uint64(r.kind)), r.path)
		return appendUint(b, uint64(r.time))
	case recCreate:
		b = appendString(appendUint(appendArray(b, 4), uint64(r.kind)), r.path)
		return appendUint(appendUint(b, r.id), uint64(r.time))
	case recRename, recLink:
		b = appendString(appendUint(appendArray(b, 4), uint64(r.kind)), r.path)
		return appendUint(appendString(b, r.to), uint64(r.time))
	case recCommit:
		b = appendUint(appendUint(appendArray(b, 5), uint64(r.kind)), r.id)
		b = appendUint(appendUint(b, uint64(r.size)), uint64(r.time))
		b = appendArray(b, len(r.moves))
		for i := 0; i < len(r.moves); i += 2 {
			b = appendUint(appendUint(b, uint64(r.moves[i])), uint64(r.moves[i+1]+1))
		}
		return b
	}
	return appendUint(appendUint(appendArray(b, 2), uint64(r.kind)), r.id)
}

func (d *decoder) record() (r record) {
	n := d.array()
	r.kind = recordKind(d.uint())
	want := 0
	switch r.kind {
	case recMkdir, recRemove:
		r.path, r.time, want = d.str(), d.int(), 3
	case recCreate:
		r.path, r.id, r.time, want = d.str(), d.uint(), d.int(), 4
	case recRename, recLink:
		r.path, r.to, r.time, want = d.str(), d.str(), d.int(), 4
	case recCommit:
		r.id, r.size, r.time, want = d.uint(), d.int(), d.int(), 5
		moves := d.array()
		for i := 0; i+1 < moves && d.err == nil; i += 2 {
			r.moves = append(r.moves, d.int(), d.int()-1)
		}
		if moves%2 != 0 {
			d.err = errDecode
		}
	case recNextID:
		r.id, want = d.uint(), 2
	}
	if n != want {
		d.err = errDecode
	}
	return r
}

// apply makes a change. Errors are those of a file system; nothing changes then. It
// returns the file that has lost a name, or nil.
func (t *tree) apply(r *record) (lost *node, err error) {
	switch r.kind {
	case recMkdir:
		return nil, t.mkdir(r)
	case recCreate:
		return nil, t.create(r)
	case recRemove:
		return t.remove(r)
	case recRename:
		return t.rename(r)
	case recLink:
		return nil, t.link(r)
	case recCommit:
		return nil, t.commit(r)
	case recNextID:
		t.nextID = max(t.nextID, r.id)
		return nil, nil
	}
	return nil, syscall.EINVAL
}

// split cuts a path into the names on it.
func split(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func (t *tree) find(name string) (*dirent, error) {
	at := t.root
	for _, part := range split(name) {
		if !at.isDir() {
			return nil, syscall.ENOTDIR
		}
		if at = at.names[part]; at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

// parent finds the directory that a name is or would be in.
func (t *tree) parent(name string) (*dirent, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", syscall.EBUSY
	}
	dir, err := t.find(strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", err
	}
	if !dir.isDir() {
		return nil, "", syscall.ENOTDIR
	}
	return dir, parts[len(parts)-1], nil
}

func (e *dirent) set(name string, child *dirent, now int64) {
	if e.names == nil {
		e.names = map[string]*dirent{}
	}
	e.names[name], e.mod = child, now
}

func (t *tree) mkdir(r *record) error {
	dir, name, err := t.parent(r.path)
	if err != nil {
		return err
	}
	if dir.names[name] != nil {
		return fs.ErrExist
	}
	dir.set(name, &dirent{mod: r.time}, r.time)
	return nil
}

func (t *tree) create(r *record) error {
	dir, name, err := t.parent(r.path)
	if err != nil {
		return err
	}
	if dir.names[name] != nil || t.files[r.id] != nil || r.id == 0 {
		return fs.ErrExist
	}
	n := &node{id: r.id, links: 1}
	n.mod.Store(r.time)
	t.files[r.id] = n
	t.nextID = max(t.nextID, r.id+1)
	dir.set(name, &dirent{file: n}, r.time)
	return nil
}

func (t *tree) remove(r *record) (*node, error) {
	dir, name, err := t.parent(r.path)
	if err != nil {
		return nil, err
	}
	e := dir.names[name]
	switch {
	case e == nil:
		return nil, fs.ErrNotExist
	case e.isDir() && len(e.names) > 0:
		return nil, syscall.ENOTEMPTY
	}
	delete(dir.names, name)
	dir.mod = r.time
	return t.unlink(e), nil
}

// unlink takes a name away from a file; one without names is no longer in the tree.
func (t *tree) unlink(e *dirent) *node {
	if e.isDir() {
		return nil
	}
	if e.file.links--; e.file.links == 0 {
		delete(t.files, e.file.id)
	}
	return e.file
}

func (t *tree) rename(r *record) (lost *node, err error) {
	from, name, err := t.parent(r.path)
	if err != nil {
		return nil, err
	}
	to, toName, err := t.parent(r.to)
	if err != nil {
		return nil, err
	}
	e, over := from.names[name], to.names[toName]
	switch {
	case e == nil:
		return nil, fs.ErrNotExist
	case e == over || over != nil && !e.isDir() && e.file == over.file:
		return nil, nil
	case over != nil && over.isDir() && !e.isDir():
		return nil, syscall.EISDIR
	case over != nil && !over.isDir() && e.isDir():
		return nil, syscall.ENOTDIR
	case over != nil && over.isDir() && len(over.names) > 0:
		return nil, syscall.ENOTEMPTY
	case e.isDir() && strings.HasPrefix(path.Clean("/"+r.to)+"/", path.Clean("/"+r.path)+"/"):
		return nil, syscall.EINVAL
	}
	if over != nil {
		lost = t.unlink(over)
	}
	delete(from.names, name)
	from.mod = r.time
	to.set(toName, e, r.time)
	return lost, nil
}

func (t *tree) link(r *record) error {
	e, err := t.find(r.path)
	if err != nil {
		return err
	}
	if e.isDir() {
		return syscall.EPERM
	}
	dir, name, err := t.parent(r.to)
	if err != nil {
		return err
	}
	if dir.names[name] != nil {
		return fs.ErrExist
	}
	e.file.links++
	dir.set(name, &dirent{file: e.file}, r.time)
	return nil
}

// commit notes what is durable of a file. One that has lost its names meanwhile is of
// no concern.
func (t *tree) commit(r *record) error {
	n := t.files[r.id]
	if n == nil {
		return nil
	}
	n.logged = r.size
	if len(r.moves) > 0 {
		n.over = moved(n.over, r.moves)
	}
	n.mod.Store(r.time)
	if n.work == nil {
		n.size.Store(r.size)
	}
	return nil
}

func moved(over map[int64]int64, moves []int64) map[int64]int64 {
	next := maps.Clone(over)
	if next == nil {
		next = map[int64]int64{}
	}
	for i := 0; i < len(moves); i += 2 {
		if moves[i+1] == home {
			delete(next, moves[i])
		} else {
			next[moves[i]] = moves[i+1]
		}
	}
	if len(next) == 0 {
		return nil
	}
	return next
}

// snapshot calls each with records that make this tree from an empty one.
func (t *tree) snapshot(each func(*record)) {
	first := make(map[uint64]string, len(t.files)) // a name of each file with several
	t.walk(t.root, "", func(name string, e *dirent) {
		switch n := e.file; {
		case n == nil:
			each(&record{kind: recMkdir, path: name, time: e.mod})
		case first[n.id] != "":
			each(&record{kind: recLink, path: first[n.id], to: name, time: n.mod.Load()})
		default:
			if n.links > 1 {
				first[n.id] = name
			}
			each(&record{kind: recCreate, path: name, id: n.id, time: n.mod.Load()})
			if n.logged > 0 || len(n.over) > 0 {
				r := &record{kind: recCommit, id: n.id, size: n.logged, time: n.mod.Load()}
				for _, s := range slices.Sorted(maps.Keys(n.over)) {
					r.moves = append(r.moves, s, n.over[s])
				}
				each(r)
			}
		}
	})
	each(&record{kind: recNextID, id: t.nextID})
}

func (t *tree) walk(dir *dirent, prefix string, each func(name string, e *dirent)) {
	for name, e := range dir.names {
		full := prefix + "/" + name
		each(full, e)
		if e.isDir() {
			t.walk(e, full, each)
		}
	}
}

func now() int64 { return time.Now().UnixNano() }
