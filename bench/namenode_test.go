package bench

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/wire/hadooprpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers like a name node to which everything succeeds, except creating files
// whose path ends in "13"; it counts calls by method.
func serve(t *testing.T) (addr string, counts func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	n := map[string]int{}
	s := &hadooprpc.Server{}
	s.Handle(clientProtocol, 1, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		mu.Lock()
		n[c.Method]++
		mu.Unlock()
		switch {
		case c.Method == "create" && strings.Contains(string(c.Body), "/f13\x12"):
			c.Fail("java.io.IOException", "unlucky")
		default:
			c.ReplyBytes([]byte{8, 1})
		}
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return l.Addr().String(), func() map[string]int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestNameNode(t *testing.T) {
	addr, counts := serve(t)
	var got []string
	cpu := time.Duration(0)
	err := NameNode(context.Background(), NameNodeOptions{
		Addr: addr, User: "u", Conns: 3, Depth: 5, N: 100,
		CPU: func() (time.Duration, error) { cpu += time.Second; return cpu, nil },
	}, func(r Result) {
		got = append(got, r.Op)
		require.Equal(t, 100, r.N)
		require.Positive(t, r.PerSecond)
		require.LessOrEqual(t, r.P50, r.P99)
		require.LessOrEqual(t, r.P99, r.Max)
		require.Equal(t, 10*time.Millisecond, r.CPU)
		if r.Op == "create" {
			require.Equal(t, 1, r.Errors)
			require.Contains(t, r.FirstError, "unlucky")
		} else {
			require.Zero(t, r.Errors, r.FirstError)
		}
	})
	require.NoError(t, err)
	require.Equal(t, Ops, got)
	require.Equal(t, map[string]int{"mkdirs": 102, "create": 100, "complete": 99, "getFileInfo": 100, "getBlockLocations": 100,
		"getListing": 100, "setPermission": 100, "rename": 100, "delete": 101}, counts())
}

func TestOptions(t *testing.T) {
	o := NameNodeOptions{}
	require.NoError(t, o.Validate())
	require.True(t, strings.HasPrefix(o.Dir, "/redoubt-bench-"))
	for _, bad := range []NameNodeOptions{{Conns: 5, N: 2}, {Ops: []string{"fly"}}, {Dir: "/"}, {Dir: "x"}, {Depth: -1}} {
		require.Error(t, bad.Validate())
	}
	require.Error(t, NameNode(context.Background(), NameNodeOptions{Addr: "127.0.0.1:1", User: "u"}, nil))
}
