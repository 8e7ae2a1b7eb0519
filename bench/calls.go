package bench

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

const (
	clientProtocol = hdfspb.ClientProtocol
	holder         = "redoubt-bench"

	methodMkdirs = "mkdirs"
	methodDelete = "delete"
)

func target(method string) *hadooprpc.Target {
	return &hadooprpc.Target{Protocol: clientProtocol, Version: 1, Method: method}
}

// worker does one operation for items lo to hi on one connection.
type worker struct {
	op      string
	next    int
	end     int
	slots   []slot
	path    []byte // scratch
	base    string
	renamed bool
	depth   int
	call    *hadooprpc.Target
	second  *hadooprpc.Target // of create: complete

	times  []time.Duration
	errors int
	first  *hadooprpc.RemoteError
}

// slot is what one of the calls in flight is about.
type slot struct {
	item   int
	second bool          // the item's second call is due
	took   time.Duration // by the first one
}

var methodOf = map[string]string{
	"mkdirs": methodMkdirs, "create": "create", "stat": "getFileInfo", "open": "getBlockLocations",
	"list": "getListing", "chmod": "setPermission", "rename": "rename", "delete": methodDelete,
}

func newWorker(r *run, op string, lo, hi int) *worker {
	return &worker{
		op: op, next: lo, end: hi, base: r.o.Dir, renamed: r.renamed, depth: r.o.Depth,
		slots:  make([]slot, r.o.Depth),
		call:   target(methodOf[op]),
		second: target("complete"),
		times:  make([]time.Duration, 0, hi-lo),
	}
}

func (w *worker) load() hadooprpc.Load {
	return hadooprpc.Load{Depth: w.depth, Next: w.nextCall, Done: w.done}
}

// nextCall appends the request of the slot's next call.
func (w *worker) nextCall(i int, b []byte) (*hadooprpc.Target, []byte) {
	s := &w.slots[i]
	if s.second {
		b = appendBytes(b, 1, w.file(s.item, false))
		return w.second, appendString(b, 2, holder)
	}
	if w.next == w.end {
		return nil, b
	}
	*s = slot{item: w.next}
	w.next++
	return w.call, w.request(b, s.item)
}

func (w *worker) request(b []byte, item int) []byte {
	switch w.op {
	case "mkdirs":
		return appendMkdirs(b, w.name('m', 'd', item))
	case "create":
		return appendCreate(b, w.file(item, false))
	case "open":
		b = appendBytes(b, 1, w.file(item, w.renamed))
		b = appendUint(b, 2, 0)
		return appendUint(b, 3, 1<<20)
	case "list":
		b = appendBytes(b, 1, w.dir(item))
		b = appendString(b, 2, "")
		return appendUint(b, 3, 0)
	case "chmod":
		b = appendBytes(b, 1, w.file(item, w.renamed))
		return appendPermission(b, 2, 0o640)
	case "rename":
		b = appendBytes(b, 1, w.file(item, w.renamed))
		return appendBytes(b, 2, w.file(item, !w.renamed))
	case "delete":
		return appendDelete(b, w.file(item, w.renamed), false)
	}
	return appendBytes(b, 1, w.file(item, w.renamed)) // stat
}

// done takes an answer's time and errors.
func (w *worker) done(i int, response []byte, e *hadooprpc.RemoteError, took time.Duration) error {
	s := &w.slots[i]
	if e == nil && !s.second && w.op == "create" {
		s.second, s.took = true, took
		return nil
	}
	if e == nil && refused(w.op, response) {
		e = &hadooprpc.RemoteError{Class: "result", Message: w.op + " answered false or nothing"}
	}
	if e != nil {
		w.errors++
		if w.first == nil {
			w.first = e
		}
	}
	w.times = append(w.times, took+s.took)
	*s = slot{}
	return nil
}

// refused tells the answers that mean "not done" without being an error: false, or no
// status, locations or listing.
func refused(op string, response []byte) bool {
	switch op {
	case "mkdirs", "create", "rename", "delete":
		return len(response) == 2 && response[1] == 0
	case "stat", "open", "list":
		return len(response) == 0
	}
	return false
}

// dir gives the directory of a file; the result holds until the next call of a name
// function.
func (w *worker) dir(item int) []byte {
	b := append(w.path[:0], w.base...)
	b = append(b, "/d"...)
	w.path = strconv.AppendInt(b, int64(item/FilesPerDir), 10)
	return w.path
}

// file gives a file's path, under its first or second name.
func (w *worker) file(item int, renamed bool) []byte {
	kind := byte('f')
	if renamed {
		kind = 'r'
	}
	return w.name('d', kind, item)
}

func (w *worker) name(dir, kind byte, item int) []byte {
	b := append(w.path[:0], w.base...)
	b = append(b, '/', dir)
	b = strconv.AppendInt(b, int64(item/FilesPerDir), 10)
	b = append(b, '/', kind)
	w.path = strconv.AppendInt(b, int64(item), 10)
	return w.path
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendPermission(b []byte, num protowire.Number, mode uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeVarint(mode)))
	return appendUint(b, 1, mode)
}

func appendMkdirs[P string | []byte](b []byte, path P) []byte {
	b = appendBytes(b, 1, []byte(path))
	b = appendPermission(b, 2, 0o755)
	return appendUint(b, 3, 1)
}

func appendDelete[P string | []byte](b []byte, path P, recursive bool) []byte {
	b = appendBytes(b, 1, []byte(path))
	if recursive {
		return appendUint(b, 2, 1)
	}
	return appendUint(b, 2, 0)
}

func appendCreate(b []byte, path []byte) []byte {
	b = appendBytes(b, 1, path)
	b = appendPermission(b, 2, 0o644)
	b = appendString(b, 3, holder)
	b = appendUint(b, 4, uint64(dfs.CreateFlagCreate|dfs.CreateFlagOverwrite))
	b = appendUint(b, 5, 1)
	b = appendUint(b, 6, 1)
	return appendUint(b, 7, dfs.DefaultBlockSize)
}
