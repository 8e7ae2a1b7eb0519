package raid

import (
	"crypto/subtle"
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// Encode makes parity the exclusive or of the members. Parity must be as long as the
// longest member; the bytes that shorter ones lack count as zero. Parity may not overlap a
// member.
func Encode(parity []byte, members ...[]byte) error {
	longest := 0
	for _, m := range members {
		longest = max(longest, len(m))
	}
	if len(members) == 0 || len(parity) != longest {
		return fmt.Errorf("raid: parity of %d bytes for %d members of at most %d", len(parity), len(members), longest)
	}
	fold(parity, members)
	return nil
}

// Reconstruct makes missing the member that a group has lost, from its parity and all other
// members. Missing has the lost member's length, which is at most the parity's.
func Reconstruct(missing, parity []byte, others ...[]byte) error {
	if len(missing) > len(parity) {
		return fmt.Errorf("raid: a member of %d bytes from parity of %d", len(missing), len(parity))
	}
	n := len(missing)
	cut := make([][]byte, 0, MaxData+1)
	cut = append(cut, parity[:n])
	for _, m := range others {
		if len(m) > len(parity) {
			return fmt.Errorf("raid: a member of %d bytes beside parity of %d", len(m), len(parity))
		}
		cut = append(cut, m[:min(n, len(m))])
	}
	fold(missing, cut)
	return nil
}

// Update brings parity up to date for one member that changes from before to after at
// the parity's own offset: parity ^= before ^ after. The two may differ in length when a
// member grows or shrinks; neither may be longer than parity.
func Update(parity, before, after []byte) error {
	if len(before) > len(parity) || len(after) > len(parity) {
		return fmt.Errorf("raid: an update of %d to %d bytes in parity of %d", len(before), len(after), len(parity))
	}
	subtle.XORBytes(parity, parity, before)
	subtle.XORBytes(parity, parity, after)
	return nil
}

// Verify gives the first offset at which parity is not the exclusive or of the members, -1
// if there is none. A parity of the wrong length is wrong where the shorter of the two
// ends.
func Verify(parity []byte, members ...[]byte) int64 {
	longest := 0
	for _, m := range members {
		longest = max(longest, len(m))
	}
	want := make([]byte, min(verifyBlock, longest))
	parts := make([][]byte, len(members))
	for at := 0; at < longest && at < len(parity); at += verifyBlock {
		n := min(verifyBlock, longest-at, len(parity)-at)
		for i, m := range members {
			parts[i] = m[min(at, len(m)):min(at+n, len(m))]
		}
		fold(want[:n], parts)
		for i, b := range want[:n] {
			if b != parity[at+i] {
				return int64(at + i)
			}
		}
	}
	if longest != len(parity) {
		return int64(min(longest, len(parity)))
	}
	return -1
}

// verifyBlock bounds Verify's memory and keeps it in cache.
const verifyBlock = 32 << 10

// fold makes dst the exclusive or of parts, none of which is longer than dst.
func fold(dst []byte, parts [][]byte) {
	common := len(dst)
	for _, p := range parts {
		common = min(common, len(p))
	}
	xor(dst[:common], parts, common)
	if common == len(dst) {
		return
	}
	rest := dst[common:]
	clear(rest)
	for _, p := range parts {
		subtle.XORBytes(rest, rest, p[common:]) // as far as the shorter one goes
	}
}

// xor folds the first n bytes of parts, of which all have as many.
func xor(dst []byte, parts [][]byte, n int) {
	switch {
	case n == 0:
	case len(parts) == 1:
		copy(dst, parts[0][:n])
	case len(parts) == 2 || len(parts) > MaxData+1:
		subtle.XORBytes(dst, parts[0][:n], parts[1][:n])
		for _, p := range parts[min(2, len(parts)):] {
			subtle.XORBytes(dst, dst, p[:n])
		}
	default:
		all := shardPool.Get().(*[MaxData + 2][]byte)
		for i, p := range parts {
			all[i] = p[:n]
		}
		all[len(parts)] = dst[:n]
		// It can only fail for shards of different lengths, which these are not.
		if err := encoders[len(parts)]().Encode(all[:len(parts)+1]); err != nil {
			panic(err)
		}
		clear(all[:])
		shardPool.Put(all)
	}
}

var shardPool = sync.Pool{New: func() any { return new([MaxData + 2][]byte) }}

// encoders fold 3 to MaxData+1 parts in one pass over memory, made at their first use.
var encoders = func() (all [MaxData + 2]func() reedsolomon.Encoder) {
	for k := 3; k < len(all); k++ {
		all[k] = sync.OnceValue(func() reedsolomon.Encoder {
			e, err := reedsolomon.New(k, 1, reedsolomon.WithFastOneParityMatrix(), reedsolomon.WithMaxGoroutines(1))
			if err != nil {
				panic(err)
			}
			return e
		})
	}
	return all
}()
