// Command datanode runs the block service of an HDFS cluster: it keeps blocks on its
// volumes and serves them to clients and to other datanodes. It is configured by Hadoop's
// core-site.xml and hdfs-site.xml, by -D key=value over them, and by a few flags.
//
// It exits with 0 after SIGTERM or an interrupt, with 1 when it can't start or go on, and
// with 2 when it was called wrongly or a setting is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/pflag"

	"redoubt/datanode"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

const usageText = `Usage: datanode run [flags]
       datanode version
       datanode --help

Flags of run:
`

// env is what the program sees of the world, so that tests can show it another.
type env struct {
	stdout, stderr io.Writer
	readFile       func(string) ([]byte, error)
	lookupEnv      func(string) (string, bool)
	// started, if set, is told of the datanode that run has started.
	started func(*datanode.DataNode)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], env{stdout: os.Stdout, stderr: os.Stderr, readFile: os.ReadFile, lookupEnv: os.LookupEnv})
	stop()
	os.Exit(code)
}

// options are the flags of run.
type options struct {
	confDirs  []string
	overrides []string
	nameNodes []string
	dataDirs  []string
	logLevel  string
	pprof     bool
	help      bool
}

func (o *options) flags(w io.Writer) *pflag.FlagSet {
	fs := pflag.NewFlagSet("datanode run", pflag.ContinueOnError)
	fs.SetOutput(w)
	fs.StringArrayVar(&o.confDirs, "conf", nil, "`DIR` with core-site.xml and hdfs-site.xml (default: $HADOOP_CONF_DIR)")
	fs.StringArrayVarP(&o.overrides, "define", "D", nil, "`KEY=VALUE` over what the files say")
	fs.StringArrayVar(&o.nameNodes, "name-node", nil, "`HOST:PORT` of a name node's RPC, instead of the configured ones")
	fs.StringArrayVar(&o.dataDirs, "data-dir", nil, "`VOLUME` instead of the configured ones; may be repeated: a directory, or raid5:DIR,DIR,DIR[,...][,spare=DIR]")
	fs.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.BoolVar(&o.pprof, "pprof", false, "serve /debug/pprof on the HTTP port")
	fs.BoolVarP(&o.help, "help", "h", false, "this text")
	fs.Usage = func() {}
	return fs
}

func run(ctx context.Context, args []string, e env) int {
	var o options
	fs := o.flags(e.stderr)
	if err := fs.Parse(args); err != nil {
		return usageError(e, err)
	}
	switch {
	case o.help || fs.Arg(0) == "help":
		return help(e, fs)
	case fs.Arg(0) == "version" && fs.NArg() == 1:
		fmt.Fprintf(e.stdout, "datanode %s (%s %s/%s)\n", datanode.SoftwareVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitOK
	case fs.Arg(0) == "run" && fs.NArg() == 1:
		return serve(ctx, &o, e)
	case fs.NArg() == 0:
		return usageError(e, errors.New("no command: say run"))
	}
	return usageError(e, fmt.Errorf("unknown command or argument %q", fs.Arg(fs.NArg()-1)))
}

func usageError(e env, err error) int {
	fmt.Fprintf(e.stderr, "datanode: %v\nTry 'datanode --help'.\n", err)
	return exitUsage
}

func help(e env, fs *pflag.FlagSet) int {
	fmt.Fprint(e.stdout, usageText, fs.FlagUsages(), "\nKeys that count:\n")
	if err := hadoopconf.WriteHelp(e.stdout, nodeconf.DataNodeKeys()); err != nil {
		return exitError
	}
	return exitOK
}

// serve runs a datanode until ctx ends or it fails.
func serve(ctx context.Context, o *options, e env) int {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageError(e, fmt.Errorf("--log-level: %w", err))
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	if len(o.dataDirs) > 0 {
		o.overrides = append(o.overrides, "dfs.datanode.data.dir="+nodeconf.JoinVolumes(o.dataDirs))
	}
	conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: e.readFile, LookupEnv: e.lookupEnv}, o.confDirs, o.overrides)
	if err != nil {
		fmt.Fprintf(e.stderr, "datanode: %v\n", err)
		return exitUsage
	}
	cfg, err := nodeconf.DataNode(conf, o.nameNodes)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "datanode: %v\n", err)
		return exitUsage
	}
	cfg.Log, cfg.Pprof = log, o.pprof
	cfg.Listen.Names = nodeconf.HTTPHosts(conf)
	cfg.Superuser = hadoopconf.User(e.lookupEnv)
	nodeconf.Warn(log, conf, nodeconf.DataNodeProgram)
	dn, err := datanode.Start(ctx, cfg)
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitError
	}
	log.Info("datanode started", "transfer", dn.TransferAddr(), "rpc", dn.IPCAddr(), "http", dn.HTTPAddr(), "namenodes", cfg.NameNodes)
	if e.started != nil {
		e.started(dn)
	}
	<-dn.Done()
	if err := dn.Err(); err != nil && !errors.Is(err, datanode.ErrShutdown) {
		fmt.Fprintln(e.stderr, err)
		return exitError
	}
	log.Info("datanode stopped")
	return exitOK
}
