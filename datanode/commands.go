package datanode

import (
	"redoubt/dfs"
	"redoubt/wire/control"
)

// execute carries out a command of the active name node in the background, as long as
// Close has not begun. Commands for another pool are dropped.
func (dn *DataNode) execute(s *session, c control.Command) {
	if c.PoolID != "" && c.PoolID != dn.state.cluster.PoolID {
		dn.cfg.Log.Warn("command for another block pool", "pool", c.PoolID, "kind", c.Kind)
		return
	}
	dn.metrics.commands.Inc()
	var work func()
	switch c.Kind {
	case control.CmdTransfer:
		work = func() { dn.copyTo(c) }
	case control.CmdMove:
		work = func() { dn.move(c) }
	case control.CmdInvalidate:
		dn.state.removals.begin()
		work = func() {
			defer dn.state.removals.end()
			dn.invalidate(c.Blocks)
		}
	case control.CmdRecover:
		work = func() { dn.recoverBlock(s, c) }
	case control.CmdFold, control.CmdScrubGroup:
		dn.enqueue(s, c)
		return
	case control.CmdBandwidth:
		if c.Value > 0 { // as in HDFS, 0 changes nothing
			dn.moves.limit.rate.Store(c.Value)
		}
		return
	case control.CmdShutdown:
		dn.fail(ErrShutdown)
		return
	default:
		if c.Kind != control.CmdNone {
			dn.cfg.Log.Warn("unknown command", "kind", c.Kind)
		}
		return
	}
	dn.background(work)
}

// invalidate removes replicas that the name node no longer wants.
func (dn *DataNode) invalidate(blocks []dfs.Block) {
	for _, b := range blocks {
		if dn.ctx.Err() != nil {
			return
		}
		r, ok := dn.state.store.Get(b.ID)
		if !ok {
			dn.notify(control.EventDeleted, b, "") // it may have lost the first notice
			continue
		}
		if err := dn.state.store.Invalidate(b); err != nil {
			dn.cfg.Log.Warn("replica not removed", "block", b.String(), "err", err)
			continue
		}
		dn.metrics.removed.Inc()
		dn.notify(control.EventDeleted, r.Block, r.Storage)
	}
}

// scrubLoop reads everything once per period at a bounded rate. What it finds goes to
// onBad.
func (dn *DataNode) scrubLoop() {
	l := dn.cfg.Limits
	pace := newThrottle(l.ScrubBandwidth)
	for {
		stats, err := dn.state.store.Scrub(dn.ctx, pace.wait)
		if dn.ctx.Err() != nil {
			return
		}
		dn.metrics.scrubbed.Add(float64(stats.Bytes))
		if err != nil {
			dn.cfg.Log.Warn("scrub ended early", "err", err)
		}
		if stats.Replicas > 0 {
			dn.cfg.Log.Info("scrub done", "replicas", stats.Replicas, "bytes", stats.Bytes, "bad", stats.Bad)
		}
		if !sleep(dn.ctx, l.ScrubPeriod) {
			return
		}
	}
}
