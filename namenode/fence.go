package namenode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
	"redoubt/wire/control"
)

// fence is what keeps two histories of one cluster apart.
//
// Every start of the name node begins an epoch (namespace.BeginEpoch): ids and stamps go on
// behind a gap of random width, so a history that went on from a copy of the directory, or
// from a log without its end, hands out other ones. Datanodes obey the newest epoch that
// they have met and refuse older ones, and they bring back what they were told.
type fence struct {
	mu     sync.Mutex
	newer  uint64            // the start epoch of a name node that has taken over the datanodes; 0: none
	who    string            // which datanode said so
	lost   map[string]string // by datanode: what it was told and this log does not have
	forks  []uint64          // the epochs of those who told it
	warned int64             // replicas of another history that the log has spoken of
	process

	reserved reserved
}

// Ids leave a gap of gapBlocks to twice that at every start, stamps one of gapStamps to twice
// that. Two histories that go on from one past give one id the same stamp only if their two
// draws of stamps differ by exactly as much as those of ids: in at most one case in gapStamps,
// and in fewer while they hand out less than gapBlocks ids.
// Stamps run out after 2^40 / 1.5 gapStamps, about 175,000 starts.
const (
	gapBlocks = 1 << 16
	gapStamps = 1 << 22
	// maxLeap is how far ids leap over those of another history. What is beyond is met again
	// long before the counter gets there; a damaged name of a file must not use up all ids.
	maxLeap = 1 << 28
)

// beginEpoch logs the start, before anything is handed out.
func (n *NameNode) beginEpoch(ctx context.Context, number uint64) error {
	n.state.RLock()
	c, now := n.ns.Counts(), n.ns.Epoch().Number
	n.state.RUnlock()
	if number <= now {
		number = journal.NextEpoch(now)
	}
	_, _, block, stamp := n.blocks.Future()
	floors := n.journal.Floors()
	op := &namespace.BeginEpoch{Head: namespace.Head{Time: n.clock().UnixMilli()}, Number: number,
		Block: max(above(c.NextBlock, block), dfs.BlockID(floors.BlockID)) + gapBlocks + dfs.BlockID(rand.Uint32N(gapBlocks)),
		Stamp: max(above(c.NextStamp, stamp), dfs.GenStamp(floors.GenStamp)) + gapStamps + dfs.GenStamp(rand.Uint32N(gapStamps))}
	if _, err := n.propose(ctx, op); err != nil {
		return err
	}
	return n.reserveIDs(ctx)
}

// reserveIDs makes it durable, outside of the log, that ids up to some way above the
// counters may be handed out before the next call. Whatever becomes of the log, the next
// start begins above them.
func (n *NameNode) reserveIDs(ctx context.Context) error {
	n.state.RLock()
	c := n.ns.Counts()
	n.state.RUnlock()
	block, stamp := uint64(c.NextBlock)+reserveAhead, uint64(c.NextStamp)+reserveAhead
	if err := n.journal.SetFloors(context.WithoutCancel(ctx), journal.Floors{BlockID: block, GenStamp: stamp}); err != nil {
		return err
	}
	n.fence.reserved.block.Store(block)
	n.fence.reserved.stamp.Store(stamp)
	return nil
}

// reserveAhead is how many ids a reservation is for. When half of them are handed out the
// next one is made, in the background; the last quarter is left only after it. One batch of
// the log hands out fewer than a quarter.
const reserveAhead = 1 << 17

// reserved is up to where ids may be handed out.
type reserved struct{ block, stamp atomic.Uint64 }

// near reports whether fewer than left ids of the reservation remain.
func (r *reserved) near(block dfs.BlockID, stamp dfs.GenStamp, left uint64) bool {
	return uint64(block)+left > r.block.Load() || uint64(stamp)+left > r.stamp.Load()
}

// handedOut is told of each id and stamp that a change has handed out, before anybody sees
// them; 0 is none.
func (n *NameNode) handedOut(ctx context.Context, block dfs.BlockID, stamp dfs.GenStamp) error {
	if !n.fence.reserved.near(block, stamp, reserveAhead/4) {
		return nil
	}
	return n.reserveIDs(ctx)
}

// renewReservation makes the next reservation early, so that no change waits for it.
func (n *NameNode) renewReservation(ctx context.Context) {
	n.state.RLock()
	c := n.ns.Counts()
	n.state.RUnlock()
	if !n.fence.reserved.near(c.NextBlock, c.NextStamp, reserveAhead/2) {
		return
	}
	if err := n.reserveIDs(ctx); err != nil {
		n.log.Warn("ids can't be reserved ahead now", "err", err)
	}
}

// above gives the first id that may follow: next, or what comes after seen if that can be
// reached.
func above[T ~uint64](next, seen T) T {
	if seen >= next && seen-next < maxLeap {
		return seen + 1
	}
	return next
}

// epoch is the number of this start, as datanodes are told.
func (n *NameNode) epoch() uint64 {
	n.state.RLock()
	defer n.state.RUnlock()
	return n.ns.Epoch().Number
}

// checkFence holds a datanode's memory against this name node's.
func (n *NameNode) checkFence(ctx context.Context, req *control.RegisterRequest) error {
	now := n.clock()
	if mine := n.epoch(); req.ServedEpoch > mine {
		n.superseded(req, mine)
		return dfs.Errorf(dfs.Fenced, "datanode %s has served a name node of this cluster with the newer start epoch %s; this one has %s",
			req.Node.UUID, dfs.EpochText(req.ServedEpoch), dfs.EpochText(mine))
	}
	n.checkTold(req)
	return n.admitProcess(ctx, req, now)
}

// superseded notes that a newer name node has the datanodes: this one changes nothing more.
func (n *NameNode) superseded(req *control.RegisterRequest, mine uint64) {
	f := &n.fence
	f.mu.Lock()
	if req.ServedEpoch > f.newer { // one datanode speaks for all: each of them says it at every heartbeat
		f.newer, f.who = req.ServedEpoch, addrText(req.Node)
	}
	f.mu.Unlock()
	if n.hold() {
		n.log.Error("another name node of this cluster has taken over, or this is an older copy of its name directory: nothing is changed any more",
			"epoch", dfs.EpochText(mine), "newer", dfs.EpochText(req.ServedEpoch), "datanode", addrText(req.Node))
	}
}

// checkTold notes a datanode that was told of a transaction which this log does not have.
func (n *NameNode) checkTold(req *control.RegisterRequest) {
	if req.TxID == 0 || slices.Contains(n.accepted().epochs, req.ToldEpoch) {
		return
	}
	n.state.RLock()
	end, known := n.ns.EpochEnd(req.ToldEpoch)
	n.state.RUnlock()
	if known && (end == 0 || req.TxID <= end) {
		return
	}
	why := fmt.Sprintf("datanode %s was told that transaction %d of start epoch %s is durable", addrText(req.Node), req.TxID, dfs.EpochText(req.ToldEpoch))
	if known {
		why += fmt.Sprintf("; this log has that epoch up to transaction %d only", end)
	} else {
		why += "; this log does not have that epoch"
	}
	f := &n.fence
	f.mu.Lock()
	if f.lost == nil {
		f.lost = map[string]string{}
	}
	f.lost[req.Node.UUID] = why
	f.forks = append(f.forks, req.ToldEpoch)
	f.mu.Unlock()
	if n.hold() {
		n.log.Warn("the end of the log is lost, or this is an older copy of the name directory: " + why)
	}
}

// hold keeps safe mode on while something tells of another history. A name node that has
// left safe mode goes on if it only meets foreign replicas: they hurt nobody. It is true
// when the reason is new.
func (n *NameNode) hold() bool {
	replicas := n.unaccepted()
	f := &n.fence
	f.mu.Lock()
	newer, who, lost := f.newer, f.who, len(f.lost)
	var told string
	for _, why := range f.lost {
		told = max(told, why)
	}
	f.mu.Unlock()
	why := ""
	switch {
	case newer != 0:
		why = fmt.Sprintf("Datanode %s has served a name node of this cluster with the newer start epoch %s: that one is the name node now, or this is an older copy of its directory.", who, dfs.EpochText(newer))
	case !n.safe.isStartup():
		return false
	case lost > 0:
		why = fmt.Sprintf("The end of the log is lost, or this is an older copy of the name directory: %s.", told)
	case replicas > 0:
		why = fmt.Sprintf("Datanodes hold %d replicas with ids or stamps that this log has never handed out: its end is lost, or this is an older copy of the name directory. They are kept.", replicas)
	}
	fresh := n.safe.hold(why)
	if fresh && why != "" && newer != 0 {
		n.blocks.SetPaused(true)
	}
	return fresh && why != ""
}

// unaccepted counts the replicas of another history that nobody has accepted yet. Those that
// were there when somebody forced the end of safe mode stay, and hold up no later start.
func (n *NameNode) unaccepted() int64 {
	replicas, _, block, stamp := n.blocks.Future()
	if a := n.accepted(); replicas > 0 && block <= a.block && stamp <= a.stamp {
		return 0
	}
	return replicas
}

// watchFuture speaks of replicas of another history when there are more of them, and moves
// the counters above theirs.
func (n *NameNode) watchFuture(ctx context.Context) {
	replicas, bytes, block, stamp := n.blocks.Future()
	f := &n.fence
	f.mu.Lock()
	warn := replicas > 2*f.warned
	if warn {
		f.warned = replicas
	}
	newer := f.newer != 0
	f.mu.Unlock()
	if warn {
		n.log.Warn("datanodes hold replicas of another history of this cluster: they are kept, and never read or removed",
			"replicas", replicas, "bytes", bytes, "highest id", block, "highest stamp", stamp)
	}
	if newer {
		return
	}
	if !n.safe.isOn() { // it has been said, and nobody waits to be told
		if err := n.accept(ctx, 0); err != nil {
			n.log.Warn("what is known of other histories can't be noted now", "err", err)
		}
	}
	if replicas == 0 {
		return
	}
	n.state.RLock()
	c, number := n.ns.Counts(), n.ns.Epoch().Number
	n.state.RUnlock()
	if above(c.NextBlock, block) == c.NextBlock && above(c.NextStamp, stamp) == c.NextStamp {
		return
	}
	if err := n.beginEpoch(ctx, number+1); err != nil {
		n.log.Warn("ids can't be moved above those of another history now", "err", err)
	}
}

// goOn makes this name node the one of the cluster, whatever the datanodes remember: on an
// administrator's word, who has lost the other history or does not want it.
func (n *NameNode) goOn(ctx context.Context) error {
	f := &n.fence
	f.mu.Lock()
	newer := f.newer
	f.mu.Unlock()
	if newer != 0 {
		if err := n.beginEpoch(ctx, journal.NextEpoch(newer)); err != nil {
			return err
		}
	}
	if err := n.accept(ctx, newer); err != nil {
		return err
	}
	f.mu.Lock()
	f.newer, f.who, f.lost, f.forks = 0, "", nil, nil
	f.mu.Unlock()
	return nil
}

// accept notes durably what is known of other histories, and the epoch newer if it is not 0:
// it holds up no later start.
func (n *NameNode) accept(ctx context.Context, newer uint64) error {
	n.fence.mu.Lock()
	forks := slices.Clone(n.fence.forks)
	n.fence.mu.Unlock()
	if newer != 0 {
		forks = append(forks, newer)
	}
	old := n.accepted()
	a := old
	_, _, block, stamp := n.blocks.Future()
	a.block, a.stamp = max(a.block, block), max(a.stamp, stamp)
	for _, e := range forks {
		if !slices.Contains(a.epochs, e) {
			a.epochs = append(a.epochs, e)
		}
	}
	if a.String() == old.String() {
		return nil
	}
	_, err := n.propose(ctx, &namespace.Cluster{Head: namespace.Head{Time: n.clock().UnixMilli()}, Key: acceptedKey, Value: a.String()})
	return err
}

// accepted is what an administrator has gone on in spite of: the epochs of other histories,
// and the highest id and stamp of their replicas. It is a setting of the cluster.
type accepted struct {
	epochs []uint64
	block  dfs.BlockID
	stamp  dfs.GenStamp
}

const acceptedKey = "redoubt.accepted"

func (a accepted) String() string {
	words := []string{strconv.FormatUint(uint64(a.block), 10), strconv.FormatUint(uint64(a.stamp), 10)}
	for _, e := range a.epochs {
		words = append(words, strconv.FormatUint(e, 10))
	}
	return strings.Join(words, " ")
}

func (n *NameNode) accepted() (a accepted) {
	n.state.RLock()
	text, _ := n.ns.Setting(acceptedKey)
	n.state.RUnlock()
	for i, word := range strings.Fields(text) {
		v, err := strconv.ParseUint(word, 10, 64)
		switch {
		case err != nil:
			return accepted{}
		case i == 0:
			a.block = dfs.BlockID(v)
		case i == 1:
			a.stamp = dfs.GenStamp(v)
		default:
			a.epochs = append(a.epochs, v)
		}
	}
	return a
}

// Superseded tells that another name node of the cluster has taken over the datanodes; nil
// while this one has them.
func (n *NameNode) Superseded() error {
	f := &n.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newer == 0 {
		return nil
	}
	return dfs.Errorf(dfs.Fenced, "datanode %s has served a name node of this cluster with the newer start epoch %s; this one changes nothing any more", f.who, dfs.EpochText(f.newer))
}

// Warnings are what an administrator should know and nothing mends by itself, one sentence
// each.
func (n *NameNode) Warnings() (list []string) {
	if replicas, bytes, _, _ := n.blocks.Future(); replicas > 0 {
		list = append(list, fmt.Sprintf("%d replicas (%d bytes) have ids or generation stamps that this log has never handed out; they are kept, and never read or removed", replicas, bytes))
	}
	f := &n.fence
	f.mu.Lock()
	if f.newer != 0 {
		list = append(list, fmt.Sprintf("datanode %s has served a name node of this cluster with the newer start epoch %s", f.who, dfs.EpochText(f.newer)))
	}
	for _, why := range f.lost {
		list = append(list, why)
	}
	list = append(list, f.rivalsLocked(n.clock())...)
	f.mu.Unlock()
	for _, d := range n.journal.Stats().Dirs {
		if !d.Alive {
			list = append(list, "name directory "+d.Dir+" is out: "+d.Err)
		}
	}
	slices.Sort(list)
	return list
}

func addrText(id dfs.DatanodeID) string {
	return fmt.Sprintf("%s:%d (%s)", id.IP, id.XferPort, id.UUID)
}

// process is which process speaks for a datanode, by UUID.
type process struct {
	speakers map[string]*speaker
	rivals   map[string]rival
}

type speaker struct {
	id   uint64
	addr string
	beat time.Time
	gone <-chan struct{} // closed with its connection
}

// rival is another process that came with the same identity while the first one lived.
type rival struct {
	addr, with  string
	first, last time.Time
}

// rivalFor is how long a refused process stays in the warnings.
const rivalFor = 10 * time.Minute

// admitProcess refuses a second process with one datanode's identity, which a copied
// directory gives, as long as the first one lives. A restarted datanode comes with its old
// address, or its old connection is gone, or it has been silent for two heartbeats.
func (n *NameNode) admitProcess(ctx context.Context, req *control.RegisterRequest, now time.Time) error {
	f := &n.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.speakers == nil {
		f.speakers, f.rivals = map[string]*speaker{}, map[string]rival{}
	}
	uuid, addr := req.Node.UUID, addrText(req.Node)
	old := f.speakers[uuid]
	if old == nil || req.Process == 0 || old.id == req.Process || old.addr == addr || old.isGone() || now.Sub(old.beat) > n.rivalWait() {
		f.speakers[uuid] = &speaker{id: req.Process, addr: addr, beat: now, gone: ctx.Done()}
		return nil
	}
	r, known := f.rivals[uuid]
	if !known || r.addr != addr {
		r = rival{addr: addr, with: old.addr, first: now}
		n.log.Error("two processes have the identity of one datanode; the second one is refused", "first", old.addr, "second", addr)
	}
	r.last = now
	f.rivals[uuid] = r
	kind := dfs.Fenced // it may be that the first one has just died: try again
	if old.beat.After(r.first) {
		kind = dfs.DisallowedDatanode
	}
	return dfs.Errorf(kind, "datanode %s is alive at %s: two processes have the same identity; was its directory copied? Remove current/VERSION and the blocks of the copy", uuid, old.addr)
}

func (n *NameNode) rivalWait() time.Duration { return 2*n.cfg.Blocks.Liveness.Heartbeat + time.Second }

func (s *speaker) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// speaks notes a heartbeat; false if another process speaks for the datanode now.
func (n *NameNode) speaks(ctx context.Context, req *control.HeartbeatRequest, now time.Time) bool {
	f := &n.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.speakers[req.UUID]
	if s == nil || req.Process == 0 {
		return true
	}
	if s.id != req.Process {
		return false
	}
	s.beat, s.gone = now, ctx.Done()
	return true
}

func (p *process) rivalsLocked(now time.Time) (list []string) {
	for _, r := range p.rivals {
		if now.Sub(r.last) < rivalFor {
			list = append(list, fmt.Sprintf("two processes have the identity of one datanode: %s serves, %s is refused", r.with, r.addr))
		}
	}
	return list
}
