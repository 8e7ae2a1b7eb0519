package damage

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/blockstore/array"
	"redoubt/vfs"
)

// events collects what an array tells.
type events struct {
	mu    sync.Mutex
	lines []string
}

func (e *events) add(ev array.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, ev.String())
}

func openArray(fs vfs.FS, e *events) (*array.Array, error) {
	return array.Open(array.Config{FS: fs, Unit: 512, OnEvent: e.add,
		Members: []array.Member{{Dir: "/m0"}, {Dir: "/m1"}, {Dir: "/m2"}}})
}

var memberDirs = []string{"/m0", "/m1", "/m2"}

// tryArray damages a file of one member, opens the array and a store on it, and reads all.
func (r *replicas) tryArray(t *testing.T, v victim, d damage) (outcome, string) {
	mem := r.now.lay(t)
	d.do(t, mem)
	mem.SyncAll()
	e := new(events)
	a, err := openArray(mem, e)
	if err != nil {
		if !strings.Contains(err.Error(), "/m") {
			return vague, err.Error()
		}
		return refused, err.Error()
	}
	w := new(told)
	s, err := openStore(a, w)
	if err != nil {
		require.NoError(t, a.Close())
		if !strings.Contains(err.Error(), "/v/current") {
			return vague, err.Error()
		}
		return refused, err.Error() // two members are hit at once
	}
	o, why := r.judge(t, s, w)
	rep, err := a.Verify(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Close())
	if o != harmless {
		return o, why
	}
	if len(rep.Damaged) > 0 {
		return silent, fmt.Sprint("bytes were given out, and are damaged: ", rep.Damaged)
	}
	if len(e.lines) == 0 && rep.Repaired == 0 {
		return harmless, ""
	}
	return repaired, fmt.Sprint(e.lines, rep.Repaired)
}

// memberFiles are the files of the first member, by kind.
func (r *replicas) memberFiles() (list []victim) {
	var units, logs []string
	for name := range r.now {
		switch {
		case strings.HasPrefix(name, "/m0/o/") && !strings.HasSuffix(name, "/"):
			units = append(units, name)
		case strings.HasPrefix(name, "/m0/meta/log."):
			logs = append(logs, name)
		}
	}
	slices.Sort(units)
	slices.Sort(logs)
	older := func(name string) (all [][]byte) {
		for _, f := range r.before {
			if b, ok := f[name]; ok {
				all = append(all, b)
			}
		}
		return all
	}
	list = []victim{
		{kind: "array superblock", name: "/m0/array", others: []string{"/m1/array"}, older: older("/m0/array")},
		{kind: "array ballast", name: "/m0/meta/ballast"},
		{kind: "array lock", name: "/m0/in_use.lock"},
	}
	for _, name := range logs {
		b, marks := r.now[name], []int{0}
		for p := 0; p+32 <= len(b) && string(b[p:p+4]) == "RLOG"; marks = append(marks, p) {
			p += 32 + int(binary.BigEndian.Uint32(b[p+4:]))
		}
		list = append(list, victim{kind: "array log", name: name, records: marks, others: []string{"/m1/meta/" + path.Base(name)},
			older: older(name), vacant: "/m0/meta/log.ffff"})
	}
	for i, name := range units {
		marks := []int{0}
		for p := 544; p < len(r.now[name]); p += 544 {
			marks = append(marks, p)
		}
		v := victim{kind: "array units", name: name, records: append(marks, len(r.now[name])), older: older(name), vacant: "/m0/o/0/fff"}
		if i > 0 {
			v.others = units[i-1 : i]
		}
		list = append(list, v)
	}
	return list
}

// TestArrays damages each file of one member of a RAID-5 array: the others have everything.
func TestArrays(t *testing.T) {
	mem := vfs.NewMem()
	a, err := openArray(mem, new(events))
	require.NoError(t, err)
	r := newReplicas(t, mem, a, memberDirs...)
	require.NoError(t, a.Close())
	tb := newTable()
	for _, v := range r.memberFiles() {
		if len(r.now[v.name]) == 0 && v.kind == "array units" {
			continue
		}
		for _, d := range v.damages(r.now) {
			o, why := r.tryArray(t, v, d)
			tb.add(1, v.kind, d.class, o)
			if o == silent || o == vague || o == lost || o == reported || *show {
				t.Logf("%s: %s, %s: %s", o, v.name, d.what, why)
			}
		}
	}
	tb.print(t)
}
