package clientrpc

import (
	"context"
	"errors"
	"runtime"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

// Services is what answers the calls. All six are required; one value may be several of
// them. A Writer that also is a PolicySatisfier is asked for that too.
type Services struct {
	Reader  Reader
	Writer  Writer
	Files   FileWriter
	Cluster Cluster
	Attrs   Attributes
	Admin   Admin
}

// SuperuserChecker refuses a caller that is no superuser with dfs.Permission. It guards
// the administrative calls that this package answers itself; op is HDFS's name for the
// operation, which stands in the error's text. A guard is never optional: whoever lacked it
// would let everybody pass.
type SuperuserChecker interface {
	CheckSuperuser(c *dfs.Caller, op string) error
}

// Admin takes what administrators alone may ask, and says who they are.
type Admin interface {
	SuperuserChecker
	// LastTxID tells the last transaction that is applied.
	LastTxID() dfs.TxID
	// RefreshGroups forgets what is known about users' groups.
	RefreshGroups(c *dfs.Caller) error
	// MetaSave writes a report about blocks and datanodes to a file of this name in a
	// directory of its own.
	MetaSave(c *dfs.Caller, name string) error
	// SetBalancerBandwidth tells all datanodes how much they may use for balancing.
	SetBalancerBandwidth(c *dfs.Caller, bytesPerSecond int64) error
	// HeldBlocks tells which blocks a datanode holds that a balancer could move elsewhere, with
	// all their places.
	HeldBlocks(ctx context.Context, c *dfs.Caller, req *dfs.HeldRequest) ([]dfs.HeldBlock, error)
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
	// SoftwareVersion is told by versionRequest; "" means dfs.SoftwareVersion.
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
	if svc.Reader == nil || svc.Writer == nil || svc.Files == nil || svc.Cluster == nil || svc.Attrs == nil || svc.Admin == nil {
		return errors.New("clientrpc: a service is missing")
	}
	if opt.SoftwareVersion == "" {
		opt.SoftwareVersion = dfs.SoftwareVersion
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
