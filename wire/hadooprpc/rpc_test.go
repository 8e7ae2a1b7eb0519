package hadooprpc

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const (
	testProtocol = "test.Echo"
	user         = "alice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// raw is a body of bytes as a message.
type raw []byte

func (r raw) SizeVT() int                                  { return len(r) }
func (r raw) MarshalToSizedBufferVT(b []byte) (int, error) { return copy(b, r), nil }
func (r *raw) UnmarshalVT(b []byte) error                  { *r = append((*r)[:0], b...); return nil }

func target(method string) Target { return Target{testProtocol, 1, method} }

// echo answers "echo" inline, "go" from the pool, "later" from elsewhere, "fail" with an
// error, "block" when release is closed, and forgets to answer "forget".
type echo struct {
	release chan struct{}
	later   sync.WaitGroup
	blocked chan struct{} // one token per call that waits
}

func newEcho() *echo {
	return &echo{release: make(chan struct{}), blocked: make(chan struct{}, 10_000)}
}

func (e *echo) ServeRPC(c *Call) {
	switch c.Method {
	case "echo":
		c.ReplyBytes(c.Body)
	case "go":
		c.Go(func() { c.ReplyBytes(c.Body) })
	case "who":
		c.ReplyBytes([]byte(c.Caller.User + "," + c.Caller.RealUser + "," + c.Caller.Context))
	case "id":
		c.ReplyScratch(append(append(c.Scratch(), c.Caller.ID.Client[:]...), byte(c.Caller.ID.Call), byte(c.Retry)))
	case "later":
		body := append([]byte{}, c.Body...)
		c.Defer()
		e.later.Add(1)
		go func() { defer e.later.Done(); c.ReplyBytes(body) }()
	case "fail":
		c.Fail("java.io.FileNotFoundException", string(c.Body))
	case "block":
		c.Go(func() {
			e.blocked <- struct{}{}
			select {
			case <-e.release:
				c.ReplyBytes(c.Body)
			case <-c.Context().Done():
				c.Fail("java.io.IOException", "canceled")
			}
		})
	case "forget":
	case "fatal":
		c.FailWith(&RemoteError{Class: classRPCServer, Message: "done with you", Detail: FatalUnknown, Fatal: true})
	case "bad":
		c.FailBadRequest(errFrame)
	default:
		c.FailNoSuchMethod()
	}
}

// serve starts a server and gives its address.
func serve(t testing.TB, s *Server, h Handler) string {
	t.Helper()
	s.Handle(testProtocol, 1, h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrClosed)
		if e, ok := h.(*echo); ok {
			e.later.Wait()
		}
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), addr, Options{User: user, Protocol: testProtocol})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestCalls(t *testing.T) {
	addr := serve(t, &Server{}, newEcho())
	c := dial(t, addr)
	ctx := context.Background()
	for _, method := range []string{"echo", "go", "later"} {
		for _, body := range []raw{{}, raw("x"), make(raw, 300_000)} {
			var got raw
			require.NoError(t, c.Call(ctx, target(method), body, &got), method)
			require.Equal(t, len(body), len(got), method)
		}
	}
	got, err := c.CallBytes(ctx, target("who"), nil)
	require.NoError(t, err)
	require.Equal(t, "alice,,", string(got))

	var re *RemoteError
	_, err = c.CallBytes(ctx, target("fail"), []byte("File does not exist: /x"))
	require.ErrorAs(t, err, &re)
	require.Equal(t, RemoteError{Class: "java.io.FileNotFoundException", Message: "File does not exist: /x", Detail: ErrorApplication}, *re)

	_, err = c.CallBytes(ctx, target("nix"), nil)
	require.ErrorAs(t, err, &re)
	require.Equal(t, RemoteError{Class: classNoSuchMethod, Message: "Unknown method nix called on test.Echo protocol.", Detail: ErrorNoSuchMethod}, *re)
	_, err = c.CallBytes(ctx, Target{"no.Such", 1, "x"}, nil)
	require.ErrorAs(t, err, &re)
	require.Equal(t, RemoteError{Class: classNoSuchProtocol, Message: "Unknown protocol: no.Such", Detail: ErrorNoSuchProtocol}, *re)
	_, err = c.CallBytes(ctx, Target{testProtocol, 2, "x"}, nil)
	require.ErrorAs(t, err, &re)
	require.Equal(t, ErrorVersionMismatch, re.Detail)
	_, err = c.CallBytes(ctx, target("forget"), nil)
	require.ErrorAs(t, err, &re)
	require.Equal(t, ErrorServer, re.Detail)

	got, err = c.CallBytes(ctx, target("echo"), []byte("still works"))
	require.NoError(t, err)
	require.Equal(t, "still works", string(got))
}

// Many callers share a connection; each gets its own answer.
func TestMux(t *testing.T) {
	addr := serve(t, &Server{MaxInFlight: 16, MaxWorkers: 4}, newEcho())
	c := dial(t, addr)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			method := []string{"echo", "go", "later"}[i%3]
			for j := range 200 {
				want := raw{byte(i), byte(j)}
				var got raw
				if err := c.Call(context.Background(), target(method), want, &got); err != nil || string(want) != string(got) {
					t.Errorf("%s: %v %v %v", method, want, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPipelined(b *testing.B) {
	for _, method := range []string{"echo", "go"} {
		b.Run(method, func(b *testing.B) {
			addr := serve(b, &Server{}, newEcho())
			nc, err := net.Dial("tcp", addr)
			require.NoError(b, err)
			p, err := NewPipeline(nc, Options{User: user})
			require.NoError(b, err)
			defer p.Close()
			body := make([]byte, 100)
			n := b.N
			b.ReportAllocs()
			b.ResetTimer()
			to := target(method)
			err = p.Run(Load{Depth: 64,
				Next: func(_ int, buf []byte) (*Target, []byte) {
					if n--; n < 0 {
						return nil, buf
					}
					return &to, append(buf, body...)
				},
				Done: func(_ int, _ []byte, e *RemoteError, _ time.Duration) error {
					if e != nil {
						return e
					}
					return nil
				}})
			require.NoError(b, err)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func BenchmarkMux(b *testing.B) {
	addr := serve(b, &Server{}, newEcho())
	c := dial(b, addr)
	b.SetParallelism(32)
	b.ReportAllocs()
	body := make(raw, 100)
	b.RunParallel(func(pb *testing.PB) {
		var got raw
		for pb.Next() {
			if err := c.Call(context.Background(), target("echo"), body, &got); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
