package datanode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/internal/authorize"
	"redoubt/vfs"
)

// SoftwareVersion is what a datanode says it is.
const SoftwareVersion = dfs.SoftwareVersion

// Config says how to run a DataNode. FS, Volumes or Arrays, and NameNodes must be set; the zero value
// of every other field means its default.
type Config struct {
	FS        vfs.FS
	Volumes   []blockstore.VolumeConfig
	Arrays    []ArrayConfig // volumes that are RAID-5 arrays
	NameNodes []string      // host:port of each name node's RPC
	Listen    Addresses
	Network   Network
	Timeouts  Timeouts
	Limits    Limits

	// Reserved bytes are left free on each volume.
	Reserved int64
	// FailedVolumesTolerated is blockstore's: 0 tolerates all but one, negative none.
	FailedVolumesTolerated int

	// Superuser is who may administer the datanode over its RPC, and as whom it calls
	// others; "": nobody, and "datanode".
	Superuser string
	// Access decides about connections to the RPC port, by Groups, which both must be set or
	// neither; nil: everybody may connect, nobody for others.
	Access *authorize.Guard
	Groups func(user string) ([]string, error)

	Pprof    bool                  // serve /debug/pprof on the HTTP port
	Log      *slog.Logger          // nil drops everything
	Registry prometheus.Registerer // where metrics go; nil: a registry of its own
}

// Addresses are where a DataNode listens and what it tells others of that.
type Addresses struct {
	Transfer string // host:port; "" is 127.0.0.1:0
	IPC      string // the same
	HTTP     string // the same; "-" for none
	// Host is the name told to clients, "" the machine's address. IP is the literal address
	// told to clients; "" lets the name node take the one it sees.
	Host, IP string
	// Names are further names of this machine that HTTP requests may call it by.
	Names []string
}

// Network opens and takes connections. A nil function means TCP.
type Network struct {
	Listen func(ctx context.Context, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
}

// Timeouts of a DataNode. Zero means the default.
type Timeouts struct {
	Read      time.Duration // longest silence of a writer, a mirror or a new connection; 75 s
	Write     time.Duration // longest wait for a peer to take data; 480 s
	KeepAlive time.Duration // a connection waits this long for its next operation; 4 s
	Dial      time.Duration // to connect to a peer; 20 s
	Visible   time.Duration // a read of an open replica waits this long for its bytes; 3 s
	Heartbeat time.Duration // between heartbeats; 0: what the name node says
	Report    time.Duration // between full reports; 0: what the name node says
}

// Limits of a DataNode. Zero means the default.
type Limits struct {
	Streams           int           // connections being served; 4096
	TransferBandwidth int64         // bytes/s of copies the name node orders; 0 unlimited
	BalanceBandwidth  int64         // bytes/s of balancers' moves until administrators tell another; 100 MiB
	BalanceMoves      int           // of replicas at a time, for balancers; 100
	Buffered          int64         // bytes of requests and large packets being received, over all connections; dfs.MaxBuffered
	ScrubBandwidth    int64         // bytes/s of reading everything; 1 MiB, negative: no scrub
	ScrubPeriod       time.Duration // between a scrub and the next; 3 weeks
	ReportReplicas    int           // replicas in one part of a full report; 200,000
	GroupBandwidth    int64         // bytes/s read for folds and rebuilds of parity groups; 0 unlimited
	DegradedStreams   int           // reads of blocks made from their parity group at a time; 16
}

func (c *Config) applyDefaults() {
	def(&c.Listen.Transfer, "127.0.0.1:0")
	def(&c.Listen.IPC, "127.0.0.1:0")
	def(&c.Listen.HTTP, "127.0.0.1:0")
	def(&c.Timeouts.Read, 75*time.Second)
	def(&c.Timeouts.Write, 480*time.Second)
	def(&c.Timeouts.KeepAlive, 4*time.Second)
	def(&c.Timeouts.Dial, 20*time.Second)
	def(&c.Timeouts.Visible, 3*time.Second)
	def(&c.Limits.Streams, 4096)
	def(&c.Limits.Buffered, dfs.MaxBuffered)
	def(&c.Limits.BalanceBandwidth, 100<<20)
	def(&c.Limits.BalanceMoves, 100)
	def(&c.Limits.ScrubBandwidth, 1<<20)
	def(&c.Limits.ScrubPeriod, 21*24*time.Hour)
	def(&c.Limits.ReportReplicas, 200_000)
	def(&c.Limits.DegradedStreams, 16)
	if c.Access == nil {
		c.Access = authorize.Unconfigured()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Network.Listen == nil {
		c.Network.Listen = func(ctx context.Context, addr string) (net.Listener, error) {
			var l net.ListenConfig
			return l.Listen(ctx, "tcp", addr)
		}
	}
	if c.Network.Dial == nil {
		c.Network.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// checkAddress wants host:port with a number for the port.
func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// Validate lists everything that is wrong with a configuration.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("datanode: "+format, args...)) }
	if c.FS == nil {
		bad("no file system")
	}
	if len(c.Volumes)+len(c.Arrays) == 0 {
		bad("no volumes")
	}
	seen := make(map[string]bool)
	for _, v := range c.Volumes {
		if dir := path.Clean(v.Dir); seen[dir] {
			bad("volume %s is given twice", dir)
		} else {
			seen[dir] = true
		}
	}
	errs = append(errs, c.validateArrays()...)
	if len(c.NameNodes) == 0 {
		bad("no name node")
	}
	for _, a := range c.NameNodes {
		if err := checkAddress(a); err != nil {
			bad("name node %q: %v", a, err)
		}
	}
	for name, a := range map[string]string{"transfer": c.Listen.Transfer, "RPC": c.Listen.IPC, "HTTP": c.Listen.HTTP} {
		if a == "" || a == "-" && name == "HTTP" {
			continue
		}
		if err := checkAddress(a); err != nil {
			bad("%s address %q: %v", name, a, err)
		}
	}
	if c.Listen.IP != "" && net.ParseIP(c.Listen.IP) == nil {
		bad("IP %q is not a literal address", c.Listen.IP)
	}
	t := c.Timeouts
	for name, d := range map[string]time.Duration{"read": t.Read, "write": t.Write, "keep-alive": t.KeepAlive, "dial": t.Dial, "visible": t.Visible, "heartbeat": t.Heartbeat, "report": t.Report} {
		if d < 0 {
			bad("%s timeout is negative: %v", name, d)
		}
	}
	if l := c.Limits; l.Streams < 0 || l.TransferBandwidth < 0 || l.BalanceBandwidth < 0 || l.ScrubPeriod < 0 || l.ReportReplicas < 0 ||
		l.BalanceMoves < 0 || l.GroupBandwidth < 0 || l.DegradedStreams < 0 || l.Buffered < 0 {
		bad("a limit is negative: %+v", l)
	}
	if c.Reserved < 0 {
		bad("%d bytes reserved", c.Reserved)
	}
	return errors.Join(errs...)
}
