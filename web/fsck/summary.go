package fsck

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
)

// percent is " (p %)" as Java prints a float.
func percent(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return " (" + float(float32(part*100)/float32(whole)) + " %)"
}

// float prints the shortest digits that are this number, and always a fraction, as Java does.
func float(f float32) string {
	s := strconv.FormatFloat(float64(f), 'f', -1, 32)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// summary writes the totals.
func (c *check) summary() {
	t := &c.total
	state := "HEALTHY"
	if !t.healthy() {
		state = "CORRUPT"
	}
	for _, warning := range c.cfg.Source.Warnings() {
		c.printf("\nWARNING: %s", warning)
	}
	c.printf("\nStatus: %s\n Number of data-nodes:\t%d\n Number of racks:\t\t%d\n Total dirs:\t\t\t%d\n Total symlinks:\t\t0\n",
		state, t.cluster.Datanodes, t.cluster.Racks, t.dirs)
	c.printf("\nReplicated Blocks:\n")
	c.sizes()
	c.alarm()
	c.replication()
	c.printf("\nErasure Coded Block Groups:\n Total size:\t0 B\n Total files:\t0\n Total block groups (validated):\t0\n")
	for _, line := range []string{"Minimally erasure-coded block groups:\t0", "Over-erasure-coded block groups:\t0", "Under-erasure-coded block groups:\t0",
		"Unsatisfactory placement block groups:\t0", "Average block group size:\t0.0", "Missing block groups:\t\t0", "Corrupt block groups:\t\t0",
		"Missing internal blocks:\t0", "Blocks queued for replication:\t0"} {
		c.printf(" %s\n", line)
	}
	c.groups()
	if c.show.policies {
		c.policies()
	}
}

func (c *check) sizes() {
	t := &c.total
	c.printf(" Total size:\t%d B", t.size)
	if t.openSize > 0 {
		c.printf(" (Total open files size: %d B)", t.openSize)
	}
	c.printf("\n Total files:\t%d", t.files)
	if t.openFiles > 0 {
		c.printf(" (Files currently being written: %d)", t.openFiles)
	}
	c.printf("\n Total blocks (validated):\t%d", t.blocks)
	if t.blocks > 0 {
		c.printf(" (avg. block size %d B)", t.size/t.blocks)
	}
	if t.openBlocks > 0 {
		c.printf(" (Total open file blocks (not validated): %d)", t.openBlocks)
	}
	c.printf("\n")
}

// alarm is the frame around what is lost or in short supply.
func (c *check) alarm() {
	t := &c.total
	if t.corruptFiles == 0 && t.underMin == 0 {
		return
	}
	const frame = "  ********************************\n"
	c.printf(frame)
	if t.underMin > 0 {
		c.printf("  UNDER MIN REPL'D BLOCKS:\t%d%s\n  MINIMAL BLOCK REPLICATION:\t%d\n", t.underMin, percent(t.underMin, t.blocks), t.cluster.MinReplication)
	}
	if t.corruptFiles > 0 {
		c.printf("  CORRUPT FILES:\t%d\n", t.corruptFiles)
	}
	if t.missing > 0 {
		c.printf("  MISSING BLOCKS:\t%d\n  MISSING SIZE:\t\t%d B\n", t.missing, t.missingSize)
	}
	if t.corrupt > 0 {
		c.printf("  CORRUPT BLOCKS: \t%d\n  CORRUPT SIZE:\t\t%d B\n", t.corrupt, t.corruptSize)
	}
	c.printf(frame)
}

func (c *check) replication() {
	t := &c.total
	share := func(name string, n int64) { c.printf(" %s\t%d%s\n", name, n, percent(n, t.blocks)) }
	share("Minimally replicated blocks:", t.blocks-t.underMin)
	share("Over-replicated blocks:", t.over)
	share("Under-replicated blocks:", t.short)
	share("Mis-replicated blocks:\t", t.misplaced)
	average := float32(0)
	if t.blocks > 0 {
		average = float32(t.replicas) / float32(t.blocks)
	}
	c.printf(" Default replication factor:\t%d\n Average block replication:\t%s\n", t.cluster.Replication, float(average))
	c.printf(" Missing blocks:\t\t%d\n Corrupt blocks:\t\t%d\n", t.missing, t.corrupt)
	missing := ""
	if t.replicas > 0 {
		missing = percent(t.missingReplicas, t.expected)
	}
	c.printf(" Missing replicas:\t\t%d%s\n", t.missingReplicas, missing)
	for _, l := range []struct {
		name string
		n    int64
		show bool
	}{
		{"DecommissionedReplicas:", t.drained, false}, {"DecommissioningReplicas:", t.draining, false},
		{"EnteringMaintenanceReplicas:", t.entering, c.show.maintenance}, {"InMaintenanceReplicas:", t.maintained, c.show.maintenance},
	} {
		if l.n > 0 || l.show {
			c.printf(" %s\t%d\n", l.name, l.n)
		}
	}
	c.printf(" Blocks queued for replication:\t%d\n", t.cluster.Queued)
}

// groups is the section about parity groups, and about what one more failure could cost.
func (c *check) groups() {
	t := &c.total
	c.printf("\nParity Groups:\n Groups:\t\t\t%d\n Blocks in groups:\t\t%d\n Blocks waiting for a group:\t%d\n Parity bytes:\t\t\t%d B\n",
		t.groups, t.grouped, t.candidates, t.parityBytes)
	c.printf(" Degraded groups:\t\t%d%s\n Lost groups:\t\t\t%d%s\n", t.degraded, percent(t.degraded, t.groups), t.lost, percent(t.lost, t.groups))
	if t.cluster.Waiting > 0 {
		c.printf(" Waiting for nodes:\t\t%d (%s)\n", t.cluster.Waiting, t.cluster.Why)
	}
	c.printf("\nOne more failure could cost:\t%d block(s) of %d file(s)\n", t.endangered, t.endangeredFiles)
	c.printf("Failures have cost:\t\t%d block(s) of %d file(s)\n", t.missing+t.corrupt, t.corruptFiles)
}

func (c *check) policies() {
	t := &c.total
	table := func(title string, fits bool) {
		c.printf("\n%s\n%-30s  %-16s  %s\n", title, "Storage Policy", "# of blocks", "% of blocks")
		for _, key := range slices.Sorted(maps.Keys(t.byPolicy)) {
			if p := t.byPolicy[key]; p.fits == fits {
				c.printf("%-30s  %10d %19s%%\n", key, p.blocks, fmt.Sprintf("%.4f", 100*float64(p.blocks)/float64(t.blocks)))
			}
		}
	}
	table("Blocks satisfying the specified storage policy:", true)
	if t.strays > 0 {
		table("Blocks NOT satisfying the specified storage policy:", false)
		return
	}
	c.printf("\nAll blocks satisfy specified storage policy.\n")
}

// lostPage is how many blocks one answer of -list-corruptfileblocks has, HDFS's
// dfs.namenode.max-corrupt-file-blocks-returned.
const lostPage = 100

// listLost lists lost blocks after a cookie: how far the last one's id is from the first id of
// all, so that it fits into the 32 bits that Hadoop's client has for it.
func (c *check) listLost() error {
	skip, err := uint64(0), error(nil)
	if c.after != "" {
		if skip, err = strconv.ParseUint(c.after, 10, 62); err != nil {
			return dfs.Errorf(dfs.IllegalArgument, "startblockafter %q is not a number", c.after)
		}
	}
	after := dfs.FirstBlockID + dfs.BlockID(skip) - 1
	list, err := c.cfg.Source.LostBlocks(&c.caller, c.path, after, lostPage)
	if err != nil {
		return err
	}
	count := strconv.Itoa(len(list))
	switch {
	case len(list) > 0:
		skip = uint64(list[len(list)-1].ID - dfs.FirstBlockID + 1)
	case skip == 0:
		count = "no"
	default:
		count = "no more"
	}
	c.printf("Cookie:\t%d\n", skip)
	for _, b := range list {
		c.printf("%s\t%d\t%s\n", b.ID, b.Replication, b.Path)
	}
	c.printf("\n\nThe filesystem under path '%s' has %s CORRUPT files\n\n", c.path, count)
	return nil
}

// statuses end the lines of -blockId; the last line of all decides the client's exit code.
var statuses = map[dfs.ReplicaCondition]string{
	dfs.ReplicaLive: "HEALTHY", dfs.ReplicaStaleContent: "HEALTHY", dfs.ReplicaStaleNode: "STALE", dfs.ReplicaExcess: "EXCESS",
	dfs.ReplicaDecommissioning: "DECOMMISSIONING", dfs.ReplicaDecommissioned: "DECOMMISSIONED",
	dfs.ReplicaEntering: "ENTERING MAINTENANCE", dfs.ReplicaInMaintenance: "IN MAINTENANCE", dfs.ReplicaCorrupt: "CORRUPT",
}

// checkBlocks describes the blocks of -blockId.
func (c *check) checkBlocks() error {
	for _, name := range strings.Fields(c.blocks) {
		id, ok := blockID(name)
		if !ok {
			c.printf("Incorrect blockId format: %s\n", name)
			continue
		}
		b, file, err := c.cfg.Source.CheckBlock(&c.caller, id)
		if dfs.Is(err, dfs.NotFound) {
			c.printf("\nBlock %s does not exist\n", name)
			continue
		}
		if err != nil {
			return err
		}
		c.oneBlock(name, file, &b)
	}
	return nil
}

// blockID reads blk_ID or blk_ID_STAMP.
func blockID(name string) (dfs.BlockID, bool) {
	digits, ok := strings.CutPrefix(name, "blk_")
	if !ok {
		return 0, false
	}
	digits, _, _ = strings.Cut(strings.TrimSuffix(digits, ".meta"), "_")
	id, err := strconv.ParseUint(digits, 10, 64)
	return dfs.BlockID(id), err == nil
}

func (c *check) oneBlock(name, file string, b *dfs.BlockHealth) {
	if file == "" {
		file = "no file, but a parity group"
	}
	c.printf("\nBlock Id: %s\nBlock belongs to: %s\nNo. of Expected Replica: %d\nNo. of live Replica: %d\n", name, file, b.Expected, b.Live())
	for _, l := range []struct {
		name string
		cond dfs.ReplicaCondition
	}{{"excess", dfs.ReplicaExcess}, {"stale", dfs.ReplicaStaleNode}, {"decommissioned", dfs.ReplicaDecommissioned}, {"decommissioning", dfs.ReplicaDecommissioning}} {
		c.printf("No. of %s Replica: %d\n", l.name, b.Count(l.cond))
	}
	if c.show.maintenance {
		c.printf("No. of entering maintenance Replica: %d\nNo. of in maintenance Replica: %d\n", b.Count(dfs.ReplicaEntering), b.Count(dfs.ReplicaInMaintenance))
	}
	c.printf("No. of corrupted Replica: %d\n", b.Count(dfs.ReplicaCorrupt))
	if g := b.Group; g != nil {
		c.printf("Parity group: %s with %d of %d blocks, %d of them gone\n", g.Parity, g.Members, g.Data, g.Gone)
		for _, r := range g.Replicas {
			c.printf("Parity on datanode/rack: %s%s is %s\n", r.Node.Host, r.Node.Location, statuses[r.Condition])
		}
	}
	for _, r := range b.Replicas {
		c.printf("Block replica on datanode/rack: %s%s is %s\n", r.Node.Host, r.Node.Location, statuses[r.Condition])
	}
}
