package namenode

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
)

// TrashConfig is about what users have deleted into their trash.
type TrashConfig struct {
	Interval   time.Duration // fs.trash.interval: how long it stays; 0: there is no trash, and no emptier
	Checkpoint time.Duration // fs.trash.checkpoint.interval: how often it is set aside; 0 or above Interval: Interval
	Homes      string        // dfs.user.home.dir.prefix, "/user"
	CleanRoot  bool          // fs.trash.clean.trashroot.enable: what is no checkpoint is removed too
	Zone       *time.Location
}

// Names below a user's home.
const (
	trashDir        = ".Trash"
	trashCurrent    = "Current"
	trashLayout     = "060102150405"
	trashOldLayout  = "0601021504"
	trashHomes      = 100  // homes looked at in one step of a round
	checkpointTries = 1000 // names tried for one checkpoint
)

// emptier removes what has been in the users' trash for long enough. Whenever a checkpoint
// interval ends by the clock, it removes every checkpoint that is old enough and makes a
// new one of what is in the trash, user by user: what was deleted stays for Interval and at
// most a checkpoint interval longer. Only the name node's one goroutine uses it, and only
// where the name node may change anything.
type emptier struct {
	cfg   TrashConfig
	next  time.Time // when the next round begins
	round time.Time // of the round under way; zero: none is
	after string    // the last home that it has seen to
}

func newEmptier(cfg TrashConfig, now time.Time) *emptier {
	if cfg.Checkpoint <= 0 || cfg.Checkpoint > cfg.Interval {
		cfg.Checkpoint = cfg.Interval
	}
	e := &emptier{cfg: cfg}
	if cfg.Interval > 0 {
		e.next = e.ceiling(now)
	}
	return e
}

// ceiling is the next multiple of the checkpoint interval since 1970, as Hadoop's emptier
// counts.
func (e *emptier) ceiling(now time.Time) time.Time {
	step := e.cfg.Checkpoint.Milliseconds()
	return time.UnixMilli((now.UnixMilli()/step + 1) * step)
}

// emptyTrash does the next step of a round, if one is due, and asks for another tick while
// the round is not over. A round that comes due in safe mode waits for its end.
func (n *NameNode) emptyTrash(ctx context.Context, now time.Time) {
	e := n.trash
	if e.cfg.Interval <= 0 || n.safe.isOn() {
		return
	}
	if e.round.IsZero() {
		if now.Before(e.next) {
			return
		}
		e.round, e.after, e.next = now, "", e.ceiling(now)
	}
	c := &dfs.Caller{User: n.cfg.Superuser, Context: "trash emptier"}
	homes, err := n.Listing(c, e.cfg.Homes, e.after, false)
	if err != nil || homes == nil || len(homes.Entries) == 0 {
		if err != nil {
			n.log.Warn("trash: home directories can't be listed", "path", e.cfg.Homes, "err", err)
		}
		e.round = time.Time{}
		return
	}
	more := homes.Remaining > 0 || len(homes.Entries) > trashHomes
	for _, home := range homes.Entries[:min(len(homes.Entries), trashHomes)] {
		e.after = home.Name
		root := path.Join(e.cfg.Homes, home.Name, trashDir)
		if err := n.emptyRoot(ctx, c, root); err != nil {
			n.log.Warn("trash: skipped in this round", "path", root, "err", err)
		}
	}
	if !more {
		e.round = time.Time{}
		return
	}
	n.wakeTick()
}

// emptyRoot sees to one user's trash.
func (n *NameNode) emptyRoot(ctx context.Context, c *dfs.Caller, root string) error {
	st, err := n.FileInfo(c, root, false)
	if err != nil || st == nil || st.Type != dfs.TypeDirectory {
		return err
	}
	current := false
	for after := ""; ; {
		page, err := n.Listing(c, root, after, false)
		if err != nil || page == nil {
			return err
		}
		for _, entry := range page.Entries {
			after = entry.Name
			if entry.Name == trashCurrent {
				current = true
			} else if err := n.emptyCheckpoint(ctx, c, root, entry.Name); err != nil {
				return err
			}
		}
		if page.Remaining == 0 || len(page.Entries) == 0 {
			break
		}
	}
	if !current {
		return nil
	}
	return n.checkpointTrash(ctx, c, root)
}

// emptyCheckpoint removes a checkpoint whose time has come.
func (n *NameNode) emptyCheckpoint(ctx context.Context, c *dfs.Caller, root, name string) error {
	e := n.trash
	whole := path.Join(root, name)
	made, ok := checkpointTime(name, e.cfg.Zone)
	switch {
	case !ok && !e.cfg.CleanRoot:
		n.log.Warn("trash: not a checkpoint, left alone", "path", whole)
		return nil
	case ok && e.round.Sub(made) <= e.cfg.Interval:
		return nil
	}
	_, err := n.Delete(ctx, c, whole, true)
	if err == nil {
		n.log.Info("trash: removed", "path", whole)
	}
	return err
}

// checkpointTrash sets what is in a trash aside under the time of the round.
func (n *NameNode) checkpointTrash(ctx context.Context, c *dfs.Caller, root string) error {
	name := n.trash.round.In(n.trash.cfg.Zone).Format(trashLayout)
	target := path.Join(root, name)
	for try := 1; ; try++ {
		err := n.Rename2(ctx, c, path.Join(root, trashCurrent), target, dfs.RenameOptions{})
		if err == nil {
			n.log.Info("trash: checkpoint made", "path", target)
			return nil
		}
		if !dfs.Is(err, dfs.AlreadyExists) || try > checkpointTries {
			return err
		}
		target = path.Join(root, name+"-"+strconv.Itoa(try))
	}
}

// checkpointTime reads the name of a checkpoint: a time, to the second or as old clients
// wrote it to the minute, and perhaps a number that made it unique.
func checkpointTime(name string, zone *time.Location) (time.Time, bool) {
	digits := name[:len(name)-len(strings.TrimLeft(name, "0123456789"))]
	for _, layout := range []string{trashLayout, trashOldLayout} {
		if len(digits) < len(layout) {
			continue
		}
		if t, err := time.ParseInLocation(layout, digits[:len(layout)], zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
