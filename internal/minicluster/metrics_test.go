package minicluster_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"redoubt/internal/minicluster"
)

// TestMetrics holds names and units of both servers' metrics against Prometheus' rules,
// and that what an operator asks for is there.
func TestMetrics(t *testing.T) {
	c := start(t, minicluster.Config{Datanodes: 1})
	write(t, open(t, c), "/f", []byte("x"))
	for addr, names := range map[string][]string{
		c.HTTPAddr(): {"redoubt_rpc_call_seconds_bucket", "redoubt_rpc_call_failures_total", "redoubt_namenode_commit_seconds_bucket",
			"redoubt_namenode_journal_sync_seconds_bucket", "redoubt_namenode_journal_batches_total", "redoubt_namenode_checkpoints_total",
			"redoubt_namenode_name_directory_up", "redoubt_namenode_objects", "redoubt_namenode_blocks", "redoubt_namenode_datanodes",
			"redoubt_namenode_capacity_bytes", "redoubt_namenode_safe_mode", "go_goroutines"},
		c.DataNode(0).HTTPAddr().String(): {"redoubt_datanode_op_seconds", "redoubt_datanode_volume_used_bytes", "redoubt_datanode_volume_failed", "redoubt_datanode_read_bytes_total",
			"redoubt_datanode_written_bytes_total"},
	} {
		resp, err := http.Get("http://" + addr + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		problems, err := promlint.New(bytes.NewReader(text)).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		for _, name := range names {
			require.Contains(t, string(text), name)
		}
	}
}
