package namespace

import (
	"sort"

	"redoubt/dfs"
)

// Epoch is what one start of the name node has handed out: the block ids from FirstBlock up
// to but without EndBlock, and the generation stamps from FirstStamp up to EndStamp. Ids
// between two epochs were never handed out by this history. A replica that has one comes
// from another: from a log whose end is lost, or from a copy of the directory that somebody
// went on with.
type Epoch struct {
	Number     uint64   // of the start, the log's epoch; 0: before epochs were recorded
	Began      dfs.TxID // the transaction that began it
	FirstBlock uint64
	EndBlock   uint64 // 0 in the last epoch: it goes on
	FirstStamp uint64
	EndStamp   uint64 // 0 in the last epoch
}

// epochs is the history of starts. The past is only ever appended to, so a snapshot shares
// it. now is the epoch that goes on; its ends are the counters.
type epochs struct {
	past []Epoch
	now  Epoch
}

func firstEpoch() epochs {
	return epochs{now: Epoch{FirstBlock: uint64(dfs.FirstBlockID), FirstStamp: uint64(dfs.FirstGenStamp)}}
}

// epochSum is the digest of an epoch. The one before the first op is not part of it, so
// that older states keep their digest.
func epochSum(e *Epoch) sum {
	if e.Number == 0 && e.EndBlock == 0 {
		return sum{}
	}
	return hash6(tagEpoch, e.Number, uint64(e.Began), e.FirstBlock, e.EndBlock, e.FirstStamp, e.EndStamp)
}

// beginEpoch closes the present epoch and begins one whose ids are not below the op's.
func (s *State) beginEpoch(o *BeginEpoch) error {
	if err := s.checkEpoch(o); err != nil {
		return err
	}
	s.sum.sub(epochSum(&s.epochs.now))
	past := s.epochs.now
	past.EndBlock, past.EndStamp = s.nextBlock, s.nextStamp
	s.epochs.past = append(s.epochs.past, past)
	s.sum.add(epochSum(&past))
	s.nextBlock, s.nextStamp = max(s.nextBlock, uint64(o.Block)), max(s.nextStamp, uint64(o.Stamp))
	s.epochs.now = Epoch{Number: o.Number, Began: s.applied, FirstBlock: s.nextBlock, FirstStamp: s.nextStamp}
	s.sum.add(epochSum(&s.epochs.now))
	return nil
}

func (s *State) checkEpoch(o *BeginEpoch) error {
	if o.Number <= s.epochs.now.Number {
		return dfs.Errorf(dfs.IllegalState, "start epoch %s does not come after epoch %s", dfs.EpochText(o.Number), dfs.EpochText(s.epochs.now.Number))
	}
	if o.Block > maxBlockID || o.Stamp > maxStamp {
		return dfs.Errorf(dfs.IllegalArgument, "no ids are left at block id %d, generation stamp %d", o.Block, o.Stamp)
	}
	return nil
}

// find gives the epoch that the key of which is the last one not above id.
func (e *epochs) find(id uint64, key func(*Epoch) uint64) *Epoch {
	if id >= key(&e.now) {
		return &e.now
	}
	i := sort.Search(len(e.past), func(i int) bool { return key(&e.past[i]) > id })
	if i == 0 {
		return nil
	}
	return &e.past[i-1]
}

func byBlock(e *Epoch) uint64 { return e.FirstBlock }
func byStamp(e *Epoch) uint64 { return e.FirstStamp }

// BlockIssued tells whether this history has handed a block id out.
func (s *State) BlockIssued(id dfs.BlockID) bool {
	e := s.epochs.find(uint64(id), byBlock)
	return e != nil && (uint64(id) < e.EndBlock || e.EndBlock == 0 && uint64(id) < s.nextBlock)
}

// StampIssued tells whether this history has handed a generation stamp out.
func (s *State) StampIssued(stamp dfs.GenStamp) bool {
	e := s.epochs.find(uint64(stamp), byStamp)
	return e != nil && (uint64(stamp) < e.EndStamp || e.EndStamp == 0 && uint64(stamp) < s.nextStamp)
}

// NextIssued gives the smallest block id from id on that has been handed out, 0 for none.
func (s *State) NextIssued(id dfs.BlockID) dfs.BlockID {
	if s.BlockIssued(id) {
		return id
	}
	past := s.epochs.past
	i := sort.Search(len(past), func(i int) bool { return past[i].FirstBlock > uint64(id) })
	for ; i < len(past); i++ {
		if past[i].FirstBlock < past[i].EndBlock {
			return dfs.BlockID(past[i].FirstBlock)
		}
	}
	if first := s.epochs.now.FirstBlock; first > uint64(id) && first < s.nextBlock {
		return dfs.BlockID(first)
	}
	return 0
}

// Epoch gives the epoch that goes on.
func (s *State) Epoch() Epoch { return s.epochs.now }

// EpochEnd gives the last transaction of an epoch, 0 for the one that goes on.
func (s *State) EpochEnd(number uint64) (last dfs.TxID, known bool) {
	if s.epochs.now.Number == number {
		return 0, true
	}
	past := s.epochs.past
	i := sort.Search(len(past), func(i int) bool { return past[i].Number >= number })
	switch {
	case i == len(past) || past[i].Number != number:
		return 0, false
	case i+1 < len(past):
		return past[i+1].Began - 1, true
	}
	return s.epochs.now.Began - 1, true
}

func (e *Epoch) code(c *coder) {
	c.fields(6)
	codeUint(c, &e.Number)
	codeUint(c, &e.Began)
	codeUint(c, &e.FirstBlock)
	codeUint(c, &e.EndBlock)
	codeUint(c, &e.FirstStamp)
	codeUint(c, &e.EndStamp)
}

func (n *Snapshot) writeEpochs(emit emitter) error {
	k := chunker{emit: emit}
	for i := range n.epochs.past {
		n.epochs.past[i].code(&k.c)
		k.done()
	}
	n.epochs.now.code(&k.c)
	k.done()
	k.flush()
	return k.err
}

// restoreEpochs takes the epochs over. An image without them is older than they are.
func (s *State) restoreEpochs(src dfs.SectionSource) error {
	var list []Epoch
	err := src.Chunks(SectionEpochs, func(chunk []byte) error {
		return DecodeSection(SectionEpochs, chunk, func(r any) error {
			list = append(list, *r.(*Epoch))
			return nil
		})
	})
	if err != nil || list == nil {
		return err
	}
	for i := range list {
		e, last := &list[i], i == len(list)-1
		switch {
		case last != (e.EndBlock == 0), last != (e.EndStamp == 0):
			return corrupt("epoch %d has the wrong end", e.Number)
		case !last && (e.EndBlock < e.FirstBlock || e.EndStamp < e.FirstStamp || e.EndBlock > list[i+1].FirstBlock ||
			e.EndStamp > list[i+1].FirstStamp || e.Number >= list[i+1].Number):
			return corrupt("epoch %d overlaps the next one", e.Number)
		case last && (e.FirstBlock > s.nextBlock || e.FirstStamp > s.nextStamp):
			return corrupt("epoch %d begins behind the counters", e.Number)
		}
		s.sum.add(epochSum(e))
	}
	n := len(list) - 1
	s.epochs = epochs{past: list[:n:n], now: list[n]}
	return nil
}
