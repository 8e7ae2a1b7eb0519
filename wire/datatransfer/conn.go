package datatransfer

import (
	"errors"
	"fmt"
	"io"
	"net"

	"redoubt/dfs"
)

// Conn is a connection to or from a datanode: the network connection, its one Reader,
// and a buffer for small messages that go out. Writes and reads may run at the same
// time; two writers or two readers may not.
type Conn struct {
	Net net.Conn
	*Reader
	out []byte
}

// NewConn wraps a network connection.
func NewConn(c net.Conn) *Conn {
	return &Conn{Net: c, Reader: NewReader(c)}
}

// Close closes the network connection. The Reader's buffer is given back by Release, by
// the goroutine that reads.
func (c *Conn) Close() error { return c.Net.Close() }

// Write writes bytes that an Append function has built.
func (c *Conn) Write(b []byte) (int, error) { return c.Net.Write(b) }

// SendRequest writes an operation.
func (c *Conn) SendRequest(q Request) error {
	b, err := AppendRequest(c.out[:0], q)
	if err != nil {
		return err
	}
	c.out = b
	_, err = c.Net.Write(b)
	return err
}

// SendResponse writes the answer to an operation.
func (c *Conn) SendResponse(resp *Response) error {
	b, err := AppendResponse(c.out[:0], resp)
	if err != nil {
		return err
	}
	c.out = b
	_, err = c.Net.Write(b)
	return err
}

// SendStatus writes a reader's last word.
func (c *Conn) SendStatus(s Status) error {
	c.out = AppendStatus(c.out[:0], s)
	_, err := c.Net.Write(c.out)
	return err
}

// Call sends an operation and reads its answer: all of TRANSFER_BLOCK and BLOCK_CHECKSUM,
// and the set-up of WRITE_BLOCK, after which the caller sends packets and reads
// acknowledgements. The answer may be a refusal: see Response.Err.
func (c *Conn) Call(q Request) (*Response, error) {
	if err := c.SendRequest(q); err != nil {
		return nil, err
	}
	resp, err := c.ReadResponse()
	return resp, unexpected(err)
}

// BlockReader receives the bytes that one READ_BLOCK asked for.
type BlockReader struct {
	conn   *Conn
	sum    Checksum
	pos    int64 // of the next byte for the caller
	end    int64 // behind the last one
	at     int64 // where the next packet has to start
	block  BlockRef
	packet Packet
	done   bool
}

// StartRead asks for a block's bytes. A datanode's refusal comes back as a *dfs.Error.
func (c *Conn) StartRead(q *ReadRequest) (*BlockReader, error) {
	return c.startRead(q, q.Block, q.Offset, q.Length)
}

// StartCustomRead asks for length bytes from off on with a custom operation that is answered
// as READ_BLOCK is.
func (c *Conn) StartCustomRead(body []byte, off, length int64) (*BlockReader, error) {
	return c.startRead(&CustomRequest{Body: body}, BlockRef{}, off, length)
}

func (c *Conn) startRead(q Request, block BlockRef, off, length int64) (*BlockReader, error) {
	resp, err := c.Call(q)
	if err != nil {
		return nil, err
	}
	if err := resp.Err(); err != nil {
		return nil, err
	}
	if resp.Read == nil {
		return nil, fmt.Errorf("datatransfer: %v answered without checksum information: %w", q.Op(), ErrFrame)
	}
	if at := resp.Read.ChunkOffset; at > off || at+int64(resp.Read.Checksum.BytesPer) <= off {
		return nil, fmt.Errorf("datatransfer: read at %d answered from %d: %w", off, at, ErrFrame)
	}
	return &BlockReader{
		conn: c, sum: resp.Read.Checksum, pos: off, end: off + length, at: resp.Read.ChunkOffset, block: block,
	}, nil
}

// Checksum tells how the replica's bytes are covered.
func (b *BlockReader) Checksum() Checksum { return b.sum }

// Next gives the next bytes, verified against their checksums. The slice is valid until
// the next call. After the last byte it returns io.EOF, and then the connection is ready
// for Finish. Bytes that differ from their checksum give a dfs.Corrupt error.
func (b *BlockReader) Next() ([]byte, error) {
	for !b.done {
		p := &b.packet
		if err := b.conn.ReadPacket(p); err != nil {
			return nil, unexpected(err)
		}
		if p.Heartbeat() {
			continue
		}
		if p.Offset != b.at && !p.Last {
			return nil, fmt.Errorf("datatransfer: packet at %d instead of %d: %w", p.Offset, b.at, ErrFrame)
		}
		if bad := b.sum.Verify(p.Checksums, p.Data); bad >= 0 {
			return nil, dfs.Errorf(dfs.Corrupt, "Checksum error: %v at %d", b.block.Block, p.Offset+int64(bad))
		}
		b.at += int64(len(p.Data))
		if p.Last {
			b.done = true
			break
		}
		data := p.Data
		if from := b.pos - p.Offset; from > 0 {
			data = data[min(from, int64(len(data))):]
		}
		data = data[:min(int64(len(data)), max(b.end-b.pos, 0))]
		b.pos += int64(len(data))
		if len(data) > 0 {
			return data, nil
		}
	}
	if b.pos < b.end {
		return nil, io.ErrUnexpectedEOF
	}
	return nil, io.EOF
}

// Finish tells the datanode that all bytes arrived and were good; the connection may then
// carry the next operation. Call it after Next returned io.EOF.
func (b *BlockReader) Finish() error {
	if !b.done {
		return errors.New("datatransfer: Finish before the end of the block")
	}
	if b.sum.Type == dfs.ChecksumNull {
		return b.conn.SendStatus(StatusSuccess)
	}
	return b.conn.SendStatus(StatusChecksumOK)
}

// Reject tells the datanode that the bytes were damaged, so that it checks its replica.
func (b *BlockReader) Reject() error { return b.conn.SendStatus(StatusErrorChecksum) }

// AppendData appends a data packet with its checksums. data starts at a chunk's start or,
// after an append at an unaligned length, is the rest of one chunk.
func (c Checksum) AppendData(dst []byte, h *Header, data []byte) []byte {
	h.Length = int32(len(data))
	dst, sums, room := AppendPacket(dst, h, c.Size(len(data)))
	copy(room, data)
	c.Fill(sums, room)
	return dst
}
