package damage

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/vfs"
)

// files are the contents of a disk by path; directories end in a slash.
type files map[string][]byte

// save reads everything below the given directories.
func save(t *testing.T, fs vfs.FS, dirs ...string) files {
	t.Helper()
	all := files{}
	for _, dir := range dirs {
		entries, err := fs.ReadDir(dir)
		require.NoError(t, err)
		all[dir+"/"] = nil
		for _, e := range entries {
			name := path.Join(dir, e.Name)
			if e.Dir {
				for sub, b := range save(t, fs, name) {
					all[sub] = b
				}
				continue
			}
			b, err := vfs.ReadFile(fs, name, 1<<30)
			if errors.Is(err, vfs.ErrLink) {
				continue
			}
			require.NoError(t, err)
			all[name] = b
		}
	}
	return all
}

// lay makes a disk that holds the files.
func (f files) lay(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	for name, b := range f {
		if name[len(name)-1] == '/' {
			require.NoError(t, mem.MkdirAll(name))
			continue
		}
		require.NoError(t, mem.MkdirAll(path.Dir(name)))
		put(t, mem, name, b)
	}
	mem.SyncAll()
	return mem
}

func put(t *testing.T, mem *vfs.Mem, name string, b []byte) {
	t.Helper()
	file, err := mem.Create(name)
	require.NoError(t, err)
	_, err = file.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// victim is a file to be damaged, with what its kind of damage needs.
type victim struct {
	kind    string
	name    string
	records []int    // where records begin, and where the last one ends
	others  []string // of its kind
	older   [][]byte // what it held before
	vacant  string   // a name for a second copy; "" if there can't be one
}

// damage is one thing that may have happened to a file.
type damage struct {
	class string // row of the table
	what  string // for messages
	do    func(t *testing.T, mem *vfs.Mem)
}

// overwrite is damage that changes a file's bytes.
func (v victim) overwrite(class, what string, b []byte) damage {
	return damage{class, what, func(t *testing.T, mem *vfs.Mem) {
		require.NoError(t, mem.Remove(v.name))
		put(t, mem, v.name, b)
	}}
}

// damages lists what is tried on a file with the given contents.
func (v victim) damages(f files) (list []damage) {
	b := f[v.name]
	add := func(d ...damage) { list = append(list, d...) }
	for _, at := range v.places(b) {
		c := bytes.Clone(b)
		c[at] ^= 1 << (at % 8)
		add(v.overwrite("bit", fmt.Sprintf("bit at %d", at), c))
		c = bytes.Clone(b)
		c[at] = ^c[at]
		add(v.overwrite("byte", fmt.Sprintf("byte at %d", at), c))
	}
	for _, at := range v.sectors(b) {
		c := bytes.Clone(b)
		clear(c[at:min(len(c), at+512)])
		add(v.overwrite("sector zeroed", fmt.Sprintf("sector at %d", at), c))
	}
	for _, at := range v.cuts(b) {
		add(v.overwrite("cut", fmt.Sprintf("cut at %d", at), b[:at]))
		if at < len(b) && !allZero(b[at:]) {
			c := bytes.Clone(b)
			clear(c[at:])
			add(v.overwrite("tail zeroed", fmt.Sprintf("zeroes from %d", at), c))
		}
	}
	for i := 0; i+1 < len(v.records); i++ {
		from, to := v.records[i], v.records[i+1]
		add(v.overwrite("record doubled", fmt.Sprintf("%d to %d doubled", from, to), slices.Concat(b[:to], b[from:to], b[to:])))
		if to < len(b) {
			add(v.overwrite("record missing", fmt.Sprintf("%d to %d missing", from, to), slices.Concat(b[:from], b[to:])))
		}
	}
	for i, old := range v.older {
		if !bytes.Equal(old, b) {
			add(v.overwrite("older version", fmt.Sprintf("version %d", i), old))
		}
	}
	for _, other := range v.others {
		if !bytes.Equal(f[other], b) {
			add(damage{"swapped", "with " + other, func(t *testing.T, mem *vfs.Mem) {
				require.NoError(t, mem.Rename(v.name, v.name+"~"))
				require.NoError(t, mem.Rename(other, v.name))
				require.NoError(t, mem.Rename(v.name+"~", other))
			}})
		}
	}
	if v.vacant != "" {
		add(damage{"file doubled", "as " + v.vacant, func(t *testing.T, mem *vfs.Mem) { put(t, mem, v.vacant, b) }})
	}
	return append(list, v.replacements(b)...)
}

// replacements are what may stand in the file's place.
func (v victim) replacements(b []byte) []damage {
	gone := func(t *testing.T, mem *vfs.Mem) { require.NoError(t, mem.Remove(v.name)) }
	return []damage{
		{"removed", "removed", gone},
		v.overwrite("empty", "empty", nil),
		{"directory", "a directory in its place", func(t *testing.T, mem *vfs.Mem) {
			gone(t, mem)
			require.NoError(t, mem.MkdirAll(v.name))
		}},
		{"link", "a link to a copy in its place", func(t *testing.T, mem *vfs.Mem) {
			gone(t, mem)
			require.NoError(t, mem.MkdirAll("/elsewhere"))
			put(t, mem, "/elsewhere/copy", b)
			require.NoError(t, mem.Symlink("/elsewhere/copy", v.name))
		}},
		{"link", "a link to nothing in its place", func(t *testing.T, mem *vfs.Mem) {
			gone(t, mem)
			require.NoError(t, mem.Symlink("/elsewhere/nothing", v.name))
		}},
	}
}

// places are the bytes to be changed: all of them, or some of each record.
func (v victim) places(b []byte) (at []int) {
	if *long {
		end := len(b)
		for end > 0 && end > len(b)-64 && b[end-1] == 0 {
			end--
		}
		for i := range len(b) {
			if b[i] != 0 || i < 1024 || i%512 == 0 {
				at = append(at, i)
			}
		}
		return at
	}
	edges := v.records
	if len(edges) == 0 {
		edges = []int{0, len(b)}
	}
	for i := 0; i+1 < len(edges); i++ {
		from, to := edges[i], edges[i+1]
		at = append(at, from, from+(to-from)/3, (from+to)/2, to-1)
	}
	at = append(at, len(b)-1)
	return valid(at, len(b)-1)
}

func (v victim) sectors(b []byte) (at []int) {
	for i := 0; i < len(b); i += 512 {
		if !allZero(b[i:min(len(b), i+512)]) {
			at = append(at, i)
		}
	}
	return at
}

// cuts are the ends of records, and places inside of them.
func (v victim) cuts(b []byte) (at []int) {
	at = append(at, v.records...)
	for i := 0; i+1 < len(v.records); i++ {
		at = append(at, v.records[i]+1, (v.records[i]+v.records[i+1])/2, v.records[i+1]-1)
	}
	if len(v.records) == 0 || *long {
		for i := range 16 {
			at = append(at, len(b)*i/16)
		}
		at = append(at, len(b)-1)
	}
	return valid(at, len(b)-1)
}

// valid sorts and drops what is twice or outside.
func valid(at []int, last int) []int {
	slices.Sort(at)
	at = slices.Compact(at)
	return slices.DeleteFunc(at, func(i int) bool { return i < 0 || i > last })
}

func allZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
