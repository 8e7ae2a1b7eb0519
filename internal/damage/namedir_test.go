package damage

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/namenode"
	"redoubt/vfs"
)

var root = &dfs.Caller{User: "root"}

// warnings collects what a log says at WARN and above.
type warnings struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *warnings) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *warnings) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func nameNode(fs vfs.FS, log *slog.Logger, dirs ...string) (*namenode.NameNode, error) {
	return namenode.Start(context.Background(), namenode.Config{
		FS: fs, NameDirs: dirs, Superuser: "root", Log: log,
		Groups:   namenode.StaticGroups{Table: map[string][]string{"root": {"root"}}},
		SafeMode: namenode.SafeModeConfig{Extension: -1},
		Durable:  namenode.DurableConfig{FillChunk: 16 << 10},
	})
}

// names lists the whole namespace with its attributes: the oracle's account of what was
// acknowledged, and what a start finds of it.
func names(t *testing.T, n *namenode.NameNode) string {
	t.Helper()
	var b strings.Builder
	var walk func(dir string)
	walk = func(dir string) {
		list, err := n.Listing(root, dir, "", false)
		require.NoError(t, err)
		for _, e := range list.Entries {
			s := e.FileStatus
			fmt.Fprintf(&b, "%s %s %o %s %d\n", path.Join(dir, s.Name), s.Owner, s.Mode, s.Group, s.ModTime)
			if s.Children != 0 {
				walk(path.Join(dir, s.Name))
			}
		}
	}
	walk("/")
	return b.String()
}

// nameDirs are two name directories as a kill -9 leaves them: two images, segments before,
// between and behind them, and one in progress with several batches; and their earlier states.
type nameDirs struct {
	now    files
	before []files
	acked  string
}

func newNameDirs(t *testing.T) *nameDirs {
	mem := vfs.NewMem()
	_, err := namenode.Format(mem, []string{"/n1", "/n2"}, "CID-damage", false)
	require.NoError(t, err)
	r := new(nameDirs)
	var n *namenode.NameNode
	next := 0
	mkdirs := func(count int) {
		for range count {
			next++
			_, err := n.Mkdirs(t.Context(), root, &dfs.MkdirsRequest{Path: fmt.Sprintf("/dir%03d/sub", next), Mode: 0o755, CreateParent: true})
			require.NoError(t, err)
		}
	}
	for range 2 {
		n, err = nameNode(mem, nil, "/n1", "/n2")
		require.NoError(t, err)
		for range 2 {
			mkdirs(4)
			r.before = append(r.before, save(t, mem, "/n1", "/n2"))
			_, err = n.RollEdits(t.Context(), root)
			require.NoError(t, err)
		}
		require.NoError(t, n.Close())
		r.before = append(r.before, save(t, mem, "/n1", "/n2"))
	}
	n, err = nameNode(mem, nil, "/n1", "/n2")
	require.NoError(t, err)
	mkdirs(4)
	_, err = n.RollEdits(t.Context(), root)
	require.NoError(t, err)
	for range 4 {
		mkdirs(2)
		r.before = append(r.before, save(t, mem, "/n1", "/n2"))
	}
	mkdirs(2)
	r.now, r.acked = save(t, mem, "/n1", "/n2"), names(t, n)
	require.NoError(t, n.Close())
	return r
}

// victims are the files of the first directory.
func (r *nameDirs) victims(t *testing.T) (list []victim) {
	var images, done []string
	var open string
	for name := range r.now {
		base := path.Base(name)
		if !strings.HasPrefix(name, "/n1/current/") || strings.HasSuffix(name, "/") {
			continue
		}
		if _, ok := fsimage.ParseName(base); ok {
			images = append(images, name)
		} else if seg, ok := editlog.ParseName(base); ok && seg.InProgress {
			open = name
		} else if ok {
			done = append(done, name)
		}
	}
	slices.Sort(images)
	slices.Sort(done)
	require.Len(t, images, 2)
	require.GreaterOrEqual(t, len(done), 3)
	segment := func(kind, name, other string) victim {
		return victim{kind: kind, name: name, records: batches(r.now[name]), others: []string{other}, older: r.versions(name),
			vacant: "/n1/current/" + editlog.FinishedName(9001, 9009)}
	}
	list = []victim{
		{kind: "VERSION", name: "/n1/current/VERSION", records: lines(r.now["/n1/current/VERSION"])},
		{kind: "watermark", name: "/n1/current/watermark", records: []int{0, 80, 4096, 4176, 8192}, older: r.versions("/n1/current/watermark")},
		{kind: "image, newest", name: images[1], others: images[:1], records: chunks(r.now[images[1]]), vacant: "/n1/current/" + fsimage.Name(9000)},
		{kind: "image, older", name: images[0], others: images[1:], records: chunks(r.now[images[0]]), vacant: "/n1/current/" + fsimage.Name(3)},
		segment("segment behind image", done[len(done)-1], done[0]),
		segment("segment before image", done[0], done[len(done)-1]),
		segment("segment in progress", open, done[0]),
		{kind: "in_use.lock", name: "/n1/in_use.lock"},
	}
	foreign := vfs.NewMem()
	_, err := namenode.Format(foreign, []string{"/n1"}, "CID-foreign", false)
	require.NoError(t, err)
	list[0].older = [][]byte{save(t, foreign, "/n1")["/n1/current/VERSION"]}
	list[1].older = append(list[1].older, save(t, foreign, "/n1")["/n1/current/watermark"])
	return list
}

// versions are what a file held before.
func (r *nameDirs) versions(name string) (all [][]byte) {
	for _, f := range r.before {
		if b, ok := f[name]; ok {
			all = append(all, b)
		}
	}
	return all
}

// batches finds where a segment's batches begin, and where the last one ends.
func batches(b []byte) []int {
	at := []int{0, 512}
	for p := 512; p+48 <= len(b) && string(b[p:p+4]) == "BTCH"; {
		p += (48 + int(binary.LittleEndian.Uint32(b[p+4:])) + 7) &^ 7
		at = append(at, p)
	}
	return at
}

// chunks finds the parts of an image: header, chunks, index, footer.
func chunks(b []byte) []int {
	index := int(binary.LittleEndian.Uint64(b[len(b)-32:]))
	return []int{0, 16, (16 + index) / 2, index, len(b) - 32, len(b)}
}

func lines(b []byte) []int {
	at := []int{0}
	for i, c := range b {
		if c == '\n' {
			at = append(at, i+1)
		}
	}
	return at
}

// try damages one file, starts, and tells how it ended.
func (r *nameDirs) try(t *testing.T, v victim, d damage, dirs ...string) (outcome, string) {
	own := files{}
	for name, b := range r.now {
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(name, dir+"/") }) {
			own[name] = b
		}
	}
	mem := own.lay(t)
	d.do(t, mem)
	mem.SyncAll()
	log := new(warnings)
	n, err := nameNode(mem, log.logger(), dirs...)
	if err != nil {
		if !strings.Contains(err.Error(), path.Base(v.name)) && !strings.Contains(err.Error(), "/n1") {
			return vague, err.Error()
		}
		return refused, err.Error()
	}
	found, said := names(t, n), log.String()
	_, err = n.Mkdirs(t.Context(), root, &dfs.MkdirsRequest{Path: "/after", Mode: 0o755, CreateParent: true})
	require.NoError(t, err)
	after := names(t, n)
	require.NoError(t, n.Close())
	switch {
	case found != r.acked && said == "":
		return silent, "missing or different"
	case found != r.acked:
		return lost, said
	}
	for _, dir := range dirs { // each directory is a whole copy again
		disk := save(t, mem, dir).lay(t)
		again, err := nameNode(disk, nil, dir)
		if err != nil {
			return silent, fmt.Sprintf("%s is not whole after the start: %v", dir, err)
		}
		if names(t, again) != after {
			return silent, dir + " differs after the start"
		}
		require.NoError(t, again.Close())
	}
	if said == "" {
		return harmless, ""
	}
	return repaired, said
}

// TestNameDirectories damages each file of a name directory, alone and beside another one.
func TestNameDirectories(t *testing.T) {
	r := newNameDirs(t)
	tb := newTable()
	for _, v := range r.victims(t) {
		for _, d := range v.damages(r.now) {
			for _, dirs := range [][]string{{"/n1"}, {"/n1", "/n2"}} {
				o, why := r.try(t, v, d, dirs...)
				tb.add(len(dirs), v.kind, d.class, o)
				if o == silent || o == vague || o == lost || testing.Verbose() && *show {
					t.Logf("%s: %s, %s, %d directories: %s", o, v.name, d.what, len(dirs), strings.TrimSpace(why))
				}
			}
		}
	}
	for _, d := range r.wholes() {
		for _, dirs := range [][]string{{"/n1"}, {"/n1", "/n2"}} {
			if d.class == olderCopy && len(dirs) == 1 {
				continue // what the datanodes were told can show that, and nothing else
			}
			o, why := r.try(t, victim{name: "/n1"}, d, dirs...)
			tb.add(len(dirs), "whole directory", d.class, o)
			if o == silent || o == vague || o == lost || *show {
				t.Logf("%s: %s, %d directories: %s", o, d.what, len(dirs), strings.TrimSpace(why))
			}
		}
	}
	tb.print(t)
}

const olderCopy = "older copy"

// wholes are damages of many files of the first directory at once.
func (r *nameDirs) wholes() (list []damage) {
	without := func(class string, gone func(base string) bool) {
		list = append(list, damage{class, class, func(t *testing.T, mem *vfs.Mem) {
			for name := range r.now {
				if strings.HasPrefix(name, "/n1/current/") && !strings.HasSuffix(name, "/") && gone(path.Base(name)) {
					require.NoError(t, mem.Remove(name))
				}
			}
		}})
	}
	newest := func(base string) bool { return base == path.Base(r.newestImage()) }
	log := func(base string) bool { return strings.HasPrefix(base, "edits_") }
	without("no log", log)
	without("log, image gone", func(base string) bool { return log(base) || newest(base) })
	without("no images", func(base string) bool { return strings.HasPrefix(base, "fsimage_") })
	without("all gone", func(base string) bool { return true })
	without("all but VERSION", func(base string) bool { return base != "VERSION" })
	for i, old := range r.before {
		list = append(list, damage{olderCopy, fmt.Sprint(olderCopy, i), func(t *testing.T, mem *vfs.Mem) {
			for name := range r.now {
				if strings.HasPrefix(name, "/n1/current/") && !strings.HasSuffix(name, "/") {
					require.NoError(t, mem.Remove(name))
				}
			}
			for name, b := range old {
				if strings.HasPrefix(name, "/n1/current/") && !strings.HasSuffix(name, "/") {
					put(t, mem, name, b)
				}
			}
		}})
	}
	return list
}

func (r *nameDirs) newestImage() (newest string) {
	for name := range r.now {
		if strings.HasPrefix(name, "/n1/current/fsimage_") {
			newest = max(newest, name)
		}
	}
	return newest
}
