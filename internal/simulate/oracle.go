package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Outcome is something that a path may be: absent, or a file of Data of which at least
// Min bytes are there, and Synced after a power cut of all machines.
type Outcome struct {
	Data   []byte
	Min    int
	Synced int
	Absent bool
}

// Exactly is a file of just this content.
func Exactly(data []byte) Outcome { return Outcome{Data: data, Min: len(data), Synced: len(data)} }

// Absent is no file.
var Absent = Outcome{Absent: true}

// holds says why a path that was read as data, nil for absent, is not o.
func (o Outcome) holds(data []byte) error {
	switch {
	case o.Absent && data == nil:
		return nil
	case o.Absent:
		return fmt.Errorf("is there, with %d bytes, and should not be", len(data))
	case data == nil:
		return fmt.Errorf("is not there; %d bytes should be", o.Min)
	case len(data) < o.Min:
		return fmt.Errorf("has %d bytes; %d were acknowledged", len(data), o.Min)
	case len(data) > len(o.Data):
		return fmt.Errorf("has %d bytes; only %d were ever sent", len(data), len(o.Data))
	case !bytes.Equal(data, o.Data[:len(data)]):
		at := 0
		for data[at] == o.Data[at] {
			at++
		}
		return fmt.Errorf("has a wrong byte at %d of %d: %#x, not %#x", at, len(data), data[at], o.Data[at])
	}
	return nil
}

// Oracle remembers what clients have sent and what was acknowledged, and judges what is
// read. An operation on the way, or one that failed, leaves several outcomes legal.
type Oracle struct {
	mu       sync.Mutex
	paths    map[string][]Outcome
	versions map[string]int
	pairs    [][2]string // of failed renames: exactly one is there
	acks     int
	cuts     int            // power cuts of all machines
	refused  map[string]int // errors by text
}

// NewOracle makes an oracle of an empty file system.
func NewOracle() *Oracle {
	return &Oracle{paths: map[string][]Outcome{}, versions: map[string]int{}, refused: map[string]int{}}
}

// Begin adds an outcome to what a path may be.
func (o *Oracle) Begin(path string, may Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.paths[path]; !known {
		o.paths[path] = []Outcome{Absent}
	}
	o.paths[path] = append(o.paths[path], may)
	o.versions[path]++
}

// Ack says that a path is just this from now on.
func (o *Oracle) Ack(path string, is Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paths[path] = []Outcome{is}
	o.versions[path]++
	o.acks++
}

// Cuts counts the power cuts of all machines.
func (o *Oracle) Cuts() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cuts
}

// PowerCut says that all machines lose their power now: of what was flushed only the synced
// part must be there.
func (o *Oracle) PowerCut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cuts++
	for path, list := range o.paths {
		for i := range list {
			list[i].Min = list[i].Synced
		}
		o.versions[path]++
	}
}

// Flushed is Ack for a flush of a writer that has been at it since there were so many cuts.
func (o *Oracle) Flushed(path string, is Outcome, cuts int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cuts != cuts {
		is.Min = is.Synced
	}
	o.paths[path] = []Outcome{is}
	o.versions[path]++
	o.acks++
}

// Refuse notes that an operation failed.
func (o *Oracle) Refuse(what string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused[what+": "+err.Error()]++
}

// Refusals lists the errors of operations that failed.
func (o *Oracle) Refusals() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.refused))
}

// Acks counts acknowledgements.
func (o *Oracle) Acks() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acks
}

// Pair notes a rename in doubt.
func (o *Oracle) Pair(src, dst string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pairs = append(o.pairs, [2]string{src, dst})
}

// Certain gives a path's content when there is no doubt about it.
func (o *Oracle) Certain(path string) (data []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.paths[path]
	if len(list) != 1 || list[0].Absent || list[0].Min != len(list[0].Data) {
		return nil, false
	}
	return list[0].Data, true
}

// Free reports whether nothing is, and nothing may be, at a path.
func (o *Oracle) Free(path string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.paths[path]
	return len(list) == 0 || len(list) == 1 && list[0].Absent
}

// Paths lists every path that was ever used.
func (o *Oracle) Paths() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.paths))
}

// Version changes whenever what a path may be does.
func (o *Oracle) Version(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.versions[path]
}

// Judge says what is wrong with having read a path as data, nil for absent, when its
// version was and still is v. If it has changed meanwhile, nothing can be said.
func (o *Oracle) Judge(path string, v int, data []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.versions[path] != v {
		return nil
	}
	var wrong []error
	for _, may := range o.paths[path] {
		err := may.holds(data)
		if err == nil {
			return nil
		}
		wrong = append(wrong, err)
	}
	return fmt.Errorf("%s: %w", path, errors.Join(wrong...))
}

// MustBeThere reports whether a path can't be absent now.
func (o *Oracle) MustBeThere(path string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(o.paths[path], func(may Outcome) bool { return may.Absent })
}

// JudgePairs checks the renames in doubt against what was read; absent paths are nil.
func (o *Oracle) JudgePairs(found map[string][]byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pairs {
		if (found[p[0]] == nil) == (found[p[1]] == nil) {
			return fmt.Errorf("after a rename in doubt, %s is there: %v, and %s is there: %v", p[0], found[p[0]] != nil, p[1], found[p[1]] != nil)
		}
	}
	return nil
}
