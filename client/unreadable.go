package client

import (
	"context"
	"path"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// unreadable says what of a file's storage this client does not know, nil for plain blocks.
// The blocks of an erasure-coded file are groups of cells on many datanodes, those of a file
// in an encryption zone are ciphertext: taken for plain ones they give wrong bytes.
func unreadable(op, path, ecPolicy string, encrypted bool) error {
	why := ""
	switch {
	case ecPolicy != "":
		why = "it is erasure-coded with policy " + ecPolicy + ", which this client does not know"
	case encrypted:
		why = "it is in an encryption zone, whose keys this client can't use"
	default:
		return nil
	}
	return &dfs.Error{Op: op, Path: path, Kind: dfs.Unsupported, Msg: path + " can't be " + op + ": " + why}
}

func unreadableStatus(op, path string, st *dfs.FileStatus) error {
	return unreadable(op, path, ecName(st), st.Flags&dfs.FlagEncrypted != 0)
}

func unreadableBlocks(op, path string, l *dfs.LocatedBlocks) error {
	return unreadable(op, path, l.ECPolicy, l.Encrypted)
}

// ecName is the policy's name, also of a server that sets the flag alone.
func ecName(st *dfs.FileStatus) string {
	if st.ECPolicy == "" && st.Flags&dfs.FlagErasureCoded != 0 {
		return "(not told)"
	}
	return st.ECPolicy
}

// mayOverwrite refuses to replace a file with bytes by one that this client can't write,
// which is what its directory makes of it.
func (c *Client) mayOverwrite(ctx context.Context, name string) error {
	dir, err := c.Stat(ctx, path.Dir(name))
	if err != nil || unreadableStatus("", name, dir) == nil {
		return err
	}
	old, err := c.Stat(ctx, name)
	if err != nil || old.Type != dfs.TypeFile || old.Length == 0 {
		return err
	}
	return unreadableStatus("overwritten", name, dir)
}

// create makes the file. One that is there already is replaced, if so wanted, by a second
// call, so that what would be lost by it can be looked at between the two.
func (c *Client) create(ctx context.Context, req *hdfspb.CreateRequest, flags uint32, overwrite bool) (*hdfspb.FileStatusResponse, error) {
	var resp hdfspb.FileStatusResponse
	req.CreateFlag = &flags
	err := c.names.call(ctx, "create", req, &resp)
	if !overwrite {
		return &resp, err
	}
	switch dfs.KindOf(err) {
	case dfs.AlreadyExists, dfs.BeingCreated, dfs.RecoveryInProgress:
	default:
		return &resp, err
	}
	if err := c.mayOverwrite(ctx, req.GetSrc()); err != nil {
		return nil, err
	}
	flags |= dfs.CreateFlagOverwrite
	return &resp, c.names.call(ctx, "create", req, &resp)
}
