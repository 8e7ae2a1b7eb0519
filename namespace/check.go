package namespace

import (
	"fmt"
)

// Check recomputes the digest, the counts and every link and tells the first fault. It
// visits everything: for tests, tools and checkpoints of small trees.
func (s *State) Check() error {
	k := checker{s: s, refs: make([]uint32, len(s.strings.text))}
	for i := uint32(1); i < s.inodes.next; i++ {
		if s.inodes.at(i).id != 0 {
			if err := k.inode(i); err != nil {
				return fmt.Errorf("namespace: inode %d: %w", s.inodes.at(i).id, err)
			}
		}
	}
	if err := k.totals(); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	if err := k.leases(); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	if err := k.strings(); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	k.features()
	if err := k.groups(); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	if err := k.typeQuotas(); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	k.epochs()
	if k.sum != s.sum {
		return fmt.Errorf("namespace: digest is %x, recomputed %x", s.sum, k.sum)
	}
	return nil
}

type checker struct {
	s                 *State
	sum               sum
	files, dirs       int64
	blocks, children  int64
	detached, writers int64
	folded            int64
	refs              []uint32 // of strings
	quot              int
}

func (k *checker) inode(i uint32) error {
	s, in := k.s, k.s.inodes.at(i)
	k.sum.add(s.place(in))
	k.sum.add(s.attrs(in))
	k.refs[in.ownerID()]++
	k.refs[in.groupID()]++
	if s.byID.get(in.id) != i {
		return fmt.Errorf("not found by its id")
	}
	if in.id >= s.nextInode {
		return fmt.Errorf("id was never handed out")
	}
	switch {
	case in.parent != 0:
		if s.lookup(in.parent, string(s.nameOf(in))) != i {
			return fmt.Errorf("not found by its name %q", s.nameOf(in))
		}
		if !s.inodes.at(in.parent).isDir() || s.inodes.at(in.parent).id == 0 {
			return fmt.Errorf("its parent is no directory")
		}
	case in.has(flagDetached):
		k.detached++
		if _, ok := s.detached.Get(in.id); !ok {
			return fmt.Errorf("detached but not queued")
		}
	case i != rootSlot:
		return fmt.Errorf("no parent")
	}
	if in.isDir() {
		k.dirs++
		return k.directory(i, in)
	}
	k.files++
	return k.file(i, in)
}

func (k *checker) directory(i uint32, in *inode) error {
	s, n := k.s, uint32(0)
	var fault error
	ns, ds := int64(1), int64(0)
	s.dirs.each(in.slot(), func(child uint32) bool {
		n++
		cn, cd := s.usage(child)
		ns, ds = ns+cn, ds+cd
		if s.inodes.at(child).parent != i {
			fault = fmt.Errorf("lists a child of another directory")
		}
		return fault == nil
	})
	if fault == nil && n != in.count() {
		fault = fmt.Errorf("has %d children, counts %d", n, in.count())
	}
	if cn, cd := s.usage(i); fault == nil && (cn != ns || cd != ds) {
		fault = fmt.Errorf("subtree of %d inodes and %d bytes, counts %d and %d", ns, ds, cn, cd)
	}
	k.children += int64(n)
	order := s.dirs.list[in.slot()].order
	page, rest := s.dirs.page(s, nil, in.slot(), "", int(in.count())+1)
	for j := 1; j < len(page); j++ {
		if order.compare(s.nameOf(s.inodes.at(page[j-1])), s.nameOf(s.inodes.at(page[j]))) >= 0 {
			return fmt.Errorf("lists its children out of order")
		}
	}
	if len(page) != int(n) || rest != 0 {
		return fmt.Errorf("lists %d of %d children", len(page), n)
	}
	if q, ok := s.feature.quotas.Get(in.id); ok {
		k.quot++
		if ns, ds := s.usage(i); ns != q.NSUsed || ds != q.DSUsed {
			return fmt.Errorf("quota counts %d inodes and %d bytes, there are %d and %d", q.NSUsed, q.DSUsed, ns, ds)
		}
		if !in.has(flagQuota) {
			return fmt.Errorf("quota without its flag")
		}
	}
	return fault
}

func (k *checker) file(i uint32, in *inode) error {
	s, n, size := k.s, uint32(0), int64(0)
	var fault error
	last := s.last(i)
	if in.has(flagOne) {
		k.folded++
	}
	s.eachBlock(i, func(b uint32) bool {
		bl := s.block(b)
		n++
		size += bl.size()
		if s.fileOf(b) != i || bl.id() == 0 || s.byBlock.get(bl.id()) != b {
			fault = fmt.Errorf("block %d is not its own or not found", bl.id())
			return false
		}
		if !in.has(flagOpen) && bl.state() != BlockCompleted {
			fault = fmt.Errorf("closed, but block %d is %s", bl.id(), bl.state())
		}
		if n+2 <= in.count() && bl.state() != BlockCompleted {
			fault = fmt.Errorf("block %d before the last two is %s", bl.id(), bl.state())
		}
		if n+1 == in.count() && b != s.beforeLast(i) {
			fault = fmt.Errorf("block %d is not found as the last but one", bl.id())
		}
		k.sum.add(s.blockSum(b, b == last))
		return n <= in.count()
	})
	k.blocks += int64(n)
	if fault == nil && (n != in.count() || size != in.size()) {
		fault = fmt.Errorf("%d blocks of %d bytes, counts %d of %d", n, size, in.count(), in.size())
	}
	if in.has(flagOpen) {
		k.writers++
		w := s.writers.at(in.slot())
		k.sum.add(s.writerSum(w))
		k.refs[w.machine]++
		if w.file != i || !s.opened.has(in.id) {
			return fmt.Errorf("its writer belongs to another file")
		}
	}
	return fault
}

func (k *checker) totals() error {
	s := k.s
	switch {
	case k.files != s.files || k.dirs != s.dirsCount:
		return fmt.Errorf("%d files and %d directories, counted %d and %d", k.files, k.dirs, s.files, s.dirsCount)
	case k.blocks != s.blockCount() || k.folded != s.folded:
		return fmt.Errorf("%d blocks in files, %d in use", k.blocks, s.blockCount())
	case k.files+k.dirs != int64(s.inodes.live()):
		return fmt.Errorf("%d inodes, %d in use", k.files+k.dirs, s.inodes.live())
	case k.detached != int64(s.detached.Len()):
		return fmt.Errorf("%d detached inodes, %d queued", k.detached, s.detached.Len())
	case k.children != k.files+k.dirs-k.detached-1:
		return fmt.Errorf("%d children of %d inodes", k.children, k.files+k.dirs)
	case k.writers != int64(s.writers.live()) || k.writers != int64(s.opened.n):
		return fmt.Errorf("%d open files, %d writers", k.writers, s.writers.live())
	case k.quot != s.feature.quotas.Len():
		return fmt.Errorf("%d quotas on directories of %d", k.quot, s.feature.quotas.Len())
	}
	return nil
}

func (k *checker) leases() error {
	s, n := k.s, int64(0)
	for holder, l := range s.holders {
		le := s.leases.at(l)
		if le.holder != holder || le.first == 0 {
			return fmt.Errorf("lease of %q is not its own", holder)
		}
		files := uint32(0)
		for i := le.first; ; {
			w := s.writers.at(i)
			files++
			if w.lease != l || s.writers.at(w.next).prev != i || files > le.files {
				return fmt.Errorf("lease of %q has a broken ring", holder)
			}
			if i = w.next; i == le.first {
				break
			}
		}
		if files != le.files {
			return fmt.Errorf("lease of %q has %d files, counts %d", holder, files, le.files)
		}
		n += int64(files)
	}
	if n != k.writers {
		return fmt.Errorf("%d open files, %d under leases", k.writers, n)
	}
	return nil
}

func (k *checker) strings() error {
	n := &k.s.strings
	for id, text := range n.text[1:] {
		if refs := k.refs[id+1]; refs != n.refs[id+1] || refs == 0 && text != "" {
			return fmt.Errorf("string %q has %d users, counts %d", text, refs, n.refs[id+1])
		}
	}
	if len(n.byText)+len(n.free) != len(n.text) {
		return fmt.Errorf("%d strings and %d free numbers of %d", len(n.byText), len(n.free), len(n.text))
	}
	return nil
}

func (k *checker) features() {
	s := k.s
	s.feature.quotas.Scan(func(id uint64, q Quota) bool {
		k.sum.add(quotaSum(id, q))
		return true
	})
	s.feature.acls.Scan(func(id uint64, acl []ACLEntry) bool {
		k.sum.add(featureSum(tagACL, id, aclHash(acl)))
		return true
	})
	s.feature.xattrs.Scan(func(id uint64, list []XAttr) bool {
		k.sum.add(featureSum(tagXAttr, id, xattrHash(list)))
		return true
	})
	s.feature.settings.Scan(func(key, value string) bool {
		k.sum.add(settingSum(key, value))
		return true
	})
	for seq := s.retry.head; seq < s.retry.tail; seq++ {
		k.sum.add(s.retry.ring.at(retrySlot(seq)).sum())
	}
}

// epochs adds up the history of starts.
func (k *checker) epochs() {
	for i := range k.s.epochs.past {
		k.sum.add(epochSum(&k.s.epochs.past[i]))
	}
	k.sum.add(epochSum(&k.s.epochs.now))
}
