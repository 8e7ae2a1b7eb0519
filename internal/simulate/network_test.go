package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
)

// pair connects two hosts.
func pair(t *testing.T, n *Network) (a, b *Host, ca, cb net.Conn) {
	a, b = n.Host("10.1.0.1"), n.Host("10.1.0.2")
	l, err := b.Listen(t.Context(), "0.0.0.0:7000")
	require.NoError(t, err)
	ca, err = a.Dial(t.Context(), "10.1.0.2:7000")
	require.NoError(t, err)
	cb, err = l.Accept()
	require.NoError(t, err)
	return a, b, ca, cb
}

func TestNetworkKeepsOrderAndTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ca, cb := pair(t, NewNetwork(time.Millisecond, 1, nil))
		begun := time.Now()
		for i := range 100 {
			_, err := ca.Write([]byte{byte(i)})
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(begun), "writes don't wait")
		require.NoError(t, ca.Close())
		got, err := io.ReadAll(cb)
		require.NoError(t, err)
		require.Len(t, got, 100)
		for i, b := range got {
			require.Equal(t, byte(i), b)
		}
		took := time.Since(begun)
		require.True(t, time.Millisecond <= took && took < 2*time.Millisecond, "%v", took)
	})
}

func TestNetworkDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ca, cb := pair(t, NewNetwork(time.Millisecond, 1, nil))
		require.NoError(t, cb.SetReadDeadline(time.Now().Add(time.Second)))
		begun := time.Now()
		_, err := cb.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		require.True(t, ne.Timeout())
		go func() { _ = cb.SetReadDeadline(time.Now().Add(-1)) }() // wakes a Read that waits
		require.NoError(t, cb.SetReadDeadline(time.Time{}))
		_, err = cb.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, ca.SetWriteDeadline(time.Now().Add(-1)))
		_, err = ca.Write([]byte{1})
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

// What was sent before a death arrives; after it the others get an error, or silence.
func TestNetworkDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, ca, cb := pair(t, NewNetwork(time.Millisecond, 1, nil))
		_, err := ca.Write([]byte("last"))
		require.NoError(t, err)
		a.Kill(Reset)
		_, err = ca.Write([]byte("never"))
		require.ErrorIs(t, err, syscall.ENETDOWN)
		buf := make([]byte, 10)
		k, err := cb.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "last", string(buf[:k]))
		_, err = cb.Read(buf)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = cb.Write(buf)
		require.ErrorIs(t, err, syscall.EPIPE)
	})
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(time.Millisecond, 1, nil)
		a, b, _, cb := pair(t, n)
		a.Kill(Silent)
		buf := make([]byte, 10)
		_, err := cb.Write(buf)
		require.NoError(t, err, "nobody says that nobody is there")
		require.NoError(t, cb.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = cb.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = b.Dial(ctx, "10.1.0.1:80")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		n.Host("10.1.0.1") // it is back, and knows nothing
		_, err = b.Dial(t.Context(), "10.1.0.1:80")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, cb.SetReadDeadline(time.Time{}))
		_, err = cb.Read(buf)
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestNetworkCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(time.Millisecond, 1, nil)
		_, _, ca, cb := pair(t, n)
		n.Cut("10.1.0.1", "10.1.0.2", true)
		_, err := ca.Write([]byte("held"))
		require.NoError(t, err)
		_, err = cb.Write([]byte("other way"))
		require.NoError(t, err)
		buf := make([]byte, 20)
		k, err := ca.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "other way", string(buf[:k]))
		begun := time.Now()
		go func() {
			time.Sleep(time.Hour)
			n.Cut("10.1.0.1", "10.1.0.2", false)
		}()
		k, err = cb.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "held", string(buf[:k]))
		require.Equal(t, time.Hour, time.Since(begun))
	})
}

// TestLossIsSeen proves that the judge judges: with a single replica the death of its
// datanode must be found out.
func TestLossIsSeen(t *testing.T) {
	sc := &script{name: "single", cfg: Config{Datanodes: 2}, run: func(s *session) {
		s.write("/a", 3000, 1, client.CreateOptions{Replication: 1})
		s.check("/a")
	}}
	_, events := play(t, sc, fate{seed: 1})
	for i := range 60 { // which of the two has it is chance
		victim := fmt.Sprintf("data%d", 1+i%2)
		s, _ := play(t, sc, fate{victim: victim, at: events - 1 - i%10, seed: uint64(4 + 8*i)}) // killed, and not only cut off
		if err := errors.Join(s.wrong...); err != nil && strings.Contains(err.Error(), "right after the kill: read /a") {
			return
		}
	}
	require.Fail(t, "the only replica was never missed")
}
