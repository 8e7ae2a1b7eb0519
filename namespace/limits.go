package namespace

import "redoubt/dfs"

// Limits are what an administrator may set. They are checked before an op is proposed,
// never in Apply. A zero field has HDFS's default.
type Limits struct {
	ComponentLength int   // bytes of a name; dfs.MaxComponentLength
	DirectoryItems  int   // children of a directory; dfs.MaxDirectoryItems
	BlockSize       int64 // smallest block size; dfs.MinBlockSize
	BlocksPerFile   int   // dfs.MaxBlocksPerFile
}

func or[T int | int64](v, def T) T {
	if v != 0 {
		return v
	}
	return def
}

// CheckNames refuses to make names (the missing ones of a path) below the directory dir.
// Errors: dfs.ComponentTooLong, dfs.DirectoryTooFull, dfs.IllegalArgument for reserved
// names, dfs.InvalidPath.
func (s *State) CheckNames(l Limits, dir dfs.InodeID, names []string) error {
	d := s.live(dir)
	if d == 0 || len(names) == 0 {
		return nil
	}
	for i, name := range names {
		if limit := or(l.ComponentLength, dfs.MaxComponentLength); len(name) > limit {
			return dfs.Errorf(dfs.ComponentTooLong, "The maximum path component name limit of %s in directory %s is exceeded: limit=%d length=%d",
				name, s.join(d, names[:i]...), limit, len(name))
		}
	}
	if limit := or(l.DirectoryItems, dfs.MaxDirectoryItems); int(s.inodes.at(d).count()) >= limit {
		return dfs.Errorf(dfs.DirectoryTooFull, "The directory item limit of %s is exceeded: limit=%d items=%d",
			s.pathOf(d), limit, s.inodes.at(d).count())
	}
	return s.checkNew(d, names)
}

// CheckBlockSize refuses a block size that is below the limit.
func (l Limits) CheckBlockSize(size int64) error {
	if limit := or(l.BlockSize, dfs.MinBlockSize); size < limit {
		return dfs.Errorf(dfs.Other, "Specified block size %d is less than configured minimum value "+
			"dfs.namenode.fs-limits.min-block-size=%d", size, limit)
	}
	return nil
}

// CheckBlockCount refuses another block for a file that has as many as it may.
func (s *State) CheckBlockCount(l Limits, file dfs.InodeID) error {
	i := s.live(file)
	if i == 0 {
		return nil
	}
	if limit, n := or(l.BlocksPerFile, dfs.MaxBlocksPerFile), int(s.inodes.at(i).count()); n >= limit {
		return dfs.Errorf(dfs.Other, "File has reached the limit on maximum number of blocks "+
			"(dfs.namenode.fs-limits.max-blocks-per-file): %d >= %d", n, limit)
	}
	return nil
}
