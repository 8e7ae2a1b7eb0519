package array

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"

	"redoubt/vfs"
)

// superFile is a member's superblock: who the member is, and what it knows of the others.
// It is published as a whole: "RAID5" and a version byte, a msgpack array, and the
// CRC32C of all before it.
const (
	superFile    = "array"
	superMagic   = "RAID5\x00\x00"
	superVersion = 1
	superLimit   = 1 << 20
)

type ident [16]byte

func (id ident) String() string { return fmt.Sprintf("%x", id[:]) }

// super is a superblock. Events counts the changes of membership; the one with the
// highest count is right about who takes part, see elect.
type super struct {
	array  ident
	self   ident // the member's own id; a directory that takes a place gets a new one
	place  int
	unit   int64
	events uint64
	table  []seat // by place
}

// seat is what a superblock says about one place.
type seat struct {
	id    ident
	dir   string
	state State
	// Of a member being rebuilt: it has files above first because it was there when they
	// were made, and those up to done because they were rebuilt.
	first, done uint64
}

func (s *super) encode() []byte {
	b := append([]byte(superMagic), superVersion)
	b = appendArray(b, 6)
	b = appendString(b, string(s.array[:]))
	b = appendString(b, string(s.self[:]))
	b = appendUint(b, uint64(s.place))
	b = appendUint(b, uint64(s.unit))
	b = appendUint(b, s.events)
	b = appendArray(b, len(s.table))
	for _, t := range s.table {
		b = appendArray(b, 5)
		b = appendString(b, string(t.id[:]))
		b = appendString(b, t.dir)
		b = appendUint(b, uint64(t.state))
		b = appendUint(b, t.first)
		b = appendUint(b, t.done)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeSuper(b []byte) (*super, error) {
	head := len(superMagic) + 1
	if len(b) < head+4 || string(b[:len(superMagic)]) != superMagic {
		return nil, errors.New("not the superblock of an array")
	}
	if v := b[len(superMagic)]; v != superVersion {
		return nil, fmt.Errorf("superblock of version %d, this program knows %d", v, superVersion)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return nil, errors.New("superblock with a wrong checksum")
	}
	d := decoder{b: body[head:]}
	s := &super{}
	d.expect(6)
	d.ident(&s.array)
	d.ident(&s.self)
	s.place, s.unit, s.events = int(d.int()), d.int(), d.uint()
	n := d.array()
	if d.err == nil && (n < MinMembers || n > MaxMembers) {
		d.err = errDecode
	}
	for i := 0; i < n && d.err == nil; i++ {
		var t seat
		d.expect(5)
		d.ident(&t.id)
		t.dir, t.state, t.first, t.done = d.str(), State(d.uint()), d.uint(), d.uint()
		s.table = append(s.table, t)
	}
	if d.err == nil && (len(d.b) != 0 || s.place < 0 || s.place >= n || s.unit <= 0 || s.unit > maxUnit || s.unit%512 != 0) {
		d.err = errDecode
	}
	if d.err != nil {
		return nil, fmt.Errorf("superblock: %w", d.err)
	}
	return s, nil
}

func (d *decoder) ident(id *ident) {
	if s := d.str(); len(s) == len(id) {
		copy(id[:], s)
	} else {
		d.err = errDecode
	}
}

// sameTable tells whether two superblocks say the same about who takes part.
func sameTable(a, b *super) bool {
	if a.events != b.events || len(a.table) != len(b.table) {
		return false
	}
	for i, t := range a.table {
		if o := b.table[i]; t.id != o.id || t.state != o.state {
			return false
		}
	}
	return true
}

// seatOf finds a member in the table.
func (s *super) seatOf(id ident) *seat {
	for i := range s.table {
		if s.table[i].id == id {
			return &s.table[i]
		}
	}
	return nil
}

func (s *super) has(id ident) bool {
	t := s.seatOf(id)
	return t != nil && t.state != Failed
}

// elect decides whose table is right. A change of membership counts once every member
// that it leaves in has it; until then nothing is acknowledged that would need it. So a
// table that counts on a member which is here, and has another table, was never
// complete, or is no longer the newest: it is void. Of the others the one with the most
// events is right. When all are void a change was under way, and either side will do.
//
// Two that are not void and each call the other's owner failed can't be told apart: one
// of them is stale, and the member that knows which is missing.
func elect(supers []*super) (*super, error) {
	var best *super
	bestValid := false
	var valid []*super
	for _, s := range supers {
		if t := s.seatOf(s.self); t == nil || t.state != Active {
			continue // not filled yet, or put out: knows nothing that others don't
		}
		ok := true
		for _, o := range supers {
			if o.self != s.self && s.has(o.self) && !sameTable(s, o) && o.events != 0 {
				if t := o.seatOf(o.self); t != nil && t.state == Active {
					ok = false
				}
			}
		}
		if ok {
			valid = append(valid, s)
		}
		if best == nil || ok && !bestValid || ok == bestValid && s.events > best.events {
			best, bestValid = s, ok
		}
	}
	for _, s := range valid {
		if best != s && !sameTable(best, s) && putOut(best, s.self) && putOut(s, best.self) {
			return nil, fmt.Errorf("%s and %s each say that the other had failed: one is stale, and the members that know which are missing: %w",
				best.ownDir(), s.ownDir(), ErrLost)
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no member that was complete is here: %w", ErrLost)
	}
	return best, nil
}

func putOut(s *super, id ident) bool {
	t := s.seatOf(id)
	return t != nil && t.state == Failed
}

func (s *super) ownDir() string {
	if t := s.seatOf(s.self); t != nil {
		return t.dir
	}
	return s.self.String()
}

// found is what a directory turned out to be.
type found struct {
	Member
	fs    vfs.FS
	spare bool
	super *super
	empty bool  // missing, or nothing in it
	err   error // it can't be looked at, or holds something else
}

// look finds out what a directory is, without changing it.
func look(f vfs.FS, m Member, spare bool) *found {
	x := &found{Member: m, fs: f, spare: spare}
	b, err := vfs.ReadFile(f, path.Join(m.Dir, superFile), superLimit)
	if err == nil {
		x.super, x.err = decodeSuper(b)
		return x
	}
	if !errors.Is(err, fs.ErrNotExist) {
		x.err = err
		return x
	}
	entries, err := f.ReadDir(m.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		x.empty = true
		return x
	}
	if err != nil {
		x.err = err
		return x
	}
	for _, e := range entries {
		if !leftover(f, m.Dir, e) {
			x.err = fmt.Errorf("it is not empty (%s) and has no superblock of an array", e.Name)
			return x
		}
	}
	x.empty = true
	return x
}

// leftover says whether an entry of a directory without a superblock may be overlooked:
// it is of an array that was about to be made, without any file.
func leftover(f vfs.FS, dir string, e vfs.Entry) bool {
	if e.Dir && (e.Name == objectDir || e.Name == metaDir) {
		units, err := f.ReadDir(path.Join(dir, objectDir))
		return err == nil && len(units) == 0 || notExist(err)
	}
	return e.Name == lockFile || e.Name == "lost+found" || isSuperTemp(e.Name)
}

func isSuperTemp(name string) bool {
	return len(name) > len(superFile) && name[:1+len(superFile)] == "."+superFile
}

// writeSuper publishes a superblock on the member that it is about.
func writeSuper(f vfs.FS, dir string, s *super) error {
	return f.Publish(path.Join(dir, superFile), func(w io.Writer) error {
		_, err := w.Write(s.encode())
		return err
	})
}
