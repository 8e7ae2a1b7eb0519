package hadooprpc

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"redoubt/wire/hdfspb"
)

func TestCancel(t *testing.T) {
	e := newEcho()
	c := dial(t, serve(t, &Server{}, e))
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-e.blocked; cancel() }()
	_, err := c.CallBytes(ctx, target("block"), nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.CallBytes(context.Background(), target("echo"), nil)
	require.NoError(t, err, "the connection goes on")
	_, err = c.CallBytes(ctx, target("echo"), nil)
	require.ErrorIs(t, err, context.Canceled)
	close(e.release)
}

// While a call waits in silence the client pings; virtual time.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c, err := NewConn(ours, Options{User: user})
		require.NoError(t, err)
		result := make(chan error, 1)
		go func() {
			_, err := c.CallBytes(context.Background(), target("x"), nil)
			result <- err
		}()
		in := newFrameReader(theirs, 1<<20)
		next := func() requestHeader {
			for {
				frame, ok, err := in.next()
				require.NoError(t, err)
				if ok {
					hdr, _, err := cutDelimited(frame)
					require.NoError(t, err)
					var h requestHeader
					require.NoError(t, h.decode(hdr))
					return h
				}
				require.NoError(t, in.fill())
			}
		}
		for len(in.raw(7)) == 0 {
			require.NoError(t, in.fill())
		}
		require.Equal(t, int32(callContext), next().callID)
		call := next().callID
		start := time.Now()
		require.Equal(t, int32(callPing), next().callID)
		require.Equal(t, int32(callPing), next().callID)
		require.Equal(t, 2*time.Minute, time.Since(start))
		b, at := beginFrame(nil)
		_, err = theirs.Write(endFrame(append(appendSuccessHeader(b, call, nil), 0), at))
		require.NoError(t, err)
		require.NoError(t, <-result)
		require.NoError(t, c.Close())
	})
}

// FuzzHeaders: the header decoders survive anything and agree with the protobuf library on
// what that takes.
func FuzzHeaders(f *testing.F) {
	f.Add(head(f, 5, 2, 0))
	f.Add(callFrame(f, 1, "m", "b")[5:])
	f.Add(appendRequestHeader(nil, -33, 3, []byte("id"), "context")[1:])
	f.Add(appendErrorFrame(nil, 7, []byte("id"), &RemoteError{Class: "c", Message: "m", Detail: 1})[5:])
	f.Add(contextFrame(f, user)[5:])
	f.Add([]byte("\b\x02\x10\x00\x18A\"\x02i@@\x06c\t\n\xa2:onkex\x18\x18\x18\x18\x18\x18\x18\x18t")) // a group that ends as another
	f.Fuzz(func(t *testing.T, b []byte) {
		var req requestHeader
		mine := req.decode(b)
		var g hdfspb.RpcRequestHeader
		if proto.Unmarshal(b, &g) == nil {
			if again, err := g.MarshalVT(); err == nil && bytes.Equal(again, b) {
				require.NoError(t, mine)
				require.Equal(t, g.GetCallId(), req.callID)
				require.Equal(t, g.GetRetryCount(), req.retry)
				require.Equal(t, string(g.ClientId), string(req.clientID))
				require.Equal(t, g.GetCallerContext().GetContext(), string(req.context))
			}
		}
		var call callHeader
		mine = call.decode(b)
		var gc hdfspb.RequestHeader
		if proto.Unmarshal(b, &gc) == nil {
			if again, err := gc.MarshalVT(); err == nil && bytes.Equal(again, b) {
				require.NoError(t, mine)
				require.Equal(t, gc.GetMethodName(), string(call.method))
				require.Equal(t, gc.GetDeclaringClassProtocolName(), string(call.protocol))
				require.Equal(t, gc.GetClientProtocolVersion(), call.version)
			}
		}
		var resp responseHeader
		_ = resp.decode(b)
		_, _ = decodeContext(b)
		_, _ = decodeSASL(b)
	})
}

// FuzzServer: whatever bytes arrive, the server answers or closes, and ends cleanly.
func FuzzServer(f *testing.F) {
	pre := []byte("hrpc\x09\x00\x00")
	f.Add(bytes.Join([][]byte{pre, contextFrame(f, user), callFrame(f, 1, "echo", "x"), callFrame(f, 2, "go", "y")}, nil))
	f.Add([]byte("hrpc\x09\x00\xdf\x00\x00\x00\x01\x00"))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Server{Grace: time.Millisecond}
		e := newEcho()
		close(e.release)
		s.Handle(testProtocol, 1, e)
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { s.ServeConn(theirs); close(done) }()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			buf := make([]byte, 4096)
			for {
				if _, err := ours.Read(buf); err != nil {
					return
				}
			}
		}()
		_, _ = ours.Write(b)
		_ = ours.Close()
		<-done
		<-drained
		e.later.Wait()
		require.NoError(t, s.Close())
	})
}
