package hadooprpc

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/internal/membudget"
	"redoubt/wire/hdfspb"
)

// opened is a connection to a server that has said who it is and begun a frame of so many
// bytes, of which some have been read by the server when it returns.
func opened(t *testing.T, s *Server, wg *sync.WaitGroup, announced uint32, sent int) net.Conn {
	ours, theirs := net.Pipe()
	wg.Go(func() { s.ServeConn(theirs) })
	b := append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...)
	b = binary.BigEndian.AppendUint32(b, announced)
	_, err := ours.Write(append(b, make([]byte, sent)...))
	require.NoError(t, err)
	return ours
}

// TestBudget: frames that are there in part take from one budget; what is over it is
// refused, so that others can finish. 120 connections once took as much as they liked.
func TestBudget(t *testing.T) {
	s := &Server{Budget: membudget.New(1 << 20)}
	s.Handle(testProtocol, 1, newEcho())
	var wg sync.WaitGroup
	none := opened(t, s, &wg, 127<<20, 0)
	require.Zero(t, s.Budget.Used(), "an announcement costs nothing")
	first := opened(t, s, &wg, 127<<20, 700<<10)
	require.LessOrEqual(t, s.Budget.Used(), int64(1<<20))
	require.GreaterOrEqual(t, s.Budget.Used(), int64(512<<10))

	second := opened(t, s, &wg, 1<<20, 10<<10)
	go func() { _, _ = second.Write(make([]byte, 1<<20)) }()
	h, _ := answerOf(t, second)
	require.Equal(t, hdfspb.RpcResponseHeader_FATAL, h.GetStatus())
	require.Equal(t, classRetriable, h.GetExceptionClassName())
	require.Contains(t, h.GetErrorMsg(), "try again later")
	_, err := second.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)

	small := opened(t, s, &wg, 4, 0) // others still work
	require.NoError(t, first.Close())
	call := callFrame(t, 1, "go", string(make([]byte, 400<<10)))
	whole, theirs := net.Pipe()
	wg.Go(func() { s.ServeConn(theirs) })
	go func() {
		_, _ = whole.Write(append(append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...), call...))
	}()
	h, _ = answerOf(t, whole)
	require.Equal(t, hdfspb.RpcResponseHeader_SUCCESS, h.GetStatus())
	for _, c := range []net.Conn{none, second, small, whole} {
		require.NoError(t, c.Close())
	}
	wg.Wait()
	require.NoError(t, s.Close())
	require.Zero(t, s.Budget.Used())
}

// TestStalledFrame: who holds memory with half a frame has to go on, and not too slowly.
func TestStalledFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.Handle(testProtocol, 1, newEcho())
		var wg sync.WaitGroup
		stalled := opened(t, s, &wg, 1<<20, 60<<10)
		slow := opened(t, s, &wg, 1<<20, 60<<10)
		start := time.Now()
		wg.Go(func() {
			for { // a byte now and then keeps nothing alive
				if _, err := slow.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		})
		_, err := io.ReadAll(stalled)
		require.NoError(t, err, "the server hangs up")
		require.Equal(t, 30*time.Second, time.Since(start))
		_, err = io.ReadAll(slow)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		require.NoError(t, stalled.Close())
		require.NoError(t, slow.Close())
		wg.Wait()
		require.NoError(t, s.Close())
	})
}

// TestIdleAfterALargeFrame: the haste is over with the frame.
func TestIdleAfterALargeFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.Handle(testProtocol, 1, newEcho())
		var wg sync.WaitGroup
		ours, theirs := net.Pipe()
		wg.Go(func() { s.ServeConn(theirs) })
		_, err := ours.Write(append([]byte("hrpc\x09\x00\x00"), contextFrame(t, user)...))
		require.NoError(t, err)
		for _, size := range []int{1 << 20, 10, 1 << 20} {
			wg.Go(func() { _, _ = ours.Write(callFrame(t, 1, "echo", string(make([]byte, size)))) })
			h, _ := answerOf(t, ours)
			require.Equal(t, hdfspb.RpcResponseHeader_SUCCESS, h.GetStatus())
			time.Sleep(time.Hour)
		}
		require.NoError(t, ours.Close())
		wg.Wait()
		require.NoError(t, s.Close())
	})
}
