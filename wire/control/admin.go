package control

import (
	"context"

	"redoubt/wire/hadooprpc"
)

// AdminProtocol is what our own tools ask the name node beyond HDFS's protocols.
const AdminProtocol = "redoubt.NameNodeAdmin"

// WarningsRequest asks what an administrator should know.
type WarningsRequest struct{}

// WarningsReply has a sentence for each thing that is wrong and that nothing mends by itself.
type WarningsReply struct{ Warnings []string }

// HandleAdmin makes srv answer AdminProtocol; warnings is called for every request.
func HandleAdmin(srv *hadooprpc.Server, warnings func() []string) {
	srv.Handle(AdminProtocol, ProtocolVersion, hadooprpc.HandlerFunc(func(c *hadooprpc.Call) {
		switch c.Method {
		case "warnings":
			serve(c, func(context.Context, *WarningsRequest) (*WarningsReply, error) {
				return &WarningsReply{warnings()}, nil
			})
		default:
			c.FailNoSuchMethod()
		}
	}))
}

// AdminClient asks a name node over the wire, as NameNodeClient does.
type AdminClient struct{ *client }

// NewAdminClient makes a client; it does not connect yet.
func NewAdminClient(cfg ClientConfig) *AdminClient {
	return &AdminClient{newClient(cfg, AdminProtocol)}
}

// Warnings gives the name node's warnings. One that is not ours gives dfs.NoSuchProtocol.
func (c *AdminClient) Warnings(ctx context.Context) ([]string, error) {
	reply, err := call[WarningsReply](ctx, c.client, "warnings", &WarningsRequest{})
	if err != nil {
		return nil, err
	}
	return reply.Warnings, nil
}
