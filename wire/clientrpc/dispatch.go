package clientrpc

import (
	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

const protocolVersion = 1

// server is what the methods work with.
type server struct {
	Services
	opt Options
	// beside holds a token for each listing that is made beside its connection's reader,
	// so that calls that wait behind a long one use the other processors.
	beside chan struct{}
	movers movers
}

// method answers one call. It runs on the connection's reader: what may wait for a disk
// or for another node goes to Call.Go.
type method func(s *server, c *hadooprpc.Call)

// methods is a protocol: its methods by name.
type methods map[string]method

// handler answers one protocol's calls.
type handler struct {
	server  *server
	methods methods
}

// ServeRPC finds the method and runs it.
func (h *handler) ServeRPC(c *hadooprpc.Call) {
	if m, ok := h.methods[c.Method]; ok {
		m(h.server, c)
		return
	}
	c.FailNoSuchMethod()
}

// protocols lists what a name node's port speaks to clients and administrators.
func protocols() map[string]methods {
	client := methods{}
	for _, group := range []methods{readMethods(), writeMethods(), fileMethods(), clusterMethods(), attrMethods(), featureMethods()} {
		for name, m := range group {
			client[name] = m
		}
	}
	p := adminProtocols()
	p[hdfspb.ClientProtocol] = client
	return p
}

// decodable is a request of generated code.
type decodable[T any] interface {
	*T
	UnmarshalVT([]byte) error
}

// The answers that need no message of their own.
var (
	empty    hadooprpc.Marshaler = new(hdfspb.Empty)
	answered hadooprpc.Marshaler = new(hdfspb.Empty) // the method has replied by itself
)

// inline makes a method of a function that answers at once.
func inline[T any, R decodable[T]](fn func(s *server, c *hadooprpc.Call, r R) (hadooprpc.Marshaler, error)) method {
	return func(s *server, c *hadooprpc.Call) {
		r := R(new(T))
		if err := r.UnmarshalVT(c.Body); err != nil {
			refuse(c, err)
			return
		}
		m, err := fn(s, c, r)
		answer(c, m, err)
	}
}

// blocking makes a method of a function that may wait.
func blocking[T any, R decodable[T]](fn func(s *server, c *hadooprpc.Call, r R) (hadooprpc.Marshaler, error)) method {
	return func(s *server, c *hadooprpc.Call) {
		r := R(new(T))
		if err := r.UnmarshalVT(c.Body); err != nil {
			refuse(c, err)
			return
		}
		c.Go(func() {
			m, err := fn(s, c, r)
			answer(c, m, err)
		})
	}
}

func answer(c *hadooprpc.Call, m hadooprpc.Marshaler, err error) {
	switch {
	case err != nil:
		fail(c, err)
	case m == answered:
	default:
		c.Reply(m)
	}
}

// fail answers with the Java exception that an error means.
func fail(c *hadooprpc.Call, err error) { c.Fail(Exception(err)) }

// refuse answers a request that can't be decoded.
func refuse(c *hadooprpc.Call, err error) {
	c.Fail(classBadRequest, "undecodable request for "+c.Method+": "+err.Error())
}

// Encoded BoolResponses: the field is required, so false is written too.
var (
	encodedTrue  = []byte{1 << 3, 1}
	encodedFalse = []byte{1 << 3, 0}
)

func replyBool(c *hadooprpc.Call, ok bool, err error) {
	switch {
	case err != nil:
		fail(c, err)
	case ok:
		c.ReplyBytes(encodedTrue)
	default:
		c.ReplyBytes(encodedFalse)
	}
}

func replyEmpty(c *hadooprpc.Call, err error) {
	if err != nil {
		fail(c, err)
		return
	}
	c.ReplyBytes(nil)
}

// replyStatus answers with a FileStatusResponse, which is empty when there is no status.
func replyStatus(c *hadooprpc.Call, st *dfs.FileStatus, blocks *dfs.LocatedBlocks, err error) {
	if err != nil {
		fail(c, err)
		return
	}
	if st == nil {
		c.ReplyBytes(nil)
		return
	}
	e := newEncoder(c.Scratch())
	e.fileStatus(1, st, blocks)
	reply(c, &e)
}

// replyBlock answers with a BlockResponse.
func replyBlock(c *hadooprpc.Call, b *dfs.LocatedBlock, err error) {
	if err != nil {
		fail(c, err)
		return
	}
	e := newEncoder(c.Scratch())
	e.locatedBlock(1, b)
	reply(c, &e)
}

// reply answers with what e holds; its memory stays with the call.
func reply(c *hadooprpc.Call, e *encoder) {
	c.KeepScratch(e.buf)
	c.ReplyBytes(e.bytes())
}

func unsupported(format string, args ...any) error {
	return dfs.Errorf(dfs.Unsupported, format, args...)
}

func illegal(format string, args ...any) error {
	return dfs.Errorf(dfs.IllegalArgument, format, args...)
}

func notFound(format string, args ...any) error {
	return dfs.Errorf(dfs.NotFound, format, args...)
}

// superuser refuses callers without the privilege.
func (s *server) superuser(c *hadooprpc.Call, op string) error {
	return s.Admin.CheckSuperuser(&c.Caller, op)
}
