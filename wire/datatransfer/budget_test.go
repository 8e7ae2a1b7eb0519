package datatransfer

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/membudget"
)

// TestReaderFollowsWhatArrives: a packet's length costs nothing, its bytes no more than
// twice themselves, and those of large packets come out of a budget.
func TestReaderFollowsWhatArrives(t *testing.T) {
	const size = 3 << 20
	b, _, _ := AppendPacket(nil, &Header{Length: size}, 0)

	r := NewReader(bytes.NewReader(b[:40]))
	require.Error(t, r.ReadPacket(new(Packet)))
	require.LessOrEqual(t, len(r.buf), firstBuffer)
	r.Release()

	budget := membudget.New(1 << 20)
	r = NewReader(bytes.NewReader(b))
	r.Budget = budget
	require.ErrorIs(t, r.ReadPacket(new(Packet)), membudget.ErrSpent)
	r.Release()
	require.Zero(t, budget.Used())

	budget = membudget.New(8 << 20)
	r = NewReader(bytes.NewReader(b))
	r.Budget = budget
	var p Packet
	require.NoError(t, r.ReadPacket(&p))
	require.Len(t, p.Data, size)
	require.Positive(t, budget.Used())
	r.Release()
	require.Zero(t, budget.Used())
}
