package namenode

import (
	"context"

	"redoubt/dfs"
	"redoubt/namespace"
)

// Rename is HDFS's old rename: into the destination if that is a directory, and false
// where nothing could be moved.
func (n *NameNode) Rename(ctx context.Context, c *dfs.Caller, src, dst string) (bool, error) {
	return n.rename(ctx, c, src, dst, true, dfs.RenameOptions{})
}

// Rename2 moves src to exactly dst, and says why not.
func (n *NameNode) Rename2(ctx context.Context, c *dfs.Caller, src, dst string, opt dfs.RenameOptions) error {
	_, err := n.rename(ctx, c, src, dst, false, opt)
	return err
}

func (n *NameNode) rename(ctx context.Context, c *dfs.Caller, src, dst string, legacy bool, opt dfs.RenameOptions) (bool, error) {
	r, err := n.begin(c)
	if err != nil {
		return false, err
	}
	defer n.end(r)
	if err := checkPathLength("rename", dst); err != nil {
		return false, err
	}
	answer, err := n.change(ctx, r, "rename", src, func(r *request) (namespace.Op, any, error) {
		if !r.who.super && isRaw(dst) {
			return nil, nil, r.notRaw("rename")
		}
		return r.prepareRename(src, dst, legacy, opt)
	})
	cmd := "rename"
	if !legacy {
		cmd = "rename (options=" + renameOptions(opt) + ")"
	}
	r.audit(err, cmd, src, dst, nil)
	res, _ := answer.(*namespace.Renamed)
	if err != nil || res == nil {
		return false, err
	}
	n.removed(r, res.Blocks)
	n.touchedGroups(res.Groups)
	return res.OK, nil
}

func renameOptions(o dfs.RenameOptions) string {
	switch {
	case o.Overwrite && o.ToTrash:
		return "[OVERWRITE, TO_TRASH]"
	case o.Overwrite:
		return "[OVERWRITE]"
	case o.ToTrash:
		return "[TO_TRASH]"
	}
	return "[NONE]"
}

// prepareRename authorises both ends: the source's directory and the destination's
// nearest existing one must be writable.
func (r *request) prepareRename(src, dst string, legacy bool, opt dfs.RenameOptions) (namespace.Op, any, error) {
	s, d := &r.walk, &r.second
	if err := r.look(src, permit{}); err != nil {
		return nil, nil, err
	}
	// The walks must not share the slice that their names stand in.
	names, err := dfs.Components(dst)
	if err != nil {
		return nil, nil, err
	}
	if err := r.n.ns.Resolve(d, names); err != nil {
		return nil, nil, err
	}
	if err := traverse(d, &r.who, true); err != nil {
		return nil, nil, err
	}
	source := target(s)
	if legacy {
		if into := target(d); into != nil && into.IsDir() && source != nil && into.ID != source.ID && len(s.Names) > 0 {
			names = append(names, s.Names[len(s.Names)-1])
			if err := r.n.ns.Resolve(d, names); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := check(s, &r.who, permit{parent: dfs.Write}); err != nil {
		return nil, nil, err
	}
	if err := check(d, &r.who, permit{ancestor: dfs.Write, create: true}); err != nil {
		return nil, nil, err
	}
	if t := target(d); t != nil && opt.Overwrite {
		if err := check(d, &r.who, permit{parent: dfs.Write}); err != nil {
			return nil, nil, err
		}
	}
	if err := r.mayRemove(s); err != nil {
		return nil, nil, err
	}
	if refused, err := r.refuseRename(src, dst, legacy); refused {
		return nil, &namespace.Renamed{}, err
	}
	if err := r.mayCreate(d, dst); err != nil {
		return nil, nil, err
	}
	return &namespace.Rename{
		Head:      r.headOnce(r.auth(s, len(s.Chain))),
		SrcParent: parentOf(s).ID, SrcName: s.Names[len(s.Names)-1], Source: source.ID,
		DstParent: parentOf(d).ID, DstName: d.Names[len(d.Names)-1], DstAuth: r.auth(d, len(d.Chain)),
		Legacy: legacy, Overwrite: opt.Overwrite, ToTrash: opt.ToTrash,
	}, nil, nil
}

// refuseRename answers what an op by inode ids can't express: one end is not there, or
// is the root. The old rename answers false, the new one throws.
func (r *request) refuseRename(src, dst string, legacy bool) (refused bool, err error) {
	s, d := &r.walk, &r.second
	fail := func(kind dfs.Kind, msg string) (bool, error) {
		if legacy {
			return true, nil
		}
		return true, &dfs.Error{Kind: kind, Path: src, Msg: msg}
	}
	same := target(d)
	switch {
	case legacy && same != nil && target(s) != nil && same.ID == target(s).ID && same.IsDir():
		return true, nil // it would have to go into itself
	case target(s) == nil:
		return fail(dfs.NotFound, "rename source "+src+" is not found.")
	case len(s.Names) == 0:
		return fail(dfs.Other, "rename source cannot be the root")
	case len(d.Names) == 0:
		return fail(dfs.Other, "rename destination cannot be the root")
	case parentOf(d) == nil:
		return fail(dfs.NotFound, "rename destination parent "+dfs.Join(d.Names[:len(d.Names)-1]...)+" not found.")
	}
	return false, nil
}
