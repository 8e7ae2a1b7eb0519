package datatransfer

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Status answers an operation or a packet, with HDFS's wire numbers.
type Status int32

// The statuses that are sent or told apart here.
const (
	StatusSuccess       Status = 0
	StatusError         Status = 1
	StatusErrorChecksum Status = 2
	StatusErrorInvalid  Status = 3
	StatusErrorExists   Status = 4
	StatusErrorToken    Status = 5
	StatusChecksumOK    Status = 6
	StatusUnsupported   Status = 7
	StatusRestart       Status = 8
	StatusInProgress    Status = 12
	StatusPinned        Status = 13
)

func (s Status) String() string {
	switch s {
	case StatusSuccess:
		return "SUCCESS"
	case StatusError:
		return "ERROR"
	case StatusErrorChecksum:
		return "ERROR_CHECKSUM"
	case StatusErrorInvalid:
		return "ERROR_INVALID"
	case StatusErrorExists:
		return "ERROR_EXISTS"
	case StatusErrorToken:
		return "ERROR_ACCESS_TOKEN"
	case StatusChecksumOK:
		return "CHECKSUM_OK"
	case StatusUnsupported:
		return "ERROR_UNSUPPORTED"
	case StatusRestart:
		return "OOB_RESTART"
	case StatusInProgress:
		return "IN_PROGRESS"
	case StatusPinned:
		return "ERROR_BLOCK_PINNED"
	}
	return fmt.Sprintf("Status(%d)", int32(s))
}

// maxPipeline bounds the replies of one acknowledgement.
const maxPipeline = 1024

// Ack acknowledges one packet: a status per datanode, the one that sends it first.
type Ack struct {
	Seqno     int64
	Replies   []Status
	Downtimes uint64 // nanoseconds that the nodes behind took
}

// AllSuccess reports whether every datanode has the packet.
func (a *Ack) AllSuccess() bool {
	for _, s := range a.Replies {
		if s != StatusSuccess {
			return false
		}
	}
	return len(a.Replies) > 0
}

// FirstBad gives the index of the first datanode whose status is not SUCCESS, -1 if there is none.
func (a *Ack) FirstBad() int {
	for i, s := range a.Replies {
		if s != StatusSuccess {
			return i
		}
	}
	return -1
}

// AppendAck appends a length-delimited PipelineAckProto.
func AppendAck(dst []byte, a *Ack) []byte {
	n := 1 + protowire.SizeVarint(protowire.EncodeZigZag(a.Seqno))
	for _, s := range a.Replies {
		n += 1 + protowire.SizeVarint(uint64(uint32(s)))
	}
	if a.Downtimes != 0 {
		n += 1 + protowire.SizeVarint(a.Downtimes)
	}
	dst = protowire.AppendVarint(dst, uint64(n))
	dst = append(dst, 0x08)
	dst = protowire.AppendVarint(dst, protowire.EncodeZigZag(a.Seqno))
	for _, s := range a.Replies {
		dst = append(dst, 0x10)
		dst = protowire.AppendVarint(dst, uint64(uint32(s)))
	}
	if a.Downtimes != 0 {
		dst = append(dst, 0x18)
		dst = protowire.AppendVarint(dst, a.Downtimes)
	}
	return dst
}

// ReadAck reads the next acknowledgement into a, whose Replies it reuses.
func (r *Reader) ReadAck(a *Ack) error {
	b, err := r.message()
	if err != nil {
		return err
	}
	return decodeAck(b, a)
}

func decodeAck(b []byte, a *Ack) error {
	a.Seqno, a.Replies, a.Downtimes = 0, a.Replies[:0], 0
	seen := false
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("datatransfer: acknowledgement: %w", ErrFrame)
		}
		b = b[n:]
		if typ == protowire.VarintType && num <= 3 {
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			switch num {
			case 1:
				a.Seqno, seen = protowire.DecodeZigZag(v), true
			case 2:
				a.Replies = append(a.Replies, Status(v))
			case 3:
				a.Downtimes = v
			}
		} else {
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 || len(a.Replies) > maxPipeline {
			return fmt.Errorf("datatransfer: acknowledgement field %d: %w", num, ErrFrame)
		}
		b = b[n:]
	}
	if !seen {
		return fmt.Errorf("datatransfer: acknowledgement without a sequence number: %w", ErrFrame)
	}
	return nil
}
