package fsck

import (
	"context"
	"fmt"
	"strings"

	"redoubt/dfs"
)

// checkTree reports on everything at and below the path.
func (c *check) checkTree(ctx context.Context) error {
	c.total = totals{cluster: c.cfg.Source.CheckedCluster(), byPolicy: map[string]policyCount{}}
	c.total.seen = idSet{}
	c.printf("\n")
	var doomed []string
	err := c.cfg.Source.CheckTree(ctx, &c.caller, c.path, func(f *dfs.FileHealth) error {
		c.entry(f)
		if c.show.remove && !f.Open && f.Type == dfs.TypeFile && spoiled(f) {
			doomed = append(doomed, f.Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range doomed {
		if _, err := c.cfg.Source.Delete(ctx, &c.caller, p, false); err != nil {
			return err
		}
		c.cfg.Log.Info("a file with lost blocks was deleted by fsck", "path", p, "user", c.caller.User)
	}
	c.summary()
	c.ended()
	state := "HEALTHY"
	if !c.total.healthy() {
		state = "CORRUPT"
	}
	c.printf("\n\nThe filesystem under path '%s' is %s", c.path, state)
	return nil
}

// entry reports on one file or directory.
func (c *check) entry(f *dfs.FileHealth) {
	t := &c.total
	if f.Type != dfs.TypeFile {
		t.dirs++
		if c.show.files {
			c.printf("%s <dir>\n", f.Path)
		}
		return
	}
	if f.Open && !c.show.open {
		t.openFiles++
		t.openSize += f.Length
		t.openBlocks += int64(len(f.Blocks))
		return
	}
	t.files++
	t.size += f.Length
	t.blocks += int64(len(f.Blocks))
	if c.show.files || f.Open {
		c.printf("%s %d bytes, %s, %d block(s)", f.Path, f.Length, redundancy(f), len(f.Blocks))
		if f.Open {
			c.printf(", OPENFORWRITE")
		}
		c.printf(": ")
	}
	c.blocksOf(f)
}

// redundancy names how a file's blocks are kept.
func redundancy(f *dfs.FileHealth) string {
	if p, ok := dfs.PolicyByID(f.StoragePolicy); ok && p.Parity() > 0 {
		return "parity: policy=" + p.Name
	}
	return fmt.Sprintf("replicated: replication=%d", f.Replication)
}

// fileFaults is what a file's blocks come to.
type fileFaults struct {
	missing, missingSize int64
	corrupt, corruptSize int64
	short, misplaced     int
	endangered           int
	endangeredSize       int64
	degraded             int // of the endangered ones, by their parity group
}

func (c *check) blocksOf(f *dfs.FileHealth) {
	named := c.show.files || f.Open
	var faults fileFaults
	var lines strings.Builder
	for i := range f.Blocks {
		b := &f.Blocks[i]
		c.total.add(b, f.StoragePolicy)
		c.complain(f, b, &faults, named)
		if c.show.blocks {
			c.blockLine(&lines, i, b)
		}
	}
	if faults.missing+faults.corrupt > 0 {
		c.total.corruptFiles++
		c.spoiled(f, &faults, named)
	} else if named && faults.short+faults.misplaced == 0 {
		c.printf(" OK\n")
	}
	if faults.endangered > 0 {
		c.total.endangeredFiles++
		c.endangered(f, &faults, named)
	}
	if named && c.show.blocks {
		c.printf("%s\n", lines.String())
	}
}

// endangered names a file that one more failure could cost something. That a file was asked
// to be kept once only is no news.
func (c *check) endangered(f *dfs.FileHealth, faults *fileFaults, named bool) {
	switch line := fmt.Sprintf("%s: ENDANGERED %d blocks of total size %d B: one more failure could cost them.", f.Path, faults.endangered, faults.endangeredSize); {
	case named:
		c.printf("%s\n", line)
	case faults.short > 0 || faults.degraded > 0:
		c.printf("\n%s\n", line)
	}
}

// complain writes what is wrong with a block.
func (c *check) complain(f *dfs.FileHealth, b *dfs.BlockHealth, faults *fileFaults, named bool) {
	t := &c.total
	who := func() {
		if !named {
			c.printf("\n%s: ", f.Path)
		}
	}
	live, left, draining, entering := b.Live(), b.Count(dfs.ReplicaDecommissioned), b.Count(dfs.ReplicaDecommissioning), b.Count(dfs.ReplicaEntering)
	found := live + left + draining + entering + b.Count(dfs.ReplicaInMaintenance)
	if b.Endangered() {
		faults.endangered++
		faults.endangeredSize += b.Length
		t.endangered++
		if b.Group != nil {
			faults.degraded++
		}
	}
	switch {
	case b.Lost() && len(b.Replicas) > 0:
		faults.corrupt++
		faults.corruptSize += b.Length
		c.printf("\n%s: CORRUPT blockpool %s block %s\n", f.Path, t.cluster.PoolID, b.ID)
	case b.Lost():
		faults.missing++
		faults.missingSize += b.Length
	case found < b.Expected && b.Complete:
		faults.short++
		t.short++
		t.missingReplicas += int64(b.Expected - found)
		who()
		c.printf(" Under replicated %s:%s. Target Replicas is %d but found %d live replica(s), %d decommissioned replica(s), %d decommissioning replica(s)",
			t.cluster.PoolID, b.Block, b.Expected, live, left, draining)
		if c.show.maintenance {
			c.printf(", %d entering maintenance replica(s) and %d in maintenance replica(s)", entering, b.Count(dfs.ReplicaInMaintenance))
		}
		if found == 0 {
			c.printf("; its parity group can make it again")
		}
		c.printf(".\n")
	}
	if b.Misplaced != "" {
		faults.misplaced++
		t.misplaced++
		who()
		c.printf(" Replica placement policy is violated for %s:%s. %s\n", t.cluster.PoolID, b.Block, b.Misplaced)
	}
}

// spoiled writes what a file has lost.
func (c *check) spoiled(f *dfs.FileHealth, faults *fileFaults, named bool) {
	t := &c.total
	t.missing += faults.missing
	t.missingSize += faults.missingSize
	t.corrupt += faults.corrupt
	t.corruptSize += faults.corruptSize
	line := func(what string, blocks, size int64) {
		switch {
		case blocks == 0:
		case named:
			c.printf(" %s %d blocks of total size %d B\n", what, blocks, size)
		default:
			c.printf("\n%s: %s %d blocks of total size %d B.", f.Path, what, blocks, size)
		}
	}
	line("MISSING", faults.missing, faults.missingSize)
	line("CORRUPT", faults.corrupt, faults.corruptSize)
}

func spoiled(f *dfs.FileHealth) bool {
	for i := range f.Blocks {
		if f.Blocks[i].Lost() {
			return true
		}
	}
	return false
}

// blockLine writes the line of -blocks about one block.
func (c *check) blockLine(w *strings.Builder, i int, b *dfs.BlockHealth) {
	pool := c.total.cluster.PoolID
	fmt.Fprintf(w, "%d. %s:%s len=%d", i, pool, b.Block, b.Length)
	if b.Lost() && len(b.Replicas) == 0 {
		w.WriteString(" MISSING!")
	} else {
		fmt.Fprintf(w, " Live_repl=%d", b.Live())
		c.places(w, b.Replicas)
	}
	if g := b.Group; g != nil {
		fmt.Fprintf(w, " Group=%s:%s %d of %d", pool, g.Parity, g.Members, g.Data)
		if g.Departed > 0 {
			fmt.Fprintf(w, ", %d deleted", g.Departed)
		}
		switch {
		case g.Gone == 1:
			w.WriteString(", DEGRADED")
		case g.Gone > 1:
			fmt.Fprintf(w, ", %d LOST", g.Gone)
		}
		if c.places(w, g.Replicas); len(g.Replicas) == 0 {
			w.WriteString(" parity is gone")
		}
	}
	w.WriteByte('\n')
}

// conditions are the words of -replicaDetails.
var conditions = map[dfs.ReplicaCondition]string{
	dfs.ReplicaLive: "LIVE", dfs.ReplicaStaleContent: "STALE_BLOCK_CONTENT", dfs.ReplicaStaleNode: "STALE_NODE", dfs.ReplicaExcess: "EXCESS",
	dfs.ReplicaDecommissioning: "DECOMMISSIONING", dfs.ReplicaDecommissioned: "DECOMMISSIONED", dfs.ReplicaEntering: "ENTERING MAINTENANCE",
	dfs.ReplicaInMaintenance: "IN MAINTENANCE", dfs.ReplicaCorrupt: "CORRUPT",
}

// places writes where replicas are, if that was asked for.
func (c *check) places(w *strings.Builder, replicas []dfs.ReplicaHealth) {
	s := &c.show
	if !s.locations && !s.racks && !s.details && !s.domains {
		return
	}
	w.WriteString("  [")
	for i, r := range replicas {
		if i > 0 {
			w.WriteString(", ")
		}
		if s.racks {
			fmt.Fprintf(w, "%s/%s:%d", r.Node.Location, r.Node.IP, r.Node.XferPort)
		} else {
			fmt.Fprintf(w, "DatanodeInfoWithStorage[%s:%d,%s,%s]", r.Node.IP, r.Node.XferPort, r.Storage, r.Type)
		}
		if s.details {
			fmt.Fprintf(w, "(%s)", conditions[r.Condition])
		}
		if s.domains {
			w.WriteString("(ud=undefined)")
		}
	}
	w.WriteByte(']')
}
