package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// remoteFS is an HDFS as the shell sees it.
type remoteFS struct {
	c     *client.Client
	name  string // hdfs://authority
	user  string
	umask dfs.Mode
	repl  uint16 // 0: the server's default
	block int64
	crc   string // dfs.checksum.combine.mode
}

// connect opens the HDFS behind an authority; the first call connects.
func connect(e *env, authority string) (fileSystem, error) {
	c, err := openClient(e, authority)
	if err != nil {
		return nil, err
	}
	r := &remoteFS{c: c, name: "hdfs://" + authority, user: e.user, crc: e.config.get("dfs.checksum.combine.mode", "MD5MD5CRC")}
	if r.umask, err = parseUmask(e.config.get("fs.permissions.umask-mode", "022")); err != nil {
		return nil, err
	}
	repl, err := e.config.integer("dfs.replication", 0, 32)
	if err != nil {
		return nil, err
	}
	if err := e.config.between("dfs.replication", repl, 1, math.MaxInt16); err != nil {
		return nil, err
	}
	r.repl = uint16(repl)
	if r.block, err = e.config.size("dfs.blocksize", 0); err != nil {
		return nil, err
	}
	return r, e.config.between("dfs.blocksize", r.block, 1, math.MaxInt64)
}

// openClient makes a client from the configuration.
func openClient(e *env, authority string) (*client.Client, error) {
	cfg := client.Config{NameNodes: e.config.nameNodes(authority), User: e.user, RealUser: e.real, Context: "CLI", FailFast: true}
	cfg.UseHostNames = e.config.boolean("dfs.client.use.datanode.hostname", false)
	cfg.Write.BestEffort = e.config.boolean("dfs.client.block.write.replace-datanode-on-failure.best-effort", false)
	switch policy := e.config.get("dfs.client.block.write.replace-datanode-on-failure.policy", "DEFAULT"); strings.ToUpper(policy) {
	case "DEFAULT":
	case "ALWAYS":
		cfg.Write.Replace = client.ReplaceAlways
	case "NEVER":
		cfg.Write.Replace = client.ReplaceNever
	default:
		return nil, fmt.Errorf("dfs.client.block.write.replace-datanode-on-failure.policy: %q is none of DEFAULT, ALWAYS and NEVER", policy)
	}
	if !e.config.boolean("dfs.client.block.write.replace-datanode-on-failure.enable", true) {
		cfg.Write.Replace = client.ReplaceNever
	}
	if err := writeConfig(&e.config, &cfg.Write); err != nil {
		return nil, err
	}
	pool, err := e.config.integer("dfs.client.hedged.read.threadpool.size", 0, 32)
	if err != nil {
		return nil, err
	}
	hedge, err := e.config.integer("dfs.client.hedged.read.threshold.millis", 500, 64)
	if err != nil {
		return nil, err
	}
	if err := e.config.between("dfs.client.hedged.read.threshold.millis", hedge, 0, math.MaxInt32); err != nil {
		return nil, err
	}
	if pool > 0 {
		cfg.Read.Hedge = time.Duration(hedge) * time.Millisecond
	}
	return client.Open(cfg)
}

// writeConfig reads how the bytes of new blocks travel and are covered.
func writeConfig(s *settings, w *client.WriteConfig) error {
	size, err := s.integer("dfs.client-write-packet-size", 0, 32)
	if err != nil {
		return err
	}
	if size > dfs.MaxPacket {
		return usagef("dfs.client-write-packet-size: %d is more than %d", size, dfs.MaxPacket)
	}
	w.PacketSize = int(max(size, 0)) // Hadoop, too, makes the least packet of what is too small
	if _, set := s.lookup("dfs.client-write-packet-size"); set {
		w.PacketSize = max(w.PacketSize, 1)
	}
	per, err := s.integer("dfs.bytes-per-checksum", 0, 32)
	if err != nil {
		return err
	}
	if err := s.between("dfs.bytes-per-checksum", per, 1, datatransfer.MaxBytesPerChecksum); err != nil {
		return err
	}
	w.BytesPerChecksum = uint32(per)
	switch typ := s.get("dfs.checksum.type", ""); strings.ToUpper(typ) {
	case "":
	case "CRC32":
		w.Checksum = dfs.ChecksumCRC32
	case "CRC32C":
		w.Checksum = dfs.ChecksumCRC32C
	case "NULL":
		return usagef("dfs.checksum.type: NULL is not supported: every block is checksummed")
	default:
		return usagef("dfs.checksum.type: %q is none of CRC32 and CRC32C", typ)
	}
	return nil
}

// parseUmask reads an octal umask or a symbolic list of what stays allowed.
func parseUmask(s string) (dfs.Mode, error) {
	c := parseMode(s, umaskPart)
	switch {
	case c == nil:
		return 0, usagef("fs.permissions.umask-mode: %q is not a umask", s)
	case c.octal:
		return c.apply(0, false) & 0o777, nil
	}
	return 0o777 &^ c.apply(0, false), nil
}

func (r *remoteFS) uri() string  { return r.name }
func (r *remoteFS) home() string { return "/user/" + r.user }
func (r *remoteFS) close() error { return r.c.Close() }

func (r *remoteFS) stat(ctx context.Context, path string) (*dfs.FileStatus, error) {
	if strings.Contains(path, ":") {
		return nil, usagef("Pathname %s from %s is not a valid DFS filename.", path, path)
	}
	return r.c.Stat(ctx, path)
}

func (r *remoteFS) list(ctx context.Context, path string) ([]dfs.FileStatus, error) {
	return r.c.List(ctx, path)
}

func (r *remoteFS) open(ctx context.Context, path string, verify bool) (fileReader, error) {
	return r.c.OpenFile(ctx, path, client.OpenOptions{NoVerify: !verify})
}

func (r *remoteFS) summary(ctx context.Context, path string) (*dfs.ContentSummary, error) {
	return r.c.ContentSummary(ctx, path)
}

func (r *remoteFS) usage(ctx context.Context, _ string) (dfs.FsStats, error) { return r.c.FsStats(ctx) }

func (r *remoteFS) create(ctx context.Context, path string, opt createOptions) (io.WriteCloser, error) {
	o := client.CreateOptions{
		Mode: 0o666 &^ r.umask, Unmasked: 0o666, Overwrite: opt.overwrite, Replication: r.repl, BlockSize: r.block, LazyPersist: opt.lazyPersist,
	}
	if opt.lazyPersist {
		o.Replication = 1
	}
	w, err := r.c.Create(ctx, path, o)
	if errors.Is(err, client.ErrUnevenBlock) {
		return nil, &errUsage{message(err)} // what was configured can't be
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (r *remoteFS) appendTo(ctx context.Context, path string, newBlock bool) (io.WriteCloser, error) {
	return r.c.Append(ctx, path, client.AppendOptions{NewBlock: newBlock})
}

func (r *remoteFS) mkdirs(ctx context.Context, path string) (bool, error) {
	return r.mkdirAs(ctx, path, 0o777)
}

func (r *remoteFS) mkdirAs(ctx context.Context, path string, mode dfs.Mode) (bool, error) {
	return r.c.MkdirsUnmasked(ctx, path, mode&^r.umask, mode, true)
}

func (r *remoteFS) rename(ctx context.Context, src, dst string) (bool, error) {
	return r.c.Rename(ctx, src, dst)
}

func (r *remoteFS) renameToTrash(ctx context.Context, src, dst string) error {
	return r.c.Rename2(ctx, src, dst, dfs.RenameOptions{ToTrash: true})
}

func (r *remoteFS) remove(ctx context.Context, path string, recursive bool) (bool, error) {
	return r.c.Delete(ctx, path, recursive)
}

func (r *remoteFS) chmod(ctx context.Context, path string, mode dfs.Mode) error {
	return r.c.SetPermission(ctx, path, mode)
}

func (r *remoteFS) chown(ctx context.Context, path, owner, group string) error {
	return r.c.SetOwner(ctx, path, owner, group)
}

func (r *remoteFS) setTimes(ctx context.Context, path string, mtime, atime int64) error {
	return r.c.SetTimes(ctx, path, mtime, atime)
}

func (r *remoteFS) setReplication(ctx context.Context, path string, n uint16) (bool, error) {
	return r.c.SetReplication(ctx, path, n)
}

func (r *remoteFS) trashInterval(ctx context.Context) (time.Duration, error) {
	d, err := r.c.ServerDefaults(ctx)
	return time.Duration(d.TrashInterval) * time.Minute, err
}

func (r *remoteFS) checksum(ctx context.Context, path string) (string, []byte, error) {
	sum := r.c.Checksum
	if strings.EqualFold(r.crc, "COMPOSITE_CRC") {
		sum = r.c.CompositeChecksum
	}
	s, err := sum(ctx, path)
	if err != nil {
		return "", nil, err
	}
	return s.Algorithm, s.Value, nil
}

func (r *remoteFS) access(ctx context.Context, path string, want dfs.Access) error {
	return r.c.CheckAccess(ctx, path, want)
}

// replicas counts each block's replicas.
func (r *remoteFS) replicas(ctx context.Context, path string) ([]int, error) {
	l, err := r.c.BlockLocations(ctx, path, 0, 1<<62)
	if err != nil {
		return nil, err
	}
	counts := make([]int, len(l.Blocks))
	for i := range l.Blocks {
		counts[i] = len(l.Blocks[i].Locs)
	}
	return counts, nil
}

func (r *remoteFS) truncate(ctx context.Context, path string, length int64) (bool, error) {
	return r.c.Truncate(ctx, path, length)
}

func (r *remoteFS) isClosed(ctx context.Context, path string) (bool, error) {
	return r.c.IsFileClosed(ctx, path)
}

func (r *remoteFS) concat(ctx context.Context, target string, sources []string) error {
	return r.c.Concat(ctx, target, sources)
}

// typeQuotas gives quota and use by storage type, for the types that have a quota.
func (r *remoteFS) typeQuotas(ctx context.Context, path string) (map[dfs.StorageType]client.TypeQuota, error) {
	return r.c.TypeQuotas(ctx, path)
}
