// Package clientrpc speaks the name node's side of HDFS's ClientProtocol and its
// smaller companions. It turns protobuf messages into calls of the interfaces below and
// error kinds into Java exceptions; it knows no namespace and no disk. The interfaces
// are declared here because this package is their user; package namenode fulfils them.
//
// All methods may be called at the same time. Results are the caller's. Errors are
// *dfs.Error wherever a client can tell them apart. A *dfs.Caller is the service's until
// the method returns; its strings may be kept, the pointer may not.
package clientrpc

import (
	"context"

	"redoubt/dfs"
)

// Reader answers questions about the namespace without waiting on a disk, so that a
// connection's reader may call it inline. Reads of paths that are not there give a nil
// result where HDFS answers "none" and dfs.NotFound elsewhere.
type Reader interface {
	FileInfo(c *dfs.Caller, path string, followLink bool) (*dfs.FileStatus, error)
	LocatedFileInfo(c *dfs.Caller, path string) (*dfs.ListEntry, error)
	Listing(c *dfs.Caller, path, startAfter string, located bool) (*dfs.Listing, error)
	BlockLocations(c *dfs.Caller, path string, offset, length int64) (*dfs.LocatedBlocks, error)
	ContentSummary(c *dfs.Caller, path string) (*dfs.ContentSummary, error)
	IsFileClosed(c *dfs.Caller, path string) (bool, error)
	CheckAccess(c *dfs.Caller, path string, want dfs.Access) error
	LinkTarget(c *dfs.Caller, path string) (string, error)
	PreferredBlockSize(c *dfs.Caller, path string) (int64, error)
	StoragePolicy(c *dfs.Caller, path string) (dfs.Policy, error)
}

// Writer changes the namespace. A method returns when its change is durable.
type Writer interface {
	Mkdirs(ctx context.Context, c *dfs.Caller, req *dfs.MkdirsRequest) (bool, error)
	Delete(ctx context.Context, c *dfs.Caller, path string, recursive bool) (bool, error)
	Rename(ctx context.Context, c *dfs.Caller, src, dst string) (bool, error)
	Rename2(ctx context.Context, c *dfs.Caller, src, dst string, opt dfs.RenameOptions) error
	SetPermission(ctx context.Context, c *dfs.Caller, path string, mode dfs.Mode) error
	// SetOwner keeps owner or group where it is "".
	SetOwner(ctx context.Context, c *dfs.Caller, path, owner, group string) error
	// SetTimes keeps a time that is -1.
	SetTimes(ctx context.Context, c *dfs.Caller, path string, mtime, atime int64) error
	SetReplication(ctx context.Context, c *dfs.Caller, path string, replication uint16) (bool, error)
	// SetStoragePolicy with "" unsets it.
	SetStoragePolicy(ctx context.Context, c *dfs.Caller, path, policy string) error
	Concat(ctx context.Context, c *dfs.Caller, target string, sources []string) error
	// Truncate answers false when a block recovery has to end it.
	Truncate(ctx context.Context, c *dfs.Caller, path string, length int64, holder string) (bool, error)
	SetQuota(ctx context.Context, c *dfs.Caller, path string, nsQuota, dsQuota int64, typ dfs.StorageType) error
}

// FileWriter is the life of a file that is open for writing.
type FileWriter interface {
	Create(ctx context.Context, c *dfs.Caller, req *dfs.CreateRequest) (*dfs.FileStatus, error)
	// Append reopens a file. The block is nil when the last one is full or there is none;
	// for a new block it is the last one, without datanodes.
	Append(ctx context.Context, c *dfs.Caller, path, holder string, flags uint32) (*dfs.LocatedBlock, *dfs.FileStatus, error)
	AddBlock(ctx context.Context, c *dfs.Caller, req *dfs.AddBlockRequest) (*dfs.LocatedBlock, error)
	AbandonBlock(ctx context.Context, c *dfs.Caller, b dfs.Block, path, holder string, file dfs.InodeID) error
	AdditionalDatanode(ctx context.Context, c *dfs.Caller, req *dfs.AdditionalDatanodeRequest) (*dfs.LocatedBlock, error)
	UpdateBlockForPipeline(ctx context.Context, c *dfs.Caller, b dfs.Block, holder string) (*dfs.LocatedBlock, error)
	UpdatePipeline(ctx context.Context, c *dfs.Caller, req *dfs.UpdatePipelineRequest) error
	Complete(ctx context.Context, c *dfs.Caller, path, holder string, last *dfs.Block, file dfs.InodeID) (bool, error)
	// Fsync records the last block's length unless it is -1.
	Fsync(ctx context.Context, c *dfs.Caller, path, holder string, length int64, file dfs.InodeID) error
	RenewLease(c *dfs.Caller, holder string) error
	RecoverLease(ctx context.Context, c *dfs.Caller, path, holder string) (bool, error)
	ReportBadBlocks(ctx context.Context, c *dfs.Caller, blocks []dfs.BadBlock) error
}

// Attributes keeps access control lists and extended attributes.
type Attributes interface {
	ACLStatus(c *dfs.Caller, path string) (*dfs.ACLStatus, error)
	ModifyACL(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error
	// RemoveACLEntries does not look at the permissions of the entries.
	RemoveACLEntries(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error
	RemoveDefaultACL(ctx context.Context, c *dfs.Caller, path string) error
	RemoveACL(ctx context.Context, c *dfs.Caller, path string) error
	SetACL(ctx context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error

	// XAttrs gives all that the caller may see when no names are given.
	XAttrs(c *dfs.Caller, path string, names []dfs.XAttr) ([]dfs.XAttr, error)
	ListXAttrs(c *dfs.Caller, path string) ([]dfs.XAttr, error)
	SetXAttr(ctx context.Context, c *dfs.Caller, path string, x dfs.XAttr, flags uint8) error
	RemoveXAttr(ctx context.Context, c *dfs.Caller, path string, x dfs.XAttr) error
}

// Cluster answers for the cluster as a whole and takes its administration.
type Cluster interface {
	Info() dfs.ClusterInfo
	ServerDefaults() dfs.ServerDefaults
	FsStats() dfs.FsStats
	DatanodeReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeInfo, error)
	DatanodeStorageReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeStorageReport, error)
	SetSafeMode(ctx context.Context, c *dfs.Caller, action dfs.SafeModeAction) (bool, error)
	SaveNamespace(ctx context.Context, c *dfs.Caller, timeWindow, txGap int64) (bool, error)
	RollEdits(ctx context.Context, c *dfs.Caller) (dfs.TxID, error)
	RefreshNodes(ctx context.Context, c *dfs.Caller) error
	// OpenFiles with blocking lists only what keeps datanodes from leaving service.
	OpenFiles(c *dfs.Caller, after dfs.InodeID, path string, blocking bool) (files []dfs.OpenFile, more bool, err error)
	CorruptFiles(c *dfs.Caller, path, cookie string) (paths []string, next string, err error)
	Groups(user string) ([]string, error)
}
