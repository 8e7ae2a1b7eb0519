package namenode

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// names lists a directory.
func (r *rig) list(p string) (names []string) {
	r.t.Helper()
	l, err := r.Listing(by("root"), p, "", false)
	require.NoError(r.t, err)
	require.NotNil(r.t, l, "%s is there", p)
	for _, e := range l.Entries {
		names = append(names, e.Name)
	}
	return names
}

// trashed puts a file where a client moves what its user deletes.
func (r *rig) trashed(user, name string) {
	r.t.Helper()
	r.write("/tmp-"+name, 10)
	r.mkdir("root", "/user/"+user+"/.Trash/Current", 0o700)
	require.NoError(r.t, r.Rename2(ctx, by("root"), "/tmp-"+name, "/user/"+user+"/.Trash/Current/"+name, dfs.RenameOptions{ToTrash: true}))
}

func withTrash(interval, checkpoint time.Duration) func(*Config) {
	return func(c *Config) {
		c.Files.Trash = TrashConfig{Interval: interval, Checkpoint: checkpoint, Zone: time.UTC}
	}
}

// Virtual time begins at 2000-01-01 00:00:00.
func TestTrashIsEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, withTrash(10*time.Minute, 4*time.Minute))
		defer r.stop()
		r.trashed("alice", "a")
		r.mkdir("root", "/user/bob", 0o755)
		r.write("/user/carol/.Trash", 1) // a file is no trash
		r.pass(3 * time.Minute)
		require.Equal(t, []string{"Current"}, r.list("/user/alice/.Trash"), "not before the clock has a round number")
		r.pass(time.Minute + 2*time.Second)
		require.Equal(t, []string{"000101000400"}, r.list("/user/alice/.Trash"))
		r.trashed("alice", "b")
		r.pass(4 * time.Minute)
		require.Equal(t, []string{"000101000400", "000101000800"}, r.list("/user/alice/.Trash"))
		require.Equal(t, []string{"b"}, r.list("/user/alice/.Trash/000101000800"))
		r.pass(4 * time.Minute) // 00:12: the first one is 8 minutes old
		require.Len(t, r.list("/user/alice/.Trash"), 2)
		r.pass(4 * time.Minute) // 00:16: 12 minutes
		require.Equal(t, []string{"000101000800"}, r.list("/user/alice/.Trash"))
		r.pass(4 * time.Minute)
		require.Empty(t, r.list("/user/alice/.Trash"))
		require.Equal(t, int64(1), r.stat("/user/carol/.Trash").Length)
		require.Empty(t, r.list("/user/bob"))
	})
}

func TestTrashNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, withTrash(time.Hour, 0), func(c *Config) { c.Files.Trash.Homes = "/home" })
		defer r.stop()
		now := time.Now().In(time.UTC).Add(time.Hour).Format(trashLayout)
		for _, name := range []string{now, now + "-1", "991231200000-7", "9912312000", "notes", "991399000000", "Current"} {
			r.mkdir("root", "/home/x/.Trash/"+name, 0o755)
		}
		r.mkdir("root", "/user/x/.Trash/991231200000", 0o755)
		r.pass(time.Hour + 2*time.Second)
		require.Equal(t, []string{now, now + "-1", now + "-2", "991399000000", "notes"}, r.list("/home/x/.Trash"), "the old ones go, Current gets a free name, what is no time stays")
		require.Equal(t, []string{"991231200000"}, r.list("/user/x/.Trash"), "homes are elsewhere")
	})
}

func TestTrashCleanRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, withTrash(time.Minute, time.Minute), func(c *Config) { c.Files.Trash.CleanRoot = true })
		defer r.stop()
		r.mkdir("root", "/user/x/.Trash/notes", 0o755)
		r.pass(time.Minute + 2*time.Second)
		require.Empty(t, r.list("/user/x/.Trash"))
	})
}

// A round that comes due in safe mode waits for its end; without fs.trash.interval there is none.
func TestTrashWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, withTrash(time.Minute, 0))
		defer r.stop()
		r.trashed("alice", "a")
		_, err := r.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
		require.NoError(t, err)
		r.pass(90 * time.Second)
		require.Equal(t, []string{"Current"}, r.list("/user/alice/.Trash"))
		_, err = r.SetSafeMode(ctx, by("root"), dfs.SafeModeLeave)
		require.NoError(t, err)
		r.pass(2 * time.Second)
		require.Len(t, r.list("/user/alice/.Trash"), 1)
		require.NotContains(t, r.list("/user/alice/.Trash"), "Current")

		r.stop()
		r.cfg.Files.Trash.Interval = 0
		r.restart()
		r.trashed("alice", "b")
		r.pass(10 * time.Minute)
		require.Contains(t, r.list("/user/alice/.Trash"), "Current")
	})
}

// A round with many users is cut into steps.
func TestTrashOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, withTrash(time.Minute, 0))
		defer r.stop()
		for i := range 2*trashHomes + 7 {
			r.mkdir("root", fmt.Sprintf("/user/u%03d/.Trash/Current", i), 0o700)
		}
		r.pass(time.Minute + 2*time.Second)
		for i := range 2*trashHomes + 7 {
			require.Equal(t, []string{"000101000100"}, r.list(fmt.Sprintf("/user/u%03d/.Trash", i)))
		}
	})
}
