package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSettingsOfTheShell: what -D and files say counts by old names too, has its warning, or
// is refused.
func TestSettingsOfTheShell(t *testing.T) {
	var errOut bytes.Buffer
	options := func(args ...string) (*env, error) {
		errOut.Reset()
		e := &env{stderr: &errOut}
		_, err := e.genericOptions(append(args, "-ls"))
		return e, err
	}
	e, err := options("-D", "dfs.block.size=2m", "-fs", "hdfs://h:1", "-D", "dfs.client.use.datanode.hostname=true")
	require.NoError(t, err)
	require.Equal(t, "2m", e.config.get("dfs.blocksize", ""))
	require.Empty(t, errOut.String())

	_, err = options("-D", "dfs.replicaton=1", "-D", "dfs.datanode.du.reserved=1", "-D", "dfs.client.socket-timeout=1", "-D", "yarn.x=1")
	require.NoError(t, err)
	require.Equal(t, `fs: warning: -D dfs.client.socket-timeout, dfs.datanode.du.reserved: is a setting of the datanode
fs: warning: -D dfs.replicaton: is not a setting that Hadoop or Redoubt knows; is dfs.replication meant?
fs: warning: -D yarn.x: is not a setting that Hadoop or Redoubt knows
`, errOut.String())

	_, err = options("-D", "dfs.encrypt.data.transfer=true")
	require.EqualError(t, err, `-D: dfs.encrypt.data.transfer = "true": want false: blocks are not encrypted in transfer`)
	_, err = options("-D", "dfs.http.policy=HTTPS_ONLY")
	require.NoError(t, err, "servers' business")

	file := filepath.Join(t.TempDir(), "site.xml")
	require.NoError(t, os.WriteFile(file, []byte(`<configuration><property><name>hadoop.rpc.protection</name><value>privacy</value></property></configuration>`), 0o600))
	_, err = options("-conf", file)
	require.ErrorContains(t, err, file+`: hadoop.rpc.protection = "privacy": want authentication`)
}
