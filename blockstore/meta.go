package blockstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"redoubt/dfs"
	"redoubt/raid"
)

// A meta file is
//
//	0  2  version, big-endian, 1
//	2  1  checksum type: 1 CRC32, 2 CRC32C
//	3  4  bytes per checksum, big-endian
//	7  4  checksum of chunk 0, big-endian; one for each chunk
//
// as HDFS has it. The last chunk may be short.
const (
	metaVersion = 1
	metaHeader  = 7
	sumSize     = 4
	maxChunk    = 1 << 20
)

// checksum is kind and chunk size of a replica's checksums.
type checksum struct {
	kind  dfs.ChecksumType
	chunk int64
	table *crc32.Table
}

var (
	ieee       = crc32.IEEETable
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func newChecksum(kind dfs.ChecksumType, chunk int) (checksum, error) {
	c := checksum{kind: kind, chunk: int64(chunk)}
	switch kind {
	case dfs.ChecksumCRC32:
		c.table = ieee
	case dfs.ChecksumCRC32C:
		c.table = castagnoli
	default:
		return c, dfs.Errorf(dfs.Unsupported, "checksum type %d is not supported", kind)
	}
	if chunk < 1 || chunk > maxChunk {
		return c, dfs.Errorf(dfs.IllegalArgument, "%d bytes per checksum, must be 1 to %d", chunk, maxChunk)
	}
	return c, nil
}

func (c checksum) header() []byte {
	h := make([]byte, metaHeader)
	binary.BigEndian.PutUint16(h, metaVersion)
	h[2] = byte(c.kind)
	binary.BigEndian.PutUint32(h[3:], uint32(c.chunk))
	return h
}

// parseHeader reads the head of a meta file. Version and contents are separate
// questions with separate errors.
func parseHeader(h []byte) (checksum, error) {
	if len(h) < metaHeader {
		return checksum{}, fmt.Errorf("meta file ends after %d bytes, inside its header", len(h))
	}
	if v := binary.BigEndian.Uint16(h); v != metaVersion {
		return checksum{}, fmt.Errorf("meta file has unsupported version %d", v)
	}
	n := binary.BigEndian.Uint32(h[3:])
	if n > maxChunk {
		return checksum{}, fmt.Errorf("meta file has %d bytes per checksum", n)
	}
	return newChecksum(dfs.ChecksumType(h[2]), int(n))
}

// chunks is the number of checksums for length bytes.
func (c checksum) chunks(length int64) int64 { return (length + c.chunk - 1) / c.chunk }

// floor is the chunk boundary at or below off.
func (c checksum) floor(off int64) int64 { return off - off%c.chunk }

// metaSize is the size of the meta file for length bytes.
func (c checksum) metaSize(length int64) int64 { return metaHeader + sumSize*c.chunks(length) }

func (c checksum) sum(b []byte) uint32 { return crc32.Checksum(b, c.table) }

func (c checksum) update(crc uint32, b []byte) uint32 { return crc32.Update(crc, c.table, b) }

// verify compares chunks with their checksums and gives the index of the first bad one, or -1.
func (c checksum) verify(data, sums []byte) int {
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), int(c.chunk))
		if crc32.Checksum(data[:n], c.table) != binary.BigEndian.Uint32(sums[sumSize*i:]) {
			return i
		}
		data = data[n:]
	}
	return -1
}

func sumAt(sums []byte, i int64) uint32 { return binary.BigEndian.Uint32(sums[sumSize*i:]) }

func putSum(sums []byte, i int64, crc uint32) { binary.BigEndian.PutUint32(sums[sumSize*i:], crc) }

// polynomial is what the checksums are made with.
func (c checksum) polynomial() raid.Polynomial {
	if c.kind == dfs.ChecksumCRC32 {
		return raid.CRC32
	}
	return raid.CRC32C
}
