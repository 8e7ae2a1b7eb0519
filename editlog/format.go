package editlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"redoubt/dfs"
)

// Version is the format version this package writes. It reads all up to it.
const Version = 2

// The segment header fills the first headerSize bytes. Integers are little-endian.
//
//	 0   8  magic "RDBTEDIT"
//	 8   4  version
//	12   4  offset of the first batch: headerSize
//	16   8  TxID of the first record
//	24   8  epoch: grows with every start of the writing process
//	32   4  namespace id
//	36   8  creation time of the namespace, ms
//	44   8  bytes of zeroes that are written ahead at a time, 0 if none; not in version 1,
//	        where the ids begin here
//	52   1+n  cluster id: length, bytes
//	 .   1+n  block pool id: length, bytes
//	 .      zeroes
//	508  4  CRC32C of bytes 0..507
const (
	headerSize = 512
	headerCRC  = headerSize - 4
	fillOffset = 44
	idsOffset  = 52
	idsOffset1 = 44                        // in version 1
	maxIDs     = headerCRC - idsOffset - 2 // bytes of both ids together
)

var segmentMagic = [8]byte{'R', 'D', 'B', 'T', 'E', 'D', 'I', 'T'}

// A batch is its header and its payload, filled with zeroes to a multiple of 8 bytes.
//
//	 0   4  magic "BTCH"
//	 4   4  payload length
//	 8   8  TxID of the first record
//	16   4  count of records
//	20   4  flags: 1 = the payload begins with a mark; 2 = zeroes ahead of an earlier batch
//	        could not all be written; 4 = the segment ends here, what is behind was cut off
//	24   8  promise: the file was synced up to here before this batch was begun
//	32   8  offset of this batch in the file
//	40   4  CRC32C of the payload and its filling
//	44   4  CRC32C of bytes 0..43, seeded with the segment header's CRC
//
// The seed and the offset bind a batch to its segment and place, so that stale or
// misdirected bytes don't pass for a batch. The header has a checksum of its own so
// that a promise can be believed although the payload behind it is torn.
//
// A mark is 24 bytes: a TxID and the state machine's digest after it. A record is its
// length as uvarint and its bytes.
const (
	batchHeaderSize = 48
	batchMagic      = 0x48435442 // "BTCH"
	batchAlign      = 8
	markSize        = 24
	flagMark        = 1
	flagShort       = 2
	flagLast        = 4
	knownFlags      = flagMark | flagShort | flagLast
)

// MaxBatchBytes bounds the payload of one batch. A batch holds at least one record of
// dfs.MaxRecord bytes.
const MaxBatchBytes = dfs.MaxRecord + 1<<20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is what a segment's header says.
type Header struct {
	Version uint32
	First   dfs.TxID
	Epoch   uint64
	Cluster dfs.ClusterInfo
	Fill    int64 // bytes of zeroes written ahead at a time; 0 if none, or not known
}

// encodeHeader gives the headerSize bytes of a header. The ids must fit (validateIDs).
func encodeHeader(h Header) []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic[:])
	le := binary.LittleEndian
	le.PutUint32(b[8:], h.Version)
	le.PutUint32(b[12:], headerSize)
	le.PutUint64(b[16:], uint64(h.First))
	le.PutUint64(b[24:], h.Epoch)
	le.PutUint32(b[32:], h.Cluster.NamespaceID)
	le.PutUint64(b[36:], uint64(h.Cluster.CTime))
	le.PutUint64(b[fillOffset:], uint64(h.Fill))
	p := idsOffset
	for _, id := range []string{h.Cluster.ClusterID, h.Cluster.PoolID} {
		b[p] = byte(len(id))
		p += 1 + copy(b[p+1:], id)
	}
	le.PutUint32(b[headerCRC:], crc32.Checksum(b[:headerCRC], castagnoli))
	return b
}

// decodeHeader asks the three questions one after the other: is this an edit log, is it
// of a version that can be read, are its bytes right. Whose it is, the reader asks.
func decodeHeader(b []byte) (h Header, seed uint32, err error) {
	le := binary.LittleEndian
	if len(b) < 12 || !bytes.Equal(b[:8], segmentMagic[:]) {
		return h, 0, ErrNotEditLog
	}
	h.Version = le.Uint32(b[8:])
	if h.Version == 0 || h.Version > Version {
		return h, 0, &VersionError{Version: h.Version}
	}
	if len(b) < headerSize {
		return h, 0, corrupt("header is cut short")
	}
	seed = crc32.Checksum(b[:headerCRC], castagnoli)
	if got := le.Uint32(b[headerCRC:]); got != seed {
		return h, 0, corrupt("header checksum is %08x, its bytes give %08x", got, seed)
	}
	h.First = dfs.TxID(le.Uint64(b[16:]))
	h.Epoch = le.Uint64(b[24:])
	h.Cluster.NamespaceID = le.Uint32(b[32:])
	h.Cluster.CTime = int64(le.Uint64(b[36:]))
	p := idsOffset1
	if h.Version >= 2 {
		h.Fill = int64(le.Uint64(b[fillOffset:]))
		p = idsOffset
	}
	for _, id := range []*string{&h.Cluster.ClusterID, &h.Cluster.PoolID} {
		n := int(b[p])
		if p+1+n > headerCRC {
			return h, 0, corrupt("header holds an id of %d bytes", n)
		}
		*id = string(b[p+1 : p+1+n])
		p += 1 + n
		if p >= headerCRC {
			return h, 0, corrupt("header ids are too long")
		}
	}
	return h, seed, nil
}

func validateIDs(c dfs.ClusterInfo) error {
	if len(c.ClusterID) > 255 || len(c.PoolID) > 255 || len(c.ClusterID)+len(c.PoolID) >= maxIDs {
		return dfs.Errorf(dfs.IllegalArgument, "editlog: cluster id and pool id have %d and %d bytes: too long",
			len(c.ClusterID), len(c.PoolID))
	}
	return nil
}

// batchHeader is a decoded batch header.
type batchHeader struct {
	payload  uint32
	first    dfs.TxID
	count    uint32
	flags    uint32
	promise  int64
	offset   int64
	checksum uint32
}

func (h *batchHeader) encode(b []byte, seed uint32) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], batchMagic)
	le.PutUint32(b[4:], h.payload)
	le.PutUint64(b[8:], uint64(h.first))
	le.PutUint32(b[16:], h.count)
	le.PutUint32(b[20:], h.flags)
	le.PutUint64(b[24:], uint64(h.promise))
	le.PutUint64(b[32:], uint64(h.offset))
	le.PutUint32(b[40:], h.checksum)
	le.PutUint32(b[44:], crc32.Update(seed, castagnoli, b[:44]))
}

// decode reports whether b holds a valid header of the batch at offset at.
func (h *batchHeader) decode(b []byte, seed uint32, at int64) bool {
	le := binary.LittleEndian
	if le.Uint32(b) != batchMagic || le.Uint32(b[44:]) != crc32.Update(seed, castagnoli, b[:44]) {
		return false
	}
	h.payload = le.Uint32(b[4:])
	h.first = dfs.TxID(le.Uint64(b[8:]))
	h.count = le.Uint32(b[16:])
	h.flags = le.Uint32(b[20:])
	h.promise = int64(le.Uint64(b[24:]))
	h.offset = int64(le.Uint64(b[32:]))
	h.checksum = le.Uint32(b[40:])
	return h.offset == at && h.promise >= headerSize && h.promise <= at && h.payload <= MaxBatchBytes
}

// size is the batch's whole length in the file.
func (h *batchHeader) size() int64 {
	return align(batchHeaderSize + int64(h.payload))
}

func align(n int64) int64 { return (n + batchAlign - 1) &^ (batchAlign - 1) }
