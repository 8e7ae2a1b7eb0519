package main

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// sequenceText shows a Hadoop sequence file as text: a line "key TAB value" for each
// record. It knows the writables that Hadoop itself prints as text (Text, the numbers,
// NullWritable, BytesWritable) and records that are plain, compressed one by one, or
// compressed in blocks.
type sequenceText struct {
	in           *bufio.Reader
	keys, values writable
	block, codec bool
	decompress   func(io.Reader) (io.Reader, error)
	sync         []byte
	line         []byte
	batch        [][2][]byte // of a compressed block
}

var errSequence = errors.New("malformed sequence file")

// sequenceLimit bounds one record or block.
const sequenceLimit = 256 << 20

func newSequenceText(r *bufio.Reader) (io.Reader, error) {
	s := &sequenceText{in: r}
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[3] != 6 {
		return nil, fmt.Errorf("sequence file of version %d is not supported", head[3])
	}
	keyClass, err := s.text()
	if err != nil {
		return nil, err
	}
	valueClass, err := s.text()
	if err != nil {
		return nil, err
	}
	if s.keys, err = writableOf(keyClass); err != nil {
		return nil, err
	}
	if s.values, err = writableOf(valueClass); err != nil {
		return nil, err
	}
	return s, s.header()
}

// header reads the compression, the metadata and the sync marker.
func (s *sequenceText) header() error {
	flags := make([]byte, 2)
	if _, err := io.ReadFull(s.in, flags); err != nil {
		return err
	}
	s.codec, s.block = flags[0] != 0, flags[1] != 0
	if s.codec {
		class, err := s.text()
		if err != nil {
			return err
		}
		switch class {
		case "org.apache.hadoop.io.compress.DefaultCodec", "org.apache.hadoop.io.compress.DeflateCodec":
			s.decompress = func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
		case "org.apache.hadoop.io.compress.GzipCodec":
			s.decompress = func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
		case "org.apache.hadoop.io.compress.BZip2Codec":
			s.decompress = func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }
		default:
			return fmt.Errorf("sequence file compressed with %s is not supported", class)
		}
	}
	n, err := s.int32()
	if err != nil {
		return err
	}
	for range 2 * n {
		if _, err := s.text(); err != nil {
			return err
		}
	}
	s.sync = make([]byte, 16)
	_, err = io.ReadFull(s.in, s.sync)
	return err
}

// Read gives the next bytes of the text.
func (s *sequenceText) Read(p []byte) (int, error) {
	for len(s.line) == 0 {
		key, value, err := s.next()
		if err != nil {
			return 0, err
		}
		k, err := s.keys(key)
		if err != nil {
			return 0, err
		}
		v, err := s.values(value)
		if err != nil {
			return 0, err
		}
		s.line = []byte(k + "\t" + v + "\n")
	}
	n := copy(p, s.line)
	s.line = s.line[n:]
	return n, nil
}

// next gives the next record's serialised key and value.
func (s *sequenceText) next() (key, value []byte, err error) {
	if s.block {
		for len(s.batch) == 0 {
			if err := s.readBlock(); err != nil {
				return nil, nil, err
			}
		}
		r := s.batch[0]
		s.batch = s.batch[1:]
		return r[0], r[1], nil
	}
	length, err := s.int32()
	if err != nil {
		return nil, nil, err
	}
	if length == -1 {
		if err := s.marker(); err != nil {
			return nil, nil, err
		}
		if length, err = s.int32(); err != nil {
			return nil, nil, err
		}
	}
	keyLength, err := s.int32()
	if err != nil || length < 0 || keyLength < 0 || keyLength > length || length > sequenceLimit {
		return nil, nil, orError(err, errSequence)
	}
	buf, err := readN(s.in, int64(length))
	if err != nil {
		return nil, nil, err
	}
	key, value = buf[:keyLength], buf[keyLength:]
	if s.codec {
		value, err = s.inflate(value)
	}
	return key, value, err
}

func orError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (s *sequenceText) marker() error {
	mark := make([]byte, 16)
	if _, err := io.ReadFull(s.in, mark); err != nil {
		return err
	}
	if !bytes.Equal(mark, s.sync) {
		return errSequence
	}
	return nil
}

// readBlock reads a block of records: their count, then lengths and contents of keys
// and values, each compressed.
func (s *sequenceText) readBlock() error {
	escape, err := s.int32()
	if err != nil {
		return err
	}
	if escape != -1 {
		return errSequence
	}
	if err := s.marker(); err != nil {
		return err
	}
	n, err := readVLong(s.in)
	if err != nil {
		return err
	}
	var parts [4]*bytes.Reader
	for i := range parts {
		size, err := readVLong(s.in)
		if err != nil || size < 0 || size > sequenceLimit {
			return orError(err, errSequence)
		}
		buf, err := readN(s.in, size)
		if err != nil {
			return err
		}
		if buf, err = s.inflate(buf); err != nil {
			return err
		}
		parts[i] = bytes.NewReader(buf)
	}
	for range n {
		var record [2][]byte
		for i := range record {
			size, err := readVLong(parts[2*i])
			if err != nil || size < 0 || size > int64(parts[2*i+1].Len()) {
				return orError(err, errSequence)
			}
			record[i] = make([]byte, size)
			if _, err := io.ReadFull(parts[2*i+1], record[i]); err != nil {
				return err
			}
		}
		s.batch = append(s.batch, record)
	}
	return nil
}

func (s *sequenceText) inflate(b []byte) ([]byte, error) {
	if s.decompress == nil {
		return b, nil
	}
	r, err := s.decompress(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, sequenceLimit+1))
	if err == nil && len(out) > sequenceLimit {
		err = errSequence
	}
	return out, err
}

func (s *sequenceText) int32() (int32, error) {
	var b [4]byte
	_, err := io.ReadFull(s.in, b[:])
	return int32(binary.BigEndian.Uint32(b[:])), err
}

func (s *sequenceText) text() (string, error) {
	n, err := readVLong(s.in)
	if err != nil || n < 0 || n > 1<<20 {
		return "", orError(err, errSequence)
	}
	b, err := readN(s.in, n)
	return string(b), err
}

// readN reads n bytes; a length that lies costs no more memory than there are bytes.
func readN(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		return nil, noEOF(err)
	}
	return b.Bytes(), nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readVLong reads Hadoop's number of variable length: one byte for -112 to 127, else a
// byte that tells sign and count, and the big-endian value.
func readVLong(r io.ByteReader) (int64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	f := int8(first)
	if f >= -112 {
		return int64(f), nil
	}
	n, negative := -int(f)-112, false
	if f < -120 {
		n, negative = -int(f)-120, true
	}
	var v int64
	for range n {
		b, err := r.ReadByte()
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		v = v<<8 | int64(b)
	}
	if negative {
		v = ^v
	}
	return v, nil
}

// writable turns a serialised value into text.
type writable func(b []byte) (string, error)

func fixed(n int, show func(b []byte) string) writable {
	return func(b []byte) (string, error) {
		if len(b) != n {
			return "", errSequence
		}
		return show(b), nil
	}
}

func writableOf(class string) (writable, error) {
	switch class {
	case "org.apache.hadoop.io.Text":
		return func(b []byte) (string, error) {
			r := bytes.NewReader(b)
			n, err := readVLong(r)
			if err != nil || n != int64(r.Len()) {
				return "", orError(err, errSequence)
			}
			return string(b[len(b)-int(n):]), nil
		}, nil
	case "org.apache.hadoop.io.NullWritable":
		return fixed(0, func([]byte) string { return "(null)" }), nil
	case "org.apache.hadoop.io.IntWritable":
		return fixed(4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) }), nil
	case "org.apache.hadoop.io.LongWritable":
		return fixed(8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) }), nil
	case "org.apache.hadoop.io.BooleanWritable":
		return fixed(1, func(b []byte) string { return strconv.FormatBool(b[0] != 0) }), nil
	case "org.apache.hadoop.io.DoubleWritable":
		return fixed(8, func(b []byte) string { return javaFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 64) }), nil
	case "org.apache.hadoop.io.FloatWritable":
		return fixed(4, func(b []byte) string { return javaFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32) }), nil
	case "org.apache.hadoop.io.VIntWritable", "org.apache.hadoop.io.VLongWritable":
		return func(b []byte) (string, error) {
			n, err := readVLong(bytes.NewReader(b))
			return strconv.FormatInt(n, 10), err
		}, nil
	case "org.apache.hadoop.io.BytesWritable":
		return func(b []byte) (string, error) {
			if len(b) < 4 || int(binary.BigEndian.Uint32(b)) != len(b)-4 {
				return "", errSequence
			}
			var out []byte
			for i, c := range b[4:] {
				if i > 0 {
					out = append(out, ' ')
				}
				out = fmt.Appendf(out, "%02x", c)
			}
			return string(out), nil
		}, nil
	}
	return nil, fmt.Errorf("sequence file of %s is not supported", class)
}

// javaFloat shows a number as Java's toString does.
func javaFloat(v float64, bits int) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'f', -1, bits), "+") + "inity"
	case a != 0 && (a < 1e-3 || a >= 1e7):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, bits), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := strings.TrimPrefix(exponent[:1], "+")
		return mantissa + "E" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	s := strconv.FormatFloat(v, 'f', -1, bits)
	if v == math.Trunc(v) {
		s += ".0"
	}
	return s
}
