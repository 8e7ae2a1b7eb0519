package namespace

import (
	"encoding/binary"

	"redoubt/dfs"
)

// retryMax bounds the retry cache, to some 20 MB: calls of the last ten minutes, and of
// them the newest retryMax. The oldest entry goes first, so a name service that takes
// more than 437 remembered calls a second forgets them before their time is up; a client
// that repeats a call does so within seconds.
const retryMax = 1 << 18

// retryEntry is the remembered success of one call.
type retryEntry struct {
	client [16]byte
	call   int32
	kind   Kind
	ok     bool
	time   int64  // ms, of the op
	id     uint64 // what the answer names: an inode
	extra  uint64 // a block or stamp
}

// retryCache remembers calls in the order they were applied, in a ring of slots
// 1..retryMax. Entries from head up to tail, both counted from the beginning of time, are valid.
type retryCache struct {
	ring       pages[retryEntry]
	head, tail uint64
	index      *nameTable
	seed       uint64
}

func retrySlot(seq uint64) uint32 { return uint32(seq%retryMax) + 1 }

func hashCall(call *dfs.CallID) uint64 {
	a, b := binary.LittleEndian.Uint64(call.Client[:8]), binary.LittleEndian.Uint64(call.Client[8:])
	return mum(mum(a^mixA, b^mixB)^mixC, uint64(uint32(call.Call))^mixD)
}

// place is where a call stands in the index.
func (c *retryCache) place(call *dfs.CallID) uint64 {
	return hashBytes(c.seed^uint64(uint32(call.Call))*mixC, call.Client[:])
}

func (e *retryEntry) callID() dfs.CallID { return dfs.CallID{Client: e.client, Call: e.call} }

func (e *retryEntry) sum() sum {
	flags := uint64(e.kind) << 8
	if e.ok {
		flags |= 1
	}
	call := e.callID()
	return hash6(tagRetry, hashCall(&call), uint64(uint32(e.call)), flags, uint64(e.time), e.id, e.extra)
}

func (c *retryCache) find(call *dfs.CallID) *retryEntry {
	hash := c.place(call)
	g := &c.index.seg[hash>>(64-segBits)]
	n := len(g.slot)
	if n == 0 {
		return nil
	}
	for i := g.home(uint32(hash)); g.slot[i] != 0; {
		if uint32(g.slot[i]>>32) == uint32(hash) {
			if e := c.ring.at(uint32(g.slot[i])); e.call == call.Call && e.client == call.Client {
				return e
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return nil
}

// expire forgets what is older than its life time at the given time.
func (s *State) expire(time int64) {
	c := &s.retry
	for c.head < c.tail && c.ring.at(retrySlot(c.head)).time < time-dfs.RetryCacheLifetimeMS {
		s.forget()
	}
}

func (s *State) forget() {
	c := &s.retry
	slot := retrySlot(c.head)
	e := c.ring.at(slot)
	call := e.callID()
	s.sum.sub(e.sum())
	c.index.remove(c.place(&call), slot)
	c.head++
}

// remember stores a success.
func (s *State) remember(e retryEntry) {
	c := &s.retry
	if c.tail-c.head >= retryMax {
		s.forget()
	}
	slot := retrySlot(c.tail)
	if c.ring.next <= slot {
		c.ring.alloc()
	}
	*c.ring.edit(slot) = e
	call := e.callID()
	c.index.insert(c.place(&call), slot)
	c.tail++
	s.sum.add(e.sum())
}

// Retry gives the stored answer of a call, with the type that the op's result has.
func (s *State) Retry(call dfs.CallID) (result any, ok bool) {
	if call.IsZero() {
		return nil, false
	}
	e := s.retry.find(&call)
	if e == nil {
		return nil, false
	}
	return s.answer(e), true
}

// answer builds the result of a remembered call. What it names may have changed since;
// identities have not.
func (s *State) answer(e *retryEntry) any {
	id := dfs.InodeID(e.id)
	status := dfs.FileStatus{Type: dfs.TypeFile, ID: id}
	if i := s.live(id); i != 0 {
		status = s.status(i)
	}
	switch e.kind {
	case KindMkdirs:
		return e.ok
	case KindCreate:
		return &Created{Status: status, Retried: true}
	case KindAppend:
		r := &Appended{Status: status}
		if b, ok := s.Block(dfs.BlockID(e.extra)); ok && e.extra != 0 {
			if last, ok := s.LastBlock(id); ok && last.ID == b.ID {
				r.Last = &last
			}
		}
		return r
	case KindDelete:
		return &Deleted{OK: e.ok}
	case KindRename:
		return &Renamed{OK: e.ok}
	case KindTruncate:
		return &Truncated{Done: e.ok, File: id}
	case KindSetAttr:
		return &AttrChange{OK: e.ok}
	case KindAddBlock:
		b, _ := s.Block(dfs.BlockID(e.extra))
		return &AddedBlock{Block: b.Block, Retried: true}
	case KindConcat, KindUpdateBlocks, KindClose, KindAbandonBlock, KindCommitSync:
		b, _ := s.Block(dfs.BlockID(e.extra))
		return &BlockChange{File: id, Block: b.Block}
	case KindNextStamp:
		return dfs.GenStamp(e.extra)
	case KindParityGroup:
		b, _ := s.Block(dfs.BlockID(e.extra))
		b.ID = dfs.BlockID(e.extra)
		return &GroupChange{Parity: b.Block}
	}
	return nil
}

// entryFor makes the entry of an op that has just succeeded.
func entryFor(h *Head, kind Kind, result any) retryEntry {
	e := retryEntry{client: h.Call.Client, call: h.Call.Call, kind: kind, ok: true, time: h.Time}
	switch r := result.(type) {
	case bool:
		e.ok = r
	case *Created:
		e.id = uint64(r.Status.ID)
	case *Appended:
		e.id = uint64(r.Status.ID)
		if r.Last != nil {
			e.extra = uint64(r.Last.ID)
		}
	case *Deleted:
		e.ok = r.OK
	case *Renamed:
		e.ok = r.OK
	case *Truncated:
		e.ok, e.id, e.extra = r.Done, uint64(r.File), uint64(r.Stamp)
	case *AttrChange:
		e.ok = r.OK
	case *AddedBlock:
		e.extra = uint64(r.Block.ID)
	case *BlockChange:
		e.id, e.extra = uint64(r.File), uint64(r.Block.ID)
	case *GroupChange:
		e.extra = uint64(r.Parity.ID)
	case dfs.GenStamp:
		e.extra = uint64(r)
	}
	return e
}
