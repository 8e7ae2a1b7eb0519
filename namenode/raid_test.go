package namenode

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
)

const kib = 1 << 10

func TestBlocksBecomeGroups(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		one, two := r.pairs("/r/one", kib, kib, kib, kib), r.pairs("/r/two", kib, kib, kib, kib)
		for _, b := range append(one, two...) {
			require.Len(t, r.holders(b), 2, "a pipeline of two")
		}
		r.until("all are grouped", func() bool { return r.settled(one, two) })
		require.Equal(t, int64(8*kib*5/4), r.used(), "a quarter more than the data")
		require.Len(t, r.groupsNow(), 2)
		r.readable("/r/one")
		r.readable("/r/two")
		for _, g := range r.groupsNow() {
			nodes := map[string]bool{r.holders(g.Parity)[0]: true}
			for _, m := range g.Members {
				nodes[r.holders(m.Block)[0]] = true
			}
			require.Len(t, nodes, 5, "each block on a node of its own")
		}
		c := r.Counts()
		require.Equal(t, []int64{2, 8, 0, 2 * kib}, []int64{c.Groups, c.Members, c.Departed, c.ParityBytes})
		require.EqualValues(t, 2, r.Blocks().Parity.Folds)
		sum, err := r.ContentSummary(by("root"), "/r")
		require.NoError(t, err)
		require.EqualValues(t, 3*8*kib, sum.Space, "the recorded replication")
		_, found, err := r.checked("root", "/r/one")
		require.NoError(t, err)
		for _, b := range found["/r/one"].Blocks {
			require.NotNil(t, b.Group)
			require.Equal(t, 1, b.Expected)
			require.Zero(t, b.Group.Gone)
			require.Empty(t, b.Misplaced)
			require.False(t, b.Endangered())
		}
		r.restartAll()
		require.Empty(t, r.SafeModeText())
		r.steps(20)
		require.True(t, r.settled(one, two), "a restart changes nothing\n%s", r.dump())
		r.readable("/r/one")
	})
}

// Files of few small blocks share groups, of blocks of any length.
func TestSmallFilesShareGroups(t *testing.T) {
	raidTest(t, 6, func(t *testing.T, r *raidRig) {
		var all [][]dfs.Block
		for i, l := range []int64{100, 2000, 1, 777, 512, 90, 1500} {
			all = append(all, r.put("/r/f"+string(rune('a'+i)), l))
		}
		r.until("all are grouped", func() bool { return r.settled(all...) })
		for i := range all {
			r.readable("/r/f" + string(rune('a'+i)))
		}
	})
}

// Whatever is lost between two steps of the making of a group, it is made in the end, and
// nothing is left over.
func TestGroupsFormWhateverIsLost(t *testing.T) {
	faults := map[string]func(r *raidRig, d *fakeNode, c control.Command) bool{
		"the order is lost": func(*raidRig, *fakeNode, control.Command) bool { return true },
		"the fold fails": func(r *raidRig, d *fakeNode, c control.Command) bool {
			require.NoError(r.t, r.FoldDone(ctx, &control.FoldDoneRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID, Block: c.Block, Err: "no room"}))
			return true
		},
		"the answer is lost": func(r *raidRig, d *fakeNode, c control.Command) bool {
			r.keep(d, dfs.Block{ID: c.Block.ID, GenStamp: c.Block.GenStamp, Length: kib}, make([]byte, kib))
			return true
		},
		"the name node restarts before the fold": func(r *raidRig, d *fakeNode, c control.Command) bool {
			r.restartAll()
			return true
		},
		"the name node restarts while it folds": func(r *raidRig, d *fakeNode, c control.Command) bool {
			r.restartAll()
			r.fold(d, c) // the answer comes to one that knows nothing of it
			return true
		},
		"the name node restarts after the commit": func(r *raidRig, d *fakeNode, c control.Command) bool {
			r.fold(d, c)
			r.restartAll()
			return true
		},
		"the datanode restarts": func(r *raidRig, d *fakeNode, c control.Command) bool {
			r.reportAll(d)
			return true
		},
		"the sums are wrong": func(r *raidRig, d *fakeNode, c control.Command) bool {
			done := &control.FoldDoneRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID, Block: c.Block, Storage: d.disk.UUID, CRC: 1}
			done.Block.Length = kib
			for _, s := range c.Sources {
				done.Members = append(done.Members, dfs.ParityMember{Block: s.Block, CRC: 7, Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
			}
			r.keep(d, done.Block, make([]byte, kib))
			_ = r.FoldDone(ctx, done) // an error to the datanode or not: nothing may come of it
			require.Empty(r.t, r.groupsNow())
			return true
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			raidTest(t, 5, func(t *testing.T, r *raidRig) {
				left := 2
				r.intercept = func(d *fakeNode, c control.Command) bool {
					if c.Kind != control.CmdFold || left == 0 {
						return false
					}
					left--
					return fault(r, d, c)
				}
				blocks := r.pairs("/r/f", kib, kib, kib, kib)
				r.until("all are grouped and nothing is left over", func() bool { return r.settled(blocks) })
				require.Less(t, left, 2)
				r.readable("/r/f")
			})
		})
	}
}

// A file may go, or be changed, at any moment of its group's making.
func TestChangesWhileAGroupIsMade(t *testing.T) {
	remove := func(r *raidRig) {
		ok, err := r.Delete(ctx, by("root"), "/r/f", false)
		require.NoError(r.t, err)
		require.True(r.t, ok)
	}
	overwrite := func(r *raidRig) {
		req := newFile("/r/f", "writer")
		req.Flags |= dfs.CreateFlagOverwrite
		_, err := r.Create(ctx, by("root"), req)
		require.NoError(r.t, err)
		r.fill("/r/f", nil, kib)
	}
	grow := func(r *raidRig) {
		lb, _, err := r.Append(ctx, by("root"), "/r/f", "writer", 0)
		require.NoError(r.t, err)
		if lb == nil {
			r.fill("/r/f", nil, kib)
			return
		}
		// The last block is written on under a new stamp.
		next, err := r.UpdateBlockForPipeline(ctx, by("root"), lb.Block, "writer")
		require.NoError(r.t, err)
		b := dfs.Block{ID: lb.ID, GenStamp: next.GenStamp, Length: lb.Length + 100}
		r.truth[b.ID] = append(r.truth[b.ID][:lb.Length:lb.Length], make([]byte, 100)...)
		req := &dfs.UpdatePipelineRequest{Holder: "writer", Old: lb.Block, New: b}
		for _, loc := range lb.Locs {
			req.Nodes, req.Storages = append(req.Nodes, loc.Node.DatanodeID), append(req.Storages, loc.Storage)
		}
		require.NoError(r.t, r.UpdatePipeline(ctx, by("root"), req))
		for _, loc := range lb.Locs {
			r.keep(r.node(loc.Node.UUID), b, r.truth[b.ID])
		}
		done, err := r.Complete(ctx, by("root"), "/r/f", "writer", &b, 0)
		require.NoError(r.t, err)
		require.True(r.t, done)
	}
	for name, change := range map[string]func(*raidRig){"delete": remove, "overwrite": overwrite, "append": grow} {
		for _, when := range []string{"before the fold", "before the commit", "after the commit"} {
			t.Run(name+" "+when, func(t *testing.T) {
				raidTest(t, 6, func(t *testing.T, r *raidRig) {
					once := true
					r.intercept = func(d *fakeNode, c control.Command) bool {
						if c.Kind != control.CmdFold || !once {
							return false
						}
						once = false
						if when == "before the fold" {
							change(r)
						}
						if when == "before the commit" {
							r.foldLate(d, c, func() { change(r) })
						} else {
							r.fold(d, c)
						}
						if when == "after the commit" {
							change(r)
						}
						return true
					}
					r.put("/r/f", kib, kib)
					other := r.put("/r/other", kib, kib)
					r.until("all that is left is grouped", func() bool { return !once && r.settled(r.blocksOf("/r/f"), other) })
					r.readable("/r/other")
					if r.exists("/r/f") {
						r.readable("/r/f")
					}
					for _, p := range []string{"/r/f", "/r/other"} {
						_, err := r.Delete(ctx, by("root"), p, false)
						require.NoError(t, err)
					}
					r.until("nothing is left", func() bool { return r.used() == 0 })
					require.Empty(t, r.groupsNow())
				})
			})
		}
	}
}

// foldLate folds and lets something happen before the answer is told.
func (r *raidRig) foldLate(d *fakeNode, c control.Command, meanwhile func()) {
	all := make([]byte, 0)
	done := &control.FoldDoneRequest{UUID: d.id.UUID, PoolID: r.Info().PoolID, Block: c.Block, Storage: d.disk.UUID}
	for _, s := range c.Sources {
		k := r.disks[d.id.UUID][s.Block.ID]
		done.Members = append(done.Members, dfs.ParityMember{Block: k.block, CRC: crcOf(k.data), Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
		all = append(all, make([]byte, max(0, len(k.data)-len(all)))...)
		for i, x := range k.data {
			all[i] ^= x
		}
	}
	done.Block.Length, done.CRC = int64(len(all)), crcOf(all)
	r.truth[c.Block.ID] = all
	r.keep(d, done.Block, all)
	meanwhile()
	require.NoError(r.t, r.FoldDone(ctx, done))
}

func (r *raidRig) blocksOf(p string) (blocks []dfs.Block) {
	if !r.exists(p) {
		return nil
	}
	lb, err := r.BlockLocations(by("root"), p, 0, 1<<40)
	require.NoError(r.t, err)
	for _, b := range lb.Blocks {
		blocks = append(blocks, b.Block)
	}
	return blocks
}

// What is appended to a file whose last block is in a group goes to a new block, which any
// client can: it is told that there is no block to go on with.
func TestAppendToAGroupedBlock(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		first := r.put("/r/f", kib, 100)
		r.until("grouped", func() bool { return r.settled(first) })
		lb, st, err := r.Append(ctx, by("root"), "/r/f", "writer", 0)
		require.NoError(t, err)
		require.Nil(t, lb)
		require.EqualValues(t, kib+100, st.Length)
		r.fill("/r/f", nil, 50) // a null previous block, as Hadoop's client has it
		require.Len(t, r.blocksOf("/r/f"), 3)
		require.EqualValues(t, kib+150, r.stat("/r/f").Length)
		lb, _, err = r.Append(ctx, by("root"), "/r/f", "writer", dfs.CreateFlagNewBlock)
		require.NoError(t, err)
		require.NotNil(t, lb)
		r.fill("/r/f", &lb.Block, 60)
		r.until("all are grouped", func() bool { return r.settled(r.blocksOf("/r/f")) })
		r.readable("/r/f")
		lb, _, err = r.Append(ctx, by("root"), "/r/f", "writer", 0)
		require.NoError(t, err)
		require.Nil(t, lb)
		done, err := r.Complete(ctx, by("root"), "/r/f", "writer", nil, 0)
		require.NoError(t, err)
		require.True(t, done, "nothing was written")
	})
}

func TestTruncateOfAGroupedBlock(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		other := r.put("/r/g", kib)
		r.until("grouped", func() bool { return r.settled(blocks, other) })
		done, err := r.Truncate(ctx, by("root"), "/r/f", 3*kib, "x")
		require.NoError(t, err)
		require.True(t, done, "at a block's end nothing has to be cut")

		answer := make(chan bool, 1)
		go func() {
			done, err := r.Truncate(ctx, by("root"), "/r/f", 2*kib+100, "x")
			require.NoError(t, err)
			answer <- done
		}()
		var cut control.Command
		r.intercept = func(d *fakeNode, c control.Command) bool {
			if c.Kind == control.CmdRecover {
				cut = c
			}
			return c.Kind == control.CmdRecover
		}
		begun := time.Now()
		r.until("the cut is ordered", func() bool { return cut.Kind != 0 })
		require.False(t, <-answer)
		require.Less(t, time.Since(begun), 50*time.Second)
		require.Equal(t, blocks[2].ID, cut.Block.ID)
		require.EqualValues(t, 100, cut.NewLength)
		require.Zero(t, r.groupOf(blocks[2]))
		r.commitCut(cut, 100)
		require.EqualValues(t, 2*kib+100, r.stat("/r/f").Length)
		r.until("all are grouped again", func() bool { return r.settled(r.blocksOf("/r/f"), other) })
		r.readable("/r/f")
		r.readable("/r/g")
	})
}

// commitCut does what the primary of a truncate's recovery does.
func (r *raidRig) commitCut(c control.Command, length int64) {
	r.truth[c.Block.ID] = r.truth[c.Block.ID][:length:length]
	b := dfs.Block{ID: c.Block.ID, GenStamp: c.RecoveryID, Length: length}
	for _, t := range c.Targets {
		r.keep(r.node(t.Node.UUID), b, r.truth[b.ID])
	}
	require.NoError(r.t, r.CommitSync(ctx, &control.CommitSyncRequest{PoolID: r.Info().PoolID, Block: c.Block, NewStamp: c.RecoveryID,
		NewLength: length, Close: true, Targets: c.Targets}))
}

// Of very many truncates only some wait; the others' blocks leave all the same.
func TestFewTruncatesWait(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		r.leaving.Store(maxLeaving)
		begun := time.Now()
		_, err := r.Truncate(ctx, by("root"), "/r/f", 100, "x")
		require.True(t, dfs.Is(err, dfs.Retriable), err)
		require.Equal(t, begun, time.Now())
		r.until("the block has left", func() bool { return r.groupOf(blocks[0]) == 0 })
		done, err := r.Truncate(ctx, by("root"), "/r/f", 100, "x")
		require.NoError(t, err)
		require.False(t, done, "its datanodes have to cut it")
		r.leaving.Store(0)
	})
}

// A truncate that can't wait long enough says so; asked again, it goes on where it was.
func TestTruncateGivesUpWaiting(t *testing.T) {
	raidTest(t, 5, func(t *testing.T, r *raidRig) {
		blocks := r.pairs("/r/f", kib, kib, kib, kib)
		r.until("grouped", func() bool { return r.settled(blocks) })
		begun := time.Now()
		_, err := r.Truncate(ctx, by("root"), "/r/f", 100, "x") // no datanode does anything
		require.True(t, dfs.Is(err, dfs.Retriable), err)
		require.Equal(t, 50*time.Second, time.Since(begun))
		require.EqualValues(t, 4*kib, r.stat("/r/f").Length)
		for _, d := range r.nodes {
			r.reportAll(d)
		}
		r.until("the first block has left", func() bool { return r.groupOf(blocks[0]) == 0 })
		_, err = r.Truncate(ctx, by("root"), "/r/f", 100, "x")
		require.NoError(t, err)
	})
}
