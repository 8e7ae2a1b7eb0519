package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hdfspb"
)

// CreateOptions of a new file. Zero fields take the cluster's defaults.
type CreateOptions struct {
	Mode          dfs.Mode // 0 is 0644
	Unmasked      dfs.Mode // before the umask, for default ACLs; 0 is Mode
	Overwrite     bool
	NoParents     bool // the parent directory must exist
	Replication   uint16
	BlockSize     int64
	Favored       []string // host:port of datanodes to prefer
	LazyPersist   bool
	StoragePolicy string
}

// AppendOptions of reopening a file.
type AppendOptions struct {
	NewBlock bool // begin with a new block even if the last one has room
}

// Writer writes a file. Its methods may be called from several goroutines, one of them
// at a time goes on. After an error every further call fails with the same one.
type Writer struct {
	c       *Client
	ctx     context.Context // ends the writer
	cancel  context.CancelFunc
	path    string
	file    dfs.InodeID
	sum     datatransfer.Checksum
	room    int // data bytes per packet
	favored []string
	blockSz int64
	repl    int

	mu      sync.Mutex
	err     error
	closed  bool
	started int64 // bytes of the file before the current block
	last    *dfs.Block
	block   *blockWriter // nil between blocks
	carried *blockWriter // the block that an append goes on with
	synced  bool         // flushed or appended: a lost datanode is replaced
	told    bool         // the name node knows the current block
	cant    error        // why the file can hold no bytes of this client
}

// ErrUnevenBlock is why a file is not made whose blocks would end inside of a checksum's bytes.
var ErrUnevenBlock = errors.New("client: the block size is no multiple of the bytes per checksum")

// Create makes a new file and opens it for writing; ctx ends the writer, too.
func (c *Client) Create(ctx context.Context, path string, opt CreateOptions) (*Writer, error) {
	d, err := c.ServerDefaults(ctx)
	if err != nil {
		return nil, err
	}
	if opt.Mode == 0 {
		opt.Mode = 0o644
	}
	if opt.Replication == 0 {
		opt.Replication = d.Replication
	}
	if opt.BlockSize == 0 {
		opt.BlockSize = d.BlockSize
	}
	if n := int64(c.newChecksum(d).BytesPer); opt.BlockSize%n != 0 {
		return nil, &dfs.Error{Op: "create", Path: path, Kind: dfs.IllegalArgument, Err: ErrUnevenBlock,
			Msg: fmt.Sprintf("Invalid values: dfs.bytes-per-checksum (=%d) must divide block size (=%d).", n, opt.BlockSize)}
	}
	flags := dfs.CreateFlagCreate
	if opt.LazyPersist {
		flags |= dfs.CreateFlagLazyPersist
	}
	req := &hdfspb.CreateRequest{
		Src: &path, Masked: perm(opt.Mode), Unmasked: perm(cmp.Or(opt.Unmasked, opt.Mode)), ClientName: &c.holder,
		CreateParent: new(!opt.NoParents), Replication: new(uint32(opt.Replication)), BlockSize: new(uint64(opt.BlockSize)),
	}
	if opt.StoragePolicy != "" {
		req.StoragePolicy = &opt.StoragePolicy
	}
	resp, err := c.create(ctx, req, flags, opt.Overwrite)
	if err != nil {
		return nil, err
	}
	if resp.Fs == nil {
		return nil, &dfs.Error{Op: "create", Path: path, Kind: dfs.Other, Msg: "the name node did not describe the new file"}
	}
	return c.newWriter(ctx, path, statusOf(resp.Fs), d, opt)
}

// newChecksum is how new blocks are covered: as configured, else as the server has it.
func (c *Client) newChecksum(d dfs.ServerDefaults) datatransfer.Checksum {
	sum := datatransfer.Checksum{
		Type: cmp.Or(c.cfg.Write.Checksum, d.ChecksumType), BytesPer: cmp.Or(c.cfg.Write.BytesPerChecksum, d.BytesPerChecksum),
	}
	if sum.Validate() != nil || sum.Type == dfs.ChecksumNull {
		return datatransfer.DefaultChecksum
	}
	return sum
}

func (c *Client) newWriter(ctx context.Context, path string, st *dfs.FileStatus, d dfs.ServerDefaults, opt CreateOptions) (*Writer, error) {
	w := &Writer{c: c, path: path, file: st.ID, blockSz: st.BlockSize, repl: int(st.Replication), favored: opt.Favored, cant: unreadableStatus("written", path, st)}
	w.sum = c.newChecksum(d)
	size := c.cfg.Write.PacketSize
	if size == 0 {
		size = int(d.WritePacketSize)
	}
	if size <= 0 {
		size = dfs.DefaultWritePacket
	}
	w.room = dataPerPacket(size, w.sum)
	if w.blockSz <= 0 {
		return nil, &dfs.Error{Op: "create", Path: path, Kind: dfs.Other, Msg: fmt.Sprintf("the name node gave block size %d", w.blockSz)}
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	c.leases.add()
	return w, nil
}

// Append opens a file to write on at its end.
func (c *Client) Append(ctx context.Context, path string, opt AppendOptions) (*Writer, error) {
	d, err := c.ServerDefaults(ctx)
	if err != nil {
		return nil, err
	}
	before, err := c.Stat(ctx, path)
	if err == nil {
		err = unreadableStatus("appended to", path, before)
	}
	if err != nil && !dfs.Is(err, dfs.NotFound) { // of which the append has more to say
		return nil, err
	}
	flags := dfs.CreateFlagAppend
	if opt.NewBlock {
		flags |= dfs.CreateFlagNewBlock
	}
	var resp hdfspb.AppendResponse
	if err := c.names.call(ctx, "append", &hdfspb.AppendRequest{Src: &path, ClientName: &c.holder, Flag: &flags}, &resp); err != nil {
		return nil, err
	}
	var st *dfs.FileStatus
	if resp.Stat != nil {
		st = statusOf(resp.Stat)
	} else if st, err = c.Stat(ctx, path); err != nil {
		return nil, err
	}
	w, err := c.newWriter(ctx, path, st, d, CreateOptions{})
	if err != nil {
		return nil, err
	}
	w.synced = true
	w.started = st.Length
	if resp.Block != nil && opt.NewBlock {
		b := locatedOf(resp.Block)
		w.last, w.carried = &b.Block, &blockWriter{ref: datatransfer.BlockRef{PoolID: b.PoolID, Block: b.Block}}
	} else if resp.Block != nil {
		b := locatedOf(resp.Block)
		w.started = st.Length - b.Length
		if err := w.reopen(&b); err != nil {
			w.cancel()
			c.leases.remove()
			return nil, err
		}
	}
	return w, nil
}

// Size is the length of the file with all that was written so far.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.started
	if w.block != nil {
		n += w.block.length()
	}
	return n
}

// Write writes p. When it returns without error the bytes are on their way, but only
// Flush, Sync or Close tell that they arrived.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		if w.block == nil {
			if w.cant != nil {
				return done, w.broke(w.cant)
			}
			if err := w.nextBlock(); err != nil {
				return done, w.broke(err)
			}
		}
		n, err := w.block.write(p[done:])
		done += n
		if err != nil {
			return done, w.broke(err)
		}
		if w.block.length() == w.blockSz {
			if err := w.finishBlock(); err != nil {
				return done, w.broke(err)
			}
		}
	}
	return done, nil
}

func (w *Writer) usable() error {
	if w.err != nil {
		return w.err
	}
	if w.closed {
		return &dfs.Error{Op: "write", Path: w.path, Kind: dfs.Other, Msg: "the file is closed", Err: fs.ErrClosed}
	}
	return nil
}

// broke remembers the writer's first failure and ends what it has open.
func (w *Writer) broke(err error) error {
	if w.err == nil {
		if w.ctx.Err() != nil {
			err = &dfs.Error{Op: "write", Path: w.path, Kind: dfs.Canceled, Err: w.ctx.Err()}
		}
		w.err = err
	}
	return w.err
}

// Flush returns when every datanode of the pipeline has all bytes written so far and
// readers can see them.
func (w *Writer) Flush() error { return w.flush(false, false) }

// Sync is Flush that also waits until the bytes are on the datanodes' disks. With
// updateLength the name node learns the file's length, too.
func (w *Writer) Sync(updateLength bool) error { return w.flush(true, updateLength) }

func (w *Writer) flush(sync, updateLength bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	length := int64(-1)
	if w.block != nil {
		if err := w.block.flush(sync); err != nil {
			return w.broke(err)
		}
		w.synced = true
		length = w.block.length()
	}
	if updateLength || w.block != nil && !w.told {
		if !updateLength {
			length = -1
		}
		req := &hdfspb.FsyncRequest{Src: &w.path, Client: &w.c.holder, LastBlockLength: &length, FileId: new(uint64(w.file))}
		if err := w.c.names.call(w.ctx, "fsync", req, nil); err != nil {
			return err
		}
		w.told = true
	}
	return nil
}

// finishBlock ends the current block.
func (w *Writer) finishBlock() error {
	if err := w.block.finish(); err != nil {
		return err
	}
	w.started += w.block.length()
	b := w.block.ref.Block
	b.Length = w.block.length()
	w.last, w.block = &b, nil
	return nil
}

// Close completes the file. When it returns nil, all bytes are stored with at least the
// cluster's minimal replication.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.err
	}
	if w.err == nil && w.block != nil {
		if err := w.finishBlock(); err != nil {
			w.err = w.broke(err)
		}
	}
	if w.err == nil {
		w.err = w.complete()
	} else if w.err == w.cant {
		_ = w.complete() // nothing is in it: no lease is left on it
	}
	w.release()
	return w.err
}

// Abort gives the file up as it is: it stays open at the name node until its lease is
// recovered or it is deleted.
func (w *Writer) Abort() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.release()
	}
	return nil
}

func (w *Writer) release() {
	w.closed = true
	if w.block != nil {
		w.block.abandon()
		w.block = nil
	}
	w.cancel()
	w.c.leases.remove()
}

// complete asks the name node to close the file, again while replicas are not reported.
func (w *Writer) complete() error {
	req := &hdfspb.CompleteRequest{Src: &w.path, ClientName: &w.c.holder, FileId: new(uint64(w.file))}
	if w.last != nil {
		req.Last = extended(w.pool(), *w.last)
	}
	wait := 50 * time.Millisecond
	for try := 0; ; try++ {
		done, err := w.c.boolean(w.ctx, "complete", req)
		if err != nil || done {
			return err
		}
		if try >= w.c.cfg.Write.CloseRetries {
			return &dfs.Error{Op: "complete", Path: w.path, Kind: dfs.Other,
				Msg: fmt.Sprintf("Unable to close file because the last block %v does not have enough number of replicas.", w.last)}
		}
		if err := sleep(w.ctx, wait); err != nil {
			return &dfs.Error{Op: "complete", Path: w.path, Kind: dfs.Canceled, Err: err}
		}
		wait = min(2*wait, 3*time.Second)
	}
}
