package fleet

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublishedFigures: every figure whose inputs are printed comes out to its last digit; the
// others say what is missing.
func TestPublishedFigures(t *testing.T) {
	met := 0
	for _, c := range Published() {
		t.Logf("%-45s %-28s printed %-11.5g ours %-11.5g %v", c.Source, c.What, c.Printed, c.Ours, c.Met)
		switch {
		case strings.HasPrefix(c.Source, "Ford"), c.Source == "Xorbas, Table 1" && c.What != "3 replicas":
			require.NotEmpty(t, c.Note)
		default:
			require.True(t, c.Met, "%s, %s: printed %v, ours %v", c.Source, c.What, c.Printed, c.Ours)
			met++
		}
	}
	require.Equal(t, 9*2+3+1+3, met)
}

// TestXorbasOrder: replicas, then Reed-Solomon, then the local code, each by orders of magnitude.
func TestXorbasOrder(t *testing.T) {
	c := xorbas()
	require.Greater(t, c[1].Ours, 1000*c[0].Ours)
	require.Greater(t, c[2].Ours, c[1].Ours)
}

// TestFordFlip: without bursts more parity is better by orders of magnitude; with bursts the
// widest code falls below three replicas.
func TestFordFlip(t *testing.T) {
	alone, bursts := Ford()
	require.Greater(t, alone[1], 10*alone[0])
	require.Greater(t, alone[2], 100*alone[1])
	require.Less(t, bursts[2], bursts[0], "RS(9,4) below R=3")
	require.InEpsilon(t, 6.82e6, bursts[0], 0.1)
	require.InEpsilon(t, 2.39e6, bursts[2], 0.1)
	for i := range alone {
		require.Less(t, bursts[i], alone[i]/100)
	}
}

// TestCopysets: Cidon et al., ATC 2013: 1 % of 5,000 nodes does not come back from a power cut.
// Replicas at random lose something nearly always; with only N/R sets of nodes 0.16 %.
func TestCopysets(t *testing.T) {
	const nodes, gone = 5000, 50
	tail := hypergeometricTail(nodes, gone, 3, 2)
	random := -math.Expm1(-nodes * 10_000 / 3 * tail)
	sets := -math.Expm1(-nodes / 3 * tail)
	require.Greater(t, random, 0.9999)
	require.InDelta(t, 0.0015, sets, 0.0001)
}
