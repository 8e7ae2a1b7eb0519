package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nameserver"
	"redoubt/internal/nodeconf"
	"redoubt/journal"
	"redoubt/namenode"
)

func runFormat(_ context.Context, a *app, args []string) int {
	f := a.flags("format", "Makes the directories of dfs.namenode.name.dir for a new, empty cluster.\nA directory that holds a namespace is refused unless forced.")
	force := f.Bool("force", false, "throw away what the directories hold")
	cluster := f.String("clusterid", "", "name of the cluster (default: a random one)")
	f.Bool("noninteractive", false, "taken and ignored: nothing is ever asked")
	conf, code, done := a.parse(f, args)
	if done {
		return code
	}
	dirs, err := nodeconf.NameDirs(conf)
	if err != nil {
		return a.fail("format", err, exitUsage)
	}
	edits, err := nodeconf.EditsDirs(conf)
	if err != nil {
		return a.fail("format", err, exitUsage)
	}
	disk, err := nodeconf.NameFS(conf)
	if err != nil {
		return a.fail("format", err, exitUsage)
	}
	if !conf.Bool("dfs.namenode.support.allow.format") {
		return a.fail("format", errors.New("dfs.namenode.support.allow.format is false: nothing is formatted"), exitFailed)
	}
	if *force && conf.Bool("dfs.reformat.disabled") {
		return a.fail("format", errors.New("dfs.reformat.disabled is true: a namespace is never thrown away, so --force is refused"), exitFailed)
	}
	_, err = namenode.FormatAndTell(disk, dirs, edits, *cluster, *force, func(info dfs.ClusterInfo) {
		for _, d := range slices.Concat(dirs, slices.DeleteFunc(slices.Clone(edits), func(d string) bool { return slices.Contains(dirs, d) })) {
			fmt.Fprintf(a.stdout, "formatted %s for cluster %s, block pool %s\n", d, info.ClusterID, info.PoolID)
		}
	})
	if err != nil {
		return a.fail("format", err, exitFailed)
	}
	return exitOK
}

func runRun(ctx context.Context, a *app, args []string) int {
	f := a.flags("run", "Runs the name node until Ctrl-C or TERM, which write a checkpoint first.")
	audit := f.String("audit-log", "", "file for one line per operation in HDFS's audit format; - is standard error; none by default, as in Hadoop")
	level := f.String("log-level", "info", "debug, info, warn or error")
	pprof := f.Bool("pprof", false, "serve profiles at /debug/pprof/ on the HTTP port")
	conf, code, done := a.parse(f, args)
	if done {
		return code
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(*level)); err != nil {
		return a.fail("run", fmt.Errorf("--log-level %s: want debug, info, warn or error", *level), exitUsage)
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: l}))
	cfg, err := a.serverConfig(conf, log)
	if err != nil {
		return a.fail("run", err, exitUsage)
	}
	cfg.Pprof = *pprof
	nodeconf.Warn(log, conf, nodeconf.NameNodeProgram)
	out, err := a.openAudit(*audit)
	if err != nil {
		return a.fail("run", err, exitFailed)
	}
	if out != nil {
		cfg.NameNode.Audit = out
		defer out.Close()
	}
	if err := cfg.NameNode.Validate(); err != nil {
		return a.fail("run", err, exitUsage)
	}
	s, err := nameserver.Start(ctx, cfg)
	if err != nil {
		return a.fail("run", explain(err, cfg.NameNode.NameDirs), exitFailed)
	}
	if a := s.ServiceAddr(); a != nil {
		log.Info("listening for datanodes too", "service", a)
	}
	log.Info("serving", "rpc", s.RPCAddr(), "http", s.HTTPAddr())
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err := <-s.Failed():
		code = exitFailed
		if s.NameNode().Err() != nil {
			code = exitJournal
		}
		a.fail("run", err, code)
	}
	if err := s.Close(); err != nil && code == exitOK {
		return a.fail("run", err, exitFailed)
	}
	return code
}

// serverConfig is everything that run needs.
func (a *app) serverConfig(conf *hadoopconf.Conf, log *slog.Logger) (cfg nameserver.Config, err error) {
	if cfg.NameNode, err = nodeconf.NameNode(conf); err != nil {
		return cfg, err
	}
	cfg.NameNode.Superuser, cfg.NameNode.Log = a.user(), log
	if cfg.NameNode.Topology, err = nodeconf.Topology(conf, func() *slog.Logger { return log }); err != nil {
		return cfg, err
	}
	if cfg.RPC, err = nodeconf.RPCAddress(conf); err != nil {
		return cfg, err
	}
	cfg.Service = nodeconf.ServiceAddress(conf)
	cfg.HTTP, cfg.Hosts = nodeconf.HTTPAddress(conf), nodeconf.HTTPHosts(conf)
	cfg.Buffered = nodeconf.Buffered(conf)
	cfg.Access, err = nodeconf.Access(conf, log)
	return cfg, err
}

func runVersion(_ context.Context, a *app, _ []string) int {
	fmt.Fprintf(a.stdout, "namenode %s (%s %s/%s)\n", namenode.SoftwareVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

func (a *app) openAudit(name string) (io.WriteCloser, error) {
	switch name {
	case "":
		return nil, nil
	case "-":
		return nopCloser{a.stderr}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return f, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// runCheckpoint starts a stopped name node without ports, has it write an image, and
// stops it again: the log that the image covers need not be replayed at the next start.
func runCheckpoint(ctx context.Context, a *app, args []string) int {
	f := a.flags("checkpoint", "Writes an image of a stopped name node's state to its name directories.")
	conf, code, done := a.parse(f, args)
	if done {
		return code
	}
	cfg, err := nodeconf.NameNode(conf)
	if err != nil {
		return a.fail("checkpoint", err, exitUsage)
	}
	cfg.Superuser = a.user()
	cfg.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	nn, err := namenode.Start(ctx, cfg)
	if err != nil {
		return a.fail("checkpoint", explain(err, cfg.NameDirs), exitFailed)
	}
	txid := nn.LastTxID()
	if err := nn.Close(); err != nil {
		return a.fail("checkpoint", err, exitFailed)
	}
	fmt.Fprintf(a.stdout, "checkpoint of %s at transaction %d\n", strings.Join(cfg.NameDirs, ", "), txid)
	return exitOK
}

// explain adds what to do to errors that have an obvious way out.
func explain(err error, dirs []string) error {
	var missing *journal.MissingError
	switch {
	case errors.As(err, &missing) && !missing.Others && errors.Is(err, iofs.ErrNotExist),
		dfs.Is(err, dfs.IllegalState) && strings.Contains(err.Error(), "formatted"):
		return fmt.Errorf("%w\n%s: make a new cluster there with: namenode format", err, strings.Join(dirs, ", "))
	case dfs.Is(err, dfs.Corrupt), errors.Is(err, editlog.ErrNotEditLog), errors.Is(err, fsimage.ErrNotImage):
		return fmt.Errorf("%w\nnamenode recover shows what can be done", err)
	}
	return err
}
