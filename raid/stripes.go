package raid

import "encoding/binary"

// Stripes joins the CRCs of a string's chunks, in order, to the CRC of the string, or to one
// for every stripe of it.
type Stripes struct {
	poly          Polynomial
	whole         *Joiner // of whole chunks
	chunk, stripe int64
	crc           uint32
	in, all       int64 // bytes in crc, and in total
	out           []byte
}

// NewStripes begins with nothing. chunk is the bytes of each chunk but the last; stripe is a
// multiple of it, or 0 for one CRC of everything.
func (p Polynomial) NewStripes(chunk, stripe int64) *Stripes {
	return &Stripes{poly: p, whole: p.NewJoiner(chunk), chunk: chunk, stripe: stripe}
}

// Add takes the big-endian CRCs of the next chunks, which have n bytes: whole ones but for the
// string's last.
func (s *Stripes) Add(sums []byte, n int64) {
	for ; n > 0; sums, n = sums[4:], n-s.chunk {
		next, m := binary.BigEndian.Uint32(sums), min(n, s.chunk)
		if m == s.chunk {
			s.crc = s.whole.Join(s.crc, next)
		} else {
			s.crc = s.poly.Join(s.crc, next, m)
		}
		s.in, s.all = s.in+m, s.all+m
		if s.stripe > 0 && s.in == s.stripe {
			s.out = binary.BigEndian.AppendUint32(s.out, s.crc)
			s.crc, s.in = 0, 0
		}
	}
}

// Reset begins anew.
func (s *Stripes) Reset() { s.crc, s.in, s.all, s.out = 0, 0, 0, s.out[:0] }

// CRC is that of the bytes since the last full stripe.
func (s *Stripes) CRC() uint32 { return s.crc }

// Sum gives the CRCs, big-endian: at least one, but for a string whose last stripe is full no
// more than its stripes.
func (s *Stripes) Sum() []byte {
	if s.in > 0 || s.stripe <= 0 || s.all == 0 {
		return binary.BigEndian.AppendUint32(s.out[:len(s.out):len(s.out)], s.crc)
	}
	return s.out
}
