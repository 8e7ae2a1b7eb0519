package killtest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var raidRounds = flag.Int("killtest.raid", 2, "how many times something is killed while files are under RAID5")

// TestKillOneUnderRaid proves, with real processes under load: with files under RAID5, any
// one process may be killed at any moment, in the middle of folds and rebuilds too, and
// while it is down every acknowledged byte can be read. The next one is killed when the
// redundancy is whole again.
func TestKillOneUnderRaid(t *testing.T) {
	killOneByOne(t, func(c *cluster, id string) string { return c.path(id + "/a") })
}

// TestKillOneUnderBoth is TestKillOneUnderRaid with datanodes whose volumes are arrays.
func TestKillOneUnderBoth(t *testing.T) {
	killOneByOne(t, func(c *cluster, id string) string {
		return fmt.Sprintf("raid5:%s,%s,%s", c.path(id+"/a"), c.path(id+"/b"), c.path(id+"/c"))
	})
}

func killOneByOne(t *testing.T, dirs func(c *cluster, id string) string) {
	start(t)
	c := startClusterWith(t, 6, dirs, "redoubt.raid.fold.idle=1s", "redoubt.raid.fold.retry=1s",
		"redoubt.raid.hold=5s", "dfs.namenode.redundancy.interval.seconds=1s")
	k := &killer{t: t, c: c, rng: rand.New(rand.NewPCG(*seed, 7)), super: c.client(t), count: map[string]int{}}
	ctx := context.Background()
	c.awaitUp(t)
	c.awaitLive(t, k.super, 6)
	for dir, policy := range map[string]string{"/load": "RAID5-2", "/load/1": "RAID5", "/load/2": "HOT"} {
		_, err := k.super.Mkdirs(ctx, dir, 0o755, true)
		require.NoError(t, err)
		require.NoError(t, k.super.SetStoragePolicy(ctx, dir, policy))
	}
	k.l = newLoad(t, c, 3, 2)
	for range *raidRounds {
		k.l.await(t, 30)
		k.killWhileWhole()
	}
	k.l.await(t, 20)
	k.l.stop()
	k.awaitWhole()
	k.l.check(t, k.super)
	k.l.refusals(t)
	m := c.parity(ctx)
	require.Positive(t, m["groups"], "%v", m)
	t.Logf("in the end: %v", m)
}

// killWhileWhole kills one process while the load runs, reads everything while it is down,
// starts it again, and waits until the redundancy is whole.
func (k *killer) killWhileWhole() {
	p := k.c.name
	if i := k.rng.IntN(len(k.c.data) + 2); i < len(k.c.data) {
		p = k.c.data[i]
	}
	k.l.await(k.t, int64(k.rng.IntN(20))) // a moment that nobody knows
	p.kill()
	if p != k.c.name {
		k.l.await(k.t, 10)
		resume := k.quiet()
		k.l.check(k.t, k.super)
		resume()
		if k.rng.IntN(2) == 0 { // long enough that everything it had is made again elsewhere
			k.c.awaitLive(k.t, k.super, len(k.c.data)-1)
			k.l.await(k.t, 20)
		}
	}
	p.start(k.t)
	k.c.awaitUp(k.t)
	k.c.awaitLive(k.t, k.super, len(k.c.data))
	resume := k.quiet()
	k.awaitWhole()
	resume()
}

// awaitWhole waits until nothing is lost, degraded, or has too few replicas.
func (k *killer) awaitWhole() {
	k.c.awaitUp(k.t)
	k.c.awaitLive(k.t, k.super, len(k.c.data))
	k.c.awaitHealed(k.t, k.super)
	poll(k.t, 3*time.Minute, "whole groups", func(ctx context.Context) (bool, string) {
		m := k.c.parity(ctx)
		return len(m) > 0 && m["degraded"] == 0 && m["lost"] == 0, fmt.Sprint(m)
	})
}

var parityLine = regexp.MustCompile(`(?m)^redoubt_namenode_parity_(\w+) (\d+)$`)

// parity gives the name node's counters of parity groups, nil when it does not answer.
func (c *cluster) parity(ctx context.Context) map[string]int {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+c.http+"/metrics", nil)
	if err != nil {
		return nil
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil
	}
	counts := map[string]int{}
	for _, m := range parityLine.FindAllStringSubmatch(string(text), -1) {
		counts[m[1]], _ = strconv.Atoi(m[2]) // digits only
	}
	return counts
}
