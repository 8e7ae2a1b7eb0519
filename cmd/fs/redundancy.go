package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"redoubt/internal/hadoopconf"
	"redoubt/redundancy"
	"redoubt/redundancy/fleet"
	"redoubt/redundancy/report"
	"redoubt/redundancy/result"
	"redoubt/vfs"
)

// redundancyOptions is the command line of fs redundancy.
type redundancyOptions struct {
	diskMBps, linkMBps float64
	data, file, block  string
	schemes, faults    []string
	out, dir           string
	quick, noModel     bool
	verbose            bool
	repeatGiven        bool
}

// runRedundancy compares ways to keep data on a live cluster, and in a model of a fleet.
func runRedundancy(ctx context.Context, e *env, args []string) int {
	var o redundancyOptions
	s := redundancy.Defaults()
	flags := pflag.NewFlagSet("fs redundancy", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.SortFlags = false
	flags.Float64Var(&o.diskMBps, "disk-mbps", s.DiskRate/1e6, "rate of an emulated disk in MB/s; 0: unlimited")
	diskLatency := flags.Duration("disk-latency", secondsOf(s.DiskLatency), "latency of a disk when it must seek")
	flags.Float64Var(&o.linkMBps, "link-mbps", s.LinkRate/1e6, "rate of a node's link in each direction in MB/s; 0: unlimited")
	linkLatency := flags.Duration("link-latency", secondsOf(s.LinkLatency), "latency from one node to another")
	flags.StringVar(&o.data, "data", shortSizeArg(s.DataBytes), "bytes of user data for each scheme")
	flags.StringVar(&o.file, "file-size", shortSizeArg(s.FileBytes), "bytes of a file")
	flags.StringVar(&o.block, "block-size", shortSizeArg(s.BlockBytes), "bytes of a block")
	flags.IntVar(&s.Datanodes, "datanodes", s.Datanodes, "datanodes of a cluster")
	flags.IntVar(&s.Racks, "racks", s.Racks, "racks that the datanodes are dealt out to")
	flags.IntVar(&s.DisksPerNode, "disks", s.DisksPerNode, "disks of a datanode, which its array is made of")
	flags.IntVar(&s.Parity, "k", s.Parity, "blocks to a parity block across nodes, 2 to 16")
	flags.IntVar(&s.Clients, "clients", 0, "client machines, each with a link of its own (default twice the datanodes)")
	flags.IntVar(&s.Repeat, "repeat", s.Repeat, "how often everything is measured, each time on a new cluster")
	flags.StringSliceVar(&o.schemes, "scheme", nil, "only these: "+names(result.Schemes()))
	flags.StringSliceVar(&o.faults, "fault", nil, "only these: "+names(result.Faults()))
	flags.BoolVar(&o.quick, "quick", false, "a quarter of the data, and everything once unless --repeat says otherwise")
	flags.StringVar(&o.out, "out", "", "directory for report.html, results.csv and results.json")
	flags.StringVar(&o.dir, "dir", "", "where the emulated disks keep their files (default the system's temporary directory)")
	flags.BoolVar(&o.noModel, "no-model", false, "only the live run, without the model of a fleet")
	flags.Uint64Var(&s.Seed, "seed", s.Seed, "of the data, and of what is spoiled")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "log what the nodes do")
	flags.Usage = func() {
		whole := redundancy.Expect(redundancy.Config{Setup: redundancy.Defaults()})
		fmt.Fprintf(e.stderr, redundancyUsage, roughly(whole), flags.FlagUsagesWrapped(80))
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(e.stderr, "fs redundancy:", err)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(e.stderr, "fs redundancy: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	o.repeatGiven = flags.Changed("repeat")
	s.DiskLatency, s.LinkLatency = diskLatency.Seconds(), linkLatency.Seconds()
	cfg, err := o.config(s)
	if err != nil {
		fmt.Fprintln(e.stderr, "fs redundancy:", err)
		return exitUsage
	}
	switch err := compare(ctx, e, cfg, &o); {
	case ctx.Err() != nil:
		fmt.Fprintln(e.stderr, "fs redundancy: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(e.stderr, "fs redundancy:", err)
		return exitFailed
	}
	return 0
}

const redundancyUsage = `Usage: fs redundancy [flags]

Compares no redundancy, replicas and RAID-5, in a node and across nodes: a live
cluster for each, on the same emulated disks and links, with the same data and
the same faults. Without flags everything is measured three times, which takes
about %s on a machine with nothing else to do. Ctrl-C ends a run early
and keeps what was measured to its end.

Exit codes: 0; 1 if a scheme could not be run to its end, or a fault hit no data
("not tested"); 130 after Ctrl-C; 255 if the command line is wrong.

%s`

// exitInterrupted is the code of a command that was ended by Ctrl-C.
const exitInterrupted = 130

// roughly writes a time for people who plan their day.
func roughly(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
}

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// shortSizeArg writes a size as it may be given: 64m.
func shortSizeArg(n int64) string {
	return strings.ToLower(strings.ReplaceAll(shortSize(n), " ", ""))
}

func names[T ~string](list []T) string {
	var out []string
	for _, x := range list {
		out = append(out, string(x))
	}
	return strings.Join(out, ", ")
}

// config makes a run of the command line.
func (o *redundancyOptions) config(s result.Setup) (*redundancy.Config, error) {
	var err error
	size := func(flag, text string) int64 {
		n, bad := hadoopconf.ParseSize(text)
		if bad != nil || n <= 0 {
			err = errors.Join(err, fmt.Errorf("--%s: %q is not a size like 64m", flag, text))
		}
		return n
	}
	s.DataBytes, s.FileBytes, s.BlockBytes = size("data", o.data), size("file-size", o.file), size("block-size", o.block)
	if err != nil {
		return nil, err
	}
	s.DiskRate, s.LinkRate = o.diskMBps*1e6, o.linkMBps*1e6
	if o.quick {
		s.DataBytes = max(s.FileBytes, s.DataBytes/4)
		if !o.repeatGiven {
			s.Repeat = 1
		}
	}
	cfg := &redundancy.Config{FS: vfs.OS(), Dir: "disks", Setup: s}
	for _, x := range o.schemes {
		cfg.Schemes = append(cfg.Schemes, result.Scheme(x))
	}
	for _, x := range o.faults {
		cfg.Faults = append(cfg.Faults, result.Fault(x))
	}
	return cfg, cfg.Validate()
}

// compare runs, shows and writes. What can't be written is found out before the run.
func compare(ctx context.Context, e *env, cfg *redundancy.Config, o *redundancyOptions) (err error) {
	if o.out != "" {
		if err := checkOut(o.out); err != nil {
			return err
		}
	}
	if cfg.Dir, err = os.MkdirTemp(o.dir, "redundancy-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	level := slog.LevelError
	if o.verbose {
		level = slog.LevelInfo
	}
	cfg.Log = slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	if !o.verbose {
		cfg.Log = nil
	}
	bar := newProgress(e.stderr)
	cfg.Progress = bar.step
	run, err := redundancy.Run(ctx, *cfg)
	bar.end()
	if err != nil && (run == nil || len(run.Schemes) == 0) {
		return err
	}
	// After Ctrl-C what was measured to its end is shown and written like a whole run.
	return errors.Join(present(e, run, o), err)
}

// checkOut makes the directory for results and tries whether it can be written.
func checkOut(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// present shows a run as tables and writes its files. A scheme that could not be run to its
// end, and a fault that has hit nothing, make the command fail, after all that was measured is
// there.
func present(e *env, run *result.Run, o *redundancyOptions) error {
	rep := &report.Report{Run: run}
	if !o.noModel {
		var err error
		if rep, err = report.New(run, fleet.Defaults(), fleet.Options{Seed: run.Setup.Seed}); err != nil {
			return err
		}
	}
	if err := rep.Text(e.stdout); err != nil {
		return err
	}
	if o.out != "" {
		for name, write := range map[string]func(io.Writer) error{"report.html": rep.HTML, "results.csv": rep.CSV, "results.json": rep.JSON} {
			if err := writeResult(filepath.Join(o.out, name), write); err != nil {
				return err
			}
		}
		fmt.Fprintf(e.stdout, "\nreport.html, results.csv and results.json have all of it. They are in\n%s\n", o.out)
	}
	var errs []error
	for _, s := range run.Schemes {
		if s.Err != "" {
			errs = append(errs, fmt.Errorf("%s: %s", s.Title, s.Err))
		}
	}
	for _, text := range run.Untested() {
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

func writeResult(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// progress shows how far a run is: a bar on a terminal, else a line for each step.
type progress struct {
	w     io.Writer
	tty   bool
	begun time.Time
	last  int // characters of the line that stands
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		p.tty = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return p
}

const (
	barWidth = 16
	// lineWidth leaves the last column of a terminal free: some begin a new line in it.
	lineWidth = 79
)

func (p *progress) step(s redundancy.Step) {
	text := fmt.Sprintf("%s: %s", s.Scheme.Title(), s.Doing)
	if s.Rounds > 1 {
		text = fmt.Sprintf("%d/%d %s", s.Round, s.Rounds, text)
	}
	clock := fmt.Sprintf("%s, %s left", minutes(time.Since(p.begun)), minutes(s.Left))
	if !p.tty {
		fmt.Fprintln(p.w, cutTo(fmt.Sprintf("%16s  %3d/%d  %s", clock, s.Done, s.Total, text), lineWidth))
		return
	}
	full := barWidth * s.Done / max(1, s.Total)
	line := cutTo(fmt.Sprintf("[%s%s] %s  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), clock, text), lineWidth)
	n := len([]rune(line))
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.last-n)))
	p.last = n
}

// minutes writes a time as 2:05.
func minutes(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// cutTo cuts a line to so many characters.
func cutTo(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width])
	}
	return s
}

// end removes the bar.
func (p *progress) end() {
	if p.tty {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.last))
	}
}
