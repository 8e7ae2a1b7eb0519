package clientrpc

import (
	"context"
	"errors"
	"runtime"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

// Services is what answers the calls. All five are required; one value may be several
// of them. A Cluster that also is a SuperuserChecker, TxReporter, GroupRefresher,
// MetaSaver or BandwidthSetter is asked for these things too, and so is a Writer that also is
// a PolicySatisfier.
type Services struct {
	Reader  Reader
	Writer  Writer
	Files   FileWriter
	Cluster Cluster
	Attrs   Attributes
}

// SuperuserChecker refuses a caller that is no superuser with dfs.Permission. It guards
// the administrative calls that this package answers itself; op is HDFS's name for the
// operation, which stands in the error's text.
type SuperuserChecker interface {
	CheckSuperuser(c *dfs.Caller, op string) error
}

// TxReporter tells the last transaction that is applied.
type TxReporter interface {
	LastTxID() dfs.TxID
}

// GroupRefresher forgets what it knows about users' groups.
type GroupRefresher interface {
	RefreshGroups(c *dfs.Caller) error
}

// MetaSaver writes a report about blocks and datanodes to a file of this name in the
// name node's log directory.
type MetaSaver interface {
	MetaSave(c *dfs.Caller, name string) error
}

// BandwidthSetter tells all datanodes how much they may use for balancing.
type BandwidthSetter interface {
	SetBalancerBandwidth(c *dfs.Caller, bytesPerSecond int64) error
}

// PolicySatisfier has the blocks at and below a path kept as their storage policy says now. It
// returns when that has been asked for.
type PolicySatisfier interface {
	SatisfyStoragePolicy(ctx context.Context, c *dfs.Caller, path string) error
}

// State is the part that a name node plays, with HDFS's wire numbers.
type State uint8

// The parts that there are.
const (
	StateInitializing State = 0
	StateActive       State = 1
	StateStandby      State = 2
	StateObserver     State = 3
)

// Access is what decides about connections.
type Access interface {
	// RefreshServices reads the ACLs of services again; an error that these do not count.
	RefreshServices() error
	// RefreshProxies reads again who may act for others.
	RefreshProxies() error
}

// Options of the name node's RPC. The zero value works.
type Options struct {
	// SoftwareVersion is told by versionRequest; "" means "redoubt".
	SoftwareVersion string
	// Access is read again by the calls that are there for that; nil: there is nothing to read.
	Access Access
	// State says which part this name node plays; nil means always StateActive.
	State func() State
}

// Register makes a server answer ClientProtocol and the smaller protocols of a name
// node: NamenodeProtocol, HAServiceProtocol, GetUserMappingsProtocol and the refresh
// family.
func Register(srv *hadooprpc.Server, svc Services, opt Options) error {
	if svc.Reader == nil || svc.Writer == nil || svc.Files == nil || svc.Cluster == nil || svc.Attrs == nil {
		return errors.New("clientrpc: a service is missing")
	}
	if opt.SoftwareVersion == "" {
		opt.SoftwareVersion = "redoubt"
	}
	if opt.State == nil {
		opt.State = func() State { return StateActive }
	}
	s := &server{Services: svc, opt: opt, beside: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	for name, methods := range protocols() {
		srv.Handle(name, protocolVersion, &handler{s, methods})
	}
	return nil
}
