package main

import (
	"strings"

	"redoubt/dfs"
)

// preserveAttributes gives the target the source's times, owner, mode, ACL and extended
// attributes, as asked; the raw ones without being asked.
func (c *copier) preserveAttributes(src, target *item, raw bool) error {
	st := src.stat
	if strings.Contains(c.preserve, "t") {
		if err := target.fs.setTimes(c.ctx, target.path, st.ModTime, st.AccessTime); err != nil {
			return err
		}
	}
	if strings.Contains(c.preserve, "o") {
		if err := target.fs.chown(c.ctx, target.path, st.Owner, st.Group); err != nil {
			return err
		}
	}
	if strings.ContainsAny(c.preserve, "pa") {
		if err := target.fs.chmod(c.ctx, target.path, st.Mode); err != nil {
			return err
		}
	}
	if strings.Contains(c.preserve, "a") {
		if err := c.preserveACL(src, target); err != nil {
			return err
		}
	}
	if all := strings.Contains(c.preserve, "x"); all || raw {
		return c.preserveXAttrs(src, target, all)
	}
	return nil
}

// rawPrefix is where attributes of the raw name space are seen.
const rawPrefix = "/.reserved/raw"

// copyingRaw reports whether raw attributes go along with a copy: both ends are below
// /.reserved/raw. A copy across its border is refused.
func copyingRaw(src, target *item) (bool, error) {
	from, to := strings.HasPrefix(src.path, rawPrefix), strings.HasPrefix(target.path, rawPrefix)
	const why = ". Either both source and target must be in '" + rawPrefix + "' or neither."
	switch {
	case from && !to:
		return false, &pathError{path: "'" + src.full() + "' copy from '" + rawPrefix + "' to non '" + rawPrefix + "'" + why, reason: "Operation not supported"}
	case to && !from:
		return false, &pathError{path: "'" + target.String() + "' copy from non '" + rawPrefix + "' to '" + rawPrefix + "'" + why, reason: "Operation not supported"}
	}
	return from, nil
}

// preserveACL gives the target the source's ACL, if that has one.
func (c *copier) preserveACL(src, target *item) error {
	if src.stat.Flags&dfs.FlagACL == 0 {
		return nil
	}
	acl, err := src.fullACL(c.ctx)
	if err != nil {
		return err
	}
	k, err := target.acls()
	if err != nil {
		return err
	}
	return k.changeACL(c.ctx, target.path, aclSet, acl)
}

// preserveXAttrs gives the target the source's extended attributes: all of them, or those
// of the raw name space alone.
func (c *copier) preserveXAttrs(src, target *item, all bool) error {
	from, err := src.attrs()
	if err != nil {
		return err
	}
	list, err := from.xattrs(c.ctx, src.path)
	if err != nil {
		return err
	}
	for i := range list {
		if x := &list[i]; all || x.Space == dfs.XAttrRaw {
			to, err := target.attrs()
			if err != nil {
				return err
			}
			if err := to.setXAttr(c.ctx, target.path, x.FullName(), x.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
