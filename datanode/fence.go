package datanode

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"redoubt/blockstore"
	"redoubt/dfs"
	"redoubt/wire/control"
)

// fence is what this datanode knows of the name nodes of its cluster. It obeys the one with
// the newest start epoch that it has met and refuses older ones, after a restart too: two
// name nodes on copies of one directory would each remove what only the other one knows.
type fence struct {
	process uint64 // tells this process from another one on a copy of its volumes

	mu     sync.Mutex
	served blockstore.Served
	saved  blockstore.Served // as the volumes have it
	at     time.Time         // of the last save
}

// saveTold is how often what name nodes have told is made durable, at most. It is evidence
// for the case that a name node loses the end of its log; a few seconds of it matter little.
const saveTold = 30 * time.Second

// openFence reads what the volumes remember.
func (dn *DataNode) openFence() {
	served, err := dn.state.store.Served()
	if err != nil {
		dn.cfg.Log.Warn("what a volume remembers of its name node can't be read and is written anew", "err", err)
	}
	f := &dn.state.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process = rand.Uint64() | 1
	f.served, f.saved = served, served
}

func (f *fence) get() blockstore.Served {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served
}

// refuses reports whether a name node of a start epoch must not be obeyed. 0 is one that
// knows no epochs; it is obeyed by datanodes that have met no other.
func (f *fence) refuses(epoch uint64) bool { return epoch < f.get().Epoch }

// refusal is the error for a name node that is older than another one.
func (s *session) refusal(epoch uint64) error {
	return dfs.Errorf(dfs.Fenced, "name node %s has the start epoch %s, and this datanode has served a newer one of the same cluster, %s: two name nodes run on copies of one directory, or this is an older copy; if it is to go on, tell it so with dfsadmin -safemode forceExit",
		s.addr, dfs.EpochText(epoch), dfs.EpochText(s.dn.state.fence.get().Epoch))
}

// obeyFrom makes it durable that from now on no name node older than epoch is obeyed, and
// has the sessions with older ones end.
func (dn *DataNode) obeyFrom(epoch uint64) error {
	f := &dn.state.fence
	f.mu.Lock()
	if epoch <= f.served.Epoch {
		f.mu.Unlock()
		return nil
	}
	next := f.served
	next.Epoch = epoch
	err := dn.state.store.SetServed(next)
	if err == nil {
		f.served, f.saved, f.at = next, next, time.Now()
	}
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("datanode: the name node's start epoch can't be noted: %w", err)
	}
	for _, s := range dn.sessions {
		s.endIfOlder(epoch)
	}
	return nil
}

// endIfOlder ends a session with a name node that is older than another one.
func (s *session) endIfOlder(epoch uint64) {
	s.mu.Lock()
	older := s.registered && s.epoch < epoch
	if older {
		s.registered = false
	}
	s.mu.Unlock()
	if older {
		kick(s.beat)
	}
}

// told notes a transaction that a name node calls durable. A name node that is behind what
// another one has told does not change that.
func (dn *DataNode) told(epoch uint64, txid dfs.TxID) {
	f := &dn.state.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if txid < f.served.TxID {
		return
	}
	f.served.ToldEpoch, f.served.TxID = epoch, txid
	if now := time.Now(); now.Sub(f.at) >= saveTold {
		dn.saveToldLocked(now)
	}
}

// saveToldLocked makes what was told durable. That it can't be is no reason to stop: the
// volumes tell of their own failures.
func (dn *DataNode) saveToldLocked(now time.Time) {
	f := &dn.state.fence
	f.at = now
	if f.served == f.saved {
		return
	}
	if err := dn.state.store.SetServed(f.served); err != nil {
		dn.cfg.Log.Warn("what the name node has told can't be noted", "err", err)
		return
	}
	f.saved = f.served
}

// closeFence saves what was told last.
func (dn *DataNode) closeFence() {
	dn.state.fence.mu.Lock()
	defer dn.state.fence.mu.Unlock()
	dn.saveToldLocked(time.Now())
}

// follow takes the epoch and the durable transaction of a name node, unless a newer one has
// been met meanwhile.
func (s *session) follow(reply *control.HeartbeatReply) error {
	if reply.Epoch == 0 {
		return nil // it asks for a new registration, or knows no epochs
	}
	if s.dn.state.fence.refuses(reply.Epoch) {
		return s.refusal(reply.Epoch)
	}
	if err := s.dn.obeyFrom(reply.Epoch); err != nil {
		return err
	}
	s.mu.Lock()
	s.epoch = reply.Epoch
	s.mu.Unlock()
	s.dn.told(reply.Epoch, reply.TxID)
	return nil
}

// pause is how long to wait before the next try to register.
func (s *session) pause(err error) time.Duration {
	if dfs.Is(err, dfs.Fenced) {
		return time.Second
	}
	return max(s.nn.Backoff(), 100*time.Millisecond)
}
