package main

import (
	"fmt"
	"strconv"

	"redoubt/dfs"
)

var countCmd = &shellCmd{
	name: "count", args: "[-q] [-h] [-v] [-t [<storage type>]] [-u] [-x] [-e] [-s] <path> ...",
	help: "Counts directories, files and bytes below each path: DIR_COUNT FILE_COUNT CONTENT_SIZE PATHNAME.\n" +
		"  -q  quotas before them: QUOTA REM_QUOTA SPACE_QUOTA REM_SPACE_QUOTA\n  -u  quotas instead of them\n  -h  numbers with a unit\n" +
		"  -v  a header line\n  -x  without snapshots\n  -t  quotas by storage type\n  -e  erasure coding policy\n  -s  snapshot counts",
	setup: setupCount,
}

const (
	quotaHeader   = "       QUOTA       REM_QUOTA     SPACE_QUOTA REM_SPACE_QUOTA "
	summaryHeader = "   DIR_COUNT   FILE_COUNT       CONTENT_SIZE "
)

func setupCount(inv *invocation, args []string) ([]string, error) {
	f := flags{min: 1, max: -1, names: []string{"q", "h", "v", "x", "u", "e", "s"}, valued: []string{"t"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	human, quotas, only := f.given["h"], f.given["q"], f.given["u"]
	if f.given["v"] {
		switch {
		case only:
			fmt.Fprintln(inv.out, quotaHeader+"PATHNAME")
		case quotas:
			fmt.Fprintln(inv.out, quotaHeader+summaryHeader+"PATHNAME")
		default:
			fmt.Fprintln(inv.out, summaryHeader+"PATHNAME")
		}
	}
	inv.steps.path = func(it *item) error {
		s, err := it.fs.summary(inv.ctx, it.path)
		if err != nil {
			return err
		}
		line := ""
		if quotas || only {
			line += quotaColumns(s, human)
		}
		if !only {
			line += summaryColumns(s, human)
		}
		_, err = fmt.Fprintln(inv.out, line+it.String())
		return err
	}
	return args, nil
}

func number(n int64, human bool) string {
	if human {
		return shortSize(n)
	}
	return strconv.FormatInt(n, 10)
}

// quotaColumns shows the two quotas and what is left of each.
func quotaColumns(s *dfs.ContentSummary, human bool) string {
	ns, nsLeft, ds, dsLeft := "none", "inf", "none", "inf"
	if s.NSQuota >= 0 {
		ns, nsLeft = number(s.NSQuota, human), number(s.NSQuota-s.Files-s.Directories, human)
	}
	if s.DSQuota >= 0 {
		ds, dsLeft = number(s.DSQuota, human), number(s.DSQuota-s.Space, human)
	}
	return fmt.Sprintf("%12s %15s %15s %15s ", ns, nsLeft, ds, dsLeft)
}

func summaryColumns(s *dfs.ContentSummary, human bool) string {
	return fmt.Sprintf("%12s %12s %18s ", number(s.Directories, human), number(s.Files, human), number(s.Length, human))
}

var duCmd = &shellCmd{
	name: "du", args: "[-s] [-h] [-v] [-x] <path> ...",
	help: "Shows how many bytes files hold and how many their replicas take, for each entry of a directory.\n" +
		"  -s  one line for each path\n  -h  numbers with a unit\n  -v  a header line\n  -x  without snapshots",
	setup: func(inv *invocation, args []string) ([]string, error) { return setupDu(inv, args, false) },
}

var dusCmd = &shellCmd{
	name: "dus", args: duCmd.args, help: "An old name of du -s.", hidden: true, replace: "du -s",
	setup: func(inv *invocation, args []string) ([]string, error) { return setupDu(inv, args, true) },
}

func setupDu(inv *invocation, args []string, sum bool) ([]string, error) {
	f := flags{max: -1, names: []string{"h", "s", "v", "x"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	sum = sum || f.given["s"]
	t := table{rightAlign: []bool{false, false, false}}
	if f.given["v"] {
		t.add("SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME")
	}
	inv.steps.found = func(it *item) error {
		if it.isDir() && !sum {
			return inv.processBelow(it)
		}
		return inv.processFound(it)
	}
	inv.steps.path = func(it *item) error {
		s, err := it.fs.summary(inv.ctx, it.path)
		if err != nil {
			return err
		}
		t.add(number(s.Length, f.given["h"]), number(s.Space, f.given["h"]), it)
		return nil
	}
	inv.steps.arguments = func(items []*item) error {
		err := inv.processItems(items)
		fmt.Fprint(inv.out, t.String())
		return err
	}
	return args, nil
}

var dfCmd = &shellCmd{
	name: "df", args: "[-h] [<path> ...]",
	help: "Shows capacity, used and free space of file systems.\n  -h  numbers with a unit",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{max: -1, names: []string{"h"}}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 {
			args = []string{"/"}
		}
		human := f.given["h"]
		t := table{rightAlign: []bool{false, true, true, true, true}}
		t.add("Filesystem", "Size", "Used", "Available", "Use%")
		inv.steps.path = func(it *item) error {
			s, err := it.fs.usage(inv.ctx, it.path)
			if err != nil {
				return err
			}
			percent := 0.0
			if s.Capacity > 0 {
				percent = float64(s.Used) / float64(s.Capacity) * 100
			}
			t.add(fsName(it.fs), number(s.Capacity, human), number(s.Used, human), number(s.Remaining, human), fmt.Sprintf("%.0f%%", percent))
			return nil
		}
		inv.steps.arguments = func(items []*item) error {
			err := inv.processItems(items)
			fmt.Fprint(inv.out, t.String())
			return err
		}
		return args, nil
	},
}

func fsName(f fileSystem) string {
	if f.uri() == "file:" {
		return "file:///"
	}
	return f.uri()
}
