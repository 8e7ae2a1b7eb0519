package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"redoubt/dfs"
)

const (
	typeDirectory = dfs.TypeDirectory
	typeFile      = dfs.TypeFile
)

// fileSystem is what the shell's commands need of HDFS and of the local disk. Paths are
// absolute and clean. Errors for a missing path satisfy errors.Is(err, fs.ErrNotExist).
type fileSystem interface {
	// uri is scheme and authority, "hdfs://127.0.0.1:8020" or "file:".
	uri() string
	// home is the directory that relative paths start from.
	home() string
	reading
	writing
	close() error
}

// reading is the part of a fileSystem that changes nothing.
type reading interface {
	stat(ctx context.Context, path string) (*dfs.FileStatus, error)
	list(ctx context.Context, path string) ([]dfs.FileStatus, error)
	// open gives the file's bytes; verify says whether checksums are checked.
	open(ctx context.Context, path string, verify bool) (fileReader, error)
	summary(ctx context.Context, path string) (*dfs.ContentSummary, error)
	usage(ctx context.Context, path string) (dfs.FsStats, error)
}

// writing is the part of a fileSystem that changes it.
type writing interface {
	create(ctx context.Context, path string, opt createOptions) (io.WriteCloser, error)
	appendTo(ctx context.Context, path string, newBlock bool) (io.WriteCloser, error)
	mkdirs(ctx context.Context, path string) (bool, error)
	rename(ctx context.Context, src, dst string) (bool, error)
	remove(ctx context.Context, path string, recursive bool) (bool, error)
	chmod(ctx context.Context, path string, mode dfs.Mode) error
	chown(ctx context.Context, path, owner, group string) error
	setTimes(ctx context.Context, path string, mtime, atime int64) error
	setReplication(ctx context.Context, path string, n uint16) (bool, error)
}

// fileReader is an open file.
type fileReader interface {
	io.Reader
	io.Seeker
	io.Closer
}

// createOptions of a new file.
type createOptions struct {
	overwrite   bool
	lazyPersist bool
	checksums   bool // beside a local file, write its .crc file
}

// pathError is an error about one path in the form that Hadoop's shell shows:
// [operation ]`path'[ to `target']: reason[: `full']
type pathError struct {
	op, path, target, reason, full string
	err                            error
}

func (e *pathError) Error() string {
	s := "`" + e.path + "'"
	if e.op != "" {
		s = e.op + " " + s
	}
	if e.target != "" {
		s += " to `" + e.target + "'"
	}
	s += ": " + e.reason
	if e.full != "" && e.full != e.path {
		s += ": `" + e.full + "'"
	}
	return s
}

func (e *pathError) Unwrap() error { return e.err }

func notFound(path string) error {
	return &pathError{path: path, reason: "No such file or directory", err: fs.ErrNotExist}
}

func isDirectory(path string) error  { return &pathError{path: path, reason: "Is a directory"} }
func notDirectory(path string) error { return &pathError{path: path, reason: "Is not a directory"} }
func fileExists(path string) error   { return &pathError{path: path, reason: "File exists"} }
func inputOutput(op, path string) error {
	return &pathError{op: op, path: path, reason: "Input/output error"}
}

// message is the text of an error as the shell shows it: what a server said, without
// the wrapping around it.
func message(err error) string {
	var own *pathError
	if errors.As(err, &own) {
		return own.Error()
	}
	var e *dfs.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}

// system gives the file system for a scheme and authority, connecting when needed.
// Empty parts are those of the default file system.
func (sh *shell) system(scheme, authority string) (fileSystem, error) {
	def, err := sh.defaultURI()
	if err != nil {
		return nil, err
	}
	if scheme == "" {
		if authority != "" {
			return nil, errors.New(`No FileSystem for scheme "null"`)
		}
		scheme, authority = def.scheme, def.authority
	} else if authority == "" && scheme == def.scheme {
		authority = def.authority
	}
	key := scheme + "://" + authority
	if f := sh.systems[key]; f != nil {
		return f, nil
	}
	var f fileSystem
	switch scheme {
	case "file":
		f = &localFS{dir: sh.dir, user: sh.user}
	case "hdfs":
		if authority == "" {
			return nil, fmt.Errorf("Incomplete HDFS URI, no host: hdfs:///")
		}
		f, err = connect(sh.env, authority)
	default:
		return nil, fmt.Errorf("No FileSystem for scheme %q", scheme)
	}
	if err != nil {
		return nil, err
	}
	sh.systems[key] = f
	return f, nil
}

// local is the machine's own file system.
func (sh *shell) local() fileSystem {
	f, err := sh.system("file", "")
	if err != nil { // the scheme "file" can't fail
		return &localFS{dir: sh.dir, user: sh.user}
	}
	return f
}

// defaultURI is fs.defaultFS; "local" and HOST:PORT are old forms of it.
func (sh *shell) defaultURI() (uri, error) {
	v := sh.config.get("fs.defaultFS", sh.config.get("fs.default.name", defaultFS))
	switch {
	case v == "local":
		v = "file:///"
	case typedURI(v).scheme == "" && v != "" && v[0] != '/':
		v = "hdfs://" + v
	}
	u := typedURI(v)
	if u.scheme == "" {
		return u, fmt.Errorf("fs.defaultFS: %q is not the URI of a file system", v)
	}
	return u, nil
}
