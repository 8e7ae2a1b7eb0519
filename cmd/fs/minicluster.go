package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/minicluster"
	"redoubt/internal/nodeconf"
	"redoubt/namenode"
)

// runMinicluster runs a whole cluster in this process until it is interrupted.
func runMinicluster(ctx context.Context, e *env, args []string) int {
	begun := time.Now()
	cfg := minicluster.Config{}
	flags := pflag.NewFlagSet("fs minicluster", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.SortFlags = false
	flags.StringVar(&cfg.Dir, "dir", "redoubt-data", "directory for all data; formatted on first use")
	flags.IntVar(&cfg.RPCPort, "rpc-port", 8020, "port for clients; 0 picks a free one")
	flags.IntVar(&cfg.HTTPPort, "http-port", 9870, "port for /healthz and /metrics; 0 picks a free one, -1 is none")
	flags.IntVar(&cfg.Datanodes, "datanodes", 4, "number of datanodes; 0: a name node alone, for benchmarks that play datanodes")
	flags.IntVar(&cfg.Racks, "racks", 0, "deal the datanodes out to so many racks; 0: one rack")
	flags.IntVar(&cfg.Replication, "replication", 0, "replicas of a file whose client asks for none (default 3, or as many as there are datanodes)")
	volumes := volumeFlags(flags)
	flags.BoolVar(&cfg.Pprof, "pprof", false, "serve profiles at /debug/pprof/ on the HTTP ports")
	var confDirs, overrides []string
	flags.StringArrayVar(&confDirs, "conf", nil, "`DIR` with core-site.xml and hdfs-site.xml; addresses and directories in them do not count here")
	flags.StringArrayVarP(&overrides, "define", "D", nil, "`KEY=VALUE` over what the files say, for all nodes of the cluster")
	audit := flags.String("audit-log", "", "file for one audit line per operation; - is standard error")
	verbose := flags.BoolP("verbose", "v", false, "log what the nodes do")
	flags.Usage = func() {
		fmt.Fprintf(e.stderr, "Usage: fs minicluster [flags]\n\nRuns a name node and datanodes in one process on loopback, until Ctrl-C.\nStarted again with the same directory it has everything it had.\n\n%s", flags.FlagUsages())
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(e.stderr, "fs minicluster:", err)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(e.stderr, "fs minicluster: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if cfg.Datanodes < 0 {
		fmt.Fprintf(e.stderr, "fs minicluster: --datanodes %d: want 0 to 1000\n", cfg.Datanodes)
		return exitUsage
	}
	if cfg.Datanodes == 0 {
		cfg.Datanodes = -1 // none was asked for, and none there will be
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	cfg.Log = slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	if err := errors.Join(volumes(&cfg), configureCluster(&cfg, confDirs, overrides)); err != nil {
		fmt.Fprintln(e.stderr, "fs minicluster:", err)
		return exitUsage
	}
	out, err := openAudit(e, *audit)
	if err != nil {
		fmt.Fprintln(e.stderr, "fs minicluster:", err)
		return exitFailed
	}
	if out != nil {
		cfg.Audit = out
		defer out.Close()
	}
	// A cluster for one machine is idle most of the time: rather a little more work for
	// the collector than memory that nobody uses.
	debug.SetGCPercent(75)
	cluster, err := minicluster.Start(ctx, cfg)
	if err != nil {
		fmt.Fprintln(e.stderr, "fs minicluster:", err)
		return exitFailed
	}
	fmt.Fprintf(e.stdout, "ready in %d ms: %s http://%s\n", time.Since(begun).Milliseconds(), cluster.URI(), cluster.HTTPAddr())
	whatNext(e.stdout, cluster)
	return waitForEnd(ctx, e, cluster)
}

// volumeFlags adds the flags about datanodes' volumes; what it gives takes their values.
func volumeFlags(flags *pflag.FlagSet) func(cfg *minicluster.Config) error {
	media := flags.StringSlice("storage-types", nil, "`MEDIA` of each datanode's volumes: DISK,SSD,ARCHIVE (default one DISK)")
	capacity := flags.String("capacity", "", "`BYTES` that each volume may use, as 64m (default: all that there is)")
	return func(cfg *minicluster.Config) (err error) {
		for _, name := range *media {
			t, ok := dfs.StorageTypeNamed(name)
			if !ok {
				return fmt.Errorf("--storage-types: there is no medium %q", name)
			}
			cfg.Media = append(cfg.Media, t)
		}
		if *capacity == "" {
			return nil
		}
		if cfg.Capacity, err = hadoopconf.ParseSize(*capacity); err == nil && cfg.Capacity <= 0 {
			err = errors.New("it must be above 0")
		}
		if err != nil {
			return fmt.Errorf("--capacity %s: %w", *capacity, err)
		}
		return nil
	}
}

// configureCluster lays Hadoop's configuration over the nodes that will be started. The
// machine's own, in HADOOP_CONF_DIR, is about another cluster and is not read.
func configureCluster(cfg *minicluster.Config, dirs, overrides []string) error {
	if len(dirs)+len(overrides) == 0 {
		return nil
	}
	env := func(name string) (string, bool) {
		if name == hadoopconf.ConfDirEnv {
			return "", false
		}
		return os.LookupEnv(name)
	}
	sys := hadoopconf.System{ReadFile: os.ReadFile, LookupEnv: env, Properties: map[string]string{"user.name": effectiveUser()}}
	conf, err := hadoopconf.Load(sys, dirs, overrides)
	if err != nil {
		return err
	}
	if err := nodeconf.OverNameNode(conf, new(namenode.Config)); err != nil {
		return err
	}
	if err := nodeconf.OverDataNode(conf, new(datanode.Config)); err != nil {
		return err
	}
	nodeconf.Warn(cfg.Log, conf, nodeconf.NameNodeProgram, nodeconf.DataNodeProgram)
	if cfg.Access, err = nodeconf.Access(conf, cfg.Log); err != nil {
		return err
	}
	// Both went through above; only a racks' file that has gone since could still fail.
	failed := func(err error) {
		if err != nil {
			cfg.Log.Error("the configuration can't be applied any more", "err", err)
		}
	}
	cfg.NameNode = func(c *namenode.Config) { failed(nodeconf.OverNameNode(conf, c)) }
	cfg.DataNode = func(_ int, c *datanode.Config) { failed(nodeconf.OverDataNode(conf, c)) }
	return nil
}

// whatNext says what to type now.
func whatNext(w io.Writer, c *minicluster.Cluster) {
	opt := ""
	if c.URI() != defaultFS {
		opt = " -fs " + c.URI()
	}
	fmt.Fprintf(w, "\nIn another terminal:\n  go run ./cmd/fs%[1]s -mkdir -p /user/$USER\n  go run ./cmd/fs%[1]s -put README.md /user/$USER\n  go run ./cmd/fs%[1]s -ls /user/$USER\n"+
		"or with Hadoop's own: hadoop fs -fs %[2]s -ls /\nCtrl-C stops the cluster; what it holds stays.\n", opt, c.URI())
}

// waitForEnd stops the cluster when it is asked to, or when it can't go on.
func waitForEnd(ctx context.Context, e *env, c *minicluster.Cluster) int {
	code := 0
	select {
	case <-ctx.Done():
	case err := <-c.Failed():
		fmt.Fprintln(e.stderr, "fs minicluster: the name node can't go on:", err)
		code = exitFailed
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(e.stderr, "fs minicluster:", err)
		return exitFailed
	}
	return code
}

// nopCloser keeps standard error open.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func openAudit(e *env, name string) (io.WriteCloser, error) {
	switch name {
	case "":
		return nil, nil
	case "-":
		return nopCloser{e.stderr}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return f, nil
}
