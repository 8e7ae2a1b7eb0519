package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"redoubt/datanode"
	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
)

// The tour's clocks: short enough that a dead datanode is missed within seconds,
// and repair as fast as an idle cluster can.
var tourClocks = []string{"dfs.heartbeat.interval=300ms", "dfs.namenode.heartbeat.recheck-interval=200", "dfs.namenode.redundancy.interval.seconds=1",
	"dfs.namenode.safemode.extension=0", "dfs.namenode.replication.work.multiplier.per.iteration=20", "dfs.namenode.replication.max-streams=20",
	"dfs.namenode.replication.max-streams-hard-limit=40", "redoubt.raid.fold.idle=1s"}

// runTourDatanode is a datanode of the tour, a process of its own: the tour starts its
// own program again with this command. It runs until it is killed or its standard input,
// the tour, ends.
func runTourDatanode(ctx context.Context, e *env, args []string) int {
	flags := pflag.NewFlagSet("fs tour-datanode", pflag.ContinueOnError)
	flags.SetOutput(e.stderr)
	nameNode := flags.String("name-node", "", "`HOST:PORT` of the name node")
	volumes := flags.StringArray("data-dir", nil, "`VOLUME`, as datanode run has it")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	fail := func(err error) int {
		fmt.Fprintln(e.stderr, "fs tour-datanode:", err)
		return exitFailed
	}
	free := []string{"dfs.datanode.address=127.0.0.1:0", "dfs.datanode.ipc.address=127.0.0.1:0", "dfs.datanode.http.address=127.0.0.1:0",
		"dfs.datanode.hostname=localhost", "dfs.datanode.data.dir=" + nodeconf.JoinVolumes(*volumes)}
	env := func(string) (string, bool) { return "", false } // this machine's configuration is about other clusters
	conf, err := hadoopconf.Load(hadoopconf.System{ReadFile: os.ReadFile, LookupEnv: env}, nil, append(free, tourClocks...))
	if err != nil {
		return fail(err)
	}
	cfg, err := nodeconf.DataNode(conf, []string{*nameNode})
	if err != nil {
		return fail(err)
	}
	cfg.Superuser = e.user
	cfg.Log = slog.New(slog.NewTextHandler(e.stderr, nil))
	dn, err := datanode.Start(ctx, cfg)
	if err != nil {
		return fail(err)
	}
	fmt.Fprintln(e.stdout, dn.TransferAddr(), dn.IPCAddr())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, e.stdin) // it ends when the tour does
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-dn.Done():
		return fail(dn.Err())
	}
	if err := dn.Close(); err != nil {
		return fail(err)
	}
	return 0
}

// tourProcess is a process of the tour that can be killed and started again.
type tourProcess struct {
	name string
	args []string // of this program
	log  string   // file with what it says
	addr []string // the words of its first line
	cmd  *exec.Cmd
	pipe io.Closer // its standard input
}

// start starts the process and reads its first line.
func (p *tourProcess) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(ctx, self, p.args...)
	p.cmd.Stderr = log
	p.cmd.WaitDelay = time.Second
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.pipe = in
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.kill()
		said, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s did not start: %s", p.name, lastLine(string(said)))
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	p.addr = strings.Fields(line)
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// kill ends the process as kill -9 does.
func (p *tourProcess) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be dead already
	_ = p.cmd.Wait()         // killed is what was wanted
	_ = p.pipe.Close()       // the other end is gone
	p.cmd = nil
}

// tourCluster is a name node and datanodes as processes of their own.
type tourCluster struct {
	dir  string
	rpc  string
	name *tourProcess
	data []*tourProcess // the last one has the RAID-5 volume
}

// tourPlain is how many datanodes have plain directories: enough for a parity group of
// k = 4 and one node more to rebuild on.
const tourPlain = 6

// arrayDir is the directory of a member of the last datanode's array.
func (c *tourCluster) arrayDir(name string) string {
	return filepath.Join(c.dir, "datanode"+strconv.Itoa(tourPlain+1), name)
}

// startTourCluster starts all processes.
func startTourCluster(ctx context.Context, dir string) (*tourCluster, error) {
	c := &tourCluster{dir: dir}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	c.rpc = net.JoinHostPort("127.0.0.1", port)
	args := []string{"minicluster", "--datanodes", "0", "--dir", filepath.Join(dir, "namenode"), "--rpc-port", port, "--http-port", "0"}
	for _, s := range tourClocks {
		args = append(args, "-D", s)
	}
	c.name = &tourProcess{name: "name node", args: args, log: filepath.Join(dir, "namenode.log")}
	if err := c.name.start(ctx); err != nil {
		return c, err
	}
	for i := 1; i <= tourPlain+1; i++ {
		id := "datanode" + strconv.Itoa(i)
		volume := filepath.Join(dir, id, "disk")
		if i == tourPlain+1 {
			volume = "[SSD]raid5:" + strings.Join([]string{c.arrayDir("disk1"), c.arrayDir("disk2"), c.arrayDir("disk3"), c.arrayDir("disk4")}, ",") +
				",spare=" + c.arrayDir("spare")
		}
		p := &tourProcess{name: id, args: []string{"tour-datanode", "--name-node", c.rpc, "--data-dir", volume}, log: filepath.Join(dir, id+".log")}
		c.data = append(c.data, p)
	}
	errs := make(chan error)
	for _, p := range c.data {
		go func() { errs <- p.start(ctx) }()
	}
	for range c.data {
		err = errors.Join(err, <-errs)
	}
	return c, err
}

// freePort finds a port for the name node, which must be the same after its restart.
func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// stop kills everything.
func (c *tourCluster) stop() {
	for _, p := range c.data {
		p.kill()
	}
	if c.name != nil {
		c.name.kill()
	}
}

// http is the name node's HTTP address.
func (c *tourCluster) http() string { return c.name.addr[len(c.name.addr)-1] }

// node finds the datanode process that listens for data at host:port.
func (c *tourCluster) node(addr string) *tourProcess {
	for _, p := range c.data {
		if p.cmd != nil && len(p.addr) > 0 && p.addr[0] == addr {
			return p
		}
	}
	return nil
}
