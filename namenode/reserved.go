package namenode

import (
	"slices"
	"strconv"

	"redoubt/dfs"
)

// reservedName is the root's child that stands for other ways to name files:
// /.reserved/raw/PATH is PATH, which only the superuser may change so,
// /.reserved/.inodes/ID/REST goes on from an inode. It is not in the tree.
const reservedName = ".reserved"

// reserved turns the components of a path below /.reserved into those of the file that is
// meant. The caller holds the state's read lock.
func (r *request) reserved(names []string, path string) ([]string, error) {
	switch names[1] {
	case "raw":
		return names[2:], nil // prepare refuses changes that are not the superuser's
	case ".inodes":
		if len(names) == 2 {
			return names, nil
		}
		id, err := strconv.ParseUint(names[2], 10, 64)
		if err != nil {
			return nil, notFound("Invalid inode path: " + path)
		}
		own, ok := r.n.ns.Path(dfs.InodeID(id))
		if !ok {
			return nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File for given inode path does not exist: " + path}
		}
		above, err := dfs.Components(own)
		if err != nil {
			return nil, err
		}
		return slices.Concat(above, names[3:]), nil
	}
	return names, nil
}

// reservedStatus describes /.reserved itself.
func reservedStatus() dfs.FileStatus {
	return dfs.FileStatus{Type: dfs.TypeDirectory, Mode: dfs.Sticky | 0o770}
}

// reservedListing lists /.reserved.
func (r *request) reservedListing(after string) *dfs.Listing {
	l := new(dfs.Listing)
	for _, name := range []string{".inodes", "raw"} {
		if name > after {
			l.Entries = append(l.Entries, dfs.ListEntry{FileStatus: dfs.FileStatus{
				Type: dfs.TypeDirectory, Name: name, Mode: 0o770, Owner: r.n.cfg.Superuser, ModTime: r.n.started.UnixMilli()}})
		}
	}
	return l
}

// isReserved reports whether a walked path is /.reserved itself.
func isReserved(names []string) bool { return len(names) == 1 && names[0] == reservedName }
