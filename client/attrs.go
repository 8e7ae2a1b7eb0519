package client

import (
	"context"

	"redoubt/dfs"
	"redoubt/wire/clientrpc"
	"redoubt/wire/hdfspb"
)

// ACLStatus gives owner, group, mode and extended ACL entries of a path; dfs.FullACL makes
// the whole list of it.
func (c *Client) ACLStatus(ctx context.Context, path string) (*dfs.ACLStatus, error) {
	var resp hdfspb.GetAclStatusResponse
	if err := c.names.call(ctx, "getAclStatus", &hdfspb.PathRequest{Src: &path}, &resp); err != nil {
		return nil, err
	}
	r := resp.Result
	entries, err := clientrpc.ACLOf(r.GetEntries())
	if err != nil {
		return nil, err
	}
	st := &dfs.ACLStatus{Owner: r.GetOwner(), Group: r.GetGroup(), Mode: dfs.Mode(r.GetPermission().GetPerm()) & dfs.ModeMask, Entries: entries}
	if r.GetSticky() {
		st.Mode |= dfs.Sticky
	}
	return st, nil
}

func (c *Client) changeACL(ctx context.Context, method, path string, spec []dfs.ACLEntry) error {
	return c.names.call(ctx, method, &hdfspb.AclSpecRequest{Src: &path, AclSpec: clientrpc.ACLProto(spec)}, nil)
}

// ModifyACL adds entries, replacing those of the same scope, type and name. Masks are
// computed where none is given.
func (c *Client) ModifyACL(ctx context.Context, path string, spec []dfs.ACLEntry) error {
	return c.changeACL(ctx, "modifyAclEntries", path, spec)
}

// RemoveACLEntries removes the entries of these scopes, types and names.
func (c *Client) RemoveACLEntries(ctx context.Context, path string, spec []dfs.ACLEntry) error {
	return c.changeACL(ctx, "removeAclEntries", path, spec)
}

// SetACL replaces the whole ACL; the entries of owner, group and others must be given.
func (c *Client) SetACL(ctx context.Context, path string, spec []dfs.ACLEntry) error {
	return c.changeACL(ctx, "setAcl", path, spec)
}

// RemoveDefaultACL removes the entries that new children of a directory inherit.
func (c *Client) RemoveDefaultACL(ctx context.Context, path string) error {
	return c.names.call(ctx, "removeDefaultAcl", &hdfspb.PathRequest{Src: &path}, nil)
}

// RemoveACL leaves the permission bits alone.
func (c *Client) RemoveACL(ctx context.Context, path string) error {
	return c.names.call(ctx, "removeAcl", &hdfspb.PathRequest{Src: &path}, nil)
}

// XAttrs gives the extended attributes with these full names (user.NAME), or all that the
// user may see when none is given. One that is missing is a dfs.NoXAttr error.
func (c *Client) XAttrs(ctx context.Context, path string, names ...string) ([]dfs.XAttr, error) {
	req := &hdfspb.GetXAttrsRequest{Src: &path}
	for _, name := range names {
		x, err := dfs.ParseXAttrName(name)
		if err != nil {
			return nil, err
		}
		req.XAttrs = append(req.XAttrs, clientrpc.XAttrProto(x))
	}
	var resp hdfspb.XAttrsResponse
	if err := c.names.call(ctx, "getXAttrs", req, &resp); err != nil {
		return nil, err
	}
	out := make([]dfs.XAttr, len(resp.XAttrs))
	for i, p := range resp.XAttrs {
		x, err := clientrpc.XAttrOf(p)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// SetXAttr sets an extended attribute by its full name; a nil value sets none. flags are
// dfs.XAttrCreate and dfs.XAttrReplace, both for "whether it is there or not".
func (c *Client) SetXAttr(ctx context.Context, path, name string, value []byte, flags uint8) error {
	x, err := dfs.ParseXAttrName(name)
	if err != nil {
		return err
	}
	x.Value = value
	return c.names.call(ctx, "setXAttr", &hdfspb.SetXAttrRequest{Src: &path, XAttr: clientrpc.XAttrProto(x), Flag: new(uint32(flags))}, nil)
}

// RemoveXAttr removes an extended attribute, which must be there.
func (c *Client) RemoveXAttr(ctx context.Context, path, name string) error {
	x, err := dfs.ParseXAttrName(name)
	if err != nil {
		return err
	}
	return c.names.call(ctx, "removeXAttr", &hdfspb.RemoveXAttrRequest{Src: &path, XAttr: clientrpc.XAttrProto(x)}, nil)
}

// MkdirsUnmasked is Mkdirs with the mode before the umask too, which bounds what the
// directory inherits from a default ACL in the umask's place.
func (c *Client) MkdirsUnmasked(ctx context.Context, path string, mode, unmasked dfs.Mode, parents bool) (bool, error) {
	return c.boolean(ctx, "mkdirs", &hdfspb.MkdirsRequest{Src: &path, Masked: perm(mode), CreateParent: &parents, Unmasked: perm(unmasked)})
}
