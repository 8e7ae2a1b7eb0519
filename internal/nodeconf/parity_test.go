package nodeconf_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/blockmanager"
	"redoubt/internal/nodeconf"
	"redoubt/namenode"
)

// TestParityGroups: what the keys of parity groups mean to a name node.
func TestParityGroups(t *testing.T) {
	read := func(overrides ...string) namenode.Config {
		cfg, err := nodeconf.NameNode(load(t, overrides...))
		require.NoError(t, err)
		return cfg
	}
	cfg := read()
	require.Equal(t, blockmanager.Folding{Idle: 30 * time.Second, Streams: 2, Retry: 30 * time.Second, Hold: 2 * time.Minute}, cfg.Blocks.Parity)
	require.Equal(t, 7*24*time.Hour, cfg.Files.Parity.ScrubPeriod)
	cfg = read("redoubt.raid.fold.idle=250ms", "redoubt.raid.fold.streams=5", "redoubt.raid.fold.retry=1", "redoubt.raid.hold=1m", "redoubt.raid.scrub.period=0")
	require.Equal(t, blockmanager.Folding{Idle: 250 * time.Millisecond, Streams: 5, Retry: time.Second, Hold: time.Minute}, cfg.Blocks.Parity)
	require.Negative(t, cfg.Files.Parity.ScrubPeriod, "never")
}
