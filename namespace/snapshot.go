package namespace

import (
	"redoubt/dfs"

	"github.com/tidwall/btree"
)

// Names of an image's sections. The reserved ones are written by no version yet; an
// image that has one is refused.
const (
	SectionMeta     = "meta"     // counters and sizes
	SectionStrings  = "strings"  // user, group and machine names by number
	SectionInodes   = "inodes"   // files and directories with their first blocks
	SectionBlocks   = "blocks"   // further blocks of files that have many
	SectionWriters  = "writers"  // open files
	SectionRetry    = "retry"    // the retry cache, oldest first
	SectionQuotas   = "quotas"   // by inode
	SectionACLs     = "acls"     // by inode
	SectionXAttrs   = "xattrs"   // by inode
	SectionSettings = "settings" // of the cluster

	SectionParityGroups = "paritygroups" // left out where there are none
	SectionEpochs       = "epochs"       // starts of the name node; left out before the first that says so
	SectionTypeQuotas   = "typequotas"   // by inode; left out where there are none

	SectionSymlinks   = "symlinks"   // reserved
	SectionSnapshots  = "snapshots"  // reserved
	SectionECPolicies = "ecpolicies" // reserved
	SectionCache      = "cache"      // reserved
	SectionSecrets    = "secrets"    // reserved
)

var reservedSections = []string{SectionSymlinks, SectionSnapshots, SectionECPolicies, SectionCache, SectionSecrets}

const (
	imageVersion = 1
	chunkSlots   = 4 * pageSize // inode slots in one chunk of SectionInodes
	inlineBlocks = 64           // blocks of a file that stand in its inode's record
	chunkBytes   = 1 << 20      // of the other sections, about
)

// Snapshot is a frozen state. Its methods may be called from any goroutine while the
// state goes on.
type Snapshot struct {
	inodes  pages[inode]
	blocks  pages[chained]
	writers pages[writer]
	leases  pages[lease]
	ring    pages[retryEntry]
	groups  pages[parityGroup]
	members pages[groupMember]
	arena   arena
	text    []string
	hash    []uint64
	retry   [2]uint64 // head and tail
	quotas  *btree.Map[uint64, Quota]
	types   *btree.Map[uint64, TypeQuota]
	acls    *btree.Map[uint64, []ACLEntry]
	xattrs  *btree.Map[uint64, []XAttr]
	setting *btree.Map[string, string]
	grouped int // groups
	epochs  epochs
	meta    Meta
	digest  dfs.Digest
}

// Snapshot freezes the state. The owner's lock is needed for this, not for reading the
// snapshot. Give it to Release in the end.
func (s *State) Snapshot() *Snapshot {
	s.strings.frozen = true
	n := &Snapshot{
		inodes: s.inodes.freeze(), blocks: s.blocks.freeze(), writers: s.writers.freeze(), leases: s.leases.freeze(),
		ring: s.retry.ring.freeze(), groups: s.group.groups.freeze(), members: s.group.members.freeze(),
		arena: s.arena.freeze(), text: s.strings.text, hash: s.strings.hash,
		retry: [2]uint64{s.retry.head, s.retry.tail}, grouped: s.group.groups.live(),
		quotas: s.feature.quotas.Copy(), types: s.feature.types.Copy(), acls: s.feature.acls.Copy(), xattrs: s.feature.xattrs.Copy(),
		setting: s.feature.settings.Copy(), epochs: s.epochs, digest: s.Digest(),
	}
	n.meta = Meta{
		Version: imageVersion, TxID: s.applied, NextInode: s.nextInode, NextBlock: s.nextBlock, NextStamp: s.nextStamp,
		AuthEpoch: s.authEpoch, Inodes: uint64(s.inodes.live()), Blocks: uint64(s.blockCount()),
		Chunks: uint64((s.inodes.next + chunkSlots - 1) / chunkSlots), Digest: n.digest[:],
	}
	return n
}

// Release ends the copy-on-write for a snapshot. It needs the owner's lock.
func (s *State) Release(*Snapshot) {
	s.inodes.thaw()
	s.blocks.thaw()
	s.writers.thaw()
	s.leases.thaw()
	s.retry.ring.thaw()
	s.group.groups.thaw()
	s.group.members.thaw()
	s.arena.thaw()
}

// Digest is the state's digest at the instant of the snapshot.
func (n *Snapshot) Digest() dfs.Digest { return n.digest }

// TxID is the last record that the snapshot has in it.
func (n *Snapshot) TxID() dfs.TxID { return n.meta.TxID }

// Sections gives the parts to write; they may be written at the same time.
func (n *Snapshot) Sections() []dfs.Section {
	list := []dfs.Section{
		{Name: SectionMeta, Write: n.writeMeta},
		{Name: SectionStrings, Write: n.writeStrings},
		{Name: SectionInodes, Write: n.writeInodes},
		{Name: SectionBlocks, Write: n.writeBlocks},
		{Name: SectionWriters, Write: n.writeWriters},
		{Name: SectionRetry, Write: n.writeRetry},
		{Name: SectionQuotas, Write: n.writeQuotas},
		{Name: SectionACLs, Write: n.writeACLs},
		{Name: SectionXAttrs, Write: n.writeXAttrs},
		{Name: SectionSettings, Write: n.writeSettings},
	}
	if n.grouped > 0 {
		list = append(list, dfs.Section{Name: SectionParityGroups, Write: n.writeGroups})
	}
	if n.epochs.now.Number > 0 {
		list = append(list, dfs.Section{Name: SectionEpochs, Write: n.writeEpochs})
	}
	if n.types.Len() > 0 {
		list = append(list, dfs.Section{Name: SectionTypeQuotas, Write: n.writeTypeQuotas})
	}
	return list
}

type emitter = func(chunk []byte) error

// chunker cuts records into chunks of about chunkBytes.
type chunker struct {
	c    coder
	emit emitter
	err  error
}

// done is called after each record.
func (k *chunker) done() {
	if len(k.c.b) >= chunkBytes {
		k.flush()
	}
}

func (k *chunker) flush() {
	if k.err == nil && len(k.c.b) > 0 {
		k.err = k.emit(k.c.b)
	}
	k.c.b = k.c.b[:0]
}

func (n *Snapshot) writeMeta(emit emitter) error {
	c := coder{}
	n.meta.code(&c)
	return emit(c.b)
}

func (n *Snapshot) writeStrings(emit emitter) error {
	k := chunker{emit: emit}
	for i := range n.text {
		k.c.string(&n.text[i])
		k.done()
	}
	k.flush()
	return k.err
}

// writeInodes emits one chunk for each run of chunkSlots slots, empty ones too, so that
// a chunk's number tells which slots it may fill.
func (n *Snapshot) writeInodes(emit emitter) error {
	var c coder
	var rec InodeRecord
	for first := uint32(0); first < n.inodes.next; first += chunkSlots {
		c.b = c.b[:0]
		var count uint64
		for i := first; i < min(first+chunkSlots, n.inodes.next); i++ {
			if n.inodes.at(i).id != 0 {
				count++
			}
		}
		codeUint(&c, &count)
		for i := first; i < min(first+chunkSlots, n.inodes.next); i++ {
			if n.inodes.at(i).id != 0 {
				n.record(&rec, i)
				rec.code(&c)
			}
		}
		if err := emit(c.b); err != nil {
			return err
		}
	}
	return nil
}

// record fills rec with an inode and its first blocks.
func (n *Snapshot) record(rec *InodeRecord, i uint32) {
	in := n.inodes.at(i)
	blocks := rec.Blocks[:0]
	*rec = InodeRecord{
		ID: in.id, Type: uint8(in.typ()), Name: "", Mode: uint16(in.perm()), Owner: in.ownerID(), Group: in.groupID(),
		ModTime: in.mtime(), AccessTime: in.atime(), Policy: in.policy(), Detached: in.has(flagDetached),
		Replication: in.replication(), BlockSize: in.blockSize(),
	}
	if in.parent != 0 {
		rec.Parent = n.inodes.at(in.parent).id
	}
	if in.nameLen() > 0 {
		rec.Name = stringOf(n.arena.get(in.name, in.nameLen()))
	}
	if in.isFile() {
		n.eachBlock(in, func(b *block) bool {
			if len(blocks) == inlineBlocks {
				return false
			}
			blocks = append(blocks, BlockRecord{b.id(), b.genStamp(), b.size(), uint8(b.state())})
			return true
		})
	}
	rec.Blocks = blocks
}

func (n *Snapshot) eachBlock(in *inode, fn func(b *block) bool) {
	if in.has(flagOne) {
		fn(&in.body)
		return
	}
	tail := in.slot()
	if in.has(flagOpen) {
		tail = n.writers.at(tail).tail
	}
	if tail == 0 {
		return
	}
	last := n.blocks.at(tail).next
	for i := n.blocks.at(last).next; fn(&n.blocks.at(i).block) && i != last; {
		i = n.blocks.at(i).next
	}
}

// writeBlocks emits, for each file with more than inlineBlocks blocks, the others in
// runs of at most that many.
func (n *Snapshot) writeBlocks(emit emitter) error {
	k := chunker{emit: emit}
	for i := uint32(1); i < n.inodes.next; i++ {
		in := n.inodes.at(i)
		if in.id == 0 || !in.isFile() || in.count() <= inlineBlocks {
			continue
		}
		at := 0
		rec := BlocksRecord{File: in.id}
		n.eachBlock(in, func(b *block) bool {
			if at++; at <= inlineBlocks {
				return true
			}
			rec.Blocks = append(rec.Blocks, BlockRecord{b.id(), b.genStamp(), b.size(), uint8(b.state())})
			if len(rec.Blocks) == inlineBlocks || at == int(in.count()) {
				rec.code(&k.c)
				rec.Blocks = rec.Blocks[:0]
				k.done()
			}
			return true
		})
	}
	k.flush()
	return k.err
}

func (n *Snapshot) writeWriters(emit emitter) error {
	k := chunker{emit: emit}
	for i := uint32(1); i < n.writers.next; i++ {
		w := n.writers.at(i)
		if w.file == 0 {
			continue
		}
		rec := WriterRecord{File: n.inodes.at(w.file).id, Holder: n.leases.at(w.lease).holder, Machine: n.text[w.machine], Truncate: w.truncate - 1}
		rec.code(&k.c)
		k.done()
	}
	k.flush()
	return k.err
}

func (n *Snapshot) writeRetry(emit emitter) error {
	k := chunker{emit: emit}
	for seq := n.retry[0]; seq < n.retry[1]; seq++ {
		e := n.ring.at(retrySlot(seq))
		rec := RetryRecord{Call: e.callID(), Kind: e.kind, OK: e.ok, Time: e.time, ID: e.id, Extra: e.extra}
		rec.code(&k.c)
		k.done()
	}
	k.flush()
	return k.err
}

func (n *Snapshot) writeQuotas(emit emitter) error {
	k := chunker{emit: emit}
	n.quotas.Scan(func(id uint64, q Quota) bool {
		rec := QuotaRecord{Inode: id, Quota: q}
		rec.code(&k.c)
		k.done()
		return k.err == nil
	})
	k.flush()
	return k.err
}

func (n *Snapshot) writeACLs(emit emitter) error {
	k := chunker{emit: emit}
	n.acls.Scan(func(id uint64, acl []ACLEntry) bool {
		rec := ACLRecord{Inode: id, Entries: acl}
		rec.code(&k.c)
		k.done()
		return k.err == nil
	})
	k.flush()
	return k.err
}

func (n *Snapshot) writeXAttrs(emit emitter) error {
	k := chunker{emit: emit}
	n.xattrs.Scan(func(id uint64, list []XAttr) bool {
		rec := XAttrRecord{Inode: id, Attrs: list}
		rec.code(&k.c)
		k.done()
		return k.err == nil
	})
	k.flush()
	return k.err
}

func (n *Snapshot) writeSettings(emit emitter) error {
	k := chunker{emit: emit}
	n.setting.Scan(func(key, value string) bool {
		rec := SettingRecord{Key: key, Value: value}
		rec.code(&k.c)
		k.done()
		return k.err == nil
	})
	k.flush()
	return k.err
}
