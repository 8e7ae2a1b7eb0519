package namenode

import (
	"context"
	"slices"

	"redoubt/dfs"
	"redoubt/namespace"
)

// ACLStatus gives owner, group, mode and extended ACL entries of a path. Whoever can get
// there may ask.
func (n *NameNode) ACLStatus(c *dfs.Caller, path string) (*dfs.ACLStatus, error) {
	if err := n.aclsOn(); err != nil {
		return nil, err
	}
	st := new(dfs.ACLStatus)
	err := n.view(c, "getAclStatus", path, func(r *request) error {
		ino, err := r.lookTarget(path, permit{})
		if err != nil {
			return err
		}
		*st = dfs.ACLStatus{Owner: ino.Owner, Group: ino.Group, Mode: ino.Mode, Entries: slices.Clone(n.ns.ACL(ino.ID))}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// view lets fn answer a question under the state's read lock.
func (n *NameNode) view(c *dfs.Caller, cmd, path string, fn func(r *request) error) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	n.state.RLock()
	defer n.state.RUnlock()
	err = fn(r)
	r.audit(err, cmd, path, "", nil)
	return err
}

// lookTarget resolves and authorises a path that must exist.
func (r *request) lookTarget(path string, p permit) (*namespace.Inode, error) {
	if err := r.look(path, p); err != nil {
		return nil, err
	}
	if ino := target(&r.walk); ino != nil {
		return ino, nil
	}
	missing := "cannot find "
	if p.owner {
		missing = "Directory/File does not exist "
	}
	return nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: missing + path}
}

func (n *NameNode) aclsOn() error {
	if n.cfg.Attrs.NoACLs {
		return dfs.Errorf(dfs.ACL, "The ACL operation has been rejected.  Support for ACLs has been disabled by setting dfs.namenode.acls.enabled to false.")
	}
	return nil
}

// ModifyACL adds entries to an ACL, replacing those of the same scope, type and name.
func (n *NameNode) ModifyACL(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return n.changeACL(ctx, c, "modifyAclEntries", path, func(have []dfs.ACLEntry) ([]dfs.ACLEntry, error) { return mergeACL(have, spec) })
}

// RemoveACLEntries removes the entries of these scopes, types and names. Those that are
// not there are passed over.
func (n *NameNode) RemoveACLEntries(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return n.changeACL(ctx, c, "removeAclEntries", path, func(have []dfs.ACLEntry) ([]dfs.ACLEntry, error) { return filterACL(have, spec) })
}

// RemoveDefaultACL removes all default entries.
func (n *NameNode) RemoveDefaultACL(ctx context.Context, c *dfs.Caller, path string) error {
	return n.changeACL(ctx, c, "removeDefaultAcl", path, func(have []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
		access, _ := dfs.SplitACL(have)
		return access, nil
	})
}

// RemoveACL leaves the permission bits alone; the group gets back its own instead of the
// mask.
func (n *NameNode) RemoveACL(ctx context.Context, c *dfs.Caller, path string) error {
	return n.changeACL(ctx, c, "removeAcl", path, baseACL)
}

// SetACL replaces the scopes that the spec has entries for. An empty one removes the ACL.
func (n *NameNode) SetACL(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return n.changeACL(ctx, c, "setAcl", path, func(have []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
		if len(spec) == 0 {
			return baseACL(have)
		}
		return replaceACL(have, spec)
	})
}

// baseACL keeps the entries of owner, group and others.
func baseACL(have []dfs.ACLEntry) ([]dfs.ACLEntry, error) {
	return slices.DeleteFunc(have, func(e dfs.ACLEntry) bool {
		return e.Scope == dfs.ACLDefault || e.Name != "" || e.Type == dfs.ACLMask
	}), nil
}

// changeACL lets edit make a complete ACL of the one that is there. Since it reads what it
// changes, the op holds even for the superuser only if nobody changed the inode meanwhile.
func (n *NameNode) changeACL(ctx context.Context, c *dfs.Caller, cmd, path string, edit func(have []dfs.ACLEntry) ([]dfs.ACLEntry, error)) error {
	if err := n.aclsOn(); err != nil {
		return err
	}
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	_, err = n.change(ctx, r, aclSafeMode[cmd], path, func(r *request) (namespace.Op, any, error) {
		ino, err := r.lookTarget(path, permit{owner: true})
		if err != nil {
			return nil, nil, err
		}
		full, err := edit(dfs.FullACL(ino.Mode, n.ns.ACL(ino.ID)))
		if err == nil {
			if _, defaults := dfs.SplitACL(full); len(defaults) > 0 && !ino.IsDir() {
				err = aclError("only directories may have a default ACL. Path: " + path)
			}
		}
		if err != nil {
			return nil, nil, atPath(err, path)
		}
		op := &namespace.SetACL{Head: r.head(r.walk.Auth(len(r.walk.Chain))), Target: ino.ID}
		op.Mode, op.Entries = foldACL(ino.Mode, full)
		return op, nil, nil
	})
	r.auditNew(err, cmd, path)
	return err
}

// aclSafeMode words the refusals in safe mode.
var aclSafeMode = map[string]string{
	"modifyAclEntries": "modify ACL entries on", "removeAclEntries": "remove ACL entries on", "removeDefaultAcl": "remove default ACL entries on",
	"removeAcl": "remove ACL on", "setAcl": "set ACL on",
}

// atPath adds the path to what is wrong with an ACL.
func atPath(err error, path string) error {
	if e, ok := err.(*dfs.Error); ok && e.Kind == dfs.ACL {
		return &dfs.Error{Kind: dfs.ACL, Path: path, Msg: e.Msg + " Path: " + path}
	}
	return err
}

// allowsACL is allows for an inode with an ACL. The owner has its bits; a user's own entry
// comes next, then any group entry that gives the access, all bounded by the mask, which
// stands in the mode's group bits; the others' bits are for those whom no entry names.
func allowsACL(s *namespace.Inode, who *identity, want dfs.Access) bool {
	if s.Owner == who.user {
		return dfs.Access(s.Mode>>6)&want == want
	}
	access, _ := dfs.SplitACL(who.ns.ACL(s.ID))
	if len(access) == 0 { // only a default ACL
		return allowsMode(s, who, want)
	}
	mask := dfs.Access(s.Mode >> 3)
	named := false
	for i := range access {
		e := &access[i]
		switch e.Type {
		case dfs.ACLUser:
			if e.Name == who.user {
				return e.Perm&mask&want == want
			}
		case dfs.ACLGroup:
			group := e.Name
			if group == "" {
				group = s.Group
			}
			if !slices.Contains(who.groups, group) {
				continue
			}
			if e.Perm&mask&want == want {
				return true
			}
			named = true
		}
	}
	return !named && dfs.Access(s.Mode)&want == want
}
