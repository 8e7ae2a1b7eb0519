package blockmanager

import (
	"slices"
	"strconv"
	"time"

	"redoubt/dfs"
)

// placing is one choice of targets: HDFS's default policy. The first replica goes to the
// writer's node, the second to another rack, the third to the second's rack, the rest
// anywhere with a bound per rack; where that can't be, to the next best place.
type placing struct {
	m       *Manager
	now     time.Time
	size    int64 // bytes that must be free
	block   int64 // size of a promised block
	policy  uint8
	repair  bool
	writer  *node
	noLocal bool
	exclude []*node
	have    []*storage // with the block, and chosen
	favored []string
	types   []dfs.StorageType // still to be placed
	strict  bool              // busy and stale nodes are avoided
	maxLoad float64           // of strict; 0: no bound
	perRack int
	// fellBack: the policy's fallback media have been taken.
	fellBack bool
	taken    func(*node) bool // nodes that are none for a group's member; nil: all are
	grouped  bool             // the block is to be in a parity group
}

func (m *Manager) placing(now time.Time, size int64, policy uint8) *placing {
	return &placing{m: m, now: now, size: max(1, size) * int64(max(1, m.cfg.Place.MinBlocks)), block: max(1, size), policy: policy}
}

// Choose picks volumes for new replicas, in pipeline order. It returns as many as there
// are, at most Count.
func (m *Manager) Choose(r *PlaceRequest) []Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.placing(m.now, r.Size, r.Policy)
	p.favored, p.noLocal = r.Favored, r.NoLocal
	if r.Writer.IsValid() {
		p.writer = m.nodeAt(r.Writer.Unmap())
	}
	for _, id := range r.Exclude {
		if n := m.known(id); n != nil {
			p.exclude = append(p.exclude, n)
		}
	}
	for _, id := range r.Existing {
		if n := m.known(id); n != nil {
			p.exclude = append(p.exclude, n)
			if len(n.storages) > 0 {
				p.have = append(p.have, n.storages[0])
			}
		}
	}
	var chosen []*storage
	if k := parityOf(r.Policy); k > 0 && r.Count > 1 && len(r.Existing) == 0 && len(r.Favored) == 0 && p.pair(k) {
		chosen = p.have
	} else {
		chosen = p.choose(r.Count)
	}
	start := p.writer
	if len(r.Existing) > 0 && len(p.have) > 0 {
		start = p.have[0].node
	}
	chain(start, chosen)
	targets := make([]Target, len(chosen))
	for i, s := range chosen {
		targets[i] = s.target()
	}
	return targets
}

// known finds a datanode by UUID, or by address where a client has not told the UUID.
func (m *Manager) known(id dfs.DatanodeID) *node {
	if n := m.nodes[id.UUID]; n != nil {
		return n
	}
	return m.byAddr[addrKey(id)]
}

// choose picks count volumes more.
func (p *placing) choose(count int) []*storage {
	before := len(p.have)
	p.types = missingTypes(p.policy, before+count, p.have)
	if len(p.types) > count {
		p.types = p.types[:count]
	}
	p.limits(before + count)
	for {
		for _, strict := range []bool{true, false} {
			p.strict = strict
			if p.fill(before + count); len(p.have) == before+count {
				return p.have[before:]
			}
		}
		if p.fellBack || !p.fallback() {
			return p.have[before:]
		}
		p.fellBack = true
	}
}

// limits sets what busy means and how many replicas may share a rack.
func (p *placing) limits(total int) {
	m := p.m
	if !m.cfg.Place.IgnoreLoad {
		var sum, n float64
		for _, d := range m.live {
			if d.inService() {
				sum += float64(d.xceivers)
				n++
			}
		}
		if n > 0 {
			p.maxLoad = m.cfg.Place.LoadFactor * sum / n
		}
	}
	p.perRack = total
	if m.liveRacks > 1 && total > 1 {
		p.perRack = (total-1)/m.liveRacks + 2
		if p.perRack == total {
			p.perRack--
		}
	}
}

// fill adds replicas until there are total, or no place for more.
func (p *placing) fill(total int) {
	for _, f := range p.favored {
		if len(p.have) < total {
			if n := p.m.named(f); n != nil {
				p.try(n)
			}
		}
	}
	for len(p.have) < total && p.next() {
	}
}

// next places one replica by its position.
func (p *placing) next() bool {
	switch len(p.have) {
	case 0:
		if !p.repair && !p.noLocal && p.writer != nil && p.try(p.writer) {
			return true
		}
		if !p.repair && p.writer != nil && p.within(p.writer.rack, nil) {
			return true
		}
		return p.within(nil, nil)
	case 1:
		return p.within(nil, p.have[0].node.rack) || p.within(nil, nil)
	case 2:
		first, second := p.have[0].node.rack, p.have[1].node.rack
		if first == second {
			return p.within(nil, first) || p.within(nil, nil)
		}
		if p.repair {
			return p.within(p.writer.rack, nil) || p.within(nil, nil)
		}
		return p.within(second, nil) || p.within(nil, nil)
	}
	return p.within(nil, nil)
}

// randomTries are made before all nodes are gone through.
const randomTries = 6

// within places a replica on a random node of a rack (nil: any) that is not on another.
func (p *placing) within(in, notIn *rack) bool {
	nodes := p.m.live
	if in != nil {
		nodes = in.nodes
	}
	if len(nodes) == 0 {
		return false
	}
	if len(nodes) > randomTries {
		for range randomTries {
			if n := nodes[p.m.rng.IntN(len(nodes))]; n.rack != notIn && p.try(n) {
				return true
			}
		}
	}
	start := p.m.rng.IntN(len(nodes))
	for i := range nodes {
		n := nodes[(start+i)%len(nodes)]
		if n.rack != notIn && p.try(n) {
			return true
		}
	}
	return false
}

// try takes a node if it is good for the block.
func (p *placing) try(n *node) bool {
	if !n.inService() || p.grouped && n.can.plain || slices.Contains(p.exclude, n) || p.noLocal && n == p.writer && p.strict || p.taken != nil && p.taken(n) {
		return false
	}
	inRack := 0
	for _, s := range p.have {
		if s.node == n {
			return false
		}
		if s.node.rack == n.rack {
			inRack++
		}
	}
	if inRack >= p.perRack && p.strict {
		return false
	}
	if p.strict && (p.maxLoad > 0 && float64(n.xceivers) > p.maxLoad || p.avoid(n)) {
		return false
	}
	for i, t := range p.types {
		if i > 0 && t == p.types[i-1] {
			continue
		}
		if s := p.volume(n, t); s != nil {
			p.have = append(p.have, s)
			p.types = slices.Delete(p.types, i, i+1)
			return true
		}
	}
	return false
}

// avoid reports whether a stale node is passed over.
func (p *placing) avoid(n *node) bool {
	m := p.m
	if !m.cfg.Place.AvoidStaleWrite || !m.stale(n, p.now) {
		return false
	}
	stale := 0
	for _, o := range m.live {
		if m.stale(o, p.now) {
			stale++
		}
	}
	return float64(stale) <= m.cfg.Place.StaleRatio*float64(len(m.live))
}

// volume picks a node's volume of a medium with room for the block, at random by free space.
func (p *placing) volume(n *node, t dfs.StorageType) *storage {
	var best *storage
	var sum int64
	if p.repair && !n.reported() {
		return nil // it may have the block already
	}
	for _, s := range n.storages {
		if s.report.Type != t {
			continue
		}
		free := s.report.Remaining - (s.scheduled[0]+s.scheduled[1])*p.block
		if free < p.size {
			continue
		}
		share := free/p.size + 1
		if sum += share; best == nil || p.m.rng.Int64N(sum) < share {
			best = s
		}
	}
	return best
}

// fallback replaces the media that no node has by the policy's next choice.
func (p *placing) fallback() bool {
	policy := policyOf(p.policy)
	list := policy.CreationFallback
	if p.repair {
		list = policy.ReplicationFallback
	}
	changed := false
	for i, t := range p.types {
		for _, alt := range list {
			if alt != t {
				p.types[i], changed = alt, true
				break
			}
		}
	}
	return changed
}

func policyOf(id uint8) dfs.Policy {
	if p, ok := dfs.PolicyByID(id); ok {
		return p
	}
	p, _ := dfs.PolicyByID(dfs.PolicyHot)
	return p
}

// wantedTypes gives the media of n replicas under a policy.
func wantedTypes(policy uint8, n int) []dfs.StorageType {
	creation := policyOf(policy).Creation
	types := make([]dfs.StorageType, 0, max(0, n))
	for i := range max(0, n) {
		types = append(types, creation[min(i, len(creation)-1)])
	}
	return types
}

// missingTypes gives the media that are still to be found for n replicas.
func missingTypes(policy uint8, n int, have []*storage) []dfs.StorageType {
	types := wantedTypes(policy, n)
	for _, s := range have {
		if i := slices.Index(types, s.report.Type); i >= 0 {
			types = slices.Delete(types, i, i+1)
		} else if len(types) > 0 {
			types = types[:len(types)-1]
		}
	}
	return types
}

// named finds a node by host, ip, host:port or ip:port.
func (m *Manager) named(name string) *node {
	for _, n := range m.live {
		if name == n.id.Host || name == n.id.IP || name == n.key() ||
			name == n.id.Host+":"+strconv.Itoa(int(n.id.XferPort)) {
			return n
		}
	}
	return nil
}

// chain sorts a pipeline so that each hop is as short as can be.
func chain(start *node, list []*storage) {
	for i := range list {
		best := i
		for j := i + 1; j < len(list); j++ {
			if start != nil && distance(start, list[j].node) < distance(start, list[best].node) {
				best = j
			}
		}
		s := list[best]
		copy(list[i+1:best+1], list[i:best])
		list[i] = s
		start = s.node
	}
}

// distance of two nodes: 0 the same, 1 the same host, 2 the same rack, 4 another.
func distance(a, b *node) int {
	switch {
	case a == b:
		return 0
	case a.addr.IsValid() && a.addr == b.addr:
		return 1
	case a.rack == b.rack:
		return 2
	}
	return 4
}
