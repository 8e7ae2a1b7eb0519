package hadooprpc

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// requestHeader is what a frame from a client starts with. Byte slices share memory with
// the frame.
type requestHeader struct {
	kind     int64 // -1: absent
	op       int64 // -1: absent
	callID   int32
	hasCall  bool
	retry    int32
	clientID []byte
	context  []byte // text of the caller context
}

// callHeader follows the requestHeader in a call.
type callHeader struct {
	method   []byte
	protocol []byte
	version  uint64
}

// responseHeader starts every frame from a server.
type responseHeader struct {
	callID  int32
	status  int32
	class   []byte
	message []byte
	detail  Detail
}

// cutDelimited takes one length-delimited message off the front of b.
func cutDelimited(b []byte) (msg, rest []byte, err error) {
	msg, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return nil, nil, errFrame
	}
	return msg, b[n:], nil
}

// field is one protobuf field: its number and either a varint or bytes.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64
	bytes []byte
}

// cutField takes one field off the front of b.
func cutField(b []byte) (f field, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, errFrame
	}
	f.num, f.typ = num, typ
	b = b[n:]
	switch typ {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return f, nil, errFrame
	}
	return f, b[n:], nil
}

func (f field) isVarint(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.VarintType
}

func (f field) isBytes(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}

// decode reads an RpcRequestHeader. Unknown fields are skipped.
func (h *requestHeader) decode(b []byte) error {
	*h = requestHeader{kind: -1, op: -1, retry: -1}
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case f.isVarint(1):
			h.kind = int64(int32(f.value))
		case f.isVarint(2):
			h.op = int64(int32(f.value))
		case f.isVarint(3):
			h.callID = int32(protowire.DecodeZigZag(f.value & 0xffffffff))
			h.hasCall = true
		case f.isBytes(4):
			h.clientID = f.bytes
		case f.isVarint(5):
			h.retry = int32(protowire.DecodeZigZag(f.value & 0xffffffff))
		case f.isBytes(7):
			if h.context, err = decodeCallerContext(f.bytes); err != nil {
				return err
			}
		}
	}
	if !h.hasCall {
		return fmt.Errorf("%w: request header without call id", errFrame)
	}
	return nil
}

func decodeCallerContext(b []byte) (text []byte, err error) {
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return nil, err
		}
		if b = rest; f.isBytes(1) {
			text = f.bytes
		}
	}
	return text, nil
}

// decode reads a RequestHeader.
func (h *callHeader) decode(b []byte) error {
	*h = callHeader{}
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case f.isBytes(1):
			h.method = f.bytes
		case f.isBytes(2):
			h.protocol = f.bytes
		case f.isVarint(3):
			h.version = f.value
		}
	}
	if h.method == nil || h.protocol == nil {
		return fmt.Errorf("%w: call without method or protocol", errFrame)
	}
	return nil
}

// decode reads an RpcResponseHeader.
func (h *responseHeader) decode(b []byte) error {
	*h = responseHeader{}
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case f.isVarint(1):
			h.callID = int32(uint32(f.value))
		case f.isVarint(2):
			h.status = int32(f.value)
		case f.isBytes(4):
			h.class = f.bytes
		case f.isBytes(5):
			h.message = f.bytes
		case f.isVarint(6):
			h.detail = Detail(int32(f.value))
		}
	}
	return nil
}

// connContext is what an IpcConnectionContext says.
type connContext struct {
	effective, real string
	protocol        string
	proxied         bool // a real user is named, be it ""
}

func decodeContext(b []byte) (c connContext, err error) {
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return c, err
		}
		b = rest
		if f.isBytes(3) {
			c.protocol = string(f.bytes)
		}
		if !f.isBytes(2) {
			continue
		}
		for u := f.bytes; len(u) > 0; {
			g, rest, err := cutField(u)
			if err != nil {
				return c, err
			}
			switch u = rest; {
			case g.isBytes(1):
				c.effective = string(g.bytes)
			case g.isBytes(2):
				c.real, c.proxied = string(g.bytes), true
			}
		}
	}
	return c, nil
}

// decodeSASL reads the state out of an RpcSasl message, -1 if there is none.
func decodeSASL(b []byte) (state int64, err error) {
	state = -1
	for len(b) > 0 {
		f, rest, err := cutField(b)
		if err != nil {
			return 0, err
		}
		if b = rest; f.isVarint(2) {
			state = int64(int32(f.value))
		}
	}
	return state, nil
}

// beginFrame reserves the length word; endFrame fills it in.
func beginFrame(b []byte) ([]byte, int) { return append(b, 0, 0, 0, 0), len(b) }

func endFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// uvarintLen is the number of bytes that v takes as a varint.
func uvarintLen(v uint64) int { return protowire.SizeVarint(v) }

// appendRequestHeader appends a delimited RpcRequestHeader.
func appendRequestHeader(b []byte, callID, retry int32, clientID []byte, context string) []byte {
	call := protowire.EncodeZigZag(int64(callID))
	n := 2 + 2 + 1 + uvarintLen(call) + 1 + uvarintLen(uint64(len(clientID))) + len(clientID)
	again := protowire.EncodeZigZag(int64(retry))
	n += 1 + uvarintLen(again)
	inner := 0
	if context != "" {
		inner = 1 + uvarintLen(uint64(len(context))) + len(context)
		n += 1 + uvarintLen(uint64(inner)) + inner
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, 1<<3, kindProtobuf, 2<<3, opFinalPacket, 3<<3)
	b = binary.AppendUvarint(b, call)
	b = append(b, 4<<3|2)
	b = binary.AppendUvarint(b, uint64(len(clientID)))
	b = append(b, clientID...)
	b = append(b, 5<<3)
	b = binary.AppendUvarint(b, again)
	if context != "" {
		b = append(b, 7<<3|2)
		b = binary.AppendUvarint(b, uint64(inner))
		b = appendString(b, 1, context)
	}
	return b
}

// appendCallHeader appends a delimited RequestHeader.
func appendCallHeader(b []byte, protocol string, version uint64, method string) []byte {
	n := 1 + uvarintLen(uint64(len(method))) + len(method) +
		1 + uvarintLen(uint64(len(protocol))) + len(protocol) + 1 + uvarintLen(version)
	b = binary.AppendUvarint(b, uint64(n))
	b = appendString(b, 1, method)
	b = appendString(b, 2, protocol)
	b = append(b, 3<<3)
	return binary.AppendUvarint(b, version)
}

// appendSuccessHeader appends the delimited RpcResponseHeader of a good answer.
func appendSuccessHeader(b []byte, callID int32, clientID []byte) []byte {
	id := uint64(uint32(callID))
	n := 1 + uvarintLen(id) + 2 + 2
	if len(clientID) > 0 {
		n += 1 + uvarintLen(uint64(len(clientID))) + len(clientID)
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, 1<<3)
	b = binary.AppendUvarint(b, id)
	b = append(b, 2<<3, statusSuccess, 3<<3, ipcVersion)
	if len(clientID) > 0 {
		b = append(b, 7<<3|2)
		b = binary.AppendUvarint(b, uint64(len(clientID)))
		b = append(b, clientID...)
	}
	return b
}

// appendErrorFrame appends a whole error frame: a header and nothing after it.
func appendErrorFrame(b []byte, callID int32, clientID []byte, e *RemoteError) []byte {
	b, start := beginFrame(b)
	status := byte(statusError)
	if e.Fatal {
		status = statusFatal
	}
	id := uint64(uint32(callID))
	n := 1 + uvarintLen(id) + 4 +
		1 + uvarintLen(uint64(len(e.Class))) + len(e.Class) +
		1 + uvarintLen(uint64(len(e.Message))) + len(e.Message) +
		1 + uvarintLen(uint64(e.Detail))
	if len(clientID) > 0 {
		n += 1 + uvarintLen(uint64(len(clientID))) + len(clientID)
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, 1<<3)
	b = binary.AppendUvarint(b, id)
	b = append(b, 2<<3, status, 3<<3, ipcVersion)
	b = appendString(b, 4, e.Class)
	b = appendString(b, 5, e.Message)
	b = append(b, 6<<3)
	b = binary.AppendUvarint(b, uint64(e.Detail))
	if len(clientID) > 0 {
		b = append(b, 7<<3|2)
		b = binary.AppendUvarint(b, uint64(len(clientID)))
		b = append(b, clientID...)
	}
	return endFrame(b, start)
}

// appendSASLSuccess appends the frame that tells a SASL client to go on without.
func appendSASLSuccess(b []byte) []byte {
	b, start := beginFrame(b)
	b = append(b, 8, 1<<3, 0xdf, 0xff, 0xff, 0xff, 0x0f, 2<<3, statusSuccess)
	b = append(b, 2, 2<<3, saslSuccess)
	return endFrame(b, start)
}

// appendPreamble appends what a client that does not authenticate sends first.
func appendPreamble(b []byte) []byte {
	return append(b, 'h', 'r', 'p', 'c', ipcVersion, 0, authNone)
}

// appendContext appends the connection context frame.
func appendContext(b []byte, effective, real, protocol string) []byte {
	var user []byte
	user = appendString(user, 1, effective)
	if real != "" {
		user = appendString(user, 2, real)
	}
	var ctx []byte
	ctx = append(ctx, 2<<3|2)
	ctx = binary.AppendUvarint(ctx, uint64(len(user)))
	ctx = append(ctx, user...)
	ctx = appendString(ctx, 3, protocol)

	b, start := beginFrame(b)
	b = appendRequestHeader(b, callContext, -1, nil, "")
	b = binary.AppendUvarint(b, uint64(len(ctx)))
	b = append(b, ctx...)
	return endFrame(b, start)
}

func appendString(b []byte, num int, s string) []byte {
	b = append(b, byte(num<<3|2))
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
