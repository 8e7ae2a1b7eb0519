package datatransfer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"redoubt/dfs"
)

// Checksum says how a stream's bytes are covered: one big-endian CRC per chunk of
// BytesPer bytes, the last chunk of the block may be shorter.
type Checksum struct {
	Type     dfs.ChecksumType
	BytesPer uint32
}

// DefaultChecksum is what every replica is stored with: CRC32C over 512 bytes.
var DefaultChecksum = Checksum{Type: dfs.ChecksumCRC32C, BytesPer: dfs.BytesPerChecksum}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MaxBytesPerChecksum bounds a chunk, so that one always fits into a packet.
const MaxBytesPerChecksum = 1 << 20

// Validate reports a chunk size or type that this package can't verify.
func (c Checksum) Validate() error {
	if c.BytesPer == 0 || c.BytesPer > MaxBytesPerChecksum {
		return fmt.Errorf("datatransfer: checksum over %d bytes: %w", c.BytesPer, ErrFrame)
	}
	if c.Type > dfs.ChecksumCRC32C {
		return fmt.Errorf("datatransfer: checksum type %d: %w", c.Type, ErrFrame)
	}
	return nil
}

// Size is the number of checksum bytes that cover n bytes from a chunk's start.
func (c Checksum) Size(n int) int {
	if c.Type == dfs.ChecksumNull {
		return 0
	}
	return (n + int(c.BytesPer) - 1) / int(c.BytesPer) * checksumBytes
}

// Sum is the CRC of one chunk.
func (c Checksum) Sum(chunk []byte) uint32 {
	if c.Type == dfs.ChecksumCRC32 {
		return crc32.ChecksumIEEE(chunk)
	}
	return crc32.Update(0, castagnoli, chunk)
}

// Fill computes the checksums of data, which starts at a chunk's start, into sums, which
// has Size(len(data)) bytes.
func (c Checksum) Fill(sums, data []byte) {
	per := int(c.BytesPer)
	for len(sums) >= checksumBytes && len(data) > 0 {
		n := min(per, len(data))
		binary.BigEndian.PutUint32(sums, c.Sum(data[:n]))
		sums, data = sums[checksumBytes:], data[n:]
	}
}

// Verify checks data, which starts at a chunk's start, against sums and gives the offset
// in data of the first chunk that differs, -1 if none does. A wrong number of checksums
// counts as a difference in the first chunk. Without checksums everything is accepted.
func (c Checksum) Verify(sums, data []byte) (bad int) {
	if c.Type == dfs.ChecksumNull {
		return -1
	}
	if len(sums) != c.Size(len(data)) {
		return 0
	}
	per := int(c.BytesPer)
	at := 0
	if c.Type == dfs.ChecksumCRC32C {
		for ; len(data)-at >= per; at += per { // the hot loop, without a call per choice
			if crc32.Update(0, castagnoli, data[at:at+per]) != binary.BigEndian.Uint32(sums) {
				return at
			}
			sums = sums[checksumBytes:]
		}
	}
	for at < len(data) {
		n := min(per, len(data)-at)
		if c.Sum(data[at:at+n]) != binary.BigEndian.Uint32(sums) {
			return at
		}
		sums, at = sums[checksumBytes:], at+n
	}
	return -1
}
