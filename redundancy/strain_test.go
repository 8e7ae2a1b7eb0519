package redundancy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy/result"
)

// A watch whose timer comes in time sees no strain; one whose process stood still sees how
// long, and only from the moment that is asked about.
func TestStrainIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStrainWatch()
		defer w.close()
		begin := time.Now()
		<-time.After(time.Second)
		synctest.Wait()
		require.Zero(t, w.total())
		require.Zero(t, w.longest(begin))

		now := time.Now()
		w.note(now.Add(450 * time.Millisecond)) // the tick that came so late
		require.InDelta(t, 0.445, w.total().Seconds(), 0.006)
		require.InDelta(t, 0.445, w.longest(begin).Seconds(), 0.006)
		require.Zero(t, w.longest(now.Add(time.Second)), "it was before that")
	})
}

func TestStrainIsJudged(t *testing.T) {
	for _, x := range []struct {
		s    result.Strain
		busy bool
	}{
		{result.Strain{CPU: 0.5, Late: 0.01, Stall: 0.1}, false}, {result.Strain{CPU: 0.9}, true}, {result.Strain{Late: 0.1}, true}, {result.Strain{Stall: 0.5}, true},
	} {
		require.Equal(t, x.busy, x.s.Judge().Busy, "%+v", x.s)
	}
}
