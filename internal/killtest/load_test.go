package killtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// worker is one client that changes files in its own directory until its context ends.
// It never touches a path again whose last operation it is unsure of.
type worker struct {
	dir    string
	client *client.Client
	oracle *oracle
	rng    *rand.Rand
	gate   *sync.RWMutex // closed while the cluster is to be quiet
	next   int
	sure   map[string]outcome // files with one known outcome
	order  []string           // of sure, as they came
	done   func()             // called after each acknowledged operation
}

// opLimit bounds one operation; what takes longer has an unknown outcome.
const opLimit = 60 * time.Second

func (w *worker) run(ctx context.Context) {
	w.sure = map[string]outcome{}
	ops := []struct {
		weight int
		op     func(context.Context)
	}{
		{10, w.create}, {5, w.append}, {3, w.rename}, {3, w.remove}, {2, w.removeOpen}, {2, w.overwrite},
		{2, w.replace}, {2, w.concat}, {2, w.truncate}, {1, w.mkdir},
	}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	for ctx.Err() == nil {
		pick := w.rng.IntN(total)
		op := w.create
		if len(w.order) > 3 {
			for _, o := range ops {
				if pick -= o.weight; pick < 0 {
					op = o.op
					break
				}
			}
		}
		w.gate.RLock()
		one, cancel := context.WithTimeout(ctx, opLimit)
		op(one)
		cancel()
		w.gate.RUnlock()
	}
}

// take removes a random known file from the list.
func (w *worker) take() (path string, is outcome) {
	i := w.rng.IntN(len(w.order))
	path = w.order[i]
	w.order[i] = w.order[len(w.order)-1]
	w.order = w.order[:len(w.order)-1]
	is = w.sure[path]
	delete(w.sure, path)
	return path, is
}

func (w *worker) name() string {
	w.next++
	return fmt.Sprintf("%s/%06d", w.dir, w.next)
}

func (w *worker) size() int64 {
	n := 1 + w.rng.IntN(100_000)
	if w.rng.IntN(4) == 0 {
		n += w.rng.IntN(3 << 20) // several blocks
	}
	return int64(n)
}

// settle ends an operation: with err its paths are not touched again, without it the files
// that are there afterwards are known.
func (w *worker) settle(d *doubt, err error) {
	if err != nil {
		w.oracle.refused(d.what, err)
		return
	}
	w.oracle.acknowledged(d)
	for path, is := range d.after {
		if is.exists() {
			w.sure[path] = is
			w.order = append(w.order, path)
		}
	}
	w.done()
}

func (w *worker) create(ctx context.Context) {
	path := w.name()
	w.createAs(ctx, "create "+path, path, path, client.CreateOptions{})
}

func (w *worker) overwrite(ctx context.Context) {
	path, _ := w.take()
	w.createAs(ctx, "overwrite "+path, path, w.name(), client.CreateOptions{Overwrite: true})
}

func (w *worker) createAs(ctx context.Context, what, path, id string, opt client.CreateOptions) {
	n := w.size()
	d := w.oracle.begin(what, map[string]outcome{path: fresh(id, n)})
	opt.BlockSize, opt.Replication = 1<<20, 3
	f, err := w.client.Create(ctx, path, opt)
	if err != nil {
		w.settle(d, err)
		return
	}
	w.write(f, d, path, 0, n)
}

// write adds the n bytes of the last part, syncs now and then, and closes.
func (w *worker) write(f *client.Writer, d *doubt, path string, from, n int64) {
	if err := w.send(f, d, path, from, n); err != nil {
		f.Abort()
		w.settle(d, err)
		return
	}
	err := f.Close()
	if err == nil {
		w.oracle.narrow(d, d.after, path, d.after[path].exactly(from+n))
	}
	w.settle(d, err)
}

func (w *worker) send(f *client.Writer, d *doubt, path string, from, n int64) error {
	parts := d.after[path].parts
	id := parts[len(parts)-1].id
	for sent := int64(0); sent < n; {
		k := min(n-sent, int64(1+w.rng.IntN(200_000)))
		if _, err := f.Write(contents(id, sent, int(k))); err != nil {
			return err
		}
		sent += k
		if w.rng.IntN(6) != 0 {
			continue
		}
		if err := f.Sync(w.rng.IntN(2) == 0); err != nil {
			return err
		}
		// Synced bytes must stay, whatever becomes of the rest.
		w.oracle.synced(d, path, from+sent)
		w.done()
	}
	return nil
}

func (w *worker) append(ctx context.Context) {
	path, is := w.take()
	n := int64(1 + w.rng.IntN(60_000))
	d := w.oracle.begin("append to "+path, map[string]outcome{path: is.and(fresh(w.name(), n))})
	f, err := w.client.Append(ctx, path, client.AppendOptions{NewBlock: w.rng.IntN(4) == 0})
	if err != nil {
		w.settle(d, err)
		return
	}
	w.write(f, d, path, is.max, n)
}

func (w *worker) rename(ctx context.Context) {
	path, is := w.take()
	to := w.name()
	d := w.oracle.begin("rename "+path+" to "+to, map[string]outcome{path: gone, to: is})
	w.settle(d, w.client.Rename2(ctx, path, to, dfs.RenameOptions{}))
}

// replace renames over a file that is there.
func (w *worker) replace(ctx context.Context) {
	path, is := w.take()
	to, _ := w.take()
	d := w.oracle.begin("rename "+path+" over "+to, map[string]outcome{path: gone, to: is})
	w.settle(d, w.client.Rename2(ctx, path, to, dfs.RenameOptions{Overwrite: true}))
}

func (w *worker) remove(ctx context.Context) {
	path, _ := w.take()
	d := w.oracle.begin("delete "+path, map[string]outcome{path: gone})
	ok, err := w.client.Delete(ctx, path, false)
	if err == nil && !ok {
		err = &dfs.Error{Kind: dfs.NotFound, Msg: "delete says that it was not there"}
	}
	w.settle(d, err)
}

// removeOpen deletes a file while it is being written. The writer's end does not matter.
func (w *worker) removeOpen(ctx context.Context) {
	path, n := w.name(), w.size()
	d := w.oracle.begin("create and delete "+path, map[string]outcome{path: fresh(path, n)})
	f, err := w.client.Create(ctx, path, client.CreateOptions{BlockSize: 1 << 20, Replication: 3})
	if err != nil {
		w.settle(d, err)
		return
	}
	defer f.Abort()
	if err := w.send(f, d, path, 0, n); err != nil {
		w.settle(d, err)
		return
	}
	w.oracle.narrow(d, d.before, path, gone) // after is still "it was created"
	ok, err := w.client.Delete(ctx, path, false)
	if err == nil && !ok {
		err = &dfs.Error{Kind: dfs.NotFound, Msg: "delete says that it was not there"}
	}
	if err == nil {
		w.oracle.narrow(d, d.after, path, gone)
	}
	w.settle(d, err)
	f.Close()
}

func (w *worker) concat(ctx context.Context) {
	path, is := w.take()
	one, first := w.take()
	two, second := w.take()
	d := w.oracle.begin("concat "+one+" and "+two+" to "+path,
		map[string]outcome{path: is.and(first).and(second), one: gone, two: gone})
	w.settle(d, w.client.Concat(ctx, path, []string{one, two}))
}

// truncate cuts a file and waits until that is done, which may take a block recovery.
func (w *worker) truncate(ctx context.Context) {
	path, is := w.take()
	n := w.rng.Int64N(is.max + 1)
	d := w.oracle.begin(fmt.Sprint("truncate ", path, " to ", n), map[string]outcome{path: is.cut(n)})
	done, err := w.client.Truncate(ctx, path, n)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil && !done {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-tick.C:
			done, err = w.client.IsFileClosed(ctx, path)
		}
	}
	w.settle(d, err)
}

func (w *worker) mkdir(ctx context.Context) {
	ok, err := w.client.Mkdirs(ctx, fmt.Sprintf("%s/d%d", w.dir, w.rng.IntN(3)), 0o755, true)
	if err == nil && !ok {
		err = &dfs.Error{Msg: "mkdirs says no"}
	}
	if err != nil {
		w.oracle.refused("mkdir", err)
		return
	}
	w.done()
}
