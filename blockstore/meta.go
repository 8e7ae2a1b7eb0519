package blockstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"redoubt/dfs"
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

// combiner computes the CRC of a concatenation from the CRCs of its parts: appending n
// bytes multiplies a CRC by x^(8n) modulo the polynomial, both bit-reversed.
type combiner struct {
	poly  uint32
	power [64]uint32 // x^(2^k)
}

func newCombiner(kind dfs.ChecksumType) *combiner {
	c := &combiner{poly: crc32.Castagnoli}
	if kind == dfs.ChecksumCRC32 {
		c.poly = crc32.IEEE
	}
	c.power[0] = 1 << 30
	for k := 1; k < len(c.power); k++ {
		c.power[k] = c.multiply(c.power[k-1], c.power[k-1])
	}
	return c
}

func (c *combiner) multiply(a, b uint32) (product uint32) {
	for m := uint32(1 << 31); m != 0; m >>= 1 {
		if a&m != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ c.poly
		} else {
			b >>= 1
		}
	}
	return product
}

// shift gives the factor for appending n bytes.
func (c *combiner) shift(n int64) uint32 {
	p := uint32(1 << 31) // x^0
	for k := 3; n > 0; k++ {
		if n&1 != 0 {
			p = c.multiply(c.power[k], p)
		}
		n >>= 1
	}
	return p
}

// table is multiplication by a fixed factor, a byte at a time.
type shiftTable [4][256]uint32

func (c *combiner) table(factor uint32) *shiftTable {
	t := new(shiftTable)
	for j := range t {
		for b := range t[j] {
			t[j][b] = c.multiply(factor, uint32(b)<<(8*j))
		}
	}
	return t
}

func (t *shiftTable) apply(crc uint32) uint32 {
	return t[0][crc&255] ^ t[1][crc>>8&255] ^ t[2][crc>>16&255] ^ t[3][crc>>24]
}
