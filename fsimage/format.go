package fsimage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"redoubt/dfs"
)

// Version is the format version this package writes. It reads all up to it.
const Version = 1

// An image is: header, chunks without gaps, index, footer. Integers are little-endian.
//
// Header:
//
//	 0  8  magic "RDBTIMAG"
//	 8  4  version
//	12  4  CRC32C of bytes 0..11
//
// Footer, the last bytes of the file:
//
//	 0  8  offset of the index
//	 8  8  length of the index
//	16  4  CRC32C of the index
//	20  4  CRC32C of bytes 0..19
//	24  8  magic "RDBTIEND"
//
// The index is one msgpack array (type index below). It tells for each section where its
// chunks are, in the order they were emitted; in the file, chunks of several sections
// may lie mixed.
const (
	headerSize = 16
	footerSize = 32
)

// MaxChunk bounds one chunk before compression.
const MaxChunk = 64 << 20

var (
	imageMagic  = []byte("RDBTIMAG")
	footerMagic = []byte("RDBTIEND")
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

// How a chunk is stored.
const (
	storedRaw  = 0
	storedZstd = 1
)

// index is the index as msgpack has it, every struct an array.
type index struct {
	_struct   bool `codec:",toarray"`
	TxID      uint64
	Digest    []byte
	ClusterID string
	PoolID    string
	Namespace uint32
	CTime     int64
	Sections  []section
}

type section struct {
	_struct bool `codec:",toarray"`
	Name    string
	Chunks  []chunk
}

type chunk struct {
	_struct bool `codec:",toarray"`
	Offset  int64
	Stored  int64 // bytes in the file
	Raw     int64 // bytes as emitted
	CRC     uint32
	How     uint8
}

// ErrNotImage says that a file does not begin as an image does.
var ErrNotImage = errors.New("fsimage: not an image (wrong magic)")

// VersionError says that an image was written in a format this program can't read.
type VersionError struct {
	Image   string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("fsimage: %s: unsupported version %d (this program reads up to %d)", e.Image, e.Version, Version)
}

// ClusterError says that an image belongs to another cluster.
type ClusterError struct {
	Image     string
	Got, Want dfs.ClusterInfo
}

func (e *ClusterError) Error() string {
	return fmt.Sprintf("fsimage: %s belongs to cluster %s pool %s namespace %d, not to cluster %s pool %s namespace %d",
		e.Image, e.Got.ClusterID, e.Got.PoolID, e.Got.NamespaceID,
		e.Want.ClusterID, e.Want.PoolID, e.Want.NamespaceID)
}

// CorruptError says what of an image can't be read. It wraps a *dfs.Error of kind
// dfs.Corrupt.
type CorruptError struct {
	Image   string // path of the file
	Section string // empty: header, index or footer
	Chunk   int
	Offset  int64
	Err     error
}

func (e *CorruptError) Error() string {
	if e.Section == "" {
		return fmt.Sprintf("fsimage: %s: damaged at offset %d: %v", e.Image, e.Offset, e.Err)
	}
	return fmt.Sprintf("fsimage: %s: damaged in section %s, chunk %d, offset %d: %v",
		e.Image, e.Section, e.Chunk, e.Offset, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

func corrupt(format string, args ...any) error { return dfs.Errorf(dfs.Corrupt, format, args...) }

func encodeHeader() []byte {
	b := binary.LittleEndian.AppendUint32(slices.Clone(imageMagic), Version)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader asks what the file is, then which version, then whether it is whole.
func decodeHeader(b []byte) error {
	le := binary.LittleEndian
	if len(b) < 12 || !bytes.Equal(b[:8], imageMagic) {
		return ErrNotImage
	}
	if v := le.Uint32(b[8:]); v == 0 || v > Version {
		return &VersionError{Version: v}
	}
	if len(b) < headerSize {
		return corrupt("header is cut short")
	}
	if want, got := le.Uint32(b[12:]), crc32.Checksum(b[:12], castagnoli); want != got {
		return corrupt("header checksum is %08x, its bytes give %08x", want, got)
	}
	return nil
}

func encodeFooter(at int64, idx []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, uint64(at))
	b = le.AppendUint64(b, uint64(len(idx)))
	b = le.AppendUint32(b, crc32.Checksum(idx, castagnoli))
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, footerMagic...)
}

// decodeFooter gives the index's place, which lies inside a file of size bytes and
// reaches up to the footer.
func decodeFooter(b []byte, size int64) (at, length int64, crc uint32, err error) {
	le := binary.LittleEndian
	if !bytes.Equal(b[24:], footerMagic) {
		return 0, 0, 0, corrupt("footer is missing: the file was cut short")
	}
	if want, got := le.Uint32(b[20:]), crc32.Checksum(b[:20], castagnoli); want != got {
		return 0, 0, 0, corrupt("footer checksum is %08x, its bytes give %08x", want, got)
	}
	at, length = int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
	if at < headerSize || at > size-footerSize || length != size-footerSize-at {
		return 0, 0, 0, corrupt("footer puts the index at %d, %d bytes long, in a file of %d", at, length, size)
	}
	return at, length, le.Uint32(b[16:]), nil
}

func handle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true
	return h
}

func (x *index) encode() ([]byte, error) {
	var b []byte
	if err := codec.NewEncoderBytes(&b, handle()).Encode(x); err != nil {
		return nil, fmt.Errorf("fsimage: encode index: %w", err)
	}
	return b, nil
}

// decodeIndex decodes and checks an index that lies at offset at: the chunks must fill
// the file between header and index exactly.
func decodeIndex(b []byte, at int64) (*index, error) {
	x := new(index)
	d := codec.NewDecoderBytes(b, handle())
	if err := d.Decode(x); err != nil {
		return nil, corrupt("index: %v", err)
	}
	if d.NumBytesRead() != len(b) {
		return nil, corrupt("index holds %d bytes too many", len(b)-d.NumBytesRead())
	}
	if len(x.Digest) != len(dfs.Digest{}) {
		return nil, corrupt("index holds a digest of %d bytes", len(x.Digest))
	}
	names := make(map[string]bool)
	var all []chunk
	for _, s := range x.Sections {
		if names[s.Name] {
			return nil, corrupt("index holds section %s twice", s.Name)
		}
		names[s.Name] = true
		all = append(all, s.Chunks...)
	}
	slices.SortFunc(all, func(a, b chunk) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Stored, b.Stored))
	})
	end := int64(headerSize)
	for _, c := range all {
		if c.Offset != end || c.Stored < 0 || c.Stored > at-end || c.Raw < 0 || c.Raw > MaxChunk ||
			c.How > storedZstd || (c.How == storedRaw && c.Raw != c.Stored) {
			return nil, corrupt("index holds a chunk that can't be: %d bytes at %d for %d, stored as %d",
				c.Stored, c.Offset, c.Raw, c.How)
		}
		end += c.Stored
	}
	if end != at {
		return nil, corrupt("bytes %d to %d belong to no chunk", end, at)
	}
	return x, nil
}

func (x *index) info() Info {
	return Info{
		TxID: dfs.TxID(x.TxID), Digest: dfs.Digest(x.Digest),
		Cluster: dfs.ClusterInfo{ClusterID: x.ClusterID, PoolID: x.PoolID, NamespaceID: x.Namespace, CTime: x.CTime},
	}
}
