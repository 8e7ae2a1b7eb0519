// Command fs is the user's and the administrator's hand on a cluster: the file system
// shell with Hadoop's commands and flags (fs -ls /x), dfsadmin, and Redoubt's own
// subcommands. It talks to any HDFS; without configuration it looks for one on this
// machine.
//
// Each subcommand has a file of its own and an entry in the command table below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// command is one subcommand of fs. Its run gets the arguments after its name and returns
// the exit code.
type command struct {
	name    string
	summary string // one line for the overview; "" is not shown
	run     func(ctx context.Context, env *env, args []string) int
}

// commands lists the subcommands in the order that the overview shows them.
func commands() []command {
	return []command{
		{"dfs", "the file system shell; fs -ls /x is short for fs dfs -ls /x", runShell},
		{"dfsadmin", "administer a cluster: -report, -safemode, -saveNamespace, ...", runDFSAdmin},
		{"fsck", "check files and blocks: what is lost, degraded, short of replicas: fs fsck / -files -blocks", runFsck},
		{"storagepolicies", "storage policies: -listPolicies, -getStoragePolicy, -setStoragePolicy, -unsetStoragePolicy, -satisfyStoragePolicy", runStoragePolicies},
		{"groups", "the groups of users as the name node sees them", runGroups},
		{"tour", "start a cluster of real processes, break it in every way, see that nothing is lost", runTour},
		{"tour-datanode", "", runTourDatanode},
		{"minicluster", "run a whole cluster in this process: fs minicluster --help", runMinicluster},
		{"bench", "measure an HDFS, this one or another: bench namenode, bench io", runBench},
		{"redundancy", "compare replicas and RAID-5 live, on emulated disks and links, and in a model", runRedundancy},
		{"oiv", "print or check an image or a block meta file: fs oiv -i FILE -p text|json|xml|stats|check", runOIV},
		{"oev", "print or check an edit log segment, likewise", runOEV},
		{"version", "print the version", runVersion},
	}
}

// env is what a command may know of the process around it, so that tests can run
// commands with another standard input and output, user and configuration.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	config settings // as given by --conf, HADOOP_CONF_DIR, -conf, -D and -fs
	user   string   // the effective user: HADOOP_PROXY_USER, HADOOP_USER_NAME or the process's own
	real   string   // who acts for user, if that is HADOOP_PROXY_USER
	dir    string   // the working directory for local relative paths
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, processEnv(), os.Args[1:])
	stop()
	os.Exit(code)
}

// processEnv describes the process as it was started.
func processEnv() *env {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	dir = slashed(dir)
	e := &env{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		config: settings{dir: os.Getenv("HADOOP_CONF_DIR")},
		user:   effectiveUser(),
		dir:    dir,
	}
	if proxy := os.Getenv("HADOOP_PROXY_USER"); proxy != "" {
		e.real, e.user = e.user, proxy
	}
	return e
}

// run dispatches one invocation. Shell commands begin with a dash, subcommands don't;
// --conf DIR may stand before either.
func run(ctx context.Context, e *env, args []string) int {
	for len(args) > 0 && (args[0] == "--conf" || strings.HasPrefix(args[0], "--conf=")) {
		dir, joined := strings.CutPrefix(args[0], "--conf=")
		args = args[1:]
		if !joined {
			if len(args) == 0 {
				fmt.Fprintln(e.stderr, "fs: --conf needs a directory")
				return exitUsage
			}
			dir, args = args[0], args[1:]
		}
		e.config.dir, e.config.site = dir, nil
	}
	if len(args) == 0 {
		overview(e.stderr)
		return exitUsage
	}
	switch args[0] {
	case "--help", "-h":
		overview(e.stdout)
		return 0
	case "--version":
		return runVersion(ctx, e, nil)
	case "fs":
		return runShell(ctx, e, args[1:])
	case "help":
		if len(args) == 1 {
			overview(e.stdout)
			return 0
		}
		return runHelp(ctx, e, args[1:])
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	if strings.HasPrefix(args[0], "-") {
		return runShell(ctx, e, args)
	}
	fmt.Fprintf(e.stderr, "fs: unknown command %q\n", args[0])
	if shellCommand(args[0]) != nil {
		fmt.Fprintf(e.stderr, "Shell commands begin with a dash: fs -%s\n", args[0])
	}
	overview(e.stderr)
	return exitUsage
}

// runHelp explains commands: subcommands by their own --help, shell commands, with or
// without their dash, by the shell's -help.
func runHelp(ctx context.Context, e *env, names []string) int {
	code := 0
	for _, name := range names {
		i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
		switch {
		case name == "dfs" || name == "fs":
			code = max(code, runShell(ctx, e, []string{"-help"}))
		case name == "dfsadmin":
			code = max(code, runDFSAdmin(ctx, e, []string{"-help"}))
		case i >= 0:
			code = max(code, commands()[i].run(ctx, e, []string{"--help"}))
		default:
			code = max(code, runShell(ctx, e, []string{"-help", name}))
		}
	}
	return code
}

// Exit codes of the shell and of dfsadmin, as Hadoop's.
const (
	exitFailed = 1   // some path failed; the others were done
	exitUsage  = 255 // the command line was wrong, or all of dfsadmin failed
)

// overview prints what fs can do.
func overview(w io.Writer) {
	fmt.Fprint(w, "Usage: fs [--conf DIR] COMMAND\n\nShell commands (fs help COMMAND tells more):\n")
	line := " "
	for _, c := range shellCommands() {
		if c.hidden {
			continue
		}
		if len(line)+len(c.name)+2 > 78 {
			fmt.Fprintln(w, line)
			line = " "
		}
		line += " -" + c.name
	}
	fmt.Fprintf(w, "%s\n\nCommands:\n", line)
	for _, c := range commands() {
		if c.summary == "" {
			continue
		}
		fmt.Fprintf(w, "  %-14s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nGeneric options, before a command's own: -fs URI, -D key=value, -conf FILE.\n"+
		"Without any of them and without HADOOP_CONF_DIR the file system is "+defaultFS+".\n")
}

// errUsage marks a mistake in the command line; the usage of the command is shown
// after it and the exit code is exitUsage.
type errUsage struct{ msg string }

func (e *errUsage) Error() string { return e.msg }

func usagef(format string, args ...any) error { return &errUsage{fmt.Sprintf(format, args...)} }

func isUsage(err error) bool {
	var u *errUsage
	return errors.As(err, &u)
}
