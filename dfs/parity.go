package dfs

// ParityMember is one block of a parity group and what its bytes sum up to. The checksum
// type and the bytes per checksum are those that its replicas were written with, so that a
// rebuilt replica answers checksum calls as the lost one did.
type ParityMember struct {
	Block    Block
	CRC      uint32 // CRC32C of its bytes, whatever its own checksum type is
	Checksum ChecksumType
	BytesPer int
	Departed bool // its file is gone, but its bytes are still in the parity
}

// ParityGroup is a parity block and the blocks whose exclusive or it is. Its identity is the
// id of the parity block.
type ParityGroup struct {
	Parity  Block
	CRC     uint32 // CRC32C of the parity's bytes
	Data    int    // k, the most members it may have
	Members []ParityMember
}

// BlockKind says what a block is to the name service. The zero value is a block of a file.
type BlockKind uint8

const (
	BlockOfFile   BlockKind = 0 // of a file, in a parity group or not
	BlockDeparted BlockKind = 1 // of no file any more; its bytes are still in a parity
	BlockOfParity BlockKind = 2 // the parity block of a group
)

func (k BlockKind) String() string {
	switch k {
	case BlockDeparted:
		return "departed"
	case BlockOfParity:
		return "parity"
	}
	return "file"
}
