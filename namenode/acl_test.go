package namenode

import (
	"context"

	"redoubt/dfs"
)

// Mkdirs asks for a directory as a client without a umask does.
func (r *rig) Mkdirs(ctx context.Context, c *dfs.Caller, path string, mode dfs.Mode, createParent bool) (bool, error) {
	return r.NameNode.Mkdirs(ctx, c, &dfs.MkdirsRequest{Path: path, Mode: mode, CreateParent: createParent})
}
