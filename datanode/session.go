package datanode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// session is the relation to one name node. Its heartbeats goroutine registers and beats,
// its reports goroutine sends everything about replicas, in order.
type session struct {
	dn   *DataNode
	addr string
	nn   *control.NameNodeClient
	beat chan struct{} // cap 1: heartbeat now
	wake chan struct{} // cap 1: something to report
	told bool          // that the name node can't be reached; heartbeats goroutine only

	mu         sync.Mutex
	registered bool
	epoch      uint64 // of the name node's start
	full       bool   // a full report is due
	events     []control.ReplicaEvent
	bad        []dfs.BadBlock
	folds      []*control.FoldDoneRequest
	heartbeat  time.Duration
	interval   time.Duration // of full reports
}

// maxQueued bounds the events that wait for a name node that is down. More are replaced
// by a full report.
const maxQueued = 1 << 16

func newSession(dn *DataNode, addr string) *session {
	return &session{
		dn: dn, addr: addr, beat: make(chan struct{}, 1), wake: make(chan struct{}, 1), full: true,
		heartbeat: 3 * time.Second, interval: 6 * time.Hour,
		nn: control.NewNameNodeClient(control.ClientConfig{
			Addr: addr, User: dn.user(), Dial: dn.cfg.Network.Dial, DialTimeout: dn.cfg.Timeouts.Dial,
			MinBackoff: 20 * time.Millisecond, MaxBackoff: 3 * time.Second,
		}),
	}
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// note logs a failure of the name node once until it works again.
func (s *session) note(msg string, err error) {
	if !s.told {
		s.dn.cfg.Log.Warn(msg, "namenode", s.addr, "err", err)
	}
	s.told = true
}

// heartbeats registers and then beats until the DataNode stops.
func (s *session) heartbeats() {
	ctx := s.dn.ctx
	for ctx.Err() == nil {
		if !s.isRegistered() {
			if err := s.register(ctx); err != nil {
				if fatal(err) {
					s.dn.fail(err)
					return
				}
				s.note("registration failed", err)
				sleep(ctx, s.pause(err))
				continue
			}
			s.told = false
			s.dn.cfg.Log.Info("registered", "namenode", s.addr, "uuid", s.dn.ID().UUID)
		}
		wait := s.beatOnce(ctx)
		select {
		case <-ctx.Done():
		case <-s.beat:
		case <-time.After(wait):
		}
	}
}

// fatal reports whether an error of registration can't be cured by trying again.
func fatal(err error) bool {
	switch dfs.KindOf(err) {
	case dfs.DisallowedDatanode, dfs.IncorrectVersion:
		return true
	}
	return false
}

func (s *session) register(ctx context.Context) error {
	hs, err := s.nn.Handshake(ctx, &control.HandshakeRequest{SoftwareVersion: SoftwareVersion})
	if err != nil {
		return err
	}
	if mine := s.dn.state.cluster; hs.Cluster.ClusterID != mine.ClusterID || hs.Cluster.PoolID != mine.PoolID {
		return dfs.Errorf(dfs.IncorrectVersion, "name node %s is of cluster %s, pool %s; this datanode's volumes belong to cluster %s, pool %s",
			s.addr, hs.Cluster.ClusterID, hs.Cluster.PoolID, mine.ClusterID, mine.PoolID)
	}
	if err := s.dn.state.removals.wait(ctx); err != nil {
		return err
	}
	served := s.dn.state.fence.get()
	reply, err := s.nn.Register(ctx, &control.RegisterRequest{
		Node: s.dn.ID(), Cluster: s.dn.state.cluster, SoftwareVersion: SoftwareVersion, Storages: s.dn.storageReports(),
		Process: s.dn.state.fence.process, ServedEpoch: served.Epoch, ToldEpoch: served.ToldEpoch, TxID: served.TxID, Moves: true,
	})
	if s.dn.state.fence.refuses(hs.Epoch) {
		return s.refusal(hs.Epoch) // it was told all the same, so that it says so too
	}
	if err != nil {
		return err
	}
	if err := s.dn.obeyFrom(hs.Epoch); err != nil {
		return err
	}
	s.dn.state.mu.Lock()
	if s.dn.state.self.IP == "" {
		s.dn.state.self.IP = reply.Node.IP
	}
	if s.dn.state.self.Host == "" {
		s.dn.state.self.Host = reply.Node.Host
	}
	s.dn.state.mu.Unlock()

	s.mu.Lock()
	s.registered, s.full, s.epoch = true, true, hs.Epoch
	if hs.HeartbeatMS > 0 {
		s.heartbeat = time.Duration(hs.HeartbeatMS) * time.Millisecond
	}
	if hs.ReportMS > 0 {
		s.interval = time.Duration(hs.ReportMS) * time.Millisecond
	}
	if t := s.dn.cfg.Timeouts; t.Heartbeat > 0 {
		s.heartbeat = t.Heartbeat
	}
	if t := s.dn.cfg.Timeouts; t.Report > 0 {
		s.interval = t.Report
	}
	s.mu.Unlock()
	if s.dn.state.fence.refuses(hs.Epoch) { // another session has met a newer one just now
		s.unregister()
		return s.refusal(hs.Epoch)
	}
	kick(s.wake)
	return nil
}

// beatOnce sends a heartbeat and obeys what comes back. It gives the time to the next.
func (s *session) beatOnce(ctx context.Context) time.Duration {
	failed := s.dn.checkVolumes()
	reply, err := s.nn.Heartbeat(ctx, &control.HeartbeatRequest{
		UUID: s.dn.ID().UUID, Storages: s.dn.storageReports(), Xceivers: uint32(s.dn.streams.Load()), FailedVolumes: failed,
		Process: s.dn.state.fence.process,
	})
	s.mu.Lock()
	interval := s.heartbeat
	s.mu.Unlock()
	if err != nil {
		s.note("heartbeat failed", err)
		if dfs.KindOf(err) == dfs.UnregisteredDatanode {
			s.unregister()
			return 0
		}
		return min(interval, max(s.nn.Backoff(), 100*time.Millisecond))
	}
	s.told = false
	if err := s.follow(reply); err != nil {
		s.note("heartbeat refused", err)
		s.unregister()
		return 0
	}
	if s.obey(reply.Commands, reply.Active) {
		return 0 // register again at once
	}
	return interval
}

// obey starts what the commands ask for; true if one asks for a new registration.
func (s *session) obey(commands []control.Command, active bool) (again bool) {
	for _, c := range commands {
		switch {
		case c.Kind == control.CmdRegister:
			s.unregister()
			again = true
		case c.Kind == control.CmdReport:
			s.requestReport()
		case active:
			s.dn.execute(s, c)
		}
	}
	return again
}

func (s *session) isRegistered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registered
}

func (s *session) unregister() {
	s.mu.Lock()
	s.registered = false
	s.mu.Unlock()
}

func (s *session) requestReport() {
	s.mu.Lock()
	s.full = true
	s.mu.Unlock()
	kick(s.wake)
}

func (s *session) addEvent(e control.ReplicaEvent) {
	s.mu.Lock()
	if len(s.events) >= maxQueued {
		s.events, s.full = nil, true
	} else {
		s.events = append(s.events, e)
	}
	s.mu.Unlock()
	kick(s.wake)
}

// addFold tells the name node of a fold's end, after all that is told already.
func (s *session) addFold(f *control.FoldDoneRequest) {
	s.mu.Lock()
	if len(s.folds) < maxQueued {
		s.folds = append(s.folds, f)
	}
	s.mu.Unlock()
	kick(s.wake)
}

func (s *session) addBad(b dfs.BadBlock) {
	s.mu.Lock()
	if len(s.bad) < maxQueued {
		s.bad = append(s.bad, b)
	}
	s.mu.Unlock()
	kick(s.wake)
}

// reports sends full and incremental reports and bad blocks. One goroutine does it, so
// that what happened after a full report was gathered is told after it.
func (s *session) reports() {
	ctx := s.dn.ctx
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-next.C:
			s.requestReport()
		}
		for s.isRegistered() && ctx.Err() == nil {
			more, err := s.reportOnce(ctx, next)
			if err != nil {
				if dfs.KindOf(err) == dfs.UnregisteredDatanode {
					s.unregister()
					kick(s.beat)
				} else if ctx.Err() == nil {
					s.dn.cfg.Log.Warn("report failed", "namenode", s.addr, "err", err)
					sleep(ctx, max(s.nn.Backoff(), 100*time.Millisecond))
				}
				continue
			}
			if !more {
				break
			}
		}
	}
}

// reportOnce sends the most urgent thing that waits; more is false if nothing did.
func (s *session) reportOnce(ctx context.Context, next *time.Timer) (more bool, err error) {
	s.mu.Lock()
	full, events, bad, interval := s.full, s.events, s.bad, s.interval
	if full {
		s.full = false
		events = nil
	} else if len(events) > control.MaxEvents {
		events = events[:control.MaxEvents]
	}
	s.events = s.events[len(events):]
	if len(s.events) == 0 {
		s.events = nil // append must not write where the taken ones are
	}
	s.bad = nil
	s.mu.Unlock()
	uuid, pool := s.dn.ID().UUID, s.dn.state.cluster.PoolID
	switch {
	case full:
		if err = s.fullReport(ctx, uuid, pool); err == nil {
			next.Reset(interval)
			s.dn.isReady.Do(func() { close(s.dn.ready) })
		}
	case len(events) > 0:
		err = s.nn.Incremental(ctx, &control.IncrementalRequest{UUID: uuid, PoolID: pool, Events: events})
	case len(bad) > 0:
		for i := range bad {
			if len(bad[i].Nodes) == 0 {
				bad[i].Nodes = []dfs.DatanodeID{s.dn.ID()}
			}
		}
		if err = s.nn.BadBlocks(ctx, &control.BadBlocksRequest{Reporter: uuid, Blocks: bad}); err == nil {
			bad = nil
		}
	default:
		return s.tellFold(ctx)
	}
	s.mu.Lock()
	if err != nil {
		s.full = s.full || full
		s.events = append(events[:len(events):len(events)], s.events...)
	}
	s.bad = append(bad, s.bad...)
	s.mu.Unlock()
	return true, err
}

// tellFold tells of the fold that ended first. One that the name node doesn't want to hear of
// is forgotten: it has begun anew meanwhile.
func (s *session) tellFold(ctx context.Context) (more bool, err error) {
	s.mu.Lock()
	if len(s.folds) == 0 {
		s.mu.Unlock()
		return false, nil
	}
	f := s.folds[0]
	s.mu.Unlock()
	err = s.nn.FoldDone(ctx, f)
	switch dfs.KindOf(err) {
	case dfs.Unavailable, dfs.Canceled, dfs.UnregisteredDatanode, dfs.Retriable:
		return true, err
	}
	if err != nil {
		s.dn.cfg.Log.Info("fold not wanted", "namenode", s.addr, "block", f.Block.String(), "err", err)
	}
	s.mu.Lock()
	if s.folds = s.folds[1:]; len(s.folds) == 0 {
		s.folds = nil
	}
	s.mu.Unlock()
	return true, nil
}

// fullReport tells all replicas of all working volumes.
func (s *session) fullReport(ctx context.Context, uuid, pool string) error {
	id := rand.Uint64()
	for _, v := range s.dn.state.store.Volumes() {
		if v.Err != nil {
			continue
		}
		if err := s.reportVolume(ctx, uuid, pool, v.Storage, id); err != nil {
			return fmt.Errorf("full report of %s: %w", v.Storage, err)
		}
	}
	return nil
}

func (s *session) reportVolume(ctx context.Context, uuid, pool, storage string, id uint64) error {
	replicas := s.dn.state.store.Replicas(storage)
	per := s.dn.cfg.Limits.ReportReplicas
	parts := max(1, (len(replicas)+per-1)/per)
	var buf []byte
	for part := range parts {
		mine := replicas[part*per : min(len(replicas), (part+1)*per)]
		buf = encodeReplicas(buf[:0], mine)
		reply, err := s.nn.BlockReport(ctx, &control.BlockReportRequest{
			UUID: uuid, PoolID: pool, Storage: storage, ReportID: id, Part: part, Parts: parts, Count: len(mine), Blocks: buf,
		})
		if err != nil {
			return err
		}
		if !s.isRegistered() {
			return dfs.Errorf(dfs.UnregisteredDatanode, "name node %s is not served any more", s.addr)
		}
		if s.obey(reply.Commands, true) {
			kick(s.beat)
		}
	}
	return nil
}

func encodeReplicas(dst []byte, replicas []blockstore.Replica) []byte {
	var prev dfs.BlockID
	for _, r := range replicas {
		dst = control.AppendReplica(dst, prev, control.ReplicaInfo{Block: r.Block, State: r.State})
		prev = r.Block.ID
	}
	return dst
}

// notify tells all name nodes what happened to a replica.
func (dn *DataNode) notify(e control.Event, b dfs.Block, storage string) {
	for _, s := range dn.sessions {
		s.addEvent(control.ReplicaEvent{Event: e, Storage: storage, Block: b})
	}
}

func (dn *DataNode) storageReports() []dfs.StorageReport {
	var out []dfs.StorageReport
	for _, v := range dn.state.store.Volumes() {
		if v.Storage != "" {
			out = append(out, v.Report())
		}
	}
	return out
}

// onBad tells the name nodes of a damaged replica of this datanode.
func (dn *DataNode) onBad(b blockstore.Bad) {
	dn.cfg.Log.Error("damaged replica", "block", b.Block.String(), "storage", b.Storage, "err", b.Err)
	dn.metrics.bad.Inc()
	for _, s := range dn.sessions {
		s.addBad(dfs.BadBlock{Block: b.Block, Storages: []string{b.Storage}})
	}
}

// onCut says that a replica that was being written is shorter than it was meant to be. The
// block's recovery decides what counts.
func (dn *DataNode) onCut(b blockstore.Bad) {
	dn.cfg.Log.Warn("replica that was being written is cut to what its checksums prove", "block", b.Block.String(), "storage", b.Storage, "err", b.Err)
}

// checkVolumes lists the directories of the volumes that can't be used at the moment. When
// one can be used again, the name nodes, which have forgotten its replicas, get a full
// report. When none is left the DataNode stops.
func (dn *DataNode) checkVolumes() (failed []string) {
	back := false
	volumes := dn.state.store.Volumes()
	dn.state.mu.Lock()
	for _, v := range volumes {
		switch {
		case v.Err == nil:
			back = back || dn.state.failed[v.Dir]
			delete(dn.state.failed, v.Dir)
		case !dn.state.failed[v.Dir]:
			dn.state.failed[v.Dir] = true
			dn.cfg.Log.Error("volume can't be used", "dir", v.Dir, "err", v.Err)
			failed = append(failed, v.Dir)
		default:
			failed = append(failed, v.Dir)
		}
	}
	dn.state.mu.Unlock()
	if back {
		for _, s := range dn.sessions {
			s.requestReport()
		}
	}
	if len(failed) == len(volumes) {
		dn.fail(fmt.Errorf("datanode: no volume is left: %s: %w", volumes[0].Dir, volumes[0].Err))
	}
	return failed
}

func (dn *DataNode) onVolumeFailed(v blockstore.VolumeState) {
	dn.cfg.Log.Error("volume failed", "dir", v.Dir, "err", v.Err)
	dn.metrics.volumeFailures.Inc()
	for _, s := range dn.sessions {
		kick(s.beat)
	}
	select {
	case <-dn.state.opened:
	default:
		return // openStore looks itself
	}
	if err := dn.state.store.Usable(); err != nil {
		dn.fail(fmt.Errorf("datanode: %w", err))
	}
}
