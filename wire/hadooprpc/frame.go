package hadooprpc

import (
	"encoding/binary"
	"fmt"
	"io"

	"redoubt/internal/membudget"
)

const smallBuffer = 16 << 10 // bytes of a fresh read buffer

// frameReader cuts frames out of a stream. Its buffer grows only when it is full of bytes
// that really arrived, so that a length that lies costs no memory, and what it has beyond
// a fresh one is taken from a budget that all connections share. Frames share memory with the buffer and
// hold until the next fill.
type frameReader struct {
	src    io.Reader
	max    int // longest frame taken
	budget *membudget.Budget
	buf    []byte
	r, w   int // buf[r:w] is not yet used
}

func newFrameReader(src io.Reader, max int) frameReader {
	return frameReader{src: src, max: max, buf: make([]byte, smallBuffer)}
}

// need is how many bytes the next frame takes with its length word, as far as is known.
func (f *frameReader) need() int {
	if f.w-f.r < 4 {
		return 4
	}
	return 4 + int(binary.BigEndian.Uint32(f.buf[f.r:]))
}

// next gives the next frame if it is there as a whole.
func (f *frameReader) next() (frame []byte, ok bool, err error) {
	n := f.need()
	if n-4 > f.max {
		return nil, false, fmt.Errorf("%w: %d bytes announced, %d is the most", errFrame, n-4, f.max)
	}
	if n == 4 && f.w-f.r >= 4 {
		return nil, false, fmt.Errorf("%w: empty", errFrame)
	}
	if f.w-f.r < n {
		return nil, false, nil
	}
	frame = f.buf[f.r+4 : f.r+n : f.r+n]
	f.r += n
	return frame, true, nil
}

// more reports whether the next frame is there as a whole.
func (f *frameReader) more() bool { return f.w-f.r >= 4 && f.w-f.r >= f.need() }

// raw gives the next n bytes if they are there.
func (f *frameReader) raw(n int) []byte {
	if f.w-f.r < n {
		return nil
	}
	b := f.buf[f.r : f.r+n]
	f.r += n
	return b
}

// partial is how many bytes of a frame that needs a buffer of its own have arrived; 0 if
// there is none.
func (f *frameReader) partial() int {
	if have := f.w - f.r; have >= 4 && f.need() > smallBuffer {
		return have
	}
	return 0
}

// replace makes a buffer of size bytes the next one; the budget may not have them.
func (f *frameReader) replace(size int) ([]byte, error) {
	if err := f.budget.Take(size - len(f.buf)); err != nil {
		return nil, err
	}
	return make([]byte, size), nil
}

// release gives the buffer back. The reader can't be used on.
func (f *frameReader) release() {
	f.budget.Give(len(f.buf) - smallBuffer)
	f.buf, f.r, f.w = nil, 0, 0
}

// fill reads once. It returns io.EOF only between frames, io.ErrUnexpectedEOF inside one.
func (f *frameReader) fill() error {
	switch {
	case f.r == f.w:
		f.r, f.w = 0, 0
		if len(f.buf) > keepBuffer {
			f.budget.Give(len(f.buf) - smallBuffer)
			f.buf = make([]byte, smallBuffer)
		}
	case len(f.buf)-f.w < len(f.buf)/4 || len(f.buf)-f.r < f.need():
		if err := f.makeRoom(); err != nil {
			return err
		}
	}
	n, err := f.src.Read(f.buf[f.w:])
	f.w += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && f.r != f.w {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// makeRoom moves the unused bytes to the front, of a larger buffer if it is full.
func (f *frameReader) makeRoom() (err error) {
	to := f.buf
	switch {
	case f.w-f.r == len(f.buf):
		size := 2 * len(f.buf)
		if n := f.need(); n > len(f.buf) && size > n {
			size = max(n, smallBuffer)
		}
		if to, err = f.replace(size); err != nil {
			return err
		}
	case f.r == 0:
		return nil
	}
	f.w = copy(to, f.buf[f.r:f.w])
	f.r, f.buf = 0, to
	return nil
}
