package datatransfer

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"redoubt/dfs"
)

// HeartbeatSeqno is the sequence number of a packet, and of its acknowledgement, that
// carries nothing and only shows that its sender lives.
const HeartbeatSeqno int64 = -1

// OOBSeqno is the sequence number of an out-of-band acknowledgement: a datanode tells its
// writer something that answers no packet.
const OOBSeqno int64 = -2

// Sizes in bytes of what stands before a packet's checksums.
const (
	packetPrefix  = 6  // payload length, header length
	plainHeader   = 25 // packet header without syncBlock
	syncHeader    = 27 // with it
	maxHeader     = 1024
	checksumBytes = 4
)

// Header is what a packet says about itself.
type Header struct {
	Offset int64 // of the first data byte in the block
	Seqno  int64
	Last   bool  // nothing follows; such a packet carries no data
	Sync   bool  // to be made durable before it is acknowledged
	Length int32 // data bytes
}

// Packet is one packet as it arrived. Its slices are views into the Reader's buffer and
// valid until the Reader next reads from its connection, which ReadPacket does not do while
// PacketBuffered. Packets read one after the other without that lie behind each other, so
// that the first one's Raw can be extended over them.
type Packet struct {
	Header
	Checksums []byte // 4 bytes per chunk, empty if the stream has none
	Data      []byte // Header.Length bytes
	Raw       []byte // the whole packet, to be forwarded as it is
}

// Heartbeat reports whether the packet is only a sign of life.
func (p *Packet) Heartbeat() bool { return p.Seqno == HeartbeatSeqno }

func (h *Header) encodedLen() int {
	if h.Sync {
		return syncHeader
	}
	return plainHeader
}

// PacketSize is the number of bytes that AppendPacket appends for this header and this
// number of checksum bytes.
func PacketSize(h *Header, sums int) int {
	return packetPrefix + h.encodedLen() + sums + int(h.Length)
}

// AppendPacket appends a packet's frame to dst and gives the two places in it that the
// caller has to fill: sums checksum bytes and h.Length data bytes. With enough capacity
// in dst it allocates nothing.
func AppendPacket(dst []byte, h *Header, sums int) (buf, checksums, data []byte) {
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+sums)+uint32(h.Length))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.encodedLen()))
	dst = append(dst, 0x09)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Offset))
	dst = append(dst, 0x11)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Seqno))
	dst = append(dst, 0x18, boolByte(h.Last), 0x25)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Length))
	if h.Sync {
		dst = append(dst, 0x28, 1)
	}
	at, n := len(dst), sums+int(h.Length)
	if cap(dst)-at < n {
		grown := make([]byte, at, at+n)
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:at+n]
	return dst, dst[at : at+sums : at+sums], dst[at+sums : at+n : at+n]
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decodeHeader reads a PacketHeaderProto. The two layouts that every known writer
// produces are taken apart directly, any other valid one field by field.
func decodeHeader(b []byte, h *Header) error {
	if (len(b) == plainHeader || len(b) == syncHeader && b[25] == 0x28 && b[26] <= 1) &&
		b[0] == 0x09 && b[9] == 0x11 && b[18] == 0x18 && b[19] <= 1 && b[20] == 0x25 {
		h.Offset = int64(binary.LittleEndian.Uint64(b[1:]))
		h.Seqno = int64(binary.LittleEndian.Uint64(b[10:]))
		h.Last = b[19] == 1
		h.Length = int32(binary.LittleEndian.Uint32(b[21:]))
		h.Sync = len(b) == syncHeader && b[26] == 1
		return nil
	}
	*h = Header{}
	seen := 0
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("datatransfer: packet header: %w", protowire.ParseError(n))
		}
		b = b[n:]
		n = consumeHeaderField(b, num, typ, h, &seen)
		if n < 0 {
			return fmt.Errorf("datatransfer: packet header field %d: %w", num, protowire.ParseError(n))
		}
		b = b[n:]
	}
	if seen != 0b11110 {
		return fmt.Errorf("datatransfer: packet header misses required fields (has %05b)", seen)
	}
	return nil
}

func consumeHeaderField(b []byte, num protowire.Number, typ protowire.Type, h *Header, seen *int) int {
	switch {
	case num == 1 && typ == protowire.Fixed64Type, num == 2 && typ == protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(b)
		if num == 1 {
			h.Offset = int64(v)
		} else {
			h.Seqno = int64(v)
		}
		*seen |= 1 << num
		return n
	case num == 3 && typ == protowire.VarintType, num == 5 && typ == protowire.VarintType:
		v, n := protowire.ConsumeVarint(b)
		if num == 3 {
			h.Last = v != 0
			*seen |= 1 << 3
		} else {
			h.Sync = v != 0
		}
		return n
	case num == 4 && typ == protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(b)
		h.Length = int32(v)
		*seen |= 1 << 4
		return n
	}
	return protowire.ConsumeFieldValue(num, typ, b)
}

// ReadPacket reads the next packet. It checks that the packet's lengths agree with each
// other and with dfs.MaxPacket, not its checksums: see Checksum.Verify. A stream that ends
// between packets gives io.EOF, inside of one io.ErrUnexpectedEOF.
func (r *Reader) ReadPacket(p *Packet) error {
	if err := r.need(packetPrefix, packetBuffer); err != nil {
		return err
	}
	payload := int64(binary.BigEndian.Uint32(r.buf[r.pos:]))
	hlen := int(binary.BigEndian.Uint16(r.buf[r.pos+4:]))
	if payload < 4 || payload > dfs.MaxPacket || hlen > maxHeader {
		return fmt.Errorf("datatransfer: packet of %d bytes with a header of %d bytes: %w", payload, hlen, ErrFrame)
	}
	body := int(payload) - 4
	total := packetPrefix + hlen + body
	if err := r.need(total, packetBuffer); err != nil {
		return unexpected(err)
	}
	raw := r.buf[r.pos : r.pos+total]
	if err := decodeHeader(raw[packetPrefix:packetPrefix+hlen], &p.Header); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if p.Length < 0 || int(p.Length) > body || p.Offset < 0 || p.Offset > maxOffset {
		return fmt.Errorf("datatransfer: packet with %d data bytes at %d in a body of %d: %w", p.Length, p.Offset, body, ErrFrame)
	}
	if p.Last && p.Length != 0 {
		return fmt.Errorf("datatransfer: last packet with %d data bytes: %w", p.Length, ErrFrame)
	}
	sums := body - int(p.Length)
	if sums%checksumBytes != 0 {
		return fmt.Errorf("datatransfer: packet with %d checksum bytes: %w", sums, ErrFrame)
	}
	at := packetPrefix + hlen
	p.Checksums, p.Data, p.Raw = raw[at:at+sums:at+sums], raw[at+sums:total:total], raw
	r.pos += total
	return nil
}

// PacketBuffered reports whether the next ReadPacket will return without reading from the
// connection, so that a receiver can put off work that is cheaper in batches.
func (r *Reader) PacketBuffered() bool {
	have := r.end - r.pos
	if have < packetPrefix {
		return false
	}
	n := int64(binary.BigEndian.Uint32(r.buf[r.pos:])) - 4 + int64(binary.BigEndian.Uint16(r.buf[r.pos+4:]))
	return int64(have) >= packetPrefix+n
}

// maxOffset bounds a packet's place in its block, far above any block size, so that sums
// of offsets and lengths can't overflow.
const maxOffset = 1 << 60

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
