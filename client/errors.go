package client

import (
	"context"
	"errors"
	"io/fs"

	"redoubt/dfs"
	"redoubt/wire/clientrpc"
	"redoubt/wire/hadooprpc"
)

// remoteError turns what a call failed with into a *dfs.Error.
func remoteError(method string, err error) error {
	var remote *hadooprpc.RemoteError
	if errors.As(err, &remote) {
		e := clientrpc.FromRemote(remote)
		e.Op, e.Err = method, sentinel(e.Kind)
		return e
	}
	var own *dfs.Error
	if errors.As(err, &own) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &dfs.Error{Op: method, Kind: dfs.Canceled, Err: err}
	}
	if errors.Is(err, hadooprpc.ErrBroken) || errors.Is(err, hadooprpc.ErrClosed) {
		return &dfs.Error{Op: method, Kind: dfs.Unavailable, Err: err}
	}
	return &dfs.Error{Op: method, Kind: dfs.Other, Err: err}
}

// sentinel is the standard library's error for a kind, nil if it has none.
func sentinel(k dfs.Kind) error {
	switch k {
	case dfs.NotFound, dfs.ReplicaNotFound:
		return fs.ErrNotExist
	case dfs.AlreadyExists, dfs.BeingCreated:
		return fs.ErrExist
	case dfs.Permission, dfs.SnapshotAccess, dfs.Authorization:
		return fs.ErrPermission
	case dfs.InvalidPath, dfs.IllegalArgument, dfs.RuntimeIllegal:
		return fs.ErrInvalid
	}
	return nil
}

// notFound is the error for a path that a name node answered "none" for.
func notFound(op, path string) error {
	return &dfs.Error{Op: op, Path: path, Kind: dfs.NotFound, Msg: "File does not exist: " + path, Err: fs.ErrNotExist}
}
