package datanode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/internal/membudget"
	"redoubt/internal/netlimit"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
)

// ErrShutdown is DataNode.Err after the name node or an administrator ordered a shutdown.
var ErrShutdown = errors.New("datanode: shutdown was ordered")

// DataNode is a running block service.
type DataNode struct {
	cfg     Config
	metrics *metrics
	started time.Time

	transfer, ipc, http net.Listener
	rpc                 *hadooprpc.Server
	web                 *http.Server

	ctx      context.Context // ends with Close or a fatal error
	cancel   context.CancelCauseFunc
	wg       sync.WaitGroup
	ready    chan struct{}
	isReady  sync.Once
	done     chan struct{}
	streams  atomic.Int64
	sessions []*session
	arrays   arrays
	limits

	groups *groups
	state  *state
}

// limits are what clients may take.
type limits struct {
	rates
	descriptors int // for connections and what they open
	refuser     netlimit.Refuser
	budget      *membudget.Budget
}

// Most connections at a time, as far as there are file descriptors for them.
const (
	maxIPC  = 4096
	maxHTTP = 256
	// streamFiles is what a data transfer stream opens: its connection, a replica's data and
	// its checksums. The connection to the next datanode is a stream of its own.
	streamFiles = 3
)

// limit sets what clients may take, by the descriptors that there are.
func (dn *DataNode) limit() {
	dn.descriptors = netlimit.Descriptors()
	dn.budget = membudget.New(dn.cfg.Limits.Buffered)
	streams := netlimit.Share(dn.cfg.Limits.Streams, dn.descriptors, 70, streamFiles)
	if streams < dn.cfg.Limits.Streams {
		dn.cfg.Log.Warn("fewer streams than configured: there are too few file descriptors (ulimit -n)", "configured", dn.cfg.Limits.Streams, "streams", streams)
		dn.cfg.Limits.Streams = streams
	}
	word, err := datatransfer.AppendResponse(nil, &datatransfer.Response{Status: datatransfer.StatusError,
		Message: fmt.Sprintf("too many connections: all of the datanode's %d streams are taken", streams)})
	if err == nil { // else it is closed without a word
		dn.refuser.Word = word
	}
	dn.refuser.Note = netlimit.Noting(dn.cfg.Log, "the data transfer port", streams)
}

// rates are how fast background work may go.
type rates struct {
	copies *throttle
	moves  *balancing
}

// state is what exists once a name node has said which cluster this is, and the
// bookkeeping that goes with it.
type state struct {
	opened  chan struct{} // closed when store and cluster are set
	store   *blockstore.Store
	cluster dfs.ClusterInfo

	mu         sync.Mutex
	self       dfs.DatanodeID
	conns      map[net.Conn]struct{}
	recovering map[dfs.BlockID]dfs.GenStamp
	verifying  map[dfs.BlockID]bool
	failed     map[string]bool // directories of volumes that could not be used at the last heartbeat
	closed     bool
	removals   removals
	fence      fence
}

// Start listens and then works in the background: it finds a name node, opens the volumes
// for its cluster, registers, reports and serves. ctx bounds the DataNode's life. Start
// fails when the configuration is wrong or a port can't be had.
func Start(ctx context.Context, cfg Config) (*DataNode, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.applyDefaults()
	dn := &DataNode{
		cfg: cfg, started: time.Now(), ready: make(chan struct{}), done: make(chan struct{}),
		limits: limits{rates: rates{copies: newThrottle(cfg.Limits.TransferBandwidth), moves: newBalancing(cfg.Limits)}}, groups: newGroups(cfg.Limits),
		state: &state{
			opened: make(chan struct{}), conns: map[net.Conn]struct{}{},
			recovering: map[dfs.BlockID]dfs.GenStamp{}, verifying: map[dfs.BlockID]bool{},
			failed: map[string]bool{},
		},
	}
	dn.limit()
	if err := dn.listen(ctx); err != nil {
		return nil, err
	}
	var err error
	if dn.metrics, err = newMetrics(dn, cfg.Registry); err != nil {
		dn.closeListeners()
		return nil, err
	}
	dn.ctx, dn.cancel = context.WithCancelCause(ctx)
	for _, addr := range cfg.NameNodes {
		dn.sessions = append(dn.sessions, newSession(dn, addr))
	}
	go dn.run()
	return dn, nil
}

func (dn *DataNode) listen(ctx context.Context) error {
	for _, l := range []struct {
		name, addr string
		to         *net.Listener
	}{
		{"data transfer", dn.cfg.Listen.Transfer, &dn.transfer},
		{"RPC", dn.cfg.Listen.IPC, &dn.ipc},
		{"HTTP", dn.cfg.Listen.HTTP, &dn.http},
	} {
		if l.addr == "-" {
			continue
		}
		got, err := dn.cfg.Network.Listen(ctx, l.addr)
		if err != nil {
			dn.closeListeners()
			return fmt.Errorf("datanode: %s address %s: %w", l.name, l.addr, err)
		}
		*l.to = got
	}
	return nil
}

func (dn *DataNode) closeListeners() {
	for _, l := range []net.Listener{dn.transfer, dn.ipc, dn.http} {
		if l != nil {
			_ = l.Close() // may be closed by its server already
		}
	}
}

// run is the DataNode's life: it returns when everything has stopped.
func (dn *DataNode) run() {
	defer close(dn.done)
	dn.startHTTP()
	if err := dn.open(); err != nil {
		dn.cancel(err)
	} else {
		dn.serve()
	}
	<-dn.ctx.Done()
	dn.stop()
}

// open asks the name nodes in turn which cluster this is and opens the store for it.
func (dn *DataNode) open() error {
	for {
		wait := time.Second
		for _, s := range dn.sessions {
			reply, err := s.nn.Handshake(dn.ctx, &control.HandshakeRequest{SoftwareVersion: SoftwareVersion})
			if err != nil {
				wait = min(wait, max(s.nn.Backoff(), 10*time.Millisecond))
				if k := dfs.KindOf(err); k == dfs.IncorrectVersion || k == dfs.DisallowedDatanode {
					return fmt.Errorf("datanode: name node %s refuses this datanode: %w", s.addr, err)
				}
				s.note("name node can't be reached", err)
				continue
			}
			return dn.openStore(reply.Cluster)
		}
		if !sleep(dn.ctx, wait) {
			return context.Cause(dn.ctx)
		}
	}
}

func (dn *DataNode) openStore(cluster dfs.ClusterInfo) error {
	dn.lookAround()
	arrays, err := dn.openArrays()
	if err != nil {
		return err
	}
	store, err := blockstore.Open(blockstore.Config{
		FS: dn.cfg.FS, Volumes: slices.Concat(dn.cfg.Volumes, arrays), Cluster: cluster, Reserved: dn.cfg.Reserved,
		FailedVolumesTolerated: dn.cfg.FailedVolumesTolerated,
		OnBad:                  dn.onBad, OnCut: dn.onCut, OnVolumeFailed: dn.onVolumeFailed,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("datanode: open volumes: %w", err), dn.closeArrays())
	}
	if err := store.Usable(); err != nil {
		return errors.Join(fmt.Errorf("datanode: %w", err), store.Close(), dn.closeArrays())
	}
	dn.state.store, dn.state.cluster = store, cluster
	for _, v := range store.Volumes() {
		if v.Err != nil {
			dn.cfg.Log.Error("volume failed", "dir", v.Dir, "err", v.Err)
		}
	}
	dn.openFence()
	close(dn.state.opened)
	return nil
}

// serve starts everything that needs the store.
func (dn *DataNode) serve() {
	dn.state.self = dn.makeID()
	dn.startIPC()
	dn.goRun(dn.acceptLoop)
	for _, s := range dn.sessions {
		dn.goRun(s.heartbeats)
		dn.goRun(s.reports)
	}
	if dn.cfg.Limits.ScrubBandwidth > 0 {
		dn.goRun(dn.scrubLoop)
	}
}

// goRun runs fn on a goroutine that Close waits for.
func (dn *DataNode) goRun(fn func()) {
	dn.wg.Add(1)
	go func() {
		defer dn.wg.Done()
		fn()
	}()
}

// background runs fn as goRun does unless Close has begun.
func (dn *DataNode) background(fn func()) bool {
	dn.state.mu.Lock()
	defer dn.state.mu.Unlock()
	if dn.state.closed {
		return false
	}
	dn.goRun(fn)
	return true
}

// stop ends all goroutines and closes the store.
func (dn *DataNode) stop() {
	dn.closeListeners()
	dn.state.mu.Lock()
	dn.state.closed = true
	for c := range dn.state.conns {
		_ = c.Close() // its user gets the error
	}
	dn.state.mu.Unlock()
	for _, s := range dn.sessions {
		_ = s.nn.Close() // nothing to lose: calls are over or fail
	}
	if dn.rpc != nil {
		_ = dn.rpc.Close() // the listener is closed already
	}
	if dn.web != nil {
		_ = dn.web.Close() // the same
	}
	dn.wg.Wait()
	dn.refuser.Close()
	if dn.state.store != nil {
		dn.closeFence()
		if err := dn.state.store.Close(); err != nil {
			dn.cfg.Log.Error("closing volumes failed", "err", err)
		}
	}
	if err := dn.closeArrays(); err != nil {
		dn.cfg.Log.Error("closing arrays failed", "err", err)
	}
	dn.metrics.unregister()
}

// Close stops the DataNode and waits until nothing of it is left. Replicas being written
// stay as they are.
func (dn *DataNode) Close() error {
	dn.cancel(context.Canceled)
	<-dn.done
	return nil
}

// Ready is closed when the first name node knows this datanode and all its replicas.
func (dn *DataNode) Ready() <-chan struct{} { return dn.ready }

// Done is closed when the DataNode has stopped; see Err.
func (dn *DataNode) Done() <-chan struct{} { return dn.done }

// Err tells why the DataNode stops or has stopped by itself: a foreign cluster, a refusal
// by the name node, too many failed volumes, ErrShutdown. It is nil while it runs and after Close
// or the end of Start's context.
func (dn *DataNode) Err() error {
	err := context.Cause(dn.ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// fail stops the DataNode for a reason that it can't go on with.
func (dn *DataNode) fail(err error) {
	dn.cfg.Log.Error("datanode stops", "err", err)
	dn.cancel(err)
}

// TransferAddr is the address of the data transfer port.
func (dn *DataNode) TransferAddr() net.Addr { return dn.transfer.Addr() }

// IPCAddr is the address of the RPC port.
func (dn *DataNode) IPCAddr() net.Addr { return dn.ipc.Addr() }

// HTTPAddr is the address of the HTTP port, nil if there is none.
func (dn *DataNode) HTTPAddr() net.Addr {
	if dn.http == nil {
		return nil
	}
	return dn.http.Addr()
}

// ID is what this datanode is known as; zero before it is Ready.
func (dn *DataNode) ID() dfs.DatanodeID {
	dn.state.mu.Lock()
	defer dn.state.mu.Unlock()
	return dn.state.self
}

// Volumes describes the volumes; nil before the first name node has answered.
func (dn *DataNode) Volumes() []blockstore.VolumeState {
	select {
	case <-dn.state.opened:
		return dn.state.store.Volumes()
	default:
		return nil
	}
}

func (dn *DataNode) makeID() dfs.DatanodeID {
	id := dfs.DatanodeID{
		UUID: dn.state.store.UUID(), IP: dn.cfg.Listen.IP, Host: dn.cfg.Listen.Host,
		XferPort: port(dn.transfer), IPCPort: port(dn.ipc), InfoPort: port(dn.http),
	}
	if a, ok := dn.transfer.Addr().(*net.TCPAddr); ok && id.IP == "" && !a.IP.IsUnspecified() {
		id.IP = a.IP.String()
	}
	return id
}

func port(l net.Listener) uint16 {
	if l == nil {
		return 0
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return uint16(a.Port)
	}
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", p)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// sleep waits; false if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
