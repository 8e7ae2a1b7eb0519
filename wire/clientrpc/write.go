package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func writeMethods() methods {
	return methods{
		"mkdirs":             (*server).mkdirs,
		"delete":             (*server).delete,
		"rename":             (*server).rename,
		"rename2":            (*server).rename2,
		"setPermission":      blocking((*server).setPermission),
		"setOwner":           blocking((*server).setOwner),
		"setTimes":           blocking((*server).setTimes),
		"setReplication":     blocking((*server).setReplication),
		"setStoragePolicy":   blocking((*server).setStoragePolicy),
		"unsetStoragePolicy": blocking((*server).unsetStoragePolicy),
		"concat":             blocking((*server).concat),
		"truncate":           blocking((*server).truncate),
		"setQuota":           blocking((*server).setQuota),
	}
}

func (s *server) mkdirs(c *hadooprpc.Call) {
	r := new(dfs.MkdirsRequest)
	if err := decodeMkdirs(r, c.Body); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		ok, err := s.Writer.Mkdirs(c.Context(), &c.Caller, r)
		replyBool(c, ok, err)
	})
}

func (s *server) delete(c *hadooprpc.Call) {
	var r deleteRequest
	if err := r.decode(c.Body); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		ok, err := s.Writer.Delete(c.Context(), &c.Caller, r.src, r.recursive)
		replyBool(c, ok, err)
	})
}

func (s *server) rename(c *hadooprpc.Call) {
	var r renameRequest
	if err := r.decode(c.Body, false); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		ok, err := s.Writer.Rename(c.Context(), &c.Caller, r.src, r.dst)
		replyBool(c, ok, err)
	})
}

func (s *server) rename2(c *hadooprpc.Call) {
	var r renameRequest
	if err := r.decode(c.Body, true); err != nil {
		refuse(c, err)
		return
	}
	c.Go(func() {
		opt := dfs.RenameOptions{Overwrite: r.overwrite, ToTrash: r.toTrash}
		replyEmpty(c, s.Writer.Rename2(c.Context(), &c.Caller, r.src, r.dst, opt))
	})
}

func (s *server) setPermission(c *hadooprpc.Call, r *hdfspb.SetPermissionRequest) (hadooprpc.Marshaler, error) {
	mode := dfs.Mode(r.Permission.GetPerm()) & dfs.ModeMask
	return empty, s.Writer.SetPermission(c.Context(), &c.Caller, r.GetSrc(), mode)
}

func (s *server) setOwner(c *hadooprpc.Call, r *hdfspb.SetOwnerRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Writer.SetOwner(c.Context(), &c.Caller, r.GetSrc(), r.GetUsername(), r.GetGroupname())
}

// setTimes gets 2^64-1, which is -1, for a time to keep.
func (s *server) setTimes(c *hadooprpc.Call, r *hdfspb.SetTimesRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Writer.SetTimes(c.Context(), &c.Caller, r.GetSrc(), int64(r.GetMtime()), int64(r.GetAtime()))
}

func (s *server) setReplication(c *hadooprpc.Call, r *hdfspb.SetReplicationRequest) (hadooprpc.Marshaler, error) {
	ok, err := s.Writer.SetReplication(c.Context(), &c.Caller, r.GetSrc(), replication(r.GetReplication()))
	return &hdfspb.BoolResponse{Result: &ok}, err
}

func (s *server) setStoragePolicy(c *hadooprpc.Call, r *hdfspb.SetStoragePolicyRequest) (hadooprpc.Marshaler, error) {
	if r.GetPolicyName() == "" { // the service would take it for "unset"
		return nil, illegal("Cannot find a block policy with the name ")
	}
	return empty, s.Writer.SetStoragePolicy(c.Context(), &c.Caller, r.GetSrc(), r.GetPolicyName())
}

func (s *server) unsetStoragePolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Writer.SetStoragePolicy(c.Context(), &c.Caller, r.GetSrc(), "")
}

// satisfyStoragePolicy refuses, as HDFS does by default, where the service has nothing that
// could see to it.
func (s *server) satisfyStoragePolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if p, ok := s.Writer.(PolicySatisfier); ok {
		return empty, p.SatisfyStoragePolicy(c.Context(), &c.Caller, r.GetSrc())
	}
	return nil, &javaError{classUnsupportedAction, "Cannot request to satisfy storage policy " +
		"when storage policy satisfier feature has been disabled by admin. Seek for an admin help to enable it or use Mover tool."}
}

func (s *server) concat(c *hadooprpc.Call, r *hdfspb.ConcatRequest) (hadooprpc.Marshaler, error) {
	return empty, s.Writer.Concat(c.Context(), &c.Caller, r.GetTrg(), r.Srcs)
}

func (s *server) truncate(c *hadooprpc.Call, r *hdfspb.TruncateRequest) (hadooprpc.Marshaler, error) {
	length := int64(r.GetNewLength())
	if length < 0 {
		return nil, illegal("Cannot truncate to a negative file size: %d.", length)
	}
	ok, err := s.Writer.Truncate(c.Context(), &c.Caller, r.GetSrc(), length, r.GetClientName())
	return &hdfspb.BoolResponse{Result: &ok}, err
}

// setQuota passes HDFS's numbers on: 2^63-1 keeps a quota, -1 clears it.
func (s *server) setQuota(c *hadooprpc.Call, r *hdfspb.SetQuotaRequest) (hadooprpc.Marshaler, error) {
	var typ dfs.StorageType
	if r.StorageType != nil {
		typ = dfs.StorageType(*r.StorageType)
	}
	err := s.Writer.SetQuota(c.Context(), &c.Caller, r.GetPath(),
		int64(r.GetNamespaceQuota()), int64(r.GetStoragespaceQuota()), typ)
	if dfs.Is(err, dfs.Unsupported) {
		return nil, &javaError{classUnsupportedAction, err.Error()}
	}
	return empty, err
}
