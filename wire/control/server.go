package control

import (
	"context"
	"net/netip"

	"redoubt/wire/hadooprpc"
)

// HandleNameNode makes srv answer NameNodeProtocol with nn. Calls run on the server's
// workers, each with a context that ends with its connection and carries CallerAddr.
func HandleNameNode(srv *hadooprpc.Server, nn NameNode) {
	srv.Handle(NameNodeProtocol, ProtocolVersion, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		switch c.Method {
		case "handshake":
			serve(c, nn.Handshake)
		case "register":
			serve(c, nn.Register)
		case "heartbeat":
			serve(c, nn.Heartbeat)
		case "blockReport":
			serve(c, nn.BlockReport)
		case "incremental":
			serve(c, noReply(nn.Incremental))
		case "badBlocks":
			serve(c, noReply(nn.BadBlocks))
		case "commitSync":
			serve(c, noReply(nn.CommitSync))
		case "foldDone":
			serve(c, noReply(nn.FoldDone))
		case "sources":
			serve(c, nn.Sources)
		case "mayTake":
			serve(c, noReply(nn.MayTake))
		default:
			c.FailNoSuchMethod()
		}
	}))
}

// HandleDataNode makes srv answer DataNodeProtocol with dn.
func HandleDataNode(srv *hadooprpc.Server, dn DataNode) {
	srv.Handle(DataNodeProtocol, ProtocolVersion, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		switch c.Method {
		case "initRecovery":
			serve(c, dn.InitRecovery)
		case "updateReplica":
			serve(c, dn.UpdateReplica)
		default:
			c.FailNoSuchMethod()
		}
	}))
}

// empty is the reply of a call that has none.
type empty struct{}

func noReply[Req any](fn func(context.Context, *Req) error) func(context.Context, *Req) (*empty, error) {
	return func(ctx context.Context, req *Req) (*empty, error) { return &empty{}, fn(ctx, req) }
}

func serve[Req, Reply any](c *hadooprpc.Call, fn func(context.Context, *Req) (*Reply, error)) {
	c.Go(func() {
		req := new(Req)
		if err := decode(c.Body, req); err != nil {
			c.Fail(errorClass(err))
			return
		}
		reply, err := fn(withCaller(c.Context(), c.Caller.Addr, c.Caller.User), req)
		if err != nil {
			c.Fail(errorClass(err))
			return
		}
		body, err := encode(reply)
		if err != nil {
			c.Fail(errorClass(err))
			return
		}
		c.ReplyBytes(body)
	})
}

type callerKey struct{}

// caller is who has called, and from where.
type caller struct {
	addr netip.Addr
	user string
}

func withCaller(ctx context.Context, addr netip.Addr, user string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{addr, user})
}

// CallerAddr gives the address that a call came from, the zero Addr outside of a call.
func CallerAddr(ctx context.Context) netip.Addr {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.addr
}

// CallerUser gives the user who a call says it is from, "" outside of a call.
func CallerUser(ctx context.Context) string {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.user
}
