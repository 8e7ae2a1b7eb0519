package namespace

import (
	"fmt"

	"redoubt/dfs"
)

// A quota by storage type limits the bytes that a tree has on one medium. What a file takes
// of each follows from the storage policy that counts for it and its replication, wherever its
// replicas really are; a file without a policy, its own or a directory's, takes nothing. Only
// directories with such a quota count their use: a tree is walked when it gets a quota, and when it
// is moved into, out of or below one. Nothing else costs more than without them.

// TypeQuota is a directory's quotas by storage type and its use, in bytes; limits are -1
// where none is set.
type TypeQuota struct{ Limit, Used dfs.TypeSpace }

var noTypeLimits = dfs.TypeSpace{-1, -1, -1, -1, -1}

// quotaPlace is the place of a medium in dfs.QuotaTypes, -1 for one that has no quota.
func quotaPlace(medium dfs.StorageType) int {
	for k, t := range dfs.QuotaTypes {
		if t == medium {
			return k
		}
	}
	return -1
}

// media lists for each policy the places in dfs.QuotaTypes of the media that its first replicas
// count for; the last one repeats. Memory is left out as if the policy did not name it.
var media = func() (list [256][]int) {
	for _, p := range dfs.Policies {
		for _, t := range p.Creation {
			if t != dfs.StorageRAMDisk {
				list[p.ID] = append(list[p.ID], quotaPlace(t))
			}
		}
	}
	return list
}()

// addTypes adds what a file of some bytes takes under a policy.
func addTypes(use *dfs.TypeSpace, policy uint8, bytes int64, replication uint16) {
	list := media[policy]
	if len(list) == 0 {
		return
	}
	n := min(int(replication), len(list))
	for _, k := range list[:n] {
		use[k] += bytes
	}
	use[list[len(list)-1]] += bytes * int64(int(replication)-n)
}

// typed reports whether any directory has a quota by storage type.
func (s *State) typed() bool { return s.feature.types.Len() > 0 }

// typedAbove reports whether a directory or one above it has a quota by storage type.
func (s *State) typedAbove(dir uint32) bool {
	for ; dir != 0; dir = s.inodes.at(dir).parent {
		if s.inodes.at(dir).has(flagTypeQuota) {
			return true
		}
	}
	return false
}

// typeUse is what a tree takes of each medium below a directory whose policy is inherited.
func (s *State) typeUse(i uint32, inherited uint8) (use dfs.TypeSpace) {
	type place struct {
		slot      uint32
		inherited uint8
	}
	for stack := []place{{i, inherited}}; len(stack) > 0; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		in := s.inodes.at(p.slot)
		if own := in.policy(); own != dfs.PolicyUnspecified {
			p.inherited = own
		}
		if in.isFile() {
			addTypes(&use, p.inherited, s.bytes(p.slot), in.replication())
		} else if in.body.low != 0 { // there are bytes below it
			s.dirs.each(in.slot(), func(child uint32) bool {
				stack = append(stack, place{child, p.inherited})
				return true
			})
		}
	}
	return use
}

// typeUseHere is what a tree takes where it is.
func (s *State) typeUseHere(i uint32) dfs.TypeSpace { return s.typeUse(i, s.policyOf(i)) }

// typesFor is what more bytes of a file take of each medium.
func (s *State) typesFor(file uint32, more int64) (use dfs.TypeSpace) {
	if s.typed() {
		addTypes(&use, s.policyOf(file), more, s.inodes.at(file).replication())
	}
	return use
}

// chargeTree moves the use of the quotas by storage type from a directory up by what an inode in it takes, sign
// times.
func (s *State) chargeTree(dir, i uint32, sign int64) {
	if !s.typedAbove(dir) {
		return
	}
	use := s.typeUse(i, s.policyOf(dir))
	for k := range use {
		use[k] *= sign
	}
	s.chargeTypes(dir, use)
}

func (s *State) chargeTypes(dir uint32, more dfs.TypeSpace) {
	if more == (dfs.TypeSpace{}) {
		return
	}
	for ; dir != 0; dir = s.inodes.at(dir).parent {
		in := s.inodes.at(dir)
		if !in.has(flagTypeQuota) {
			continue
		}
		q, _ := s.feature.types.Get(in.id)
		for k := range more {
			q.Used[k] += more[k]
		}
		s.putTypeQuota(dir, q)
	}
}

// retyped runs a change of an inode's replication or policy and moves the use of the
// quotas by storage type above it, at it and below it.
func (s *State) retyped(i uint32, change func()) {
	parent := s.inodes.at(i).parent
	above := s.typedAbove(parent)
	var before, after dfs.TypeSpace
	if above {
		before = s.typeUseHere(i)
	}
	change()
	if above {
		after = s.typeUseHere(i)
		for k := range after {
			after[k] -= before[k]
		}
		s.chargeTypes(parent, after)
	}
	s.recountTypes(i)
}

// recountTypes counts the use of each quota by storage type at and below a directory again,
// after the policy that its files inherit has changed.
func (s *State) recountTypes(i uint32) {
	for _, t := range s.typedBelow(i) {
		q, _ := s.feature.types.Get(s.inodes.at(t).id)
		q.Used = s.typeUseHere(t)
		s.putTypeQuota(t, q)
	}
}

// typedBelow lists the directories with a quota by storage type at and below an inode.
func (s *State) typedBelow(i uint32) (list []uint32) {
	s.feature.types.Scan(func(id uint64, _ TypeQuota) bool {
		if t := s.byID.get(id); s.above(i, t) {
			list = append(list, t)
		}
		return true
	})
	return list
}

// dropTypesBelow takes the quotas by storage type away from a tree that is about to be
// deleted in slices: what is left of it inherits no policy any more.
func (s *State) dropTypesBelow(i uint32) {
	for _, t := range s.typedBelow(i) {
		s.putTypeQuota(t, TypeQuota{Limit: noTypeLimits})
	}
}

// putTypeQuota replaces a directory's quotas by storage type; those without a limit go.
func (s *State) putTypeQuota(dir uint32, q TypeQuota) {
	in := s.inodes.at(dir)
	if old, ok := s.feature.types.Get(in.id); ok {
		s.sum.sub(typeQuotaSum(in.id, old))
	}
	set := q.Limit != noTypeLimits
	if in.has(flagTypeQuota) != set {
		in = s.inodes.edit(dir)
		in.setFlag(flagTypeQuota, set)
	}
	if !set {
		s.feature.types.Delete(in.id)
		return
	}
	s.feature.types.Set(in.id, q)
	s.sum.add(typeQuotaSum(in.id, q))
}

// typeQuotaSum has a member for each medium with a limit or use.
func typeQuotaSum(id uint64, q TypeQuota) (total sum) {
	for k, t := range dfs.QuotaTypes {
		if q.Limit[k] >= 0 || q.Used[k] != 0 {
			total.add(hash6(tagTypeQuota, id, uint64(t), uint64(q.Limit[k]), uint64(q.Used[k]), 0, 0))
		}
	}
	return total
}

// checkTypeQuota holds an op that limits one medium to what can be limited.
func (o *SetAttr) checkTypeQuota() error {
	switch t := dfs.StorageType(o.QuotaType); {
	case o.Mask&AttrTypeQuota == 0 && o.Mask&(AttrNSQuota|AttrDSQuota) != 0 && t != 0,
		o.Mask&AttrTypeQuota != 0 && o.Mask&(AttrNSQuota|AttrDSQuota) != 0:
		return dfs.Errorf(dfs.Unsupported, "a quota by storage type is set alone")
	case o.Mask&AttrTypeQuota != 0 && !t.HasQuota():
		return dfs.Errorf(dfs.IllegalArgument, "Don't support Quota for storage type : %s", t)
	}
	return nil
}

func (s *State) setTypeQuota(i uint32, o *SetAttr) {
	q, had := s.feature.types.Get(s.inodes.at(i).id)
	if !had {
		q = TypeQuota{Limit: noTypeLimits, Used: s.typeUseHere(i)}
	}
	q.Limit[quotaPlace(dfs.StorageType(o.QuotaType))] = max(o.DSQuota, -1)
	s.putTypeQuota(i, q)
}

// verifyTypes tells whether a directory's quotas by storage type bear more bytes.
func (s *State) verifyTypes(dir uint32, more *dfs.TypeSpace) error {
	q, _ := s.feature.types.Get(s.inodes.at(dir).id)
	for k, t := range dfs.QuotaTypes {
		if used := q.Used[k] + more[k]; more[k] > 0 && q.Limit[k] >= 0 && used > q.Limit[k] {
			return dfs.Errorf(dfs.TypeQuotaExceeded, "Quota by storage type : %s on path : %s is exceeded. quota = %s but space consumed = %s",
				t, s.pathOf(dir), binaryUnits(q.Limit[k]), binaryUnits(used))
		}
	}
	return nil
}

// TypeQuota tells a directory's quotas by storage type, false if it has none.
func (s *State) TypeQuota(id dfs.InodeID) (TypeQuota, bool) { return s.feature.types.Get(uint64(id)) }

// TypeQuotaRecord is a directory's quotas by storage type in an image: the media that have
// a limit or use, in the order of dfs.QuotaTypes.
type TypeQuotaRecord struct {
	Inode uint64
	Types []TypeQuotaEntry
}

// TypeQuotaEntry is one medium of a TypeQuotaRecord.
type TypeQuotaEntry struct {
	Type        uint8 // a dfs.StorageType
	Limit, Used int64
}

func (r *TypeQuotaRecord) code(c *coder) {
	c.fields(2)
	codeUint(c, &r.Inode)
	n := c.array(len(r.Types))
	if c.read {
		r.Types = nil
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			r.Types = append(r.Types, TypeQuotaEntry{})
		}
		e := &r.Types[i]
		c.fields(3)
		codeUint(c, &e.Type)
		codeInt(c, &e.Limit)
		codeInt(c, &e.Used)
	}
}

func (n *Snapshot) writeTypeQuotas(emit emitter) error {
	k := chunker{emit: emit}
	n.types.Scan(func(id uint64, q TypeQuota) bool {
		rec := TypeQuotaRecord{Inode: id}
		for m, t := range dfs.QuotaTypes {
			if q.Limit[m] >= 0 || q.Used[m] != 0 {
				rec.Types = append(rec.Types, TypeQuotaEntry{uint8(t), q.Limit[m], q.Used[m]})
			}
		}
		rec.code(&k.c)
		k.done()
		return k.err == nil
	})
	k.flush()
	return k.err
}

// restoreTypeQuotas takes the quotas over when the files are there: the use must be what
// the tree comes to.
func (s *State) restoreTypeQuotas(src dfs.SectionSource) error {
	return src.Chunks(SectionTypeQuotas, func(chunk []byte) error {
		return DecodeSection(SectionTypeQuotas, chunk, func(r any) error {
			rec := r.(*TypeQuotaRecord)
			q, err := rec.quota()
			if err != nil {
				return err
			}
			i := s.live(dfs.InodeID(rec.Inode))
			if i == 0 || !s.inodes.at(i).isDir() || s.inodes.at(i).has(flagTypeQuota) {
				return corrupt("quota by storage type of inode %d, which is no directory or has one", rec.Inode)
			}
			if use := s.typeUseHere(i); use != q.Used {
				return corrupt("quota by storage type of inode %d counts %v bytes, there are %v", rec.Inode, q.Used, use)
			}
			s.putTypeQuota(i, q)
			return nil
		})
	})
}

func (r *TypeQuotaRecord) quota() (TypeQuota, error) {
	q, last := TypeQuota{Limit: noTypeLimits}, -1
	for _, e := range r.Types {
		k := quotaPlace(dfs.StorageType(e.Type))
		if k <= last || e.Limit < -1 || e.Limit < 0 && e.Used == 0 {
			return q, corrupt("quota by storage type of inode %d has an impossible entry for medium %d", r.Inode, e.Type)
		}
		q.Limit[k], q.Used[k], last = e.Limit, e.Used, k
	}
	if q.Limit == noTypeLimits {
		return q, corrupt("quota by storage type of inode %d limits nothing", r.Inode)
	}
	return q, nil
}

// typeQuotas holds each quota by storage type against its tree.
func (k *checker) typeQuotas() (fault error) {
	flags := 0
	for i := uint32(1); i < k.s.inodes.next; i++ {
		if in := k.s.inodes.at(i); in.id != 0 && in.has(flagTypeQuota) {
			flags++
		}
	}
	k.s.feature.types.Scan(func(id uint64, q TypeQuota) bool {
		k.sum.add(typeQuotaSum(id, q))
		i := k.s.live(dfs.InodeID(id))
		switch {
		case i == 0 || !k.s.inodes.at(i).has(flagTypeQuota) || !k.s.inodes.at(i).isDir() || q.Limit == noTypeLimits:
			fault = fmt.Errorf("quota by storage type of %d, which is no live directory that has one", id)
		case k.s.typeUseHere(i) != q.Used:
			fault = fmt.Errorf("quota by storage type of %d counts %v bytes, there are %v", id, q.Used, k.s.typeUseHere(i))
		}
		return fault == nil
	})
	if fault == nil && flags != k.s.feature.types.Len() {
		fault = fmt.Errorf("%d quotas by storage type on directories of %d", flags, k.s.feature.types.Len())
	}
	return fault
}
