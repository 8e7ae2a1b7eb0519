package clientrpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPool = "BP-1-127.0.0.1-1"

// fake is all six services. It notes each call as text and answers with fixed values;
// err, if set, is what the next calls fail with. Paths below /nix are not there.
type fake struct {
	mu    sync.Mutex
	calls []string
	err   error
}

func (f *fake) note(c *dfs.Caller, format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	who := ""
	if c != nil {
		who = c.User + " "
	}
	f.calls = append(f.calls, who+fmt.Sprintf(format, args...))
	return f.err
}

// take gives the calls since the last take.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
}

var testNode = &dfs.DatanodeInfo{
	DatanodeID: dfs.DatanodeID{UUID: "uuid-1", IP: "127.0.0.1", Host: "localhost", XferPort: 9866, InfoPort: 9864, IPCPort: 9867},
	Capacity:   1 << 40, Used: 1 << 20, NonDFSUsed: 7, Remaining: 1 << 39, PoolUsed: 1 << 19,
	LastUpdate: 1795378259392, LastUpdateMono: 5, LastReport: 1795378259000, LastReportMono: 6,
	Xceivers: 3, Location: "/rack-1", Admin: dfs.AdminDecommissioning, Blocks: 42,
}

func testLocated() *dfs.LocatedBlock {
	return &dfs.LocatedBlock{
		Block: dfs.Block{ID: 1073741825, GenStamp: 1001, Length: 77}, PoolID: testPool, Offset: 1 << 27,
		Locs: []dfs.ReplicaLoc{{Node: testNode, Storage: "DS-1", Type: dfs.StorageDisk}, {Node: testNode, Storage: "DS-2", Type: dfs.StorageSSD}},
	}
}

func testBlocks() *dfs.LocatedBlocks {
	last := testLocated()
	last.Locs = nil
	return &dfs.LocatedBlocks{FileLength: 1 << 30, Blocks: []dfs.LocatedBlock{*testLocated(), *last}, UnderConstruction: true, Last: last}
}

func testStatus(path string) *dfs.FileStatus {
	switch path {
	case "/nix":
		return nil
	case "/d":
		return &dfs.FileStatus{Type: dfs.TypeDirectory, ID: 16386, Mode: 0o1755, Owner: "alice", Group: "staff", ModTime: 1795378260071, Children: 3, StoragePolicy: 7}
	case "/l":
		return &dfs.FileStatus{Type: dfs.TypeSymlink, ID: 16388, Mode: 0o777, Owner: "alice", Group: "staff", ModTime: 1, AccessTime: 2, Symlink: "/d/f"}
	}
	return &dfs.FileStatus{Type: dfs.TypeFile, ID: 16387, Length: 1 << 30, Mode: 0o644, Owner: "alice", Group: "staff",
		ModTime: 1795378260081, AccessTime: 1795378260071, Replication: 3, BlockSize: 1 << 27, Flags: dfs.FlagErasureCoded}
}

func (f *fake) FileInfo(c *dfs.Caller, path string, follow bool) (*dfs.FileStatus, error) {
	return testStatus(path), f.note(c, "FileInfo %s %v", path, follow)
}

func (f *fake) LocatedFileInfo(c *dfs.Caller, path string) (*dfs.ListEntry, error) {
	err := f.note(c, "LocatedFileInfo %s", path)
	if st := testStatus(path); st != nil {
		return &dfs.ListEntry{FileStatus: *st, Blocks: testBlocks()}, err
	}
	return nil, err
}

func (f *fake) Listing(c *dfs.Caller, path, after string, located bool) (*dfs.Listing, error) {
	err := f.note(c, "Listing %s %q %v", path, after, located)
	if path == "/nix" {
		return nil, err
	}
	one, two := testStatus("/f"), testStatus("/d")
	one.Name, two.Name = "a", "b"
	l := &dfs.Listing{Entries: []dfs.ListEntry{{FileStatus: *one}, {FileStatus: *two}}}
	if path == "/more" && after == "" {
		l.Remaining = 4
	}
	return l, err
}

func (f *fake) BlockLocations(c *dfs.Caller, path string, offset, length int64) (*dfs.LocatedBlocks, error) {
	return testBlocks(), f.note(c, "BlockLocations %s %d %d", path, offset, length)
}

func (f *fake) ContentSummary(c *dfs.Caller, path string) (*dfs.ContentSummary, error) {
	return &dfs.ContentSummary{Length: 1, Files: 2, Directories: 3, Space: 4, NSQuota: -1, DSQuota: 5,
		TypeQuota: dfs.TypeSpace{-1, 7, -1, -1, -1}, TypeUsed: dfs.TypeSpace{0, 6}, TypeSpace: dfs.TypeSpace{1, 2}}, f.note(c, "ContentSummary %s", path)
}

func (f *fake) IsFileClosed(c *dfs.Caller, path string) (bool, error) {
	return true, f.note(c, "IsFileClosed %s", path)
}

func (f *fake) CheckAccess(c *dfs.Caller, path string, want dfs.Access) error {
	return f.note(c, "CheckAccess %s %d", path, want)
}

func (f *fake) LinkTarget(c *dfs.Caller, path string) (string, error) {
	return "/target", f.note(c, "LinkTarget %s", path)
}

func (f *fake) PreferredBlockSize(c *dfs.Caller, path string) (int64, error) {
	return 1 << 27, f.note(c, "PreferredBlockSize %s", path)
}

func (f *fake) StoragePolicy(c *dfs.Caller, path string) (dfs.Policy, error) {
	p, _ := dfs.PolicyByName("HOT")
	return p, f.note(c, "StoragePolicy %s", path)
}

func (f *fake) Mkdirs(_ context.Context, c *dfs.Caller, r *dfs.MkdirsRequest) (bool, error) {
	return true, f.note(c, "Mkdirs %s %o %o %v %v", r.Path, r.Mode, r.Unmasked, r.HasUnmasked, r.CreateParent)
}

func (f *fake) Delete(_ context.Context, c *dfs.Caller, path string, recursive bool) (bool, error) {
	return path != "/nix", f.note(c, "Delete %s %v", path, recursive)
}

func (f *fake) Rename(_ context.Context, c *dfs.Caller, src, dst string) (bool, error) {
	return true, f.note(c, "Rename %s %s", src, dst)
}

func (f *fake) Rename2(_ context.Context, c *dfs.Caller, src, dst string, opt dfs.RenameOptions) error {
	return f.note(c, "Rename2 %s %s %+v", src, dst, opt)
}

func (f *fake) SetPermission(_ context.Context, c *dfs.Caller, path string, mode dfs.Mode) error {
	return f.note(c, "SetPermission %s %o", path, mode)
}

func (f *fake) SetOwner(_ context.Context, c *dfs.Caller, path, owner, group string) error {
	return f.note(c, "SetOwner %s %q %q", path, owner, group)
}

func (f *fake) SetTimes(_ context.Context, c *dfs.Caller, path string, mtime, atime int64) error {
	return f.note(c, "SetTimes %s %d %d", path, mtime, atime)
}

func (f *fake) SetReplication(_ context.Context, c *dfs.Caller, path string, r uint16) (bool, error) {
	return true, f.note(c, "SetReplication %s %d", path, r)
}

func (f *fake) HeldBlocks(_ context.Context, c *dfs.Caller, r *dfs.HeldRequest) ([]dfs.HeldBlock, error) {
	return []dfs.HeldBlock{{Block: dfs.Block{ID: dfs.FirstBlockID + 1, GenStamp: 1001, Length: 7}, Nodes: []string{"u", "v"},
		Storages: []string{"s", "t"}, Types: []dfs.StorageType{dfs.StorageSSD, dfs.StorageArchive}}}, f.note(c, "HeldBlocks %+v", *r)
}

func (f *fake) SatisfyStoragePolicy(_ context.Context, c *dfs.Caller, path string) error {
	return f.note(c, "SatisfyStoragePolicy %s", path)
}

func (f *fake) SetStoragePolicy(_ context.Context, c *dfs.Caller, path, policy string) error {
	return f.note(c, "SetStoragePolicy %s %q", path, policy)
}

func (f *fake) Concat(_ context.Context, c *dfs.Caller, target string, sources []string) error {
	return f.note(c, "Concat %s %v", target, sources)
}

func (f *fake) Truncate(_ context.Context, c *dfs.Caller, path string, length int64, holder string) (bool, error) {
	return false, f.note(c, "Truncate %s %d %s", path, length, holder)
}

func (f *fake) SetQuota(_ context.Context, c *dfs.Caller, path string, ns, ds int64, typ dfs.StorageType) error {
	return f.note(c, "SetQuota %s %d %d %d", path, ns, ds, typ)
}

func (f *fake) Create(_ context.Context, c *dfs.Caller, r *dfs.CreateRequest) (*dfs.FileStatus, error) {
	return testStatus(r.Path), f.note(c, "Create %+v", *r)
}

func (f *fake) Append(_ context.Context, c *dfs.Caller, path, holder string, flags uint32) (*dfs.LocatedBlock, *dfs.FileStatus, error) {
	err := f.note(c, "Append %s %s %d", path, holder, flags)
	if path == "/full" {
		return nil, testStatus(path), err
	}
	return testLocated(), testStatus(path), err
}

func (f *fake) AddBlock(_ context.Context, c *dfs.Caller, r *dfs.AddBlockRequest) (*dfs.LocatedBlock, error) {
	prev := "none"
	if r.Previous != nil {
		prev = fmt.Sprint(*r.Previous)
	}
	return testLocated(), f.note(c, "AddBlock %s %d %s %s %v %v %d", r.Path, r.File, r.Holder, prev, r.Exclude, r.Favored, r.Flags)
}

func (f *fake) AbandonBlock(_ context.Context, c *dfs.Caller, b dfs.Block, path, holder string, file dfs.InodeID) error {
	return f.note(c, "AbandonBlock %v %s %s %d", b, path, holder, file)
}

func (f *fake) AdditionalDatanode(_ context.Context, c *dfs.Caller, r *dfs.AdditionalDatanodeRequest) (*dfs.LocatedBlock, error) {
	return testLocated(), f.note(c, "AdditionalDatanode %+v", *r)
}

func (f *fake) UpdateBlockForPipeline(_ context.Context, c *dfs.Caller, b dfs.Block, holder string) (*dfs.LocatedBlock, error) {
	return testLocated(), f.note(c, "UpdateBlockForPipeline %v %s", b, holder)
}

func (f *fake) UpdatePipeline(_ context.Context, c *dfs.Caller, r *dfs.UpdatePipelineRequest) error {
	return f.note(c, "UpdatePipeline %+v", *r)
}

func (f *fake) Complete(_ context.Context, c *dfs.Caller, path, holder string, last *dfs.Block, file dfs.InodeID) (bool, error) {
	return true, f.note(c, "Complete %s %s %v %d", path, holder, last, file)
}

func (f *fake) Fsync(_ context.Context, c *dfs.Caller, path, holder string, length int64, file dfs.InodeID) error {
	return f.note(c, "Fsync %s %s %d %d", path, holder, length, file)
}

func (f *fake) RenewLease(c *dfs.Caller, holder string) error {
	return f.note(c, "RenewLease %s", holder)
}

func (f *fake) RecoverLease(_ context.Context, c *dfs.Caller, path, holder string) (bool, error) {
	return true, f.note(c, "RecoverLease %s %s", path, holder)
}

func (f *fake) ReportBadBlocks(_ context.Context, c *dfs.Caller, blocks []dfs.BadBlock) error {
	text := ""
	for _, b := range blocks {
		text += fmt.Sprintf(" %v %v %v", b.Block, b.Nodes, b.Storages)
	}
	return f.note(c, "ReportBadBlocks%s", text)
}

func (f *fake) Info() dfs.ClusterInfo {
	return dfs.ClusterInfo{ClusterID: "CID-1", PoolID: testPool, NamespaceID: 99}
}

func (f *fake) ServerDefaults() dfs.ServerDefaults {
	return dfs.ServerDefaults{BlockSize: 1 << 27, BytesPerChecksum: 512, WritePacketSize: 65536, Replication: 3,
		FileBufferSize: 4096, TrashInterval: 60, ChecksumType: dfs.ChecksumCRC32C}
}

func (f *fake) FsStats() dfs.FsStats {
	return dfs.FsStats{Capacity: 1, Used: 2, Remaining: 3, UnderReplicated: 4, Corrupt: 5, Missing: 6, MissingReplOne: 7, BlocksInFuture: 8, PendingDeletion: 9}
}

func (f *fake) DatanodeReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeInfo, error) {
	return []dfs.DatanodeInfo{*testNode, *testNode}, f.note(c, "DatanodeReport %d", typ)
}

func (f *fake) DatanodeStorageReport(c *dfs.Caller, typ dfs.DatanodeReportType) ([]dfs.DatanodeStorageReport, error) {
	return []dfs.DatanodeStorageReport{{Node: *testNode, Storages: []dfs.StorageReport{
		{UUID: "DS-1", Type: dfs.StorageSSD, Failed: true, Capacity: 1, Used: 2, Remaining: 3, PoolUsed: 4, NonDFS: 5}}}}, f.note(c, "DatanodeStorageReport %d", typ)
}

func (f *fake) SetSafeMode(_ context.Context, c *dfs.Caller, a dfs.SafeModeAction) (bool, error) {
	return false, f.note(c, "SetSafeMode %d", a)
}

func (f *fake) SaveNamespace(_ context.Context, c *dfs.Caller, w, g int64) (bool, error) {
	return true, f.note(c, "SaveNamespace %d %d", w, g)
}

func (f *fake) RollEdits(_ context.Context, c *dfs.Caller) (dfs.TxID, error) {
	return 12, f.note(c, "RollEdits")
}

func (f *fake) RefreshNodes(_ context.Context, c *dfs.Caller) error { return f.note(c, "RefreshNodes") }

func (f *fake) OpenFiles(c *dfs.Caller, after dfs.InodeID, path string, blocking bool) ([]dfs.OpenFile, bool, error) {
	return []dfs.OpenFile{{ID: 16390, Path: "/o", Holder: "h", Machine: "m"}}, true, f.note(c, "OpenFiles %d %s %v", after, path, blocking)
}

func (f *fake) CorruptFiles(c *dfs.Caller, path, cookie string) ([]string, string, error) {
	return []string{"/c"}, "7", f.note(c, "CorruptFiles %s %q", path, cookie)
}

func (f *fake) Groups(user string) ([]string, error) {
	err := f.note(nil, "Groups %s", user)
	if user == "nobody" {
		return nil, dfs.Errorf(dfs.NotFound, "no such user")
	}
	return []string{"staff", "wheel"}, err
}

func (f *fake) CheckSuperuser(c *dfs.Caller, op string) error {
	if c.User != "root" {
		return dfs.Errorf(dfs.Permission, "Access denied for user %s. Superuser privilege is required for operation %s", c.User, op)
	}
	return nil
}

func (f *fake) LastTxID() dfs.TxID { return 4711 }

func (f *fake) RefreshGroups(c *dfs.Caller) error { return f.note(c, "RefreshGroups") }

func (f *fake) MetaSave(c *dfs.Caller, name string) error { return f.note(c, "MetaSave %s", name) }

func (f *fake) SetBalancerBandwidth(c *dfs.Caller, n int64) error {
	return f.note(c, "SetBalancerBandwidth %d", n)
}

// TestNoServiceIsOptional: without somebody to ask who is a superuser, everybody once was one.
func TestNoServiceIsOptional(t *testing.T) {
	f := &fake{}
	require.NoError(t, Register(&hadooprpc.Server{}, Services{f, f, f, f, f, f}, Options{}))
	for _, svc := range []Services{{nil, f, f, f, f, f}, {f, nil, f, f, f, f}, {f, f, nil, f, f, f}, {f, f, f, nil, f, f}, {f, f, f, f, nil, f}, {f, f, f, f, f, nil}} {
		require.ErrorContains(t, Register(&hadooprpc.Server{}, svc, Options{}), "a service is missing")
	}
}

// serve runs a server of a fake and gives its address.
func serve(t testing.TB, f *fake) string {
	t.Helper()
	srv := &hadooprpc.Server{}
	require.NoError(t, Register(srv, Services{f, f, f, f, f, f}, Options{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, hadooprpc.ErrClosed)
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr, user string) *hadooprpc.Conn {
	t.Helper()
	c, err := hadooprpc.Dial(context.Background(), addr, hadooprpc.Options{User: user})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func (f *fake) ACLStatus(c *dfs.Caller, path string) (*dfs.ACLStatus, error) {
	return &dfs.ACLStatus{Owner: "alice", Group: "staff", Mode: 0o1755, Entries: []dfs.ACLEntry{
		{Type: dfs.ACLUser, Perm: 6, Name: "bob"}, {Type: dfs.ACLGroup, Scope: dfs.ACLDefault},
	}}, f.note(c, "ACLStatus %s", path)
}

func (f *fake) ModifyACL(_ context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return f.note(c, "ModifyACL %s %v", path, spec)
}

func (f *fake) RemoveACLEntries(_ context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return f.note(c, "RemoveACLEntries %s %v", path, spec)
}

func (f *fake) RemoveDefaultACL(_ context.Context, c *dfs.Caller, path string) error {
	return f.note(c, "RemoveDefaultACL %s", path)
}

func (f *fake) RemoveACL(_ context.Context, c *dfs.Caller, path string) error {
	return f.note(c, "RemoveACL %s", path)
}

func (f *fake) SetACL(_ context.Context, c *dfs.Caller, path string, spec []dfs.ACLEntry) error {
	return f.note(c, "SetACL %s %v", path, spec)
}

func (f *fake) XAttrs(c *dfs.Caller, path string, names []dfs.XAttr) ([]dfs.XAttr, error) {
	full := []string{}
	for _, x := range names {
		full = append(full, x.FullName())
	}
	return []dfs.XAttr{{Name: "a", Value: []byte("1")}, {Space: dfs.XAttrTrusted, Name: "b"}}, f.note(c, "XAttrs %s %v", path, full)
}

func (f *fake) ListXAttrs(c *dfs.Caller, path string) ([]dfs.XAttr, error) {
	return []dfs.XAttr{{Name: "a", Value: []byte("1")}}, f.note(c, "ListXAttrs %s", path)
}

func (f *fake) SetXAttr(_ context.Context, c *dfs.Caller, path string, x dfs.XAttr, flags uint8) error {
	return f.note(c, "SetXAttr %s %s=%q %d", path, x.FullName(), x.Value, flags)
}

func (f *fake) RemoveXAttr(_ context.Context, c *dfs.Caller, path string, x dfs.XAttr) error {
	return f.note(c, "RemoveXAttr %s %s", path, x.FullName())
}
