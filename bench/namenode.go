// Package bench measures an HDFS from outside, Redoubt or Hadoop alike. NameNode loads a
// name node over raw Hadoop RPC, with a client that costs next to nothing, so that the
// figures are the server's.
package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"redoubt/wire/hadooprpc"
)

// Ops lists the operations that NameNode can measure, in the order that they are done
// in: each finds what the ones before it made, or makes it beforehand, unmeasured.
var Ops = []string{"mkdirs", "create", "stat", "open", "list", "chmod", "rename", "delete"}

// FilesPerDir is how many entries the benchmark puts in one directory.
const FilesPerDir = 1000

// NameNodeOptions say what to measure and how.
type NameNodeOptions struct {
	Addr  string   // host:port of the name node's RPC
	User  string   // who calls
	Dir   string   // made, filled and removed; "" draws a name below /
	Conns int      // connections; 0 means 1
	Depth int      // calls in flight on each; 0 means 1
	N     int      // operations of each kind, over all connections; 0 means 10000
	Ops   []string // nil means all
	Keep  bool     // leave Dir behind
	// CPU, if set, tells the server's CPU time so far.
	CPU func() (time.Duration, error)
}

// Validate fills in the defaults and reports what can't be.
func (o *NameNodeOptions) Validate() error {
	if o.Conns == 0 {
		o.Conns = 1
	}
	if o.Depth == 0 {
		o.Depth = 1
	}
	if o.N == 0 {
		o.N = 10_000
	}
	if o.Ops == nil {
		o.Ops = Ops
	}
	var errs []error
	if o.Conns < 0 || o.Depth < 0 || o.N < 0 {
		errs = append(errs, errors.New("bench: connections, depth and number of operations must be positive"))
	}
	if o.Conns > o.N {
		errs = append(errs, fmt.Errorf("bench: %d connections for %d operations", o.Conns, o.N))
	}
	for _, op := range o.Ops {
		if !slices.Contains(Ops, op) {
			errs = append(errs, fmt.Errorf("bench: no operation %q; there are %s", op, strings.Join(Ops, " ")))
		}
	}
	if o.Dir == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		o.Dir = "/redoubt-bench-" + hex.EncodeToString(b[:])
	}
	if o.Dir[0] != '/' || strings.Trim(o.Dir, "/") == "" {
		errs = append(errs, fmt.Errorf("bench: %q is no directory to fill", o.Dir))
	}
	return errors.Join(errs...)
}

// Result is one measured operation. A file's creation, create and complete, counts as
// one operation and its time is both calls'.
type Result struct {
	Op         string        `json:"op"`
	N          int           `json:"n"`
	Errors     int           `json:"errors"`
	FirstError string        `json:"firstError,omitempty"`
	Elapsed    time.Duration `json:"elapsedNanos"`
	PerSecond  float64       `json:"perSecond"`
	P50        time.Duration `json:"p50Nanos"`
	P99        time.Duration `json:"p99Nanos"`
	Max        time.Duration `json:"maxNanos"`
	CPU        time.Duration `json:"serverCPUNanosPerOp,omitempty"` // -1: unknown
}

// NameNode runs the benchmark and reports each operation as it ends. The operations are
// done in the order of Ops.
func NameNode(ctx context.Context, o NameNodeOptions, report func(Result)) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	r := &run{o: o}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return err
	}
	defer func() {
		if !o.Keep {
			err = errors.Join(err, r.one(methodDelete, appendDelete(nil, o.Dir, true)))
		}
	}()
	if err := r.one(methodMkdirs, appendMkdirs(nil, o.Dir)); err != nil {
		return err
	}
	for _, op := range Ops {
		if !slices.Contains(o.Ops, op) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.prepare(op); err != nil {
			return fmt.Errorf("bench: prepare %s: %w", op, err)
		}
		res, err := r.measure(op)
		if err != nil {
			return fmt.Errorf("bench: %s: %w", op, err)
		}
		report(res)
	}
	return nil
}

// run is a benchmark under way.
type run struct {
	o       NameNodeOptions
	conns   []*hadooprpc.Pipeline
	stop    func() bool // of the watch on ctx
	made    bool        // the files are there
	renamed bool        // under their second names
}

func (r *run) connect(ctx context.Context) error {
	var d net.Dialer
	var ncs []net.Conn
	for range r.o.Conns {
		nc, err := d.DialContext(ctx, "tcp", r.o.Addr)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		p, err := hadooprpc.NewPipeline(nc, hadooprpc.Options{User: r.o.User, Protocol: clientProtocol})
		if err != nil {
			return err
		}
		ncs = append(ncs, nc)
		r.conns = append(r.conns, p)
	}
	r.stop = context.AfterFunc(ctx, func() {
		for _, nc := range ncs {
			_ = nc.Close() // ends the loads
		}
	})
	return nil
}

func (r *run) close() {
	if r.stop != nil {
		r.stop()
	}
	for _, p := range r.conns {
		_ = p.Close() // all answers are in
	}
}

// one makes a single call on the first connection.
func (r *run) one(method string, body []byte) error {
	t, sent := target(method), false
	return r.conns[0].Run(hadooprpc.Load{
		Depth: 1,
		Next: func(_ int, b []byte) (*hadooprpc.Target, []byte) {
			if sent {
				return nil, b
			}
			sent = true
			return t, append(b, body...)
		},
		Done: func(_ int, _ []byte, e *hadooprpc.RemoteError, _ time.Duration) error {
			if e != nil {
				return e
			}
			return nil
		},
	})
}

// prepare makes what op works on.
func (r *run) prepare(op string) error {
	switch op {
	case "mkdirs":
		return nil
	case "create":
		return r.makeDirs()
	}
	if r.made {
		return nil
	}
	if err := r.makeDirs(); err != nil {
		return err
	}
	res, err := r.measure("create")
	if err == nil && res.Errors > 0 {
		err = fmt.Errorf("%d of %d files could not be made: %s", res.Errors, res.N, res.FirstError)
	}
	return err
}

func (r *run) makeDirs() error {
	for d := 0; d*FilesPerDir < r.o.N; d++ {
		if err := r.one(methodMkdirs, appendMkdirs(nil, r.dir(d))); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) dir(d int) string { return fmt.Sprintf("%s/d%d", r.o.Dir, d) }

// measure does one operation N times, spread over the connections.
func (r *run) measure(op string) (Result, error) {
	before := r.cpu()
	start := time.Now()
	parts := make([]*worker, len(r.conns))
	errs := make([]error, len(r.conns))
	var wg sync.WaitGroup
	for i, p := range r.conns {
		lo, hi := i*r.o.N/len(r.conns), (i+1)*r.o.N/len(r.conns)
		parts[i] = newWorker(r, op, lo, hi)
		wg.Go(func() { errs[i] = p.Run(parts[i].load()) })
	}
	wg.Wait()
	elapsed := time.Since(start)
	after := r.cpu()
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	switch op {
	case "create":
		r.made = true
	case "rename":
		r.renamed = true
	case "delete":
		r.made, r.renamed = false, false
	}
	res := summarize(op, elapsed, parts)
	res.CPU = -1
	if before >= 0 && after >= 0 {
		res.CPU = (after - before) / time.Duration(max(res.N, 1))
	}
	return res, nil
}

func (r *run) cpu() time.Duration {
	if r.o.CPU == nil {
		return -1
	}
	d, err := r.o.CPU()
	if err != nil {
		return -1
	}
	return d
}

func summarize(op string, elapsed time.Duration, parts []*worker) Result {
	res := Result{Op: op, Elapsed: elapsed}
	var all []time.Duration
	for _, w := range parts {
		all = append(all, w.times...)
		res.Errors += w.errors
		if res.FirstError == "" && w.first != nil {
			res.FirstError = w.first.Error()
		}
	}
	res.N = len(all)
	if res.N == 0 {
		return res
	}
	slices.Sort(all)
	res.PerSecond = float64(res.N) / elapsed.Seconds()
	res.P50, res.P99, res.Max = all[res.N/2], all[res.N*99/100], all[res.N-1]
	return res
}
