package vfs

import (
	"math/rand/v2"
	"slices"
	"strings"
)

const sector = 512 // a power cut never tears a write inside one

type effectKind uint8

const (
	effectWrite effectKind = iota
	effectTruncate
	effectAdd
	effectRemove
	effectRename
)

// effect is one change that no sync has made durable yet.
type effect struct {
	kind   effectKind
	node   *node
	off    int64 // write: where; truncate: the size
	data   []byte
	dir    *node // add, remove, rename: directory and name that it is about
	name   string
	toDir  *node // rename: where to
	toName string
	added  bool // rename: the new name is durable already, the old one may come back
}

func (m *Mem) effectLocked(e *effect) { m.pending = append(m.pending, e) }

func (e *effect) aboutFile() bool { return e.kind == effectWrite || e.kind == effectTruncate }

// tearable says whether a power cut may leave the effect half done: a write of several
// sectors, and a rename between directories, of which both names may be there.
func (e *effect) tearable() bool {
	switch e.kind {
	case effectWrite:
		return len(e.data) > 0 && e.off/sector != (e.off+int64(len(e.data))-1)/sector
	case effectRename:
		return e.dir != e.toDir
	}
	return false
}

// syncFileLocked makes a file's effects durable: pages they touched go over whole.
func (m *Mem) syncFileLocked(n *node) {
	m.pending = slices.DeleteFunc(m.pending, func(e *effect) bool {
		if !e.aboutFile() || e.node != n {
			return false
		}
		if n.stable.size != n.live.size || len(n.stable.pages) != len(n.live.pages) {
			n.stable.truncate(n.live.size)
		}
		if e.kind == effectTruncate {
			n.stable.take(&n.live, min(e.off, n.live.size), n.live.size)
		} else {
			n.stable.take(&n.live, e.off, e.off+int64(len(e.data)))
		}
		return true
	})
}

func (m *Mem) dropLocked(n *node) {
	m.pending = slices.DeleteFunc(m.pending, func(e *effect) bool {
		return e.aboutFile() && e.node == n
	})
}

type dirName struct {
	dir  *node
	name string
}

// syncDirLocked makes the names in d durable. What else must be durable for that (the
// other end of a rename out of d, and what was done to that name before) goes along.
func (m *Mem) syncDirLocked(d *node) error {
	if err := m.stepLocked(); err != nil {
		return err
	}
	fate := m.reachLocked(d)
	kept := m.pending[:0]
	for i, e := range m.pending {
		switch fate[i] {
		case syncWhole:
			e.apply(func(n *node) map[string]*node { return n.durable })
		case syncAdd:
			e.toDir.durable[e.toName] = e.node
			e.added = true // the removal of the old name stays pending
			kept = append(kept, e)
		default:
			kept = append(kept, e)
		}
	}
	clear(m.pending[len(kept):])
	m.pending = kept
	return nil
}

// What a sync of a directory does to a pending effect.
const (
	syncNothing = iota
	syncAdd     // of a rename, only the new name becomes durable
	syncWhole
)

// reachLocked says for each pending effect what a sync of d does to it.
func (m *Mem) reachLocked(d *node) []int {
	also := map[dirName]bool{}
	fate := make([]int, len(m.pending))
	for i := len(m.pending) - 1; i >= 0; i-- {
		e := m.pending[i]
		switch {
		case e.aboutFile():
		case e.dir == d || also[dirName{e.dir, e.name}]:
			fate[i] = syncWhole
		case e.kind == effectRename && (e.toDir == d || also[dirName{e.toDir, e.toName}]):
			switch {
			case e.toDir == e.dir:
				fate[i] = syncWhole
			case !e.added:
				fate[i] = syncAdd
			}
		}
		if fate[i] == syncNothing {
			continue
		}
		if e.kind == effectRename {
			also[dirName{e.toDir, e.toName}] = true
		}
		if fate[i] == syncWhole {
			also[dirName{e.dir, e.name}] = true
		}
	}
	return fate
}

// apply does a change of names to the entries that of gives for a directory.
func (e *effect) apply(of func(dir *node) map[string]*node) {
	switch e.kind {
	case effectAdd:
		of(e.dir)[e.name] = e.node
	case effectRemove, effectRename:
		if e.kind == effectRename && !e.added {
			of(e.toDir)[e.toName] = e.node
		}
		if names := of(e.dir); names[e.name] == e.node {
			delete(names, e.name)
		}
	}
}

// SyncAll makes everything durable, as a clean shutdown of the machine would.
func (m *Mem) SyncAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.pending) > 0 {
		if e := m.pending[0]; e.aboutFile() {
			m.syncFileLocked(e.node)
		} else {
			e.apply(func(n *node) map[string]*node { return n.durable })
			m.pending = m.pending[1:]
		}
	}
	m.pending = nil
}

// Fate says what a power cut does to one unsynced effect.
type Fate uint8

const (
	Lost Fate = iota
	Kept
	// Torn keeps some sectors of a write, and the new name of a rename between
	// directories without the removal of the old one.
	Torn
)

// Choice says what a power cut does to each unsynced effect, oldest first. Effects
// beyond the list are lost. Seed picks the sectors of torn writes.
type Choice struct {
	Fates []Fate
	Seed  uint64
}

// String gives one letter for each effect: - lost, k kept, t torn.
func (c Choice) String() string {
	var b strings.Builder
	for _, f := range c.Fates {
		b.WriteByte("-kt"[f])
	}
	return b.String()
}

// Choices lists up to limit different outcomes of a power cut now. The first two are
// "all lost" and "all kept". Then come, shuffled by seed, all subsets where effects
// are few, else: a prefix kept, one lost, one alone kept, one torn among kept or lost
// ones; and last, random mixtures.
func (m *Mem) Choices(limit int, seed uint64) []Choice {
	m.mu.Lock()
	tearable := make([]bool, len(m.pending))
	for i, e := range m.pending {
		tearable[i] = e.tearable()
	}
	m.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, 0x7265646f756274))
	list := []Choice{{Fates: fates(len(tearable), Lost)}}
	seen := map[string]bool{list[0].String(): true}
	add := func(c Choice) {
		if s := c.String(); len(list) < limit && (!seen[s] || strings.Contains(s, "t")) {
			seen[s] = true
			list = append(list, c)
		}
	}
	add(Choice{Fates: fates(len(tearable), Kept)})
	if len(tearable) == 0 {
		return list
	}
	systematic := systematicChoices(tearable, rng)
	rng.Shuffle(len(systematic), func(i, j int) { systematic[i], systematic[j] = systematic[j], systematic[i] })
	for _, c := range systematic {
		add(c)
	}
	for range 4 * limit {
		add(randomChoice(tearable, rng))
	}
	return list
}

func fates(n int, f Fate) []Fate {
	list := make([]Fate, n)
	for i := range list {
		list[i] = f
	}
	return list
}

func systematicChoices(tearable []bool, rng *rand.Rand) (list []Choice) {
	n := len(tearable)
	but := func(others Fate, i int, f Fate) {
		c := Choice{Fates: fates(n, others), Seed: rng.Uint64()}
		c.Fates[i] = f
		list = append(list, c)
	}
	if n <= 6 {
		for mask := range 1 << n {
			c := Choice{Fates: fates(n, Lost)}
			for i := range n {
				if mask>>i&1 == 1 {
					c.Fates[i] = Kept
				}
			}
			list = append(list, c)
		}
	}
	for i, tears := range tearable {
		if n > 6 {
			but(Kept, i, Lost)
			but(Lost, i, Kept)
			prefix := Choice{Fates: fates(n, Lost)}
			copy(prefix.Fates, fates(i, Kept))
			list = append(list, prefix)
		}
		if tears {
			but(Kept, i, Torn)
			but(Lost, i, Torn)
			torn := Choice{Fates: fates(n, Lost), Seed: rng.Uint64()}
			copy(torn.Fates, fates(i, Kept))
			torn.Fates[i] = Torn
			list = append(list, torn)
		}
	}
	return list
}

func randomChoice(tearable []bool, rng *rand.Rand) Choice {
	c := Choice{Fates: fates(len(tearable), Lost), Seed: rng.Uint64()}
	keep := rng.IntN(101)
	for i, tears := range tearable {
		switch {
		case tears && rng.IntN(4) == 0:
			c.Fates[i] = Torn
		case rng.IntN(100) < keep:
			c.Fates[i] = Kept
		}
	}
	return c
}

// CrashClone gives the disk as a machine may find it after a power cut now. The clone
// shares nothing with m, which goes on as before. Its steps count from 0, everything in
// it is durable, and nothing is locked.
func (m *Mem) CrashClone(choice Choice) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.capacity, c.temp = m.capacity, m.temp
	copies := map[*node]*node{}
	c.root = copyNode(m.root, copies)
	rng := rand.New(rand.NewPCG(choice.Seed, 1))
	for i, e := range m.pending {
		if i >= len(choice.Fates) || choice.Fates[i] == Lost {
			continue
		}
		e.replay(choice.Fates[i] == Torn, copies, rng)
	}
	c.settle(c.root, map[*node]bool{})
	return c
}

// copyNode copies the durable side of a node and all below it.
func copyNode(n *node, copies map[*node]*node) *node {
	if c := copies[n]; c != nil {
		return c
	}
	c := &node{dir: n.dir, link: n.link, mod: n.mod}
	copies[n] = c
	if !n.dir {
		c.live = n.stable.clone()
		return c
	}
	c.entries = make(map[string]*node, len(n.durable))
	for name, child := range n.durable {
		c.entries[name] = copyNode(child, copies)
	}
	return c
}

// replay does an effect, or a part of it, to the copies.
func (e *effect) replay(torn bool, copies map[*node]*node, rng *rand.Rand) {
	n := copyNode(e.node, copies)
	switch {
	case e.kind == effectTruncate:
		n.live.truncate(e.off)
	case e.kind == effectWrite && torn:
		for at := int64(0); at < int64(len(e.data)); {
			end := min(int64(len(e.data)), (e.off+at)/sector*sector+sector-e.off)
			if rng.IntN(2) == 0 {
				n.live.writeAt(e.data[at:end], e.off+at)
			}
			at = end
		}
	case e.kind == effectWrite:
		n.live.writeAt(e.data, e.off)
	case e.kind == effectRename && torn:
		if !e.added {
			copyNode(e.toDir, copies).entries[e.toName] = n
		}
	default:
		moved := *e
		moved.node = n
		moved.apply(func(dir *node) map[string]*node { return copyNode(dir, copies).entries })
	}
}

// settle makes the live side of a fresh clone its durable side too.
func (m *Mem) settle(n *node, seen map[*node]bool) {
	n.links++
	if seen[n] {
		return
	}
	seen[n] = true
	if !n.dir {
		n.live.freeze()
		n.stable = n.live.clone()
		m.used += n.live.size
		return
	}
	n.durable = make(map[string]*node, len(n.entries))
	for name, child := range n.entries {
		n.durable[name] = child
		m.settle(child, seen)
	}
}
