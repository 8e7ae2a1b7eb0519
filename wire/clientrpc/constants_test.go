package clientrpc

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// TestConstantsAreHadoops holds our numbers and names against what Hadoop's own classes say,
// which interop.TestConstants has asked them.
func TestConstantsAreHadoops(t *testing.T) {
	text, err := os.ReadFile("../../interop/testdata/constants.txt")
	require.NoError(t, err)
	ours := ourConstants()
	checked := 0
	for line := range strings.Lines(string(text)) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		cut := strings.LastIndexByte(rest, ' ')
		if kind != "enum" && kind != "const" || cut < 0 {
			continue
		}
		name, value := rest[:cut], rest[cut+1:]
		got, known := ours[name]
		if !known && !without[name] {
			t.Errorf("%s is not compared: add it to ourConstants, or to without if we have no such thing", name)
			continue
		}
		if known {
			checked++
			require.Equal(t, value, fmt.Sprint(got), name)
		}
	}
	require.Equal(t, len(ours), checked, "a constant of ours that Hadoop does not name")
	for i, line := range linesOf(string(text), "policy ") {
		require.Equal(t, line, dfs.Policies[i].String())
	}
	var quota []string
	for _, typ := range dfs.QuotaTypes {
		quota = append(quota, typ.String())
	}
	require.Equal(t, linesOf(string(text), "quota "), quota)
	t.Logf("%d constants", checked)
}

// linesOf gives what stands behind a prefix.
func linesOf(text, prefix string) (out []string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

// without are Hadoop's constants that nothing of ours corresponds to.
var without = map[string]bool{
	"Status.OOB_RESERVED1": true, "Status.OOB_RESERVED2": true, "Status.OOB_RESERVED3": true,
	"ErasureCodingPolicyState.DISABLED": true, "ErasureCodingPolicyState.ENABLED": true, "ErasureCodingPolicyState.REMOVED": true,
	"CreateFlagProto.CREATE": true, "CreateFlagProto.OVERWRITE": true, "CreateFlagProto.APPEND": true, // CreateFlag has them too
	"CreateFlagProto.LAZY_PERSIST": true, "CreateFlagProto.NEW_BLOCK": true, "CreateFlagProto.SHOULD_REPLICATE": true,
	"CreateFlag.SYNC_BLOCK": true, "CreateFlag.IGNORE_CLIENT_LOCALITY": true, "CreateFlag.NO_LOCAL_RACK": true,
	"HAServiceStateProto.INITIALIZING": true, "BlockType.BLOCK_ID_MASK": true,
	"BlockMetadataHeader.VERSION": true, "RpcConstants.CURRENT_VERSION": true, "DataTransferProtocol.DATA_TRANSFER_VERSION": true, // golden bytes hold these
	"HdfsConstants.QUOTA_DONT_SET": true, "HdfsConstants.QUOTA_RESET": true, "HdfsConstants.DOT_SNAPSHOT_DIR": true, "HdfsConstants.HDFS_URI_SCHEME": true,
	"FSDirectory.DOT_RESERVED_STRING": true, "FSDirectory.DOT_INODES_STRING": true, "FileSystem.TRASH_PREFIX": true,
	"TrashPolicyDefault.CURRENT": true, "NetworkTopology.DEFAULT_RACK": true, "HdfsServerConstants.MAX_PATH_DEPTH": true,
}

func ourConstants() map[string]any {
	m := map[string]any{
		"ErasureCodeConstants.REPLICATION_POLICY_NAME": dfs.ReplicationEC, "HdfsConstants.LEASE_SOFTLIMIT_PERIOD": dfs.DefaultLeaseSoftMS,
		"HdfsConstants.CLIENT_NAMENODE_PROTOCOL_NAME": "org.apache.hadoop.hdfs.protocol.ClientProtocol", "HdfsServerConstants.MAX_PATH_LENGTH": dfs.MaxPathLength,
		"INodeId.ROOT_INODE_ID": dfs.RootInodeID, "SequentialBlockIdGenerator.LAST_RESERVED_BLOCK_ID": uint64(dfs.FirstBlockID) - 1,
		"HdfsConstants.BLOCK_STORAGE_POLICY_ID_UNSPECIFIED": dfs.PolicyUnspecified,
		"OpenFilesTypeProto.ALL_OPEN_FILES":                 allOpenFiles, "OpenFilesTypeProto.BLOCKING_DECOMMISSION": blockingDecommission,
	}
	add := func(prefix string, values map[string]any) {
		for name, v := range values {
			m[prefix+"."+name] = v
		}
	}
	for typ := dfs.StorageDisk; typ <= dfs.StorageNVDIMM; typ++ {
		m["StorageTypeProto."+typ.String()] = uint8(typ)
	}
	add("DatanodeInfoProto.AdminState", map[string]any{"NORMAL": dfs.AdminNormal, "DECOMMISSION_INPROGRESS": dfs.AdminDecommissioning,
		"DECOMMISSIONED": dfs.AdminDecommissioned, "ENTERING_MAINTENANCE": dfs.AdminEnteringMaintenance, "IN_MAINTENANCE": dfs.AdminInMaintenance})
	add("ChecksumTypeProto", map[string]any{"CHECKSUM_NULL": dfs.ChecksumNull, "CHECKSUM_CRC32": dfs.ChecksumCRC32, "CHECKSUM_CRC32C": dfs.ChecksumCRC32C})
	add("HdfsFileStatusProto.FileType", map[string]any{"IS_DIR": dfs.TypeDirectory, "IS_FILE": dfs.TypeFile, "IS_SYMLINK": dfs.TypeSymlink})
	add("HdfsFileStatusProto.Flags", map[string]any{"HAS_ACL": dfs.FlagACL, "HAS_CRYPT": dfs.FlagEncrypted, "HAS_EC": dfs.FlagErasureCoded, "SNAPSHOT_ENABLED": dfs.FlagSnapshotEnabled})
	add("CreateFlag", map[string]any{"CREATE": dfs.CreateFlagCreate, "OVERWRITE": dfs.CreateFlagOverwrite, "APPEND": dfs.CreateFlagAppend,
		"LAZY_PERSIST": dfs.CreateFlagLazyPersist, "NEW_BLOCK": dfs.CreateFlagNewBlock, "NO_LOCAL_WRITE": dfs.CreateFlagNoLocalWrite, "SHOULD_REPLICATE": dfs.CreateFlagShouldReplicate})
	add("AddBlockFlagProto", map[string]any{"NO_LOCAL_WRITE": dfs.AddBlockNoLocalWrite, "IGNORE_CLIENT_LOCALITY": dfs.AddBlockIgnoreClientLocality})
	add("SafeModeActionProto", map[string]any{"SAFEMODE_LEAVE": dfs.SafeModeLeave, "SAFEMODE_ENTER": dfs.SafeModeEnter, "SAFEMODE_GET": dfs.SafeModeGet, "SAFEMODE_FORCE_EXIT": dfs.SafeModeForceExit})
	add("DatanodeReportTypeProto", map[string]any{"ALL": dfs.ReportAll, "LIVE": dfs.ReportLive, "DEAD": dfs.ReportDead, "DECOMMISSIONING": dfs.ReportDecommissioning,
		"ENTERING_MAINTENANCE": dfs.ReportEnteringMaintenance, "IN_MAINTENANCE": dfs.ReportInMaintenance})
	add("RollingUpgradeActionProto", map[string]any{"QUERY": rollingQuery, "START": rollingStart, "FINALIZE": rollingFinalize})
	add("XAttrProto.XAttrNamespaceProto", map[string]any{"USER": uint8(dfs.XAttrUser), "TRUSTED": uint8(dfs.XAttrTrusted), "SECURITY": uint8(dfs.XAttrSecurity), "SYSTEM": uint8(dfs.XAttrSystem), "RAW": uint8(dfs.XAttrRaw)})
	add("XAttrSetFlagProto", map[string]any{"XATTR_CREATE": dfs.XAttrCreate, "XATTR_REPLACE": dfs.XAttrReplace})
	add("AclEntryProto.AclEntryScopeProto", map[string]any{"ACCESS": uint8(dfs.ACLAccess), "DEFAULT": uint8(dfs.ACLDefault)})
	add("AclEntryProto.AclEntryTypeProto", map[string]any{"USER": uint8(dfs.ACLUser), "GROUP": uint8(dfs.ACLGroup), "MASK": uint8(dfs.ACLMask), "OTHER": uint8(dfs.ACLOther)})
	add("HAServiceStateProto", map[string]any{"ACTIVE": int(StateActive), "STANDBY": int(StateStandby), "OBSERVER": int(StateObserver)})
	addTransfer(add)
	return m
}

func addTransfer(add func(string, map[string]any)) {
	add("Status", map[string]any{"SUCCESS": int(datatransfer.StatusSuccess), "ERROR": int(datatransfer.StatusError), "ERROR_CHECKSUM": int(datatransfer.StatusErrorChecksum),
		"ERROR_INVALID": int(datatransfer.StatusErrorInvalid), "ERROR_EXISTS": int(datatransfer.StatusErrorExists), "ERROR_ACCESS_TOKEN": int(datatransfer.StatusErrorToken),
		"CHECKSUM_OK": int(datatransfer.StatusChecksumOK), "ERROR_UNSUPPORTED": int(datatransfer.StatusUnsupported), "OOB_RESTART": int(datatransfer.StatusRestart),
		"IN_PROGRESS": int(datatransfer.StatusInProgress), "ERROR_BLOCK_PINNED": int(datatransfer.StatusPinned)})
	add("OpWriteBlockProto.BlockConstructionStage", map[string]any{"PIPELINE_SETUP_APPEND": int(datatransfer.StageSetupAppend),
		"PIPELINE_SETUP_APPEND_RECOVERY": int(datatransfer.StageSetupAppendRecovery), "DATA_STREAMING": int(datatransfer.StageStreaming),
		"PIPELINE_SETUP_STREAMING_RECOVERY": int(datatransfer.StageStreamingRecovery), "PIPELINE_CLOSE": int(datatransfer.StageClose),
		"PIPELINE_CLOSE_RECOVERY": int(datatransfer.StageCloseRecovery), "PIPELINE_SETUP_CREATE": int(datatransfer.StageSetupCreate),
		"TRANSFER_RBW": int(datatransfer.StageTransferRBW), "TRANSFER_FINALIZED": int(datatransfer.StageTransferFinalized)})
	add("Op", map[string]any{"WRITE_BLOCK": int(datatransfer.OpWriteBlock), "READ_BLOCK": int(datatransfer.OpReadBlock), "READ_METADATA": int(datatransfer.OpReadMetadata),
		"REPLACE_BLOCK": int(datatransfer.OpReplaceBlock), "COPY_BLOCK": int(datatransfer.OpCopyBlock), "BLOCK_CHECKSUM": int(datatransfer.OpBlockChecksum),
		"TRANSFER_BLOCK": int(datatransfer.OpTransferBlock), "REQUEST_SHORT_CIRCUIT_FDS": int(datatransfer.OpRequestFDs), "RELEASE_SHORT_CIRCUIT_FDS": int(datatransfer.OpReleaseFDs),
		"REQUEST_SHORT_CIRCUIT_SHM": int(datatransfer.OpRequestShm), "BLOCK_GROUP_CHECKSUM": int(datatransfer.OpBlockGroupChecksum), "CUSTOM": int(datatransfer.OpCustom)})
}
