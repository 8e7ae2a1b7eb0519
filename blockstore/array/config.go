package array

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"redoubt/raid"
	"redoubt/vfs"
)

// Limits of an array.
const (
	MinMembers = raid.MinData + 1
	MaxMembers = raid.MaxData + 1
	maxUnit    = 1 << 20
	maxSpares  = 16
)

// Member is one directory of an array.
type Member struct {
	Dir string
	// FS holds Dir; nil is Config.FS.
	FS vfs.FS
}

// Config says what to open. FS (or one for each member) and Members must be set.
type Config struct {
	// FS holds the members that name no other. It is also where a directory that was
	// put in by Replace is looked for after a restart.
	FS vfs.FS
	// Members are the directories, 3 to 17, in any order once the array exists. A fresh
	// array is made when all of them are missing or empty. A directory that was replaced
	// may still be listed instead of its replacement: the others know.
	Members []Member
	// Spares are directories that stand in, unasked, for a member that fails. They are
	// missing or empty, or have stood in already.
	Spares []Member
	// Unit is the bytes of a stripe's unit, a multiple of 512, up to 1 MiB; 0 is
	// raid.DefaultUnit. It is fixed when the array is made; another one is refused later,
	// 0 takes the array's.
	Unit int64
	// RebuildRate limits a rebuild, in bytes a second written to the new member; 0 is no
	// limit.
	RebuildRate int64
	// OnEvent is told of what happens to members, one call at a time. It must not call
	// the array. May be nil.
	OnEvent func(Event)

	hole    bool  // for the benchmark that shows what closing the write hole costs
	ballast int64 // for tests: its size, if not ballastSize
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	MemberFailed    EventKind = "member failed"    // it is used no longer
	MemberMissing   EventKind = "member missing"   // at start
	MemberStale     EventKind = "member stale"     // at start: it has missed writes
	MemberMoved     EventKind = "member moved"     // at start: in another directory than it was
	RebuildStarted  EventKind = "rebuild started"  // onto a replacement or a spare
	RebuildFinished EventKind = "rebuild finished" // the array is whole again
	RebuildStopped  EventKind = "rebuild stopped"  // by an error
	UnitRepaired    EventKind = "unit repaired"    // a damaged unit was made new from the others
	StripeDamaged   EventKind = "stripe damaged"   // more than one unit of a stripe is bad
	SpareRefused    EventKind = "spare refused"    // too small, not empty, not usable
)

// Event is something that happened to a member of an array.
type Event struct {
	Kind EventKind
	Dir  string // of the member; "" if none
	File string // that it is about, or ""
	Err  error  // why; may be nil
}

// String is the event's line in a log.
func (e Event) String() string {
	s := "raid5: " + string(e.Kind)
	if e.Dir != "" {
		s += " " + e.Dir
	}
	if e.File != "" {
		s += " (" + e.File + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Parse reads the volume syntax "raid5:DIR,DIR,DIR[,...][,spare=DIR...]" and tells
// whether a volume is one at all: without the prefix all results are zero.
func Parse(volume string) (members, spares []string, is bool, err error) {
	list, is := strings.CutPrefix(volume, "raid5:")
	if !is {
		return nil, nil, false, nil
	}
	for dir := range strings.SplitSeq(list, ",") {
		dir = strings.TrimSpace(dir)
		spare, isSpare := strings.CutPrefix(dir, "spare=")
		switch {
		case isSpare && spare != "":
			spares = append(spares, path.Clean(spare))
		case !isSpare && dir != "":
			members = append(members, path.Clean(dir))
		default:
			return nil, nil, true, fmt.Errorf("array: %q has an empty directory", volume)
		}
	}
	c := Config{FS: vfs.OS()}
	for _, d := range members {
		c.Members = append(c.Members, Member{Dir: d})
	}
	for _, d := range spares {
		c.Spares = append(c.Spares, Member{Dir: d})
	}
	return members, spares, true, c.Validate()
}

// Validate lists everything that is wrong with a configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("array: "+format, args...))
	}
	if n := len(c.Members); n < MinMembers || n > MaxMembers {
		bad("%d members: RAID-5 needs %d to %d", n, MinMembers, MaxMembers)
	}
	if n := len(c.Spares); n > maxSpares {
		bad("%d spares, more than %d", n, maxSpares)
	}
	if c.Unit < 0 || c.Unit > maxUnit || c.Unit%512 != 0 {
		bad("a unit of %d bytes: it must be a multiple of 512, at most %d", c.Unit, maxUnit)
	}
	if c.RebuildRate < 0 {
		bad("a rebuild rate of %d bytes a second", c.RebuildRate)
	}
	all := append(append([]Member(nil), c.Members...), c.Spares...)
	for i, m := range all {
		if m.Dir == "" {
			bad("a member without a directory")
			continue
		}
		if c.fsOf(m) == nil {
			bad("no file system for %s", m.Dir)
		}
		for _, other := range all[:i] {
			if other.Dir == "" || c.fsOf(m) != c.fsOf(other) {
				continue
			}
			switch nested(other.Dir, m.Dir) {
			case sameDir:
				bad("%s is given twice", m.Dir)
			case oneInside:
				bad("%s and %s lie in one another", other.Dir, m.Dir)
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) fsOf(m Member) vfs.FS {
	if m.FS != nil {
		return m.FS
	}
	return c.FS
}

const (
	apart = iota
	sameDir
	oneInside
)

func nested(a, b string) int {
	a, b = path.Clean(a), path.Clean(b)
	if a == b {
		return sameDir
	}
	if a == "/" || b == "/" || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return oneInside
	}
	return apart
}
