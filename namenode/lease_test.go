package namenode

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/namespace"
	"redoubt/wire/control"
)

// beatAll makes every datanode beat, as time passes.
func (r *rig) beatAll() {
	for _, d := range r.nodes {
		d.beat()
	}
}

// pass lets virtual time pass with datanodes beating.
func (r *rig) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		time.Sleep(time.Second)
		r.beatAll()
		synctest.Wait()
	}
}

// recoveryOrder finds the order to recover a block and who got it.
func (r *rig) recoveryOrder(id dfs.BlockID) (who *fakeNode, order control.Command) {
	for _, d := range r.nodes {
		for _, c := range d.orders {
			if c.Kind == control.CmdRecover && c.Block.ID == id && (who == nil || c.RecoveryID > order.RecoveryID) {
				who, order = d, c
			}
		}
	}
	return who, order
}

// commit ends a block recovery as its primary would.
func (r *rig) commit(order control.Command, length int64) error {
	b := dfs.Block{ID: order.Block.ID, GenStamp: order.RecoveryID, Length: length}
	for _, t := range order.Targets {
		r.node(t.Node.UUID).event(control.EventReceived, b)
	}
	return r.CommitSync(ctx, &control.CommitSyncRequest{PoolID: r.Info().PoolID, Block: order.Block, NewStamp: order.RecoveryID,
		NewLength: length, Close: true, Targets: order.Targets})
}

func (r *rig) receiving(lb *dfs.LocatedBlock) {
	for _, l := range lb.Locs {
		r.node(l.Node.UUID).event(control.EventReceiving, lb.Block)
	}
}

func TestSoftLimitLetsAnotherWriterTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		r.receiving(lb)
		r.pass(59 * time.Second)
		_, _, err := r.Append(ctx, by("root"), "/f", "other", 0)
		require.Equal(t, dfs.BeingCreated, dfs.KindOf(err), "%v", err)

		require.NoError(t, r.RenewLease(by("root"), "w"))
		r.pass(59 * time.Second)
		_, _, err = r.Append(ctx, by("root"), "/f", "other", 0)
		require.Equal(t, dfs.BeingCreated, dfs.KindOf(err), "the lease was renewed")

		r.pass(2 * time.Second)
		_, _, err = r.Append(ctx, by("root"), "/f", "other", 0)
		kindAndText(t, err, dfs.RecoveryInProgress, "because lease recovery is in progress. Try again later.")
		_, err = r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/f", Holder: "w"})
		require.Equal(t, dfs.LeaseExpired, dfs.KindOf(err), "the silent writer has lost the file")
		r.pass(3 * time.Second)
		who, order := r.recoveryOrder(lb.ID)
		require.NotNil(t, who)
		require.Len(t, order.Targets, 3)
		require.Equal(t, lb.Block, order.Block)
		require.NoError(t, r.commit(order, 1234))
		require.Equal(t, int64(1234), r.stat("/f").Length)
		closed, err := r.IsFileClosed(by("root"), "/f")
		require.NoError(t, err)
		require.True(t, closed)
		require.NoError(t, r.commit(order, 1234), "told twice")

		got, _, err := r.Append(ctx, by("root"), "/f", "other", 0)
		require.NoError(t, err)
		require.Equal(t, dfs.Block{ID: lb.ID, GenStamp: order.RecoveryID, Length: 1234}, got.Block)
	})
}

func TestHardLimitClosesFilesUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/empty", "w")
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		r.receiving(lb)
		r.pass(20*time.Minute - 5*time.Second)
		closed, _ := r.IsFileClosed(by("root"), "/empty")
		require.False(t, closed)
		r.pass(15 * time.Second)
		closed, _ = r.IsFileClosed(by("root"), "/empty")
		require.True(t, closed)
		_, order := r.recoveryOrder(lb.ID)
		require.NotZero(t, order.RecoveryID)

		// A recovery that comes to nothing is ordered again, under a newer stamp; the old
		// outcome is then refused.
		r.pass(30 * time.Second)
		_, again := r.recoveryOrder(lb.ID)
		require.Greater(t, again.RecoveryID, order.RecoveryID)
		require.Error(t, r.commit(order, 1))
		require.NoError(t, r.commit(again, 99))
		require.Equal(t, int64(99), r.stat("/f").Length)
		require.Empty(t, r.leases.last, "the clock forgets holders without files")
	})
}

func TestRecoverLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		r.receiving(lb)
		closed, err := r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.False(t, closed)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(lb.ID)
		closed, err = r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.False(t, closed)
		_, same := r.recoveryOrder(lb.ID)
		require.Equal(t, order.RecoveryID, same.RecoveryID, "asking again does not start again")
		require.NoError(t, r.commit(order, 7))
		closed, err = r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.True(t, closed)

		// A file whose blocks are complete closes at once.
		r.create("root", "/empty", "w")
		closed, err = r.RecoverLease(ctx, by("root"), "/empty", "other")
		require.NoError(t, err)
		require.True(t, closed)
	})
}

func TestRecoveryOfABlockNobodyHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		_, err := r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(lb.ID)
		require.NotZero(t, order.RecoveryID, "the datanodes it was sent to are asked")
		require.NoError(t, r.CommitSync(ctx, &control.CommitSyncRequest{PoolID: r.Info().PoolID, Block: order.Block, NewStamp: order.RecoveryID, NewLength: -1, Close: true, Delete: true}))
		st := r.stat("/f")
		require.Equal(t, int64(0), st.Length)
		closed, err := r.IsFileClosed(by("root"), "/f")
		require.NoError(t, err)
		require.True(t, closed)
		require.Equal(t, int64(0), r.Counts().Blocks)
	})
}

// Closing a file by recovery completes the block before its last one, too: the block
// manager watches over it from then on.
func TestRecoveryCompletesTheBlockBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		first := r.addBlock("/f", "w", nil)
		prev := first.Block
		prev.Length = 10
		last := r.addBlock("/f", "w", &prev)
		closed, err := r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.False(t, closed, "the first block is nowhere yet")
		r.received(first, 10)
		_, err = r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(last.ID)
		require.NoError(t, r.CommitSync(ctx, &control.CommitSyncRequest{PoolID: r.Info().PoolID, Block: order.Block, NewStamp: order.RecoveryID, NewLength: -1, Close: true, Delete: true}))
		require.Equal(t, int64(10), r.stat("/f").Length)
		require.Equal(t, int64(0), r.Blocks().Blocks.Building)
		require.Equal(t, int64(1), r.Blocks().Blocks.Safe)
	})
}

// After a restart the name node does not know where a block being written is, until its
// datanodes say so: it must not take it for lost.
func TestRestartDoesNotDropAnOpenBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		r.receiving(lb)
		r.restart()
		require.False(t, r.safe.isOn())
		r.pass(61 * time.Second)
		closed, err := r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.False(t, closed)
		require.Equal(t, int64(1), r.Counts().Blocks)
		r.receiving(lb)
		closed, err = r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		require.False(t, closed)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(lb.ID)
		require.NoError(t, r.commit(order, 42))
		require.Equal(t, int64(42), r.stat("/f").Length)
	})
}

func TestTruncate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		blocks := r.write("/f", 1<<20, 1<<20)
		done, err := r.Truncate(ctx, by("root"), "/f", 1<<20, "t")
		require.NoError(t, err)
		require.True(t, done, "at a block's end")
		done, err = r.Truncate(ctx, by("root"), "/f", 1000, "t")
		require.NoError(t, err)
		require.False(t, done)
		lb, err := r.BlockLocations(by("root"), "/f", 0, 1<<62)
		require.NoError(t, err)
		require.Equal(t, int64(1000), lb.FileLength, "what was cut off can't be read any more")
		require.True(t, lb.LastComplete)
		require.Equal(t, int64(1<<20), r.stat("/f").Length, "clients wait for the new length to learn that it is done")
		require.Len(t, lb.Blocks[0].Locs, 3)
		_, _, err = r.Append(ctx, by("root"), "/f", "w", 0)
		require.Equal(t, dfs.RecoveryInProgress, dfs.KindOf(err), "%v", err)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(blocks[0].ID)
		require.Equal(t, int64(1000), order.NewLength)
		require.NoError(t, r.commit(order, 1000))
		require.Equal(t, int64(1000), r.stat("/f").Length)
		closed, err := r.IsFileClosed(by("root"), "/f")
		require.NoError(t, err)
		require.True(t, closed)
	})
}

// A truncate that is asked for again, because its answer was lost, and one whose datanodes
// fail, or whose name node is started again, still cuts to the same length.
func TestTruncateGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		b := r.write("/f", 1<<20)[0]
		for range 2 {
			done, err := r.Truncate(ctx, once("root", 7), "/f", 1000, "t")
			require.NoError(t, err)
			require.False(t, done)
		}
		r.pass(3 * time.Second)
		_, first := r.recoveryOrder(b.ID)
		require.Equal(t, int64(1000), first.NewLength)
		r.pass(13 * time.Second) // its primary has failed
		_, second := r.recoveryOrder(b.ID)
		require.Greater(t, second.RecoveryID, first.RecoveryID)
		require.Equal(t, int64(1000), second.NewLength)
		r.restart()
		for _, d := range r.nodes {
			d.report(b)
		}
		r.pass(5 * time.Second)
		_, third := r.recoveryOrder(b.ID)
		require.Greater(t, third.RecoveryID, second.RecoveryID)
		require.Equal(t, int64(1000), third.NewLength)
		done, err := r.Truncate(ctx, once("root", 7), "/f", 1000, "t")
		require.NoError(t, err)
		require.False(t, done)
		require.NoError(t, r.commit(third, 1000))
		require.Equal(t, int64(1000), r.stat("/f").Length)
		closed, err := r.IsFileClosed(by("root"), "/f")
		require.NoError(t, err)
		require.True(t, closed)
	})
}

// A block being written that nobody has reported yet is neither short nor lost.
func TestOpenBlockAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		r.receiving(lb)
		r.restart()
		_, err := r.BlockLocations(by("root"), "/f", 0, 1<<62)
		kindAndText(t, err, dfs.SafeMode, "Zero blocklocations for /f. Name node is in safe mode.")
		r.node(lb.Locs[0].Node.UUID).event(control.EventReceiving, lb.Block)
		found, err := r.BlockLocations(by("root"), "/f", 0, 1<<62)
		require.NoError(t, err)
		require.Len(t, found.Last.Locs, 1)
		// The one that has come back has lost it: the others may have it.
		_, err = r.RecoverLease(ctx, by("root"), "/f", "other")
		require.NoError(t, err)
		r.pass(3 * time.Second)
		_, order := r.recoveryOrder(lb.ID)
		require.Len(t, order.Targets, 1)
		give := &control.CommitSyncRequest{PoolID: r.Info().PoolID, Block: order.Block, NewStamp: order.RecoveryID, NewLength: -1, Close: true, Delete: true}
		require.ErrorContains(t, r.CommitSync(ctx, give), "is not given up")
		give.NewLength = 0 // it has an empty one: nothing was acknowledged
		require.NoError(t, r.CommitSync(ctx, give))
	})
}

// A block that is in the log while the block manager is still to be told of it has nothing
// that a reader could miss.
func TestOpenBlockJustAllocated(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	_, err := r.propose(ctx, &namespace.AddBlock{File: r.stat("/f").ID, Holder: "w"})
	require.NoError(t, err)
	found, err := r.BlockLocations(by("root"), "/f", 0, 1<<62)
	require.NoError(t, err)
	require.Zero(t, found.FileLength)
	require.Empty(t, found.Last.Locs)

	// The same for a reopened one: its replicas are where they were.
	blocks := r.write("/g", 100)
	_, err = r.propose(ctx, &namespace.Append{File: r.stat("/g").ID, Holder: "w"})
	require.NoError(t, err)
	found, err = r.BlockLocations(by("root"), "/g", 0, 1<<62)
	require.NoError(t, err)
	require.Equal(t, blocks[0].ID, found.Last.ID)
	require.Len(t, found.Last.Locs, 3)
}

// After a restart an append waits until the last block's datanodes have reported: what is
// appended and synced must not be on one of them alone.
func TestAppendAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		b := r.write("/f", 1000)[0]
		r.restart()
		for i, d := range r.nodes {
			d.report(b)
			lb, _, err := r.Append(ctx, by("root"), "/f", "w", 0)
			if i < 2 {
				kindAndText(t, err, dfs.Retriable, "append: lastBlock="+b.String()+" of src=/f is not sufficiently replicated yet.")
				continue
			}
			require.NoError(t, err)
			require.Len(t, lb.Locs, 3)
		}
	})
}
