package namespace

import (
	"bytes"
	"slices"
	"strings"

	"redoubt/dfs"
)

func corrupt(format string, args ...any) error {
	return dfs.Errorf(dfs.Corrupt, "namespace: image: "+format, args...)
}

// part is what one chunk of SectionInodes decodes to, in pages of its own that become
// the state's. Slots in it count from the part's beginning.
type part struct {
	inodes  []*page[inode]
	blocks  []*page[chained]
	names   []*namePage
	parents []uint64 // inode ids by slot
	next    uint32   // inode slots used
	nextB   uint32   // block slots used
	nextN   uint32   // name units used
	sum     sum
	folded  int64
	files   int64
	dirs    int64
}

// Restore replaces the whole state by a checkpoint's. It decodes chunks through
// src.Parallel and needs no other goroutines. On dfs.Corrupt the state is unusable
// until a Restore succeeds.
func (s *State) Restore(src dfs.SectionSource) error {
	s.reset()
	meta, err := s.restoreMeta(src)
	if err != nil {
		return err
	}
	if err := s.restoreStrings(src); err != nil {
		return err
	}
	parts := make([]*part, meta.Chunks)
	err = src.Parallel(SectionInodes, func(index int, chunk []byte) error {
		if index < 0 || index >= len(parts) {
			return corrupt("chunk %d of inodes, but there are only %d", index, len(parts))
		}
		p, err := s.decodePart(chunk, index == 0)
		parts[index] = &p
		return err
	})
	if err != nil {
		return err
	}
	if err := s.stitch(parts); err != nil {
		return err
	}
	steps := []func(dfs.SectionSource) error{s.restoreBlocks, s.restoreWriters, s.countTrees, s.restoreRetry, s.restoreFeatures, s.restoreTypeQuotas, s.restoreGroups, s.restoreEpochs}
	for _, step := range steps {
		if err := step(src); err != nil {
			return err
		}
	}
	s.strings.sweep()
	if d := s.Digest(); !bytes.Equal(d[:], meta.Digest) {
		return corrupt("the state's digest is %x and not %x", d, meta.Digest)
	}
	if uint64(s.inodes.live()) != meta.Inodes || uint64(s.blockCount()) != meta.Blocks {
		return corrupt("%d inodes and %d blocks instead of %d and %d", s.inodes.live(), s.blockCount(), meta.Inodes, meta.Blocks)
	}
	return nil
}

func (s *State) restoreMeta(src dfs.SectionSource) (meta Meta, err error) {
	for _, name := range src.Sections() {
		if slices.Contains(reservedSections, name) {
			return meta, corrupt("section %q needs a newer version", name)
		}
	}
	seen := 0
	err = src.Chunks(SectionMeta, func(chunk []byte) error {
		seen++
		c := coder{b: chunk, read: true}
		meta.code(&c)
		if c.bad || len(c.b) > 0 {
			return corrupt("damaged meta record")
		}
		meta.Digest = bytes.Clone(meta.Digest)
		return nil
	})
	switch {
	case err != nil:
		return meta, err
	case seen != 1:
		return meta, corrupt("%d meta records", seen)
	case meta.Version != imageVersion:
		return meta, corrupt("unsupported version %d", meta.Version)
	case meta.Chunks == 0 || meta.Chunks > inInode/chunkSlots || meta.NextInode > maxID || meta.NextBlock > maxBlockID || meta.NextStamp > maxStamp:
		return meta, corrupt("impossible counters")
	}
	s.nextInode, s.nextBlock, s.nextStamp, s.authEpoch = meta.NextInode, meta.NextBlock, meta.NextStamp, meta.AuthEpoch
	s.applied = meta.TxID
	return meta, nil
}

func (s *State) restoreStrings(src dfs.SectionSource) error {
	first := true
	return src.Chunks(SectionStrings, func(chunk []byte) error {
		return DecodeSection(SectionStrings, chunk, func(r any) error {
			text := r.(string)
			if first {
				first = false
				if text != "" {
					return corrupt("the first string is %q", text)
				}
				return nil
			}
			n := len(s.strings.text)
			if n < lowBits && text == "" { // a number that nothing has
				s.strings.append("")
				s.strings.free = append(s.strings.free, uint32(n))
				return nil
			}
			if _, had := s.strings.byText[text]; had || n >= lowBits {
				return corrupt("string %q twice, or too many strings", text)
			}
			text = strings.Clone(text)
			s.strings.append(text)
			s.strings.byText[text] = uint32(n)
			return nil
		})
	})
}

// decodePart builds a part from a chunk. The first part leaves slots 0 free.
func (s *State) decodePart(chunk []byte, first bool) (p part, err error) {
	c := coder{b: chunk, read: true}
	var count uint64
	codeUint(&c, &count)
	p.nextB = 1
	if first {
		p.next = 1
		p.parents = append(p.parents, 0)
	}
	if count > chunkSlots || count > uint64(len(c.b)) {
		return p, corrupt("%d inodes in a chunk of %d bytes", count, len(chunk))
	}
	var rec InodeRecord
	for range count {
		rec.code(&c)
		if c.bad {
			return p, corrupt("damaged inode record")
		}
		if err := s.decodeInode(&p, &rec); err != nil {
			return p, err
		}
	}
	if len(c.b) > 0 {
		return p, corrupt("%d bytes after the inodes of a chunk", len(c.b))
	}
	return p, nil
}

func (s *State) decodeInode(p *part, r *InodeRecord) error {
	typ := dfs.FileType(r.Type)
	switch n := uint32(len(s.strings.text)); {
	case r.ID == 0 || r.ID >= s.nextInode || len(r.Name) > maxName || typ != dfs.TypeFile && typ != dfs.TypeDirectory,
		r.Owner >= n || r.Group >= n || r.Owner != 0 && s.strings.text[r.Owner] == "" || r.Group != 0 && s.strings.text[r.Group] == "",
		dfs.Mode(r.Mode)&^dfs.ModeMask != 0,
		r.ModTime < 0 || r.ModTime > maxTime || r.AccessTime < 0 || r.AccessTime > maxTime,
		r.BlockSize < 0 || r.BlockSize > maxBlock, (r.Parent == 0) != (r.Name == ""), len(r.Blocks) > inlineBlocks:
		return corrupt("inode %d has impossible fields", r.ID)
	}
	if int(p.next)>>pageBits >= len(p.inodes) {
		p.inodes = append(p.inodes, new(page[inode]))
	}
	in := &p.inodes[p.next>>pageBits].rec[p.next&(pageSize-1)]
	in.id, in.mode = r.ID, r.Mode|uint16(r.Type)<<typeBit
	in.owner, in.group = r.Owner, r.Group
	in.setPolicy(r.Policy)
	in.setFlag(flagDetached, r.Detached)
	in.setMtime(r.ModTime)
	in.setAtime(r.AccessTime)
	in.length = uint16(len(r.Name))
	if r.Name != "" {
		in.name = p.putName(r.Name)
	}
	if typ == dfs.TypeFile {
		p.files++
		in.layout = uint64(r.BlockSize)<<16 | uint64(r.Replication)
		if err := p.putBlocks(in, p.next, r.Blocks); err != nil {
			return err
		}
	} else {
		p.dirs++
		in.layout = 1
	}
	p.sum.add(placeSum(in, r.Parent, r.Name))
	p.sum.add(s.attrs(in))
	p.parents = append(p.parents, r.Parent)
	p.next++
	return nil
}

func (p *part) putName(name string) uint32 {
	n := units(len(name))
	if left := uint32(nameUnits) - p.nextN&(nameUnits-1); left < n {
		p.nextN += left
	}
	at := p.nextN
	p.nextN += n
	if int(at>>nameBits) >= len(p.names) {
		p.names = append(p.names, new(namePage))
	}
	copy(p.names[at>>nameBits].b[int(at&(nameUnits-1))*nameUnit:], name)
	return at
}

func (p *part) putBlocks(in *inode, file uint32, list []BlockRecord) error {
	if len(list) == 1 {
		if err := list[0].check(); err != nil {
			return err
		}
		in.body.low = list[0].ID
		in.body.set(list[0].Stamp, list[0].Size, BlockState(list[0].State))
		in.setFlag(flagOne, true)
		p.folded++
		p.sum.add(linkedSum(&in.body, in.id, 0))
		return nil
	}
	first := p.nextB
	for k := range list {
		r := &list[k]
		if err := r.check(); err != nil {
			return err
		}
		if int(p.nextB)>>pageBits >= len(p.blocks) {
			p.blocks = append(p.blocks, new(page[chained]))
		}
		b := &p.blocks[p.nextB>>pageBits].rec[p.nextB&(pageSize-1)]
		b.low, b.file, b.next = r.ID, file, p.nextB+1
		b.set(r.Stamp, r.Size, BlockState(r.State))
		in.body.low += uint64(r.Size)
		in.body.high++
		next := uint64(0)
		if k < len(list)-1 {
			next = list[k+1].ID
			in.setSlot(p.nextB)
		} else {
			b.next = first
		}
		p.sum.add(linkedSum(&b.block, in.id, next))
		p.nextB++
	}
	return nil
}

func (r *BlockRecord) check() error {
	if r.ID == 0 || r.ID > maxBlockID || r.Stamp > maxStamp || r.Size < 0 || r.Size > maxBlock || r.State > uint8(BlockCompleted) {
		return corrupt("block %d has impossible fields", r.ID)
	}
	return nil
}

// stitch puts the parts together: their pages become the state's, slots are moved by
// where a part begins, and names, ids and children are indexed.
func (s *State) stitch(parts []*part) error {
	total := 0
	bases := make([]uint32, len(parts))
	for k, p := range parts {
		if p == nil {
			return corrupt("chunk %d of inodes is missing", k)
		}
		if len(p.inodes) == 0 {
			continue
		}
		base := s.adopt(p)
		bases[k] = base
		total += int(p.files + p.dirs)
		for i := uint32(0); i < p.next; i++ {
			in := s.inodes.at(base + i)
			if in.id == 0 {
				continue
			}
			if s.byID.get(in.id) != 0 {
				return corrupt("inode %d twice", in.id)
			}
			s.byID.set(in.id, base+i)
			if in.isDir() {
				in.setSlot(s.dirs.alloc())
			}
		}
		p.inodes, p.names, p.blocks = nil, nil, nil
	}
	if total == 0 || s.inodes.at(rootSlot).id != uint64(dfs.RootInodeID) || !s.inodes.at(rootSlot).isDir() {
		return corrupt("no root directory")
	}
	s.names.reserve(total)
	if err := s.indexParents(parts, bases); err != nil {
		return err
	}
	return s.indexChildren()
}

// adopt takes a part's pages over and gives the slot where its inodes begin.
func (s *State) adopt(p *part) uint32 {
	base, baseB := uint32(len(s.inodes.list))<<pageBits, uint32(len(s.blocks.list))<<pageBits
	baseN := uint32(len(s.arena.list)) << nameBits
	s.inodes.adopt(p.inodes...)
	s.blocks.adopt(p.blocks...)
	s.arena.list = append(s.arena.list, p.names...)
	s.arena.made = append(s.arena.made, make([]uint32, len(p.names))...)
	s.inodes.next, s.blocks.next = uint32(len(s.inodes.list))<<pageBits, uint32(len(s.blocks.list))<<pageBits
	s.arena.next = uint32(len(s.arena.list)) << nameBits
	if left := s.arena.next - baseN - p.nextN; len(p.names) > 0 && left > 0 {
		s.arena.tails = append(s.arena.tails, span{baseN + p.nextN, left})
	}
	for i := s.inodes.next - 1; i >= base+p.next; i-- {
		s.inodes.free = append(s.inodes.free, i)
	}
	if len(p.blocks) > 0 {
		for i := s.blocks.next - 1; i >= baseB+p.nextB; i-- {
			s.blocks.free = append(s.blocks.free, i)
		}
		if baseB > 0 {
			s.blocks.free = append(s.blocks.free, baseB)
		}
	}
	for i := uint32(0); i < p.next; i++ {
		in := s.inodes.at(base + i)
		if in.length > 0 {
			in.name += baseN
		}
		if in.id != 0 {
			s.strings.hold(in.ownerID())
			s.strings.hold(in.groupID())
		}
		if in.isFile() && !in.has(flagOne) && in.slot() != 0 {
			in.setSlot(in.slot() + baseB)
		}
	}
	for i := uint32(0); i < p.nextB && len(p.blocks) > 0; i++ {
		if b := s.blocks.at(baseB + i); b.id() != 0 {
			b.file += base
			b.next += baseB
		}
	}
	s.files += p.files
	s.dirsCount += p.dirs
	s.folded += p.folded
	s.sum.add(p.sum)
	return base
}
