package control

import (
	"context"

	"redoubt/wire/hadooprpc"
)

// ArrayProtocol is what administrators ask a datanode about its RAID-5 volumes.
const ArrayProtocol = "redoubt.ArrayAdmin"

// ArrayStatusRequest asks for the state of all arrays.
type ArrayStatusRequest struct{}

// ArrayStatusReply describes a datanode's arrays.
type ArrayStatusReply struct{ Arrays []ArrayInfo }

// ArrayInfo describes an array; sizes are in bytes.
type ArrayInfo struct {
	ID       string
	Unit     int64
	Events   uint64 // changes of membership so far
	Members  []ArrayMember
	Spares   []string // that stand ready
	Degraded bool     // a member is missing or not rebuilt yet
	Lost     bool     // more than one is
	Rebuild  ArrayRebuild
	Capacity int64 // for data, without parity
	Free     int64
	Files    int
	Repaired int64 // units made new since the start
	Damaged  int64 // stripes that could not be
}

// ArrayMember is one directory of an array.
type ArrayMember struct {
	Place int
	Dir   string
	State string // active, failed, rebuilding
	Err   string // why it failed, if that is known
}

// ArrayRebuild is how far a rebuild has come; Dir is "" if there is none.
type ArrayRebuild struct {
	Dir               string
	Place             int
	Files, TotalFiles int
	Bytes, TotalBytes int64
	StartedMS         int64 // since 1970
	Err               string
}

// ArrayReplaceRequest puts the directory New in the place of the member Old.
type ArrayReplaceRequest struct{ Old, New string }

// ArrayReplaceReply names the array that is being rebuilt.
type ArrayReplaceReply struct{ ID string }

// ArrayVerifyRequest has all arrays read and compared.
type ArrayVerifyRequest struct{}

// ArrayVerifyReply tells what was found, array by array.
type ArrayVerifyReply struct{ Arrays []ArrayVerified }

// ArrayVerified is what was found in an array.
type ArrayVerified struct {
	ID       string
	Files    int
	Stripes  int64
	Bytes    int64
	Repaired int64    // units that were bad and are made new
	Damaged  []string // stripes that could not be repaired, a line each
}

// ArrayAdmin answers ArrayProtocol.
type ArrayAdmin interface {
	// ArrayStatus tells the state of every array.
	ArrayStatus(ctx context.Context, req *ArrayStatusRequest) (*ArrayStatusReply, error)
	// ArrayReplace starts a rebuild onto another directory. Errors: dfs.IllegalArgument.
	ArrayReplace(ctx context.Context, req *ArrayReplaceRequest) (*ArrayReplaceReply, error)
	// ArrayVerify checks all stripes; it takes as long as reading everything.
	ArrayVerify(ctx context.Context, req *ArrayVerifyRequest) (*ArrayVerifyReply, error)
}

// HandleArrays makes srv answer ArrayProtocol with a.
func HandleArrays(srv *hadooprpc.Server, a ArrayAdmin) {
	srv.Handle(ArrayProtocol, ProtocolVersion, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		switch c.Method {
		case "arrayStatus":
			serve(c, a.ArrayStatus)
		case "arrayReplace":
			serve(c, a.ArrayReplace)
		case "arrayVerify":
			serve(c, a.ArrayVerify)
		default:
			c.FailNoSuchMethod()
		}
	}))
}

// ArrayClient calls an ArrayAdmin over the wire, as NameNodeClient does a name node.
type ArrayClient struct{ *client }

// NewArrayClient makes a client; it does not connect yet.
func NewArrayClient(cfg ClientConfig) *ArrayClient {
	return &ArrayClient{newClient(cfg, ArrayProtocol)}
}

// ArrayStatus calls ArrayAdmin.ArrayStatus.
func (c *ArrayClient) ArrayStatus(ctx context.Context, req *ArrayStatusRequest) (*ArrayStatusReply, error) {
	return call[ArrayStatusReply](ctx, c.client, "arrayStatus", req)
}

// ArrayReplace calls ArrayAdmin.ArrayReplace.
func (c *ArrayClient) ArrayReplace(ctx context.Context, req *ArrayReplaceRequest) (*ArrayReplaceReply, error) {
	return call[ArrayReplaceReply](ctx, c.client, "arrayReplace", req)
}

// ArrayVerify calls ArrayAdmin.ArrayVerify.
func (c *ArrayClient) ArrayVerify(ctx context.Context, req *ArrayVerifyRequest) (*ArrayVerifyReply, error) {
	return call[ArrayVerifyReply](ctx, c.client, "arrayVerify", req)
}
