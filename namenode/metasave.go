package namenode

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
)

// MetaSave writes what the block manager has to do, and which datanodes there are, to the
// file of that name in the log directory. HDFS takes any path; here it is a plain name.
func (n *NameNode) MetaSave(c *dfs.Caller, name string) error {
	r, err := n.administer(c, "metaSave")
	if err != nil {
		return err
	}
	defer n.end(r)
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`+"\x00") {
		return dfs.Errorf(dfs.IllegalArgument, "metaSave: %q is not the plain name of a file", name)
	}
	var b strings.Builder
	n.writeMeta(&b, r.now)
	err = n.cfg.FS.Publish(path.Join(n.cfg.LogDir, name), func(w io.Writer) error {
		_, err := io.WriteString(w, b.String())
		return err
	})
	if err != nil {
		err = fmt.Errorf("namenode: metaSave: %w", err)
	}
	r.audit(err, "metaSave", "", "", nil)
	return err
}

// maxMetaBlocks is how many blocks of one kind a report names.
const maxMetaBlocks = 10_000

func (n *NameNode) writeMeta(w io.Writer, now time.Time) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	n.state.RLock()
	defer n.state.RUnlock()
	counts, s := n.ns.Counts(), n.blocks.Stats(now)
	p("%d files and directories, %d blocks = %d total", counts.Files+counts.Directories, counts.Blocks, counts.Files+counts.Directories+counts.Blocks)
	p("Live Datanodes: %d", len(n.blocks.Nodes(dfs.ReportLive)))
	p("Dead Datanodes: %d", len(n.blocks.Nodes(dfs.ReportDead)))
	p("Metasave: Blocks waiting for reconstruction: %d", s.Blocks.LowRedundancy)
	for danger := range blockmanager.QueueLevels {
		if k := s.Blocks.ByDanger[danger]; k > 0 {
			p("  in queue %d: %d", danger, k)
		}
	}
	p("Metasave: Blocks currently missing: %d", s.Blocks.Missing)
	for _, id := range n.blocks.Missing(0, maxMetaBlocks) {
		if b, ok := n.ns.Block(id); ok {
			file, _ := n.ns.Path(b.File)
			p("%s: %s MISSING", file, b.Block)
		}
	}
	p("Metasave: Blocks being reconstructed: %d", s.Blocks.PendingRepair)
	p("Metasave: Blocks being recovered: %d", s.Blocks.PendingRecovery)
	p("Metasave: Blocks %d waiting deletion.", s.Blocks.PendingDeletion)
	p("Corrupt Blocks: %d", s.Blocks.Corrupt)
	g := &s.Parity
	p("Parity groups: %d of %d blocks, %d of them without a file", counts.Groups, counts.Members, counts.Departed)
	p("  waiting for a group: %d, being folded: %d, leaving: %d, degraded: %d, lost: %d", g.Candidates, g.Forming, g.Leaving, g.Degraded, g.Lost)
	if g.Waiting > 0 {
		p("  waiting for datanodes: %d (%s)", g.Waiting, g.Why)
	}
	nodes := n.blocks.Nodes(dfs.ReportAll)
	p("Metasave: Number of datanodes: %d", len(nodes))
	for _, d := range nodes {
		state := [...]string{"IN", "DP", "D", "EM", "IM"}[min(int(d.Admin), 4)]
		percent := 0.0
		if d.Capacity > 0 {
			percent = 100 * float64(d.Used) / float64(d.Capacity)
		}
		p("%s:%d %s %d %d %.2f%% %d %s", d.IP, d.XferPort, state, d.Capacity, d.Used, percent, d.Remaining,
			time.UnixMilli(d.LastUpdate).UTC().Format(time.ANSIC))
	}
}
