package datatransfer

import (
	"fmt"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// ReadResponse reads the answer to an operation.
func (r *Reader) ReadResponse() (*Response, error) {
	b, err := r.message()
	if err != nil {
		return nil, err
	}
	return decodeResponse(b)
}

func decodeResponse(b []byte) (*Response, error) {
	var m hdfspb.BlockOpResponse
	if err := m.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("datatransfer: response: %w: %w", ErrFrame, err)
	}
	resp := &Response{Status: Status(m.GetStatus()), FirstBadLink: m.GetFirstBadLink(), Message: m.GetMessage()}
	if ri := m.ReadOpChecksumInfo; ri != nil {
		sum := Checksum{dfs.ChecksumType(ri.Checksum.GetType()), ri.Checksum.GetBytesPerChecksum()}
		if ri.Checksum.GetType() < 0 || ri.Checksum.GetType() > 255 || sum.Validate() != nil || ri.GetChunkOffset() > maxOffset {
			return nil, fmt.Errorf("datatransfer: response with checksum %v at %d: %w", sum, ri.GetChunkOffset(), ErrFrame)
		}
		resp.Read = &ReadInfo{Checksum: sum, ChunkOffset: int64(ri.GetChunkOffset())}
	}
	if c := m.ChecksumResponse; c != nil {
		resp.Checksum = &ChecksumResult{
			BytesPerCRC: c.GetBytesPerCrc(), CRCPerBlock: c.GetCrcPerBlock(), Sum: c.BlockChecksum,
			Type: dfs.ChecksumType(c.GetCrcType()), Kind: ChecksumMD5CRC,
		}
		if o := c.BlockChecksumOptions; o != nil {
			resp.Checksum.Kind = ChecksumKind(o.GetBlockChecksumType())
			resp.Checksum.StripeLength = int64(o.GetStripeLength())
		}
	}
	return resp, nil
}

// AppendResponse appends an answer. It is never shorter than five bytes, because a known
// client reads that much before it looks at the length: firstBadLink is written even
// when it is empty, and an error without a message gets its status as the message.
func AppendResponse(dst []byte, resp *Response) ([]byte, error) {
	st := hdfspb.Status(resp.Status)
	m := &hdfspb.BlockOpResponse{Status: &st, FirstBadLink: &resp.FirstBadLink}
	if resp.Message != "" {
		m.Message = &resp.Message
	} else if resp.Status != StatusSuccess {
		m.Message = ptr(resp.Status.String())
	}
	if ri := resp.Read; ri != nil {
		typ := hdfspb.ChecksumType(ri.Checksum.Type)
		m.ReadOpChecksumInfo = &hdfspb.ReadOpChecksumInfo{
			Checksum: &hdfspb.Checksum{Type: &typ, BytesPerChecksum: &ri.Checksum.BytesPer}, ChunkOffset: ptr(uint64(ri.ChunkOffset)),
		}
	}
	if c := resp.Checksum; c != nil {
		typ, kind := hdfspb.ChecksumType(c.Type), hdfspb.BlockChecksumType(c.Kind)
		sum := c.Sum
		if sum == nil {
			sum = []byte{}
		}
		m.ChecksumResponse = &hdfspb.OpBlockChecksumResponse{
			BytesPerCrc: &c.BytesPerCRC, CrcPerBlock: &c.CRCPerBlock, BlockChecksum: sum, CrcType: &typ,
			BlockChecksumOptions: &hdfspb.BlockChecksumOptions{BlockChecksumType: &kind, StripeLength: ptr(uint64(c.StripeLength))},
		}
	}
	return appendMessage(dst, m)
}

// copyEnd ends what COPY_BLOCK is answered with: the letter d as Java writes a char.
var copyEnd = []byte{0, 'd'}

// AppendCopyEnd appends the last word on a COPY_BLOCK: the sender has room for another one.
func AppendCopyEnd(dst []byte) []byte { return append(dst, copyEnd...) }

// ReadCopyEnd waits for the last word on a COPY_BLOCK.
func (r *Reader) ReadCopyEnd() error {
	if err := r.need(len(copyEnd), messageBuffer); err != nil {
		return unexpected(err)
	}
	r.pos += len(copyEnd)
	return nil
}

// ReadStatus reads a reader's last word on a READ_BLOCK.
func (r *Reader) ReadStatus() (Status, error) {
	b, err := r.message()
	if err != nil {
		return 0, err
	}
	var m hdfspb.ClientReadStatus
	if err := m.UnmarshalVT(b); err != nil {
		return 0, fmt.Errorf("datatransfer: read status: %w: %w", ErrFrame, err)
	}
	return Status(m.GetStatus()), nil
}

// AppendStatus appends a reader's last word on a READ_BLOCK.
func AppendStatus(dst []byte, s Status) []byte {
	return append(dst, 2, 0x08, byte(s))
}
