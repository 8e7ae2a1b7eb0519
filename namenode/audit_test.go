package namenode

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestAuditLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 19, 5, 7, 45_000_000, time.UTC)
	st := &dfs.FileStatus{Owner: "alice", Group: "staff", Mode: 0o1754}
	for _, tc := range []struct {
		name string
		c    dfs.Caller
		e    auditEntry
		want string
	}{
		{"create", dfs.Caller{User: "alice", Addr: netip.MustParseAddr("10.0.0.7")}, auditEntry{true, "create", "/x", "", st},
			"allowed=true\tugi=alice (auth:SIMPLE)\tip=/10.0.0.7\tcmd=create\tsrc=/x\tdst=null\tperm=alice:staff:rwxr-xr-T\tproto=rpc"},
		{"proxy, context", dfs.Caller{User: "alice", RealUser: "oozie", Protocol: "webhdfs", Context: "job 7"}, auditEntry{false, "rename", "/x", "/y", nil},
			"allowed=false\tugi=alice (auth:PROXY) via oozie (auth:SIMPLE)\tip=/127.0.0.1\tcmd=rename\tsrc=/x\tdst=/y\tperm=null\tproto=webhdfs\tcallerContext=job 7"},
		{"no forged lines", dfs.Caller{User: "a\nb\tc"}, auditEntry{true, "delete", "/x\r\n2026 INFO", "", nil},
			"allowed=true\tugi=a\\u000ab\\u0009c (auth:SIMPLE)\tip=/127.0.0.1\tcmd=delete\tsrc=/x\\u000d\\u000a2026 INFO\tdst=null\tperm=null\tproto=rpc"},
	} {
		got := string(appendAuditLine(nil, at, &tc.c, tc.e))
		require.Equal(t, "2026-11-22 19:05:07,045 INFO FSNamesystem.audit: "+tc.want+"\n", got, tc.name)
	}
}

func TestAppendMode(t *testing.T) {
	for mode, want := range map[dfs.Mode]string{0: "---------", 0o755: "rwxr-xr-x", 0o1777: "rwxrwxrwt", 0o1770: "rwxrwx--T", 0o421: "r---w---x"} {
		require.Equal(t, want, string(appendMode(nil, mode, 0)))
		require.Equal(t, "d"+want, string(appendMode(nil, mode, 'd')))
	}
}

func TestAuditLogKeepsEveryLine(t *testing.T) {
	var out bytes.Buffer // written by the log's goroutine only, read after close
	a := newAuditLog(&out, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				a.add(time.Now(), &dfs.Caller{User: "u"}, auditEntry{cmd: "open", src: "/some/longer/path/to/fill/the/buffer"})
			}
		})
	}
	wg.Wait()
	a.close()
	a.add(time.Now(), &dfs.Caller{}, auditEntry{cmd: "late"}) // dropped, not blocked
	require.Equal(t, 16000, strings.Count(out.String(), "cmd=open"))
	require.Equal(t, 16000, strings.Count(out.String(), "\n"))
	require.Nil(t, newAuditLog(nil, nil))
	(*auditLog)(nil).close()
}
