package client

import (
	"context"
	"errors"
	"io"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// blockStream is one READ_BLOCK under way.
type blockStream struct {
	peers   *peers
	node    *dfs.DatanodeID
	conn    *datatransfer.Conn
	reader  *datatransfer.BlockReader
	stop    func() bool // ends the watch on the context
	timeout time.Duration
	timed   time.Time // until when the read deadline is set
}

// openStream asks a datanode for bytes of a block. A kept connection that turns out to be
// dead is replaced by a fresh one.
func (c *Client) openStream(ctx context.Context, node *dfs.DatanodeID, q *datatransfer.ReadRequest) (*blockStream, error) {
	for conn := c.peers.take(node); conn != nil; conn = c.peers.take(node) {
		s, err := c.startStream(ctx, conn, node, q)
		if err == nil || dfs.KindOf(err) != dfs.Other || errors.As(err, new(*dfs.Error)) {
			return s, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	conn, err := c.peers.dial(ctx, node)
	if err != nil {
		return nil, err
	}
	return c.startStream(ctx, conn, node, q)
}

func (c *Client) startStream(ctx context.Context, conn *datatransfer.Conn, node *dfs.DatanodeID, q *datatransfer.ReadRequest) (*blockStream, error) {
	s := &blockStream{peers: &c.peers, node: node, conn: conn, timeout: c.cfg.Read.Timeout}
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := s.extend()
	if err == nil {
		s.reader, err = conn.StartRead(q)
	}
	if err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

// extend moves the deadline on when it has come near, so that it costs a system call
// only now and then.
func (s *blockStream) extend() error {
	now := time.Now()
	if s.timed.Sub(now) > s.timeout/2 {
		return nil
	}
	s.timed = now.Add(s.timeout)
	return s.conn.Net.SetReadDeadline(s.timed)
}

// next gives the next verified bytes, valid until the next call; io.EOF after the last.
func (s *blockStream) next() ([]byte, error) {
	if err := s.extend(); err != nil {
		return nil, err
	}
	b, err := s.reader.Next()
	if dfs.Is(err, dfs.Corrupt) {
		// A courtesy, for which nobody waits long.
		if s.conn.Net.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_ = s.reader.Reject()
		}
	}
	return b, err
}

// finish ends the stream after its last byte and keeps the connection.
func (s *blockStream) finish() {
	if !s.stop() || s.reader.Finish() != nil {
		drop(s.conn)
		return
	}
	s.peers.keep(s.node, s.conn)
}

// abort ends the stream at any point.
func (s *blockStream) abort() {
	s.stop()
	drop(s.conn)
}

// drain reads on to the end of the block when that is near, so that the connection can
// be kept.
func (s *blockStream) drain() {
	for {
		if _, err := s.next(); err == io.EOF {
			s.finish()
			return
		} else if err != nil {
			s.abort()
			return
		}
	}
}
