package namespace

import (
	"errors"
	"fmt"
	"slices"

	"redoubt/dfs"
)

func (n *Snapshot) writeGroups(emit emitter) error {
	k := chunker{emit: emit}
	var rec ParityGroupRecord
	for i := uint32(1); i < n.groups.next; i++ {
		g := n.groups.at(i)
		if g.id() == 0 {
			continue
		}
		rec = ParityGroupRecord{Parity: g.block.public(), CRC: g.crc, Data: g.data, Members: rec.Members[:0]}
		for m := g.first; m != 0; m = n.members.at(m).next {
			rec.Members = append(rec.Members, n.members.at(m).public())
		}
		rec.code(&k.c)
		k.done()
	}
	k.flush()
	return k.err
}

// restoreGroups takes the groups over when the files are there. It holds each to what the op
// that makes one asks for.
func (s *State) restoreGroups(src dfs.SectionSource) error {
	return src.Chunks(SectionParityGroups, func(chunk []byte) error {
		return DecodeSection(SectionParityGroups, chunk, func(r any) error {
			rec := r.(*ParityGroupRecord)
			if err := s.checkRestored(rec); err != nil {
				return err
			}
			s.putGroup(&rec.Parity, rec.CRC, rec.Data, rec.Members, func(k int) bool { return rec.Members[k].Departed })
			return nil
		})
	})
}

func (s *State) checkRestored(rec *ParityGroupRecord) error {
	o := ParityGroup{Parity: rec.Parity, CRC: rec.CRC, Data: rec.Data, Members: rec.Members}
	if err := o.checkShape(); err != nil {
		return corrupt("%v", err)
	}
	// What has departed is in no file; the others are checked as those of a new group.
	o.Members = slices.DeleteFunc(slices.Clone(rec.Members), func(m dfs.ParityMember) bool { return m.Departed })
	if err := s.checkMembers(&o, 0); err != nil {
		return corrupt("%v", err)
	}
	for k := range rec.Members {
		m := &rec.Members[k]
		id := uint64(m.Block.ID)
		if m.Departed && (id >= s.nextBlock || s.byBlock.get(id) != 0 || s.group.byBlock.get(id) != 0) {
			return corrupt("departed block %d is of a file or of another group, or was never handed out", id)
		}
	}
	return nil
}

// groups holds the groups against the files' blocks, after those have been visited.
func (k *checker) groups() error {
	t := &k.s.group
	var members, departed, bytes int64
	groups := 0
	for i := uint32(1); i < t.groups.next; i++ {
		g := t.groups.at(i)
		if g.id() == 0 {
			continue
		}
		groups++
		bytes += g.size()
		k.sum.add(t.groupSum(g))
		n, gone, longest := 0, 0, int64(0)
		good := t.byBlock.get(g.id()) == i|isParity && k.s.byBlock.get(g.id()) == 0
		t.each(g, func(slot uint32, m *groupMember) {
			n++
			longest = max(longest, m.size())
			k.sum.add(t.memberSum(m))
			ref := k.s.byBlock.get(m.id())
			good = good && t.byBlock.get(m.id()) == slot && m.group == i && m.departed() == (ref == 0)
			if m.departed() {
				gone++
			} else if good {
				b := k.s.block(ref)
				good = b.public() == m.block.public() && b.state() == BlockCompleted
			}
		})
		if !good || n != int(g.members) || gone != int(g.departed) || gone == n || longest != g.size() || n > int(g.data) {
			return fmt.Errorf("group of parity %d does not agree with its index or its files", g.id())
		}
		members, departed = members+int64(n), departed+int64(gone)
	}
	if groups != t.groups.live() || members != int64(t.members.live()) || departed != t.departed || bytes != t.parityBytes ||
		t.byBlock.count() != groups+int(members) {
		return errors.New("parity groups and members are not as many as they are counted")
	}
	return nil
}
