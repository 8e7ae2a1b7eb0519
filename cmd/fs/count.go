package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"redoubt/client"
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
	given := args
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	human, quotas, only := f.given["h"], f.given["q"], f.given["u"]
	var types []dfs.StorageType
	if list, ok := f.values["t"]; (ok || slices.Contains(given, "-t")) && (quotas || only) {
		if types, err = storageTypes(list); err != nil {
			return nil, err
		}
	}
	head := ""
	for _, t := range types {
		head += fmt.Sprintf("%14s %18s ", t.String()+"_QUOTA", "REM_"+t.String()+"_QUOTA")
	}
	if types == nil {
		if quotas || only {
			head += quotaHeader
		}
		if !only {
			head += summaryHeader
		}
		if f.given["e"] && !only {
			head += "ERASURECODING_POLICY "
		}
		if f.given["s"] && !only {
			head += snapshotHeader
		}
	}
	if f.given["v"] {
		fmt.Fprintln(inv.out, head+"PATHNAME")
	}
	inv.steps.path = func(it *item) error {
		if types != nil {
			return inv.countTypes(it, types, human)
		}
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
		if f.given["e"] && !only {
			policy := ecPolicy(it.stat)
			if policy != replicated {
				policy = "EC:" + policy
			}
			line += fmt.Sprintf("%20s ", policy)
		}
		if f.given["s"] && !only { // a summary without snapshots
			line += fmt.Sprintf("%18d %24d %24d %28d ", 0, 0, 0, 0)
		}
		_, err = fmt.Fprintln(inv.out, line+it.String())
		return err
	}
	return args, nil
}

const snapshotHeader = "   SNAPSHOT_LENGTH      SNAPSHOT_FILE_COUNT       SNAPSHOT_DIR_COUNT      SNAPSHOT_SPACE_CONSUMED "

// typeQuoter is a file system with quotas by storage type.
type typeQuoter interface {
	typeQuotas(ctx context.Context, path string) (map[dfs.StorageType]client.TypeQuota, error)
}

// countTypes shows the quotas of storage types.
func (inv *invocation) countTypes(it *item, types []dfs.StorageType, human bool) error {
	var quotas map[dfs.StorageType]client.TypeQuota
	if q, ok := it.fs.(typeQuoter); ok {
		var err error
		if quotas, err = q.typeQuotas(inv.ctx, it.path); err != nil {
			return err
		}
	}
	line := ""
	for _, t := range types {
		quota, left := "none", "inf"
		if q, ok := quotas[t]; ok && q.Quota >= 0 {
			quota, left = number(q.Quota, human), number(q.Quota-q.Used, human)
		}
		line += fmt.Sprintf("%14s %18s ", quota, left)
	}
	_, err := fmt.Fprintln(inv.out, line+it.String())
	return err
}

// storageTypes reads a list of storage types; "" and "all" are all that can have a quota.
func storageTypes(list string) ([]dfs.StorageType, error) {
	if list == "" || strings.EqualFold(list, "all") {
		return dfs.QuotaTypes[:], nil
	}
	var out []dfs.StorageType
	for _, name := range strings.Split(list, ",") {
		t, ok := dfs.StorageTypeNamed(name)
		if !ok {
			return nil, usagef("No enum constant org.apache.hadoop.fs.StorageType.%s", strings.ToUpper(name))
		}
		out = append(out, t)
	}
	return out, nil
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
		if len(t.rows) > 1 || !f.given["v"] {
			fmt.Fprint(inv.out, t.String())
		}
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
			if len(t.rows) > 1 {
				fmt.Fprint(inv.out, t.String())
			}
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
