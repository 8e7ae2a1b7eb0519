package fsck

import (
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
)

// totals add up what was seen.
type totals struct {
	cluster dfs.ClusterHealth

	dirs, files, size, blocks       int64
	openFiles, openSize, openBlocks int64
	tally
	parity
	byPolicy map[string]policyCount
	strays   int64 // blocks whose replicas are not on their policy's media
}

// tally counts blocks and replicas.
type tally struct {
	missing, missingSize        int64
	corrupt, corruptSize        int64
	corruptFiles                int64
	short, over, misplaced      int64
	underMin                    int64
	replicas, expected          int64
	missingReplicas             int64
	draining, drained           int64
	maintained, entering        int64
	endangered, endangeredFiles int64
}

// parity counts what concerns parity groups.
type parity struct {
	grouped     int64
	candidates  int64
	seen        idSet // groups that are counted already
	groups      int64
	degraded    int64 // groups that lack one block
	lost        int64 // groups that lack more
	parityBytes int64
}

type policyCount struct {
	blocks int64
	fits   bool
}

// idSet is a set of block ids that are handed out in sequence.
type idSet map[uint64]uint64

// add reports whether the id is new.
func (s idSet) add(id dfs.BlockID) bool {
	word, bit := uint64(id)/64, uint64(1)<<(uint64(id)%64)
	if s[word]&bit != 0 {
		return false
	}
	s[word] |= bit
	return true
}

func (t *totals) healthy() bool { return t.missing == 0 && t.corrupt == 0 }

// add counts a block that its policy wants in some number of replicas.
func (t *totals) add(b *dfs.BlockHealth, policy uint8) {
	live, drained, draining := b.Live(), b.Count(dfs.ReplicaDecommissioned), b.Count(dfs.ReplicaDecommissioning)
	entering, maintained := b.Count(dfs.ReplicaEntering), b.Count(dfs.ReplicaInMaintenance)
	found := live + drained + draining + entering + maintained
	t.replicas += int64(found)
	t.expected += int64(b.Expected)
	t.drained += int64(drained)
	t.draining += int64(draining)
	t.entering += int64(entering)
	t.maintained += int64(maintained)
	if found < t.cluster.MinReplication && (b.Group == nil || b.Group.Gone > 1) {
		t.underMin++
	}
	if live > b.Expected {
		t.over++
	}
	t.addGroup(b, policy)
	t.addMedia(b, policy)
}

func (t *totals) addGroup(b *dfs.BlockHealth, policy uint8) {
	g := b.Group
	if g == nil {
		if p, ok := dfs.PolicyByID(policy); ok && p.Parity() > 0 {
			t.candidates++
		}
		return
	}
	t.grouped++
	if !t.seen.add(g.Parity.ID) {
		return
	}
	t.groups++
	t.parityBytes += g.Parity.Length
	switch {
	case g.Gone == 1:
		t.degraded++
	case g.Gone > 1:
		t.lost++
	}
}

// addMedia counts by media and policy, for -storagepolicies.
func (t *totals) addMedia(b *dfs.BlockHealth, policy uint8) {
	p, ok := dfs.PolicyByID(policy)
	if !ok || len(b.Replicas) == 0 {
		return
	}
	count := map[dfs.StorageType]int{}
	n := 0
	for _, r := range b.Replicas {
		if r.Condition.Readable() {
			count[r.Type]++
			n++
		}
	}
	fits := true
	wanted := map[dfs.StorageType]int{}
	for i := range n {
		wanted[p.Creation[min(i, len(p.Creation)-1)]]++
	}
	var parts []string
	for typ, k := range count {
		parts = append(parts, typ.String()+":"+strconv.Itoa(k))
		fits = fits && wanted[typ] == k
	}
	slices.Sort(parts)
	key := strings.Join(parts, ",") + "(" + p.Name + ")"
	c := t.byPolicy[key]
	t.byPolicy[key] = policyCount{c.blocks + 1, fits}
	if !fits {
		t.strays++
	}
}
