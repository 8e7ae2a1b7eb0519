package namenode

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"redoubt/dfs"
	"redoubt/namespace"
)

// XAttrs gives the named extended attributes of a path, or with no names all that the
// caller may see. One that is missing makes it fail.
func (n *NameNode) XAttrs(c *dfs.Caller, path string, names []dfs.XAttr) (found []dfs.XAttr, err error) {
	err = n.readXAttrs(c, "getXAttrs", path, names, func(visible []dfs.XAttr) error {
		if len(names) == 0 {
			found = visible
			return nil
		}
		for _, x := range names {
			i := slices.IndexFunc(visible, func(v dfs.XAttr) bool { return v.Space == x.Space && v.Name == x.Name })
			if i < 0 {
				return dfs.Errorf(dfs.NoXAttr, "At least one of the attributes provided was not found.")
			}
			found = append(found, visible[i])
		}
		return nil
	})
	return found, err
}

// ListXAttrs gives all extended attributes that the caller may see.
func (n *NameNode) ListXAttrs(c *dfs.Caller, path string) (found []dfs.XAttr, err error) {
	err = n.readXAttrs(c, "listXAttrs", path, nil, func(visible []dfs.XAttr) error {
		found = visible
		return nil
	})
	return found, err
}

// readXAttrs hands fn copies of the attributes that the caller may see.
func (n *NameNode) readXAttrs(c *dfs.Caller, cmd, path string, names []dfs.XAttr, fn func(visible []dfs.XAttr) error) error {
	if err := n.xattrsOn(); err != nil {
		return err
	}
	raw := isRaw(path)
	return n.view(c, cmd, path, func(r *request) error {
		for i := range names {
			if err := r.mayUseXAttr(&names[i], raw); err != nil {
				return err
			}
		}
		ino, err := r.lookTarget(path, permit{target: dfs.Read})
		if err != nil {
			return err
		}
		var visible []dfs.XAttr
		for _, x := range n.ns.XAttrs(ino.ID) {
			x.Value = bytes.Clone(x.Value)
			if r.mayUseXAttr(&dfs.XAttr{Space: x.Space, Name: x.Name}, raw) == nil {
				visible = append(visible, x)
			}
		}
		return fn(visible)
	})
}

func (n *NameNode) xattrsOn() error {
	if n.cfg.Attrs.NoXAttrs {
		return dfs.Errorf(dfs.Other, "The XAttr operation has been rejected.  Support for XAttrs has been disabled by setting dfs.namenode.xattrs.enabled to false.")
	}
	return nil
}

// isRaw reports whether a path is written below /.reserved/raw.
func isRaw(path string) bool {
	rest, ok := strings.CutPrefix(path, "/.reserved/raw")
	return ok && (rest == "" || rest[0] == '/')
}

// notRaw refuses a change by way of /.reserved/raw to all but the superuser.
func (r *request) notRaw(what string) error {
	op := rawOps[what]
	if op == "" {
		op = what
	}
	return &dfs.Error{Kind: dfs.Permission, Msg: "Access denied for user " + r.who.user + ". Superuser privilege is required for operation " + op}
}

// rawOps names operations as refusals do, by what change is told of them.
var rawOps = map[string]string{
	"create directory": "mkdirs", "create file": "create", "append to file": "append", "truncate for": "truncate",
	"set permission for": "setPermission", "set owner for": "setOwner", "set times": "setTimes", "set replication for": "setReplication",
	"set storage policy for": "setStoragePolicy", "set XAttr on": "setXAttr", "remove XAttr entry on": "removeXAttr",
	"modify ACL entries on": "modifyAclEntries", "remove ACL entries on": "removeAclEntries", "remove default ACL entries on": "removeDefaultAcl",
	"remove ACL on": "removeAcl", "set ACL on": "setAcl",
}

// mayUseXAttr checks the rights to an attribute's name space: user is for all, trusted for
// the superuser, raw for paths below /.reserved/raw, and of the others only one is for users.
func (r *request) mayUseXAttr(x *dfs.XAttr, raw bool) error {
	switch {
	case x.Space == dfs.XAttrUser, x.Space == dfs.XAttrTrusted && r.n.isSuperuser(&r.who), x.Space == dfs.XAttrRaw && raw:
		return nil
	case x.FullName() != dfs.UnreadableBySuperuser:
		return &dfs.Error{Kind: dfs.Permission, Msg: "User doesn't have permission for xattr: " + x.FullName()}
	case x.Value != nil:
		return &dfs.Error{Kind: dfs.Permission, Msg: "Attempt to set a value for '" + dfs.UnreadableBySuperuser + "'. Values are not allowed for this xattr."}
	}
	return nil
}

// SetXAttr sets an extended attribute; flags say whether it must or must not be there.
func (n *NameNode) SetXAttr(ctx context.Context, c *dfs.Caller, path string, x dfs.XAttr, flags uint8) error {
	if err := n.xattrsOn(); err != nil {
		return err
	}
	if limit, size := n.cfg.Attrs.MaxXAttrSize, len(x.Name)+len(x.Value); size > limit {
		return dfs.Errorf(dfs.IllegalArgument, "The XAttr is too big. The maximum combined size of the name and value is %d, but the total size is %d", limit, size)
	}
	return n.changeXAttr(ctx, c, "setXAttr", path, &x, func(ino *namespace.Inode) (*namespace.SetXAttr, error) {
		if flags&(dfs.XAttrCreate|dfs.XAttrReplace) == 0 {
			return nil, dfs.Errorf(dfs.IllegalArgument, "A flag must be specified.")
		}
		if x.FullName() == dfs.UnreadableBySuperuser && !ino.IsFile() {
			return nil, dfs.Errorf(dfs.Other, "Can only set '%s' on a file.", dfs.UnreadableBySuperuser)
		}
		op := &namespace.SetXAttr{Flags: flags & (dfs.XAttrCreate | dfs.XAttrReplace), Value: x.Value}
		return op, n.roomForXAttr(ino.ID, &x)
	})
}

// roomForXAttr checks the number of attributes that users can see.
func (n *NameNode) roomForXAttr(id dfs.InodeID, x *dfs.XAttr) error {
	count := 0
	for _, a := range n.ns.XAttrs(id) {
		if a.Space <= dfs.XAttrTrusted && (a.Space != x.Space || a.Name != x.Name) {
			count++
		}
	}
	if x.Space <= dfs.XAttrTrusted {
		count++
	}
	if limit := max(n.cfg.Attrs.MaxXAttrs, 0); count > limit {
		return dfs.Errorf(dfs.Other, "Cannot add additional XAttr to inode, would exceed limit of %d", limit)
	}
	return nil
}

// RemoveXAttr removes an extended attribute, which must be there.
func (n *NameNode) RemoveXAttr(ctx context.Context, c *dfs.Caller, path string, x dfs.XAttr) error {
	if err := n.xattrsOn(); err != nil {
		return err
	}
	return n.changeXAttr(ctx, c, "removeXAttr", path, &x, func(ino *namespace.Inode) (*namespace.SetXAttr, error) {
		if x.FullName() == dfs.UnreadableBySuperuser && ino.HasXAttrs {
			return nil, &dfs.Error{Kind: dfs.Permission, Msg: "The xattr '" + dfs.UnreadableBySuperuser + "' can not be deleted."}
		}
		if !slices.ContainsFunc(n.ns.XAttrs(ino.ID), func(a dfs.XAttr) bool { return a.Space == x.Space && a.Name == x.Name }) {
			return nil, dfs.Errorf(dfs.Other, "No matching attributes found for remove operation")
		}
		return &namespace.SetXAttr{Flags: namespace.XAttrRemove}, nil
	})
}

// changeXAttr checks the caller's rights and has prepare make the op. User attributes
// need write access, of a sticky directory its ownership.
func (n *NameNode) changeXAttr(ctx context.Context, c *dfs.Caller, cmd, path string, x *dfs.XAttr,
	prepare func(ino *namespace.Inode) (*namespace.SetXAttr, error)) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	what := map[string]string{"setXAttr": "set XAttr on", "removeXAttr": "remove XAttr entry on"}[cmd]
	_, err = n.change(ctx, r, what, path, func(r *request) (namespace.Op, any, error) {
		if err := r.mayUseXAttr(x, isRaw(path)); err != nil {
			return nil, nil, err
		}
		ino, err := r.lookTarget(path, permit{})
		if err != nil {
			return nil, nil, err
		}
		if x.Space == dfs.XAttrUser {
			p := permit{target: dfs.Write}
			if ino.IsDir() && ino.Mode&dfs.Sticky != 0 {
				p = permit{owner: true}
			}
			if err := check(&r.walk, &r.who, p); err != nil {
				return nil, nil, err
			}
		}
		op, err := prepare(ino)
		if err != nil {
			return nil, nil, err
		}
		op.Head, op.Target = r.headOnce(r.auth(&r.walk, len(r.walk.Chain))), ino.ID
		op.Space, op.Name = x.Space, x.Name
		return op, nil, nil
	})
	r.auditNew(err, cmd, path)
	return err
}
