package namenode

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

func TestLeaseClock(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	l := newLeaseClock(60*time.Second, 20*time.Minute, t0)

	// A holder that the clock does not know, from before a restart, counts from the start.
	require.False(t, l.softExpired("old", at(60)))
	require.True(t, l.softExpired("old", at(61)))

	l.touch("a", at(10))
	l.renew("a", at(100))
	l.renew("stranger", at(100))
	require.Len(t, l.last, 1)
	require.False(t, l.softExpired("a", at(160)))
	require.True(t, l.softExpired("a", at(161)))

	require.Empty(t, l.hardExpired(at(1300)))
	require.Equal(t, []string{"a"}, l.hardExpired(at(1301)))

	require.Empty(t, l.quiet(at(160)))
	require.Equal(t, []string{"a"}, l.quiet(at(161)))
	l.forget("a", at(99))
	require.Len(t, l.last, 1, "touched after the decision to forget")
	l.forget("a", at(100))
	require.Empty(t, l.last)
}

func TestSafeMode(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	cfg := SafeModeConfig{Threshold: 0.999, MinDatanodes: 2, Extension: 30 * time.Second}

	s := newSafeMode(cfg)
	require.True(t, s.isStartup())
	require.False(t, s.update(blockCounts{safe: 0, total: 10, live: 0}, at(0)))
	err := s.check("create file", "/x", at(0))
	require.True(t, dfs.Is(err, dfs.SafeMode))
	require.Equal(t, "Cannot create file/x. Name node is in safe mode.\n0 of 10 blocks are reported, 9 are needed (threshold 0.9990). "+
		"0 datanodes are live, 2 are needed. It ends by itself once that is reached.", err.Error())

	require.False(t, s.update(blockCounts{safe: 9, total: 10, live: 1}, at(1)), "one datanode is missing")
	require.False(t, s.update(blockCounts{safe: 9, total: 10, live: 2}, at(2)), "the extension begins")
	require.Contains(t, s.explain(at(12)), "in 20 seconds")
	require.False(t, s.update(blockCounts{safe: 8, total: 10, live: 2}, at(20)), "and is broken off")
	require.False(t, s.update(blockCounts{safe: 10, total: 10, live: 2}, at(30)))
	require.False(t, s.update(blockCounts{safe: 10, total: 10, live: 2}, at(59)))
	require.True(t, s.update(blockCounts{safe: 10, total: 10, live: 2}, at(60)))
	require.False(t, s.isOn())
	require.NoError(t, s.check("create file", "/x", at(60)))
	require.False(t, s.update(blockCounts{}, at(61)), "only a start turns it on by itself")
	require.False(t, s.isOn())

	s.enter()
	require.True(t, s.isOn())
	require.False(t, s.isStartup())
	require.Contains(t, s.explain(at(62)), "by hand")
	require.False(t, s.update(blockCounts{safe: 10, total: 10, live: 2}, at(100)))
	require.True(t, s.isOn())
	s.leave()
	require.False(t, s.isOn())
}

func TestSafeModeOfAnEmptyNamespaceEndsAtOnce(t *testing.T) {
	s := newSafeMode(Config{}.withDefaults().SafeMode)
	require.True(t, s.update(blockCounts{}, time.Unix(1, 0)))
	require.False(t, s.isOn())
}

func TestSafeModeByHandOutlastsTheStart(t *testing.T) {
	s := newSafeMode(SafeModeConfig{Threshold: 1, Extension: -1})
	s.enter()
	require.False(t, s.update(blockCounts{safe: 1, total: 1}, time.Unix(1, 0)))
	require.True(t, s.isOn())
	s.leave()
	require.False(t, s.isOn())
}

func TestConfigValidateNamesEveryFault(t *testing.T) {
	require.NoError(t, Config{NameDirs: []string{"a"}, Superuser: "me"}.Validate())
	err := Config{
		NameDirs: []string{"a", "a", ""},
		Files:    FileConfig{Defaults: dfs.ServerDefaults{BlockSize: 1000, Replication: 9}, MaxReplication: 5, ListLimit: -1},

		Leases: LeaseConfig{Soft: time.Hour, Hard: time.Minute},
	}.Validate()
	for _, part := range []string{"a is given twice", "a directory is empty", "superuser", "dfs.blocksize 1000 is below", "not a multiple", "dfs.replication 9", "dfs.ls.limit -1", "lease limits"} {
		require.ErrorContains(t, err, part)
	}
}
