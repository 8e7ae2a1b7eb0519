package datanode

import (
	"context"
	"errors"
	"hash/crc32"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// foldResult is the replica that a fold has made, and what it was made of.
type foldResult struct {
	replica blockstore.Replica
	crc     uint32
	members []dfs.ParityMember
}

// fold carries out a CmdFold and tells the name node how it ended.
func (dn *DataNode) fold(s *session, cmd control.Command) {
	start := time.Now()
	// A sum that is recorded proves the result, so that the sources may be joined elsewhere.
	chain := cmd.Sum.HasCRC
	res, err := dn.foldOnce(dn.ctx, cmd, chain)
	if chain && dfs.Is(err, dfs.Corrupt) {
		chain = false // which source is wrong shows when each is read by itself
		res, err = dn.foldOnce(dn.ctx, cmd, chain)
	}
	for range len(cmd.Sources) {
		var wrong *wrongSum
		if !errors.As(err, &wrong) || !dropPlace(cmd.Sources, wrong) {
			break
		}
		res, err = dn.foldOnce(dn.ctx, cmd, chain)
	}
	if dn.ctx.Err() != nil {
		return
	}
	m := &dn.groups.metrics
	switch {
	case err != nil:
		m.failures.Inc()
		dn.cfg.Log.Warn("fold failed", "block", cmd.Block.String(), "sources", len(cmd.Sources), "err", err)
	case cmd.Sum.HasCRC:
		m.rebuilds.Inc()
	default:
		m.folds.Inc()
	}
	if err == nil {
		dn.cfg.Log.Info("folded", "block", res.replica.Block.String(), "sources", len(cmd.Sources), "bytes", res.replica.Block.Length, "took", time.Since(start))
		dn.notify(control.EventReceived, res.replica.Block, res.replica.Storage)
	}
	s.addFold(dn.foldDone(cmd, res, err))
}

// dropPlace takes the place of a replica that is not what it should be from its source's; false
// if there is no other.
func dropPlace(sources []control.Source, wrong *wrongSum) bool {
	for i := range sources {
		t := sources[i].Targets
		if sources[i].Block.ID != wrong.source || wrong.place < 0 || len(t) < 2 {
			continue
		}
		sources[i].Targets = append(t[:wrong.place:wrong.place], t[wrong.place+1:]...)
		return true
	}
	return false
}

func (dn *DataNode) foldDone(cmd control.Command, res foldResult, err error) *control.FoldDoneRequest {
	done := &control.FoldDoneRequest{UUID: dn.ID().UUID, PoolID: dn.state.cluster.PoolID, Block: cmd.Block}
	if err != nil {
		done.Err = err.Error()
		return done
	}
	done.Block, done.Storage, done.CRC, done.Members = res.replica.Block, res.replica.Storage, res.crc, res.members
	return done
}

// foldOnce makes the replica, unless it is there already.
func (dn *DataNode) foldOnce(ctx context.Context, cmd control.Command, chain bool) (foldResult, error) {
	if len(cmd.Sources) == 0 {
		return foldResult{}, dfs.Errorf(dfs.IllegalArgument, "%v is to be made of nothing", cmd.Block)
	}
	b := cmd.Block
	if b.Length < 0 {
		for i := range cmd.Sources {
			b.Length = max(b.Length, cmd.Sources[i].Block.Length)
		}
	}
	replace := false
	if x, ok := dn.state.store.Get(b.ID); ok && x.Block == b && x.State == dfs.ReplicaFinalized {
		res, err := dn.foldedAlready(ctx, cmd, x)
		if err == nil || ctx.Err() != nil {
			return res, err
		}
		dn.cfg.Log.Warn("replica is to be replaced", "block", b.String(), "err", err)
		replace = true
	}
	sum := datatransfer.Checksum{Type: cmd.Sum.Checksum, BytesPer: uint32(max(0, cmd.Sum.BytesPer))}
	if sum.BytesPer == 0 {
		sum = datatransfer.DefaultChecksum
	}
	o := blockstore.CreateOptions{Block: b, Shadow: true, Replace: replace, Expected: b.Length, Checksum: sum.Type, BytesPerChecksum: int(sum.BytesPer)}
	if len(cmd.Targets) > 0 {
		o.Storage, o.Type = cmd.Targets[0].Storage, cmd.Targets[0].Type
	}
	w, err := dn.state.store.Create(o)
	if err != nil {
		return foldResult{}, err
	}
	x := dn.exclusiveOf(ctx, cmd.Sources, 0, b.Length, pieceFor(b.Length, int64(sum.BytesPer), foldPiece), exclusiveOptions{client: foldClient, chain: chain, sums: true})
	res, err := dn.foldInto(ctx, w, x, cmd.Sum, sum)
	x.close()
	if cerr := w.Close(); cerr != nil {
		dn.cfg.Log.Warn("writer not closed", "block", b.String(), "err", cerr)
	}
	return res, err
}

// foldInto writes the exclusive or of the sources, and finalizes it when all of them were
// what they should be and so is it.
func (dn *DataNode) foldInto(ctx context.Context, w *blockstore.Writer, x *exclusive, want control.Sum, sum datatransfer.Checksum) (res foldResult, err error) {
	rest := foldRest
	if want.HasCRC {
		rest = rebuildRest
	}
	buf := getPiece(x.piece)
	defer putPiece(buf)
	sums := make([]byte, sum.Size(len(buf)))
	tally := newTally(sum)
	for at := int64(0); x.left() > 0; {
		start := time.Now()
		b := buf[:x.left()]
		read, err := x.next(b)
		if err != nil {
			return res, err
		}
		covers := sums[:sum.Size(len(b))]
		sum.Fill(covers, b)
		tally.add(b, covers)
		if err := w.Write(at, b, covers, true); err != nil {
			return res, err
		}
		at += int64(len(b))
		dn.groups.metrics.written.Add(float64(len(b)))
		if err := dn.groups.pace(ctx, read, time.Since(start), rest); err != nil {
			return res, err
		}
	}
	if err := x.finish(); err != nil {
		return res, err
	}
	res.crc = tally.crc()
	if res.members, err = x.proof(res.crc, want); err != nil {
		return res, err
	}
	res.replica, err = w.Finalize()
	return res, err
}

// tally is the CRC32C of bytes that come with their chunk checksums: joined from those, or of
// the bytes if they are of another kind.
type tally struct {
	stripes *raid.Stripes
	sum     uint32
}

func newTally(sum datatransfer.Checksum) *tally {
	if sum.Type != dfs.ChecksumCRC32C {
		return &tally{}
	}
	return &tally{stripes: raid.CRC32C.NewStripes(int64(sum.BytesPer), 0)}
}

// add takes the next bytes: whole chunks but for the last.
func (t *tally) add(data, sums []byte) {
	if t.stripes != nil {
		t.stripes.Add(sums, int64(len(data)))
	} else {
		t.sum = crc32.Update(t.sum, castagnoli, data)
	}
}

func (t *tally) crc() uint32 {
	if t.stripes != nil {
		return t.stripes.CRC()
	}
	return t.sum
}

// proof lists what was read, and compares the result's CRC with the recorded one and, if
// all sources were read to their ends, with what theirs make it.
func (x *exclusive) proof(crc uint32, want control.Sum) ([]dfs.ParityMember, error) {
	if want.HasCRC && want.CRC != crc {
		return nil, dfs.Errorf(dfs.Corrupt, "the exclusive or has the CRC %08x instead of %08x", crc, want.CRC)
	}
	members := make([]dfs.ParityMember, 0, len(x.sources))
	sums := make([]raid.Sum, 0, len(x.sources))
	for i := range x.sources {
		m := dfs.ParityMember{Block: x.sources[i].Block, CRC: x.sources[i].CRC}
		if f := x.feedOf(&x.sources[i]); f != nil {
			m.CRC, m.Checksum, m.BytesPer = f.crc, f.checksum.Type, int(f.checksum.BytesPer)
			sums = append(sums, raid.Sum{CRC: f.crc, Length: f.end})
		}
		members = append(members, m)
	}
	if len(sums) < len(x.sources) {
		return members, nil
	}
	if made := raid.ParityCRC(sums...); crc != raid.ExtendCRC(made.CRC, x.end-made.Length) {
		return nil, dfs.Errorf(dfs.Corrupt, "the exclusive or has the CRC %08x, its sources make it %08x", crc, made.CRC)
	}
	return members, nil
}

// foldedAlready answers for a replica that is there when its fold is ordered: the command
// came twice, or the replica is damaged and to be replaced, which is an error. All of it is
// read again.
func (dn *DataNode) foldedAlready(ctx context.Context, cmd control.Command, x blockstore.Replica) (foldResult, error) {
	self := control.Target{Node: dn.ID(), Storage: x.Storage}
	res := foldResult{replica: x}
	own, err := dn.sumOf(ctx, control.Source{Block: x.Block, Targets: []control.Target{self}}, &self, true)
	if err != nil {
		return res, err
	}
	if cmd.Sum.HasCRC && own.CRC != cmd.Sum.CRC {
		return res, dfs.Errorf(dfs.Corrupt, "%v has the CRC %08x instead of %08x", x.Block, own.CRC, cmd.Sum.CRC)
	}
	res.crc = own.CRC
	sums := make([]raid.Sum, 0, len(cmd.Sources))
	for _, src := range cmd.Sources {
		m, err := dn.sumOfAny(ctx, src)
		if err != nil {
			return res, err
		}
		res.members = append(res.members, m)
		sums = append(sums, raid.Sum{CRC: m.CRC, Length: m.Block.Length})
	}
	made := raid.ParityCRC(sums...)
	switch {
	case cmd.Sum.HasCRC: // it is proven
	case made.Length > x.Block.Length:
		return res, dfs.Errorf(dfs.Corrupt, "%v has %d bytes, its sources %d", x.Block, x.Block.Length, made.Length)
	case raid.ExtendCRC(made.CRC, x.Block.Length-made.Length) != own.CRC:
		return res, dfs.Errorf(dfs.Corrupt, "%v has the CRC %08x, its sources make it %08x", x.Block, own.CRC, made.CRC)
	}
	return res, nil
}
