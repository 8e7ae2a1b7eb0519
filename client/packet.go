package client

import (
	"sync"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// packet is one packet of a block under way: its frame, and what recovery needs to know.
type packet struct {
	frame  []byte // as sent
	data   []byte // place for data in the frame while it is filled
	header datatransfer.Header
	filled int
}

// packetPool holds packets whose frames fit the usual packet size.
var packetPool = sync.Pool{New: func() any { return &packet{} }}

// newPacket makes a packet for up to n data bytes from offset in the block on.
func newPacket(sum datatransfer.Checksum, seqno, offset int64, n int) *packet {
	p := packetPool.Get().(*packet)
	p.header = datatransfer.Header{Offset: offset, Seqno: seqno, Length: int32(n)}
	size := datatransfer.PacketSize(&p.header, sum.Size(n))
	if cap(p.frame) < size {
		p.frame = make([]byte, 0, size+2) // and the sync flag
	}
	p.frame, _, p.data = datatransfer.AppendPacket(p.frame[:0], &p.header, sum.Size(n))
	p.filled = 0
	return p
}

// fill copies as much of b as fits and says how much that was.
func (p *packet) fill(b []byte) int {
	n := copy(p.data[p.filled:], b)
	p.filled += n
	return n
}

func (p *packet) full() bool { return p.filled == len(p.data) }

// seal computes the checksums; the packet can be sent then. A packet that is not full,
// or that has to be synced, gets another header and its data moves.
func (p *packet) seal(sum datatransfer.Checksum, sync, last bool) {
	if p.filled < len(p.data) || sync || last {
		data := append([]byte(nil), p.data[:p.filled]...)
		p.header.Length, p.header.Sync, p.header.Last = int32(p.filled), sync, last
		p.frame, _, p.data = datatransfer.AppendPacket(p.frame[:0], &p.header, sum.Size(p.filled))
		copy(p.data, data)
	}
	sums := sum.Size(p.filled)
	at := len(p.frame) - p.filled - sums
	sum.Fill(p.frame[at:at+sums], p.data)
}

func (p *packet) end() int64 { return p.header.Offset + int64(p.filled) }

// release gives the packet back; nobody may use it any more.
func (p *packet) release() {
	p.data = nil
	packetPool.Put(p)
}

// dataPerPacket is how many data bytes, a whole number of chunks, go into packets of a
// size.
func dataPerPacket(size int, sum datatransfer.Checksum) int {
	const header = 33 // length words and the largest header
	chunk := int(sum.BytesPer) + 4
	chunks := max((size-header)/chunk, 1)
	return min(chunks*int(sum.BytesPer), dfs.MaxPacket/2)
}
