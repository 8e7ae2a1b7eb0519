package namespace

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// nameOrder is an order of names.
type nameOrder bool

const (
	// listed is the order of every listing: bytes are compared as signed numbers, as HDFS
	// does, so that a byte of a non-ASCII character comes before one of an ASCII character.
	listed nameOrder = false
	// bytewise compares bytes as they are. Deleted subtrees are freed in this order, which
	// old logs and the digests in them rely on.
	bytewise nameOrder = true
)

// signBits turned over in eight bytes make signed numbers of them compare as unsigned ones.
const signBits = 0x8080808080808080

// compare is negative when a comes before b.
func (o nameOrder) compare(a, b []byte) int {
	if o == bytewise {
		return bytes.Compare(a, b)
	}
	for len(a) >= 8 && len(b) >= 8 {
		x, y := binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(b)
		if x != y {
			return cmp.Compare(x^signBits, y^signBits)
		}
		a, b = a[8:], b[8:]
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return cmp.Compare(int8(a[i]), int8(b[i]))
		}
	}
	return cmp.Compare(len(a), len(b))
}

// key is a number that orders names as their first eight bytes do. Names that differ there
// or in length may have the same one.
func (o nameOrder) key(name []byte) uint64 {
	var b [8]byte
	n := copy(b[:], name)
	if o == bytewise {
		return binary.BigEndian.Uint64(b[:])
	}
	for ; n < len(b); n++ {
		b[n] = 0x80 // the least signed byte: a name comes before its continuations
	}
	return binary.BigEndian.Uint64(b[:]) ^ signBits
}

// ascii tells whether both orders are the same for a name among such names.
func ascii(name []byte) bool {
	for len(name) >= 8 {
		if binary.BigEndian.Uint64(name)&signBits != 0 {
			return false
		}
		name = name[8:]
	}
	for _, c := range name {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// CompareNames orders names as listings do.
func CompareNames(a, b string) int { return listed.compare([]byte(a), []byte(b)) }
