package blockmanager

// lengthTries bounds the entries of one bucket whose lengths are looked at for one group.
const lengthTries = 32

// longest is the greatest length of what stands first in some buckets.
func (m *Manager) longest(list []*bucket) (most int64) {
	for _, b := range list {
		for i := range min(b.ids.len(), lengthTries) {
			if f, ok := m.src.Block(b.ids.at(i)); ok {
				most = max(most, f.Length)
			}
		}
	}
	return most
}

// advanceTo brings the candidate whose length is nearest to like to a bucket's front.
func (m *Manager) advanceTo(b *bucket, like int64) {
	best, at := int64(-1), 0
	for i := range min(b.ids.len(), lengthTries) {
		f, ok := m.src.Block(b.ids.at(i))
		if !ok {
			continue
		}
		if d := max(f.Length-like, like-f.Length); best < 0 || d < best {
			best, at = d, i
		}
	}
	for range at {
		b.ids.push(b.ids.pop())
	}
}

// even reports whether a parity of these blocks would be not much longer than they are on
// average.
func even(list []picked) bool {
	var sum, most int64
	for _, p := range list {
		sum += p.block.Length
		most = max(most, p.block.Length)
	}
	return 4*most*int64(len(list)) <= 5*sum
}
