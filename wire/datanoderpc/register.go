// Package datanoderpc answers HDFS's DatanodeProtocol: what Hadoop's datanodes and the
// benchmarks that play them ask of a name node. It is a translator in front of the same
// control.NameNode that serves Redoubt's own datanodes, so both kinds may be in one
// cluster and neither has a block manager of its own.
//
// HDFS's datanodes name their volumes only in heartbeats and block reports, Redoubt's in
// their registration. What a datanode has named is remembered here, and a block report
// about a new volume first registers the datanode again with it.
//
// It also has both sides of InterDatanodeProtocol, by which the datanodes of one pipeline
// recover its block, whichever kind each of them is.
package datanoderpc

import (
	"context"
	"sync"

	"redoubt/dfs"
	"redoubt/wire/clientrpc"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

const protocolVersion = 1

// Options of the protocol's server. The zero value works.
type Options struct {
	// SoftwareVersion is told by versionRequest; "" means dfs.SoftwareVersion.
	SoftwareVersion string
}

// NameNode answers the calls. versionRequest is for superusers only, as in HDFS.
type NameNode interface {
	control.NameNode
	clientrpc.SuperuserChecker
}

// Register makes srv answer DatanodeProtocol and DatanodeLifelineProtocol with nn.
func Register(srv *hadooprpc.Server, nn NameNode, opt Options) {
	if opt.SoftwareVersion == "" {
		opt.SoftwareVersion = dfs.SoftwareVersion
	}
	s := &server{nn: nn, opt: opt, nodes: map[string]*node{}}
	calls := map[string]func(*hadooprpc.Call){
		"versionRequest":             method(s, (*server).version),
		"registerDatanode":           method(s, (*server).register),
		"sendHeartbeat":              method(s, (*server).heartbeat),
		"blockReport":                method(s, (*server).blockReport),
		"blockReceivedAndDeleted":    method(s, (*server).incremental),
		"reportBadBlocks":            method(s, (*server).badBlocks),
		"commitBlockSynchronization": method(s, (*server).commitSync),
		"errorReport":                method(s, (*server).errorReport),
		"cacheReport":                method(s, (*server).cacheReport),
	}
	handle(srv, hdfspb.DatanodeProtocol, calls)
	handle(srv, hdfspb.DatanodeLifelineProtocol, map[string]func(*hadooprpc.Call){"sendLifeline": method(s, (*server).lifeline)})
}

func handle(srv *hadooprpc.Server, protocol string, calls map[string]func(*hadooprpc.Call)) {
	srv.Handle(protocol, protocolVersion, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		if call, ok := calls[c.Method]; ok {
			call(c)
			return
		}
		c.FailNoSuchMethod()
	}))
}

// server is what the methods work with.
type server struct {
	nn  NameNode
	opt Options

	mu    sync.Mutex
	nodes map[string]*node // by datanode UUID
}

// node is what is known here about a datanode.
type node struct {
	mu       sync.Mutex // held while the datanode is registered
	id       dfs.DatanodeID
	version  string
	storages []dfs.StorageReport // in the order in which they were named
}

// decodable is a request of generated code.
type decodable[T any] interface {
	*T
	UnmarshalVT([]byte) error
}

// method makes a handler of a function that may wait.
func method[S, T any, R decodable[T]](s S, fn func(S, *hadooprpc.Call, R) (hadooprpc.Marshaler, error)) func(*hadooprpc.Call) {
	return func(c *hadooprpc.Call) {
		c.Go(func() {
			r := R(new(T))
			if err := r.UnmarshalVT(c.Body); err != nil {
				c.Fail(clientrpc.Exception(dfs.Errorf(dfs.IllegalArgument, "undecodable request for %s: %v", c.Method, err)))
				return
			}
			m, err := fn(s, c, r)
			if err != nil {
				c.Fail(clientrpc.Exception(err))
				return
			}
			c.Reply(m)
		})
	}
}

var empty hadooprpc.Marshaler = new(hdfspb.Empty)

// version tells which cluster this is.
func (s *server) version(c *hadooprpc.Call, _ *hdfspb.Empty) (hadooprpc.Marshaler, error) {
	if err := s.nn.CheckSuperuser(&c.Caller, "versionRequest"); err != nil {
		return nil, err
	}
	reply, err := s.nn.Handshake(c.Context(), &control.HandshakeRequest{})
	if err != nil {
		return nil, err
	}
	return &hdfspb.VersionResponse{Info: clientrpc.NamespaceInfo(reply.Cluster, s.opt.SoftwareVersion, clientrpc.StateActive)}, nil
}

// register makes a datanode known, at the address that it calls from.
func (s *server) register(c *hadooprpc.Call, r *hdfspb.RegisterDatanode) (hadooprpc.Marshaler, error) {
	reg := r.GetRegistration()
	id := datanodeID(reg.GetDatanodeID())
	if c.Caller.Addr.IsValid() {
		id.IP = c.Caller.Addr.Unmap().String()
	}
	if id.UUID == "" {
		return nil, dfs.Errorf(dfs.IllegalArgument, "a datanode registers without UUID")
	}
	info := reg.GetStorageInfo()
	n := s.node(id.UUID)
	n.mu.Lock()
	defer n.mu.Unlock()
	reply, err := s.nn.Register(c.Context(), &control.RegisterRequest{
		Node:            id,
		Cluster:         dfs.ClusterInfo{ClusterID: info.GetClusterID(), NamespaceID: info.GetNamespceID()},
		SoftwareVersion: reg.GetSoftwareVersion(),
		Storages:        n.storages,
		Plain:           true,
	})
	if err != nil {
		return nil, err
	}
	n.id, n.version = reply.Node, reg.GetSoftwareVersion()
	return &hdfspb.RegisterDatanode{Registration: &hdfspb.DatanodeRegistration{
		DatanodeID: wireDatanodeID(&n.id), StorageInfo: reg.StorageInfo,
		Keys: noKeys(), SoftwareVersion: reg.SoftwareVersion,
	}}, nil
}

// node gives the entry of a datanode and makes one if there is none.
func (s *server) node(uuid string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[uuid]
	if n == nil {
		n = &node{}
		s.nodes[uuid] = n
	}
	return n
}

// known gives the entry of a datanode that has registered.
func (s *server) known(uuid string) (*node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[uuid]; n != nil {
		return n, nil
	}
	return nil, dfs.Errorf(dfs.UnregisteredDatanode, "Data node %s has not registered", uuid)
}

// volumes makes the name node know all volumes that a report is about.
func (s *server) volumes(ctx context.Context, n *node, named []*hdfspb.DatanodeStorage) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.storages
	for _, st := range named {
		if !hasVolume(all, st.GetStorageUuid()) {
			all = append(all, dfs.StorageReport{UUID: st.GetStorageUuid(), Type: dfs.StorageType(st.GetStorageType())})
		}
	}
	if len(all) == len(n.storages) {
		return nil
	}
	_, err := s.nn.Register(ctx, &control.RegisterRequest{Node: n.id, SoftwareVersion: n.version, Storages: all, Plain: true})
	if err == nil {
		n.storages = all
	}
	return err
}

func hasVolume(storages []dfs.StorageReport, uuid string) bool {
	for i := range storages {
		if storages[i].UUID == uuid {
			return true
		}
	}
	return false
}

// setStorages notes the volumes that a heartbeat has named.
func (n *node) setStorages(storages []dfs.StorageReport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.storages = storages
}
