package client

import (
	"context"
	"math"
	"slices"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// Stat describes a path; dfs.NotFound if nothing is there.
func (c *Client) Stat(ctx context.Context, path string) (*dfs.FileStatus, error) {
	return c.stat(ctx, "getFileInfo", path)
}

// Lstat is Stat that does not follow a symbolic link in the last component.
func (c *Client) Lstat(ctx context.Context, path string) (*dfs.FileStatus, error) {
	return c.stat(ctx, "getFileLinkInfo", path)
}

func (c *Client) stat(ctx context.Context, method, path string) (*dfs.FileStatus, error) {
	var resp hdfspb.FileStatusResponse
	if err := c.names.call(ctx, method, &hdfspb.PathRequest{Src: &path}, &resp); err != nil {
		return nil, err
	}
	if resp.Fs == nil {
		return nil, notFound(method, path)
	}
	return statusOf(resp.Fs), nil
}

// ListPage gives one page of a directory's entries, those behind the name after; located
// asks for the blocks of files too. A file lists as one entry without name.
func (c *Client) ListPage(ctx context.Context, path, after string, located bool) (*dfs.Listing, error) {
	var resp hdfspb.GetListingResponse
	req := &hdfspb.GetListingRequest{Src: &path, StartAfter: []byte(after), NeedLocation: &located}
	if err := c.names.call(ctx, "getListing", req, &resp); err != nil {
		return nil, err
	}
	if resp.DirList == nil {
		return nil, notFound("getListing", path)
	}
	out := &dfs.Listing{Remaining: int(resp.DirList.GetRemainingEntries()), Entries: make([]dfs.ListEntry, len(resp.DirList.PartialListing))}
	for i, p := range resp.DirList.PartialListing {
		out.Entries[i].FileStatus = *statusOf(p)
		if p.Locations != nil {
			out.Entries[i].Blocks = locatedBlocksOf(p.Locations)
		}
	}
	return out, nil
}

// List gives all entries of a directory, in the order of their names' bytes.
func (c *Client) List(ctx context.Context, path string) ([]dfs.FileStatus, error) {
	var out []dfs.FileStatus
	for after := ""; ; {
		page, err := c.ListPage(ctx, path, after, false)
		if err != nil {
			return nil, err
		}
		for i := range page.Entries {
			out = append(out, page.Entries[i].FileStatus)
		}
		if page.Remaining == 0 || len(page.Entries) == 0 {
			return out, nil
		}
		after = page.Entries[len(page.Entries)-1].Name
	}
}

// BlockLocations tells where the blocks are that hold length bytes from offset on.
func (c *Client) BlockLocations(ctx context.Context, path string, offset, length int64) (*dfs.LocatedBlocks, error) {
	var resp hdfspb.GetBlockLocationsResponse
	req := &hdfspb.GetBlockLocationsRequest{Src: &path, Offset: new(uint64(offset)), Length: new(uint64(length))}
	if err := c.names.call(ctx, "getBlockLocations", req, &resp); err != nil {
		return nil, err
	}
	if resp.Locations == nil {
		return nil, notFound("getBlockLocations", path)
	}
	return locatedBlocksOf(resp.Locations), nil
}

// ContentSummary adds up a subtree.
func (c *Client) ContentSummary(ctx context.Context, path string) (*dfs.ContentSummary, error) {
	var resp hdfspb.GetContentSummaryResponse
	if err := c.names.call(ctx, "getContentSummary", &hdfspb.PathRequest{Src: &path}, &resp); err != nil {
		return nil, err
	}
	s := resp.Summary
	sum := &dfs.ContentSummary{
		Length: int64(s.GetLength()), Files: int64(s.GetFileCount()), Directories: int64(s.GetDirectoryCount()),
		Space: int64(s.GetSpaceConsumed()), NSQuota: int64(s.GetQuota()), DSQuota: int64(s.GetSpaceQuota()),
		TypeQuota: dfs.TypeSpace{-1, -1, -1, -1, -1},
	}
	for _, q := range s.GetTypeQuotaInfos().GetTypeQuotaInfo() {
		if k := slices.Index(dfs.QuotaTypes[:], dfs.StorageType(q.GetType())); k >= 0 {
			sum.TypeQuota[k], sum.TypeSpace[k] = int64(q.GetQuota()), int64(q.GetConsumed())
		}
	}
	return sum, nil
}

// CheckAccess gives a dfs.Permission error when the user may not do what is wanted.
func (c *Client) CheckAccess(ctx context.Context, path string, want dfs.Access) error {
	return c.names.call(ctx, "checkAccess", &hdfspb.CheckAccessRequest{Path: &path, Mode: new(uint32(want))}, nil)
}

// IsFileClosed reports whether nobody has the file open for writing.
func (c *Client) IsFileClosed(ctx context.Context, path string) (bool, error) {
	return c.boolean(ctx, "isFileClosed", &hdfspb.PathRequest{Src: &path})
}

// request is what all of hdfspb's messages can do.
type request interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
}

func (c *Client) boolean(ctx context.Context, method string, req request) (bool, error) {
	var resp hdfspb.BoolResponse
	err := c.names.call(ctx, method, req, &resp)
	return resp.GetResult(), err
}

func perm(m dfs.Mode) *hdfspb.FsPermission {
	return &hdfspb.FsPermission{Perm: new(uint32(m & dfs.ModeMask))}
}

// Mkdirs makes a directory, with its missing parents if so wanted. The mode is taken as
// it is, without a umask.
func (c *Client) Mkdirs(ctx context.Context, path string, mode dfs.Mode, parents bool) (bool, error) {
	return c.MkdirsUnmasked(ctx, path, mode, mode, parents)
}

// Delete removes a file or directory; false if nothing was there.
func (c *Client) Delete(ctx context.Context, path string, recursive bool) (bool, error) {
	return c.boolean(ctx, "delete", &hdfspb.DeleteRequest{Src: &path, Recursive: &recursive})
}

// Rename moves src to dst, into it when it is a directory; false if nothing was moved.
func (c *Client) Rename(ctx context.Context, src, dst string) (bool, error) {
	return c.boolean(ctx, "rename", &hdfspb.RenameRequest{Src: &src, Dst: &dst})
}

// Rename2 moves src to exactly dst and says in its error why it could not.
func (c *Client) Rename2(ctx context.Context, src, dst string, opt dfs.RenameOptions) error {
	return c.names.call(ctx, "rename2", &hdfspb.Rename2Request{Src: &src, Dst: &dst, OverwriteDest: &opt.Overwrite, MoveToTrash: &opt.ToTrash}, nil)
}

// SetPermission sets the mode.
func (c *Client) SetPermission(ctx context.Context, path string, mode dfs.Mode) error {
	return c.names.call(ctx, "setPermission", &hdfspb.SetPermissionRequest{Src: &path, Permission: perm(mode)}, nil)
}

// SetOwner sets owner and group; "" keeps one.
func (c *Client) SetOwner(ctx context.Context, path, owner, group string) error {
	req := &hdfspb.SetOwnerRequest{Src: &path}
	if owner != "" {
		req.Username = &owner
	}
	if group != "" {
		req.Groupname = &group
	}
	return c.names.call(ctx, "setOwner", req, nil)
}

// SetTimes sets modification and access time in ms; -1 keeps one.
func (c *Client) SetTimes(ctx context.Context, path string, mtime, atime int64) error {
	return c.names.call(ctx, "setTimes", &hdfspb.SetTimesRequest{Src: &path, Mtime: new(uint64(mtime)), Atime: new(uint64(atime))}, nil)
}

// SetReplication sets how many replicas a file should have; false for a directory.
func (c *Client) SetReplication(ctx context.Context, path string, n uint16) (bool, error) {
	return c.boolean(ctx, "setReplication", &hdfspb.SetReplicationRequest{Src: &path, Replication: new(uint32(n))})
}

// SetStoragePolicy names the storage policy of a file or directory.
func (c *Client) SetStoragePolicy(ctx context.Context, path, policy string) error {
	return c.names.call(ctx, "setStoragePolicy", &hdfspb.SetStoragePolicyRequest{Src: &path, PolicyName: &policy}, nil)
}

// Concat moves the blocks of sources to the end of target; the sources are gone then.
func (c *Client) Concat(ctx context.Context, target string, sources []string) error {
	return c.names.call(ctx, "concat", &hdfspb.ConcatRequest{Trg: &target, Srcs: sources}, nil)
}

// Truncate cuts a file; false when a block recovery has to end it (see IsFileClosed).
func (c *Client) Truncate(ctx context.Context, path string, length int64) (bool, error) {
	return c.boolean(ctx, "truncate", &hdfspb.TruncateRequest{Src: &path, NewLength: new(uint64(length)), ClientName: &c.holder})
}

// RecoverLease asks that a file which a lost writer left open be closed; true when it is.
func (c *Client) RecoverLease(ctx context.Context, path string) (bool, error) {
	return c.boolean(ctx, "recoverLease", &hdfspb.RecoverLeaseRequest{Src: &path, ClientName: &c.holder})
}

// KeepQuota and ClearQuota stand for a quota that is not changed or taken away.
const (
	KeepQuota  = math.MaxInt64
	ClearQuota = -1
)

// SetQuota limits names and bytes below a directory.
func (c *Client) SetQuota(ctx context.Context, path string, names, bytes int64) error {
	return c.names.call(ctx, "setQuota", &hdfspb.SetQuotaRequest{Path: &path, NamespaceQuota: new(uint64(names)), StoragespaceQuota: new(uint64(bytes))}, nil)
}
