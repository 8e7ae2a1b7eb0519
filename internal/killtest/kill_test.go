package killtest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/user"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/dfs"
)

var (
	rounds   = flag.Int("killtest.rounds", 6, "how many times something is killed or pulled")
	restarts = flag.Int("killtest.restarts", 2, "how many times fs minicluster is killed")
	seed     = flag.Uint64("killtest.seed", 0, "seed of the load and of the victims; 0 takes one from the clock")
)

// load is everything that uses the cluster while its processes are killed.
type load struct {
	oracle *oracle
	gate   sync.RWMutex // held while the cluster is to be quiet
	acked  atomic.Int64
	reads  atomic.Int64
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// await lets the killer wait until the load has done something more.
func (l *load) await(t *testing.T, more int64) {
	want := l.acked.Load() + more
	poll(t, 2*time.Minute, "progress of the load", func(context.Context) (bool, string) {
		return l.acked.Load() >= want, fmt.Sprint(l.acked.Load(), " of ", want)
	})
}

// stop ends the load and waits for it.
func (l *load) stop() {
	l.cancel()
	l.group.Wait()
}

// newLoad starts workers, readers, and clients that share a file.
func newLoad(t *testing.T, c *cluster, workers, readers int) *load {
	l := &load{oracle: newOracle()}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	t.Cleanup(l.stop)
	done := func() { l.acked.Add(1) }
	source := func(i int) *rand.Rand { return rand.New(rand.NewPCG(*seed, uint64(i))) }
	for i := range workers {
		cl := c.client(t)
		dir := fmt.Sprintf("/load/%d", i)
		_, err := cl.Mkdirs(ctx, dir, 0o755, true)
		require.NoError(t, err)
		w := &worker{dir: dir, client: cl, oracle: l.oracle, rng: source(i + 1), gate: &l.gate, done: done}
		l.group.Go(func() { w.run(ctx) })
	}
	for i := range readers {
		r := &reader{client: c.client(t), oracle: l.oracle, rng: source(100 + i), gate: &l.gate, good: &l.reads}
		l.group.Go(func() { r.run(ctx) })
	}
	s := &sharers{path: "/load/shared", clients: []*client.Client{c.client(t), c.client(t), c.client(t)}, oracle: l.oracle,
		rng: source(200), gate: &l.gate, done: done, is: outcome{parts: []part{}}}
	l.oracle.begin("create", map[string]outcome{s.path: s.is})
	f, err := s.clients[0].Create(ctx, s.path, client.CreateOptions{BlockSize: 1 << 20, Replication: 3})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	l.oracle.settleAs(s.path, s.is)
	l.group.Go(func() { s.run(ctx) })
	return l
}

// check reads everything back.
func (l *load) check(t *testing.T, cl *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	files, total, err := l.oracle.verify(ctx, cl)
	require.NoError(t, err)
	unsent, err := l.oracle.unsent(ctx, cl, "/load")
	require.NoError(t, err)
	require.Empty(t, unsent, "nobody made these")
	t.Logf("%d acknowledgements and %d reads meanwhile; %d paths and %d bytes as they must be, %d of them in doubt",
		l.oracle.acked, l.reads.Load(), files, total, len(l.oracle.doubts))
}

// refusals tells what failed, as it may while things are killed.
func (l *load) refusals(t *testing.T) {
	for _, text := range slices.Sorted(maps.Keys(l.oracle.refusals)) {
		t.Logf("%3d failed: %s", l.oracle.refusals[text], text)
	}
}

// killer breaks things in a cluster under load.
type killer struct {
	t     *testing.T
	c     *cluster
	l     *load
	rng   *rand.Rand
	super *client.Client
	round int
	count map[string]int
}

func start(t *testing.T) {
	if testing.Short() {
		t.Skip("a loop over real processes")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-killtest.seed=%d -killtest.rounds=%d -killtest.restarts=%d", *seed, *rounds, *restarts)
}

// TestKillMinicluster kills fs minicluster, a whole cluster in one process, under load and
// starts it again on its directory: everything acknowledged is there.
func TestKillMinicluster(t *testing.T) {
	start(t)
	c := startMinicluster(t, 4)
	super := c.client(t)
	c.awaitUp(t)
	c.awaitLive(t, super, 4)
	l := newLoad(t, c, 3, 1)
	for range *restarts {
		l.await(t, 30)
		c.name.kill()
		c.name.start(t)
	}
	l.await(t, 30)
	l.stop()
	c.awaitLive(t, super, 4)
	c.awaitHealed(t, super)
	l.check(t, super)
	l.refusals(t)
}

// TestKillUnderLoad proves, with real processes: whatever is killed, and a volume's or a
// name directory that vanishes from under a running server too, nothing acknowledged is
// lost, nothing unsent appears, no byte is wrong, and the cluster heals by itself.
func TestKillUnderLoad(t *testing.T) {
	start(t)
	c := startCluster(t, 5)
	k := &killer{t: t, c: c, rng: rand.New(rand.NewPCG(*seed, 0)), super: c.client(t), count: map[string]int{}}
	c.awaitUp(t)
	c.awaitLive(t, k.super, 5)
	k.l = newLoad(t, c, 4, 2)
	for k.round = range *rounds {
		k.l.await(t, 20)
		k.strike()
	}
	k.l.await(t, 20)
	k.l.stop()
	k.verify()
	// Once more after everything was killed at the same time.
	k.killAll()
	k.verify()
	k.l.refusals(t)
	kinds := slices.Sorted(maps.Keys(k.count))
	for _, kind := range kinds {
		t.Logf("%3d times: %s", k.count[kind], kind)
	}
}

func (k *killer) verify() {
	k.c.awaitUp(k.t)
	k.c.awaitLive(k.t, k.super, len(k.c.data))
	k.c.awaitHealed(k.t, k.super)
	k.l.check(k.t, k.super)
}

// strike does one bad thing.
func (k *killer) strike() {
	things := []struct {
		weight int
		what   string
		do     func()
	}{
		{6, "name node", k.killName}, {6, "datanode", k.killData}, {2, "two datanodes", k.killTwo}, {1, "all datanodes", k.killAllData},
		{1, "everything", k.killAll}, {2, "volume pulled", k.pullVolume}, {2, "name directory pulled", k.pullName},
	}
	total := 0
	for _, s := range things {
		total += s.weight
	}
	pick := k.rng.IntN(total)
	for _, s := range things {
		if pick -= s.weight; pick < 0 {
			k.count[s.what]++
			s.do()
			return
		}
	}
}

func (k *killer) killName() {
	k.c.name.kill()
	k.c.name.start(k.t)
	if k.rng.IntN(3) > 0 { // else the next thing happens while it starts
		k.c.awaitUp(k.t)
	}
}

func (k *killer) killData() { k.killNodes(k.rng.Perm(len(k.c.data))[:1]) }

func (k *killer) killTwo() { k.killNodes(k.rng.Perm(len(k.c.data))[:2]) }

func (k *killer) killNodes(victims []int) {
	for _, i := range victims {
		k.c.data[i].kill()
	}
	if k.rng.IntN(2) == 0 {
		k.l.await(k.t, 20) // the load goes on without it
	}
	for _, i := range victims {
		k.c.data[i].start(k.t)
	}
}

func (k *killer) killAllData() {
	for _, p := range k.c.data {
		p.kill()
	}
	for _, p := range k.c.data {
		p.start(k.t)
	}
}

func (k *killer) killAll() {
	for _, p := range append(k.c.data[:len(k.c.data):len(k.c.data)], k.c.name) {
		p.kill()
	}
	k.c.name.start(k.t)
	for _, p := range k.c.data {
		p.start(k.t)
	}
}

// quiet stops the load's next operations until the returned function is called.
func (k *killer) quiet() (resume func()) {
	k.l.gate.Lock()
	return k.l.gate.Unlock
}

// pullVolume takes a volume's directory away from under a running datanode. The datanode
// goes on with its other volume, everything is copied to other places without anybody
// asking, and at its next start it fills the empty place.
func (k *killer) pullVolume() {
	k.c.awaitUp(k.t)
	k.c.awaitLive(k.t, k.super, len(k.c.data))
	i := k.rng.IntN(len(k.c.data))
	volume := k.c.path(fmt.Sprintf("data%d/%c", i+1, 'a'+k.rng.IntN(2)))
	before, err := k.capacity(context.Background())
	require.NoError(k.t, err)
	require.NoError(k.t, os.Rename(volume, fmt.Sprintf("%s.pulled%d", volume, k.round)))
	k.l.await(k.t, 10)
	resume := k.quiet()
	poll(k.t, time.Minute, "that the name node hears of the volume", func(ctx context.Context) (bool, string) {
		now, err := k.capacity(ctx)
		return err == nil && now < before, fmt.Sprint(now, " of ", before, " bytes, ", err)
	})
	require.True(k.t, k.c.data[i].runs(), "the datanode goes on with its other volume")
	k.c.awaitHealed(k.t, k.super)
	require.True(k.t, k.c.data[i].runs())
	resume()
	k.c.data[i].kill()
	k.c.data[i].start(k.t)
	k.c.awaitLive(k.t, k.super, len(k.c.data))
}

// capacity is that of all volumes that the name node counts on.
func (k *killer) capacity(ctx context.Context) (sum int64, err error) {
	live, err := k.super.DatanodeReport(ctx, dfs.ReportLive)
	for _, d := range live {
		sum += d.Capacity
	}
	return sum, err
}

// pullName takes one of the two name directories away from under the running name node
// and kills it a little later. It must come back with the other one alone, and not be
// misled by the first one when that is there again, too old.
func (k *killer) pullName() {
	k.c.awaitUp(k.t)
	dir := k.c.path(fmt.Sprintf("name%d", 1+k.rng.IntN(2)))
	away := fmt.Sprintf("%s.pulled%d", dir, k.round)
	require.NoError(k.t, os.Rename(dir, away))
	k.l.await(k.t, 20)
	k.c.name.kill()
	if k.rng.IntN(2) == 0 {
		require.NoError(k.t, os.Rename(away, dir))
	} else {
		require.NoError(k.t, os.Mkdir(dir, 0o755)) // a new disk
	}
	k.c.name.start(k.t)
	k.c.awaitUp(k.t)
	k.l.await(k.t, 20)
	// From now on both count again: a checkpoint sees to that.
	resume := k.quiet()
	defer resume()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := k.super.SetSafeMode(ctx, dfs.SafeModeEnter)
	require.NoError(k.t, err)
	_, err = k.super.SaveNamespace(ctx, 0, 0)
	require.NoError(k.t, err)
	_, err = k.super.SetSafeMode(ctx, dfs.SafeModeLeave)
	require.NoError(k.t, err)
}

func currentUser(t *testing.T) string {
	me, err := user.Current()
	require.NoError(t, err)
	return me.Username
}
