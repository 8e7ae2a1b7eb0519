package killtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"

	"redoubt/client"
	"redoubt/dfs"
)

// outcome is what may be found at a path: a file that holds the first min to max bytes of
// its parts, one after the other. The zero value is no file.
type outcome struct {
	parts    []part
	min, max int64
}

// part is n bytes of the endless sequence that id names.
type part struct {
	id string
	n  int64
}

var gone = outcome{}

func (o outcome) exists() bool { return o.parts != nil }

// exactly is o when its length is known.
func (o outcome) exactly(n int64) outcome { return outcome{o.parts, n, n} }

// cut is o with its first n bytes only.
func (o outcome) cut(n int64) outcome {
	cut := outcome{parts: []part{}, min: n, max: n}
	for _, p := range o.parts {
		p.n = min(p.n, n)
		n -= p.n
		cut.parts = append(cut.parts, p)
	}
	return cut
}

// and is o, whose length is known, with more behind it.
func (o outcome) and(more outcome) outcome {
	o = o.cut(o.max)
	return outcome{append(o.parts, more.parts...), o.max + more.min, o.max + more.max}
}

// fresh is a file of which up to n bytes of a new sequence are there.
func fresh(id string, n int64) outcome { return outcome{[]part{{id, n}}, 0, n} }

// check says what is wrong with data, nil if o allows it.
func (o outcome) check(data []byte) error {
	n := int64(len(data))
	if n < o.min || n > o.max {
		return fmt.Errorf("%d bytes, legal are %d to %d", n, o.min, o.max)
	}
	at := int64(0)
	for _, p := range o.parts {
		k := min(p.n, n-at)
		if want := contents(p.id, 0, int(k)); !bytes.Equal(data[at:at+k], want) {
			i := 0
			for data[at+int64(i)] == want[i] {
				i++
			}
			return fmt.Errorf("wrong bytes from %d on, %d bytes into %q", at+int64(i), i, p.id)
		}
		at += k
	}
	return nil
}

// doubt is an operation whose outcome is not known: the paths that it touches are all as
// before or all as after it.
type doubt struct {
	what          string
	before, after map[string]outcome
}

// oracle remembers for each path that the load has touched what a correct cluster may
// show. Acknowledged is certain; an operation that is under way, or whose answer never
// came, is a doubt. Nobody touches a path again that is in doubt. A path that is not
// known was never sent.
type oracle struct {
	mu       sync.Mutex
	certain  map[string]outcome
	doubts   map[string]*doubt // by each of their paths
	versions map[string]int    // of paths; changed when an operation begins
	acked    int
	wrong    []error        // answers that no correct cluster gives
	refusals map[string]int // how often operations failed, by kind and cause
}

func newOracle() *oracle {
	return &oracle{certain: map[string]outcome{}, doubts: map[string]*doubt{}, versions: map[string]int{}, refusals: map[string]int{}}
}

// begin notes an operation before it is sent.
func (o *oracle) begin(what string, after map[string]outcome) *doubt {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := &doubt{what: what, before: map[string]outcome{}, after: after}
	for path := range after {
		if o.doubts[path] != nil {
			panic("the load touches " + path + ", which is in doubt")
		}
		d.before[path] = o.certain[path]
		o.doubts[path] = d
		o.versions[path]++
		delete(o.certain, path)
	}
	return d
}

// acknowledged ends a doubt: it happened.
func (o *oracle) acknowledged(d *doubt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked++
	for path, is := range d.after {
		o.certain[path] = is
		delete(o.doubts, path)
	}
}

// synced notes that a file under way has at least n bytes.
func (o *oracle) synced(d *doubt, path string, n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked++
	is := d.after[path]
	is.min = n
	d.after[path] = is
	d.before = maps.Clone(d.after)
}

// narrow sets what a doubt says of a path, in d.before or d.after.
func (o *oracle) narrow(d *doubt, in map[string]outcome, path string, is outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	in[path] = is
}

// report notes what no correct cluster does.
func (o *oracle) report(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrong = append(o.wrong, err)
}

var number = regexp.MustCompile(`[0-9]+`)

// refused looks at an error that ended an operation: what the error says can't be, when
// all paths are of one worker and no other operation on them is in doubt.
func (o *oracle) refused(what string, err error) {
	verb, _, _ := strings.Cut(what, " ")
	text := number.ReplaceAllString(err.Error(), "#")
	o.mu.Lock()
	o.refusals[verb+": "+text[:min(len(text), 150)]]++
	o.mu.Unlock()
	switch dfs.KindOf(err) {
	case dfs.NotFound, dfs.AlreadyExists, dfs.Corrupt, dfs.LeaseExpired, dfs.BeingCreated, dfs.Permission:
		o.report(fmt.Errorf("%s: %w", what, err))
	}
}

// now gives what may be seen at a path at this moment, and its version.
func (o *oracle) now(path string) (legal []outcome, version int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d := o.doubts[path]; d != nil {
		return []outcome{d.before[path], d.after[path]}, o.versions[path]
	}
	return []outcome{o.certain[path]}, o.versions[path]
}

// known lists all paths, sorted.
func (o *oracle) known() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.versions))
}

// contents gives n bytes of a sequence from offset off, the same for ever.
func contents(id string, off int64, n int) []byte {
	out := make([]byte, n)
	var seed [32]byte
	copy(seed[:28], id)
	const block = 4096
	for done := 0; done < n; {
		at := off + int64(done)
		var b [block]byte
		s := seed
		s[28], s[29], s[30], s[31] = byte(at/block), byte(at/block>>8), byte(at/block>>16), byte(at/block>>24)
		rand.NewChaCha8(s).Read(b[:])
		done += copy(out[done:], b[at%block:])
	}
	return out
}

// matches says what about the files found differs from what should be.
func matches(should map[string]outcome, found map[string][]byte) error {
	var wrong []error
	for path, is := range should {
		data := found[path]
		switch {
		case is.exists() && data == nil:
			wrong = append(wrong, fmt.Errorf("%s is not there", path))
		case !is.exists() && data != nil:
			wrong = append(wrong, fmt.Errorf("%s is there, with %d bytes", path, len(data)))
		case data != nil:
			if err := is.check(data); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
			}
		}
	}
	return errors.Join(wrong...)
}

// verify reads every path back and says what no correct cluster may show. Nothing runs
// beside it.
func (o *oracle) verify(ctx context.Context, c *client.Client) (files int, total int64, err error) {
	wrong := slices.Clone(o.wrong)
	settled := map[*doubt]bool{}
	for _, path := range o.known() {
		d := o.doubts[path]
		if settled[d] {
			continue
		}
		all := []map[string]outcome{{path: o.certain[path]}}
		if d != nil {
			settled[d] = true
			all = []map[string]outcome{d.before, d.after}
		}
		found := map[string][]byte{}
		var failed []error
		for path := range all[0] {
			data, err := read(ctx, c, path)
			if err != nil && !dfs.Is(err, dfs.NotFound) {
				failed = append(failed, fmt.Errorf("%s, in doubt: %v: %w", path, d != nil, err))
			} else if err == nil {
				found[path] = append([]byte{}, data...) // there, even if empty
			}
			files++
			total += int64(len(data))
		}
		for i := 0; i < len(all) && failed == nil; i++ {
			err := matches(all[i], found)
			if err == nil {
				failed = nil
				all = nil
				break
			}
			if d != nil {
				err = fmt.Errorf("%s, as if it had happened: %v: %w", d.what, i == 1, err)
			}
			if i == len(all)-1 {
				failed = append(failed, err)
			}
		}
		wrong = append(wrong, failed...)
	}
	return files, total, errors.Join(wrong...)
}

func read(ctx context.Context, c *client.Client, path string) ([]byte, error) {
	f, err := c.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// unsent lists what is in the tree although nobody ever asked for it.
func (o *oracle) unsent(ctx context.Context, c *client.Client, dir string) ([]string, error) {
	var found []string
	list, err := c.List(ctx, dir)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		path := dir + "/" + s.Name
		if s.Type == dfs.TypeDirectory {
			more, err := o.unsent(ctx, c, path)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
			continue
		}
		o.mu.Lock()
		known := o.versions[path] > 0
		o.mu.Unlock()
		if !known {
			found = append(found, path)
		}
	}
	return found, nil
}
