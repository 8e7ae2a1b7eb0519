package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"redoubt/dfs"
)

// lister is the state of one ls.
type lister struct {
	*invocation
	pathOnly, human, hide, reverse, byTime, bySize, accessTime, dirsAsFiles, policies bool
	repl, size, owner, group, policy                                                  int // column widths so far
}

var lsCmd = &shellCmd{
	name: "ls",
	args: "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [-e] [<path> ...]",
	help: "Lists files and the contents of directories, /user/NAME when no path is given. " +
		"A line has permissions, replication (- for a directory), owner, group, length, modification time and path.\n" +
		"  -C  paths alone\n  -d  directories themselves, not their contents\n  -h  sizes with a unit\n" +
		"  -q  ? for characters that can't be printed\n  -R  subdirectories too\n  -t  newest first\n" +
		"  -S  largest first\n  -r  the other way round\n  -u  time of last access\n  -e  the erasure coding policy",
	setup: setupLs,
}

var lsrCmd = &shellCmd{
	name: "lsr", args: lsCmd.args, help: "An old name of ls -R.", hidden: true, replace: "ls -R",
	setup: func(inv *invocation, args []string) ([]string, error) {
		return setupLs(inv, append([]string{"-R"}, args...))
	},
}

func setupLs(inv *invocation, args []string) ([]string, error) {
	f := flags{max: -1, names: []string{"C", "d", "h", "q", "R", "r", "t", "S", "u", "e"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	l := &lister{
		invocation: inv, repl: 3, size: 10,
		pathOnly: f.given["C"], human: f.given["h"], hide: f.given["q"], reverse: f.given["r"],
		byTime: f.given["t"], bySize: f.given["S"] && !f.given["t"], accessTime: f.given["u"],
		dirsAsFiles: f.given["d"], policies: f.given["e"],
	}
	inv.recursive = f.given["R"] && !l.dirsAsFiles
	inv.sorted = !inv.recursive || l.byTime || l.bySize || l.reverse
	if !l.pathOnly {
		inv.group = 100
	}
	inv.steps.found, inv.steps.batch, inv.steps.path = l.found, l.batch, l.show
	if len(args) == 0 {
		args = []string{"."}
	}
	return args, nil
}

// found lists a directory that is an argument.
func (l *lister) found(it *item) error {
	if !l.dirsAsFiles && it.isDir() {
		return l.processBelow(it)
	}
	return l.processFound(it)
}

func (l *lister) batch(parent *item, items []*item) error {
	if parent != nil && !l.recursive && len(items) > 0 && !l.pathOnly {
		fmt.Fprintf(l.out, "Found %d items\n", len(items))
	}
	if parent != nil && l.sorted {
		slices.SortStableFunc(items, l.order)
	}
	l.policy = 0 // of each listing by itself, unlike the other columns
	for _, it := range items {
		l.repl = max(l.repl, len(strconv.Itoa(int(it.stat.Replication))))
		l.size = max(l.size, len(strconv.FormatInt(it.stat.Length, 10)))
		l.owner = max(l.owner, utf8.RuneCountInString(it.stat.Owner))
		l.group = max(l.group, utf8.RuneCountInString(it.stat.Group))
		if l.policies {
			l.policy = max(l.policy, len(ecPolicy(it.stat)))
		}
	}
	return l.processPaths(items)
}

func (l *lister) order(a, b *item) int {
	var c int
	switch {
	case l.byTime:
		c = cmp.Compare(l.time(b), l.time(a))
	case l.bySize:
		c = cmp.Compare(b.stat.Length, a.stat.Length)
	default:
		c = comparePaths(a, b)
	}
	if l.reverse {
		return -c
	}
	return c
}

func (l *lister) time(it *item) int64 {
	if l.accessTime {
		return it.stat.AccessTime
	}
	return it.stat.ModTime
}

// show prints one line.
func (l *lister) show(it *item) error {
	name := it.String()
	if l.pathOnly {
		fmt.Fprintln(l.out, name)
		return nil
	}
	if l.hide {
		name = printable(name)
	}
	st := it.stat
	var b strings.Builder
	kind, repl := "-", strconv.Itoa(int(st.Replication))
	if it.isDir() {
		kind, repl = "d", "-"
	}
	b.WriteString(kind)
	b.WriteString(modeString(st.Mode))
	if st.Flags&dfs.FlagACL != 0 {
		b.WriteByte('+')
	} else {
		b.WriteByte(' ')
	}
	b.WriteString(pad(repl, l.repl, false) + " ")
	for _, c := range []struct {
		text  string
		width int
	}{{st.Owner, l.owner}, {st.Group, l.group}} {
		if c.width > 0 {
			b.WriteString(pad(c.text, c.width, true) + " ")
		}
	}
	if l.policy > 0 {
		b.WriteString(pad(ecPolicy(st), l.policy, true) + " ")
	}
	size := strconv.FormatInt(st.Length, 10)
	if l.human {
		size = shortSize(st.Length)
	}
	b.WriteString(pad(size, l.size, false) + " ")
	b.WriteString(javaMinutes(l.time(it), l.zone) + " " + name + "\n")
	_, err := l.out.WriteString(b.String())
	return err
}

// ecPolicy names how a file is made redundant, as ls -e shows it.
func ecPolicy(st *dfs.FileStatus) string {
	if st.ECPolicy != "" {
		return st.ECPolicy
	}
	if st.Type == typeDirectory {
		return ""
	}
	return replicated
}

// replicated is what stands for a file's erasure coding policy when it has none.
const replicated = "Replicated"

// modeString shows a mode as nine characters; the sticky bit takes the last place.
func modeString(m dfs.Mode) string {
	s := []byte("rwxrwxrwx")
	for i := range s {
		if m&(1<<(8-i)) == 0 {
			s[i] = '-'
		}
	}
	if m&dfs.Sticky != 0 {
		if s[8] == 'x' {
			s[8] = 't'
		} else {
			s[8] = 'T'
		}
	}
	return string(s)
}
