package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// OpenOptions of a file for reading.
type OpenOptions struct {
	// NoVerify takes bytes as they come, without checksums.
	NoVerify bool
}

// File is a file open for reading. Read, Seek and WriteTo belong to one goroutine;
// ReadAt may be called by many at the same time, beside them too.
type File struct {
	c    *Client
	ctx  context.Context // ends all reads
	stop context.CancelFunc
	path string
	opt  OpenOptions

	mu     sync.Mutex
	size   int64
	blocks []dfs.LocatedBlock   // sorted by offset; not all of the file's
	dead   map[string]time.Time // datanodes that failed, by UUID, and when

	pos  int64
	cur  *blockStream // the sequential read under way
	loc  *dfs.LocatedBlock
	node *dfs.DatanodeID
	rest []byte // of cur's last bytes
	span int64  // bytes of cur's request that were not read yet
}

// deadMemory is how long a datanode that failed is asked last.
const deadMemory = time.Minute

// prefetch is how many bytes' locations are asked for at once.
const prefetch = 10 * dfs.DefaultBlockSize

// Open opens a file for reading; ctx ends the reads, too.
func (c *Client) Open(ctx context.Context, path string) (*File, error) {
	return c.OpenFile(ctx, path, OpenOptions{})
}

// OpenFile is Open with options.
func (c *Client) OpenFile(ctx context.Context, path string, opt OpenOptions) (*File, error) {
	f := &File{c: c, path: path, opt: opt, dead: map[string]time.Time{}}
	f.ctx, f.stop = context.WithCancel(ctx)
	for try := 0; ; try++ {
		located, err := c.BlockLocations(ctx, path, 0, prefetch)
		if err == nil {
			err = f.learn(located)
		}
		if err == nil {
			return f, nil
		}
		// A writer may just have got its block: its datanodes don't know it yet.
		if !dfs.Is(err, dfs.Unavailable) || try >= c.cfg.Read.Attempts || sleep(ctx, 400*time.Millisecond) != nil {
			f.stop()
			return nil, err
		}
	}
}

// Size is the length in bytes that was visible when the file was opened.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// learn takes in what the name node told: the length, with that of a block that is still
// being written, and the blocks.
func (f *File) learn(l *dfs.LocatedBlocks) error {
	if err := unreadableBlocks("read", f.path, l); err != nil {
		return err
	}
	blocks := l.Blocks
	size := l.FileLength
	if l.Last != nil && !l.LastComplete {
		last := *l.Last
		if len(last.Locs) > 0 {
			n, err := f.visibleLength(&last)
			if err != nil {
				return err
			}
			last.Length = n
		} else if last.Length > 0 {
			return &dfs.Error{Op: "open", Path: f.path, Kind: dfs.Unavailable, Msg: "Could not obtain the last block locations."}
		}
		size += last.Length
		blocks = slices.DeleteFunc(slices.Clone(blocks), func(b dfs.LocatedBlock) bool { return b.ID == last.ID })
		blocks = append(blocks, last)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(f.size, size)
	f.mergeLocked(blocks)
	return nil
}

// mergeLocked puts newer locations in the place of older ones.
func (f *File) mergeLocked(blocks []dfs.LocatedBlock) {
	fresh := map[dfs.BlockID]bool{}
	for i := range blocks {
		fresh[blocks[i].ID] = true
	}
	merged := make([]dfs.LocatedBlock, 0, len(f.blocks)+len(blocks))
	for _, b := range f.blocks {
		if !fresh[b.ID] {
			merged = append(merged, b)
		}
	}
	merged = append(merged, blocks...)
	sort.SliceStable(merged, func(i, j int) bool { return merged[i].Offset < merged[j].Offset })
	f.blocks = merged
}

const datanodeProtocol = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol"

// visibleLength asks the datanodes how much of a block that is being written may be
// read: at least what the name node knows of. When all of them say that they never heard
// of it, and the name node neither, nothing was written yet.
func (f *File) visibleLength(b *dfs.LocatedBlock) (int64, error) {
	missing := 0
	var last error
	for _, loc := range b.Locs {
		n, err := f.c.visibleLength(f.ctx, loc.Node, b)
		if err == nil && n >= b.Length {
			return n, nil
		}
		if err == nil {
			err = dfs.Errorf(dfs.Unavailable, "datanode %s has %d bytes of %d", loc.Node.IP, n, b.Length)
		}
		if dfs.Is(err, dfs.ReplicaNotFound) {
			missing++
		}
		last = err
	}
	if missing == len(b.Locs) && b.Length == 0 {
		return 0, nil
	}
	return 0, &dfs.Error{Op: "open", Path: f.path, Kind: dfs.Unavailable, Msg: fmt.Sprintf("Cannot obtain block length for %s of %s", b.Block, f.path), Err: last}
}

func (c *Client) visibleLength(ctx context.Context, node *dfs.DatanodeInfo, b *dfs.LocatedBlock) (int64, error) {
	id := node.DatanodeID
	id.XferPort = id.IPCPort
	conn, err := hadooprpc.Dial(ctx, c.peers.address(&id), hadooprpc.Options{
		User: c.cfg.User, Protocol: datanodeProtocol, Dial: c.cfg.Dial, DialTimeout: c.cfg.DialTimeout,
	})
	if err != nil {
		return 0, err
	}
	var resp hdfspb.GetReplicaVisibleLengthResponse
	target := hadooprpc.Target{Protocol: datanodeProtocol, Version: 1, Method: "getReplicaVisibleLength"}
	err = conn.Call(ctx, target, &hdfspb.GetReplicaVisibleLengthRequest{Block: extended(b.PoolID, b.Block)}, &resp)
	_ = conn.Close() // made for this one call
	if err != nil {
		return 0, remoteError(target.Method, err)
	}
	return int64(resp.GetLength()), nil
}

// block gives the block that holds the byte at off, asking for locations if they are
// not known.
func (f *File) block(off int64) (*dfs.LocatedBlock, error) {
	for range 2 {
		f.mu.Lock()
		i := sort.Search(len(f.blocks), func(i int) bool { return f.blocks[i].Offset+f.blocks[i].Length > off })
		if i < len(f.blocks) && f.blocks[i].Offset <= off {
			b := f.blocks[i]
			f.mu.Unlock()
			return &b, nil
		}
		f.mu.Unlock()
		if err := f.relocate(off); err != nil {
			return nil, err
		}
	}
	return nil, &dfs.Error{Op: "read", Path: f.path, Kind: dfs.Other, Msg: fmt.Sprintf("%s has no block at %d: it was changed while it was read", f.path, off)}
}

// relocate asks the name node again where the blocks from off on are.
func (f *File) relocate(off int64) error {
	l, err := f.c.BlockLocations(f.ctx, f.path, off, prefetch)
	if err == nil {
		err = unreadableBlocks("read", f.path, l)
	}
	if err != nil {
		return err
	}
	if l.Last != nil && !l.LastComplete {
		f.mu.Lock()
		for _, b := range f.blocks { // keep the length that was visible at open
			if b.ID == l.Last.ID {
				l.Last.Length = b.Length
			}
		}
		f.mu.Unlock()
		l.Blocks = slices.DeleteFunc(l.Blocks, func(b dfs.LocatedBlock) bool { return b.ID == l.Last.ID })
		l.Blocks = append(l.Blocks, *l.Last)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replacedLocked(l.Blocks) {
		return &dfs.Error{Op: "read", Path: f.path, Kind: dfs.Other, Msg: fmt.Sprintf("Blocklist for %s has changed!", f.path)}
	}
	f.mergeLocked(l.Blocks)
	return nil
}

// replacedLocked reports whether the path names other blocks now than when it was opened:
// bytes of two files must not be mixed.
func (f *File) replacedLocked(blocks []dfs.LocatedBlock) bool {
	for i := range blocks {
		b := &blocks[i]
		for j := range f.blocks {
			if old := &f.blocks[j]; old.ID != b.ID && old.Offset < b.Offset+b.Length && b.Offset < old.Offset+old.Length {
				return true
			}
		}
	}
	return false
}

// candidates gives a block's replicas in the order to try: as the name node sorted them,
// those on datanodes that failed lately left out.
func (f *File) candidates(b *dfs.LocatedBlock, tried map[string]bool) []dfs.ReplicaLoc {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []dfs.ReplicaLoc
	for _, l := range b.Locs {
		if t, bad := f.dead[l.Node.UUID]; bad && time.Since(t) < deadMemory || tried[l.Node.UUID] {
			continue
		}
		out = append(out, l)
	}
	return out
}

func (f *File) bury(uuid string) {
	f.mu.Lock()
	f.dead[uuid] = time.Now()
	f.mu.Unlock()
}

func (f *File) forgive() {
	f.mu.Lock()
	clear(f.dead)
	f.mu.Unlock()
}

// attempt calls read with one replica of the block at off after the other until it
// succeeds. When none is left it asks for fresh locations, Attempts times.
func (f *File) attempt(off int64, read func(b *dfs.LocatedBlock, loc *dfs.ReplicaLoc) error) error {
	var last error
	for round := 0; ; round++ {
		b, err := f.block(off)
		if err != nil {
			return err
		}
		for locs := f.candidates(b, nil); len(locs) > 0; locs = locs[1:] {
			err := read(b, &locs[0])
			if err == nil {
				return nil
			}
			if f.ctx.Err() != nil {
				return &dfs.Error{Op: "read", Path: f.path, Kind: dfs.Canceled, Err: f.ctx.Err()}
			}
			last = err
			f.bury(locs[0].Node.UUID)
			if dfs.Is(err, dfs.Corrupt) {
				// The name node learns of it if it can; the read goes on in any case.
				_ = f.c.ReportBadBlocks(f.ctx, b, locs[:1])
			}
		}
		if round >= f.c.cfg.Read.Attempts {
			return f.unobtainable(b, last)
		}
		f.forgive()
		if round > 0 {
			if err := sleep(f.ctx, min(time.Second<<(round-1), 4*time.Second)); err != nil {
				return f.unobtainable(b, last)
			}
		}
		if err := f.relocate(off); err != nil {
			return err
		}
	}
}

func (f *File) unobtainable(b *dfs.LocatedBlock, last error) error {
	kind := dfs.Unavailable
	if dfs.Is(last, dfs.Corrupt) {
		kind = dfs.Corrupt
	}
	return &dfs.Error{Op: "read", Path: f.path, Kind: kind, Err: last,
		Msg: fmt.Sprintf("Could not obtain block: %s:%s file=%s%s", b.PoolID, b.Block, f.path, because(last))}
}

func because(err error) string {
	if err == nil {
		return " No live nodes contain current block"
	}
	return ": " + err.Error()
}

func (f *File) request(b *dfs.LocatedBlock, off, n int64) *datatransfer.ReadRequest {
	return &datatransfer.ReadRequest{
		Block: datatransfer.BlockRef{PoolID: b.PoolID, Block: b.Block}, Client: f.c.holder,
		Offset: off - b.Offset, Length: n, NoChecksums: f.opt.NoVerify,
	}
}

// fill makes rest hold the next bytes; io.EOF at the end of the file.
func (f *File) fill() error {
	for len(f.rest) == 0 {
		if f.pos >= f.Size() {
			f.endStream()
			return io.EOF
		}
		if f.cur == nil {
			if err := f.startStream(); err != nil {
				return err
			}
			continue
		}
		b, err := f.cur.next()
		if err == nil {
			f.rest = b
			f.span -= int64(len(b))
			continue
		}
		if err == io.EOF {
			f.cur.finish()
			f.cur = nil
			continue
		}
		f.failStream(err)
		if f.ctx.Err() != nil {
			return &dfs.Error{Op: "read", Path: f.path, Kind: dfs.Canceled, Err: f.ctx.Err()}
		}
	}
	return nil
}

// startStream opens a stream from pos to the end of its block.
func (f *File) startStream() error {
	return f.attempt(f.pos, func(b *dfs.LocatedBlock, loc *dfs.ReplicaLoc) error {
		n := b.Offset + b.Length - f.pos
		s, err := f.c.openStream(f.ctx, &loc.Node.DatanodeID, f.request(b, f.pos, n))
		if err != nil {
			return err
		}
		// The first bytes count: a replica that can't give them is as bad as none.
		first, err := s.next()
		if err != nil {
			s.abort()
			return noEOF(err)
		}
		f.cur, f.loc, f.node, f.rest, f.span = s, b, &loc.Node.DatanodeID, first, n-int64(len(first))
		return nil
	})
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// failStream gives up a stream that broke in the middle; the next one starts at pos on
// another replica.
func (f *File) failStream(err error) {
	f.cur.abort()
	f.cur, f.rest = nil, nil
	f.bury(f.node.UUID)
	if dfs.Is(err, dfs.Corrupt) {
		for i := range f.loc.Locs {
			if f.loc.Locs[i].Node.UUID == f.node.UUID {
				_ = f.c.ReportBadBlocks(f.ctx, f.loc, f.loc.Locs[i:i+1]) // as far as it goes
			}
		}
	}
}

// endStream ends the stream under way, if there is one. When little is left of it, that
// is read so that the connection can be used again.
func (f *File) endStream() {
	if f.cur == nil {
		return
	}
	if f.span <= 64<<10 {
		f.cur.drain()
	} else {
		f.cur.abort()
	}
	f.cur, f.rest = nil, nil
}

// Read reads up to len(p) bytes.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.fill(); err != nil {
		return 0, err
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	f.pos += int64(n)
	return n, nil
}

// WriteTo writes the rest of the file to w, without a copy in between.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := f.fill(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(f.rest)
		f.rest = f.rest[n:]
		f.pos += int64(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Seek sets where Read goes on. Positions behind the end are allowed and read io.EOF.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.Size()
	}
	if offset < 0 || offset > math.MaxInt64/2 {
		return 0, &dfs.Error{Op: "seek", Path: f.path, Kind: dfs.IllegalArgument, Msg: "Cannot seek to negative offset", Err: fs.ErrInvalid}
	}
	skip := offset - f.pos
	if skip >= 0 && skip <= int64(len(f.rest)) {
		f.rest = f.rest[skip:]
	} else {
		f.endStream()
	}
	f.pos = offset
	return offset, nil
}

// Close ends the reads. It never fails.
func (f *File) Close() error {
	f.endStream()
	f.stop()
	return nil
}
