package netlimit_test

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/internal/netlimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShare(t *testing.T) {
	require.Equal(t, 100, netlimit.Share(100, 1<<30, 80, 3))
	require.Equal(t, 26, netlimit.Share(100, 100, 80, 3))
	require.Equal(t, 1, netlimit.Share(100, 1, 10, 4))
	require.Positive(t, netlimit.Descriptors())
}

// TestHTTP: connections over the limit are told so, and there is room again when one ends.
func TestHTTP(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := netlimit.HTTP(inner, 2, "test", nil)
	entered := make(chan struct{}, 8)
	leave := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	get := func() (*http.Response, error) {
		return (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + inner.Addr().String() + "/")
	}
	done := make(chan int, 2)
	for range 2 {
		go func() {
			resp, err := get()
			if err != nil {
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-entered
	}
	for range 20 { // more than are told at a time: those are just closed
		resp, err := get()
		if err != nil {
			continue
		}
		require.Equal(t, 503, resp.StatusCode)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Contains(t, string(text), "too many connections")
		resp.Body.Close()
	}
	require.EqualValues(t, 20, l.Refuser.Total())
	close(leave)
	require.Equal(t, 200, <-done)
	require.Equal(t, 200, <-done)
	for { // the server closes its connections after the client has its answer
		resp, err := get()
		if err == nil && resp.StatusCode == 200 {
			resp.Body.Close()
			break
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	require.NoError(t, srv.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// TestClientHearsWhy: a client that has sent something already still gets the word.
func TestClientHearsWhy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var noted atomic.Int64
	r := &netlimit.Refuser{Word: []byte("full"), Note: func(n int, _ net.Addr) { noted.Add(int64(n)) }}
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = c.Write(make([]byte, 1000))
		require.NoError(t, err)
		nc, err := l.Accept()
		require.NoError(t, err)
		r.Refuse(nc)
		text, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "full", string(text))
		require.NoError(t, c.Close())
	}
	r.Close()
	require.EqualValues(t, 10, r.Total())
	require.EqualValues(t, 1, noted.Load(), "the log is not flooded")
}
