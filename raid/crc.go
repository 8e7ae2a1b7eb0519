package raid

import (
	"fmt"
	"math/bits"
)

// CRC32C is affine over the exclusive or: for strings of one length n,
//
//	crc(a ^ b) = crc(a) ^ crc(b) ^ crc(0^n)
//
// and appending zeroes to a string changes its CRC by an invertible linear map of
// (crc ^ 0xffffffff). So the checksum of parity, and that of a lost member, follow from the
// other checksums and the lengths alone. The maps are 32x32 matrices over GF(2), as in
// zlib's crc32_combine; powers of two of them are tabled.

// poly is the Castagnoli polynomial, bit-reversed.
const poly = 0x82f63b78

// matrix maps a vector of 32 bits; column i is the image of bit i.
type matrix [32]uint32

func (m *matrix) times(v uint32) (out uint32) {
	for ; v != 0; v &= v - 1 {
		out ^= m[bits.TrailingZeros32(v)]
	}
	return out
}

func (m *matrix) square() (out matrix) {
	for i := range m {
		out[i] = m.times(m[i])
	}
	return out
}

// zeroBytes[i] appends 2^i zero bytes; trimBytes[i] is its inverse.
var zeroBytes, trimBytes = func() (add, trim [63]matrix) {
	var bit, back matrix // one zero bit, there and back
	for i := range bit {
		v := uint32(1) << i
		bit[i] = v >> 1
		if v&1 != 0 {
			bit[i] ^= poly
		}
		// The highest bit of a result is set exactly if the polynomial was added.
		back[i] = v << 1
		if v&(1<<31) != 0 {
			back[i] = (v^poly)<<1 | 1
		}
	}
	for range 3 { // 2^3 bits are a byte
		bit, back = bit.square(), back.square()
	}
	for i := range add {
		add[i], trim[i] = bit, back
		bit, back = bit.square(), back.square()
	}
	return add, trim
}()

func shift(tables *[63]matrix, crc uint32, n int64) uint32 {
	v := ^crc
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			v = tables[i].times(v)
		}
	}
	return ^v
}

// ExtendCRC gives the CRC32C of a string with n zero bytes behind it from the CRC32C of the
// string.
func ExtendCRC(crc uint32, n int64) uint32 { return shift(&zeroBytes, crc, n) }

// TrimCRC gives the CRC32C of a string from that of the string with n zero bytes behind it.
func TrimCRC(crc uint32, n int64) uint32 { return shift(&trimBytes, crc, n) }

// CombineCRC gives the CRC32C of a string and another behind it, of length bytes.
func CombineCRC(first, second uint32, length int64) uint32 {
	return ^shift(&zeroBytes, ^first, length) ^ second
}

// Sum is the CRC32C and the length in bytes of one member, or of a chunk of it.
type Sum struct {
	CRC    uint32
	Length int64
}

// ParityCRC gives the CRC32C that the parity of these members must have; parity is as long as
// the longest of them.
func ParityCRC(members ...Sum) Sum {
	var n int64
	for _, m := range members {
		n = max(n, m.Length)
	}
	return Sum{CRC: foldCRC(n, members), Length: n}
}

// MissingCRC gives the CRC32C that a lost member of length bytes must have had, from that of
// the parity and of all other members. It fails when the lengths can't be of one group.
func MissingCRC(length int64, parity Sum, others ...Sum) (uint32, error) {
	if length > parity.Length {
		return 0, fmt.Errorf("raid: a member of %d bytes beside parity of %d", length, parity.Length)
	}
	for _, o := range others {
		if o.Length > parity.Length {
			return 0, fmt.Errorf("raid: a member of %d bytes beside parity of %d", o.Length, parity.Length)
		}
	}
	padded := foldCRC(parity.Length, append([]Sum{parity}, others...))
	return TrimCRC(padded, parity.Length-length), nil
}

// foldCRC is the CRC of the exclusive or of strings, all padded with zeroes to n bytes.
func foldCRC(n int64, all []Sum) uint32 {
	zeroes := ExtendCRC(0, n) // the CRC of n zero bytes
	out := zeroes
	for _, m := range all {
		out ^= ExtendCRC(m.CRC, n-m.Length) ^ zeroes
	}
	return out
}
