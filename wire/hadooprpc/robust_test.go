package hadooprpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"redoubt/wire/hdfspb"
)

func message(t testing.TB, m hdfspb.Message) []byte {
	t.Helper()
	b, err := m.MarshalVT()
	require.NoError(t, err)
	return b
}

// frameOf is a frame of delimited parts.
func frameOf(parts ...[]byte) []byte {
	b, start := beginFrame(nil)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return endFrame(b, start)
}

// head is an RpcRequestHeader; kind or op below 0 leaves it out.
func head(t testing.TB, id int32, kind, op int) []byte {
	h := &hdfspb.RpcRequestHeader{CallId: &id, ClientId: []byte("0123456789abcdef")}
	if kind >= 0 {
		h.RpcKind = hdfspb.RpcKind(kind).Enum()
	}
	if op >= 0 {
		h.RpcOp = hdfspb.RpcRequestHeader_Operation(op).Enum()
	}
	return message(t, h)
}

func sasl(t testing.TB, state hdfspb.RpcSasl_State) []byte {
	return frameOf(head(t, callSASL, 2, 0), message(t, &hdfspb.RpcSasl{State: state.Enum()}))
}

func callFrame(t testing.TB, id int32, method, body string) []byte {
	return frameOf(head(t, id, 2, 0), message(t, &hdfspb.RequestHeader{MethodName: proto.String(method),
		DeclaringClassProtocolName: proto.String(testProtocol), ClientProtocolVersion: proto.Uint64(1)}), []byte(body))
}

func contextFrame(t testing.TB, user string) []byte {
	info := &hdfspb.UserInformation{}
	if user != "" {
		info.EffectiveUser = &user
	}
	return frameOf(head(t, callContext, 2, 0), message(t, &hdfspb.IpcConnectionContext{UserInfo: info, Protocol: proto.String(testProtocol)}))
}

// answerOf reads one frame of a server: its header and the bytes after it.
func answerOf(t testing.TB, r io.Reader) (*hdfspb.RpcResponseHeader, []byte) {
	t.Helper()
	var size [4]byte
	_, err := io.ReadFull(r, size[:])
	require.NoError(t, err)
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(r, frame)
	require.NoError(t, err)
	hdr, rest, err := cutDelimited(frame)
	require.NoError(t, err)
	h := new(hdfspb.RpcResponseHeader)
	require.NoError(t, h.UnmarshalVT(hdr))
	return h, rest
}

// pipe serves one end of an in-memory connection and gives the other.
func pipe(t testing.TB, s *Server, h Handler) net.Conn {
	t.Helper()
	s.Handle(testProtocol, 1, h)
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { s.ServeConn(theirs) })
	t.Cleanup(func() {
		_ = ours.Close()
		require.NoError(t, s.Close())
		wg.Wait()
	})
	return ours
}

// What a client may do wrong, and what Hadoop 3.4.3 was seen to answer: the call id, the
// error code and the class; then it closes.
func TestFatalFaults(t *testing.T) {
	const (
		rpcServer = "org.apache.hadoop.ipc.RpcServerException"
		mismatch  = "org.apache.hadoop.ipc.RPC$VersionMismatch"
	)
	pre := []byte("hrpc\x09\x00\x00")
	ctx := contextFrame(t, user)
	for _, c := range []struct {
		name   string
		send   [][]byte
		callID int32
		detail Detail
		class  string
	}{
		{"garbage", [][]byte{[]byte("garbage garbage")}, -1, FatalVersionMismatch, mismatch},
		{"version 10", [][]byte{[]byte("hrpc\x0a\x00\x00")}, -1, FatalVersionMismatch, mismatch},
		{"auth 5", [][]byte{[]byte("hrpc\x09\x00\x05")}, -1, FatalUnauthorized, classIPC},
		{"sasl initiate", [][]byte{[]byte("hrpc\x09\x00\xdf"), sasl(t, hdfspb.RpcSasl_INITIATE)}, -33, FatalUnauthorized, classAccessControl},
		{"sasl, context", [][]byte{[]byte("hrpc\x09\x00\xdf"), ctx}, -3, FatalInvalidHeader, rpcServer},
		{"sasl uninvited", [][]byte{pre, sasl(t, hdfspb.RpcSasl_NEGOTIATE)}, -33, FatalInvalidHeader, rpcServer},
		{"call first", [][]byte{pre, callFrame(t, 1, "echo", "")}, 1, FatalInvalidHeader, rpcServer},
		{"two contexts", [][]byte{pre, ctx, ctx}, -3, FatalInvalidHeader, rpcServer},
		{"no user", [][]byte{pre, contextFrame(t, "")}, -3, FatalUnauthorized, classAccessControl},
		{"oob -7", [][]byte{pre, ctx, frameOf(head(t, -7, 2, 0))}, -7, FatalInvalidHeader, rpcServer},
		{"no kind", [][]byte{pre, ctx, frameOf(head(t, 5, -1, 0))}, 5, FatalInvalidHeader, rpcServer},
		{"no op", [][]byte{pre, ctx, frameOf(head(t, 5, 2, -1))}, 5, FatalInvalidHeader, rpcServer},
		{"op 1", [][]byte{pre, ctx, frameOf(head(t, 5, 2, 1))}, 5, FatalInvalidHeader, rpcServer},
		{"kind 1", [][]byte{pre, ctx, frameOf(head(t, 5, 1, 0))}, 5, FatalInvalidHeader, rpcServer},
		{"header only", [][]byte{pre, ctx, frameOf(head(t, 5, 2, 0))}, 5, FatalDeserializing, rpcServer},
		{"junk", [][]byte{pre, ctx, {0, 0, 0, 4, 255, 255, 255, 255}}, -1, FatalDeserializing, rpcServer},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := pipe(t, &Server{}, newEcho())
			go func() { _, _ = nc.Write(bytes.Join(c.send, nil)) }()
			h, rest := answerOf(t, nc)
			require.Equal(t, c.callID, int32(h.GetCallId()))
			require.Equal(t, hdfspb.RpcResponseHeader_FATAL, h.GetStatus())
			require.Equal(t, int32(c.detail), int32(h.GetErrorDetail()))
			require.Equal(t, c.class, h.GetExceptionClassName())
			require.NotEmpty(t, h.GetErrorMsg())
			require.Empty(t, rest)
			_, err := nc.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

// Clients of before version 9 read errors in another form; the bytes are Hadoop 3.4.3's.
func TestOldVersionsCanReadTheRefusal(t *testing.T) {
	for version := byte(2); version < 9; version++ {
		nc := pipe(t, &Server{}, newEcho())
		go func() { _, _ = nc.Write([]byte{'h', 'r', 'p', 'c', version, 0x50, 0}) }()
		b, err := io.ReadAll(nc)
		require.NoError(t, err)
		start := "\xff\xff\xff\xff\xff\xff\xff\xff"
		if version == 2 {
			start = "\x00\x00\x00\x00\x01"
		}
		require.Equal(t, start+"\x00\x00\x00)org.apache.hadoop.ipc.RPC$VersionMismatch"+
			"\x00\x00\x00=Server IPC version 9 cannot communicate with client version "+string('0'+version), string(b))
	}
}

// Lengths that can't be end the connection without an answer, at no cost in memory.
func TestImpossibleLengths(t *testing.T) {
	for _, size := range [][]byte{{0x7f, 0, 0, 0}, {0xff, 0, 0, 0}, {0, 0, 0, 0}, {8, 0, 0, 1}} {
		nc := pipe(t, &Server{}, newEcho())
		go func() { _, _ = nc.Write(append(append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...), size...)) }()
		b, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.Empty(t, b)
	}
	f := newFrameReader(bytes.NewReader([]byte{7, 255, 255, 255, 1, 2, 3}), 128<<20)
	for err := error(nil); err == nil; err = f.fill() {
		_, ok, err := f.next()
		require.NoError(t, err)
		require.False(t, ok)
	}
	require.LessOrEqual(t, len(f.buf), 4*smallBuffer, "memory for bytes that never came")
}

func TestHTTPGetIsToldWhereItIs(t *testing.T) {
	nc := pipe(t, &Server{}, newEcho())
	go func() { _, _ = nc.Write([]byte("GET / HT")) }()
	b, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Contains(t, string(b), "HTTP/1.1 404")
}

// A SASL client is switched to simple, in the exact bytes that Java expects; pings are
// not answered; the client id comes back; names lose their Kerberos realm.
func TestSASLSwitchAndContext(t *testing.T) {
	nc := pipe(t, &Server{}, newEcho())
	go func() {
		_, _ = nc.Write(bytes.Join([][]byte{[]byte("hrpc\x09\x00\xdf"), sasl(t, hdfspb.RpcSasl_NEGOTIATE)}, nil))
	}()
	want := []byte{0, 0, 0, 0x0c, 8, 8, 0xdf, 0xff, 0xff, 0xff, 0x0f, 0x10, 0, 2, 0x10, 0}
	got := make([]byte, len(want))
	_, err := io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
	go func() {
		_, _ = nc.Write(bytes.Join([][]byte{contextFrame(t, "hdfs/host@REALM"), frameOf(head(t, callPing, 2, 0)), callFrame(t, 0, "who", "")}, nil))
	}()
	h, rest := answerOf(t, nc)
	require.Equal(t, uint32(0), h.GetCallId())
	require.Equal(t, "0123456789abcdef", string(h.ClientId))
	require.Equal(t, "\x06hdfs,,", string(rest))
}

// Bytes may come in any pieces.
func TestBytewise(t *testing.T) {
	nc := pipe(t, &Server{}, newEcho())
	all := bytes.Join([][]byte{[]byte("hrpc\x09\x00\x00"), contextFrame(t, user), callFrame(t, 7, "echo", "hello")}, nil)
	go func() {
		for i := range all {
			_, _ = nc.Write(all[i : i+1])
		}
	}()
	h, rest := answerOf(t, nc)
	require.Equal(t, uint32(7), h.GetCallId())
	require.Equal(t, "\x05hello", string(rest))
}

// Garbage, half frames and clients that vanish at any byte leave the server and its other
// connections as they were.
func TestVanishingClients(t *testing.T) {
	e := newEcho()
	s := &Server{}
	addr := serve(t, s, e)
	good := dial(t, addr)
	all := bytes.Join([][]byte{[]byte("hrpc\x09\x00\x00"), contextFrame(t, user), callFrame(t, 1, "block", "x"), callFrame(t, 2, "echo", "hello")}, nil)
	for cut := 0; cut <= len(all); cut += 3 {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = nc.Write(all[:cut])
		require.NoError(t, err)
		require.NoError(t, nc.Close())
		got, err := good.CallBytes(context.Background(), target("echo"), []byte("alive"))
		require.NoError(t, err)
		require.Equal(t, "alive", string(got))
	}
	require.NoError(t, good.Close())
	require.Eventually(t, func() bool { return s.Conns() == 0 }, 5*time.Second, time.Millisecond)
}

// While calls of one connection wait for ever, its reads are still answered, other
// connections are served, and no more than MaxInFlight of its calls are taken.
func TestInFlightLimit(t *testing.T) {
	e := newEcho()
	addr := serve(t, &Server{MaxInFlight: 8}, e)
	greedy, other := dial(t, addr), dial(t, addr)
	var wg sync.WaitGroup
	for range 7 {
		wg.Go(func() { _, _ = greedy.CallBytes(context.Background(), target("block"), nil) })
		<-e.blocked
	}
	_, err := greedy.CallBytes(context.Background(), target("echo"), nil)
	require.NoError(t, err)
	for range 5 {
		wg.Go(func() { _, _ = greedy.CallBytes(context.Background(), target("block"), nil) })
	}
	<-e.blocked
	_, err = other.CallBytes(context.Background(), target("go"), nil)
	require.NoError(t, err)
	require.Empty(t, e.blocked, "the ninth call was taken")
	close(e.release)
	wg.Wait()
}

// When all workers are busy the next call waits and is then served.
func TestWorkersExhausted(t *testing.T) {
	e := newEcho()
	addr := serve(t, &Server{MaxWorkers: 2}, e)
	c, other := dial(t, addr), dial(t, addr)
	var wg sync.WaitGroup
	var answered atomic.Int32
	for range 6 {
		wg.Go(func() {
			if _, err := c.CallBytes(context.Background(), target("block"), nil); err == nil {
				answered.Add(1)
			}
		})
	}
	<-e.blocked
	<-e.blocked
	_, err := other.CallBytes(context.Background(), target("echo"), nil)
	require.NoError(t, err)
	close(e.release)
	wg.Wait()
	require.Equal(t, int32(6), answered.Load())
}

// A client that takes no answers is dropped after WriteTimeout; virtual time.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{WriteTimeout: 5 * time.Second}
		s.Handle(testProtocol, 1, newEcho())
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { s.ServeConn(theirs); close(done) }()
		start := time.Now()
		_, err := ours.Write(bytes.Join([][]byte{[]byte("hrpc\x09\x00\x00"), contextFrame(t, user), callFrame(t, 1, "echo", "hello")}, nil))
		require.NoError(t, err)
		<-done
		require.Equal(t, 5*time.Second, time.Since(start))
		require.NoError(t, ours.Close())
		require.NoError(t, s.Close())
	})
}

// A client that says nothing is dropped after HandshakeTimeout; one that has introduced
// itself may be idle for ever.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.Handle(testProtocol, 1, newEcho())
		mute, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { s.ServeConn(theirs); close(done) }()
		start := time.Now()
		<-done
		require.Equal(t, 30*time.Second, time.Since(start))
		require.NoError(t, mute.Close())

		idle, theirs := net.Pipe()
		done = make(chan struct{})
		go func() { s.ServeConn(theirs); close(done) }()
		_, err := idle.Write(append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...))
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		go func() { _, _ = idle.Write(callFrame(t, 1, "echo", "hi")) }()
		_, rest := answerOf(t, idle)
		require.Equal(t, "\x02hi", string(rest))
		require.NoError(t, idle.Close())
		<-done
		require.NoError(t, s.Close())
	})
}

// Close answers what is in flight if that ends within Grace, and cancels it otherwise.
func TestClose(t *testing.T) {
	for _, finish := range []bool{true, false} {
		e := newEcho()
		s := &Server{Grace: time.Minute}
		if !finish {
			s.Grace = time.Millisecond
		}
		s.Handle(testProtocol, 1, e)
		ours, theirs := net.Pipe()
		served := make(chan struct{})
		go func() { s.ServeConn(theirs); close(served) }()
		c, err := NewConn(ours, Options{User: user})
		require.NoError(t, err)
		result := make(chan error, 1)
		go func() {
			_, err := c.CallBytes(context.Background(), target("block"), []byte("x"))
			result <- err
		}()
		<-e.blocked
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		if finish {
			require.Eventually(t, s.closing, 5*time.Second, time.Millisecond)
			close(e.release)
			require.NoError(t, <-result)
		} else {
			require.ErrorIs(t, <-result, ErrBroken)
		}
		require.NoError(t, <-closed)
		<-served
		require.NoError(t, c.Close())
		require.NoError(t, s.Close(), "twice is fine")
	}
}

func TestObserve(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]error{}
	s := &Server{Observe: func(protocol, method string, d time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, testProtocol, protocol)
		require.GreaterOrEqual(t, d, time.Duration(0))
		seen[method] = err
	}}
	addr := serve(t, s, newEcho())
	c := dial(t, addr)
	for _, m := range []string{"echo", "go", "fail"} {
		_, _ = c.CallBytes(context.Background(), target(m), nil)
	}
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	require.Len(t, seen, 3)
	require.NoError(t, seen["echo"])
	require.NoError(t, seen["go"])
	require.Error(t, seen["fail"])
}

func TestValidate(t *testing.T) {
	require.NoError(t, new(Server).Validate())
	require.Error(t, (&Server{MaxFrame: -1}).Validate())
	require.Error(t, (&Server{MaxFrame: 2 << 30}).Validate())
	require.ErrorContains(t, (&Server{MaxConns: -1, Grace: -1}).Validate(), "Grace")
	require.Error(t, (&Options{}).Validate())
}

func TestMaxConns(t *testing.T) {
	s := &Server{MaxConns: 1}
	addr := serve(t, s, newEcho())
	c := dial(t, addr)
	_, err := c.CallBytes(context.Background(), target("echo"), nil)
	require.NoError(t, err)
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	// The client has said something, and still hears why it is refused.
	_, err = nc.Write(append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...))
	require.NoError(t, err)
	h, rest := answerOf(t, nc)
	require.EqualValues(t, callRefused, int32(h.GetCallId()))
	require.Equal(t, hdfspb.RpcResponseHeader_FATAL, h.GetStatus())
	require.Equal(t, classRetriable, h.GetExceptionClassName())
	require.Equal(t, "Server too busy: all of its 1 connections are taken", h.GetErrorMsg())
	require.Empty(t, rest)
	_, err = nc.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.EqualValues(t, 1, s.Refused())
	_, err = c.CallBytes(context.Background(), target("echo"), nil)
	require.NoError(t, err)
}
