package namespace

import "math/bits"

// idSet is a set of ids that are handed out in sequence, in order: a bit for each, in
// pages that are made when an id in their range comes in, and stay. An id is put in or
// taken out without allocation, and the next one is found without looking at empty pages.
type idSet struct {
	top []*setMid
	n   int
}

const setWords = 1 << idLeafBits / 64

type setMid struct {
	leaf [1 << idMidBits]*[setWords]uint64
	used [1 << idMidBits]uint16 // ids in a leaf
}

func (t *idSet) add(id uint64) {
	hi, at := id>>(idLeafBits+idMidBits), id>>idLeafBits&(1<<idMidBits-1)
	for uint64(len(t.top)) <= hi {
		t.top = append(t.top, nil)
	}
	if t.top[hi] == nil {
		t.top[hi] = new(setMid)
	}
	mid := t.top[hi]
	if mid.leaf[at] == nil {
		mid.leaf[at] = new([setWords]uint64)
	}
	word, bit := &mid.leaf[at][id>>6&(setWords-1)], uint64(1)<<(id&63)
	if *word&bit == 0 {
		*word |= bit
		mid.used[at]++
		t.n++
	}
}

func (t *idSet) has(id uint64) bool { return id > 0 && t.next(id-1) == id }

func (t *idSet) remove(id uint64) {
	if !t.has(id) {
		return
	}
	mid, at := t.top[id>>(idLeafBits+idMidBits)], id>>idLeafBits&(1<<idMidBits-1)
	mid.leaf[at][id>>6&(setWords-1)] &^= 1 << (id & 63)
	mid.used[at]--
	t.n--
}

// next gives the smallest id above after, 0 for none.
func (t *idSet) next(after uint64) uint64 {
	id := after + 1
	for id > after {
		hi := id >> (idLeafBits + idMidBits)
		if hi >= uint64(len(t.top)) {
			return 0
		}
		mid, at := t.top[hi], id>>idLeafBits&(1<<idMidBits-1)
		switch {
		case mid == nil:
			id = (hi + 1) << (idLeafBits + idMidBits)
			continue
		case mid.used[at] == 0:
			id = (id>>idLeafBits + 1) << idLeafBits
			continue
		}
		if word := mid.leaf[at][id>>6&(setWords-1)] >> (id & 63); word != 0 {
			return id + uint64(bits.TrailingZeros64(word))
		}
		id = (id>>6 + 1) << 6
	}
	return 0
}
