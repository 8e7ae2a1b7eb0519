package namenode

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/web/fsck"
	"redoubt/wire/control"
)

// Each node of a group in turn dies: everything stays readable at every step, and comes to
// stand as it did before on the nodes that are left.
func TestEveryNodeOfAGroupDies(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint("node ", i+1), func(t *testing.T) {
			raidTest(t, 6, func(t *testing.T, r *raidRig) {
				blocks := r.pairs("/r/f", kib, 700, kib, 300)
				r.until("grouped", func() bool { return r.settled(blocks) })
				victim := r.nodes[i].id.UUID
				had := len(r.disks[victim])
				r.calm = false
				r.kill(victim)
				r.readable("/r/f")
				r.until("dead", func() bool { r.readable("/r/f"); return r.Blocks().Nodes.Dead == 1 })
				lost, err := r.LostBlocks(by("root"), "/", 0, 10)
				require.NoError(t, err)
				require.Empty(t, lost)
				r.until("made again", func() bool { r.readable("/r/f"); return r.settled(blocks) })
				r.calm = true
				r.steps(3)
				if had > 0 {
					require.NotZero(t, r.Blocks().Parity.Rebuilds)
				}
				r.revive(victim)
				r.until("the old replicas are gone", func() bool { return r.settled(blocks) })
				r.readable("/r/f")
			})
		})
	}
}

func TestTwoNodesDieAndOneComesBack(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		one, two := r.holders(blocks[0])[0], r.holders(blocks[1])[0]
		r.calm = false
		r.kill(one)
		r.kill(two)
		r.until("dead", func() bool { return r.Blocks().Nodes.Dead == 2 })
		r.steps(5)
		lost, err := r.LostBlocks(by("root"), "/", 0, 10)
		require.NoError(t, err)
		require.Len(t, lost, 2)
		_, found, err := r.checked("root", "/r/f")
		require.NoError(t, err)
		require.True(t, found["/r/f"].Blocks[0].Lost())
		require.Equal(t, 2, found["/r/f"].Blocks[0].Group.Gone)
		_, err = r.Sources(ctx, &control.SourcesRequest{PoolID: r.Info().PoolID, Block: blocks[0]})
		require.True(t, dfs.Is(err, dfs.ReplicaNotFound))
		r.revive(one)
		r.until("nothing is lost any more", func() bool {
			lost, err := r.LostBlocks(by("root"), "/", 0, 10)
			return err == nil && len(lost) == 0
		})
		r.readable("/r/f")
	})
}

// Files that were written under another policy are converted when that is asked for, and back.
func TestSatisfyStoragePolicy(t *testing.T) {
	raidTest(t, 6, func(t *testing.T, r *raidRig) {
		r.mkdir("root", "/plain", 0o777)
		var all [][]dfs.Block
		for i := range 4 {
			all = append(all, r.put(fmt.Sprintf("/plain/f%d", i), kib, kib))
		}
		require.EqualValues(t, 3*8*kib, r.used())
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/plain", "raid5-4"))
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/plain"))
		r.wrote = time.Now()
		// Three replicas at random places: some blocks may find no company on any node.
		r.until("what can be is grouped", func() bool { return time.Since(r.wrote) > 2*time.Minute && len(r.groupsNow()) > 0 })
		for _, f := range all {
			for _, b := range f {
				if r.groupOf(b) != 0 {
					require.Len(t, r.holders(b), 1)
				} else {
					require.Len(t, r.holders(b), 2)
				}
			}
		}
		require.Less(t, r.used(), int64(2*8*kib))

		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/plain", "HOT"))
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/plain"))
		r.until("all have three replicas", func() bool { return len(r.groupsNow()) == 0 && r.used() == 3*8*kib })
		for i := range all {
			r.readable(fmt.Sprintf("/plain/f%d", i))
		}

		err := r.SatisfyStoragePolicy(ctx, by("root"), "/nothing")
		require.True(t, dfs.Is(err, dfs.NotFound))
		require.EqualError(t, err, "File/Directory does not exist: /nothing")
		r.mkdir("root", "/closed", 0o755)
		require.True(t, dfs.Is(r.SatisfyStoragePolicy(ctx, by("bob"), "/closed"), dfs.Permission))
		_, err = r.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
		require.NoError(t, err)
		require.True(t, dfs.Is(r.SatisfyStoragePolicy(ctx, by("root"), "/plain"), dfs.SafeMode))
	})
}

// A file's replication is kept and shown under RAID5, and counts when the policy goes back.
func TestSetReplicationUnderRAID5(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		ok, err := r.SetReplication(ctx, by("root"), "/r/f", 2)
		require.NoError(t, err)
		require.True(t, ok)
		r.steps(15)
		require.True(t, r.settled(blocks))
		require.EqualValues(t, 2, r.stat("/r/f").Replication)
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/r/f", "HOT"))
		require.NoError(t, r.SatisfyStoragePolicy(ctx, by("root"), "/r/f"))
		r.until("two replicas each", func() bool { return len(r.groupsNow()) == 0 && r.used() == 2*4*kib })
	})
}

// What a cluster of too few datanodes can't honour is taken, kept safe, and said.
func TestTooFewNodes(t *testing.T) {
	raidTest(t, 2, func(t *testing.T, r *raidRig) {
		blocks := r.put("/r/f", kib, kib)
		r.steps(40)
		require.Empty(t, r.groupsNow())
		require.EqualValues(t, 4*kib, r.used(), "two replicas")
		p := r.Blocks().Parity
		require.NotZero(t, p.Waiting)
		require.NotEmpty(t, p.Why)
		c := r.CheckedCluster()
		require.Equal(t, p.Waiting, c.Waiting)
		require.Equal(t, p.Why, c.Why)
		d := r.addNode()
		r.disks[d.id.UUID] = map[dfs.BlockID]kept{}
		d = r.addNode()
		r.disks[d.id.UUID] = map[dfs.BlockID]kept{}
		more := r.put("/r/g", kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks, more) })
	})
}

func TestPoliciesByName(t *testing.T) {
	raidTest(t, 3, func(t *testing.T, r *raidRig) {
		r.mkdir("root", "/r/below", 0o755)
		for name, id := range map[string]uint8{"RAID5": 36, "raid5-4": 36, "RAID5-2": 34, "RAID5-16": 48} {
			require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/r", name))
			p, err := r.StoragePolicy(by("root"), "/r")
			require.NoError(t, err)
			require.Equal(t, id, p.ID)
			require.Equal(t, id, r.stat("/r/below").StoragePolicy, "inherited")
		}
		for _, name := range []string{"RAID5-1", "RAID5-17", "RAID5-", "RAID6", "RAID5-4x"} {
			err := r.SetStoragePolicy(ctx, by("root"), "/r", name)
			require.True(t, dfs.Is(err, dfs.IllegalArgument))
			require.EqualError(t, err, "Cannot find a block policy with the name "+name)
		}
		require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/r", ""))
		p, err := r.StoragePolicy(by("root"), "/r/below")
		require.NoError(t, err)
		require.Equal(t, dfs.PolicyHot, p.ID)
		req := newFile("/r/created", "writer")
		req.StoragePolicy = "RAID5-3"
		st, err := r.Create(ctx, by("root"), req)
		require.NoError(t, err)
		require.EqualValues(t, 35, st.StoragePolicy)
		require.Len(t, r.addBlock("/r/created", "writer", nil).Locs, 2)
	})
}

// A name node that asks for three replicas before a block is complete can't have RAID5.
func TestPolicyThatTheConfigurationContradicts(t *testing.T) {
	r := newRig(t, 5, func(c *Config) { c.Files.MinReplication = 3 })
	r.mkdir("root", "/d", 0o755)
	err := r.SetStoragePolicy(ctx, by("root"), "/d", "RAID5")
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
	require.ErrorContains(t, err, "dfs.namenode.replication.min asks for 3")
	require.NoError(t, r.SetStoragePolicy(ctx, by("root"), "/d", "COLD"))
	req := newFile("/d/f", "writer")
	req.StoragePolicy = "RAID5-2"
	_, err = r.Create(ctx, by("root"), req)
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
	require.False(t, r.exists("/d/f"))
}

// What a check says of a group that lacks a block, and of one that lacks two.
func TestCheckOfDegradedGroups(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		r.calm = false
		r.intercept = func(*fakeNode, control.Command) bool { return true } // nothing is repaired
		dead := func(n int) {
			r.until("dead", func() bool { return r.Blocks().Nodes.Dead == n })
		}
		check := func() string {
			w := httptest.NewRecorder()
			fsck.Handler(fsck.Config{Source: r.NameNode}).ServeHTTP(w, httptest.NewRequest("GET", "/fsck?ugi=root&path=%2Fr", nil))
			return w.Body.String()
		}
		require.NotContains(t, check(), "ENDANGERED")
		r.kill(r.holders(blocks[0])[0])
		dead(1)
		text := check()
		require.Contains(t, text, "its parity group can make it again.\n")
		require.Contains(t, text, "/r/f: ENDANGERED 4 blocks of total size 4096 B: one more failure could cost them.\n")
		require.Contains(t, text, " Degraded groups:\t\t1 (100.0 %)\n")
		require.Contains(t, text, "Failures have cost:\t\t0 block(s) of 0 file(s)\n")
		require.True(t, strings.HasSuffix(text, "The filesystem under path '/r' is HEALTHY"))
		r.kill(r.holders(blocks[1])[0])
		dead(2)
		text = check()
		require.Contains(t, text, "\n/r/f: MISSING 2 blocks of total size 2048 B.")
		require.Contains(t, text, " Lost groups:\t\t\t1 (100.0 %)\n")
		require.Contains(t, text, "Failures have cost:\t\t2 block(s) of 1 file(s)\n")
		require.True(t, strings.HasSuffix(text, "The filesystem under path '/r' is CORRUPT"))
	})
}

// A pipeline under RAID5 gets a third node when one of its two fails, as any other.
func TestAdditionalDatanodeUnderRAID5(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		r.create("root", "/r/f", "writer")
		lb := r.addBlock("/r/f", "writer", nil)
		require.Len(t, lb.Locs, 2)
		next, err := r.AdditionalDatanode(ctx, by("root"), &dfs.AdditionalDatanodeRequest{Path: "/r/f", Block: lb.Block, Holder: "writer", Count: 1,
			Existing: []dfs.DatanodeID{lb.Locs[0].Node.DatanodeID}, Exclude: []dfs.DatanodeID{lb.Locs[1].Node.DatanodeID}})
		require.NoError(t, err)
		require.Len(t, next.Locs, 2)
		require.Equal(t, lb.Locs[0].Node.UUID, next.Locs[0].Node.UUID)
		require.NotEqual(t, lb.Locs[1].Node.UUID, next.Locs[1].Node.UUID)
		require.NotEqual(t, lb.Locs[0].Node.UUID, next.Locs[1].Node.UUID)
	})
}

// In a period each group is compared once.
func TestGroupsAreScrubbed(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		var all [][]dfs.Block
		for i := range 5 {
			all = append(all, r.pairs(fmt.Sprintf("/r/f%d", i), kib, kib, kib, kib))
		}
		r.until("grouped", func() bool { return r.settled(all...) })
		clear(r.scrubs)
		r.steps(105)
		require.Len(t, r.scrubs, 5, "all of them")
		for id, n := range r.scrubs {
			require.LessOrEqual(t, n, 2, "parity %d", id)
		}
		require.NotZero(t, r.Scrubs())
	}, func(c *Config) { c.Files.Parity.ScrubPeriod = 100 * time.Second })
}

// Safe mode makes no groups, and logs none that were on their way.
func TestNoGroupsInSafeMode(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		entered := false
		r.intercept = func(d *fakeNode, c control.Command) bool {
			if c.Kind == control.CmdFold && !entered {
				entered = true
				_, err := r.SetSafeMode(ctx, by("root"), dfs.SafeModeEnter)
				require.NoError(t, err)
			}
			return false
		}
		r.until("safe mode while a fold is under way", func() bool { return entered })
		r.steps(30)
		require.Empty(t, r.groupsNow())
		_, err := r.SetSafeMode(ctx, by("root"), dfs.SafeModeLeave)
		require.NoError(t, err)
		r.until("grouped", func() bool { return r.settled(blocks) })
	})
}

// A start waits for the blocks of files only: a block that its group can make is as good as
// reported, and parities and departed members are not counted.
func TestStartWithADegradedGroup(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		r.calm = false
		r.kill(r.holders(blocks[2])[0])
		r.restartAll()
		r.steps(2)
		require.Empty(t, r.SafeModeText(), "three blocks are reported, and the fourth can be made")
		r.readable("/r/f")
	}, func(c *Config) { c.SafeMode.Threshold = 1 })
}

func TestSourcesOfWhatIsInNoGroup(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		b := r.put("/r/f", kib)[0]
		for _, req := range []*control.SourcesRequest{
			{PoolID: r.Info().PoolID, Block: b}, {PoolID: r.Info().PoolID, Block: dfs.Block{ID: 5}}} {
			_, err := r.Sources(ctx, req)
			require.True(t, dfs.Is(err, dfs.ReplicaNotFound))
		}
		_, err := r.Sources(ctx, &control.SourcesRequest{PoolID: "BP-other", Block: b})
		require.True(t, dfs.Is(err, dfs.IncorrectVersion))
		require.True(t, dfs.Is(r.FoldDone(ctx, &control.FoldDoneRequest{PoolID: "BP-other"}), dfs.IncorrectVersion))
		require.NoError(t, r.FoldDone(ctx, &control.FoldDoneRequest{PoolID: r.Info().PoolID, UUID: "dn-1", Block: dfs.Block{ID: 99}}), "an answer nobody asked for")
		blocks := r.pairs("/r/g", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		old := blocks[0]
		old.GenStamp--
		_, err = r.Sources(ctx, &control.SourcesRequest{PoolID: r.Info().PoolID, Block: old})
		require.True(t, dfs.Is(err, dfs.ReplicaNotFound))
	})
}

// Files are renamed, joined and removed under a group as anywhere else.
func TestTreeChangesOverGroups(t *testing.T) {
	raidTest(t, 6, func(t *testing.T, r *raidRig) {
		a, b := r.put("/r/a", kib, kib), r.put("/r/b", kib, kib)
		r.until("grouped", func() bool { return r.settled(a, b) })
		ok, err := r.Rename(ctx, by("root"), "/r/a", "/r/c")
		require.NoError(t, err)
		require.True(t, ok)
		r.readable("/r/c")
		require.NoError(t, r.Concat(ctx, by("root"), "/r/c", []string{"/r/b"}))
		require.EqualValues(t, 4*kib, r.stat("/r/c").Length)
		r.steps(15)
		require.True(t, r.settled(a, b))
		r.readable("/r/c")
		keep := r.put("/r/keep", kib)
		require.NoError(t, r.Rename2(ctx, by("root"), "/r/keep", "/r/c", dfs.RenameOptions{Overwrite: true}))
		r.until("only what was renamed over it is left", func() bool { return r.settled(keep) || r.used() == 2*kib })
		r.readable("/r/c")
		require.EqualValues(t, 1, r.Counts().Blocks)
	})
}
