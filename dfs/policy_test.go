package dfs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPoliciesAreFoundByIDAndName(t *testing.T) {
	last := uint8(0)
	for _, p := range Policies {
		require.Greater(t, p.ID, last, "ids rise")
		last = p.ID
		byID, ok := PolicyByID(p.ID)
		require.True(t, ok)
		require.Equal(t, p, byID)
		byName, ok := PolicyByName(p.Name)
		require.True(t, ok)
		require.Equal(t, p, byName)
		require.NotEmpty(t, p.Creation)
		if p.ID < 32 {
			require.Zero(t, p.Parity(), p.Name)
		} else {
			require.EqualValues(t, p.ID-32, p.Parity(), p.Name)
		}
	}
	require.Len(t, Policies, 8+15)
}

func TestParityPolicies(t *testing.T) {
	for k := -1; k <= 18; k++ {
		p, ok := ParityPolicy(k)
		require.Equal(t, k >= 2 && k <= 16, ok, "k %d", k)
		if ok {
			require.Equal(t, k, p.Parity())
		}
	}
	for name, id := range map[string]uint8{"RAID5": 36, "raid5": 36, "RAID5-4": 36, "Raid5-2": 34, "RAID5-16": 48} {
		p, ok := PolicyByName(name)
		require.True(t, ok, name)
		require.Equal(t, id, p.ID, name)
	}
	for _, name := range []string{"RAID5-", "RAID5-1", "RAID5-17", "RAID5-04", "RAID6", "RAID5-4x"} {
		_, ok := PolicyByName(name)
		require.False(t, ok, name)
	}
	require.Equal(t, "RAID5", Policies[8+2].Name)
}

func TestBlockKindsHaveNames(t *testing.T) {
	require.Equal(t, []string{"file", "departed", "parity"}, []string{BlockOfFile.String(), BlockDeparted.String(), BlockOfParity.String()})
}

func TestParityData(t *testing.T) {
	for id := range 256 {
		p, _ := PolicyByID(uint8(id))
		require.Equal(t, p.Parity(), ParityData(uint8(id)))
	}
}
