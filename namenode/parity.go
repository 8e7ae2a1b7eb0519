package namenode

import (
	"context"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// FoldDone takes the outcome of a fold from its datanode.
func (n *NameNode) FoldDone(_ context.Context, req *control.FoldDoneRequest) error {
	if err := n.checkPool(req.PoolID); err != nil {
		return err
	}
	return dfs.Errorf(dfs.Unsupported, "parity groups are not supported: %s", req.Block)
}

// Sources tells a datanode how to make a block that it does not have.
func (n *NameNode) Sources(_ context.Context, req *control.SourcesRequest) (*control.SourcesReply, error) {
	if err := n.checkPool(req.PoolID); err != nil {
		return nil, err
	}
	return nil, dfs.Errorf(dfs.ReplicaNotFound, "%s is in no parity group", req.Block)
}
