package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/vfs"
)

// LayoutVersion is the version of a name directory's layout that this package writes
// and reads.
const LayoutVersion = 1

const (
	currentDir  = "current"
	versionFile = "VERSION"
	lockFile    = "in_use.lock"
	maxVersion  = 64 << 10 // bytes of a VERSION file
)

// nameDir is one name directory of an open journal. What isn't constant belongs to one
// goroutine at a time: Open's, then the committer's.
type nameDir struct {
	path string
	cur  string // path/current
	lock io.Closer
	warn string          // what is amiss around it
	log  *editlog.Writer // nil while the directory is out
	mark *markWriter     // nil while the directory is out
	err  error           // why it is out
	role role
	// joined says that a directory without a log is in.
	joined bool
}

// role is what a name directory holds.
type role uint8

const (
	holdsBoth role = iota
	holdsImages
	holdsLog
)

func (r role) images() bool { return r != holdsLog }
func (r role) log() bool    { return r != holdsImages }

func newNameDir(dir string, r role) *nameDir {
	return &nameDir{path: dir, cur: path.Join(dir, currentDir), role: r}
}

// newNameDirs gives the directories of a journal: those for images, which hold the log too
// unless edits names others for it. One that is named as both is both.
func newNameDirs(images, edits []string) (dirs []*nameDir) {
	for _, p := range images {
		r := holdsBoth
		if len(edits) > 0 && !slices.Contains(edits, p) {
			r = holdsImages
		}
		dirs = append(dirs, newNameDir(p, r))
	}
	for _, p := range edits {
		if !slices.Contains(images, p) {
			dirs = append(dirs, newNameDir(p, holdsLog))
		}
	}
	return dirs
}

// in reports whether the directory takes part.
func (d *nameDir) in() bool { return d.log != nil || d.joined }

// acquire takes the directory's lock.
func (d *nameDir) acquire(fs vfs.FS) error {
	if d.lock != nil {
		return nil
	}
	warn, err := fs.Protect(d.path)
	if err != nil {
		return fmt.Errorf("journal: lock name directory %s: %w", d.path, err)
	}
	d.warn = warn
	lock, err := fs.Lock(path.Join(d.path, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return &LockedError{Dir: d.path, Err: err}
	}
	if err != nil {
		return fmt.Errorf("journal: lock name directory %s: %w", d.path, err)
	}
	d.lock = lock
	return nil
}

func (d *nameDir) release() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}

// LockedError says that a name directory is in use by another process.
type LockedError struct {
	Dir string
	Err error
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("journal: name directory %s is in use by another name node: %v", e.Dir, e.Err)
}

func (e *LockedError) Unwrap() error { return e.Err }

// ClusterError says that a name directory belongs to another cluster than the others,
// or than was asked for.
type ClusterError struct {
	Dir       string
	Got, Want dfs.ClusterInfo
}

func (e *ClusterError) Error() string {
	return fmt.Sprintf("journal: name directory %s belongs to cluster %s pool %s namespace %d, not to cluster %s pool %s namespace %d",
		e.Dir, e.Got.ClusterID, e.Got.PoolID, e.Got.NamespaceID, e.Want.ClusterID, e.Want.PoolID, e.Want.NamespaceID)
}

// encodeVersion gives a VERSION file: key=value lines, the last of which is the CRC32C
// of those before.
func encodeVersion(c dfs.ClusterInfo) []byte {
	b := fmt.Appendf(nil, "namespaceID=%d\nclusterID=%s\ncTime=%d\nstorageType=NAME_NODE\nblockpoolID=%s\nlayoutVersion=%d\n",
		c.NamespaceID, c.ClusterID, c.CTime, c.PoolID, LayoutVersion)
	return fmt.Appendf(b, "checksum=%08x\n", crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decodeVersion reads what encodeVersion wrote. Layout and checksum are two questions:
// a later layout may have other keys.
func decodeVersion(b []byte) (c dfs.ClusterInfo, err error) {
	values := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			values[key] = value
		}
	}
	layout, err := strconv.Atoi(values["layoutVersion"])
	if err != nil {
		return c, dfs.Errorf(dfs.Corrupt, "VERSION holds no layoutVersion")
	}
	if layout != LayoutVersion {
		return c, dfs.Errorf(dfs.IncorrectVersion, "unsupported layout version %d (this program reads %d)", layout, LayoutVersion)
	}
	body := b
	if i := strings.LastIndex(string(b), "checksum="); i >= 0 {
		body = b[:i]
	}
	if sum := fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)); values["checksum"] != sum {
		return c, dfs.Errorf(dfs.Corrupt, "VERSION's checksum is %q, its bytes give %q", values["checksum"], sum)
	}
	ns, err1 := strconv.ParseUint(values["namespaceID"], 10, 32)
	ctime, err2 := strconv.ParseInt(values["cTime"], 10, 64)
	c = dfs.ClusterInfo{ClusterID: values["clusterID"], PoolID: values["blockpoolID"], NamespaceID: uint32(ns), CTime: ctime}
	if err1 != nil || err2 != nil || c.ClusterID == "" || values["storageType"] != "NAME_NODE" {
		return c, dfs.Errorf(dfs.Corrupt, "VERSION is not that of a name directory")
	}
	return c, nil
}

func (d *nameDir) readVersion(fs vfs.FS) (dfs.ClusterInfo, error) {
	name := path.Join(d.cur, versionFile)
	b, err := vfs.ReadFile(fs, name, maxVersion)
	if err != nil {
		return dfs.ClusterInfo{}, err
	}
	c, err := decodeVersion(b)
	if err != nil {
		return c, fmt.Errorf("journal: %s: %w", name, err)
	}
	return c, nil
}

func (d *nameDir) writeVersion(fs vfs.FS, c dfs.ClusterInfo) error {
	return fs.Publish(path.Join(d.cur, versionFile), func(w io.Writer) error {
		_, err := w.Write(encodeVersion(c))
		return err
	})
}

// MissingError says that a name directory can't be read at start. It may hold transactions
// that the other ones lack: those of a time when they had been dropped.
type MissingError struct {
	Dir    string
	Err    error
	Others bool // another directory is there and not empty
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("journal: name directory %s can't be used: %v", e.Dir, e.Err)
	if e.Others {
		text += "; it may hold what the others miss: bring it back, or leave it out to go on without it"
	}
	return text
}

func (e *MissingError) Unwrap() error { return e.Err }

// others reports whether a directory besides d is there and not empty.
func (j *Journal) others(d *nameDir) bool {
	return slices.ContainsFunc(j.dirs, func(o *nameDir) bool {
		blank, err := o.blank(j.opt.FS)
		return o != d && !blank && !errors.Is(err, iofs.ErrNotExist)
	})
}

// blank reports whether the directory exists and holds no namespace, not even the
// remains of one.
func (d *nameDir) blank(fs vfs.FS) (bool, error) {
	if _, err := fs.Stat(d.path); err != nil {
		return false, err
	}
	entries, err := fs.ReadDir(d.cur)
	if errors.Is(err, iofs.ErrNotExist) {
		return true, nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, ".") { // what an interrupted publication left
			return false, err
		}
	}
	return err == nil, err
}

// ReadCluster tells which cluster the name directories belong to, without opening them.
// errors.Is(err, fs.ErrNotExist) holds when none of them is formatted.
func ReadCluster(fs vfs.FS, dirs []string) (dfs.ClusterInfo, error) {
	var errs []error
	for _, p := range dirs {
		c, err := newNameDir(p, holdsBoth).readVersion(fs)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	for _, err := range errs {
		if !errors.Is(err, iofs.ErrNotExist) {
			return dfs.ClusterInfo{}, err
		}
	}
	return dfs.ClusterInfo{}, fmt.Errorf("journal: no name directory of %s is formatted: %w", strings.Join(dirs, ", "), iofs.ErrNotExist)
}
