package datanode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// acceptLoop takes data transfer connections until the listener is closed.
func (dn *DataNode) acceptLoop() {
	pause := time.Millisecond
	for {
		nc, err := dn.transfer.Accept()
		if err != nil {
			if dn.ctx.Err() != nil {
				return
			}
			if errors.Is(err, net.ErrClosed) {
				dn.fail(fmt.Errorf("datanode: data transfer port: %w", err))
				return
			}
			dn.cfg.Log.Warn("accept failed", "err", err) // out of descriptors, say: go on later
			sleep(dn.ctx, pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		if dn.streams.Load() >= int64(dn.cfg.Limits.Streams) {
			dn.metrics.refused.Inc()
			dn.refuser.Refuse(nc)
			continue
		}
		if !dn.addConn(nc) {
			_ = nc.Close() // it never was ours
			continue
		}
		dn.goRun(func() {
			defer dn.removeConn(nc)
			dn.serveConn(nc)
		})
	}
}

// addConn makes a connection known to Close; false if the DataNode is closed.
func (dn *DataNode) addConn(nc net.Conn) bool {
	dn.state.mu.Lock()
	defer dn.state.mu.Unlock()
	if dn.state.closed {
		return false
	}
	dn.state.conns[nc] = struct{}{}
	dn.streams.Add(1)
	return true
}

func (dn *DataNode) removeConn(nc net.Conn) {
	_ = nc.Close() // the peer may have done so
	dn.state.mu.Lock()
	delete(dn.state.conns, nc)
	dn.state.mu.Unlock()
	dn.streams.Add(-1)
}

// dial connects to a peer. The connection is known to Close; hang up with removeConn.
func (dn *DataNode) dial(addr string) (net.Conn, error) { return dn.dialContext(dn.ctx, addr) }

// dialContext is dial for somebody who may give up before.
func (dn *DataNode) dialContext(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dn.cfg.Timeouts.Dial)
	defer cancel()
	nc, err := dn.cfg.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if !dn.addConn(nc) {
		_ = nc.Close() // never used
		return nil, dfs.Errorf(dfs.Canceled, "datanode is closing")
	}
	return nc, nil
}

// serveConn answers the operations of one connection until one ends it.
func (dn *DataNode) serveConn(nc net.Conn) {
	c := datatransfer.NewConn(nc)
	c.Budget = dn.budget
	defer c.Release()
	wait := dn.cfg.Timeouts.Read
	for {
		if nc.SetReadDeadline(time.Now().Add(wait)) != nil {
			return
		}
		q, err := c.ReadOp()
		if err != nil {
			if errors.Is(err, datatransfer.ErrFrame) {
				dn.metrics.malformed.Inc()
				dn.cfg.Log.Info("malformed operation", "peer", nc.RemoteAddr(), "err", err)
			}
			return
		}
		start := time.Now()
		again, err := dn.serveOp(c, q)
		dn.metrics.observe(q.Op(), time.Since(start), err)
		if err != nil && !hungUp(err) {
			dn.cfg.Log.Info("stream failed", "op", q.Op().String(), "peer", nc.RemoteAddr(), "err", err)
		}
		if !again {
			return
		}
		c.Shrink()
		wait = dn.cfg.Timeouts.KeepAlive
	}
}

// hungUp reports whether an error only says that the peer is gone, which readers do at
// any time.
func hungUp(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.As(err, &ne)
}

// serveOp answers one operation. again says that the connection can carry another.
func (dn *DataNode) serveOp(c *datatransfer.Conn, q datatransfer.Request) (again bool, err error) {
	switch q := q.(type) {
	case *datatransfer.ReadRequest:
		return dn.serveRead(c, q)
	case *datatransfer.WriteRequest:
		return false, dn.serveWrite(c, q)
	case *datatransfer.CustomRequest:
		return dn.serveChain(c, q)
	case *datatransfer.ChecksumRequest:
		return dn.serveChecksum(c, q)
	case *datatransfer.ReplaceRequest:
		return false, dn.serveReplace(c, q)
	case *datatransfer.CopyRequest:
		return false, dn.serveCopy(c, q)
	case *datatransfer.TransferRequest:
		return dn.serveTransfer(c, q)
	}
	return false, dn.answer(c, &datatransfer.Response{Status: datatransfer.StatusUnsupported, Message: q.Op().String() + " is not supported"})
}

// checkPool refuses blocks of another cluster.
func (dn *DataNode) checkPool(b datatransfer.BlockRef) error {
	if b.PoolID != dn.state.cluster.PoolID {
		return dfs.Errorf(dfs.IllegalArgument, "block pool %s is not here, this datanode serves %s", b.PoolID, dn.state.cluster.PoolID)
	}
	return nil
}

// answer sends the response to an operation.
func (dn *DataNode) answer(c *datatransfer.Conn, resp *datatransfer.Response) error {
	if err := c.Net.SetWriteDeadline(time.Now().Add(dn.cfg.Timeouts.Write)); err != nil {
		return err
	}
	return c.SendResponse(resp)
}

// refuse answers an operation with an error.
func (dn *DataNode) refuse(c *datatransfer.Conn, err error) error {
	return dn.answer(c, &datatransfer.Response{Status: statusOf(err), Message: message(err)})
}

func message(err error) string {
	var e *dfs.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}

func statusOf(err error) datatransfer.Status {
	switch dfs.KindOf(err) {
	case dfs.Corrupt:
		return datatransfer.StatusErrorChecksum
	case dfs.AlreadyExists:
		return datatransfer.StatusErrorExists
	case dfs.Unsupported:
		return datatransfer.StatusUnsupported
	}
	return datatransfer.StatusError
}
