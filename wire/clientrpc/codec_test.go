package clientrpc

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	pb "redoubt/wire/hdfspb"
)

// drawStatus makes any file status.
func drawStatus(t *rapid.T) dfs.FileStatus {
	return dfs.FileStatus{
		Type:          dfs.FileType(rapid.IntRange(1, 3).Draw(t, "type")),
		ID:            dfs.InodeID(rapid.Uint64().Draw(t, "id")),
		Name:          rapid.String().Draw(t, "name"),
		Length:        rapid.Int64().Draw(t, "length"),
		Mode:          dfs.Mode(rapid.Uint16().Draw(t, "mode")),
		Owner:         rapid.StringN(-1, -1, 300).Draw(t, "owner"),
		Group:         "g",
		ModTime:       rapid.Int64().Draw(t, "mtime"),
		AccessTime:    rapid.Int64().Draw(t, "atime"),
		Replication:   rapid.Uint16().Draw(t, "replication"),
		BlockSize:     rapid.Int64().Draw(t, "blocksize"),
		Children:      rapid.IntRange(-1, 1<<31-1).Draw(t, "children"),
		StoragePolicy: rapid.Uint8().Draw(t, "policy"),
		Flags:         rapid.Uint32().Draw(t, "flags"),
		Symlink:       "/target",
	}
}

func drawLocated(t *rapid.T) *dfs.LocatedBlock {
	b := &dfs.LocatedBlock{
		Block:   dfs.Block{ID: dfs.BlockID(rapid.Uint64().Draw(t, "block")), GenStamp: 1001, Length: rapid.Int64().Draw(t, "len")},
		PoolID:  testPool,
		Offset:  rapid.Int64().Draw(t, "offset"),
		Corrupt: rapid.Bool().Draw(t, "corrupt"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "replicas") {
		b.Locs = append(b.Locs, dfs.ReplicaLoc{Node: testNode, Storage: rapid.String().Draw(t, "storage"), Type: dfs.StorageDisk})
	}
	return b
}

// same holds hand-written bytes against the generated code: it must read them, and write
// the same bytes again.
func same(t require.TestingT, m pb.Message, b []byte) {
	require.NoError(t, m.UnmarshalVT(b))
	again, err := m.MarshalVT()
	require.NoError(t, err)
	require.Equal(t, again, b)
	require.Empty(t, m.(proto.Message).ProtoReflect().GetUnknown())
}

func TestEncodersAgainstGenerated(t *testing.T) {
	scratch := make([]byte, 7)
	rapid.Check(t, func(t *rapid.T) {
		st := drawStatus(t)
		l := &dfs.LocatedBlocks{FileLength: rapid.Int64().Draw(t, "file"), UnderConstruction: rapid.Bool().Draw(t, "uc")}
		for range rapid.IntRange(0, 3).Draw(t, "blocks") {
			l.Blocks = append(l.Blocks, *drawLocated(t))
		}
		if rapid.Bool().Draw(t, "last") {
			l.Last = drawLocated(t)
		}
		e := newEncoder(scratch)
		e.fileStatus(1, &st, l)
		var resp pb.FileStatusResponse
		same(t, &resp, e.bytes())
		fs := resp.Fs
		require.Equal(t, st.Type == dfs.TypeFile, fs.Locations != nil)
		require.Equal(t, st.Name, string(fs.Path))
		require.Equal(t, st.Length, int64(fs.GetLength()))
		require.Equal(t, uint32(st.Mode&dfs.ModeMask), fs.Permission.GetPerm())
		require.Equal(t, st.Owner, fs.GetOwner())
		require.Equal(t, st.ModTime, int64(fs.GetModificationTime()))
		require.Equal(t, st.AccessTime, int64(fs.GetAccessTime()))
		require.Equal(t, uint32(st.Replication), fs.GetBlockReplication())
		require.Equal(t, st.BlockSize, int64(fs.GetBlocksize()))
		require.Equal(t, uint64(st.ID), fs.GetFileId())
		require.Equal(t, int32(st.Children), fs.GetChildrenNum())
		require.Equal(t, uint32(st.StoragePolicy), fs.GetStoragePolicy())
		require.Equal(t, st.Flags, fs.GetFlags())
		for i, b := range fs.Locations.GetBlocks() {
			require.Equal(t, len(l.Blocks[i].Locs), len(b.Locs))
			require.Equal(t, len(b.Locs), len(b.StorageIDs))
			require.Equal(t, len(b.Locs), len(b.StorageTypes))
			require.Equal(t, len(b.Locs), len(b.IsCached))
			require.NotNil(t, b.B.NumBytes)
		}
		scratch = e.buf
	})
}

// decoders pairs each hand-written decoder with the generated message. compare tells
// whether both saw the same.
var decoders = []struct {
	name string
	run  func(b []byte) error
	gen  func() pb.Message
	same func(b []byte, m pb.Message) bool
}{
	{"path", func(b []byte) error { return new(pathRequest).decode(b) }, func() pb.Message { return new(pb.PathRequest) },
		func(b []byte, m pb.Message) bool {
			var r pathRequest
			_ = r.decode(b)
			return r.src == m.(*pb.PathRequest).GetSrc()
		}},
	{"locations", func(b []byte) error { return new(locationsRequest).decode(b) }, func() pb.Message { return new(pb.GetBlockLocationsRequest) },
		func(b []byte, m pb.Message) bool {
			var r locationsRequest
			_ = r.decode(b)
			g := m.(*pb.GetBlockLocationsRequest)
			return r == locationsRequest{g.GetSrc(), g.GetOffset(), g.GetLength()}
		}},
	{"listing", func(b []byte) error { return new(listingRequest).decode(b) }, func() pb.Message { return new(pb.GetListingRequest) },
		func(b []byte, m pb.Message) bool {
			var r listingRequest
			_ = r.decode(b)
			g := m.(*pb.GetListingRequest)
			return r == listingRequest{g.GetSrc(), string(g.StartAfter), g.GetNeedLocation()}
		}},
	{"mkdirs", func(b []byte) error { return decodeMkdirs(new(dfs.MkdirsRequest), b) }, func() pb.Message { return new(pb.MkdirsRequest) },
		func(b []byte, m pb.Message) bool {
			var r dfs.MkdirsRequest
			_ = decodeMkdirs(&r, b)
			g := m.(*pb.MkdirsRequest)
			return r == dfs.MkdirsRequest{Path: g.GetSrc(), Mode: dfs.Mode(g.Masked.GetPerm()) & dfs.ModeMask, CreateParent: g.GetCreateParent(),
				Unmasked: dfs.Mode(g.Unmasked.GetPerm()) & dfs.ModeMask, HasUnmasked: g.Unmasked != nil}
		}},
	{"delete", func(b []byte) error { return new(deleteRequest).decode(b) }, func() pb.Message { return new(pb.DeleteRequest) },
		func(b []byte, m pb.Message) bool {
			var r deleteRequest
			_ = r.decode(b)
			g := m.(*pb.DeleteRequest)
			return r == deleteRequest{g.GetSrc(), g.GetRecursive()}
		}},
	{"rename", func(b []byte) error { return new(renameRequest).decode(b, false) }, func() pb.Message { return new(pb.RenameRequest) },
		func(b []byte, m pb.Message) bool {
			var r renameRequest
			_ = r.decode(b, false)
			g := m.(*pb.RenameRequest)
			return r == renameRequest{src: g.GetSrc(), dst: g.GetDst()}
		}},
	{"rename2", func(b []byte) error { return new(renameRequest).decode(b, true) }, func() pb.Message { return new(pb.Rename2Request) },
		func(b []byte, m pb.Message) bool {
			var r renameRequest
			_ = r.decode(b, true)
			g := m.(*pb.Rename2Request)
			return r == renameRequest{g.GetSrc(), g.GetDst(), g.GetOverwriteDest(), g.GetMoveToTrash()}
		}},
	{"create", func(b []byte) error { return decodeCreate(new(dfs.CreateRequest), b) }, func() pb.Message { return new(pb.CreateRequest) },
		func(b []byte, m pb.Message) bool {
			var r dfs.CreateRequest
			_ = decodeCreate(&r, b)
			g := m.(*pb.CreateRequest)
			return r == dfs.CreateRequest{Path: g.GetSrc(), Mode: dfs.Mode(g.Masked.GetPerm()) & dfs.ModeMask,
				Unmasked: dfs.Mode(g.Unmasked.GetPerm()) & dfs.ModeMask, HasUnmasked: g.Unmasked != nil, Holder: g.GetClientName(),
				Flags: g.GetCreateFlag(), CreateParent: g.GetCreateParent(), Replication: replication(g.GetReplication()),
				BlockSize: int64(g.GetBlockSize()), StoragePolicy: g.GetStoragePolicy(), ECPolicy: g.GetEcPolicyName()}
		}},
	{"complete", func(b []byte) error { return new(completeRequest).decode(b, testPool) }, func() pb.Message { return new(pb.CompleteRequest) },
		func(b []byte, m pb.Message) bool {
			var r completeRequest
			_ = r.decode(b, testPool)
			g := m.(*pb.CompleteRequest)
			return r.src == g.GetSrc() && r.holder == g.GetClientName() && r.hasLast == (g.Last != nil) && r.file == g.GetFileId() &&
				r.last.pool == g.Last.GetPoolId() && uint64(r.last.ID) == g.Last.GetBlockId() &&
				uint64(r.last.GenStamp) == g.Last.GetGenerationStamp() && uint64(r.last.Length) == g.Last.GetNumBytes()
		}},
}

// FuzzDecode: hand-written decoders survive any bytes, and what both they and the
// generated code take, they understand alike. They may differ in one way: bytes that
// give an embedded message twice, which no encoder writes.
func FuzzDecode(f *testing.F) {
	for _, m := range []pb.Message{
		&pb.PathRequest{Src: proto.String("/a/b")},
		&pb.GetListingRequest{Src: proto.String("/"), StartAfter: []byte("x"), NeedLocation: proto.Bool(true)},
		&pb.CreateRequest{Src: proto.String("/f"), Masked: &pb.FsPermission{Perm: proto.Uint32(0o100644)}, ClientName: proto.String("c"),
			CreateFlag: proto.Uint32(3), CreateParent: proto.Bool(true), Replication: proto.Uint32(70000), BlockSize: proto.Uint64(1 << 63),
			CryptoProtocolVersion: []int32{2}, Unmasked: &pb.FsPermission{Perm: proto.Uint32(7)}},
		&pb.CompleteRequest{Src: proto.String("/f"), ClientName: proto.String("c"), FileId: proto.Uint64(1 << 60),
			Last: &pb.ExtendedBlock{PoolId: proto.String(testPool), BlockId: proto.Uint64(1), GenerationStamp: proto.Uint64(2), NumBytes: proto.Uint64(0)}},
		&pb.Rename2Request{Src: proto.String("/a"), Dst: proto.String("/b"), OverwriteDest: proto.Bool(true)},
		&pb.MkdirsRequest{Src: proto.String("/a"), Masked: &pb.FsPermission{Perm: proto.Uint32(1 << 31)}, CreateParent: proto.Bool(false)},
	} {
		b, err := m.MarshalVT()
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range decoders {
			mine := d.run(b)
			g := d.gen()
			if theirs := g.UnmarshalVT(b); mine == nil && theirs == nil {
				if canonical, err := g.MarshalVT(); err == nil && len(canonical) == len(b) {
					require.True(t, d.same(b, g), "%s %x", d.name, b)
				}
			} else if theirs == nil {
				if canonical, err := g.MarshalVT(); err == nil && string(canonical) == string(b) {
					t.Fatalf("%s refuses %x: %v", d.name, b, mine)
				}
			}
		}
	})
}

// quick is a service whose hot calls cost nothing, so that benchmarks show this package.
type quick struct {
	fake
	status dfs.FileStatus
	list   dfs.Listing
	blocks *dfs.LocatedBlocks
}

func newQuick() *quick {
	q := &quick{status: *testStatus("/f"), blocks: testBlocks()}
	for range 1000 {
		e := dfs.ListEntry{FileStatus: q.status}
		e.Name = "part-00000-of-01000"
		q.list.Entries = append(q.list.Entries, e)
	}
	return q
}

func (q *quick) FileInfo(*dfs.Caller, string, bool) (*dfs.FileStatus, error) { return &q.status, nil }
func (q *quick) Listing(*dfs.Caller, string, string, bool) (*dfs.Listing, error) {
	return &q.list, nil
}
func (q *quick) BlockLocations(*dfs.Caller, string, int64, int64) (*dfs.LocatedBlocks, error) {
	return q.blocks, nil
}
func (q *quick) Mkdirs(context.Context, *dfs.Caller, *dfs.MkdirsRequest) (bool, error) {
	return true, nil
}
func (q *quick) Create(context.Context, *dfs.Caller, *dfs.CreateRequest) (*dfs.FileStatus, error) {
	return &q.status, nil
}

// BenchmarkPipelined measures whole calls over loopback, 64 in flight on one connection,
// client and server on the same processors.
func BenchmarkPipelined(b *testing.B) {
	path := strings.Repeat("/directory", 3) + "/file"
	perm := &pb.FsPermission{Perm: proto.Uint32(0o755)}
	for _, m := range []struct {
		method string
		req    pb.Message
	}{
		{"getFileInfo", &pb.PathRequest{Src: &path}},
		{"getBlockLocations", &pb.GetBlockLocationsRequest{Src: &path, Offset: proto.Uint64(0), Length: proto.Uint64(1)}},
		{"getListing", &pb.GetListingRequest{Src: &path, StartAfter: []byte{}, NeedLocation: proto.Bool(false)}},
		{"mkdirs", &pb.MkdirsRequest{Src: &path, Masked: perm, CreateParent: proto.Bool(true)}},
		{"create", &pb.CreateRequest{Src: &path, Masked: perm, ClientName: proto.String("client"), CreateFlag: proto.Uint32(1),
			CreateParent: proto.Bool(true), Replication: proto.Uint32(3), BlockSize: proto.Uint64(1 << 27)}},
	} {
		b.Run(m.method, func(b *testing.B) {
			q := newQuick()
			srv := &hadooprpc.Server{}
			require.NoError(b, Register(srv, Services{q, q, q, q, q, q}, Options{}))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			go func() { _ = srv.Serve(l) }()
			defer srv.Close()
			nc, err := net.Dial("tcp", l.Addr().String())
			require.NoError(b, err)
			p, err := hadooprpc.NewPipeline(nc, hadooprpc.Options{User: "bench"})
			require.NoError(b, err)
			defer p.Close()
			body, err := m.req.MarshalVT()
			require.NoError(b, err)
			to := hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: m.method}
			n := b.N
			b.ReportAllocs()
			b.ResetTimer()
			require.NoError(b, p.Run(hadooprpc.Load{Depth: 64,
				Next: func(_ int, buf []byte) (*hadooprpc.Target, []byte) {
					if n--; n < 0 {
						return nil, buf
					}
					return &to, append(buf, body...)
				},
				Done: func(_ int, _ []byte, e *hadooprpc.RemoteError, _ time.Duration) error {
					if e != nil {
						return e
					}
					return nil
				}}))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// BenchmarkListing encodes a full page of files without locations.
func BenchmarkListing(b *testing.B) {
	l := &dfs.Listing{Entries: make([]dfs.ListEntry, 1000)}
	for i := range l.Entries {
		l.Entries[i].FileStatus = dfs.FileStatus{Type: dfs.TypeFile, Name: fmt.Sprintf("f%d", i), Mode: 0o644, Owner: "alice", Group: "users",
			ModTime: 1_790_000_000_000, AccessTime: 1_790_000_000_000, Replication: 3, BlockSize: 128 << 20, ID: dfs.InodeID(16386 + i)}
	}
	var scratch []byte
	b.ReportAllocs()
	for range b.N {
		e := newEncoder(scratch)
		e.listing(1, l)
		scratch = e.buf
	}
}
