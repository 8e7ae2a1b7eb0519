package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// featureMethods are the calls of features that this name node does not have. Questions
// are answered as HDFS answers them about a plain file or directory, since common clients
// ask them in passing; orders are refused in HDFS's words for the feature switched off.
func featureMethods() methods {
	return methods{
		"createSymlink": always(unsupported("Symlinks not supported")),

		"getDelegationToken":    nothing, // no token: authentication is simple
		"renewDelegationToken":  always(errNoToken),
		"cancelDelegationToken": always(errNoToken),
		"getDataEncryptionKey":  nothing, // transfers are not encrypted

		"allowSnapshot":                inline((*server).allowSnapshot),
		"disallowSnapshot":             inline((*server).disallowSnapshot),
		"createSnapshot":               inline((*server).createSnapshot),
		"deleteSnapshot":               inline((*server).deleteSnapshot),
		"renameSnapshot":               inline((*server).renameSnapshot),
		"getSnapshotListing":           inline((*server).snapshotListing),
		"getSnapshottableDirListing":   nothing,
		"getSnapshotDiffReport":        inline((*server).snapshotDiff),
		"getSnapshotDiffReportListing": inline((*server).snapshotDiff),

		"createEncryptionZone":    inline((*server).createEncryptionZone),
		"reencryptEncryptionZone": always(dfs.Errorf(dfs.Other, "No key provider configured, re-encryption operation is rejected")),
		"getEZForPath":            nothing,
		"listEncryptionZones":     emptyPage,
		"listReencryptionStatus":  emptyPage,

		"getErasureCodingPolicy":         inline((*server).ecPolicy),
		"getErasureCodingPolicies":       nothing,
		"getErasureCodingCodecs":         nothing,
		"setErasureCodingPolicy":         inline((*server).setECPolicy),
		"unsetErasureCodingPolicy":       inline((*server).unsetECPolicy),
		"addErasureCodingPolicies":       inline((*server).addECPolicies),
		"removeErasureCodingPolicy":      inline((*server).unknownECPolicy),
		"enableErasureCodingPolicy":      inline((*server).unknownECPolicy),
		"disableErasureCodingPolicy":     inline((*server).unknownECPolicy),
		"getECTopologyResultForPolicies": inline((*server).ecTopology),

		"addCachePool":         always(errNoCache),
		"modifyCachePool":      always(errNoCache),
		"removeCachePool":      inline((*server).removeCachePool),
		"listCachePools":       emptyPage,
		"addCacheDirective":    always(errNoCache),
		"modifyCacheDirective": always(errNoCache),
		"removeCacheDirective": inline((*server).removeCacheDirective),
		"listCacheDirectives":  emptyPage,

		"satisfyStoragePolicy": blocking((*server).satisfyStoragePolicy),
		"getEditsFromTxid":     always(unsupported("the event stream of the edit log is not supported")),
	}
}

var (
	errNoToken = dfs.Errorf(dfs.InvalidToken, "no delegation tokens are issued under simple authentication")
	errNoCache = unsupported("centralized cache management is not supported")
)

// nothing answers with an empty message: every field of the response is optional.
func nothing(_ *server, c *hadooprpc.Call) { c.ReplyBytes(nil) }

// emptyPage answers a listing that has nothing and no more: hasMore is field 2.
func emptyPage(_ *server, c *hadooprpc.Call) { c.ReplyBytes([]byte{2 << 3, 0}) }

// always refuses with the same error, whatever the request says.
func always(err error) method {
	class, message := Exception(err)
	return func(_ *server, c *hadooprpc.Call) { c.Fail(class, message) }
}

// stat gives the status of a path that must be there; missing words the error.
func (s *server) stat(c *hadooprpc.Call, path, missing string) (*dfs.FileStatus, error) {
	st, err := s.Reader.FileInfo(&c.Caller, path, true)
	if err == nil && st == nil {
		err = notFound("%s%s", missing, path)
	}
	return st, err
}

// directory gives the status of a path that must be a directory.
func (s *server) directory(c *hadooprpc.Call, path string) error {
	st, err := s.stat(c, path, "Directory does not exist: ")
	if err == nil && st.Type != dfs.TypeDirectory {
		err = dfs.Errorf(dfs.NotDirectory, "`%s': Is not a directory", path)
	}
	return err
}

func (s *server) allowSnapshot(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "allowSnapshot"); err != nil {
		return nil, err
	}
	if err := s.directory(c, r.GetSrc()); err != nil {
		return nil, err
	}
	return nil, dfs.Errorf(dfs.Snapshot, "Snapshots are not supported")
}

// disallowSnapshot does nothing to a directory that is not snapshottable, as HDFS.
func (s *server) disallowSnapshot(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "disallowSnapshot"); err != nil {
		return nil, err
	}
	return empty, s.directory(c, r.GetSrc())
}

// notSnapshottable is what every snapshot call says about a directory of its own.
func (s *server) notSnapshottable(c *hadooprpc.Call, path string) (hadooprpc.Marshaler, error) {
	if err := s.directory(c, path); err != nil {
		return nil, err
	}
	return nil, dfs.Errorf(dfs.Snapshot, "Directory is not a snapshottable directory: %s", path)
}

func (s *server) createSnapshot(c *hadooprpc.Call, r *hdfspb.CreateSnapshotRequest) (hadooprpc.Marshaler, error) {
	return s.notSnapshottable(c, r.GetSnapshotRoot())
}

func (s *server) deleteSnapshot(c *hadooprpc.Call, r *hdfspb.DeleteSnapshotRequest) (hadooprpc.Marshaler, error) {
	return s.notSnapshottable(c, r.GetSnapshotRoot())
}

func (s *server) renameSnapshot(c *hadooprpc.Call, r *hdfspb.RenameSnapshotRequest) (hadooprpc.Marshaler, error) {
	return s.notSnapshottable(c, r.GetSnapshotRoot())
}

func (s *server) snapshotListing(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	return s.notSnapshottable(c, r.GetSrc())
}

func (s *server) snapshotDiff(c *hadooprpc.Call, r *hdfspb.SnapshotDiffRequest) (hadooprpc.Marshaler, error) {
	if err := s.directory(c, r.GetSnapshotRoot()); err != nil {
		return nil, err
	}
	return nil, dfs.Errorf(dfs.Snapshot, "The path %s is neither snapshottable nor under a snapshot root!", r.GetSnapshotRoot())
}

func (s *server) createEncryptionZone(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	return nil, dfs.Errorf(dfs.Other, "Can't create an encryption zone for %s since no key provider is available.", r.GetSrc())
}

// ecPolicy answers "none" for a path that is there.
func (s *server) ecPolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	_, err := s.stat(c, r.GetSrc(), "Path not found: ")
	return empty, err
}

// setECPolicy takes the policy of plain replication, which is what a directory has; job
// clients set it on their staging directory.
func (s *server) setECPolicy(c *hadooprpc.Call, r *hdfspb.SetErasureCodingPolicyRequest) (hadooprpc.Marshaler, error) {
	if name := r.GetEcPolicyName(); !dfs.IsReplicationEC(name) {
		return nil, illegal("%s", dfs.NoECPolicy(name))
	}
	return empty, s.ecDirectory(c, r.GetSrc(), "Attempt to set an erasure coding policy for a file ")
}

// ecDirectory checks that an erasure coding policy could be set on path.
func (s *server) ecDirectory(c *hadooprpc.Call, path, isFile string) error {
	st, err := s.stat(c, path, "Path not found: ")
	if err != nil {
		return err
	}
	if err := s.Reader.CheckAccess(&c.Caller, path, dfs.Write); err != nil {
		return err
	}
	if st.Type != dfs.TypeDirectory {
		return dfs.Errorf(dfs.Other, "%s%s", isFile, path)
	}
	return nil
}

func (s *server) unsetECPolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.ecDirectory(c, r.GetSrc(), "Cannot unset an erasure coding policy on a file "); err != nil {
		return nil, err
	}
	return nil, &javaError{classNoECPolicySet, "No erasure coding policy explicitly set on " + r.GetSrc()}
}

// addECPolicies refuses each policy by itself, as HDFS does.
func (s *server) addECPolicies(c *hadooprpc.Call, r *hdfspb.GetErasureCodingPoliciesResponse) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "addErasureCodingPolicies"); err != nil {
		return nil, err
	}
	resp := new(hdfspb.AddErasureCodingPoliciesResponse)
	added, why := false, "Erasure coding is not supported"
	for _, p := range r.EcPolicies {
		resp.Responses = append(resp.Responses, &hdfspb.AddErasureCodingPolicyResponse{Policy: p, Succeed: &added, ErrorMsg: &why})
	}
	return resp, nil
}

func (s *server) unknownECPolicy(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, c.Method); err != nil {
		return nil, err
	}
	return nil, illegal("The policy name %s does not exist", r.GetSrc())
}

func (s *server) ecTopology(c *hadooprpc.Call, r *hdfspb.StringsRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "getECTopologyResultForPolicies"); err != nil {
		return nil, err
	}
	if len(r.Policies) > 0 {
		return nil, illegal("The given erasure coding policy %s does not exist.", r.Policies[0])
	}
	yes, text := true, "No erasure coding policy is given."
	return &hdfspb.ECTopologyResponse{Response: &hdfspb.ECTopologyResult{ResultMessage: &text, IsSupported: &yes}}, nil
}

func (s *server) removeCachePool(c *hadooprpc.Call, r *hdfspb.PathRequest) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "removeCachePool"); err != nil {
		return nil, err
	}
	return nil, &javaError{classInvalidRequest, "Cannot remove non-existent cache pool " + r.GetSrc()}
}

func (s *server) removeCacheDirective(_ *hadooprpc.Call, r *hdfspb.Int64Request) (hadooprpc.Marshaler, error) {
	return nil, &javaError{classInvalidRequest, dfs.Errorf(dfs.Other, "No directive with ID %d found.", r.GetId()).Msg}
}
