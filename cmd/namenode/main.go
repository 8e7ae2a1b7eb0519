// Command namenode runs the name service of a cluster, and looks after its name
// directories: format, run, checkpoint, recover. It reads Hadoop's configuration files
// (--conf DIR or HADOOP_CONF_DIR) and takes Hadoop's names for the settings (-D KEY=VALUE).
//
// Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong, 3 the
// name node stopped because nothing could be made durable any more.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
)

const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitJournal = 3
)

// command is one subcommand.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, a *app, args []string) int
}

func commands() []command {
	return []command{
		{"format", "make the name directories of a new cluster", runFormat},
		{"run", "run the name node until it is interrupted", runRun},
		{"checkpoint", "write an image of a stopped name node's state", runCheckpoint},
		{"recover", "look at damaged name directories and choose what to do", runRecover},
		{"version", "print the version", runVersion},
	}
}

// app is what a command may know of the process around it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)

	confDirs  []string
	overrides []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv}, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, a *app, args []string) int {
	if len(args) == 0 {
		overview(a.stderr)
		return exitUsage
	}
	// Hadoop's spellings: hdfs namenode -format -force -clusterid X.
	name := strings.TrimLeft(args[0], "-")
	if args[0] == "-h" || name == "help" {
		overview(a.stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == name || c.name == "run" && name == "regular" {
			return c.run(ctx, a, doubleDashes(args[1:]))
		}
	}
	fmt.Fprintf(a.stderr, "namenode: unknown command %q\n", args[0])
	overview(a.stderr)
	return exitUsage
}

// doubleDashes turns Hadoop's -force into --force; -D and other short flags stay.
func doubleDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		switch strings.ToLower(a) {
		case "-force", "-clusterid":
			a = "-" + strings.ToLower(a)
		case "-noninteractive":
			a = "--noninteractive"
		}
		out[i] = a
	}
	return out
}

func overview(w io.Writer) {
	fmt.Fprint(w, "Usage: namenode COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nnamenode COMMAND --help tells more, and lists the settings that count.\n")
}

// flags makes a command's flag set with the flags that all of them have.
func (a *app) flags(name, text string) *pflag.FlagSet {
	f := pflag.NewFlagSet("namenode "+name, pflag.ContinueOnError)
	f.SetOutput(a.stderr)
	f.SortFlags = false
	f.StringArrayVar(&a.confDirs, "conf", nil, "directory with core-site.xml and hdfs-site.xml (default $HADOOP_CONF_DIR)")
	f.StringArrayVarP(&a.overrides, "define", "D", nil, "KEY=VALUE, over what the files say")
	f.Usage = func() {
		fmt.Fprintf(a.stdout, "Usage: namenode %s [flags]\n\n%s\n\n%s\nSettings, by the names that HDFS has for them:\n\n", name, text, f.FlagUsages())
		if err := hadoopconf.WriteHelp(a.stdout, nodeconf.NameNodeKeys()); err != nil {
			fmt.Fprintln(a.stderr, "namenode:", err)
		}
	}
	return f
}

// parse reads flags and configuration. done: the command is over, with this exit code.
func (a *app) parse(f *pflag.FlagSet, args []string) (conf *hadoopconf.Conf, code int, done bool) {
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil, exitOK, true
	case err != nil:
		fmt.Fprintf(a.stderr, "%s: %v\n", f.Name(), err)
		return nil, exitUsage, true
	case f.NArg() > 0:
		fmt.Fprintf(a.stderr, "%s: unexpected argument %q\n", f.Name(), f.Arg(0))
		return nil, exitUsage, true
	}
	conf, err := hadoopconf.Load(hadoopconf.System{
		ReadFile: os.ReadFile, LookupEnv: a.getenv, Properties: map[string]string{"user.name": a.user()},
	}, a.confDirs, a.overrides)
	if err != nil {
		fmt.Fprintf(a.stderr, "%s: configuration:\n%v\n", f.Name(), err)
		return nil, exitUsage, true
	}
	return conf, exitOK, false
}

// user is who runs the process and is the superuser.
func (a *app) user() string {
	return hadoopconf.User(a.getenv)
}

// fail prints an error and gives the exit code.
func (a *app) fail(name string, err error, code int) int {
	fmt.Fprintf(a.stderr, "namenode %s: %v\n", name, err)
	return code
}
