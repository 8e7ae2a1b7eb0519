package main

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strconv"
	"unicode/utf16"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

const (
	avroMagic    = "Obj\x01"
	avroMaxBlock = 1 << 30   // bytes of one block, compressed or not
	avroMaxText  = 256 << 20 // bytes of one record's text
	avroMaxDepth = 1000      // values inside each other
)

// avroText reads an Avro data file and gives its records as JSON, a line each, as
// Hadoop's shell prints them.
type avroText struct {
	r      *bufio.Reader
	schema *avroSchema
	codec  string
	sync   [16]byte
	block  avroBytes
	left   int64 // records of block
	out    bytes.Buffer
}

func newAvroText(r *bufio.Reader) (io.Reader, error) {
	a := &avroText{r: r}
	if err := a.header(); err != nil {
		return nil, fmt.Errorf("Avro file: %w", noEOF(err))
	}
	return a, nil
}

// header reads what stands before the first block: the magic, a map with schema and codec,
// and the marker that ends each block.
func (a *avroText) header() error {
	if _, err := a.r.Discard(len(avroMagic)); err != nil {
		return err
	}
	meta := map[string][]byte{}
	for {
		n, err := avroCount(a.r)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		for range n {
			key, err := avroBlob(a.r, 1<<16)
			if err != nil {
				return err
			}
			if meta[string(key)], err = avroBlob(a.r, 64<<20); err != nil {
				return err
			}
		}
	}
	if _, err := io.ReadFull(a.r, a.sync[:]); err != nil {
		return err
	}
	a.codec = string(meta["avro.codec"])
	switch a.codec {
	case "", "null", "deflate", "snappy", "bzip2", "zstandard":
	default:
		return fmt.Errorf("compressed with %q, which is not supported", a.codec)
	}
	var err error
	a.schema, err = parseAvroSchema(meta["avro.schema"])
	return err
}

func (a *avroText) Read(p []byte) (int, error) {
	for a.out.Len() == 0 {
		if err := a.next(); err != nil {
			if err != io.EOF {
				err = fmt.Errorf("Avro file: %w", noEOF(err))
			}
			return 0, err
		}
	}
	return a.out.Read(p)
}

// next makes the text of the next record; io.EOF behind the last.
func (a *avroText) next() error {
	for a.left == 0 {
		if len(a.block) > 0 {
			return errors.New("a block is longer than its records")
		}
		if err := a.readBlock(); err != nil {
			return err
		}
	}
	a.out.Reset()
	w := avroJSON{out: &a.out, in: &a.block}
	if err := w.value(a.schema, 0); err != nil {
		return noEOF(err)
	}
	a.left--
	a.out.WriteByte('\n')
	return nil
}

// readBlock reads the next block; io.EOF when there is none.
func (a *avroText) readBlock() error {
	if _, err := a.r.Peek(1); err != nil {
		return err
	}
	count, err := avroLong(a.r)
	if err != nil {
		return noEOF(err)
	}
	data, err := avroBlob(a.r, avroMaxBlock)
	if err != nil {
		return noEOF(err)
	}
	var mark [16]byte
	if _, err := io.ReadFull(a.r, mark[:]); err != nil {
		return noEOF(err)
	}
	if mark != a.sync || count < 0 {
		return errors.New("damaged: the marker behind a block is another one")
	}
	if a.block, err = a.expand(data); err != nil {
		return fmt.Errorf("a block of codec %s: %w", a.codec, err)
	}
	a.left = count
	return nil
}

func (a *avroText) expand(data []byte) (avroBytes, error) {
	var r io.Reader
	switch a.codec {
	case "deflate":
		r = flate.NewReader(bytes.NewReader(data))
	case "bzip2":
		r = bzip2.NewReader(bytes.NewReader(data))
	case "zstandard":
		d, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	case "snappy":
		return avroSnappy(data)
	default:
		return data, nil
	}
	out, err := io.ReadAll(io.LimitReader(r, avroMaxBlock+1))
	if len(out) > avroMaxBlock {
		err = fmt.Errorf("more than %d bytes", avroMaxBlock)
	}
	return out, err
}

// avroSnappy expands a block that has the CRC of its bytes behind it.
func avroSnappy(data []byte) (avroBytes, error) {
	if len(data) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	body, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if n, err := snappy.DecodedLen(body); err != nil || n > avroMaxBlock {
		return nil, fmt.Errorf("no snappy block: %w", errors.Join(err))
	}
	out, err := snappy.Decode(nil, body)
	if err == nil && crc32.ChecksumIEEE(out) != sum {
		err = errors.New("its checksum is another one")
	}
	return out, err
}

// avroBytes is what is left of a block.
type avroBytes []byte

func (b *avroBytes) ReadByte() (byte, error) {
	if len(*b) == 0 {
		return 0, io.EOF
	}
	c := (*b)[0]
	*b = (*b)[1:]
	return c, nil
}

func (b *avroBytes) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(*b)) {
		return nil, io.ErrUnexpectedEOF
	}
	p := (*b)[:n]
	*b = (*b)[n:]
	return p, nil
}

// avroLong reads a number as Avro writes it: seven bits a byte, the sign in the lowest.
func avroLong(r io.ByteReader) (int64, error) {
	v, err := binary.ReadUvarint(r)
	return int64(v>>1) ^ -int64(v&1), err
}

// avroCount reads how many items of an array or map follow; 0 ends it. A negative number
// has the items' bytes behind it.
func avroCount(r io.ByteReader) (int64, error) {
	n, err := avroLong(r)
	if n < 0 && err == nil {
		_, err = avroLong(r)
		n = -n
	}
	if n < 0 && err == nil { // the least int64
		err = errors.New("a count is out of range")
	}
	return n, err
}

// avroBlob reads bytes with their length before them.
func avroBlob(r *bufio.Reader, limit int64) ([]byte, error) {
	n, err := avroLong(r)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > limit {
		return nil, fmt.Errorf("%d bytes are announced", n)
	}
	return readN(r, n)
}

// avroJSON turns binary values into JSON text.
type avroJSON struct {
	out *bytes.Buffer
	in  *avroBytes
}

func (w *avroJSON) value(s *avroSchema, depth int) error {
	if depth > avroMaxDepth {
		return fmt.Errorf("values are nested deeper than %d", avroMaxDepth)
	}
	if w.out.Len() > avroMaxText {
		return fmt.Errorf("a record's text is longer than %d bytes", avroMaxText)
	}
	switch s.kind {
	case "record":
		return w.record(s, depth)
	case "array", "map":
		return w.items(s, depth)
	case "union":
		i, err := avroLong(w.in)
		if err != nil {
			return err
		}
		if i < 0 || i >= int64(len(s.items)) {
			return fmt.Errorf("a union has no branch %d", i)
		}
		branch := s.items[i]
		if branch.kind == "null" {
			w.out.WriteString("null")
			return nil
		}
		w.out.WriteByte('{')
		jsonString(w.out, branch.full())
		w.out.WriteByte(':')
		err = w.value(branch, depth+1)
		w.out.WriteByte('}')
		return err
	}
	return w.scalar(s)
}

func (w *avroJSON) record(s *avroSchema, depth int) error {
	w.out.WriteByte('{')
	for i, f := range s.items {
		if i > 0 {
			w.out.WriteByte(',')
		}
		jsonString(w.out, s.names[i])
		w.out.WriteByte(':')
		if err := w.value(f, depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

// items writes an array, or a map with its keys.
func (w *avroJSON) items(s *avroSchema, depth int) error {
	open, end := byte('['), byte(']')
	if s.kind == "map" {
		open, end = '{', '}'
	}
	w.out.WriteByte(open)
	for first := true; ; {
		n, err := avroCount(w.in)
		if err != nil {
			return err
		}
		if n == 0 {
			w.out.WriteByte(end)
			return nil
		}
		for ; n > 0; n, first = n-1, false {
			if !first {
				w.out.WriteByte(',')
			}
			if s.kind == "map" {
				if err := w.text(); err != nil {
					return err
				}
				w.out.WriteByte(':')
			}
			if err := w.value(s.items[0], depth+1); err != nil {
				return err
			}
		}
	}
}

// text writes a string of the input.
func (w *avroJSON) text() error {
	n, err := avroLong(w.in)
	if err != nil {
		return err
	}
	b, err := w.in.take(n)
	jsonString(w.out, string(b))
	return err
}

func (w *avroJSON) scalar(s *avroSchema) error {
	switch s.kind {
	case "null":
		w.out.WriteString("null")
		return nil
	case "string":
		return w.text()
	case "boolean":
		b, err := w.in.ReadByte()
		w.out.WriteString(strconv.FormatBool(b == 1))
		return err
	case "float", "double":
		return w.float(s.kind)
	case "fixed":
		return w.raw(s.size)
	}
	n, err := avroLong(w.in) // int, long, a length, or the number of a symbol
	switch {
	case err != nil:
		return err
	case s.kind == "bytes":
		return w.raw(n)
	case s.kind == "enum":
		if n < 0 || n >= int64(len(s.names)) {
			return fmt.Errorf("%s has no symbol %d", s.name, n)
		}
		jsonString(w.out, s.names[n])
		return nil
	case s.kind == "int" && int64(int32(n)) != n:
		return fmt.Errorf("%d is no int", n)
	}
	w.out.WriteString(strconv.FormatInt(n, 10))
	return nil
}

// float writes a number as Java does; what is none stands in quotes.
func (w *avroJSON) float(kind string) error {
	size, bits := int64(8), 64
	if kind == "float" {
		size, bits = 4, 32
	}
	b, err := w.in.take(size)
	if err != nil {
		return err
	}
	v := 0.0
	if bits == 32 {
		v = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	} else {
		v = math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	text := javaFloat(v, bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		text = `"` + text + `"`
	}
	w.out.WriteString(text)
	return nil
}

// raw writes bytes as a string of characters with their numbers.
func (w *avroJSON) raw(n int64) error {
	b, err := w.in.take(n)
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	jsonString(w.out, string(runes))
	return err
}

// jsonString writes a string with the escapes that Java's JSON libraries choose.
func jsonString(out *bytes.Buffer, s string) {
	const short = "btn?fr" // from 8 on
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r >= 8 && r <= 13 && r != 11:
			out.WriteByte('\\')
			out.WriteByte(short[r-8])
		case r < ' ':
			fmt.Fprintf(out, `\u%04X`, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(out, `\u%04X\u%04X`, high, low)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
