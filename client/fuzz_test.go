package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// FuzzNameNodeAnswers gives the client one answer to whatever it asks: it must come back
// with a result or an error, and what it makes of block locations must not lead a reader
// astray.
func FuzzNameNodeAnswers(f *testing.F) {
	seed := func(m message) {
		b := make([]byte, m.SizeVT())
		_, err := m.MarshalToSizedBufferVT(b)
		require.NoError(f, err)
		f.Add(b)
	}
	c := &cluster{size: 1 << 20, repl: 3, length: 5, nodes: []dfs.DatanodeInfo{{DatanodeID: dfs.DatanodeID{UUID: "u", IP: "10.0.0.1", XferPort: 1}}}, where: map[dfs.BlockID][]int{7: {0}}}
	seed(&hdfspb.FileStatusResponse{Fs: c.status()})
	seed(&hdfspb.BoolResponse{Result: new(true)})
	seed(&hdfspb.BlockResponse{Block: c.located(dfs.Block{ID: 7, GenStamp: 1001, Length: 5}, 0)})
	seed(&hdfspb.GetBlockLocationsResponse{Locations: &hdfspb.LocatedBlocks{
		FileLength: new(uint64(5)), UnderConstruction: new(true), IsLastBlockComplete: new(false),
		Blocks:    []*hdfspb.LocatedBlock{c.located(dfs.Block{ID: 7, GenStamp: 1001, Length: 5}, 0)},
		LastBlock: c.located(dfs.Block{ID: 7, GenStamp: 1001, Length: 1 << 63 / 4}, -1<<63),
	}})
	seed(&hdfspb.GetListingResponse{DirList: &hdfspb.DirectoryListing{PartialListing: []*hdfspb.HdfsFileStatus{c.status()}, RemainingEntries: new(uint32(1))}})
	f.Fuzz(func(t *testing.T, body []byte) {
		synctest.Test(t, func(t *testing.T) { askEverything(t, body) })
	})
}

// askEverything calls the methods that make something of an answer.
func askEverything(t *testing.T, body []byte) {
	server := &hadooprpc.Server{}
	server.Handle(clientProtocol, 1, hadooprpc.HandlerFunc(func(call *hadooprpc.Call) { call.ReplyBytes(body) }))
	var serving sync.WaitGroup
	cl, err := Open(Config{NameNodes: []string{"nn:1"}, User: "u", FailFast: true, Dial: func(_ context.Context, addr string) (net.Conn, error) {
		if addr != "nn:1" {
			return nil, errors.New("refused")
		}
		near, far := net.Pipe()
		serving.Go(func() { server.ServeConn(far) })
		return near, nil
	}})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	_, _ = cl.Stat(ctx, "/f")
	_, _ = cl.ListPage(ctx, "/d", "", true)
	_, _ = cl.ServerDefaults(ctx)
	_, _ = cl.ContentSummary(ctx, "/f")
	_, _ = cl.DatanodeReport(ctx, 1)
	_, _ = cl.FsStats(ctx)
	_, _, _ = cl.OpenFiles(ctx, 0, "/", true)
	_, _ = cl.Rename(ctx, "/a", "/b")
	if file, err := cl.Open(ctx, "/f"); err == nil {
		buf := make([]byte, 16)
		_, _ = file.Read(buf)
		_, err := file.ReadAt(buf, 3)
		require.Error(t, err, "there is no datanode")
		require.NoError(t, file.Close())
	}
	cancel()
	require.NoError(t, cl.Close())
	require.NoError(t, server.Close())
	serving.Wait()
}
