package datanode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// sumOf gives the CRC32C of a replica's bytes and how its checksums are kept. Without read,
// and if its checksums are CRC32C, it is what the checksums add up to, and no data is read;
// else all data is, verified.
func (dn *DataNode) sumOf(ctx context.Context, src control.Source, at *control.Target, read bool) (dfs.ParityMember, error) {
	m := dfs.ParityMember{Block: src.Block}
	if !read {
		typ, per, crc, err := dn.composite(ctx, src.Block, at)
		if err != nil {
			return m, err
		}
		if m.Checksum, m.BytesPer, m.CRC = typ, per, crc; typ == dfs.ChecksumCRC32C {
			return m, nil
		}
	}
	src.Targets, src.HasCRC = []control.Target{*at}, false
	x := dn.exclusiveOf(ctx, []control.Source{src}, 0, src.Block.Length, foldPiece, exclusiveOptions{client: foldClient, sums: true})
	defer x.close()
	buf := getPiece(foldPiece)
	defer putPiece(buf)
	for x.left() > 0 {
		start := time.Now()
		n, err := x.next(buf)
		if err == nil {
			err = dn.groups.pace(ctx, n, time.Since(start), foldRest)
		}
		if err != nil {
			return m, err
		}
	}
	if err := x.finish(); err != nil {
		return m, err
	}
	f := x.feeds[0]
	m.Checksum, m.BytesPer, m.CRC = f.checksum.Type, int(f.checksum.BytesPer), f.crc
	return m, nil
}

// sumOfAny is sumOf for the first place that has the block with the CRC that is recorded.
func (dn *DataNode) sumOfAny(ctx context.Context, src control.Source) (dfs.ParityMember, error) {
	errs := []error{fmt.Errorf("datanode: no replica of %v is as it should be", src.Block)}
	for i := range src.Targets {
		m, err := dn.sumOf(ctx, src, &src.Targets[i], false)
		if err == nil && src.HasCRC && m.CRC != src.CRC {
			err = &wrongSum{source: src.Block.ID, place: i, got: m.CRC, want: src.CRC}
		}
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
	}
	return dfs.ParityMember{}, errors.Join(errs...)
}

// composite gives what a replica's checksums add up to: the CRC of its bytes, of the
// checksums' own type.
func (dn *DataNode) composite(ctx context.Context, b dfs.Block, at *control.Target) (dfs.ChecksumType, int, uint32, error) {
	if at.Node.UUID == dn.ID().UUID {
		x, ok := dn.state.store.Get(b.ID)
		if !ok || x.Block != b || x.State != dfs.ReplicaFinalized {
			return 0, 0, 0, dfs.Errorf(dfs.ReplicaNotFound, "Replica not found for %v of %d bytes", b, b.Length)
		}
		sum, err := dn.state.store.CompositeCRC(ctx, b, b.Length, 0)
		if err != nil {
			return 0, 0, 0, err
		}
		return sum.Type, sum.BytesPerChecksum, binary.BigEndian.Uint32(sum.Sum), nil
	}
	addr := transferAddr(&at.Node)
	nc, err := dn.dialContext(ctx, addr)
	if err != nil {
		return 0, 0, 0, &dfs.Error{Kind: dfs.Unavailable, Path: addr, Err: err}
	}
	defer dn.removeConn(nc)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // ends a read that waits
	defer stop()
	if err := nc.SetDeadline(time.Now().Add(dn.cfg.Timeouts.Read)); err != nil {
		return 0, 0, 0, err
	}
	c := datatransfer.NewConn(nc)
	defer c.Release()
	resp, err := c.Call(&datatransfer.ChecksumRequest{
		Block: datatransfer.BlockRef{PoolID: dn.state.cluster.PoolID, Block: b}, Kind: datatransfer.ChecksumComposite,
	})
	if err == nil {
		err = resp.Err()
	}
	if err == nil && (resp.Checksum == nil || len(resp.Checksum.Sum) != 4) {
		err = fmt.Errorf("datanode: %s answered without a composite CRC of %v", addr, b)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	r := resp.Checksum
	return r.Type, int(r.BytesPerCRC), binary.BigEndian.Uint32(r.Sum), nil
}

// scrubGroup carries out a CmdScrubGroup. Each replica whose checksums don't add up to what
// is recorded is told to the name nodes; one that can't be asked is left for the next time.
func (dn *DataNode) scrubGroup(cmd control.Command) {
	x, ok := dn.state.store.Get(cmd.Block.ID)
	if !ok || x.Block.GenStamp != cmd.Block.GenStamp {
		dn.cfg.Log.Info("group not scrubbed: its parity is not here", "block", cmd.Block.String())
		return
	}
	self := control.Target{Node: dn.ID(), Storage: x.Storage}
	all := append([]control.Source{{Block: x.Block, Targets: []control.Target{self}, CRC: cmd.Sum.CRC, HasCRC: cmd.Sum.HasCRC}}, cmd.Sources...)
	var sums []raid.Sum
	for _, src := range all {
		if m, ok := dn.checkSource(dn.ctx, src); ok {
			sums = append(sums, raid.Sum{CRC: m.CRC, Length: m.Block.Length})
		}
		if dn.ctx.Err() != nil {
			return
		}
	}
	dn.groups.metrics.scrubs.Inc()
	if len(sums) == len(all) && raid.ParityCRC(sums[1:]...) != sums[0] {
		dn.groups.metrics.disagree.Inc()
		dn.cfg.Log.Error("parity group does not add up", "block", cmd.Block.String(), "parity", sums[0], "members", sums[1:])
	}
}

// checkSources is the kind of work that is left when a block that was made for a reader was not
// what is recorded: one of its sources must be wrong. It never comes over the wire.
const checkSources control.CommandKind = 255

// checkAll finds out which sources are not as recorded, and tells.
func (dn *DataNode) checkAll(sources []control.Source) {
	for _, src := range sources {
		dn.checkSource(dn.ctx, src)
	}
}

// checkSource checks all replicas of a block of a group; ok says that one was found that is as
// recorded.
func (dn *DataNode) checkSource(ctx context.Context, src control.Source) (good dfs.ParityMember, ok bool) {
	for i := range src.Targets {
		at := &src.Targets[i]
		m, err := dn.sumOf(ctx, src, at, false)
		switch {
		case ctx.Err() != nil:
			return good, false
		case err != nil:
			dn.cfg.Log.Info("replica not scrubbed", "block", src.Block.String(), "node", at.Node.UUID, "err", err)
		case src.HasCRC && m.CRC != src.CRC:
			dn.reportBad(src.Block, at, &wrongSum{source: src.Block.ID, place: i, got: m.CRC, want: src.CRC})
		default:
			good, ok = m, true
		}
	}
	return good, ok
}
