package membudget_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/internal/membudget"
)

func TestBudget(t *testing.T) {
	b := membudget.New(10)
	require.NoError(t, b.Take(10))
	require.ErrorIs(t, b.Take(1), membudget.ErrSpent)
	require.EqualValues(t, 10, b.Used())
	b.Give(4)
	require.NoError(t, b.Take(3))
	b.Force(5)
	require.ErrorIs(t, b.Take(1), membudget.ErrSpent)
	b.Give(14)
	require.Zero(t, b.Used())

	var none *membudget.Budget
	require.NoError(t, none.Take(1<<40))
	none.Force(1)
	none.Give(1)
	require.Zero(t, none.Used())
}
