package raid

import "fmt"

// Limits of a geometry.
const (
	MinData     = 2
	MaxData     = 16
	DefaultUnit = 64 << 10 // bytes, as hardware controllers have it
)

// Geometry lays a volume out over Data+1 members in units of Unit bytes, with the parity
// rotated left-symmetrically: stripe s has its parity on member n-1-(s mod n), and its data
// units on the members that follow, wrapping around, so that reading in sequence visits
// every member once in n units.
//
//	        member 0  1  2  3        (Data = 3)
//	stripe 0       0  1  2  P
//	stripe 1       4  5  P  3
//	stripe 2       8  P  6  7
//	stripe 3       P  9 10 11
type Geometry struct {
	Data int   // k, data units in a stripe: 2 to 16
	Unit int64 // bytes
}

// Validate says what can't be in a geometry.
func (g Geometry) Validate() error {
	if g.Data < MinData || g.Data > MaxData {
		return fmt.Errorf("raid: %d data members; there may be %d to %d", g.Data, MinData, MaxData)
	}
	if g.Unit <= 0 || g.Unit > 1<<40 {
		return fmt.Errorf("raid: a unit of %d bytes", g.Unit)
	}
	return nil
}

// Members is how many members an array has, the parity's share included.
func (g Geometry) Members() int { return g.Data + 1 }

// StripeBytes is how many bytes of data a whole stripe holds.
func (g Geometry) StripeBytes() int64 { return int64(g.Data) * g.Unit }

// Place is where a run of a volume's bytes lives.
type Place struct {
	Stripe int64
	Index  int   // of the data unit in its stripe, 0 to Data-1
	Member int   // that holds the unit
	Parity int   // the member that holds the stripe's parity
	Offset int64 // of the first byte on Member
	Length int64 // bytes up to the end of the unit, or of the run that was asked for
}

// ParityMember is the member that holds the parity of a stripe.
func (g Geometry) ParityMember(stripe int64) int {
	n := int64(g.Members())
	return int(n - 1 - stripe%n)
}

// DataMember is the member that holds data unit index of a stripe.
func (g Geometry) DataMember(stripe int64, index int) int {
	return (g.ParityMember(stripe) + 1 + index) % g.Members()
}

// DataIndex is the inverse of DataMember: which unit of a stripe a member holds; -1 for
// its parity.
func (g Geometry) DataIndex(stripe int64, member int) int {
	i := member - g.ParityMember(stripe) - 1
	if i < 0 {
		i += g.Members()
	}
	if i == g.Data {
		return -1
	}
	return i
}

// Locate finds the byte at off of the volume, and with it as much of the length bytes
// from there on as lie in the same unit.
func (g Geometry) Locate(off, length int64) Place {
	unit, within := off/g.Unit, off%g.Unit
	stripe, index := unit/int64(g.Data), int(unit%int64(g.Data))
	return Place{
		Stripe: stripe, Index: index,
		Member: g.DataMember(stripe, index), Parity: g.ParityMember(stripe),
		Offset: stripe*g.Unit + within, Length: min(length, g.Unit-within),
	}
}

// VolumeOffset is the inverse of Locate: the volume's offset of a byte on a member; -1 if it
// is parity.
func (g Geometry) VolumeOffset(member int, off int64) int64 {
	stripe, within := off/g.Unit, off%g.Unit
	index := g.DataIndex(stripe, member)
	if index < 0 {
		return -1
	}
	return stripe*g.StripeBytes() + int64(index)*g.Unit + within
}

// MemberSize is how many bytes a member holds of a volume of size bytes whose last stripe
// may be short: as many whole units as the volume has whole stripes, and of the last one
// its data, or parity as long as its longest unit.
func (g Geometry) MemberSize(member int, size int64) int64 {
	stripe, rest := size/g.StripeBytes(), size%g.StripeBytes()
	whole := stripe * g.Unit
	if rest == 0 {
		return whole
	}
	index := g.DataIndex(stripe, member)
	if index < 0 {
		return whole + min(rest, g.Unit)
	}
	return whole + max(0, min(rest-int64(index)*g.Unit, g.Unit))
}

// VolumeSize is how many bytes fit on members of memberSize bytes each: whole stripes only.
func (g Geometry) VolumeSize(memberSize int64) int64 {
	return memberSize / g.Unit * g.StripeBytes()
}
