package redundancy

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"redoubt/redundancy/result"
)

// holding says where the data of a run stands: how many bytes of users' blocks are on each
// node and, where disks are not in arrays, on each disk. Parity is not counted: who takes
// parity away alone has not put any read to the test.
type holding struct {
	node map[*machine]int64
	disk map[*bay]int64
	file map[*bay]map[string]bool // names of the blocks' files
}

// holding asks the name node for the replicas of some files.
func (l *lab) holding(ctx context.Context, files []int) (holding, error) {
	h := holding{node: map[*machine]int64{}, disk: map[*bay]int64{}, file: map[*bay]map[string]bool{}}
	machines, disks := map[string]*machine{}, map[string]*bay{}
	for _, m := range l.nodes {
		dn := l.cluster.DataNode(m.index)
		if dn == nil {
			continue
		}
		machines[dn.ID().UUID] = m
		for _, v := range dn.Volumes() {
			for _, b := range m.bays {
				if v.Dir == b.dir {
					disks[v.Storage] = b
				}
			}
		}
	}
	for _, i := range files {
		located, err := l.clients[0].client.BlockLocations(ctx, fileName(i), 0, max(1, l.cfg.size(i)))
		if err != nil {
			return h, fmt.Errorf("redundancy: %w", err)
		}
		for _, b := range located.Blocks {
			for _, at := range b.Locs {
				if m := machines[at.Node.UUID]; m != nil {
					h.node[m] += b.Length
				}
				if d := disks[at.Storage]; d != nil {
					h.disk[d] += b.Length
					if h.file[d] == nil {
						h.file[d] = map[string]bool{}
					}
					h.file[d]["blk_"+strconv.FormatInt(int64(b.ID), 10)] = true
				}
			}
		}
	}
	return h, nil
}

// lots draws victims: others for each fault and each round, the same in every run of a seed.
func (l *lab) lots(f result.Fault) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(f)) // never fails
	return rand.New(rand.NewPCG(l.cfg.Setup.Seed+uint64(l.round)<<32, h.Sum64()))
}

// drawNodes draws the machines that a fault takes away: among those that hold data of the
// run. If there are not enough of them it says why the fault can't be tested.
func (l *lab) drawNodes(f result.Fault, h holding, rng *rand.Rand) (gone []*machine, untested string) {
	var with []*machine
	for _, m := range l.nodes {
		if h.node[m] > 0 {
			with = append(with, m)
		}
	}
	if len(with) == 0 {
		return nil, "no node holds data of the run"
	}
	first := with[rng.IntN(len(with))]
	switch f {
	case result.TwoNodes:
		var pairs [][]*machine
		for i, a := range with {
			for _, b := range with[i+1:] {
				if a.rack != b.rack {
					pairs = append(pairs, []*machine{a, b})
				}
			}
		}
		if len(pairs) == 0 {
			return nil, "no two nodes on different racks hold data of the run"
		}
		return pairs[rng.IntN(len(pairs))], ""
	case result.Rack:
		for _, m := range l.nodes {
			if m.rack == first.rack {
				gone = append(gone, m)
			}
		}
		return gone, ""
	}
	return []*machine{first}, ""
}

// drawDisk draws a disk among those that hold data of the run. An array spreads every block
// over its disks, so that each disk of a node with data has a part of it.
func (l *lab) drawDisk(h holding, rng *rand.Rand) (m *machine, place int, untested string) {
	type spot struct {
		m     *machine
		place int
	}
	var with []spot
	for _, m := range l.nodes {
		for i, b := range m.bays {
			if h.disk[b] > 0 || arrays(l.scheme) && h.node[m] > 0 {
				with = append(with, spot{m, i})
			}
		}
	}
	if len(with) == 0 {
		return nil, 0, "no disk holds data of the run"
	}
	s := with[rng.IntN(len(with))]
	return s.m, s.place, ""
}

// hit writes down what a fault strikes, and what stands there before it does.
func (l *lab) hit(r *result.FaultResult, where []*bay, names ...string) (err error) {
	r.Victims = names
	r.AtRisk, err = l.storedOn(where)
	if err == nil && r.AtRisk == 0 {
		r.Untested = "nothing stood on what was struck"
	}
	return err
}

func (m *machine) name() string { return "node" + strconv.Itoa(m.index+1) }

func (m *machine) diskName(place int) string { return m.name() + "/disk" + strconv.Itoa(place+1) }

func machineNames(all []*machine) (names []string) {
	for _, m := range all {
		names = append(names, m.name())
	}
	return names
}
