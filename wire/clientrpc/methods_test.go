package clientrpc

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	pb "redoubt/wire/hdfspb"
)

// row is one request of a method, the service call that it makes ("" none) and the
// answer: the response's text, or "class: message".
type row struct {
	method string
	req    string // in protobuf text
	call   string
	want   string
}

const (
	blk    = `poolId:"` + testPool + `" blockId:5 generationStamp:6 numBytes:7`
	badBlk = `poolId:"BP-x" blockId:5 generationStamp:6`
	dnID   = `ipAddr:"1.2.3.4" hostName:"h" datanodeUuid:"u" xferPort:1 infoPort:2 ipcPort:3`
	dnText = `{UUID:u IP:1.2.3.4 Host:h XferPort:1 InfoPort:2 SecurePort:0 IPCPort:3}`
	dnList = `[{u 1.2.3.4 h 1 2 0 3}]`

	// what testNode, testStatus and so on are on the wire
	nodePB = `id:{ipAddr:"127.0.0.1" hostName:"localhost" datanodeUuid:"uuid-1" xferPort:9866 infoPort:9864 ipcPort:9867 infoSecurePort:0} ` +
		`capacity:1099511627776 dfsUsed:1048576 remaining:549755813888 blockPoolUsed:524288 lastUpdate:1795378259392 xceiverCount:3 ` +
		`location:"/rack-1" nonDfsUsed:7 adminState:DECOMMISSION_INPROGRESS cacheCapacity:0 cacheUsed:0 lastUpdateMonotonic:5 ` +
		`lastBlockReportTime:1795378259000 lastBlockReportMonotonic:6 numBlocks:42`
	blockHead = `b:{poolId:"` + testPool + `" blockId:1073741825 generationStamp:1001 numBytes:77} offset:134217728 `
	tokenPB   = `corrupt:false blockToken:{identifier:"" password:"" kind:"" service:""}`
	locatedPB = blockHead + `locs:{` + nodePB + `} locs:{` + nodePB + `} ` + tokenPB +
		` isCached:false isCached:false storageTypes:DISK storageTypes:SSD storageIDs:"DS-1" storageIDs:"DS-2"`
	bareLocated = blockHead + tokenPB
	blocksPB    = `fileLength:1073741824 blocks:{` + locatedPB + `} blocks:{` + bareLocated + `} underConstruction:true lastBlock:{` + bareLocated + `} isLastBlockComplete:false`
	filePB      = `fileType:IS_FILE path:"" length:1073741824 permission:{perm:420} owner:"alice" group:"staff" modification_time:1795378260081 ` +
		`access_time:1795378260071 block_replication:3 blocksize:134217728 %sfileId:16387 childrenNum:0 storagePolicy:0 flags:4`
	dirPB = `fileType:IS_DIR path:"" length:0 permission:{perm:1005} owner:"alice" group:"staff" modification_time:1795378260071 ` +
		`access_time:0 block_replication:0 blocksize:0 fileId:16386 childrenNum:3 storagePolicy:7 flags:0`
	linkPB = `fileType:IS_SYMLINK path:"" length:0 permission:{perm:511} owner:"alice" group:"staff" modification_time:1 ` +
		`access_time:2 symlink:"/d/f" block_replication:0 blocksize:0 fileId:16388 childrenNum:0 storagePolicy:0 flags:0`
	emptyBlocks = `locations:{fileLength:0 underConstruction:false isLastBlockComplete:false} `

	ioe    = "java.io.IOException: "
	fnf    = "java.io.FileNotFoundException: "
	illegl = "org.apache.hadoop.HadoopIllegalArgumentException: "
	uns    = "java.lang.UnsupportedOperationException: "
	snap   = "org.apache.hadoop.hdfs.protocol.SnapshotException: "
)

func named(status, name string) string {
	return strings.Replace(status, `path:""`, `path:"`+name+`"`, 1)
}

func file(locations string) string { return fmt.Sprintf(filePB, locations) }

var readRows = []row{
	{"getFileInfo", `src:"/f"`, "FileInfo /f true", `fs:{` + file("") + `}`},
	{"getFileInfo", `src:"/d"`, "FileInfo /d true", `fs:{` + dirPB + `}`},
	{"getFileInfo", `src:"/nix"`, "FileInfo /nix true", ``},
	{"getFileLinkInfo", `src:"/l"`, "FileInfo /l false", `fs:{` + linkPB + `}`},
	{"getLocatedFileInfo", `src:"/f" needBlockToken:true`, "LocatedFileInfo /f", `fs:{` + file("locations:{"+blocksPB+"} ") + `}`},
	{"getLocatedFileInfo", `src:"/d"`, "LocatedFileInfo /d", `fs:{` + dirPB + `}`},
	{"getLocatedFileInfo", `src:"/nix"`, "LocatedFileInfo /nix", ``},
	{"getBlockLocations", `src:"/f" offset:0 length:10`, "BlockLocations /f 0 10", `locations:{` + blocksPB + `}`},
	{"getBlockLocations", `src:"/f" offset:5 length:9223372036854775807`, "BlockLocations /f 5 9223372036854775802", `locations:{` + blocksPB + `}`},
	{"getBlockLocations", `src:"/f" offset:18446744073709551615 length:1`, "", illegl + "Negative offset is not supported. File: /f"},
	{"getBlockLocations", `src:"/f" offset:0 length:18446744073709551615`, "", illegl + "Negative length is not supported. File: /f"},
	{"getListing", `src:"/x" startAfter:"a" needLocation:false`, `Listing /x "a" false`,
		`dirList:{partialListing:{` + named(file(""), "a") + `} partialListing:{` + named(dirPB, "b") + `} remainingEntries:0}`},
	{"getListing", `src:"/more" startAfter:"" needLocation:true`, `Listing /more "" true`,
		`dirList:{partialListing:{` + named(file(emptyBlocks), "a") + `} partialListing:{` + named(dirPB, "b") + `} remainingEntries:4}`},
	{"getListing", `src:"/nix" startAfter:"" needLocation:false`, `Listing /nix "" false`, ``},
	{"getBatchedListing", `paths:"/nix" startAfter:"" needLocation:false`, `Listing /nix "" false`,
		`listings:{parentIdx:0 exception:{className:"java.io.FileNotFoundException" message:"Path /nix does not exist"}} hasMore:false startAfter:""`},
	{"getBatchedListing", `paths:"/x" startAfter:"" needLocation:true`, `Listing /x "" true`,
		`listings:{partialListing:{` + named(file(emptyBlocks), "a") + `} partialListing:{` + named(dirPB, "b") + `} parentIdx:0} hasMore:false startAfter:""`},
	{"isFileClosed", `src:"/f"`, "IsFileClosed /f", `result:true`},
	{"getContentSummary", `src:"/d"`, "ContentSummary /d", `summary:{length:1 fileCount:2 directoryCount:3 quota:18446744073709551615 ` +
		`spaceConsumed:4 spaceQuota:5 ` + typeQuotasPB(1, 2) + ` snapshotLength:0 snapshotFileCount:0 snapshotDirectoryCount:0 snapshotSpaceConsumed:0 erasureCodingPolicy:""}`},
	{"getQuotaUsage", `src:"/d"`, "ContentSummary /d", `usage:{fileAndDirectoryCount:5 quota:18446744073709551615 spaceConsumed:4 spaceQuota:5 ` + typeQuotasPB(0, 6) + `}`},
	{"getPreferredBlockSize", `src:"/f"`, "PreferredBlockSize /f", `value:134217728`},
	{"getLinkTarget", `src:"/l"`, "LinkTarget /l", `targetPath:"/target"`},
	{"checkAccess", `path:"/f" mode:6`, "CheckAccess /f 6", ``},
	{"checkAccess", `path:"/f" mode:8`, "", illegl + "access mode 8 is no set of rwx bits"},
	{"getStoragePolicy", `src:"/f"`, "StoragePolicy /f", `storagePolicy:{policyId:7 name:"HOT" creationPolicy:{storageTypes:DISK} replicationFallbackPolicy:{storageTypes:ARCHIVE}}`},
	{"getStoragePolicies", ``, "", "*"},
	{"getEnclosingRoot", `src:"/f"`, "", `enclosingRootPath:"/"`},
}

var writeRows = []row{
	{"mkdirs", `src:"/d" masked:{perm:2147484141} createParent:true unmasked:{perm:511}`, "Mkdirs /d 755 777 true true", `result:true`},
	{"delete", `src:"/d" recursive:true`, "Delete /d true", `result:true`},
	{"delete", `src:"/nix" recursive:false`, "Delete /nix false", `result:false`},
	{"rename", `src:"/a" dst:"/b"`, "Rename /a /b", `result:true`},
	{"rename2", `src:"/a" dst:"/b" overwriteDest:true`, "Rename2 /a /b {Overwrite:true ToTrash:false}", ``},
	{"rename2", `src:"/a" dst:"/b" overwriteDest:false moveToTrash:true`, "Rename2 /a /b {Overwrite:false ToTrash:true}", ``},
	{"setPermission", `src:"/a" permission:{perm:1023}`, "SetPermission /a 1777", ``},
	{"setOwner", `src:"/a" groupname:"g"`, `SetOwner /a "" "g"`, ``},
	{"setTimes", `src:"/a" mtime:5 atime:18446744073709551615`, "SetTimes /a 5 -1", ``},
	{"setReplication", `src:"/a" replication:2`, "SetReplication /a 2", `result:true`},
	{"setReplication", `src:"/a" replication:65538`, "SetReplication /a 32768", `result:true`},
	{"setStoragePolicy", `src:"/a" policyName:"COLD"`, `SetStoragePolicy /a "COLD"`, ``},
	{"setStoragePolicy", `src:"/a" policyName:""`, ``, illegl + "Cannot find a block policy with the name "},
	{"unsetStoragePolicy", `src:"/a"`, `SetStoragePolicy /a ""`, ``},
	{"concat", `trg:"/t" srcs:"/a" srcs:"/b"`, "Concat /t [/a /b]", ``},
	{"truncate", `src:"/a" newLength:5 clientName:"c"`, "Truncate /a 5 c", `result:false`},
	{"truncate", `src:"/a" newLength:18446744073709551615 clientName:"c"`, "", illegl + "Cannot truncate to a negative file size: -1."},
	{"setQuota", `path:"/d" namespaceQuota:18446744073709551615 storagespaceQuota:10 storageType:SSD`, "SetQuota /d -1 10 2", ``},
	{"setQuota", `path:"/d" namespaceQuota:9223372036854775807 storagespaceQuota:10`, "SetQuota /d 9223372036854775807 10 0", ``},
	{"create", `src:"/f" masked:{perm:420} clientName:"c" createFlag:3 createParent:true replication:3 blockSize:1048576 cryptoProtocolVersion:2 unmasked:{perm:438} storagePolicy:"HOT"`,
		"Create {Path:/f Mode:420 Unmasked:438 HasUnmasked:true Holder:c Flags:3 CreateParent:true Replication:3 BlockSize:1048576 StoragePolicy:HOT ECPolicy:}", `fs:{` + file("") + `}`},
	{"append", `src:"/f" clientName:"c" flag:4`, "Append /f c 4", `block:{` + locatedPB + `} stat:{` + file("") + `}`},
	{"append", `src:"/full" clientName:"c"`, "Append /full c 0", `stat:{` + file("") + `}`},
	{"addBlock", `src:"/f" clientName:"c" fileId:9`, "AddBlock /f 9 c none [] [] 0", `block:{` + locatedPB + `}`},
	{"addBlock", `src:"/f" clientName:"c" previous:{` + blk + `} excludeNodes:{id:{` + dnID + `}} favoredNodes:"x:1" flags:1 flags:2`,
		"AddBlock /f 0 c blk_5_6 " + dnList + " [x:1] 3", `block:{` + locatedPB + `}`},
	{"addBlock", `src:"/f" clientName:"c" previous:{` + badBlk + `}`, "", ioe + "Unexpected BlockPoolId BP-x - expected " + testPool},
	{"abandonBlock", `b:{` + blk + `} src:"/f" holder:"c" fileId:9`, "AbandonBlock blk_5_6 /f c 9", ``},
	{"getAdditionalDatanode", `src:"/f" blk:{` + blk + `} existings:{id:{` + dnID + `}} numAdditionalNodes:1 clientName:"c" existingStorageUuids:"s" fileId:9`,
		"AdditionalDatanode {Path:/f File:9 Block:blk_5_6 Existing:[" + dnText + "] Storages:[s] Exclude:[] Count:1 Holder:c}", `block:{` + locatedPB + `}`},
	{"updateBlockForPipeline", `block:{` + blk + `} clientName:"c"`, "UpdateBlockForPipeline blk_5_6 c", `block:{` + locatedPB + `}`},
	{"updatePipeline", `clientName:"c" oldBlock:{` + blk + `} newBlock:{poolId:"` + testPool + `" blockId:5 generationStamp:8} newNodes:{` + dnID + `} storageIDs:"s"`,
		"UpdatePipeline {Holder:c Old:blk_5_6 New:blk_5_8 Nodes:[" + dnText + "] Storages:[s]}", ``},
	{"updatePipeline", `clientName:"c" oldBlock:{` + badBlk + `} newBlock:{` + blk + `}`, "", ioe + "Unexpected BlockPoolId BP-x - expected " + testPool},
	{"complete", `src:"/f" clientName:"c"`, "Complete /f c <nil> 0", `result:true`},
	{"complete", `src:"/f" clientName:"c" last:{` + blk + `} fileId:9`, "Complete /f c blk_5_6 9", `result:true`},
	{"complete", `src:"/f" clientName:"c" last:{` + badBlk + `}`, "", ioe + "Unexpected BlockPoolId BP-x - expected " + testPool},
	{"fsync", `src:"/f" client:"c" fileId:9`, "Fsync /f c -1 9", ``},
	{"fsync", `src:"/f" client:"c" lastBlockLength:77`, "Fsync /f c 77 0", ``},
	{"renewLease", `clientName:"c" namespaces:"x"`, "RenewLease c", ``},
	{"recoverLease", `src:"/f" clientName:"c"`, "RecoverLease /f c", `result:true`},
	{"reportBadBlocks", ``, "", ``},
	{"reportBadBlocks", `blocks:{b:{` + blk + `} offset:0 locs:{id:{` + dnID + `}} ` + tokenPB + ` storageIDs:"s"}`,
		"ReportBadBlocks blk_5_6 " + dnList + " [s]", ``},
}

var clusterRows = []row{
	{"getServerDefaults", ``, "", `serverDefaults:{blockSize:134217728 bytesPerChecksum:512 writePacketSize:65536 replication:3 fileBufferSize:4096 ` +
		`encryptDataTransfer:false trashInterval:60 checksumType:CHECKSUM_CRC32C keyProviderUri:"" policyId:7 snapshotTrashRootEnabled:false}`},
	{"getFsStats", ``, "", `capacity:1 used:2 remaining:3 under_replicated:4 corrupt_blocks:5 missing_blocks:6 missing_repl_one_blocks:7 blocks_in_future:8 pending_deletion_blocks:9`},
	{"getFsReplicatedBlockStats", ``, "", `low_redundancy:4 corrupt_blocks:5 missing_blocks:6 missing_repl_one_blocks:7 blocks_in_future:8 pending_deletion_blocks:9 highest_prio_low_redundancy_blocks:0`},
	{"getFsECBlockGroupStats", ``, "", `low_redundancy:0 corrupt_blocks:0 missing_blocks:0 blocks_in_future:0 pending_deletion_blocks:0 highest_prio_low_redundancy_blocks:0`},
	{"getDatanodeReport", `type:2`, "DatanodeReport 2", `datanodes:{` + nodePB + `} datanodes:{` + nodePB + `}`},
	{"getDatanodeReport", `type:9`, "", classBadRequest + ": Message missing required fields: type"},
	{"getDatanodeStorageReport", `type:1`, "DatanodeStorageReport 1", `datanodeStorageReports:{datanodeInfo:{` + nodePB + `} storageReports:{storageUuid:"DS-1" failed:true ` +
		`capacity:1 dfsUsed:2 remaining:3 blockPoolUsed:4 storage:{storageUuid:"DS-1" state:NORMAL storageType:SSD} nonDfsUsed:5}}`},
	{"getSlowDatanodeReport", ``, "", ``},
	{"setSafeMode", `action:3`, "SetSafeMode 3", `result:false`},
	{"setSafeMode", `action:7`, "", classBadRequest + ": Message missing required fields: action"},
	{"saveNamespace", `timeWindow:1 txGap:2`, "SaveNamespace 1 2", `saved:true`},
	{"rollEdits", ``, "RollEdits", `value:12`},
	{"restoreFailedStorage", `src:"check"`, "", `result:true`},
	{"restoreFailedStorage", `src:"false"`, "", uns + "restoring of failed storage can't be switched off"},
	{"refreshNodes", ``, "RefreshNodes", ``},
	{"finalizeUpgrade", ``, "", ``},
	{"upgradeStatus", ``, "", `result:true`},
	{"rollingUpgrade", `action:1`, "", ``},
	{"rollingUpgrade", `action:2`, "", uns + "Rolling upgrade is not supported"},
	{"listCorruptFileBlocks", `path:"/" cookie:"3"`, `CorruptFiles / "3"`, `corrupt:{files:"/c" cookie:"7"}`},
	{"metaSave", `src:"x"`, `MetaSave x`, ``},
	{"listOpenFiles", `id:0 types:1 path:"/"`, "OpenFiles 0 / false", `entries:{id:16390 path:"/o" clientName:"h" clientMachine:"m"} hasMore:true types:1`},
	{"listOpenFiles", `id:0 types:2 path:"/"`, "OpenFiles 0 / true", `entries:{id:16390 path:"/o" clientName:"h" clientMachine:"m"} hasMore:true types:2`},
	{"listOpenFiles", `id:0 path:"/"`, "OpenFiles 0 / false", `entries:{id:16390 path:"/o" clientName:"h" clientMachine:"m"} hasMore:true`},
	{"setBalancerBandwidth", `bandwidth:5`, `SetBalancerBandwidth 5`, ``},
	{"getCurrentEditLogTxid", ``, "", `value:4711`},
	{"msync", ``, "", ``},
	{"getHAServiceState", ``, "", `state:1`},
}

var featureRows = []row{
	{"getAclStatus", `src:"/d"`, "ACLStatus /d", `result:{owner:"alice" group:"staff" sticky:true entries:{type:USER scope:ACCESS permissions:6 name:"bob"} ` +
		`entries:{type:GROUP scope:DEFAULT permissions:0} permission:{perm:1005}}`},
	{"setAcl", `src:"/d"`, "SetACL /d []", ``},
	{"setAcl", `src:"/d" aclSpec:{type:OTHER scope:DEFAULT permissions:7}`, "SetACL /d [default:other::rwx]", ``},
	{"modifyAclEntries", `src:"/d" aclSpec:{type:USER scope:ACCESS permissions:5 name:"bob"} aclSpec:{type:MASK scope:ACCESS permissions:0}`,
		"ModifyACL /d [user:bob:r-x mask::---]", ``},
	{"modifyAclEntries", `src:"/d" aclSpec:{type:USER scope:ACCESS permissions:8}`, "", illegl + "ACL entry 0 has a type, scope or permission out of range"},
	{"removeAclEntries", `src:"/d" aclSpec:{type:GROUP scope:ACCESS permissions:0 name:"ops"}`, "RemoveACLEntries /d [group:ops:---]", ``},
	{"removeAcl", `src:"/d"`, "RemoveACL /d", ``},
	{"removeDefaultAcl", `src:"/d"`, "RemoveDefaultACL /d", ``},
	{"getXAttrs", `src:"/d"`, "XAttrs /d []", `xAttrs:{namespace:USER name:"a" value:"1"} xAttrs:{namespace:TRUSTED name:"b"}`},
	{"getXAttrs", `src:"/d" xAttrs:{namespace:RAW name:"a"}`, "XAttrs /d [raw.a]", `xAttrs:{namespace:USER name:"a" value:"1"} xAttrs:{namespace:TRUSTED name:"b"}`},
	{"getXAttrs", `src:"/d" xAttrs:{namespace:USER name:""}`, "", illegl + "an extended attribute has no name, or a name space that is not known"},
	{"listXAttrs", `src:"/d"`, "ListXAttrs /d", `xAttrs:{namespace:USER name:"a" value:"1"}`},
	{"setXAttr", `src:"/d" xAttr:{namespace:USER name:"a" value:"v"} flag:3`, `SetXAttr /d user.a="v" 3`, ``},
	{"setXAttr", `src:"/d" flag:3`, "", illegl + "an extended attribute has no name, or a name space that is not known"},
	{"removeXAttr", `src:"/d" xAttr:{namespace:SECURITY name:"a"}`, "RemoveXAttr /d security.a", ``},
	{"createSymlink", `target:"/d" link:"/l" dirPerm:{perm:0} createParent:true`, "", uns + "Symlinks not supported"},
	{"getDelegationToken", `src:"me"`, "", ``},
	{"renewDelegationToken", `token:{identifier:"" password:"" kind:"" service:""}`, "", "org.apache.hadoop.security.token.SecretManager$InvalidToken: no delegation tokens are issued under simple authentication"},
	{"cancelDelegationToken", `token:{identifier:"" password:"" kind:"" service:""}`, "", "org.apache.hadoop.security.token.SecretManager$InvalidToken: no delegation tokens are issued under simple authentication"},
	{"getDataEncryptionKey", ``, "", ``},
	{"allowSnapshot", `src:"/d"`, "FileInfo /d true", snap + "Snapshots are not supported"},
	{"disallowSnapshot", `src:"/d"`, "FileInfo /d true", ``},
	{"createSnapshot", `snapshotRoot:"/d"`, "FileInfo /d true", snap + "Directory is not a snapshottable directory: /d"},
	{"createSnapshot", `snapshotRoot:"/nix"`, "FileInfo /nix true", fnf + "Directory does not exist: /nix"},
	{"deleteSnapshot", `snapshotRoot:"/d" snapshotName:"s"`, "FileInfo /d true", snap + "Directory is not a snapshottable directory: /d"},
	{"renameSnapshot", `snapshotRoot:"/d" snapshotOldName:"s" snapshotNewName:"t"`, "FileInfo /d true", snap + "Directory is not a snapshottable directory: /d"},
	{"getSnapshotListing", `src:"/d"`, "FileInfo /d true", snap + "Directory is not a snapshottable directory: /d"},
	{"getSnapshottableDirListing", ``, "", ``},
	{"getSnapshotDiffReport", `snapshotRoot:"/d" fromSnapshot:"a" toSnapshot:""`, "FileInfo /d true", snap + "The path /d is neither snapshottable nor under a snapshot root!"},
	{"getSnapshotDiffReportListing", `snapshotRoot:"/d" fromSnapshot:"a" toSnapshot:""`, "FileInfo /d true", snap + "The path /d is neither snapshottable nor under a snapshot root!"},
	{"createEncryptionZone", `src:"/d"`, "", ioe + "Can't create an encryption zone for /d since no key provider is available."},
	{"reencryptEncryptionZone", ``, "", ioe + "No key provider configured, re-encryption operation is rejected"},
	{"getEZForPath", `src:"/d"`, "", ``},
	{"listEncryptionZones", `id:0`, "", `hasMore:false`},
	{"listReencryptionStatus", `id:0`, "", `hasMore:false`},
	{"getErasureCodingPolicy", `src:"/d"`, "FileInfo /d true", ``},
	{"getErasureCodingPolicy", `src:"/nix"`, "FileInfo /nix true", fnf + "Path not found: /nix"},
	{"getErasureCodingPolicies", ``, "", ``},
	{"getErasureCodingCodecs", ``, "", ``},
	{"setErasureCodingPolicy", `src:"/d" ecPolicyName:"replication"`, "FileInfo /d true;CheckAccess /d 2", ``},
	{"setErasureCodingPolicy", `src:"/f" ecPolicyName:"replication"`, "FileInfo /f true;CheckAccess /f 2", ioe + "Attempt to set an erasure coding policy for a file /f"},
	{"setErasureCodingPolicy", `src:"/d" ecPolicyName:"RS-6-3-1024k"`, "", illegl + "Policy 'RS-6-3-1024k' does not match any enabled erasure coding policies: []. An erasure coding policy can be enabled by enableErasureCodingPolicy API."},
	{"unsetErasureCodingPolicy", `src:"/d"`, "FileInfo /d true;CheckAccess /d 2", classNoECPolicySet + ": No erasure coding policy explicitly set on /d"},
	{"addErasureCodingPolicies", `ecPolicies:{id:0 name:"x"}`, "", `responses:{policy:{name:"x" id:0} succeed:false errorMsg:"Erasure coding is not supported"}`},
	{"removeErasureCodingPolicy", `src:"x"`, "", illegl + "The policy name x does not exist"},
	{"enableErasureCodingPolicy", `src:"x"`, "", illegl + "The policy name x does not exist"},
	{"disableErasureCodingPolicy", `src:"x"`, "", illegl + "The policy name x does not exist"},
	{"getECTopologyResultForPolicies", ``, "", `response:{resultMessage:"No erasure coding policy is given." isSupported:true}`},
	{"addCachePool", ``, "", uns + "centralized cache management is not supported"},
	{"modifyCachePool", ``, "", uns + "centralized cache management is not supported"},
	{"removeCachePool", `src:"p"`, "", classInvalidRequest + ": Cannot remove non-existent cache pool p"},
	{"listCachePools", `src:""`, "", `hasMore:false`},
	{"addCacheDirective", ``, "", uns + "centralized cache management is not supported"},
	{"modifyCacheDirective", ``, "", uns + "centralized cache management is not supported"},
	{"removeCacheDirective", `id:5`, "", classInvalidRequest + ": No directive with ID 5 found."},
	{"listCacheDirectives", ``, "", `hasMore:false`},
	{"satisfyStoragePolicy", `src:"/d"`, `SatisfyStoragePolicy /d`, ``},
	{"getEditsFromTxid", `id:1`, "", uns + "the event stream of the edit log is not supported"},
}

// normal formats a message's text in one way, whatever prototext does with spaces.
func normal(t *testing.T, m proto.Message, text string) string {
	t.Helper()
	m = m.ProtoReflect().New().Interface()
	require.NoError(t, prototext.UnmarshalOptions{AllowPartial: true}.Unmarshal([]byte(text), m), text)
	return prototext.MarshalOptions{AllowPartial: true}.Format(m)
}

// play makes a row's call and compares.
func play(t *testing.T, f *fake, c *hadooprpc.Conn, protocol string, r row, req, resp pb.Message) {
	t.Helper()
	name := r.method + "(" + r.req + ")"
	require.NoError(t, prototext.UnmarshalOptions{AllowPartial: true}.Unmarshal([]byte(r.req), req.(proto.Message)), name)
	f.take()
	err := c.Call(context.Background(), hadooprpc.Target{Protocol: protocol, Version: 1, Method: r.method}, req, resp)
	var calls []string
	for _, call := range f.take() {
		calls = append(calls, strings.TrimPrefix(call, "root "))
	}
	require.Equal(t, r.call, strings.Join(calls, ";"), name)
	if err != nil {
		var re *hadooprpc.RemoteError
		require.ErrorAs(t, err, &re, name)
		require.Equal(t, hadooprpc.ErrorApplication, re.Detail, name)
		require.Equal(t, r.want, re.Class+": "+re.Message, name)
		return
	}
	if r.want == "*" {
		return
	}
	got := prototext.MarshalOptions{}.Format(resp.(proto.Message))
	require.Equal(t, normal(t, resp.(proto.Message), r.want), got, name)
}

func TestClientProtocol(t *testing.T) {
	f := &fake{}
	c := dial(t, serve(t, f), "root")
	table := map[string]pb.Method{}
	for _, m := range pb.ClientMethods() {
		table[m.Name] = m
	}
	seen := map[string]bool{}
	rows := 0
	for _, part := range [][]row{readRows, writeRows, clusterRows, featureRows} {
		for _, r := range part {
			m, ok := table[r.method]
			require.True(t, ok, r.method)
			play(t, f, c, pb.ClientProtocol, r, m.Request(), m.Response())
			seen[r.method] = true
			rows++
		}
	}
	for name := range table {
		require.True(t, seen[name], "no row for %s", name)
	}
	require.Len(t, protocols()[pb.ClientProtocol], len(table), "methods that Hadoop does not have")
	t.Logf("%d rows over %d methods", rows, len(seen))
}

func TestSmallProtocols(t *testing.T) {
	f := &fake{}
	c := dial(t, serve(t, f), "root")
	const noHA = "org.apache.hadoop.ha.ServiceFailedException: HA for namenode is not enabled"
	for _, p := range []struct {
		protocol  string
		req, resp pb.Message
		row
	}{
		{pb.NamenodeProtocol, &pb.Empty{}, &pb.VersionResponse{}, row{"versionRequest", ``, "", `info:{buildVersion:"3.4.3-redoubt" unused:0 blockPoolID:"` + testPool +
			`" storageInfo:{layoutVersion:4294967229 namespceID:99 clusterID:"CID-1" cTime:0} softwareVersion:"3.4.3-redoubt" capabilities:1 state:ACTIVE}`}},
		{pb.NamenodeProtocol, &pb.Empty{}, &pb.Uint64Response{}, row{"getTransactionId", ``, "", `value:4711`}},
		{pb.NamenodeProtocol, &pb.Empty{}, &pb.BoolResponse{}, row{"isUpgradeFinalized", ``, "", `result:true`}},
		{pb.NamenodeProtocol, &pb.Empty{}, &pb.BoolResponse{}, row{"isRollingUpgrade", ``, "", `result:false`}},
		{pb.NamenodeProtocol, &pb.GetBlocksRequest{}, &pb.GetBlocksResponse{}, row{"getBlocks", `datanode:{datanodeUuid:"u" ipAddr:"" hostName:"" xferPort:1 infoPort:0 ipcPort:0} size:9 minBlockSize:5 storageType:SSD`,
			"HeldBlocks {Node:{UUID:u IP: Host: XferPort:1 InfoPort:0 SecurePort:0 IPCPort:0} Size:9 MinSize:5 Interval:0 Type:SSD}",
			`blocks:{blocks:{block:{blockId:1073741826 genStamp:1001 numBytes:7} datanodeUuids:"u" datanodeUuids:"v" storageUuids:"s" storageUuids:"t" storageTypes:SSD storageTypes:ARCHIVE}}`}},
		{pb.NamenodeProtocol, &pb.GetBlocksRequest{}, &pb.GetBlocksResponse{}, row{"getBlocks", `datanode:{datanodeUuid:"u" ipAddr:"" hostName:"" xferPort:1 infoPort:0 ipcPort:0} size:9`,
			"HeldBlocks {Node:{UUID:u IP: Host: XferPort:1 InfoPort:0 SecurePort:0 IPCPort:0} Size:9 MinSize:10485760 Interval:0 Type:}",
			`blocks:{blocks:{block:{blockId:1073741826 genStamp:1001 numBytes:7} datanodeUuids:"u" datanodeUuids:"v" storageUuids:"s" storageUuids:"t" storageTypes:SSD storageTypes:ARCHIVE}}`}},
		{pb.NamenodeProtocol, &pb.Empty{}, &pb.GetBlockKeysResponse{}, row{"getBlockKeys", ``, "",
			`keys:{isBlockTokenEnabled:false keyUpdateInterval:0 tokenLifeTime:0 currentKey:{keyId:0 expiryDate:0 keyBytes:""}}`}},
		{pb.HAServiceProtocol, &pb.Empty{}, &pb.GetServiceStatusResponse{}, row{"getServiceStatus", ``, "", `state:1 readyToBecomeActive:true`}},
		{pb.HAServiceProtocol, &pb.Empty{}, &pb.Empty{}, row{"monitorHealth", ``, "", ``}},
		{pb.HAServiceProtocol, &pb.Empty{}, &pb.Empty{}, row{"transitionToActive", ``, "", noHA}},
		{pb.HAServiceProtocol, &pb.Empty{}, &pb.Empty{}, row{"transitionToStandby", ``, "", noHA}},
		{pb.HAServiceProtocol, &pb.Empty{}, &pb.Empty{}, row{"transitionToObserver", ``, "", noHA}},
		{pb.GetUserMappingsProtocol, &pb.GetGroupsForUserRequest{}, &pb.GetGroupsForUserResponse{}, row{"getGroupsForUser", `user:"bob"`, "Groups bob", `groups:"staff" groups:"wheel"`}},
		{pb.GetUserMappingsProtocol, &pb.GetGroupsForUserRequest{}, &pb.GetGroupsForUserResponse{}, row{"getGroupsForUser", `user:"nobody"`, "Groups nobody", ``}},
		{pb.RefreshUserMappingsProtocol, &pb.Empty{}, &pb.Empty{}, row{"refreshUserToGroupsMappings", ``, "RefreshGroups", ``}},
		{pb.RefreshUserMappingsProtocol, &pb.Empty{}, &pb.Empty{}, row{"refreshSuperUserGroupsConfiguration", ``, "", ``}},
		{pb.RefreshAuthorizationPolicyProtocol, &pb.Empty{}, &pb.Empty{}, row{"refreshServiceAcl", ``, "", "org.apache.hadoop.security.authorize.AuthorizationException: Service Level Authorization not enabled!"}},
		{pb.RefreshCallQueueProtocol, &pb.Empty{}, &pb.Empty{}, row{"refreshCallQueue", ``, "", ``}},
		{pb.GenericRefreshProtocol, &pb.GenericRefreshRequest{}, &pb.GenericRefreshResponses{}, row{"refresh", `identifier:"x"`, "", "java.lang.IllegalArgumentException: Identifier 'x' does not exist in RefreshRegistry. Valid options are: "}},
		{pb.ReconfigurationProtocol, &pb.Empty{}, &pb.ListReconfigurablePropertiesResponse{}, row{"listReconfigurableProperties", ``, "", ``}},
		{pb.ReconfigurationProtocol, &pb.Empty{}, &pb.GetReconfigurationStatusResponse{}, row{"getReconfigurationStatus", ``, "", `startTime:0`}},
		{pb.ReconfigurationProtocol, &pb.Empty{}, &pb.Empty{}, row{"startReconfiguration", ``, "", uns + "no property can be changed while the name node runs"}},
	} {
		play(t, f, c, p.protocol, p.row, p.req, p.resp)
	}
}

// Every kind reaches the client as its class with the bare message, from calls answered
// on the reader and from those that are not, and comes back as the same kind.
func TestErrorsBothWays(t *testing.T) {
	f := &fake{}
	c := dial(t, serve(t, f), "root")
	path := &pb.PathRequest{Src: proto.String("/f")}
	rename := &pb.RenameRequest{Src: proto.String("/a"), Dst: proto.String("/b")}
	for k := range classes {
		kind := dfs.Kind(k)
		f.fail(&dfs.Error{Op: "op", Path: "/f", Kind: kind, Msg: "the message"})
		for method, req := range map[string]pb.Message{"getFileInfo": path, "getContentSummary": path, "rename": rename} {
			err := c.Call(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: method}, req, &pb.Empty{})
			var re *hadooprpc.RemoteError
			require.ErrorAs(t, err, &re)
			require.Equal(t, ClassOf(kind), re.Class)
			require.Equal(t, "the message", re.Message)
			back := FromRemote(re)
			require.Equal(t, ClassOf(kind), ClassOf(back.Kind))
			switch kind {
			case dfs.Corrupt, dfs.NotLink, dfs.Stale, dfs.Unavailable, dfs.Canceled, dfs.Fenced: // share a class
			default:
				require.Equal(t, kind, back.Kind)
			}
		}
	}
	f.fail(fmt.Errorf("disk: %w", context.DeadlineExceeded))
	class, msg := Exception(f.err)
	require.Equal(t, "java.io.IOException", class)
	require.Equal(t, "disk: context deadline exceeded", msg)
	require.Equal(t, "java.io.IOException", ClassOf(250))
	k, ok := KindOfClass("x.Unknown")
	require.False(t, ok)
	require.Equal(t, dfs.Other, k)
}

func TestBadRequests(t *testing.T) {
	f := &fake{}
	c := dial(t, serve(t, f), "root")
	for _, m := range pb.ClientMethods() {
		for _, body := range []string{"\xff", "\x0a\x7f", "\x08", "\x0b", "\x09\x01"} {
			_, err := c.CallBytes(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: m.Name}, []byte(body))
			var re *hadooprpc.RemoteError
			if err != nil {
				require.ErrorAs(t, err, &re, "%s must not lose the connection", m.Name)
			}
		}
	}
	_, err := c.CallBytes(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: "rename"}, nil)
	var re *hadooprpc.RemoteError
	require.ErrorAs(t, err, &re)
	require.Equal(t, classBadRequest, re.Class)
	require.Empty(t, f.take())
}

// Administrative answers that this package gives by itself are for superusers.
func TestSuperuserOnly(t *testing.T) {
	c := dial(t, serve(t, &fake{}), "bob")
	for _, r := range []struct {
		protocol, method string
		req              pb.Message
	}{
		{pb.ClientProtocol, "finalizeUpgrade", &pb.Empty{}},
		{pb.ClientProtocol, "metaSave", &pb.PathRequest{Src: proto.String("x")}},
		{pb.ClientProtocol, "restoreFailedStorage", &pb.PathRequest{Src: proto.String("check")}},
		{pb.ClientProtocol, "setBalancerBandwidth", &pb.SetBalancerBandwidthRequest{Bandwidth: proto.Int64(1)}},
		{pb.ClientProtocol, "getCurrentEditLogTxid", &pb.Empty{}},
		{pb.NamenodeProtocol, "versionRequest", &pb.Empty{}},
		{pb.ClientProtocol, "allowSnapshot", &pb.PathRequest{Src: proto.String("/")}},
		{pb.ClientProtocol, "rollingUpgrade", &pb.RollingUpgradeRequest{Action: proto.Uint32(1)}},
	} {
		err := c.Call(context.Background(), hadooprpc.Target{Protocol: r.protocol, Version: 1, Method: r.method}, r.req, &pb.Empty{})
		var re *hadooprpc.RemoteError
		require.ErrorAs(t, err, &re, r.method)
		require.Equal(t, ClassOf(dfs.Permission), re.Class)
	}
}

// A batched listing goes on where it stopped, and only for the same paths.
func TestBatchedListingPages(t *testing.T) {
	f := &fake{}
	c := dial(t, serve(t, f), "root")
	req := &pb.GetBatchedListingRequest{Paths: []string{"/x", "/more", "/y"}, StartAfter: []byte{}, NeedLocation: proto.Bool(false)}
	to := hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: "getBatchedListing"}
	var resp pb.GetBatchedListingResponse
	require.NoError(t, c.Call(context.Background(), to, req, &resp))
	require.True(t, resp.GetHasMore())
	require.Len(t, resp.Listings, 2)
	req.StartAfter = resp.StartAfter
	resp = pb.GetBatchedListingResponse{}
	require.NoError(t, c.Call(context.Background(), to, req, &resp))
	require.False(t, resp.GetHasMore())
	require.Equal(t, uint32(1), resp.Listings[0].GetParentIdx())
	require.Equal(t, []string{`root Listing /x "" false`, `root Listing /more "" false`, `root Listing /more "b" false`, `root Listing /y "" false`}, f.take())

	req.Paths = []string{"/other"}
	require.Error(t, c.Call(context.Background(), to, req, &resp))
	req.Paths = make([]string, maxBatchedPaths+1)
	require.Error(t, c.Call(context.Background(), to, req, &resp))
}

// A service that can't see to storage policies is as HDFS without its satisfier.
func TestSatisfyStoragePolicyIsOptional(t *testing.T) {
	f := &fake{}
	srv := &hadooprpc.Server{}
	require.NoError(t, Register(srv, Services{f, struct{ Writer }{f}, f, f, f, f}, Options{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	c := dial(t, l.Addr().String(), "root")
	err = c.Call(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: "satisfyStoragePolicy"}, &pb.PathRequest{Src: proto.String("/d")}, &pb.Empty{})
	var re *hadooprpc.RemoteError
	require.ErrorAs(t, err, &re)
	require.Equal(t, classUnsupportedAction, re.Class)
}

// typeQuotasPB is the answer about quotas by storage type: 7 on DISK.
func typeQuotasPB(ssd, disk int) string {
	list := ""
	for _, q := range []string{fmt.Sprint("SSD quota:18446744073709551615 consumed:", ssd), fmt.Sprint("DISK quota:7 consumed:", disk),
		"ARCHIVE quota:18446744073709551615 consumed:0", "PROVIDED quota:18446744073709551615 consumed:0", "NVDIMM quota:18446744073709551615 consumed:0"} {
		list += " typeQuotaInfo:{type:" + q + "}"
	}
	return "typeQuotaInfos:{" + list[1:] + "}"
}
