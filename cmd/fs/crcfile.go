package main

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
)

// crcWriter writes a local file and beside it the .crc file that Hadoop's local file
// system keeps: "crc", 0, the chunk size as a big-endian word, a CRC32 of each chunk.
type crcWriter struct {
	data, sums *os.File
	crc        uint32
	n          int    // bytes in the chunk
	buf        []byte // sums to write
}

const crcChunk = 512

func newCRCWriter(data *os.File, name string) (io.WriteCloser, error) {
	sums, err := os.Create(name)
	if err != nil {
		data.Close()
		return nil, err
	}
	return &crcWriter{data: data, sums: sums, buf: []byte{'c', 'r', 'c', 0, 0, 0, crcChunk >> 8, 0}}, nil
}

func (w *crcWriter) Write(p []byte) (int, error) {
	n, err := w.data.Write(p)
	for b := p[:n]; len(b) > 0; {
		k := min(len(b), crcChunk-w.n)
		w.crc = crc32.Update(w.crc, crc32.IEEETable, b[:k])
		b = b[k:]
		if w.n += k; w.n == crcChunk {
			w.endChunk()
		}
	}
	if err == nil && len(w.buf) > 32<<10 {
		_, err = w.sums.Write(w.buf)
		w.buf = w.buf[:0]
	}
	return n, err
}

func (w *crcWriter) endChunk() {
	w.buf = binary.BigEndian.AppendUint32(w.buf, w.crc)
	w.crc, w.n = 0, 0
}

// Close ends both files; the first error counts.
func (w *crcWriter) Close() error {
	if w.n > 0 {
		w.endChunk()
	}
	_, err := w.sums.Write(w.buf)
	for _, f := range []*os.File{w.sums, w.data} {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
