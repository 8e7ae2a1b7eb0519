package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func attrMethods() methods {
	return methods{
		"getAclStatus":     inline((*server).aclStatus),
		"setAcl":           blocking((*server).setACL),
		"modifyAclEntries": blocking((*server).modifyACL),
		"removeAclEntries": blocking((*server).removeACLEntries),
		"removeAcl":        blocking((*server).removeACL),
		"removeDefaultAcl": blocking((*server).removeDefaultACL),

		"getXAttrs":   inline((*server).getXAttrs),
		"listXAttrs":  inline((*server).listXAttrs),
		"setXAttr":    blocking((*server).setXAttr),
		"removeXAttr": blocking((*server).removeXAttr),
	}
}

func (s *server) aclStatus(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	st, err := s.Attrs.ACLStatus(&c.Caller, r.GetSrc())
	if err != nil {
		return nil, err
	}
	sticky := st.Mode&dfs.Sticky != 0
	return &hdfspb.GetAclStatusResponse{Result: &hdfspb.AclStatus{
		Owner: &st.Owner, Group: &st.Group, Sticky: &sticky, Entries: ACLProto(st.Entries),
		Permission: &hdfspb.FsPermission{Perm: u32(uint16(st.Mode))},
	}}, nil
}

// ACLProto is a list of ACL entries on the wire. An entry without a name has none there.
func ACLProto(acl []dfs.ACLEntry) []*hdfspb.AclEntry {
	out := make([]*hdfspb.AclEntry, len(acl))
	for i, e := range acl {
		out[i] = &hdfspb.AclEntry{
			Type: new(hdfspb.AclEntry_Type(e.Type)), Scope: new(hdfspb.AclEntry_Scope(e.Scope)), Permissions: new(uint32(e.Perm)),
		}
		if e.Name != "" {
			out[i].Name = new(e.Name)
		}
	}
	return out
}

// ACLOf is the way back. Numbers that HDFS does not have are refused.
func ACLOf(entries []*hdfspb.AclEntry) ([]dfs.ACLEntry, error) {
	out := make([]dfs.ACLEntry, len(entries))
	for i, e := range entries {
		if uint32(e.GetType()) > uint32(dfs.ACLOther) || uint32(e.GetScope()) > uint32(dfs.ACLDefault) || e.GetPermissions() > 7 {
			return nil, illegal("ACL entry %d has a type, scope or permission out of range", i)
		}
		out[i] = dfs.ACLEntry{
			Type: dfs.ACLType(e.GetType()), Scope: dfs.ACLScope(e.GetScope()), Perm: dfs.Access(e.GetPermissions()), Name: e.GetName(),
		}
	}
	return out, nil
}

func (s *server) setACL(c *hadooprpc.Call, r *hdfspb.AclSpecRequest) (hadooprpc.Marshaler, error) {
	spec, err := ACLOf(r.AclSpec)
	if err == nil {
		err = s.Attrs.SetACL(c.Context(), &c.Caller, r.GetSrc(), spec)
	}
	return empty, err
}

func (s *server) modifyACL(c *hadooprpc.Call, r *hdfspb.AclSpecRequest) (hadooprpc.Marshaler, error) {
	spec, err := ACLOf(r.AclSpec)
	if err == nil {
		err = s.Attrs.ModifyACL(c.Context(), &c.Caller, r.GetSrc(), spec)
	}
	return empty, err
}

func (s *server) removeACLEntries(c *hadooprpc.Call, r *hdfspb.AclSpecRequest) (hadooprpc.Marshaler, error) {
	spec, err := ACLOf(r.AclSpec)
	if err == nil {
		err = s.Attrs.RemoveACLEntries(c.Context(), &c.Caller, r.GetSrc(), spec)
	}
	return empty, err
}

func (s *server) removeACL(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Attrs.RemoveACL(c.Context(), &c.Caller, r.GetSrc())
}

func (s *server) removeDefaultACL(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Attrs.RemoveDefaultACL(c.Context(), &c.Caller, r.GetSrc())
}

// XAttrProto is an extended attribute on the wire; one without a value has none there.
func XAttrProto(x dfs.XAttr) *hdfspb.XAttr {
	return &hdfspb.XAttr{Namespace: new(hdfspb.XAttr_Namespace(x.Space)), Name: new(x.Name), Value: x.Value}
}

// XAttrOf is the way back.
func XAttrOf(p *hdfspb.XAttr) (dfs.XAttr, error) {
	if p == nil || p.GetName() == "" || uint32(p.GetNamespace()) > uint32(dfs.XAttrRaw) {
		return dfs.XAttr{}, illegal("an extended attribute has no name, or a name space that is not known")
	}
	return dfs.XAttr{Space: dfs.XAttrSpace(p.GetNamespace()), Name: p.GetName(), Value: p.Value}, nil
}

func xattrsProto(list []dfs.XAttr) *hdfspb.XAttrsResponse {
	resp := &hdfspb.XAttrsResponse{XAttrs: make([]*hdfspb.XAttr, len(list))}
	for i, x := range list {
		resp.XAttrs[i] = XAttrProto(x)
	}
	return resp
}

func (s *server) getXAttrs(c *hadooprpc.Call, r *hdfspb.GetXAttrsRequest) (hadooprpc.Marshaler, error) {
	names := make([]dfs.XAttr, len(r.XAttrs))
	for i, p := range r.XAttrs {
		x, err := XAttrOf(p)
		if err != nil {
			return nil, err
		}
		names[i] = x
	}
	list, err := s.Attrs.XAttrs(&c.Caller, r.GetSrc(), names)
	return xattrsProto(list), err
}

func (s *server) listXAttrs(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	list, err := s.Attrs.ListXAttrs(&c.Caller, r.GetSrc())
	return xattrsProto(list), err
}

func (s *server) setXAttr(c *hadooprpc.Call, r *hdfspb.SetXAttrRequest) (hadooprpc.Marshaler, error) {
	x, err := XAttrOf(r.XAttr)
	if err == nil {
		err = s.Attrs.SetXAttr(c.Context(), &c.Caller, r.GetSrc(), x, uint8(r.GetFlag()))
	}
	return empty, err
}

func (s *server) removeXAttr(c *hadooprpc.Call, r *hdfspb.RemoveXAttrRequest) (hadooprpc.Marshaler, error) {
	x, err := XAttrOf(r.XAttr)
	if err == nil {
		err = s.Attrs.RemoveXAttr(c.Context(), &c.Caller, r.GetSrc(), x)
	}
	return empty, err
}
