package hdfspb

// Names of the protocols as they stand in RequestHeader.declaringClassProtocolName.
// Each is at version 1.
const (
	ClientProtocol                     = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
	ClientDatanodeProtocol             = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol"
	NamenodeProtocol                   = "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol"
	DatanodeProtocol                   = "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol"
	DatanodeLifelineProtocol           = "org.apache.hadoop.hdfs.server.protocol.DatanodeLifelineProtocol"
	InterDatanodeProtocol              = "org.apache.hadoop.hdfs.server.protocol.InterDatanodeProtocol"
	GetUserMappingsProtocol            = "org.apache.hadoop.tools.GetUserMappingsProtocol"
	HAServiceProtocol                  = "org.apache.hadoop.ha.HAServiceProtocol"
	RefreshUserMappingsProtocol        = "org.apache.hadoop.security.RefreshUserMappingsProtocol"
	RefreshAuthorizationPolicyProtocol = "org.apache.hadoop.security.authorize.RefreshAuthorizationPolicyProtocol"
	RefreshCallQueueProtocol           = "org.apache.hadoop.ipc.RefreshCallQueueProtocol"
	GenericRefreshProtocol             = "org.apache.hadoop.ipc.GenericRefreshProtocol"
	ReconfigurationProtocol            = "org.apache.hadoop.hdfs.protocol.ReconfigurationProtocol"
)

// Message is what every generated message can do.
type Message interface {
	MarshalVT() ([]byte, error)
	MarshalToSizedBufferVT([]byte) (int, error)
	SizeVT() int
	UnmarshalVT([]byte) error
}

// Method is one call of a protocol with makers of its request and response. A request
// that is only refused, or an answer that is never sent, is Empty, which takes any bytes.
type Method struct {
	Name     string
	Request  func() Message
	Response func() Message
}

// ClientMethods lists every method of ClientProtocol as Hadoop 3.4 has it.
func ClientMethods() []Method {
	return clientMethods
}

var clientMethods = []Method{
	{"abandonBlock", newAbandonBlockRequest, newEmpty},
	{"addBlock", newAddBlockRequest, newBlockResponse},
	{"addCacheDirective", newEmpty, newEmpty},
	{"addCachePool", newEmpty, newEmpty},
	{"addErasureCodingPolicies", newGetErasureCodingPoliciesResponse, newAddErasureCodingPoliciesResponse},
	{"allowSnapshot", newPathRequest, newEmpty},
	{"append", newAppendRequest, newAppendResponse},
	{"cancelDelegationToken", newDelegationTokenRequest, newEmpty},
	{"checkAccess", newCheckAccessRequest, newEmpty},
	{"complete", newCompleteRequest, newBoolResponse},
	{"concat", newConcatRequest, newEmpty},
	{"create", newCreateRequest, newFileStatusResponse},
	{"createEncryptionZone", newPathRequest, newEmpty},
	{"createSnapshot", newCreateSnapshotRequest, newCreateSnapshotResponse},
	{"createSymlink", newCreateSymlinkRequest, newEmpty},
	{"delete", newDeleteRequest, newBoolResponse},
	{"deleteSnapshot", newDeleteSnapshotRequest, newEmpty},
	{"disableErasureCodingPolicy", newPathRequest, newEmpty},
	{"disallowSnapshot", newPathRequest, newEmpty},
	{"enableErasureCodingPolicy", newPathRequest, newEmpty},
	{"finalizeUpgrade", newEmpty, newEmpty},
	{"fsync", newFsyncRequest, newEmpty},
	{"getAclStatus", newPathRequest, newGetAclStatusResponse},
	{"getAdditionalDatanode", newGetAdditionalDatanodeRequest, newBlockResponse},
	{"getBatchedListing", newGetBatchedListingRequest, newGetBatchedListingResponse},
	{"getBlockLocations", newGetBlockLocationsRequest, newGetBlockLocationsResponse},
	{"getContentSummary", newPathRequest, newGetContentSummaryResponse},
	{"getCurrentEditLogTxid", newEmpty, newUint64Response},
	{"getDataEncryptionKey", newEmpty, newGetDataEncryptionKeyResponse},
	{"getDatanodeReport", newDatanodeReportRequest, newDatanodeInfos},
	{"getDatanodeStorageReport", newDatanodeReportRequest, newGetDatanodeStorageReportResponse},
	{"getDelegationToken", newPathRequest, newGetDelegationTokenResponse},
	{"getECTopologyResultForPolicies", newStringsRequest, newECTopologyResponse},
	{"getEZForPath", newPathRequest, newEmpty},
	{"getEditsFromTxid", newInt64Request, newGetEditsFromTxidResponse},
	{"getEnclosingRoot", newPathRequest, newGetEnclosingRootResponse},
	{"getErasureCodingCodecs", newEmpty, newGetErasureCodingCodecsResponse},
	{"getErasureCodingPolicies", newEmpty, newGetErasureCodingPoliciesResponse},
	{"getErasureCodingPolicy", newPathRequest, newGetErasureCodingPolicyResponse},
	{"getFileInfo", newPathRequest, newFileStatusResponse},
	{"getFileLinkInfo", newPathRequest, newFileStatusResponse},
	{"getFsECBlockGroupStats", newEmpty, newGetFsECBlockGroupStatsResponse},
	{"getFsReplicatedBlockStats", newEmpty, newGetFsReplicatedBlockStatsResponse},
	{"getFsStats", newEmpty, newGetFsStatsResponse},
	{"getHAServiceState", newEmpty, newHAServiceStateResponse},
	{"getLinkTarget", newPathRequest, newGetLinkTargetResponse},
	{"getListing", newGetListingRequest, newGetListingResponse},
	{"getLocatedFileInfo", newGetLocatedFileInfoRequest, newFileStatusResponse},
	{"getPreferredBlockSize", newPathRequest, newUint64Response},
	{"getQuotaUsage", newPathRequest, newGetQuotaUsageResponse},
	{"getServerDefaults", newEmpty, newGetServerDefaultsResponse},
	{"getSlowDatanodeReport", newEmpty, newDatanodeInfos},
	{"getSnapshotDiffReport", newSnapshotDiffRequest, newGetSnapshotDiffReportResponse},
	{"getSnapshotDiffReportListing", newSnapshotDiffRequest, newEmpty},
	{"getSnapshotListing", newPathRequest, newGetSnapshotListingResponse},
	{"getSnapshottableDirListing", newEmpty, newGetSnapshottableDirListingResponse},
	{"getStoragePolicies", newEmpty, newGetStoragePoliciesResponse},
	{"getStoragePolicy", newPathRequest, newGetStoragePolicyResponse},
	{"getXAttrs", newGetXAttrsRequest, newXAttrsResponse},
	{"isFileClosed", newPathRequest, newBoolResponse},
	{"listCacheDirectives", newEmpty, newEmptyPageResponse},
	{"listCachePools", newPathRequest, newEmptyPageResponse},
	{"listCorruptFileBlocks", newListCorruptFileBlocksRequest, newListCorruptFileBlocksResponse},
	{"listEncryptionZones", newInt64Request, newEmptyPageResponse},
	{"listOpenFiles", newListOpenFilesRequest, newListOpenFilesResponse},
	{"listReencryptionStatus", newInt64Request, newEmptyPageResponse},
	{"listXAttrs", newPathRequest, newXAttrsResponse},
	{"metaSave", newPathRequest, newEmpty},
	{"mkdirs", newMkdirsRequest, newBoolResponse},
	{"modifyAclEntries", newAclSpecRequest, newEmpty},
	{"modifyCacheDirective", newEmpty, newEmpty},
	{"modifyCachePool", newEmpty, newEmpty},
	{"msync", newEmpty, newEmpty},
	{"recoverLease", newRecoverLeaseRequest, newBoolResponse},
	{"reencryptEncryptionZone", newEmpty, newEmpty},
	{"refreshNodes", newEmpty, newEmpty},
	{"removeAcl", newPathRequest, newEmpty},
	{"removeAclEntries", newAclSpecRequest, newEmpty},
	{"removeCacheDirective", newInt64Request, newEmpty},
	{"removeCachePool", newPathRequest, newEmpty},
	{"removeDefaultAcl", newPathRequest, newEmpty},
	{"removeErasureCodingPolicy", newPathRequest, newEmpty},
	{"removeXAttr", newRemoveXAttrRequest, newEmpty},
	{"rename", newRenameRequest, newBoolResponse},
	{"rename2", newRename2Request, newEmpty},
	{"renameSnapshot", newRenameSnapshotRequest, newEmpty},
	{"renewDelegationToken", newDelegationTokenRequest, newUint64Response},
	{"renewLease", newRenewLeaseRequest, newEmpty},
	{"reportBadBlocks", newReportBadBlocksRequest, newEmpty},
	{"restoreFailedStorage", newPathRequest, newBoolResponse},
	{"rollEdits", newEmpty, newUint64Response},
	{"rollingUpgrade", newRollingUpgradeRequest, newRollingUpgradeResponse},
	{"satisfyStoragePolicy", newPathRequest, newEmpty},
	{"saveNamespace", newSaveNamespaceRequest, newSaveNamespaceResponse},
	{"setAcl", newAclSpecRequest, newEmpty},
	{"setBalancerBandwidth", newSetBalancerBandwidthRequest, newEmpty},
	{"setErasureCodingPolicy", newSetErasureCodingPolicyRequest, newEmpty},
	{"setOwner", newSetOwnerRequest, newEmpty},
	{"setPermission", newSetPermissionRequest, newEmpty},
	{"setQuota", newSetQuotaRequest, newEmpty},
	{"setReplication", newSetReplicationRequest, newBoolResponse},
	{"setSafeMode", newSetSafeModeRequest, newBoolResponse},
	{"setStoragePolicy", newSetStoragePolicyRequest, newEmpty},
	{"setTimes", newSetTimesRequest, newEmpty},
	{"setXAttr", newSetXAttrRequest, newEmpty},
	{"truncate", newTruncateRequest, newBoolResponse},
	{"unsetErasureCodingPolicy", newPathRequest, newEmpty},
	{"unsetStoragePolicy", newPathRequest, newEmpty},
	{"updateBlockForPipeline", newUpdateBlockForPipelineRequest, newBlockResponse},
	{"updatePipeline", newUpdatePipelineRequest, newEmpty},
	{"upgradeStatus", newEmpty, newBoolResponse},
}

func newAbandonBlockRequest() Message                { return new(AbandonBlockRequest) }
func newAclSpecRequest() Message                     { return new(AclSpecRequest) }
func newAddBlockRequest() Message                    { return new(AddBlockRequest) }
func newAddErasureCodingPoliciesResponse() Message   { return new(AddErasureCodingPoliciesResponse) }
func newAppendRequest() Message                      { return new(AppendRequest) }
func newAppendResponse() Message                     { return new(AppendResponse) }
func newBlockResponse() Message                      { return new(BlockResponse) }
func newBoolResponse() Message                       { return new(BoolResponse) }
func newCheckAccessRequest() Message                 { return new(CheckAccessRequest) }
func newCompleteRequest() Message                    { return new(CompleteRequest) }
func newConcatRequest() Message                      { return new(ConcatRequest) }
func newCreateRequest() Message                      { return new(CreateRequest) }
func newCreateSnapshotRequest() Message              { return new(CreateSnapshotRequest) }
func newCreateSnapshotResponse() Message             { return new(CreateSnapshotResponse) }
func newCreateSymlinkRequest() Message               { return new(CreateSymlinkRequest) }
func newDatanodeInfos() Message                      { return new(DatanodeInfos) }
func newDatanodeReportRequest() Message              { return new(DatanodeReportRequest) }
func newDelegationTokenRequest() Message             { return new(DelegationTokenRequest) }
func newDeleteRequest() Message                      { return new(DeleteRequest) }
func newDeleteSnapshotRequest() Message              { return new(DeleteSnapshotRequest) }
func newECTopologyResponse() Message                 { return new(ECTopologyResponse) }
func newEmpty() Message                              { return new(Empty) }
func newEmptyPageResponse() Message                  { return new(EmptyPageResponse) }
func newFileStatusResponse() Message                 { return new(FileStatusResponse) }
func newFsyncRequest() Message                       { return new(FsyncRequest) }
func newGetAclStatusResponse() Message               { return new(GetAclStatusResponse) }
func newGetAdditionalDatanodeRequest() Message       { return new(GetAdditionalDatanodeRequest) }
func newGetBatchedListingRequest() Message           { return new(GetBatchedListingRequest) }
func newGetBatchedListingResponse() Message          { return new(GetBatchedListingResponse) }
func newGetBlockLocationsRequest() Message           { return new(GetBlockLocationsRequest) }
func newGetBlockLocationsResponse() Message          { return new(GetBlockLocationsResponse) }
func newGetContentSummaryResponse() Message          { return new(GetContentSummaryResponse) }
func newGetDataEncryptionKeyResponse() Message       { return new(GetDataEncryptionKeyResponse) }
func newGetDatanodeStorageReportResponse() Message   { return new(GetDatanodeStorageReportResponse) }
func newGetDelegationTokenResponse() Message         { return new(GetDelegationTokenResponse) }
func newGetEditsFromTxidResponse() Message           { return new(GetEditsFromTxidResponse) }
func newGetEnclosingRootResponse() Message           { return new(GetEnclosingRootResponse) }
func newGetErasureCodingCodecsResponse() Message     { return new(GetErasureCodingCodecsResponse) }
func newGetErasureCodingPoliciesResponse() Message   { return new(GetErasureCodingPoliciesResponse) }
func newGetErasureCodingPolicyResponse() Message     { return new(GetErasureCodingPolicyResponse) }
func newGetFsECBlockGroupStatsResponse() Message     { return new(GetFsECBlockGroupStatsResponse) }
func newGetFsReplicatedBlockStatsResponse() Message  { return new(GetFsReplicatedBlockStatsResponse) }
func newGetFsStatsResponse() Message                 { return new(GetFsStatsResponse) }
func newGetLinkTargetResponse() Message              { return new(GetLinkTargetResponse) }
func newGetListingRequest() Message                  { return new(GetListingRequest) }
func newGetListingResponse() Message                 { return new(GetListingResponse) }
func newGetLocatedFileInfoRequest() Message          { return new(GetLocatedFileInfoRequest) }
func newGetQuotaUsageResponse() Message              { return new(GetQuotaUsageResponse) }
func newGetServerDefaultsResponse() Message          { return new(GetServerDefaultsResponse) }
func newGetSnapshotDiffReportResponse() Message      { return new(GetSnapshotDiffReportResponse) }
func newGetSnapshotListingResponse() Message         { return new(GetSnapshotListingResponse) }
func newGetSnapshottableDirListingResponse() Message { return new(GetSnapshottableDirListingResponse) }
func newGetStoragePoliciesResponse() Message         { return new(GetStoragePoliciesResponse) }
func newGetStoragePolicyResponse() Message           { return new(GetStoragePolicyResponse) }
func newGetXAttrsRequest() Message                   { return new(GetXAttrsRequest) }
func newHAServiceStateResponse() Message             { return new(HAServiceStateResponse) }
func newInt64Request() Message                       { return new(Int64Request) }
func newListCorruptFileBlocksRequest() Message       { return new(ListCorruptFileBlocksRequest) }
func newListCorruptFileBlocksResponse() Message      { return new(ListCorruptFileBlocksResponse) }
func newListOpenFilesRequest() Message               { return new(ListOpenFilesRequest) }
func newListOpenFilesResponse() Message              { return new(ListOpenFilesResponse) }
func newMkdirsRequest() Message                      { return new(MkdirsRequest) }
func newPathRequest() Message                        { return new(PathRequest) }
func newRecoverLeaseRequest() Message                { return new(RecoverLeaseRequest) }
func newRemoveXAttrRequest() Message                 { return new(RemoveXAttrRequest) }
func newRename2Request() Message                     { return new(Rename2Request) }
func newRenameRequest() Message                      { return new(RenameRequest) }
func newRenameSnapshotRequest() Message              { return new(RenameSnapshotRequest) }
func newRenewLeaseRequest() Message                  { return new(RenewLeaseRequest) }
func newReportBadBlocksRequest() Message             { return new(ReportBadBlocksRequest) }
func newRollingUpgradeRequest() Message              { return new(RollingUpgradeRequest) }
func newRollingUpgradeResponse() Message             { return new(RollingUpgradeResponse) }
func newSaveNamespaceRequest() Message               { return new(SaveNamespaceRequest) }
func newSaveNamespaceResponse() Message              { return new(SaveNamespaceResponse) }
func newSetBalancerBandwidthRequest() Message        { return new(SetBalancerBandwidthRequest) }
func newSetErasureCodingPolicyRequest() Message      { return new(SetErasureCodingPolicyRequest) }
func newSetOwnerRequest() Message                    { return new(SetOwnerRequest) }
func newSetPermissionRequest() Message               { return new(SetPermissionRequest) }
func newSetQuotaRequest() Message                    { return new(SetQuotaRequest) }
func newSetReplicationRequest() Message              { return new(SetReplicationRequest) }
func newSetSafeModeRequest() Message                 { return new(SetSafeModeRequest) }
func newSetStoragePolicyRequest() Message            { return new(SetStoragePolicyRequest) }
func newSetTimesRequest() Message                    { return new(SetTimesRequest) }
func newSetXAttrRequest() Message                    { return new(SetXAttrRequest) }
func newSnapshotDiffRequest() Message                { return new(SnapshotDiffRequest) }
func newStringsRequest() Message                     { return new(StringsRequest) }
func newTruncateRequest() Message                    { return new(TruncateRequest) }
func newUint64Response() Message                     { return new(Uint64Response) }
func newUpdateBlockForPipelineRequest() Message      { return new(UpdateBlockForPipelineRequest) }
func newUpdatePipelineRequest() Message              { return new(UpdatePipelineRequest) }
func newXAttrsResponse() Message                     { return new(XAttrsResponse) }
