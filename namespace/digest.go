package namespace

import (
	"encoding/binary"
	"math/bits"

	"redoubt/dfs"
)

// sum is a set hash: the sum of the members' 128-bit hashes modulo 1<<128, so that
// members can come and go in any order.
type sum struct{ hi, lo uint64 }

func (s *sum) add(h sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h.lo, 0)
	s.hi, _ = bits.Add64(s.hi, h.hi, carry)
}

func (s *sum) sub(h sum) {
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, h.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, h.hi, borrow)
}

func (s sum) digest() (d dfs.Digest) {
	binary.BigEndian.PutUint64(d[:8], s.hi)
	binary.BigEndian.PutUint64(d[8:], s.lo)
	return d
}

// Odd constants with well mixed bits; the digest's definition, so they never change.
const (
	mixA = 0xa0761d6478bd642f
	mixB = 0xe7037ed1a0b428db
	mixC = 0x8ebc6af09c88c6e3
	mixD = 0x589965cc75374cc3
	mixE = 0x1d8e4e27c47d124f
)

func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash6 hashes a member of kind tag from six words.
func hash6(tag, a, b, c, d, e, f uint64) sum {
	x := mum(a^mixA, b^tag*mixE)
	y := mum(c^mixB, d^mixC)
	z := mum(e^mixD, f^mixA)
	lo := mum(x^mixD^bits.RotateLeft64(z, 17), y^mixE) ^ mum(z^mixB, x^mixC)
	hi := mum(lo^mixA, x+bits.RotateLeft64(y, 23)+bits.RotateLeft64(z, 41)+mixB)
	return sum{hi: mum(hi^mixC, y^z^mixD) ^ lo, lo: lo}
}

// hashBytes hashes text under a seed.
func hashBytes[T string | []byte](seed uint64, text T) uint64 {
	h := seed ^ mixA ^ uint64(len(text))*mixE
	i := 0
	for ; i+16 <= len(text); i += 16 {
		h = mum(word(text[i:])^mixB, word(text[i+8:])^h)
	}
	var a, b uint64
	if i+8 <= len(text) {
		a = word(text[i:])
		i += 8
	}
	for j := 0; i < len(text); i, j = i+1, j+8 {
		b |= uint64(text[i]) << j
	}
	return mum(a^mixC^h, mum(b^mixD, h^mixB)^mixE)
}

func word[T string | []byte](s T) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func hashText(text string) uint64 { return hashBytes(mixB, text) }

// hashName places a name in the name table. It decides nothing but that.
func hashName[T string | []byte](seed uint64, dir uint32, name T) uint64 {
	return hashBytes(seed^uint64(dir)*mixC, name)
}

// Tags of the members.
const (
	tagPlace uint64 = iota + 1
	tagAttrs
	tagBlock
	tagWriter
	tagRetry
	tagXAttr
	tagACL
	tagQuota
	tagSetting
	tagCounters
	tagGroup
	tagMember
	tagEpoch
	tagTypeQuota
)

// place is the digest of where an inode is.
func (s *State) place(in *inode) sum {
	var parent uint64
	if in.parent != 0 {
		parent = s.inodes.at(in.parent).id
	}
	return placeSum(in, parent, s.nameOf(in))
}

func placeSum[T string | []byte](in *inode, parent uint64, name T) sum {
	return hash6(tagPlace, in.id, parent, hashBytes(mixD, name), uint64(in.length), uint64(in.group>>24)&(flagDetached>>24), 0)
}

// attrs is the digest of what an inode is.
func (s *State) attrs(in *inode) sum {
	return hash6(tagAttrs, in.id, uint64(in.mode)|uint64(in.policy())<<16, s.strings.hash[in.ownerID()],
		s.strings.hash[in.groupID()]*mixD+in.fileLayout(), uint64(in.mtime()), uint64(in.atime()))
}

// blockSum is the digest of a block that is (or is not) the last of its file.
func (s *State) blockSum(ref uint32, last bool) sum {
	var next uint64
	if !last {
		next = s.blocks.at(s.blocks.at(ref).next).id()
	}
	return linkedSum(s.block(ref), s.inodes.at(s.fileOf(ref)).id, next)
}

// linkedSum is the digest of a block before the block next of its file, 0 for none.
func linkedSum(b *block, file, next uint64) sum {
	return hash6(tagBlock, b.id(), file, b.genStamp(), b.high, next, 0)
}

func (s *State) writerSum(w *writer) sum {
	return hash6(tagWriter, s.inodes.at(w.file).id, s.leases.at(w.lease).hash, s.strings.hash[w.machine], uint64(w.truncate), 0, 0)
}

// Digest is the set hash of the whole state. It costs nothing.
func (s *State) Digest() dfs.Digest {
	d := s.sum
	d.add(hash6(tagCounters, s.nextInode, s.nextBlock, s.nextStamp, s.authEpoch, 0, 0))
	return d.digest()
}
