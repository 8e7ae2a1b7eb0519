package killtest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
)

var (
	rounds = flag.Int("killtest.rounds", 8, "how many kills")
	seed   = flag.Uint64("killtest.seed", 0, "seed of the load and of the victims; 0 takes one from the clock")
)

// progress lets the killer wait until the load has done something.
type progress struct{ n atomic.Int64 }

func (p *progress) await(t *testing.T, more int64) {
	want := p.n.Load() + more
	poll(t, 2*time.Minute, "progress of the load", func(context.Context) (bool, string) {
		return p.n.Load() >= want, fmt.Sprint(p.n.Load(), " of ", want)
	})
}

// TestKillUnderLoad proves, with real processes: whatever is killed, and a volume's
// directory that vanishes from under a running datanode too, nothing acknowledged is
// lost, nothing unsent appears, no byte is wrong, and the cluster heals by itself.
func TestKillUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("a long loop over real processes")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-killtest.seed=%d -killtest.rounds=%d", *seed, *rounds)
	rng := rand.New(rand.NewPCG(*seed, 0))
	c := startCluster(t, 5)
	me, err := user.Current()
	require.NoError(t, err)
	super := c.client(t, me.Username)
	c.awaitUp(t)
	c.awaitLive(t, super, 5)

	o, done := newOracle(), &progress{}
	stop := startLoad(t, c, o, done)
	for round := range *rounds {
		done.await(t, 20)
		switch kind := rng.IntN(10); {
		case kind < 4:
			c.name.kill()
			c.name.start(t)
			c.awaitUp(t)
		case kind < 8:
			victim := c.data[rng.IntN(len(c.data))]
			victim.kill()
			if rng.IntN(2) == 0 {
				done.await(t, 20) // the load goes on without it
			}
			victim.start(t)
		default:
			c.pullVolume(t, rng, round)
		}
	}
	done.await(t, 20)
	stop()

	c.awaitLive(t, super, 5)
	c.awaitHealed(t, super)
	check(t, o, super)
	// Once more after everything was killed at the same time.
	for _, p := range append(c.data[:len(c.data):len(c.data)], c.name) {
		p.kill()
	}
	c.name.start(t)
	for _, p := range c.data {
		p.start(t)
	}
	c.awaitUp(t)
	c.awaitLive(t, super, 5)
	c.awaitHealed(t, super)
	check(t, o, super)
}

// pullVolume takes a volume's directory away from under a running datanode, lets the load
// go on, and gives the node an empty one at its next start.
func (c *cluster) pullVolume(t *testing.T, rng *rand.Rand, round int) {
	i := rng.IntN(len(c.data))
	volume := c.path(fmt.Sprintf("data%d/%c", i+1, 'a'+rng.IntN(2)))
	require.NoError(t, os.Rename(volume, fmt.Sprintf("%s.pulled%d", volume, round)))
	cl := c.client(t, "anybody")
	poll(t, time.Minute, "a datanode that goes on without its volume", func(ctx context.Context) (bool, string) {
		_, err := cl.FsStats(ctx)
		return err == nil, fmt.Sprint(err)
	})
	c.data[i].kill()
	c.data[i].start(t)
}

// startLoad runs the workers until stop is called, which waits for them.
func startLoad(t *testing.T, c *cluster, o *oracle, done *progress) (stop func()) {
	me, err := user.Current()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for i := range 4 {
		cl := c.client(t, me.Username)
		dir := fmt.Sprintf("/load/%d", i)
		_, err := cl.Mkdirs(ctx, dir, 0o755, true)
		require.NoError(t, err)
		w := &worker{dir: dir, client: cl, oracle: o, rng: rand.New(rand.NewPCG(*seed, uint64(i+1))), done: func() { done.n.Add(1) }}
		group.Go(func() { w.run(ctx) })
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func check(t *testing.T, o *oracle, cl *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	files, total, err := o.verify(ctx, cl)
	require.NoError(t, err)
	unsent, err := o.unsent(ctx, cl, "/load")
	require.NoError(t, err)
	require.Empty(t, unsent, "nobody made these")
	t.Logf("%d acknowledgements, %d paths and %d bytes as they must be", o.acked, files, total)
}
