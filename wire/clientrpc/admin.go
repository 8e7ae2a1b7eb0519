package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// layoutVersion is HDFS 3.4's, as the unsigned number that crosses the wire.
const layoutVersion = uint32(1<<32 - 67)

// adminProtocols are the small protocols beside ClientProtocol.
func adminProtocols() map[string]methods {
	return map[string]methods{
		hdfspb.NamenodeProtocol: {
			"versionRequest":     blocking((*server).version),
			"getTransactionId":   blocking((*server).currentTxID),
			"isUpgradeFinalized": blocking((*server).upgradeStatus),
			"isRollingUpgrade":   inline((*server).isRollingUpgrade),
			"getBlocks":          blocking((*server).heldBlocks),
			"getBlockKeys":       blocking((*server).blockKeys),
		},
		hdfspb.HAServiceProtocol: {
			"getServiceStatus":     inline((*server).serviceStatus),
			"monitorHealth":        inline((*server).msync),
			"transitionToActive":   always(errNoHA),
			"transitionToStandby":  always(errNoHA),
			"transitionToObserver": always(errNoHA),
		},
		hdfspb.GetUserMappingsProtocol: {
			"getGroupsForUser": blocking((*server).groups),
		},
		hdfspb.RefreshUserMappingsProtocol: {
			"refreshUserToGroupsMappings":         blocking((*server).refreshGroups),
			"refreshSuperUserGroupsConfiguration": blocking((*server).refreshProxies),
		},
		hdfspb.RefreshAuthorizationPolicyProtocol: {
			"refreshServiceAcl": blocking((*server).refreshServices),
		},
		hdfspb.RefreshCallQueueProtocol: {
			"refreshCallQueue": nothing, // calls are not queued by user
		},
		hdfspb.GenericRefreshProtocol: {
			"refresh": inline((*server).genericRefresh),
		},
		hdfspb.ReconfigurationProtocol: {
			"listReconfigurableProperties": nothing,
			"getReconfigurationStatus":     inline((*server).reconfigurationStatus),
			"startReconfiguration":         always(unsupported("no property can be changed while the name node runs")),
		},
	}
}

var errNoHA = &javaError{"org.apache.hadoop.ha.ServiceFailedException", "HA for namenode is not enabled"}

// version tells which cluster this is; benchmarks and balancers ask it first.
func (s *server) version(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if err := s.superuser(c, "versionRequest"); err != nil {
		return nil, err
	}
	return &hdfspb.VersionResponse{Info: NamespaceInfo(s.Cluster.Info(), s.opt.SoftwareVersion, s.opt.State())}, nil
}

// capabilities has the bit that lets datanodes send block reports as varints, the form
// that costs both sides less.
const capabilities = 1

// NamespaceInfo is a cluster as versionRequest tells it, to administrators and datanodes.
func NamespaceInfo(info dfs.ClusterInfo, softwareVersion string, part State) *hdfspb.NamespaceInfo {
	state := hdfspb.NamespaceInfo_ACTIVE
	switch part {
	case StateStandby:
		state = hdfspb.NamespaceInfo_STANDBY
	case StateObserver:
		state = hdfspb.NamespaceInfo_OBSERVER
	}
	layout := layoutVersion
	return &hdfspb.NamespaceInfo{
		BuildVersion: &softwareVersion,
		Unused:       u32(0),
		BlockPoolID:  &info.PoolID,
		StorageInfo: &hdfspb.StorageInfo{
			LayoutVersion: &layout,
			NamespceID:    &info.NamespaceID,
			ClusterID:     &info.ClusterID,
			CTime:         u64(info.CTime),
		},
		SoftwareVersion: &softwareVersion,
		Capabilities:    u64(capabilities),
		State:           &state,
	}
}

func (s *server) isRollingUpgrade(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	no := false
	return &hdfspb.BoolResponse{Result: &no}, nil
}

func (s *server) serviceStatus(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	ready := true
	return &hdfspb.GetServiceStatusResponse{State: u32(s.opt.State()), ReadyToBecomeActive: &ready}, nil
}

// groups answers with no groups for a user that nobody knows.
func (s *server) groups(_ *hadooprpc.Call, r *hdfspb.GetGroupsForUserRequest) (hadooprpc.Marshaler, error) {
	groups, err := s.Cluster.Groups(r.GetUser())
	if dfs.Is(err, dfs.NotFound) {
		groups, err = nil, nil
	}
	return &hdfspb.GetGroupsForUserResponse{Groups: groups}, err
}

// The protocols that refresh are guarded by service level authorization alone: while that
// is off everybody may call them, as in HDFS.

func (s *server) refreshServices(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if s.opt.Access == nil {
		return nil, dfs.Errorf(dfs.Authorization, "Service Level Authorization not enabled!")
	}
	return empty, s.opt.Access.RefreshServices()
}

func (s *server) refreshProxies(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if s.opt.Access == nil {
		return empty, nil
	}
	return empty, s.opt.Access.RefreshProxies()
}

func (s *server) refreshGroups(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	return empty, s.Admin.RefreshGroups(&c.Caller)
}

func (s *server) genericRefresh(_ *hadooprpc.Call, r *hdfspb.GenericRefreshRequest) (hadooprpc.Marshaler, error) {
	return nil, dfs.Errorf(dfs.RuntimeIllegal, "Identifier '%s' does not exist in RefreshRegistry. Valid options are: ", r.GetIdentifier())
}

func (s *server) reconfigurationStatus(*hadooprpc.Call, *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	never := int64(0)
	return &hdfspb.GetReconfigurationStatusResponse{StartTime: &never}, nil
}
