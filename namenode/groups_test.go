package namenode

import (
	"errors"
	"os/user"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStaticGroups(t *testing.T) {
	got, err := ParseStaticGroups("alice=staff,dev; bob= ;; dr.who=;carol = ops ")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"alice": {"staff", "dev"}, "bob": {}, "dr.who": {}, "carol": {"ops"}}, got)

	for _, bad := range []string{"=x", "a=b=c", "a=b;a=c"} {
		_, err := ParseStaticGroups(bad)
		require.Error(t, err, bad)
	}
}

func TestStaticGroupsGoOnToNext(t *testing.T) {
	s := StaticGroups{Table: map[string][]string{"a": {}}, Next: StaticGroups{Table: map[string][]string{"a": {"no"}, "b": {"g"}}}}
	g, err := s.Groups("a")
	require.NoError(t, err)
	require.Empty(t, g)
	g, err = s.Groups("b")
	require.NoError(t, err)
	require.Equal(t, []string{"g"}, g)
	g, err = s.Groups("c")
	require.NoError(t, err)
	require.Empty(t, g)
}

func TestOSGroups(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err)
	g, err := OSGroups{}.Groups(me.Username)
	require.NoError(t, err)
	require.NotEmpty(t, g)
	primary, err := user.LookupGroupId(me.Gid)
	require.NoError(t, err)
	require.Equal(t, primary.Name, g[0])

	g, err = OSGroups{}.Groups("no-such-user-here")
	require.NoError(t, err)
	require.Empty(t, g)
}

type countingGroups struct {
	calls int
	err   error
	g     []string
}

func (c *countingGroups) Groups(string) ([]string, error) { c.calls++; return c.g, c.err }

func TestGroupCache(t *testing.T) {
	src := &countingGroups{g: []string{"x"}}
	c := newGroupCache(src, time.Minute)
	now := time.Unix(1000, 0)
	for range 3 {
		g, err := c.lookup("u", now)
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, g)
	}
	require.Equal(t, 1, src.calls)

	src.g = []string{"y"}
	g, _ := c.lookup("u", now.Add(2*time.Minute))
	require.Equal(t, []string{"y"}, g)

	// A source that fails later leaves what it said last; for a new user it is an error.
	src.err = errors.New("down")
	g, err := c.lookup("u", now.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{"y"}, g)
	_, err = c.lookup("v", now)
	require.Error(t, err)

	c.forget()
	_, err = c.lookup("u", now)
	require.Error(t, err)
}

func TestGroupCacheLookupAllocatesNothing(t *testing.T) {
	c := newGroupCache(&countingGroups{g: []string{"x"}}, time.Hour)
	now := time.Now()
	_, err := c.lookup("u", now)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.lookup("u", now) }))
}

func TestGroupCacheIsBounded(t *testing.T) {
	c := newGroupCache(&countingGroups{}, time.Hour)
	full := map[string]groupEntry{}
	for i := range maxCachedUsers {
		full[string(rune(i))+"u"] = groupEntry{}
	}
	c.ptr.Store(&full)
	_, err := c.lookup("one more", time.Now())
	require.NoError(t, err)
	require.Len(t, *c.ptr.Load(), 1)
}
