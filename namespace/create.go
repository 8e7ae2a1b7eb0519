package namespace

import (
	"strings"
	"unicode/utf8"

	"redoubt/dfs"
)

// descent is where new names begin: the deepest existing directory, and what is left.
type descent struct {
	dir   uint32
	names []string
	last  uint32 // what the last name stands for, 0 nothing; then names is empty
}

// descend walks the existing ones of names below an authorised directory. What has come
// to exist below a directory since it was authorised is passed by the superuser's ops only.
func (s *State) descend(parent dfs.InodeID, names []string, auth uint64, existing dfs.InodeID) (d descent, err error) {
	if d.dir = s.live(parent); d.dir == 0 {
		return d, errStale
	}
	if !s.inodes.at(d.dir).isDir() {
		return d, s.notDirectory(d.dir)
	}
	authorised := d.dir
	for d.names = names; len(d.names) > 0; d.names = d.names[1:] {
		i := s.lookup(d.dir, d.names[0])
		if i == 0 {
			break
		}
		if len(d.names) == 1 {
			d.last, d.names = i, nil
			authorised = i
			break
		}
		if auth != 0 {
			return d, errStale
		}
		if !s.inodes.at(i).isDir() {
			return d, s.notDirectory(i)
		}
		d.dir = i
	}
	if auth != 0 {
		if d.last != 0 && dfs.InodeID(s.inodes.at(d.last).id) != existing {
			return d, errStale
		}
		if s.chainAuth(authorised) != auth {
			return d, errStale
		}
	}
	return d, s.checkNew(d.dir, d.names)
}

func (s *State) notDirectory(i uint32) error {
	path := s.pathOf(i)
	return &dfs.Error{Kind: dfs.ParentNotDirectory, Path: path, Msg: path + " (is not a directory)"}
}

// checkNew refuses names that nothing may ever have.
func (s *State) checkNew(dir uint32, names []string) error {
	if s.inodes.live()+len(names) >= inInode-chunkSlots {
		return dfs.Errorf(dfs.Other, "there are too many files and directories")
	}
	for i, name := range names {
		if name == "" || len(name) > maxName || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name) {
			return dfs.Errorf(dfs.InvalidPath, "Invalid path name %s", s.join(dir, names[:i+1]...))
		}
		if err := s.reservedName(i == 0 && dir == rootSlot, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) reservedName(inRoot bool, name string) error {
	if name[0] != '.' {
		return nil
	}
	if inRoot && name == ".reserved" {
		return dfs.Errorf(dfs.IllegalArgument, "File name %q is reserved and cannot be created. If this is during upgrade "+
			"change the name of the existing file or directory to another name before upgrading to the new release.", name)
	}
	if name == ".snapshot" {
		return dfs.Errorf(dfs.IllegalArgument, "%q is a reserved name.", name)
	}
	return nil
}

func (s *State) checkMkdirs(o *Mkdirs) (descent, error) {
	d, err := s.descend(o.Parent, o.Names, o.Auth, 0)
	if d.last != 0 && d.names == nil {
		// The name exists: true for a directory whoever has made it meanwhile.
		if in := s.inodes.at(d.last); !in.isDir() {
			path := s.pathOf(d.last)
			return d, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: "Path is not a directory: " + path}
		} else if err == nil || dfs.Is(err, dfs.Stale) {
			return d, nil
		}
	}
	if err != nil {
		return d, err
	}
	if len(d.names) > 1 && !o.CreateParent {
		return d, s.noParent(d)
	}
	if s.strings.full(o.Owner) {
		return d, dfs.Errorf(dfs.Other, "too many different user names")
	}
	return d, s.verifyQuota(d.dir, growth{ns: int64(len(d.names))}, 0)
}

func (s *State) noParent(d descent) error {
	path := s.join(d.dir, d.names[:len(d.names)-1]...)
	return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Parent directory doesn't exist: " + path}
}

func (s *State) mkdirs(o *Mkdirs) (any, error) {
	d, err := s.checkMkdirs(o)
	if err != nil {
		return nil, err
	}
	if len(d.names) > 0 {
		s.makeDirs(d.dir, d.names, o.Owner, o.Mode&0o777|0o300, o.Mode, o.Unmasked, o.HasUnmasked, o.Time)
	}
	return true, nil
}

// makeDirs makes directories one inside the other and gives the innermost.
func (s *State) makeDirs(dir uint32, names []string, owner string, implicit, mode, unmasked dfs.Mode, hasUnmasked bool, time int64) uint32 {
	user := s.strings.id(owner)
	group := s.inodes.at(dir).groupID()
	for i, name := range names {
		m := implicit
		if i == len(names)-1 {
			m = mode
		}
		child := s.add(dir, name, dfs.TypeDirectory, m, user, group, time)
		u := m
		if hasUnmasked {
			if u = unmasked; i < len(names)-1 {
				u = unmasked&0o777 | 0o300
			}
		}
		s.inheritACL(dir, child, m, u)
		s.sum.add(s.attrs(s.inodes.at(child)))
		dir = child
	}
	return dir
}

func (s *State) checkCreate(o *Create) (descent, error) {
	d, err := s.descend(o.Parent, o.Names, o.Auth, o.Existing)
	if err != nil {
		return d, err
	}
	if len(o.Names) == 0 || d.last != 0 && s.inodes.at(d.last).isDir() {
		path := s.join(d.dir, o.Names...)
		if len(o.Names) == 0 {
			path = s.pathOf(d.dir)
		}
		return d, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: path + " already exists as a directory"}
	}
	switch {
	case d.last != 0 && o.Flags&dfs.CreateFlagOverwrite == 0:
		path := s.pathOf(d.last)
		return d, &dfs.Error{Kind: dfs.AlreadyExists, Path: path, Msg: path + " for client " + o.Machine + " already exists"}
	case d.last == 0 && len(d.names) > 1 && !o.CreateParent:
		return d, s.noParent(d)
	case d.last == 0 && o.Flags&dfs.CreateFlagCreate == 0:
		path := s.join(d.dir, d.names...)
		return d, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Can't overwrite non-existent " + path}
	case o.BlockSize <= 0 || o.BlockSize > maxBlock:
		return d, dfs.Errorf(dfs.IllegalArgument, "block size %d is out of range", o.BlockSize)
	case s.strings.full(o.Owner) || s.strings.full(o.Machine):
		return d, dfs.Errorf(dfs.Other, "too many different user and host names")
	}
	return d, s.verifyQuota(d.dir, growth{ns: int64(len(d.names))}, 0)
}

func (s *State) create(o *Create) (any, error) {
	d, err := s.checkCreate(o)
	if err != nil {
		return nil, err
	}
	r := &Created{}
	name := o.Names[len(o.Names)-1]
	if d.last != 0 {
		r.Replaced = dfs.InodeID(s.inodes.at(d.last).id)
		var gone Deleted
		s.removeFile(d.last, &gone)
		gone.settle()
		r.Removed, r.Groups = gone.Blocks, gone.Groups
		d.names = o.Names[len(o.Names)-1:]
	}
	made := int64(len(d.names))
	dir := d.dir
	if made > 1 {
		implicit := s.inodes.at(dir).perm()&0o777 | 0o300
		dir = s.makeDirs(dir, d.names[:made-1], o.Owner, implicit, implicit, implicit, o.HasUnmasked, o.Time)
	}
	i := s.add(dir, name, dfs.TypeFile, o.Mode&0o777|o.Mode&dfs.Sticky, s.strings.id(o.Owner), s.inodes.at(dir).groupID(), o.Time)
	in := s.inodes.edit(i)
	in.setAtime(o.Time)
	in.layout = uint64(o.BlockSize)<<16 | uint64(o.Replication)
	in.setPolicy(o.Policy)
	unmasked := o.Mode
	if o.HasUnmasked {
		unmasked = o.Unmasked
	}
	s.inheritACL(dir, i, o.Mode, unmasked)
	s.sum.add(s.attrs(in))
	s.open(i, o.Holder, o.Machine, 0)
	r.Status = s.status(i)
	return r, nil
}
