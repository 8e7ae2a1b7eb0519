package namenode

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"redoubt/blockmanager"
	"redoubt/dfs"
)

// MetaSave writes what the block manager has to do, and which datanodes there are, to the
// file of that name in the log directory. HDFS takes any path; here it is a plain name, and
// only an earlier report is replaced.
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
	err = n.publishReport(path.Join(n.cfg.LogDir, name), b.String())
	r.audit(err, "metaSave", "", "", nil)
	return err
}

// firstLine is how every report begins. A file that begins otherwise is somebody else's.
var firstLine = regexp.MustCompile(`^\d+ files and directories, \d+ blocks = \d+ total\n`)

func (n *NameNode) publishReport(name, text string) error {
	if err := n.cfg.FS.MkdirAll(n.cfg.LogDir); err != nil {
		return fmt.Errorf("namenode: metaSave: %w", err)
	}
	old, err := n.cfg.FS.Open(name)
	switch {
	case err == nil:
		var head [128]byte
		k, rerr := old.ReadAt(head[:], 0)
		_ = old.Close() // it was only read
		if rerr != nil && rerr != io.EOF {
			return fmt.Errorf("namenode: metaSave: %w", rerr)
		}
		if !firstLine.Match(head[:k]) {
			return dfs.Errorf(dfs.IllegalArgument, "metaSave: %s is there already and is no report of metaSave; it stays as it is", name)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("namenode: metaSave: %w", err)
	}
	err = n.cfg.FS.Publish(name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("namenode: metaSave: %w", err)
	}
	return nil
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
