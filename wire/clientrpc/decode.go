package clientrpc

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"redoubt/dfs"
)

// The requests that come most often are decoded by hand: the generated code allocates
// for every field of a proto2 message. FuzzDecode holds both against each other.

var (
	errMalformed = errors.New("malformed message")
	errMissing   = errors.New("message missing required fields")
)

// fields walks over the fields of one message.
type fields struct {
	b     []byte
	num   protowire.Number
	typ   protowire.Type
	value uint64 // of a varint
	data  []byte // of bytes; shares memory with the message
	err   error
}

// next steps to the next field; false at the end or on an error.
func (f *fields) next() bool {
	if len(f.b) == 0 || f.err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.b)
	if n < 0 {
		f.err = errMalformed
		return false
	}
	f.num, f.typ, f.b = num, typ, f.b[n:]
	switch typ {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(f.b)
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(f.b)
	default:
		n = protowire.ConsumeFieldValue(num, typ, f.b)
	}
	if n < 0 {
		f.err = errMalformed
		return false
	}
	f.b = f.b[n:]
	return true
}

// varint reports whether the current field is this one and a varint. A field of another
// type under a known number is an error, as generated code has it.
func (f *fields) varint(num protowire.Number) bool { return f.is(num, protowire.VarintType) }

func (f *fields) bytes(num protowire.Number) bool { return f.is(num, protowire.BytesType) }

func (f *fields) is(num protowire.Number, typ protowire.Type) bool {
	if f.num != num {
		return false
	}
	if f.typ != typ {
		f.err = errMalformed
		return false
	}
	return true
}

// done gives the error, or errMissing unless all required fields (bits of want) are in
// seen.
func (f *fields) done(seen, want uint32) error {
	if f.err != nil {
		return f.err
	}
	if seen&want != want {
		return errMissing
	}
	return nil
}

// bit is a set of one field number.
func bit(num protowire.Number) uint32 { return 1 << uint(num) }

// pathRequest is PathRequest.
type pathRequest struct{ src string }

func (r *pathRequest) decode(b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		if f.bytes(1) {
			r.src = string(f.data)
			seen |= bit(1)
		}
	}
	return f.done(seen, bit(1))
}

// locationsRequest is GetBlockLocationsRequest.
type locationsRequest struct {
	src            string
	offset, length uint64
}

func (r *locationsRequest) decode(b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.src = string(f.data)
		case f.varint(2):
			r.offset = f.value
		case f.varint(3):
			r.length = f.value
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2)|bit(3))
}

// listingRequest is GetListingRequest.
type listingRequest struct {
	src        string
	startAfter string
	located    bool
}

func (r *listingRequest) decode(b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.src = string(f.data)
		case f.bytes(2):
			r.startAfter = string(f.data)
		case f.varint(3):
			r.located = f.value != 0
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2)|bit(3))
}

// permission decodes an FsPermission. Some clients send type bits above the mode.
func (f *fields) permission() (m dfs.Mode, ok bool) {
	g := fields{b: f.data}
	for g.next() {
		if g.varint(1) {
			m, ok = dfs.Mode(g.value)&dfs.ModeMask, true
		}
	}
	if g.err == nil && !ok {
		g.err = errMissing
	}
	if g.err != nil {
		f.err = g.err
	}
	return m, ok
}

// decodeMkdirs reads a MkdirsRequest.
func decodeMkdirs(r *dfs.MkdirsRequest, b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.Path = string(f.data)
		case f.bytes(2):
			r.Mode, _ = f.permission()
		case f.varint(3):
			r.CreateParent = f.value != 0
		case f.bytes(4):
			r.Unmasked, r.HasUnmasked = f.permission()
			continue
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2)|bit(3))
}

// deleteRequest is DeleteRequest.
type deleteRequest struct {
	src       string
	recursive bool
}

func (r *deleteRequest) decode(b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.src = string(f.data)
		case f.varint(2):
			r.recursive = f.value != 0
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2))
}

// renameRequest is RenameRequest, and Rename2Request for which overwrite is required.
type renameRequest struct {
	src, dst           string
	overwrite, toTrash bool
}

func (r *renameRequest) decode(b []byte, second bool) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.src = string(f.data)
		case f.bytes(2):
			r.dst = string(f.data)
		case second && f.varint(3):
			r.overwrite = f.value != 0
		case second && f.varint(4):
			r.toTrash = f.value != 0
		default:
			continue
		}
		seen |= bit(f.num)
	}
	want := bit(1) | bit(2)
	if second {
		want |= bit(3)
	}
	return f.done(seen, want)
}

// decodeCreate decodes a CreateRequest.
func decodeCreate(r *dfs.CreateRequest, b []byte) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.Path = string(f.data)
		case f.bytes(2):
			r.Mode, _ = f.permission()
		case f.bytes(3):
			r.Holder = string(f.data)
		case f.varint(4):
			r.Flags = uint32(f.value)
		case f.varint(5):
			r.CreateParent = f.value != 0
		case f.varint(6):
			r.Replication = replication(uint32(f.value))
		case f.varint(7):
			r.BlockSize = int64(f.value)
		case f.bytes(9):
			r.Unmasked, r.HasUnmasked = f.permission()
		case f.bytes(10):
			r.ECPolicy = string(f.data)
		case f.bytes(11):
			r.StoragePolicy = string(f.data)
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, 0b11111110)
}

// replication narrows a replication so that a value that is too large stays too large.
func replication(v uint32) uint16 { return uint16(min(v, 1<<15)) }

// wireBlock is an ExtendedBlock.
type wireBlock struct {
	pool string
	dfs.Block
}

func (w *wireBlock) decode(b []byte, pool string) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			if w.pool = pool; string(f.data) != pool {
				w.pool = string(f.data)
			}
		case f.varint(2):
			w.ID = dfs.BlockID(f.value)
		case f.varint(3):
			w.GenStamp = dfs.GenStamp(f.value)
		case f.varint(4):
			w.Length = int64(f.value)
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2)|bit(3))
}

// completeRequest is CompleteRequest.
type completeRequest struct {
	src, holder string
	last        wireBlock
	hasLast     bool
	file        uint64
}

func (r *completeRequest) decode(b []byte, pool string) error {
	f := fields{b: b}
	var seen uint32
	for f.next() {
		switch {
		case f.bytes(1):
			r.src = string(f.data)
		case f.bytes(2):
			r.holder = string(f.data)
		case f.bytes(3):
			r.hasLast = true
			if err := r.last.decode(f.data, pool); err != nil {
				return err
			}
		case f.varint(4):
			r.file = f.value
		default:
			continue
		}
		seen |= bit(f.num)
	}
	return f.done(seen, bit(1)|bit(2))
}
