package namenode

import (
	"errors"
	"fmt"
	"maps"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"
)

// GroupSource finds the groups of a user, the primary one first. A user that the source
// does not know has no groups; an error says that the source could not be asked.
type GroupSource interface {
	Groups(user string) ([]string, error)
}

// OSGroups asks the operating system.
type OSGroups struct{}

// Groups looks user up in the operating system's user data base.
func (OSGroups) Groups(name string) ([]string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, unknown := err.(user.UnknownUserError); unknown || isUnmapped(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("namenode: user %q: %w", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("namenode: groups of %q: %w", name, err)
	}
	// The primary group goes first, whatever order the data base has.
	if i := slices.Index(ids, u.Gid); i > 0 {
		ids = slices.Concat([]string{u.Gid}, ids[:i], ids[i+1:])
	}
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		g, err := user.LookupGroupId(id)
		if err != nil {
			names = append(names, id) // a group without a name goes by its number
			continue
		}
		names = append(names, g.Name)
	}
	return names, nil
}

// isUnmapped: Windows' ERROR_NONE_MAPPED says that it knows no such account.
func isUnmapped(err error) bool {
	var errno syscall.Errno
	return runtime.GOOS == "windows" && errors.As(err, &errno) && errno == 1332
}

// StaticGroups answers from a table first and asks Next for users outside of it.
type StaticGroups struct {
	Table map[string][]string
	Next  GroupSource // nil: nobody
}

// Groups gives user's entry in the table, or else what Next says.
func (s StaticGroups) Groups(user string) ([]string, error) {
	if g, ok := s.Table[user]; ok {
		return g, nil
	}
	if s.Next == nil {
		return nil, nil
	}
	return s.Next.Groups(user)
}

// ParseStaticGroups reads the form of hadoop.user.group.static.mapping.overrides:
// "user1=group1,group2;user2=;user3=group2".
func ParseStaticGroups(spec string) (map[string][]string, error) {
	table := map[string][]string{}
	for _, part := range strings.Split(spec, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, list, _ := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if name == "" || strings.Contains(list, "=") {
			return nil, fmt.Errorf("namenode: group mapping %q: want user=group,group", part)
		}
		if _, twice := table[name]; twice {
			return nil, fmt.Errorf("namenode: group mapping names user %q twice", name)
		}
		groups := []string{}
		for _, g := range strings.Split(list, ",") {
			if g = strings.TrimSpace(g); g != "" {
				groups = append(groups, g)
			}
		}
		table[name] = groups
	}
	return table, nil
}

// groupCache remembers what a GroupSource said. Look-ups of a known user take no lock
// and allocate nothing; an entry that is too old is renewed by the one who finds it so.
type groupCache struct {
	source GroupSource
	ttl    time.Duration
	flight singleflight.Group
	mu     sync.Mutex // held to replace entries
	ptr    atomic.Pointer[map[string]groupEntry]
}

type groupEntry struct {
	groups []string
	until  time.Time
}

// maxCachedUsers bounds the memory that made-up user names can cost.
const maxCachedUsers = 10_000

func newGroupCache(source GroupSource, ttl time.Duration) *groupCache {
	c := &groupCache{source: source, ttl: ttl}
	c.ptr.Store(&map[string]groupEntry{})
	return c
}

// lookup gives user's groups as of at most the cache's age before now. If the source
// fails, what it said last stays in use.
func (c *groupCache) lookup(user string, now time.Time) ([]string, error) {
	e, ok := (*c.ptr.Load())[user]
	if ok && now.Before(e.until) {
		return e.groups, nil
	}
	v, err, _ := c.flight.Do(user, func() (any, error) {
		g, err := c.source.Groups(user)
		if err != nil {
			return nil, err
		}
		c.store(user, groupEntry{groups: g, until: now.Add(c.ttl)})
		return g, nil
	})
	if err != nil {
		if ok {
			return e.groups, nil
		}
		return nil, err
	}
	return v.([]string), nil
}

func (c *groupCache) store(user string, e groupEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.ptr.Load()
	next := map[string]groupEntry{}
	if len(old) < maxCachedUsers {
		next = maps.Clone(old)
	}
	next[user] = e
	c.ptr.Store(&next)
}

// forget drops everything, as refreshUserToGroupsMappings asks for.
func (c *groupCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ptr.Store(&map[string]groupEntry{})
}
