package killtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"

	"redoubt/client"
	"redoubt/dfs"
)

// outcome is what may be found at a path: nothing (size -1), or a file whose bytes are
// the first min to max of the path's own sequence.
type outcome struct{ min, max int64 }

var gone = outcome{-1, -1}

// oracle remembers, for each path that the load has touched, every outcome that a
// correct cluster may show. An acknowledged operation leaves one; an operation whose
// answer never came leaves "before" and "after". A path that is not known was never sent.
type oracle struct {
	mu    sync.Mutex
	paths map[string][]outcome
	acked int
}

func newOracle() *oracle { return &oracle{paths: map[string][]outcome{}} }

// acknowledged: from now on only this may be seen.
func (o *oracle) acknowledged(path string, is outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paths[path] = []outcome{is}
	o.acked++
}

// unsure: the operation may have happened or not.
func (o *oracle) unsure(path string, after outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, ok := o.paths[path]
	if !ok {
		before = []outcome{gone}
	}
	o.paths[path] = append(before[:len(before):len(before)], after)
}

// moved is the suffix of a file's second name.
const moved = ".moved"

// contents gives n bytes of a path's own sequence from offset off, the same for ever. A
// moved file has the sequence of its first name.
func contents(path string, off int64, n int) []byte {
	path = strings.TrimSuffix(path, moved)
	out := make([]byte, n)
	var seed [32]byte
	copy(seed[:28], path)
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

// verify reads every path back and says what no correct cluster may show.
func (o *oracle) verify(ctx context.Context, c *client.Client) (files int, total int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var wrong []error
	exists := map[string]bool{}
	for path, may := range o.paths {
		data, err := read(ctx, c, path)
		size := int64(len(data))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			size = -1
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
			continue
		}
		legal := false
		for _, is := range may {
			legal = legal || size >= is.min && size <= is.max
		}
		switch {
		case !legal:
			wrong = append(wrong, fmt.Errorf("%s has length %d (-1: not there), legal are %v", path, size, may))
		case size > 0 && !bytes.Equal(data, contents(path, 0, len(data))):
			wrong = append(wrong, fmt.Errorf("%s: wrong bytes", path))
		}
		exists[path] = size >= 0
		files++
		total += max(size, 0)
	}
	for there, may := range o.paths {
		path, ok := strings.CutSuffix(there, moved)
		if ok && len(may) == 2 && !exists[there] && !exists[path] {
			wrong = append(wrong, fmt.Errorf("%s is under neither of its names", path))
		}
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
		_, known := o.paths[path]
		o.mu.Unlock()
		if !known {
			found = append(found, path)
		}
	}
	return found, nil
}
