package raid

import (
	"fmt"
	"hash/crc32"
	"sync"
)

// A CRC is affine over the exclusive or: for strings of one length n,
//
//	crc(a ^ b) = crc(a) ^ crc(b) ^ crc(0^n)
//
// and appending a byte to a string multiplies its CRC, without the inversions at start and
// end, by x^8 modulo the polynomial. That can be undone, and n bytes are one multiplication
// by x^(8n). So the checksum of parity, that of a lost member, and that of joined strings
// follow from the other checksums and the lengths alone.

// Polynomial is the generator of a 32-bit CRC, in the bit-reversed form that hash/crc32
// has: bit 31 stands for x^0.
type Polynomial uint32

// The polynomials of the checksums that replicas are stored with.
const (
	CRC32  Polynomial = crc32.IEEE
	CRC32C Polynomial = crc32.Castagnoli
)

const one = 1 << 31 // x^0

// times is the product of a and b modulo p.
func (p Polynomial) times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&one != 0 {
			product ^= b
		}
		b = b>>1 ^ uint32(p)&-(b&1)
	}
	return product
}

// powers are the factors x^(8*2^i) modulo a polynomial, and their inverses.
type powers struct{ add, trim [63]uint32 }

func (p Polynomial) newPowers() *powers {
	add, trim := uint32(one>>1), (one^uint32(p))<<1|1 // x, and what gives 1 times x
	for range 3 {                                     // to x^8
		add, trim = p.times(add, add), p.times(trim, trim)
	}
	t := new(powers)
	for i := range t.add {
		t.add[i], t.trim[i] = add, trim
		add, trim = p.times(add, add), p.times(trim, trim)
	}
	return t
}

var (
	powersOfCRC32  = sync.OnceValue(CRC32.newPowers)
	powersOfCRC32C = sync.OnceValue(CRC32C.newPowers)
)

func (p Polynomial) powers() *powers {
	switch p {
	case CRC32:
		return powersOfCRC32()
	case CRC32C:
		return powersOfCRC32C()
	}
	return p.newPowers()
}

// factor is x^(8n) modulo p, from the powers or their inverses.
func (p Polynomial) factor(powers *[63]uint32, n int64) uint32 {
	f := uint32(one)
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			f = p.times(powers[i], f)
		}
	}
	return f
}

// Extend gives the CRC of a string with n zero bytes behind it from the CRC of the string.
func (p Polynomial) Extend(crc uint32, n int64) uint32 {
	return ^p.times(p.factor(&p.powers().add, n), ^crc)
}

// Trim gives the CRC of a string from that of the string with n zero bytes behind it.
func (p Polynomial) Trim(crc uint32, n int64) uint32 {
	return ^p.times(p.factor(&p.powers().trim, n), ^crc)
}

// Join gives the CRC of a string and another behind it, of length bytes.
func (p Polynomial) Join(first, second uint32, length int64) uint32 {
	return p.times(p.factor(&p.powers().add, length), first) ^ second
}

// Joiner joins strings of one fixed length to others, at a few table look-ups each.
type Joiner [4][256]uint32

// NewJoiner makes the Joiner for strings of length bytes.
func (p Polynomial) NewJoiner(length int64) *Joiner {
	f, t := p.factor(&p.powers().add, length), new(Joiner)
	for i := range t {
		for b := 1; b < 256; b++ {
			if low := b & -b; low == b {
				t[i][b] = p.times(uint32(b)<<(8*i), f)
			} else {
				t[i][b] = t[i][b-low] ^ t[i][low] // it is linear
			}
		}
	}
	return t
}

// Join is Polynomial.Join for a second string of the Joiner's length.
func (t *Joiner) Join(first, second uint32) uint32 {
	return t[0][first&255] ^ t[1][first>>8&255] ^ t[2][first>>16&255] ^ t[3][first>>24] ^ second
}

// ExtendCRC is Extend for CRC32C.
func ExtendCRC(crc uint32, n int64) uint32 { return CRC32C.Extend(crc, n) }

// TrimCRC is Trim for CRC32C.
func TrimCRC(crc uint32, n int64) uint32 { return CRC32C.Trim(crc, n) }

// CombineCRC is Join for CRC32C.
func CombineCRC(first, second uint32, length int64) uint32 {
	return CRC32C.Join(first, second, length)
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
