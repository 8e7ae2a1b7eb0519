package killtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// worker is one client that creates, appends, syncs, renames and deletes in its own
// directory until its context ends. It never touches a path again whose last operation
// it is unsure of.
type worker struct {
	dir    string
	client *client.Client
	oracle *oracle
	rng    *rand.Rand
	next   int
	sure   []string // paths with one known outcome
	sizes  map[string]int64
	done   func() // called after each acknowledged operation
}

// opLimit bounds one operation; what takes longer has an unknown outcome.
const opLimit = 60 * time.Second

func (w *worker) run(ctx context.Context) {
	w.sizes = map[string]int64{}
	for ctx.Err() == nil {
		op, cancel := context.WithTimeout(ctx, opLimit)
		switch k := w.rng.IntN(10); {
		case k < 5 || len(w.sure) == 0:
			w.create(op)
		case k < 7:
			w.append(op)
		case k < 8:
			w.rename(op)
		default:
			w.remove(op)
		}
		cancel()
	}
}

// take removes a random known path from the list.
func (w *worker) take() string {
	i := w.rng.IntN(len(w.sure))
	path := w.sure[i]
	w.sure[i] = w.sure[len(w.sure)-1]
	w.sure = w.sure[:len(w.sure)-1]
	return path
}

func (w *worker) keep(path string, size int64) {
	w.oracle.acknowledged(path, outcome{size, size})
	w.sure = append(w.sure, path)
	w.sizes[path] = size
	w.done()
}

func (w *worker) name() string {
	w.next++
	return fmt.Sprintf("%s/%06d", w.dir, w.next)
}

func (w *worker) create(ctx context.Context) {
	path := w.name()
	n := 1 + w.rng.IntN(100_000)
	if w.rng.IntN(4) == 0 {
		n += w.rng.IntN(3 << 20) // several blocks
	}
	w.oracle.unsure(path, outcome{0, int64(n)})
	f, err := w.client.Create(ctx, path, client.CreateOptions{BlockSize: 1 << 20, Replication: 3})
	if err != nil {
		return
	}
	w.write(f, path, 0, n, outcome{0, int64(n)})
}

// write adds n bytes of the path's sequence, syncs now and then, and closes.
func (w *worker) write(f *client.Writer, path string, from int64, n int, may outcome) {
	for sent := 0; sent < n; {
		k := min(n-sent, 1+w.rng.IntN(200_000))
		if _, err := f.Write(contents(path, from+int64(sent), k)); err != nil {
			f.Abort()
			return
		}
		sent += k
		if w.rng.IntN(6) != 0 {
			continue
		}
		if err := f.Sync(w.rng.IntN(2) == 0); err != nil {
			f.Abort()
			return
		}
		// Synced bytes must stay, whatever becomes of the rest.
		w.oracle.acknowledged(path, outcome{from + int64(sent), may.max})
		w.done()
	}
	if err := f.Close(); err != nil {
		f.Abort()
		return
	}
	w.keep(path, from+int64(n))
}

func (w *worker) append(ctx context.Context) {
	path := w.take()
	size, n := w.sizes[path], 1+w.rng.IntN(60_000)
	w.oracle.unsure(path, outcome{size, size + int64(n)})
	f, err := w.client.Append(ctx, path, client.AppendOptions{})
	if err != nil {
		return
	}
	w.write(f, path, size, n, outcome{size, size + int64(n)})
}

// rename moves a file away and back, each step on its own; contents knows that a moved
// file keeps the bytes of its first name.
func (w *worker) rename(ctx context.Context) {
	path := w.take()
	there, is := path+moved, outcome{w.sizes[path], w.sizes[path]}
	for _, step := range [][2]string{{path, there}, {there, path}} {
		w.oracle.unsure(step[0], gone)
		w.oracle.unsure(step[1], is)
		if err := w.client.Rename2(ctx, step[0], step[1], dfs.RenameOptions{}); err != nil {
			return
		}
		w.oracle.acknowledged(step[0], gone)
		w.oracle.acknowledged(step[1], is)
		w.done()
	}
	w.sure = append(w.sure, path)
}

func (w *worker) remove(ctx context.Context) {
	path := w.take()
	w.oracle.unsure(path, gone)
	ok, err := w.client.Delete(ctx, path, false)
	if err != nil || !ok {
		return
	}
	w.oracle.acknowledged(path, gone)
	w.done()
}
