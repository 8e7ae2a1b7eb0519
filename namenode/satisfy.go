package namenode

import (
	"context"
	"math"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// satisfier remembers which trees are to be looked at again under their present storage
// policies. It is soft: after a restart every block is looked at anyway.
type satisfier struct {
	mu    sync.Mutex
	walks []*treeWalk
}

// maxSatisfied bounds the trees that wait at a time.
const maxSatisfied = 1000

// satisfyStep is how many inodes are looked at under one hold of the state's lock, and
// satisfyBlocks how many blocks.
const (
	satisfyStep   = 200
	satisfyBlocks = 1000
)

// SatisfyStoragePolicy has the blocks at and below a path kept as their storage policy says
// now. It returns at once; the work is done in the background, as fast as repair is.
func (n *NameNode) SatisfyStoragePolicy(ctx context.Context, c *dfs.Caller, path string) error {
	r, err := n.begin(c)
	if err != nil {
		return err
	}
	defer n.end(r)
	walk, err := r.prepareSatisfy(path)
	if err == nil {
		err = n.satisfier.add(walk)
	}
	r.audit(err, "satisfyStoragePolicy", path, "", nil)
	if err == nil {
		poke(n.satisfy)
	}
	return err
}

func (r *request) prepareSatisfy(path string) (*treeWalk, error) {
	n := r.n
	n.state.RLock()
	defer n.state.RUnlock()
	if err := n.safe.check("satisfy storage policy for", path, r.now); err != nil {
		return nil, err
	}
	if err := r.look(path, permit{target: dfs.Write}); err != nil {
		return nil, err
	}
	ino := target(&r.walk)
	if ino == nil {
		return nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File/Directory does not exist: " + path}
	}
	return newTreeWalk(cleanPath(path), ino), nil
}

func (s *satisfier) add(w *treeWalk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.walks) == maxSatisfied {
		return dfs.Errorf(dfs.Retriable, "%d paths wait for their storage policy to be satisfied already. Try again later.", maxSatisfied)
	}
	s.walks = append(s.walks, w)
	return nil
}

func (s *satisfier) first() *treeWalk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.walks) == 0 {
		return nil
	}
	return s.walks[0]
}

func (s *satisfier) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks = s.walks[1:]
}

// satisfySome does one step of what is asked for; the rest follows after everything else
// that is due.
func (n *NameNode) satisfySome() {
	walk := n.satisfier.first()
	if walk == nil {
		return
	}
	n.state.RLock()
	found, err := walk.step(nil, n.ns, satisfyStep, func(string, *namespace.Inode) error { return nil })
	n.state.RUnlock()
	for i := range found {
		n.satisfyFile(&found[i].ino)
	}
	if len(found) == 0 || err != nil {
		n.satisfier.done()
		n.wakeFolds()
	}
	poke(n.satisfy)
}

// satisfyFile has the blocks of a file looked at again, some of them at a time.
func (n *NameNode) satisfyFile(ino *namespace.Inode) {
	if !ino.IsFile() {
		return
	}
	span := int64(satisfyBlocks) * max(1, ino.BlockSize)
	for offset := int64(0); offset <= ino.Length && offset >= 0; offset += span {
		n.state.RLock()
		now := n.clock()
		for _, b := range n.ns.Blocks(nil, ino.ID, offset, span) {
			n.blocks.Satisfy(now, b.ID)
		}
		n.state.RUnlock()
	}
}

// scrubber goes round all parity groups, at a pace that a round takes its period.
type scrubber struct {
	cursor uint32
	owed   float64 // groups that should have been looked at by now
	last   time.Time
}

// maxScrubs bounds the groups that are looked at in one go.
const maxScrubs = 64

// scrubGroups orders the scrubs that have come due since the last call. Only the background
// goroutine calls it.
func (n *NameNode) scrubGroups(now time.Time) {
	s, period := &n.scrub, n.cfg.Files.Parity.ScrubPeriod
	elapsed := now.Sub(s.last)
	s.last = now
	if period < 0 || n.safe.isOn() || elapsed <= 0 || elapsed > period {
		return
	}
	n.state.RLock()
	defer n.state.RUnlock()
	s.owed += float64(n.ns.Counts().Groups) * (float64(elapsed) / float64(period))
	due := int(math.Min(s.owed, maxScrubs))
	if due == 0 {
		return
	}
	s.owed -= float64(due)
	page, next := n.ns.GroupPage(nil, s.cursor, due)
	for _, g := range page {
		if n.blocks.Scrub(now, g.Parity.ID) {
			n.scrubs.Add(1)
		}
	}
	s.cursor = next
}

// Scrubs is how many comparisons of a parity group have been ordered so far.
func (n *NameNode) Scrubs() int64 { return n.scrubs.Load() }
