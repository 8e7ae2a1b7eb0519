package namespace

import (
	"cmp"
	"fmt"
	"slices"

	"redoubt/dfs"
)

// XAttr is one extended attribute.
type XAttr = dfs.XAttr

// Quota is a directory's quota and use; limits are -1 where none is set.
type Quota struct {
	NSLimit, DSLimit int64
	NSUsed, DSUsed   int64 // inodes with the directory itself; bytes times replication
}

func (s *State) checkSetAttr(o *SetAttr) (uint32, error) {
	i, err := s.premise(o.Target, o.Auth)
	if err != nil {
		return 0, err
	}
	in := s.inodes.at(i)
	switch {
	case o.Mask&AttrModTime != 0 && (o.ModTime < 0 || o.ModTime > maxTime),
		o.Mask&AttrAccessTime != 0 && (o.AccessTime < 0 || o.AccessTime > maxTime):
		return 0, dfs.Errorf(dfs.IllegalArgument, "time is out of range: mtime %d, atime %d", o.ModTime, o.AccessTime)
	case o.Mask&AttrOwner != 0 && s.strings.full(o.Owner) || o.Mask&AttrGroup != 0 && s.strings.full(o.Group):
		return 0, dfs.Errorf(dfs.Other, "too many different user and group names")
	case o.Mask&(AttrNSQuota|AttrDSQuota|AttrTypeQuota) != 0 && !in.isDir():
		path := s.pathOf(i)
		return 0, &dfs.Error{Kind: dfs.NotDirectory, Path: path, Msg: "`" + path + "': Is not a directory"}
	case o.checkTypeQuota() != nil:
		return 0, o.checkTypeQuota()
	case o.Mask&AttrReplication != 0 && in.isFile() && o.Replication > in.replication():
		g := growth{ds: s.space(i) / max(int64(in.replication()), 1) * int64(o.Replication-in.replication())}
		if s.typed() {
			addTypes(&g.types, s.policyOf(i), s.bytes(i), o.Replication)
			addTypes(&g.types, s.policyOf(i), -s.bytes(i), in.replication())
		}
		return i, s.verifyQuota(in.parent, g, 0)
	}
	return i, nil
}

func (s *State) setAttr(o *SetAttr) (any, error) {
	i, err := s.checkSetAttr(o)
	if err != nil {
		return nil, err
	}
	r := &AttrChange{OK: true}
	if o.Mask&(AttrReplication|AttrPolicy) != 0 && s.typed() {
		s.retyped(i, func() { s.changeAttrs(i, o, r) })
	} else {
		s.changeAttrs(i, o, r)
	}
	if o.Mask&(AttrNSQuota|AttrDSQuota) != 0 {
		s.setQuota(i, o)
	}
	if o.Mask&AttrTypeQuota != 0 {
		s.setTypeQuota(i, o)
	}
	return r, nil
}

// changeAttrs changes all but quotas.
func (s *State) changeAttrs(i uint32, o *SetAttr, r *AttrChange) {
	if o.Mask&AttrReplication != 0 {
		if in := s.inodes.at(i); in.isFile() {
			r.OldReplication = in.replication()
		} else {
			r.OK = false
		}
	}
	space := int64(0)
	isFile := s.inodes.at(i).isFile()
	if isFile {
		space = s.space(i)
	}
	in := s.inodes.edit(i)
	s.sum.sub(s.attrs(in))
	access := s.authWord(in)
	if o.Mask&AttrMode != 0 {
		in.setPerm(o.Mode)
	}
	if o.Mask&AttrOwner != 0 {
		id := s.strings.id(o.Owner)
		s.strings.hold(id)
		s.strings.release(in.ownerID())
		in.setOwner(id)
	}
	if o.Mask&AttrGroup != 0 {
		id := s.strings.id(o.Group)
		s.strings.hold(id)
		s.strings.release(in.groupID())
		in.setGroup(id)
	}
	if o.Mask&AttrModTime != 0 {
		in.setMtime(o.ModTime)
	}
	if o.Mask&AttrAccessTime != 0 {
		in.setAtime(o.AccessTime)
	}
	if o.Mask&AttrReplication != 0 && r.OK {
		in.layout = in.layout&^0xffff | uint64(o.Replication)
	}
	if o.Mask&AttrPolicy != 0 {
		in.setPolicy(o.Policy)
	}
	s.sum.add(s.attrs(in))
	if in.isDir() && s.authWord(in) != access {
		s.authEpoch++
	}
	if isFile {
		s.charge(in.parent, 0, s.space(i)-space)
	}
}

func quotaSum(id uint64, q Quota) sum {
	return hash6(tagQuota, id, uint64(q.NSLimit), uint64(q.DSLimit), uint64(q.NSUsed), uint64(q.DSUsed), 0)
}

func (s *State) setQuota(i uint32, o *SetAttr) {
	in := s.inodes.edit(i)
	q, had := s.feature.quotas.Get(in.id)
	if had {
		s.sum.sub(quotaSum(in.id, q))
	} else {
		q = Quota{NSLimit: -1, DSLimit: -1}
		q.NSUsed, q.DSUsed = s.usage(i)
	}
	if o.Mask&AttrNSQuota != 0 {
		q.NSLimit = max(o.NSQuota, -1)
	}
	if o.Mask&AttrDSQuota != 0 {
		q.DSLimit = max(o.DSQuota, -1)
	}
	set := q.NSLimit >= 0 || q.DSLimit >= 0
	in.setFlag(flagQuota, set)
	if !set {
		s.feature.quotas.Delete(in.id)
		return
	}
	s.feature.quotas.Set(in.id, q)
	s.sum.add(quotaSum(in.id, q))
}

// charge moves the counters of the subtrees from a directory up, and of quotas on the way.
func (s *State) charge(dir uint32, ns, ds int64) {
	if ns == 0 && ds == 0 {
		return
	}
	var in *inode
	for ; dir != 0; dir = in.parent {
		in = s.inodes.edit(dir)
		in.layout += uint64(ns)
		in.body.low += uint64(ds)
		if !in.has(flagQuota) {
			continue
		}
		q, _ := s.feature.quotas.Get(in.id)
		s.sum.sub(quotaSum(in.id, q))
		q.NSUsed += ns
		q.DSUsed += ds
		s.feature.quotas.Set(in.id, q)
		s.sum.add(quotaSum(in.id, q))
	}
}

// growth is what an op adds to a directory.
type growth struct {
	ns, ds int64
	types  dfs.TypeSpace
}

// verifyFile tells whether the quotas above a file bear more bytes of it, and their replicas.
func (s *State) verifyFile(file uint32, more int64) error {
	in := s.inodes.at(file)
	return s.verifyQuota(in.parent, growth{ds: more * int64(in.replication()), types: s.typesFor(file, more)}, 0)
}

// verifyQuota tells whether the quotas from a directory up bear more inodes and bytes.
// Directories that are above except too are not asked: what is moved is in there already.
func (s *State) verifyQuota(dir uint32, g growth, except uint32) error {
	if !s.typed() && (s.feature.quotas.Len() == 0 || g.ns <= 0 && g.ds <= 0) {
		return nil
	}
	ns, ds := g.ns, g.ds
	for ; dir != 0; dir = s.inodes.at(dir).parent {
		in := s.inodes.at(dir)
		if except != 0 && s.above(dir, except) {
			return nil
		}
		if in.group&(flagQuota|flagTypeQuota) == 0 {
			continue
		}
		q, ok := s.feature.quotas.Get(in.id)
		if !ok {
			q = Quota{NSLimit: -1, DSLimit: -1}
		}
		if ns > 0 && q.NSLimit >= 0 && q.NSUsed+ns > q.NSLimit {
			return dfs.Errorf(dfs.NSQuotaExceeded, "The NameSpace quota (directories and files) of directory %s is exceeded: quota=%d file count=%d",
				s.pathOf(dir), q.NSLimit, q.NSUsed+ns)
		}
		if ds > 0 && q.DSLimit >= 0 && q.DSUsed+ds > q.DSLimit {
			return dfs.Errorf(dfs.DSQuotaExceeded, "The DiskSpace quota of %s is exceeded: quota = %d B = %s but diskspace consumed = %d B = %s",
				s.pathOf(dir), q.DSLimit, binaryUnits(q.DSLimit), q.DSUsed+ds, binaryUnits(q.DSUsed+ds))
		}
		if in.has(flagTypeQuota) {
			if err := s.verifyTypes(dir, &g.types); err != nil {
				return err
			}
		}
	}
	return nil
}

// above reports whether a directory is i or above it.
func (s *State) above(dir, i uint32) bool {
	for ; i != 0; i = s.inodes.at(i).parent {
		if i == dir {
			return true
		}
	}
	return false
}

// binaryUnits prints a size with two decimals unless it is a whole number of its unit.
func binaryUnits(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	unit, shift := 0, 10
	for unit < 5 && n>>(shift+10) > 0 {
		unit, shift = unit+1, shift+10
	}
	if n&(1<<shift-1) == 0 {
		return fmt.Sprintf("%d %cB", n>>shift, "KMGTPE"[unit])
	}
	return fmt.Sprintf("%.2f %cB", float64(n)/float64(int64(1)<<shift), "KMGTPE"[unit])
}

// usage is what a subtree takes of a name quota and of a space quota.
func (s *State) usage(i uint32) (ns, ds int64) {
	if in := s.inodes.at(i); in.isDir() {
		return int64(in.layout), int64(in.body.low)
	}
	return 1, s.space(i)
}

func (s *State) checkSetACL(o *SetACL) (uint32, error) {
	i, err := s.premise(o.Target, o.Auth)
	if err != nil {
		return 0, err
	}
	if in := s.inodes.at(i); !in.isDir() && slices.ContainsFunc(o.Entries, func(e ACLEntry) bool { return e.Scope == dfs.ACLDefault }) {
		return 0, dfs.Errorf(dfs.ACL, "Invalid ACL: only directories may have a default ACL. Path: %s", s.pathOf(i))
	}
	return i, nil
}

func aclHash(acl []ACLEntry) sum {
	c := coder{}
	codeACL(&c, &acl)
	return hash6(tagACL, hashBytes(mixA, c.b), hashBytes(mixC, c.b), uint64(len(c.b)), 0, 0, 0)
}

func (s *State) setACL(o *SetACL) error {
	i, err := s.checkSetACL(o)
	if err != nil {
		return err
	}
	in := s.inodes.edit(i)
	s.sum.sub(s.attrs(in))
	in.setPerm(o.Mode)
	s.sum.add(s.attrs(in))
	s.putACL(i, o.Entries)
	if in.isDir() {
		s.authEpoch++
	}
	return nil
}

func featureSum(tag, id uint64, value sum) sum { return hash6(tag, id, value.hi, value.lo, 0, 0, 0) }

func (s *State) putACL(i uint32, acl []ACLEntry) {
	in := s.inodes.edit(i)
	if old, ok := s.feature.acls.Get(in.id); ok {
		s.sum.sub(featureSum(tagACL, in.id, aclHash(old)))
		s.feature.acls.Delete(in.id)
	}
	in.setFlag(flagACL, len(acl) > 0)
	if len(acl) == 0 {
		return
	}
	acl = slices.Clone(acl)
	for k := range acl {
		acl[k].Name = string(append([]byte(nil), acl[k].Name...))
	}
	s.feature.acls.Set(in.id, acl)
	s.sum.add(featureSum(tagACL, in.id, aclHash(acl)))
}

// inheritACL gives a new inode the default ACL of its directory: the default entries
// become its access entries, bounded by the mode that the client asked for before its
// umask, and a directory keeps them as its own defaults. Without one it does nothing. A
// default ACL of the three base entries alone makes only permission bits; with more, the
// mask is the mode's group bits and the group's entry is kept whole.
func (s *State) inheritACL(dir, child uint32, mode, unmasked dfs.Mode) {
	if !s.inodes.at(dir).has(flagACL) {
		return
	}
	parent, _ := s.feature.acls.Get(s.inodes.at(dir).id)
	_, defaults := dfs.SplitACL(parent)
	if len(defaults) == 0 {
		return
	}
	extended := slices.ContainsFunc(defaults, func(e ACLEntry) bool { return e.Type == dfs.ACLMask })
	var access []ACLEntry
	perm := mode &^ 0o777
	for _, e := range defaults {
		e.Scope = dfs.ACLAccess
		switch {
		case e.Name != "" || e.Type == dfs.ACLGroup && extended:
			access = append(access, e)
		case e.Type == dfs.ACLUser:
			perm |= dfs.Mode(e.Perm) << 6 & unmasked
		case e.Type == dfs.ACLOther:
			perm |= dfs.Mode(e.Perm) & unmasked
		default:
			perm |= dfs.Mode(e.Perm) << 3 & unmasked
		}
	}
	in := s.inodes.edit(child)
	in.setPerm(perm)
	if in.isDir() {
		access = append(access, defaults...)
	}
	if extended || in.isDir() {
		s.putACL(child, access)
	}
}

func (s *State) checkSetXAttr(o *SetXAttr) (uint32, error) {
	i, err := s.premise(o.Target, o.Auth)
	if err != nil {
		return 0, err
	}
	_, found := s.findXAttr(s.XAttrs(o.Target), o.Space, o.Name)
	switch {
	case o.Flags&XAttrRemove != 0 && !found:
		return 0, dfs.Errorf(dfs.NoXAttr, "No matching attributes found for remove operation")
	case o.Flags&XAttrRemove != 0:
	case found && o.Flags&XAttrReplace == 0:
		return 0, dfs.Errorf(dfs.Other, "XAttr: %s already exists. The REPLACE flag must be specified.", o.Name)
	case !found && o.Flags&XAttrCreate == 0:
		return 0, dfs.Errorf(dfs.Other, "XAttr: %s does not exist. The CREATE flag must be specified.", o.Name)
	}
	return i, nil
}

func (s *State) findXAttr(list []XAttr, space dfs.XAttrSpace, name string) (int, bool) {
	return slices.BinarySearchFunc(list, XAttr{Space: space, Name: name}, func(a, b XAttr) int {
		if a.Space != b.Space {
			return cmp.Compare(a.Space, b.Space)
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

func (s *State) setXAttr(o *SetXAttr) error {
	i, err := s.checkSetXAttr(o)
	if err != nil {
		return err
	}
	list := slices.Clone(s.XAttrs(o.Target))
	at, found := s.findXAttr(list, o.Space, o.Name)
	x := XAttr{Space: o.Space, Name: string(append([]byte(nil), o.Name...)), Value: append([]byte{}, o.Value...)}
	switch {
	case o.Flags&XAttrRemove != 0:
		list = slices.Delete(list, at, at+1)
	case found:
		list[at] = x
	default:
		list = slices.Insert(list, at, x)
	}
	s.putXAttrs(i, list)
	return nil
}

// EachWithXAttr calls fn with every inode that has this extended attribute, until it is false.
func (s *State) EachWithXAttr(space dfs.XAttrSpace, name string, fn func(dfs.InodeID) bool) {
	s.feature.xattrs.Scan(func(id uint64, list []XAttr) bool {
		_, found := s.findXAttr(list, space, name)
		return !found || fn(dfs.InodeID(id))
	})
}

func xattrHash(list []XAttr) sum {
	c := coder{}
	codeXAttrs(&c, &list)
	return hash6(tagXAttr, hashBytes(mixA, c.b), hashBytes(mixC, c.b), uint64(len(c.b)), 0, 0, 0)
}

func codeXAttrs(c *coder, p *[]XAttr) {
	n := c.array(len(*p))
	if c.read {
		*p = nil
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, XAttr{})
		}
		x := &(*p)[i]
		c.fields(3)
		codeUint(c, &x.Space)
		c.string(&x.Name)
		c.bytes(&x.Value)
	}
}

func (s *State) putXAttrs(i uint32, list []XAttr) {
	in := s.inodes.edit(i)
	if old, ok := s.feature.xattrs.Get(in.id); ok {
		s.sum.sub(featureSum(tagXAttr, in.id, xattrHash(old)))
		s.feature.xattrs.Delete(in.id)
	}
	in.setFlag(flagXAttr, len(list) > 0)
	if len(list) > 0 {
		s.feature.xattrs.Set(in.id, list)
		s.sum.add(featureSum(tagXAttr, in.id, xattrHash(list)))
	}
}

// dropFeatures takes away what an inode that goes has beside its record.
func (s *State) dropFeatures(in *inode) {
	if in.group&(flagACL|flagXAttr|flagQuota|flagTypeQuota) == 0 && !in.has(flagDetached) {
		return
	}
	if old, ok := s.feature.acls.Delete(in.id); ok {
		s.sum.sub(featureSum(tagACL, in.id, aclHash(old)))
	}
	if old, ok := s.feature.xattrs.Delete(in.id); ok {
		s.sum.sub(featureSum(tagXAttr, in.id, xattrHash(old)))
	}
	if q, ok := s.feature.quotas.Delete(in.id); ok {
		s.sum.sub(quotaSum(in.id, q))
	}
	if q, ok := s.feature.types.Delete(in.id); ok {
		s.sum.sub(typeQuotaSum(in.id, q))
	}
}

func settingSum(key, value string) sum {
	return hash6(tagSetting, hashText(key), hashText(value), uint64(len(key)), uint64(len(value)), hashBytes(mixD, key), hashBytes(mixC, value))
}

func (s *State) setSetting(key, value string) {
	if old, ok := s.feature.settings.Delete(key); ok {
		s.sum.sub(settingSum(key, old))
	}
	if value != "" {
		key, value = string(append([]byte(nil), key...)), string(append([]byte(nil), value...))
		s.feature.settings.Set(key, value)
		s.sum.add(settingSum(key, value))
	}
}
