package namespace

import (
	"encoding/binary"
	"math"
	"unsafe"

	"redoubt/dfs"
)

// coder writes or reads one msgpack array, field by field, by the same list of calls, so
// that an encoder and its decoder can't drift apart. Its bytes are those of go-msgpack
// with WriteExt and PositiveIntUnsigned: every number in its shortest form. Reading
// takes any msgpack integer that fits.
//
// Strings and byte slices that it reads share memory with the input.
type coder struct {
	b    []byte // written so far, or left to read
	read bool
	bad  bool // what was read is not what is expected

	version uint8 // of the op that is read
}

func (c *coder) fail() { c.bad, c.b = true, nil }

// take gives the next n bytes of input, nil (and bad) if there are fewer.
func (c *coder) take(n int) []byte {
	if n > len(c.b) || n < 0 {
		c.fail()
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 128:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

// integer reads any integer as its 64 bits and whether it is negative.
func (c *coder) integer() (v uint64, negative bool) {
	if len(c.b) == 0 {
		c.fail()
		return 0, false
	}
	t := c.b[0]
	c.b = c.b[1:]
	switch {
	case t < 0x80:
		return uint64(t), false
	case t >= 0xe0:
		return uint64(int64(int8(t))), true
	case t < 0xcc || t > 0xd3:
		c.fail()
		return 0, false
	}
	p := c.take(1 << (t & 3))
	if p == nil {
		return 0, false
	}
	switch t {
	case 0xcc:
		v = uint64(p[0])
	case 0xcd:
		v = uint64(binary.BigEndian.Uint16(p))
	case 0xce:
		v = uint64(binary.BigEndian.Uint32(p))
	case 0xcf:
		v = binary.BigEndian.Uint64(p)
	case 0xd0:
		v = uint64(int64(int8(p[0])))
	case 0xd1:
		v = uint64(int64(int16(binary.BigEndian.Uint16(p))))
	case 0xd2:
		v = uint64(int64(int32(binary.BigEndian.Uint32(p))))
	case 0xd3:
		v = binary.BigEndian.Uint64(p)
	}
	return v, t >= 0xd0 && int64(v) < 0
}

// codeUint writes or reads an unsigned number; one that does not fit its type is bad.
func codeUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *coder, p *T) {
	if !c.read {
		c.b = appendUint(c.b, uint64(*p))
		return
	}
	v, negative := c.integer()
	if negative || uint64(T(v)) != v {
		c.fail()
		return
	}
	*p = T(v)
}

// codeInt writes or reads a signed number; one that does not fit its type is bad.
func codeInt[T ~int32 | ~int64](c *coder, p *T) {
	if !c.read {
		c.b = appendInt(c.b, int64(*p))
		return
	}
	v, negative := c.integer()
	if !negative && v > math.MaxInt64 || int64(T(int64(v))) != int64(v) {
		c.fail()
		return
	}
	*p = T(int64(v))
}

func (c *coder) bool(p *bool) {
	if !c.read {
		t := byte(0xc2)
		if *p {
			t = 0xc3
		}
		c.b = append(c.b, t)
		return
	}
	switch t := c.take(1); {
	case t == nil:
	case t[0] == 0xc2 || t[0] == 0xc3:
		*p = t[0] == 0xc3
	default:
		c.fail()
	}
}

// length reads the length of a string (base 0xd9) or byte slice (base 0xc4).
func (c *coder) length(base byte, t byte) int {
	if t < base || t > base+2 {
		c.fail()
		return 0
	}
	p := c.take(1 << (t - base))
	switch len(p) {
	case 1:
		return int(p[0])
	case 2:
		return int(binary.BigEndian.Uint16(p))
	case 4:
		return int(binary.BigEndian.Uint32(p))
	}
	return 0
}

func appendLength(b []byte, base byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, base, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, base+1), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, base+2), uint32(n))
}

func appendString(b []byte, s string) []byte {
	if len(s) < 32 {
		b = append(b, 0xa0|byte(len(s)))
	} else {
		b = appendLength(b, 0xd9, len(s))
	}
	return append(b, s...)
}

func (c *coder) string(p *string) {
	if !c.read {
		c.b = appendString(c.b, *p)
		return
	}
	raw := c.rawString()
	*p = unsafe.String(unsafe.SliceData(raw), len(raw))
}

func (c *coder) rawString() []byte {
	t := c.take(1)
	if t == nil {
		return nil
	}
	if t[0]&0xe0 == 0xa0 {
		return c.take(int(t[0] & 0x1f))
	}
	return c.take(c.length(0xd9, t[0]))
}

// bytes writes or reads a byte slice; nil is msgpack's nil.
func (c *coder) bytes(p *[]byte) {
	if !c.read {
		if *p == nil {
			c.b = append(c.b, 0xc0)
			return
		}
		c.b = append(appendLength(c.b, 0xc4, len(*p)), *p...)
		return
	}
	t := c.take(1)
	if t == nil {
		return
	}
	if t[0] == 0xc0 {
		*p = nil
		return
	}
	*p = c.take(c.length(0xc4, t[0]))
}

// array writes or reads an array's header and gives its length, which can't exceed the
// bytes that are left.
func (c *coder) array(n int) int {
	if !c.read {
		switch {
		case n < 16:
			c.b = append(c.b, 0x90|byte(n))
		case n <= math.MaxUint16:
			c.b = binary.BigEndian.AppendUint16(append(c.b, 0xdc), uint16(n))
		default:
			c.b = binary.BigEndian.AppendUint32(append(c.b, 0xdd), uint32(n))
		}
		return n
	}
	t := c.take(1)
	if t == nil {
		return 0
	}
	switch {
	case t[0]&0xf0 == 0x90:
		n = int(t[0] & 0x0f)
	case t[0] == 0xdc || t[0] == 0xdd:
		n = c.length(0xdb, t[0])
	default:
		c.fail()
		return 0
	}
	if n > len(c.b) {
		c.fail()
		return 0
	}
	return n
}

// fields opens an array that must have n elements.
func (c *coder) fields(n int) {
	if c.array(n) != n {
		c.fail()
	}
}

func (c *coder) strings(p *[]string) {
	n := c.array(len(*p))
	if c.read {
		*p = (*p)[:0]
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, "")
		}
		c.string(&(*p)[i])
	}
}

func (c *coder) inodeIDs(p *[]dfs.InodeID) {
	n := c.array(len(*p))
	if c.read {
		*p = (*p)[:0]
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, 0)
		}
		codeUint(c, &(*p)[i])
	}
}

// block is an array of id, stamp and length, nil for id 0.
func (c *coder) block(p *dfs.Block) {
	if !c.read && p.ID == 0 || c.read && len(c.b) > 0 && c.b[0] == 0xc0 {
		if c.read {
			c.b, *p = c.b[1:], dfs.Block{}
		} else {
			c.b = append(c.b, 0xc0)
		}
		return
	}
	c.fields(3)
	codeUint(c, &p.ID)
	codeUint(c, &p.GenStamp)
	codeInt(c, &p.Length)
}

// call is an array of client id and call number, nil for the zero call.
func (c *coder) call(p *dfs.CallID) {
	if !c.read && p.IsZero() || c.read && len(c.b) > 0 && c.b[0] == 0xc0 {
		if c.read {
			c.b, *p = c.b[1:], dfs.CallID{}
		} else {
			c.b = append(c.b, 0xc0)
		}
		return
	}
	c.fields(2)
	client := p.Client[:]
	c.bytes(&client)
	if c.read {
		if len(client) != len(p.Client) {
			c.fail()
			return
		}
		copy(p.Client[:], client)
	}
	codeInt(c, &p.Call)
}
