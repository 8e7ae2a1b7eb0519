package main

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"io"
	"path"

	"github.com/klauspost/compress/zstd"
)

// decodeText finds out how a file is encoded, by its first bytes and else by its name,
// and gives its text.
func decodeText(f io.Reader, name string) (io.Reader, error) {
	r := bufio.NewReaderSize(f, 128<<10)
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(r)
	}
	if len(magic) == 4 && string(magic[:3]) == "SEQ" {
		return newSequenceText(r)
	}
	if string(magic) == avroMagic {
		return newAvroText(r)
	}
	if len(magic) == 0 {
		return r, nil
	}
	switch path.Ext(name) {
	case ".bz2":
		return bzip2.NewReader(r), nil
	case ".deflate":
		return zlib.NewReader(r)
	case ".snappy":
		return &blockText{r: r, name: name, piece: snappyPiece}, nil
	case ".lz4":
		return &blockText{r: r, name: name, piece: lz4Piece}, nil
	case ".zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return r, nil
}
