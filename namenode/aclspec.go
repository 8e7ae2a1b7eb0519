package namenode

import (
	"slices"
	"strconv"

	"redoubt/dfs"
)

// aclBuild is an ACL being made of what an inode has and what a caller wants. Masks stand
// beside the list until the end, since they may have to be computed.
type aclBuild struct {
	list  []dfs.ACLEntry
	scope [2]struct {
		mask      *dfs.ACLEntry // from the caller or, if it still counts, the inode's
		dirty     bool          // the caller changed something here
		maskDirty bool          // the caller set or removed the mask
	}
}

// add takes an entry over; given says that it comes from the caller.
func (b *aclBuild) add(e dfs.ACLEntry, given bool) {
	s := &b.scope[e.Scope]
	s.dirty = s.dirty || given
	if e.Type != dfs.ACLMask {
		b.list = append(b.list, e)
		return
	}
	s.mask, s.maskDirty = &e, s.maskDirty || given
}

// sameACL compares entries without their permissions.
func sameACL(a dfs.ACLEntry) func(dfs.ACLEntry) bool {
	return func(b dfs.ACLEntry) bool { return dfs.CompareACL(a, b) == 0 }
}

// mergeACL adds spec's entries to have and replaces those that are there.
func mergeACL(have, spec []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
	spec, err := sortedSpec(spec)
	if err != nil {
		return nil, err
	}
	var b aclBuild
	for _, e := range have {
		at, found := searchACL(spec, e)
		if !found {
			b.add(e, false)
			continue
		}
		// Of one that spec has more than once HDFS takes what its search meets first.
		b.add(spec[at], true)
		spec = slices.DeleteFunc(spec, sameACL(e))
	}
	for _, e := range spec {
		b.add(e, true)
	}
	return b.finish()
}

// searchACL looks for an entry as Java's binary search does: of several that are the same
// it finds the one that Java finds.
func searchACL(sorted []dfs.ACLEntry, e dfs.ACLEntry) (at int, found bool) {
	for low, high := 0, len(sorted)-1; low <= high; {
		at = (low + high) / 2
		switch c := dfs.CompareACL(sorted[at], e); {
		case c < 0:
			low = at + 1
		case c > 0:
			high = at - 1
		default:
			return at, true
		}
	}
	return 0, false
}

// filterACL takes the entries that spec names out of have.
func filterACL(have, spec []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
	spec, err := sortedSpec(spec)
	if err != nil {
		return nil, err
	}
	var b aclBuild
	for _, e := range have {
		if !slices.ContainsFunc(spec, sameACL(e)) {
			b.add(e, false)
			continue
		}
		b.scope[e.Scope].dirty = true
		b.scope[e.Scope].maskDirty = b.scope[e.Scope].maskDirty || e.Type == dfs.ACLMask
	}
	return b.finish()
}

// replaceACL is spec, and what have has in a scope that spec says nothing about.
func replaceACL(have, spec []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
	spec, err := sortedSpec(spec)
	if err != nil {
		return nil, err
	}
	var b aclBuild
	for _, e := range spec {
		b.add(e, true)
	}
	for _, e := range have {
		if !b.scope[e.Scope].dirty {
			b.add(e, false)
		}
	}
	return b.finish()
}

func sortedSpec(spec []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
	spec = slices.Clone(spec)
	slices.SortStableFunc(spec, dfs.CompareACL)
	return spec, checkACLSize(spec)
}

func checkACLSize(acl []dfs.ACLEntry) error {
	access, defaults := dfs.SplitACL(acl)
	for _, part := range []struct {
		name string
		n    int
	}{{"access", len(access)}, {"default", len(defaults)}} {
		if part.n > dfs.MaxACLEntries {
			return aclError("ACL has " + strconv.Itoa(part.n) + " " + part.name + " entries, which exceeds maximum of " + strconv.Itoa(dfs.MaxACLEntries) + ".")
		}
	}
	return nil
}

func aclError(what string) error { return &dfs.Error{Kind: dfs.ACL, Msg: "Invalid ACL: " + what} }

// finish completes default entries and masks, and checks the whole.
func (b *aclBuild) finish() ([]dfs.ACLEntry, error) {
	b.completeDefaults()
	if err := b.addMasks(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(b.list, dfs.CompareACL)
	base := 0
	for i, e := range b.list {
		if i > 0 && dfs.CompareACL(b.list[i-1], e) == 0 {
			return nil, aclError("multiple entries with same scope, type and name.")
		}
		if e.Name != "" && (e.Type == dfs.ACLMask || e.Type == dfs.ACLOther) {
			return nil, aclError("this entry type must not have a name: " + e.String() + ".")
		}
		if e.Scope == dfs.ACLAccess && e.Name == "" && e.Type != dfs.ACLMask {
			base++
		}
	}
	if base != 3 {
		return nil, aclError("the user, group and other entries are required.")
	}
	return b.list, checkACLSize(b.list)
}

// completeDefaults gives a default ACL the base entries that it lacks, from the access ACL.
func (b *aclBuild) completeDefaults() {
	if !slices.ContainsFunc(b.list, func(e dfs.ACLEntry) bool { return e.Scope == dfs.ACLDefault }) {
		return
	}
	for _, typ := range []dfs.ACLType{dfs.ACLUser, dfs.ACLGroup, dfs.ACLOther} {
		if slices.ContainsFunc(b.list, sameACL(dfs.ACLEntry{Type: typ, Scope: dfs.ACLDefault})) {
			continue
		}
		if i := slices.IndexFunc(b.list, sameACL(dfs.ACLEntry{Type: typ})); i >= 0 {
			e := b.list[i]
			e.Scope = dfs.ACLDefault
			b.list = append(b.list, e)
		}
	}
}

// addMasks gives each scope its mask: the caller's, the inode's if nothing changed, or
// else the union of what it bounds. One is needed where an entry has a name.
func (b *aclBuild) addMasks() error {
	for i := range b.scope {
		s := &b.scope[i]
		var union dfs.Access
		named, any := false, false
		for _, e := range b.list {
			if int(e.Scope) != i {
				continue
			}
			any = true
			named = named || e.Name != ""
			if e.Type == dfs.ACLGroup || e.Name != "" {
				union |= e.Perm
			}
		}
		switch {
		case !any:
		case s.mask == nil && named && s.maskDirty:
			return aclError("mask is required and cannot be deleted.")
		case s.mask != nil && (!s.dirty || s.maskDirty):
			b.list = append(b.list, *s.mask)
		case s.mask != nil || named:
			b.list = append(b.list, dfs.ACLEntry{Type: dfs.ACLMask, Scope: dfs.ACLScope(i), Perm: union})
		}
	}
	return nil
}

// foldACL is the opposite of dfs.FullACL: the mode and the extended entries that stand for
// a complete ACL. A mode keeps its sticky bit.
func foldACL(mode dfs.Mode, full []dfs.ACLEntry) (dfs.Mode, []dfs.ACLEntry) {
	access, extended := dfs.SplitACL(full)
	mode &^= 0o777
	n := len(access) // at least the three base entries, sorted: owner ..., group's entry or mask, others
	mode |= dfs.Mode(access[0].Perm)<<6 | dfs.Mode(access[n-2].Perm)<<3 | dfs.Mode(access[n-1].Perm)
	if n > 3 {
		extended = slices.Concat(access[1:n-2], extended)
	}
	return mode, extended
}
