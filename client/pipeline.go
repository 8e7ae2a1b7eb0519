package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
)

// pipeline is a connection to the first datanode of a block that is being written, and
// the packets that it has not acknowledged yet. Its owner sends from one goroutine; a
// second one reads acknowledgements, a third sends heartbeats.
type pipeline struct {
	conn  *datatransfer.Conn
	nodes int

	sendMu sync.Mutex // one packet at a time goes out
	sent   time.Time  // of the last packet

	mu      sync.Mutex
	unacked []*packet
	sending *packet // its frame is being written
	acked   int64   // bytes of the block that every datanode has
	err     error
	bad     int // index of the datanode to blame; -1 unknown

	signal chan struct{} // cap 1: something above has changed
	done   chan struct{} // closed when the goroutines should end
	wg     sync.WaitGroup
	stop   func() bool
}

func newPipeline(ctx context.Context, cfg *Config, conn *datatransfer.Conn, nodes int, acked int64) *pipeline {
	p := &pipeline{conn: conn, nodes: nodes, acked: acked, bad: -1, signal: make(chan struct{}, 1), done: make(chan struct{}), sent: time.Now()}
	p.stop = context.AfterFunc(ctx, func() { p.fail(ctx.Err(), -1) })
	p.wg.Add(2)
	go p.readAcks(cfg.Write.timeout(nodes))
	go p.heartbeat(cfg.Write.Heartbeat)
	return p
}

func (p *pipeline) notify() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// fail records why the pipeline broke; the first reason counts. It ends the connection.
func (p *pipeline) fail(err error, bad int) {
	p.mu.Lock()
	if p.err == nil {
		p.err, p.bad = err, bad
	}
	p.mu.Unlock()
	_ = p.conn.Close() // the cause is known
	p.notify()
}

// failure gives why the pipeline broke, nil while it works.
func (p *pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// readAcks takes acknowledgements until the connection ends or the block is complete.
func (p *pipeline) readAcks(timeout time.Duration) {
	defer p.wg.Done()
	var ack datatransfer.Ack
	var deadline time.Time
	for {
		if now := time.Now(); deadline.Sub(now) < timeout*3/4 {
			deadline = now.Add(timeout)
			if err := p.conn.Net.SetReadDeadline(deadline); err != nil {
				p.fail(err, -1)
				return
			}
		}
		if err := p.conn.ReadAck(&ack); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			p.fail(fmt.Errorf("client: datanode gave no acknowledgement: %w", err), -1)
			return
		}
		last, err := p.take(&ack)
		if err != nil {
			p.fail(err, ack.FirstBad())
			return
		}
		p.notify()
		if last {
			return
		}
	}
}

// take applies one acknowledgement and says whether it was the block's last.
func (p *pipeline) take(ack *datatransfer.Ack) (last bool, err error) {
	if bad := ack.FirstBad(); bad >= 0 {
		return false, &dfs.Error{Op: "write", Kind: dfs.Other, Msg: fmt.Sprintf("Bad response %v from datanode %d of the pipeline", ack.Replies[bad], bad)}
	}
	if ack.Seqno == datatransfer.HeartbeatSeqno {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unacked) == 0 || p.unacked[0].header.Seqno != ack.Seqno || len(ack.Replies) != p.nodes {
		return false, fmt.Errorf("client: unexpected acknowledgement of packet %d by %d datanodes", ack.Seqno, len(ack.Replies))
	}
	front := p.unacked[0]
	p.unacked = p.unacked[1:]
	p.acked = max(p.acked, front.end())
	last = front.header.Last
	if front != p.sending { // else the collector gets it
		front.release()
	}
	return last, nil
}

// heartbeat keeps a silent pipeline alive.
func (p *pipeline) heartbeat(every time.Duration) {
	defer p.wg.Done()
	t := time.NewTicker(every / 2)
	defer t.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-t.C:
		}
		p.sendMu.Lock()
		if time.Since(p.sent) >= every/2 {
			h := datatransfer.Header{Seqno: datatransfer.HeartbeatSeqno}
			beat, _, _ := datatransfer.AppendPacket(nil, &h, 0)
			if _, err := p.conn.Write(beat); err != nil {
				p.fail(err, -1)
			}
			p.sent = time.Now()
		}
		p.sendMu.Unlock()
	}
}

// send queues a packet as unacknowledged and sends it. From then on the packet is the
// pipeline's; when sending fails it is among those to be sent again.
func (p *pipeline) send(k *packet) error {
	frame := k.frame
	p.mu.Lock()
	p.unacked = append(p.unacked, k)
	p.sending = k
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return err
	}
	p.sendMu.Lock()
	_, err = p.conn.Write(frame)
	p.sent = time.Now()
	p.sendMu.Unlock()
	p.mu.Lock()
	p.sending = nil
	p.mu.Unlock()
	if err != nil {
		p.fail(fmt.Errorf("client: write to datanode: %w", err), -1)
	}
	return p.failure()
}

// wait returns when no more than n packets are unacknowledged, or with the failure.
func (p *pipeline) wait(n int) error {
	for {
		p.mu.Lock()
		left, err := len(p.unacked), p.err
		p.mu.Unlock()
		if left <= n && (err == nil || left == 0) {
			return nil
		}
		if err != nil {
			return err
		}
		<-p.signal
	}
}

// close ends the pipeline and gives what was not acknowledged, oldest first.
func (p *pipeline) close() []*packet {
	p.stop()
	close(p.done)
	_ = p.conn.Close() // all that counts was acknowledged
	p.wg.Wait()
	p.conn.Release()
	return p.unacked
}
