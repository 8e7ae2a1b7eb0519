package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// shellCmd is one command of the file system shell.
type shellCmd struct {
	name    string // without the dash
	args    string // usage after the name
	help    string // what it does
	hidden  bool   // a deprecated alias
	replace string // what to use instead of a deprecated command
	// setup reads the options of an invocation, sets its steps, and returns the path
	// arguments that are left.
	setup func(inv *invocation, args []string) ([]string, error)
}

// shell is one use of the file system shell: its environment and the file systems that
// it has connected to.
type shell struct {
	*env
	out     *bufio.Writer
	systems map[string]fileSystem
	zone    *time.Location
}

// runShell runs one shell command, with generic options before it.
func runShell(ctx context.Context, e *env, args []string) int {
	scoped := *e
	args, err := scoped.genericOptions(args)
	sh := &shell{env: &scoped, out: bufio.NewWriterSize(e.stdout, 64<<10), systems: map[string]fileSystem{}, zone: time.Local}
	defer sh.close()
	if err != nil {
		sh.complain("fs", err.Error())
		return exitUsage
	}
	if len(args) == 0 {
		sh.shellUsage()
		return exitUsage
	}
	return sh.command(ctx, args[0], args[1:])
}

// genericOptions takes -fs, -D and -conf from the front of args into the configuration.
func (e *env) genericOptions(args []string) ([]string, error) {
	for len(args) > 0 {
		name, value, joined := args[0], "", false
		if strings.HasPrefix(name, "-D") && len(name) > 2 {
			name, value, joined = "-D", name[2:], true
		} else if n, v, ok := strings.Cut(name, "="); ok && (n == "-fs" || n == "--fs") {
			name, value, joined = "-fs", v, true
		}
		switch name {
		case "-D", "-fs", "--fs", "-conf":
		default:
			return args, e.configured()
		}
		args = args[1:]
		if !joined {
			if len(args) == 0 {
				return nil, fmt.Errorf("Missing argument for option: %s", strings.TrimLeft(name, "-"))
			}
			value, args = args[0], args[1:]
		}
		switch name {
		case "-D":
			k, v, ok := strings.Cut(value, "=")
			if !ok && len(args) > 0 && strings.HasPrefix(args[0], "=") {
				v, args = args[0][1:], args[1:]
			}
			e.config = e.config.with(strings.TrimSpace(k), v)
		case "-conf":
			e.config.files = append(e.config.files[:len(e.config.files):len(e.config.files)], value)
			e.config.values = nil
		default:
			e.config = e.config.with("fs.defaultFS", value)
		}
	}
	return args, e.configured()
}

// configured loads what the generic options have named, and tells what of -D counts for
// nothing.
func (e *env) configured() error {
	err := e.config.load()
	if err == nil {
		e.config.warn(e.stderr)
	}
	return err
}

// command runs the shell command name, which has its dash.
func (sh *shell) command(ctx context.Context, name string, args []string) int {
	c := shellCommand(strings.TrimPrefix(name, "-"))
	if c == nil || !strings.HasPrefix(name, "-") {
		sh.complain(name, "Unknown command")
		if c != nil {
			fmt.Fprintf(sh.stderr, "Did you mean -%s?  This command begins with a dash.\n", name)
		}
		sh.shellUsage()
		return exitUsage
	}
	inv := &invocation{shell: sh, ctx: ctx, cmd: c}
	code, err := inv.run(args)
	if err != nil {
		sh.complain(name, err.Error())
		sh.shellUsage()
		fmt.Fprintf(sh.stderr, "Usage: fs [generic options] -%s %s\n", c.name, c.args)
		return exitUsage
	}
	return code
}

// complain prints a message on standard error, each line after who says it. What was
// printed on standard output before comes first.
func (sh *shell) complain(who, message string) {
	sh.out.Flush()
	for _, line := range strings.Split(message, "\n") {
		fmt.Fprintf(sh.stderr, "%s: %s\n", who, line)
	}
}

// close flushes the output and ends the connections.
func (sh *shell) close() {
	sh.out.Flush()
	for _, fs := range sh.systems {
		fs.close()
	}
}

// invocation is a running shell command. Its steps are what commands replace: each has
// the default behaviour of the walk over arguments and their trees, so that a command
// says only where it differs.
type invocation struct {
	*shell
	ctx       context.Context
	cmd       *shellCmd
	errors    int
	exit      int // when there were no errors
	depth     int
	recursive bool
	sorted    bool // list directories whole and in path order, not as the file system lists them
	group     int  // entries shown together when not sorted; 0 is one by one
	steps     steps
}

// steps are the replaceable parts of an invocation; nil is the default.
type steps struct {
	expand     func(arg string) ([]*item, error)
	arguments  func(items []*item) error
	argument   func(it *item) error
	found      func(it *item) error // an argument that exists
	missing    func(it *item) error // an argument that doesn't
	batch      func(parent *item, items []*item) error
	path       func(it *item) error // every path of the walk
	after      func(it *item) error // after the path and what is below it
	recurse    func(it *item) error
	recursable func(it *item) (bool, error)
}

// run executes the command. The error, if any, is about the command line as a whole.
func (inv *invocation) run(args []string) (int, error) {
	if inv.cmd.replace != "" {
		inv.warn(fmt.Sprintf("DEPRECATED: Please use '%s' instead.", inv.cmd.replace))
	}
	rest, err := inv.cmd.setup(inv, append([]string(nil), args...))
	if err == nil {
		err = inv.processArgs(rest)
	}
	if isUsage(err) {
		return 0, err
	}
	if err != nil {
		inv.fail(err)
	}
	switch {
	case inv.ctx.Err() != nil:
		return 130, nil
	case inv.errors > 0:
		return exitFailed, nil
	}
	return inv.exit, nil
}

// fail counts an error and shows its first line.
func (inv *invocation) fail(err error) {
	inv.errors++
	line, _, _ := strings.Cut(message(err), "\n")
	inv.warn(line)
}

func (inv *invocation) warn(line string) { inv.complain(inv.cmd.name, line) }

// each runs f for every item; errors are shown and counted, usage errors and the end of
// the context stop it.
func (inv *invocation) each(items []*item, f func(*item) error) error {
	for _, it := range items {
		if err := inv.ctx.Err(); err != nil {
			return err
		}
		if err := f(it); err != nil {
			if isUsage(err) {
				return err
			}
			inv.fail(err)
		}
	}
	return nil
}

func (inv *invocation) processArgs(args []string) error {
	expand := inv.expandGlob
	if inv.steps.expand != nil {
		expand = inv.steps.expand
	}
	var items []*item
	for _, arg := range args {
		found, err := expand(arg)
		if isUsage(err) {
			return err
		}
		if err != nil {
			inv.fail(err)
			continue
		}
		items = append(items, found...)
	}
	if inv.steps.arguments != nil {
		return inv.steps.arguments(items)
	}
	return inv.processItems(items)
}

func (inv *invocation) processItems(items []*item) error {
	f := inv.processArgument
	if inv.steps.argument != nil {
		f = inv.steps.argument
	}
	return inv.each(items, f)
}

func (inv *invocation) processArgument(it *item) error {
	if it.stat == nil {
		if inv.steps.missing != nil {
			return inv.steps.missing(it)
		}
		return notFound(it.String())
	}
	if inv.steps.found != nil {
		return inv.steps.found(it)
	}
	return inv.processFound(it)
}

func (inv *invocation) processFound(it *item) error {
	inv.depth = 0
	return inv.processBatch(nil, []*item{it})
}

func (inv *invocation) processBatch(parent *item, items []*item) error {
	if inv.steps.batch != nil {
		return inv.steps.batch(parent, items)
	}
	return inv.processPaths(items)
}

func (inv *invocation) processPaths(items []*item) error {
	return inv.each(items, inv.processOne)
}

// processOne handles a path, what is below it when the walk is recursive, and what
// comes after that.
func (inv *invocation) processOne(it *item) error {
	if inv.steps.path == nil {
		return errors.New("the command does nothing with paths")
	}
	if err := inv.steps.path(it); err != nil {
		return err
	}
	if inv.recursive {
		down, err := it.stat != nil && it.stat.Type == typeDirectory, error(nil)
		if inv.steps.recursable != nil {
			down, err = inv.steps.recursable(it)
		}
		if err != nil {
			return err
		}
		if down {
			recurse := inv.processBelow
			if inv.steps.recurse != nil {
				recurse = inv.steps.recurse
			}
			if err := recurse(it); err != nil {
				return err
			}
		}
	}
	if inv.steps.after != nil {
		return inv.steps.after(it)
	}
	return nil
}

// processBelow handles the contents of a directory.
func (inv *invocation) processBelow(it *item) error {
	inv.depth++
	defer func() { inv.depth-- }()
	items, err := it.contents(inv.ctx)
	if err != nil {
		return err
	}
	if inv.sorted {
		sortItems(items)
		return inv.processBatch(it, items)
	}
	step := max(inv.group, 1)
	for len(items) > 0 {
		n := min(step, len(items))
		if err := inv.processBatch(it, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
