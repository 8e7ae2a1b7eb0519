package datanode

import (
	"context"
	"errors"
	"time"

	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/control"
	"redoubt/wire/datatransfer"
)

// chainLeast is the range from which on the sources of an exclusive or come along a chain of
// datanodes and not each by itself: a chain takes longer to begin, but carries every byte
// once over each link, where the reader's own link would take them all.
const chainLeast = 256 << 10

// split parts sources into those of this datanode and the others.
func (dn *DataNode) split(sources []control.Source) (own, others []control.Source) {
	self := dn.ID().UUID
next:
	for _, src := range sources {
		for i := range src.Targets {
			if src.Targets[i].Node.UUID == self {
				own = append(own, src)
				continue next
			}
		}
		others = append(others, src)
	}
	return own, others
}

// newChain is a feed of the exclusive or of sources on other datanodes.
func newChain(dn *DataNode, sources []control.Source, off, end int64, piece int, client string) *feed {
	virtual := control.Source{Block: sources[0].Block}
	for _, src := range sources {
		virtual.Block.Length = max(virtual.Block.Length, src.Block.Length)
	}
	f := newFeed(dn, virtual, off, end, piece, client)
	f.chain = sources
	return f
}

// openChain asks the first datanode of the chain.
func (f *feed) openChain(ctx context.Context) (replicaStream, error) {
	for i := range f.chain {
		if len(f.chain[i].Targets) == 0 {
			return nil, dfs.Errorf(dfs.Unavailable, "no place of %v is known", f.chain[i].Block)
		}
	}
	body, err := control.AppendChain(nil, &control.ChainRequest{
		PoolID: f.dn.state.cluster.PoolID, Client: f.client, Offset: f.at, End: f.end, Sources: f.chain,
	})
	if err != nil {
		return nil, err
	}
	return f.openStream(ctx, &f.chain[0].Targets[0], func(c *datatransfer.Conn) (*datatransfer.BlockReader, error) {
		return c.StartCustomRead(body, f.at, f.end-f.at)
	})
}

// serveChain answers a ChainRequest: what is here joined with what the rest of the chain
// sends.
func (dn *DataNode) serveChain(c *datatransfer.Conn, q *datatransfer.CustomRequest) (again bool, err error) {
	d, client, err := dn.openLink(q.Body)
	if err != nil {
		return true, errors.Join(err, dn.refuse(c, err))
	}
	defer d.Close()
	dn.groups.metrics.links.Inc()
	head, err := datatransfer.AppendResponse(nil, &datatransfer.Response{Read: &datatransfer.ReadInfo{Checksum: d.sum, ChunkOffset: d.start}})
	if err != nil {
		return false, err
	}
	out := sender{dn: dn, c: c, client: client != foldClient, yields: client == foldClient, last: time.Now(), packet: int64(d.x.piece), eager: true}
	if _, err := out.send(head, d, d.sum); err != nil {
		if !out.begun {
			return true, errors.Join(err, dn.refuse(c, err))
		}
		return false, err
	}
	if err := c.Net.SetReadDeadline(time.Now().Add(dn.cfg.Timeouts.Read)); err != nil {
		return false, err
	}
	_, err = c.ReadStatus()
	return err == nil, err
}

// openLink begins this datanode's part of a chain, up to the first bytes. Every link has a
// source itself, so that a chain ends.
func (dn *DataNode) openLink(body []byte) (*degraded, string, error) {
	req, err := control.DecodeChain(body)
	if err != nil { // somebody else's custom operation, or a newer one
		return nil, "", dfs.Errorf(dfs.Unsupported, "%s is not supported: %v", datatransfer.OpCustom, err)
	}
	if err := dn.checkPool(datatransfer.BlockRef{PoolID: req.PoolID}); err != nil {
		return nil, "", err
	}
	own, _ := dn.split(req.Sources)
	longest := int64(0)
	for i := range req.Sources {
		longest = max(longest, req.Sources[i].Block.Length)
	}
	if req.End > longest {
		return nil, "", dfs.Errorf(dfs.IllegalArgument, "a chain of %d bytes to %d", longest, req.End)
	}
	if len(own) == 0 || len(req.Sources) > raid.MaxData+1 {
		return nil, "", dfs.Errorf(dfs.IllegalArgument, "a chain of %d sources, %d of them here", len(req.Sources), len(own))
	}
	sum := datatransfer.DefaultChecksum
	x := dn.exclusiveOf(dn.ctx, req.Sources, req.Offset, req.End, pieceFor(req.End-req.Offset, int64(sum.BytesPer), packetData), exclusiveOptions{client: req.Client, chain: true, strict: true})
	d := newDegraded(dn, own[0].Block, sum, control.Sum{}, x)
	d.link = true
	if err := d.begin(); err != nil {
		return nil, "", err
	}
	return d, req.Client, nil
}
