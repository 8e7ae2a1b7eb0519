package clientrpc

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	pb "redoubt/wire/hdfspb"
)

// meeting is a service whose listings wait until two of them are under way at once.
type meeting struct {
	*quick
	inside  atomic.Int32
	twoMet  chan struct{}
	longest atomic.Int32
}

func (m *meeting) Listing(c *dfs.Caller, path, after string, located bool) (*dfs.Listing, error) {
	if n := m.inside.Add(1); n == 2 && m.longest.CompareAndSwap(0, 2) {
		close(m.twoMet)
	}
	<-m.twoMet
	defer m.inside.Add(-1)
	return m.quick.Listing(c, path, after, located)
}

// TestListingsOfOneConnectionRunTogether: a listing doesn't stop the calls that arrived
// behind it, and every answer is whole.
func TestListingsOfOneConnectionRunTogether(t *testing.T) {
	q := newQuick()
	m := &meeting{quick: q, twoMet: make(chan struct{})}
	srv := &hadooprpc.Server{}
	require.NoError(t, Register(srv, Services{m, q, q, q, q, q}, Options{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	p, err := hadooprpc.NewPipeline(nc, hadooprpc.Options{User: "reader"})
	require.NoError(t, err)
	defer p.Close()

	body, err := (&pb.GetListingRequest{Src: proto.String("/d"), StartAfter: []byte{}, NeedLocation: proto.Bool(false)}).MarshalVT()
	require.NoError(t, err)
	e := newEncoder(nil)
	e.listing(1, &q.list)
	want := e.bytes()
	to := hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: "getListing"}
	left, answers := 300, 0
	require.NoError(t, p.Run(hadooprpc.Load{Depth: 32,
		Next: func(_ int, b []byte) (*hadooprpc.Target, []byte) {
			if left--; left < 0 {
				return nil, b
			}
			return &to, append(b, body...)
		},
		Done: func(_ int, got []byte, e *hadooprpc.RemoteError, _ time.Duration) error {
			if e != nil {
				return e
			}
			answers++
			if !bytes.Equal(want, got) {
				t.Error("an answer differs")
			}
			return nil
		}}))
	require.Equal(t, 300, answers)
	require.Equal(t, int32(2), m.longest.Load())
}
