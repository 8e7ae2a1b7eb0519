package raid

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// drawMembers gives 2 to 16 members of different lengths, some of them empty.
func drawMembers(t *rapid.T) [][]byte {
	longest := rapid.IntRange(0, 5000).Draw(t, "longest")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	members := make([][]byte, rapid.IntRange(MinData, MaxData).Draw(t, "k"))
	for i := range members {
		n := longest
		if i > 0 && rapid.Bool().Draw(t, "ragged") {
			n = rapid.IntRange(0, longest).Draw(t, "length")
		}
		members[i] = make([]byte, n)
		for j := range members[i] {
			members[i][j] = byte(rng.Uint32())
		}
	}
	rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members
}

// naive is the definition of parity.
func naive(members [][]byte) []byte {
	var out []byte
	for _, m := range members {
		for len(out) < len(m) {
			out = append(out, 0)
		}
		for i, b := range m {
			out[i] ^= b
		}
	}
	return out
}

func without[T any](all []T, i int) []T {
	return append(append([]T{}, all[:i]...), all[i+1:]...)
}

// TestParity holds Encode, Verify, Reconstruct and Update against the definition.
func TestParity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := drawMembers(t)
		want := naive(members)
		parity := bytes.Repeat([]byte{0xa5}, len(want))
		require.NoError(t, Encode(parity, members...))
		require.Equal(t, want, append([]byte(nil), parity...))
		require.EqualValues(t, -1, Verify(parity, members...))

		lost := rapid.IntRange(0, len(members)-1).Draw(t, "lost")
		back := bytes.Repeat([]byte{0x5a}, len(members[lost]))
		require.NoError(t, Reconstruct(back, parity, without(members, lost)...))
		require.True(t, bytes.Equal(members[lost], back))

		if len(parity) > 0 {
			at := rapid.IntRange(0, len(parity)-1).Draw(t, "flipped")
			parity[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			require.EqualValues(t, at, Verify(parity, members...))
			parity[at] = want[at]
			require.EqualValues(t, len(parity)-1, Verify(parity[:len(parity)-1], members...), "a short parity")
		}

		after := make([]byte, rapid.IntRange(0, len(parity)).Draw(t, "after"))
		for i := range after {
			after[i] = byte(i * 7)
		}
		require.NoError(t, Update(parity, members[lost], after))
		members[lost] = after
		want = naive(members)
		require.Equal(t, want, append([]byte(nil), parity[:len(want)]...))
		for _, b := range parity[len(want):] {
			require.Zero(t, b, "where the longest member has shrunk parity is zero")
		}
	})
}

// TestChecksums holds the arithmetic of checksums against checksums of the bytes.
func TestChecksums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := drawMembers(t)
		sums := make([]Sum, len(members))
		for i, m := range members {
			sums[i] = Sum{CRC: crc32.Checksum(m, castagnoli), Length: int64(len(m))}
		}
		want := naive(members)
		parity := ParityCRC(sums...)
		require.Equal(t, Sum{CRC: crc32.Checksum(want, castagnoli), Length: int64(len(want))}, parity)
		lost := rapid.IntRange(0, len(members)-1).Draw(t, "lost")
		crc, err := MissingCRC(sums[lost].Length, parity, without(sums, lost)...)
		require.NoError(t, err)
		require.Equal(t, sums[lost].CRC, crc)

		a, b := members[0], members[1]
		require.Equal(t, crc32.Checksum(append(a[:len(a):len(a)], b...), castagnoli), CombineCRC(sums[0].CRC, sums[1].CRC, sums[1].Length))
		for _, p := range []Polynomial{CRC32, CRC32C, crc32.Koopman} {
			table := crc32.MakeTable(uint32(p))
			first, second := crc32.Checksum(a, table), crc32.Checksum(b, table)
			joined := crc32.Update(first, table, b)
			require.Equal(t, joined, p.Join(first, second, int64(len(b))))
			require.Equal(t, joined, p.NewJoiner(int64(len(b))).Join(first, second))
			require.Equal(t, first, p.Trim(p.Extend(first, int64(len(b))), int64(len(b))))
			require.Equal(t, crc32.Update(first, table, make([]byte, len(b))), p.Extend(first, int64(len(b))))
		}
		n := rapid.IntRange(0, 100_000).Draw(t, "zeroes")
		extended := crc32.Checksum(append(a[:len(a):len(a)], make([]byte, n)...), castagnoli)
		require.Equal(t, extended, ExtendCRC(sums[0].CRC, int64(n)))
		require.Equal(t, sums[0].CRC, TrimCRC(extended, int64(n)))
	})
}

// TestStripes holds joined chunk checksums against checksums of the bytes.
func TestStripes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := make([]byte, rapid.IntRange(0, 3000).Draw(t, "length"))
		for i := range data {
			data[i] = byte(i * i >> 3)
		}
		chunk := rapid.IntRange(1, 600).Draw(t, "chunk")
		stripe := chunk * rapid.IntRange(0, 5).Draw(t, "chunks")
		crcs := func(n int) (out []byte) {
			for rest := data; len(rest) > 0; rest = rest[min(n, len(rest)):] {
				out = binary.BigEndian.AppendUint32(out, crc32.Checksum(rest[:min(n, len(rest))], castagnoli))
			}
			return out
		}
		s := CRC32C.NewStripes(int64(chunk), int64(stripe))
		half := len(data) / chunk / 2
		s.Add(crcs(chunk)[:4*half], int64(half*chunk))
		s.Add(crcs(chunk)[4*half:], int64(len(data)-half*chunk))
		if stripe == 0 {
			stripe = max(1, len(data))
		}
		want := crcs(stripe)
		if len(want) == 0 {
			want = make([]byte, 4)
		}
		require.Equal(t, want, s.Sum())
		s.Reset()
		require.Equal(t, make([]byte, 4), s.Sum())
		s.Add(crcs(chunk)[:4*half], int64(half*chunk))
		if stripe >= len(data) {
			require.Equal(t, crc32.Checksum(data[:half*chunk], castagnoli), s.CRC())
		}
	})
}

// TestLayout is the picture in Geometry's comment.
func TestLayout(t *testing.T) {
	g := Geometry{Data: 3, Unit: 10}
	for stripe, row := range [][]int{{0, 1, 2, -1}, {4, 5, -1, 3}, {8, -1, 6, 7}, {-1, 9, 10, 11}, {12, 13, 14, -1}} {
		for member, unit := range row {
			off := g.VolumeOffset(member, int64(stripe)*10+3)
			if unit < 0 {
				require.EqualValues(t, -1, off)
				require.Equal(t, member, g.ParityMember(int64(stripe)))
				continue
			}
			require.EqualValues(t, unit*10+3, off, "stripe %d member %d", stripe, member)
			p := g.Locate(off, 100)
			require.Equal(t, Place{Stripe: int64(stripe), Index: unit % 3, Member: member, Parity: g.ParityMember(int64(stripe)), Offset: int64(stripe)*10 + 3, Length: 7}, p)
		}
	}
	require.Error(t, Geometry{Data: 1, Unit: 10}.Validate())
	require.Error(t, Geometry{Data: 17, Unit: 10}.Validate())
	require.Error(t, Geometry{Data: 4}.Validate())
	require.NoError(t, Geometry{Data: 4, Unit: DefaultUnit}.Validate())
}

// checkGeometry proves for one geometry and size that every byte has one place, that the
// places fill the members without a gap, and that a run never shares a stripe's member
// with its parity.
func checkGeometry(t require.TestingT, g Geometry, size int64) {
	fill := make([]int64, g.Members())
	for off := int64(0); off < size; {
		p := g.Locate(off, size-off)
		require.Positive(t, p.Length)
		require.Equal(t, off, g.VolumeOffset(p.Member, p.Offset))
		require.Equal(t, off+p.Length-1, g.VolumeOffset(p.Member, p.Offset+p.Length-1))
		require.NotEqual(t, p.Member, p.Parity)
		require.Equal(t, p.Index, g.DataIndex(p.Stripe, p.Member))
		require.Equal(t, -1, g.DataIndex(p.Stripe, p.Parity))
		fill[p.Member] += p.Length
		if p.Index == 0 { // the stripe's parity is as long as its first unit
			fill[p.Parity] += p.Length
		}
		off += p.Length
	}
	for m, n := range fill {
		require.Equal(t, n, g.MemberSize(m, size), "member %d of %+v with %d bytes", m, g, size)
	}
}

func TestGeometry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Geometry{Data: rapid.IntRange(MinData, MaxData).Draw(t, "k"), Unit: rapid.Int64Range(1, 300).Draw(t, "unit")}
		require.NoError(t, g.Validate())
		checkGeometry(t, g, rapid.Int64Range(0, 20*g.StripeBytes()).Draw(t, "size"))
		members := rapid.Int64Range(0, 1<<20).Draw(t, "member size")
		v := g.VolumeSize(members)
		for m := range g.Members() {
			require.LessOrEqual(t, g.MemberSize(m, v), members)
		}
	})
}

func FuzzGeometry(f *testing.F) {
	f.Add(4, int64(64), int64(1000))
	f.Add(2, int64(1), int64(7))
	f.Fuzz(func(t *testing.T, k int, unit, size int64) {
		g := Geometry{Data: k, Unit: unit}
		if g.Validate() != nil || size < 0 || size/unit > 10_000 {
			t.Skip()
		}
		checkGeometry(t, g, size)
	})
}

func TestWrongLengths(t *testing.T) {
	require.Error(t, Encode(nil))
	require.Error(t, Encode(make([]byte, 4), make([]byte, 5)))
	require.Error(t, Encode(make([]byte, 6), make([]byte, 5), nil))
	require.Error(t, Reconstruct(make([]byte, 6), make([]byte, 5)))
	require.Error(t, Reconstruct(make([]byte, 5), make([]byte, 5), make([]byte, 6)))
	require.Error(t, Update(make([]byte, 5), make([]byte, 6), nil))
	require.Error(t, Update(make([]byte, 5), nil, make([]byte, 6)))
	_, err := MissingCRC(6, Sum{Length: 5})
	require.Error(t, err)
	_, err = MissingCRC(5, Sum{Length: 5}, Sum{Length: 6})
	require.Error(t, err)
}

// BenchmarkParity compares parity of k members of 1 MiB with a copy of the same bytes, in
// cache (one group again and again) and out of it (a ring of groups of 512 MiB).
func BenchmarkParity(b *testing.B) {
	const k, unit = 4, 1 << 20
	for _, where := range []struct {
		name   string
		groups int
	}{{"cached", 1}, {"uncached", 128}} {
		groups := make([][][]byte, where.groups)
		for i := range groups {
			for range k + 1 {
				groups[i] = append(groups[i], bytes.Repeat([]byte{byte(i + 1)}, unit))
			}
		}
		target := make([][]byte, k)
		for i := range target {
			target[i] = make([]byte, unit)
		}
		run := func(name string, do func(group [][]byte)) {
			b.Run(where.name+"/"+name, func(b *testing.B) {
				b.SetBytes(k * unit)
				for i := range b.N {
					do(groups[i%len(groups)])
				}
			})
		}
		run("copy", func(g [][]byte) {
			for i := range k {
				copy(target[i], g[i])
			}
		})
		run("encode", func(g [][]byte) {
			if err := Encode(g[k], g[:k]...); err != nil {
				b.Fatal(err)
			}
		})
		run("reconstruct", func(g [][]byte) {
			if err := Reconstruct(target[0], g[k], g[1:k]...); err != nil {
				b.Fatal(err)
			}
		})
		run("update", func(g [][]byte) {
			if err := Update(g[k], g[0], target[0]); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkParityCRC(b *testing.B) {
	sums := []Sum{{1, 512}, {2, 512}, {3, 512}, {4, 512}}
	for b.Loop() {
		ParityCRC(sums...)
	}
}

func BenchmarkJoin(b *testing.B) {
	b.Run("512", func(b *testing.B) {
		j, crc := CRC32C.NewJoiner(512), uint32(1)
		for i := range b.N {
			crc = j.Join(crc, uint32(i))
		}
		_ = crc
	})
	b.Run("any", func(b *testing.B) {
		crc := uint32(1)
		for i := range b.N {
			crc = CRC32C.Join(crc, 7, int64(i))
		}
		_ = crc
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			CRC32C.NewJoiner(512)
		}
	})
}
