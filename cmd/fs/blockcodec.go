package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
)

const maxCodecBlock = 1 << 30

// blockText reads what Hadoop's block codecs write: the length of a block's text, then
// pieces that each have their compressed length before them, until that much text came.
type blockText struct {
	r     *bufio.Reader
	name  string
	piece func(dst, src []byte) ([]byte, error) // appends a piece's text to dst
	left  uint32                                // text of the block that has not come yet
	rest  []byte
	buf   []byte
}

func (b *blockText) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if err := b.next(); err != nil {
			if err != io.EOF {
				err = fmt.Errorf("%s: %w", b.name, noEOF(err))
			}
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *blockText) next() error {
	for b.left == 0 { // a block of nothing is allowed
		if _, err := b.r.Peek(1); err != nil {
			return err
		}
		n, err := b.length()
		if err != nil {
			return err
		}
		b.left = n
	}
	n, err := b.length()
	if err != nil {
		return noEOF(err)
	}
	src, err := readN(b.r, int64(n))
	if err != nil {
		return noEOF(err)
	}
	if b.buf, err = b.piece(b.buf[:0], src); err != nil {
		return err
	}
	if uint32(len(b.buf)) > b.left || len(b.buf) == 0 {
		return errors.New("damaged: a block's pieces are not what it announces")
	}
	b.left -= uint32(len(b.buf))
	b.rest = b.buf
	return nil
}

func (b *blockText) length() (uint32, error) {
	var h [4]byte
	if _, err := io.ReadFull(b.r, h[:]); err != nil {
		return 0, noEOF(err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n > maxCodecBlock {
		return 0, fmt.Errorf("damaged: %d bytes are announced", n)
	}
	return n, nil
}

func snappyPiece(dst, src []byte) ([]byte, error) {
	if n, err := snappy.DecodedLen(src); err != nil || n > maxCodecBlock {
		return nil, errors.New("damaged: no snappy block")
	}
	return snappy.Decode(dst[:cap(dst)], src)
}

var errLZ4 = errors.New("damaged: no lz4 block")

// lz4Piece expands an LZ4 block: literals and copies of what came before, by turns.
func lz4Piece(dst, src []byte) ([]byte, error) {
	for len(src) > 0 {
		token := src[0]
		src = src[1:]
		n, rest, ok := lz4Length(int(token>>4), src)
		if !ok || n > len(rest) {
			return nil, errLZ4
		}
		dst, src = append(dst, rest[:n]...), rest[n:]
		if len(src) == 0 {
			break // the last ones are literals
		}
		if len(src) < 2 {
			return nil, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(src))
		n, src, ok = lz4Length(int(token&15), src[2:])
		n += 4
		if !ok || back == 0 || back > len(dst) || len(dst)+n > maxCodecBlock {
			return nil, errLZ4
		}
		for ; n > 0; n-- { // what is copied may overlap what it makes
			dst = append(dst, dst[len(dst)-back])
		}
	}
	return dst, nil
}

// lz4Length reads the rest of a length whose four bits are all set.
func lz4Length(n int, src []byte) (int, []byte, bool) {
	if n < 15 {
		return n, src, true
	}
	for i, c := range src {
		if n += int(c); n > maxCodecBlock {
			return 0, nil, false
		}
		if c < 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}
