package control

import (
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"redoubt/dfs"
)

// A body is two msgpack values: the version of its message and the message as an array
// of its fields in the order of declaration. A reader of the same version skips fields
// that it doesn't know and takes missing ones as zero, so fields may be added at the end
// without a new version.
const bodyVersion = 1

// Bodies are bounded before they are decoded. A block report's replicas are one byte
// string, so it may be large; everything else is decoded into structs that can be a
// hundred times their encoded size.
const (
	maxBody       = 1 << 20
	maxReportBody = 32 << 20
)

// MaxReportBlocks is the most bytes that BlockReportRequest.Blocks may have in one part.
const MaxReportBlocks = maxReportBody - 4096

// MaxEvents is the most events that one IncrementalRequest should carry.
const MaxEvents = 2048

var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	h.PositiveIntUnsigned = true
	h.StructToArray = true
	h.MaxInitLen = 256
	h.MaxDepth = 16
	return h
}

var (
	encoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), handle) }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, handle) }}
)

// encode gives a message's body.
func encode(msg any) ([]byte, error) {
	enc := encoders.Get().(*codec.Encoder)
	defer encoders.Put(enc)
	out := make([]byte, 0, 256)
	enc.ResetBytes(&out)
	err := enc.Encode(bodyVersion)
	if err == nil {
		err = enc.Encode(msg)
	}
	if err != nil {
		return nil, dfs.Errorf(dfs.IllegalArgument, "control: encode %T: %v", msg, err)
	}
	return out, nil
}

// decode reads a body into msg, a pointer to a zero message.
func decode(body []byte, msg any) error {
	limit := maxBody
	if _, ok := msg.(*BlockReportRequest); ok {
		limit = maxReportBody
	}
	if len(body) > limit {
		return dfs.Errorf(dfs.IllegalArgument, "control: %T of %d bytes is over the limit of %d", msg, len(body), limit)
	}
	dec := decoders.Get().(*codec.Decoder)
	defer func() {
		dec.ResetBytes(nil)
		decoders.Put(dec)
	}()
	dec.ResetBytes(body)
	var version uint
	if err := dec.Decode(&version); err != nil {
		return dfs.Errorf(dfs.IllegalArgument, "control: %T without a version: %v", msg, err)
	}
	if version != bodyVersion {
		return dfs.Errorf(dfs.IncorrectVersion, "control: unsupported version %d of %T, this side speaks %d", version, msg, bodyVersion)
	}
	if err := dec.Decode(msg); err != nil {
		return dfs.Errorf(dfs.IllegalArgument, "control: malformed %T: %v", msg, err)
	}
	if n := dec.NumBytesRead(); n != len(body) {
		return dfs.Errorf(dfs.IllegalArgument, "control: %d bytes behind %T", len(body)-n, msg)
	}
	return nil
}

// classPrefix and the number of the error's kind make the class name of an error answer.
const classPrefix = "redoubt.Error."

// errorClass gives the class name and the message for an error.
func errorClass(err error) (class, message string) {
	kind := dfs.KindOf(err)
	return classPrefix + strconv.Itoa(int(kind)), errorMessage(err)
}

func errorMessage(err error) string {
	if e, ok := err.(*dfs.Error); ok {
		return e.Message()
	}
	return err.Error()
}

// errorFrom turns an error answer back into a *dfs.Error of the same kind.
func errorFrom(class, message string) *dfs.Error {
	kind := dfs.Other
	if s, ok := strings.CutPrefix(class, classPrefix); ok {
		if n, err := strconv.ParseUint(s, 10, 8); err == nil {
			kind = dfs.Kind(n)
		}
	}
	switch class { // the RPC layer's own answers, ours and Hadoop's
	case "org.apache.hadoop.ipc.RpcNoSuchProtocolException":
		kind = dfs.NoSuchProtocol
	case "org.apache.hadoop.ipc.RpcNoSuchMethodException":
		kind = dfs.NoSuchMethod
	}
	return &dfs.Error{Kind: kind, Msg: message}
}
