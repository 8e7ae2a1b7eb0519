package array

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Records and superblocks are msgpack arrays of unsigned integers, strings and bytes.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDecode = errors.New("array: a record that can't be decoded")

func appendArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(b, byte(v))
	case v < 1<<8:
		return append(b, 0xcc, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

// decoder reads values one after another. The first error stays; after it all are zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = errDecode
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

// number reads a big-endian number of so many bytes.
func (d *decoder) number(bytes int) (v uint64) {
	for _, c := range d.take(bytes) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (d *decoder) uint() uint64 {
	switch c := d.byte(); {
	case c < 0x80:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return d.number(1 << (c - 0xcc))
	}
	d.err = errDecode
	return 0
}

// int reads a number that must fit an int64.
func (d *decoder) int() int64 {
	v := d.uint()
	if v > 1<<62 {
		d.err = errDecode
		return 0
	}
	return int64(v)
}

func (d *decoder) str() string {
	switch c := d.byte(); {
	case c&0xe0 == 0xa0:
		return string(d.take(int(c & 0x1f)))
	case c == 0xd9:
		return string(d.take(int(d.number(1))))
	case c == 0xdb:
		return string(d.take(int(d.number(4))))
	}
	d.err = errDecode
	return ""
}

// array reads the head of an array and gives its number of elements, each of which
// takes at least a byte.
func (d *decoder) array() int {
	n := 0
	switch c := d.byte(); {
	case c&0xf0 == 0x90:
		n = int(c & 0xf)
	case c == 0xdd:
		n = int(d.number(4))
	default:
		d.err = errDecode
	}
	if d.err != nil || n > len(d.b) {
		d.err = errDecode
		return 0
	}
	return n
}

// expect reads the head of an array that must have n elements.
func (d *decoder) expect(n int) {
	if got := d.array(); d.err == nil && got != n {
		d.err = errDecode
	}
}
