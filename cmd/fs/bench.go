package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"redoubt/bench"
)

// benches lists what fs bench can measure.
func benches() []command {
	return []command{
		{"namenode", "operations per second of a name node, over raw RPC", benchNameNode},
		{"io", "throughput of writing and reading files", benchIO},
	}
}

// runBench measures an HDFS, Redoubt or Hadoop's own.
func runBench(ctx context.Context, e *env, args []string) int {
	if len(args) > 0 {
		for _, b := range benches() {
			if b.name == args[0] {
				return b.run(ctx, e, args[1:])
			}
		}
		if args[0] == "--help" || args[0] == "-h" {
			benchUsage(e.stdout)
			return 0
		}
		fmt.Fprintf(e.stderr, "fs bench: nothing to measure is called %q\n", args[0])
	}
	benchUsage(e.stderr)
	return exitUsage
}

func benchUsage(w io.Writer) {
	fmt.Fprintln(w, "Usage: fs bench WHAT [flags]\n\nWhat there is to measure (fs bench WHAT --help tells more):")
	for _, b := range benches() {
		fmt.Fprintf(w, "  %-10s %s\n", b.name, b.summary)
	}
}

// benchNameNode parses the flags of fs bench namenode and runs it.
func benchNameNode(ctx context.Context, e *env, args []string) int {
	var o bench.NameNodeOptions
	flags := pflag.NewFlagSet("fs bench namenode", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	fs := flags.String("fs", "", "the cluster, hdfs://HOST:PORT; default: fs.defaultFS of the configuration")
	flags.IntVar(&o.Conns, "conns", 1, "connections")
	flags.IntVar(&o.Depth, "depth", 64, "calls in flight on each connection")
	flags.IntVar(&o.N, "n", 20_000, "operations of each kind")
	flags.StringSliceVar(&o.Ops, "ops", bench.Ops, "what to measure; always done in the order of the default")
	flags.StringVar(&o.Dir, "dir", "", "directory to make, fill and remove; default: a new one below /")
	flags.BoolVar(&o.Keep, "keep", false, "leave the directory behind")
	pid := flags.Int("server-pid", 0, "process id of the name node, to tell its CPU time per operation")
	asJSON := flags.Bool("json", false, "print one JSON object a line instead of a table")
	if err := flags.Parse(doubleDash(args)); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(e.stderr, "fs bench namenode:", err)
		return exitUsage
	}
	addr, err := benchTarget(e, *fs)
	if err == nil {
		o.Addr, o.User = addr, e.user
		err = o.Validate()
	}
	if err != nil {
		fmt.Fprintln(e.stderr, "fs bench namenode:", err)
		return exitUsage
	}
	if *pid != 0 {
		o.CPU = func() (time.Duration, error) { return processCPU(*pid) }
		if _, err := o.CPU(); err != nil {
			fmt.Fprintln(e.stderr, "fs bench namenode: --server-pid:", err)
			return exitUsage
		}
	}
	show := tableOf(e)
	if *asJSON {
		enc := json.NewEncoder(e.stdout)
		show = func(r bench.Result) { _ = enc.Encode(r) } // a closed output ends nothing here
	} else {
		fmt.Fprintf(e.stdout, "%s: %d operations each, %d connections x %d in flight\n", addr, o.N, o.Conns, o.Depth)
	}
	failed := false
	err = bench.NameNode(ctx, o, func(r bench.Result) {
		show(r)
		if r.Errors > 0 {
			failed = true
			fmt.Fprintf(e.stderr, "fs bench namenode: %s: %d of %d failed, the first with: %s\n", r.Op, r.Errors, r.N, r.FirstError)
		}
	})
	if err != nil {
		fmt.Fprintln(e.stderr, "fs bench namenode:", err)
	}
	if err != nil || failed {
		return exitFailed
	}
	return 0
}

// doubleDash lets Hadoop's -fs stand beside flags with two dashes.
func doubleDash(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; a == "-fs" || strings.HasPrefix(a, "-fs=") {
			out[i] = "-" + a
		}
	}
	return out
}

// benchTarget gives the name node's address: the first one of a name service.
func benchTarget(e *env, given string) (string, error) {
	if err := e.config.load(); err != nil {
		return "", err
	}
	if given == "" {
		given = e.config.get("fs.defaultFS", defaultFS)
	}
	u := typedURI(given)
	if u.scheme != "hdfs" || u.authority == "" {
		return "", fmt.Errorf("%q is no hdfs://HOST:PORT", given)
	}
	nodes := e.config.nameNodes(u.authority)
	if len(nodes) == 0 {
		return "", fmt.Errorf("no address is configured for %s", u.authority)
	}
	return nodes[0], nil
}

// tableOf prints results as lines under one heading, as they come.
func tableOf(e *env) func(bench.Result) {
	head := true
	return func(r bench.Result) {
		var b bytes.Buffer
		w := tabwriter.NewWriter(&b, 12, 0, 2, ' ', tabwriter.AlignRight)
		if head {
			fmt.Fprintln(w, "operation\tops/s\tp50 ms\tp99 ms\tmax ms\tserver us\t")
			head = false
		}
		cpu := "-"
		if r.CPU >= 0 {
			cpu = fmt.Sprintf("%.1f", float64(r.CPU)/float64(time.Microsecond))
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond)) }
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t\n", r.Op, r.PerSecond, ms(r.P50), ms(r.P99), ms(r.Max), cpu)
		_ = w.Flush()                    // into memory
		_, _ = e.stdout.Write(b.Bytes()) // a closed output ends nothing here
	}
}

// processCPU reads how much processor time a process has used, in user and system mode.
func processCPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; the fields after it are numbers, user
	// time the 12th of them and system time the 13th, in hundredths of a second.
	rest := string(data[bytes.LastIndexByte(data, ')')+1:])
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	var ticks int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
