package namenode

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/wire/control"
)

// kindAndText asserts an error's kind and a part of its text.
func kindAndText(t *testing.T, err error, kind dfs.Kind, text string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, kind, dfs.KindOf(err), "%v", err)
	require.ErrorContains(t, err, text)
}

func TestWritePathAndRestart(t *testing.T) {
	r := newRig(t, 3)
	blocks := r.write("/d/f", 1<<20, 1<<20, 1000)
	require.Equal(t, int64(2<<20+1000), r.stat("/d/f").Length)
	lb, err := r.BlockLocations(by("root"), "/d/f", 0, 1<<62)
	require.NoError(t, err)
	require.Len(t, lb.Blocks, 3)
	require.True(t, lb.LastComplete)
	require.False(t, lb.UnderConstruction)
	require.Len(t, lb.Blocks[1].Locs, 3)
	require.Equal(t, int64(1<<20), lb.Blocks[1].Offset)
	require.Equal(t, "dn-1", lb.Blocks[0].Locs[0].Node.UUID, "the caller's own machine comes first")

	// After a restart everything acknowledged is there; until the datanodes have
	// reported, the name node is in safe mode and changes nothing.
	id := r.stat("/d/f").ID
	r.restart()
	require.Equal(t, id, r.stat("/d/f").ID)
	_, err = r.Mkdirs(ctx, by("root"), "/x", 0o755, true)
	kindAndText(t, err, dfs.SafeMode, "Cannot create directory /x. Name node is in safe mode.")
	for _, d := range r.nodes[:2] {
		d.report(blocks...)
	}
	on, err := r.SetSafeMode(ctx, by("bob"), dfs.SafeModeGet)
	require.NoError(t, err)
	require.False(t, on)
	lb, err = r.BlockLocations(by("root"), "/d/f", 1<<20, 1)
	require.NoError(t, err)
	require.Len(t, lb.Blocks, 1)
	require.Len(t, lb.Blocks[0].Locs, 2)
}

func TestCompleteWaitsForTheReplica(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	lb := r.addBlock("/f", "w", nil)
	last := lb.Block
	last.Length = 77
	done := make(chan bool)
	go func() {
		ok, err := r.Complete(ctx, by("root"), "/f", "w", &last, 0)
		done <- ok && err == nil
	}()
	r.node(lb.Locs[0].Node.UUID).event(control.EventReceived, last)
	require.True(t, <-done)
}

func TestCompleteGivesUpInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.stop()
		r.create("root", "/f", "w")
		lb := r.addBlock("/f", "w", nil)
		last := lb.Block
		last.Length = 77
		begun := time.Now()
		ok, err := r.Complete(ctx, by("root"), "/f", "w", &last, 0)
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, 2*time.Second, time.Since(begun))

		// A replica of another length does not count.
		short := last
		short.Length = 76
		r.node(lb.Locs[0].Node.UUID).event(control.EventReceived, short)
		ok, err = r.Complete(ctx, by("root"), "/f", "w", &last, 0)
		require.NoError(t, err)
		require.False(t, ok)

		// A third block waits for the first one's replica.
		r.create("root", "/g", "w")
		b1 := r.addBlock("/g", "w", nil).Block
		b1.Length = 1 << 20
		b2 := r.addBlock("/g", "w", &b1).Block
		b2.Length = 1 << 20
		_, err = r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/g", Holder: "w", Previous: &b2})
		kindAndText(t, err, dfs.NotReplicatedYet, "Not replicated yet: /g")
	})
}

func TestRetriedAddBlockGetsTheSameBlock(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	first := r.addBlock("/f", "w", nil)
	again := r.addBlock("/f", "w", nil)
	require.Equal(t, first.Block, again.Block)
	require.Equal(t, first.Locs, again.Locs)
	b := r.received(first, 1<<20)
	second := r.addBlock("/f", "w", &b)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, second.Block, r.addBlock("/f", "w", &b).Block)
	require.Equal(t, int64(1<<20), second.Offset)
}

func TestWriterCallsPreferTheFileID(t *testing.T) {
	r := newRig(t, 3)
	st := r.create("root", "/a/f", "w")
	require.NoError(t, r.Rename2(ctx, by("root"), "/a", "/b", dfs.RenameOptions{}))
	lb, err := r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/a/f", File: st.ID, Holder: "w"})
	require.NoError(t, err)
	b := r.received(lb, 5)
	require.NoError(t, r.Fsync(ctx, by("root"), "/a/f", "w", 5, st.ID))
	done, err := r.Complete(ctx, by("root"), "/a/f", "w", &b, st.ID)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, int64(5), r.stat("/b/f").Length)
}

func TestLeaseErrors(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	_, err := r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/f", Holder: "other"})
	require.Equal(t, dfs.LeaseExpired, dfs.KindOf(err), "%v", err)
	_, err = r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/gone", Holder: "w"})
	kindAndText(t, err, dfs.NotFound, "File does not exist: /gone (inode 0) [Lease.  Holder: w, pending creates: 1]")
	_, err = r.Complete(ctx, by("root"), "/f", "other", nil, 0)
	require.Equal(t, dfs.LeaseExpired, dfs.KindOf(err), "%v", err)

	_, err = r.Create(ctx, by("root"), newFile("/f", "other"))
	kindAndText(t, err, dfs.BeingCreated, "Failed to CREATE_FILE /f for other on 10.0.0.1 because this file lease is currently owned by w on 10.0.0.1")
	_, err = r.Create(ctx, by("root"), newFile("/f", "w"))
	kindAndText(t, err, dfs.BeingCreated, "Failed to CREATE_FILE /f for w on 10.0.0.1 because w is already the current lease holder.")
	_, _, err = r.Append(ctx, by("root"), "/f", "other", 0)
	kindAndText(t, err, dfs.BeingCreated, "Failed to APPEND_FILE /f")

	// OVERWRITE replaces even an open file.
	req := newFile("/f", "other")
	req.Flags |= dfs.CreateFlagOverwrite
	_, err = r.Create(ctx, by("root"), req)
	require.NoError(t, err)
	_, err = r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/f", Holder: "w"})
	require.Equal(t, dfs.LeaseExpired, dfs.KindOf(err), "%v", err)

	done, err := r.Complete(ctx, by("root"), "/f", "other", nil, 0)
	require.NoError(t, err)
	require.True(t, done)
	_, err = r.Create(ctx, by("root"), newFile("/f", "w"))
	kindAndText(t, err, dfs.AlreadyExists, "/f for client 10.0.0.1 already exists")
	_, err = r.Create(ctx, by("root"), newFile("/", "w"))
	require.Equal(t, dfs.AlreadyExists, dfs.KindOf(err))
}

func TestCompleteTwice(t *testing.T) {
	r := newRig(t, 3)
	blocks := r.write("/f", 10)
	done, err := r.Complete(ctx, by("root"), "/f", "writer", &blocks[0], 0)
	require.NoError(t, err)
	require.True(t, done, "a repeated complete of the same file is success")
}

func TestAppend(t *testing.T) {
	r := newRig(t, 3)
	blocks := r.write("/f", 1<<20, 100)
	lb, st, err := r.Append(ctx, by("root"), "/f", "w2", 0)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20+100), st.Length)
	require.Equal(t, blocks[1], lb.Block)
	require.Len(t, lb.Locs, 3)

	// What the Java client does: a new stamp, a new pipeline, more bytes.
	fresh, err := r.UpdateBlockForPipeline(ctx, by("root"), lb.Block, "w2")
	require.NoError(t, err)
	require.Greater(t, fresh.GenStamp, lb.GenStamp)
	var nodes []dfs.DatanodeID
	var storages []string
	for _, l := range lb.Locs {
		nodes, storages = append(nodes, l.Node.DatanodeID), append(storages, l.Storage)
	}
	next := fresh.Block
	require.NoError(t, r.UpdatePipeline(ctx, by("root"), &dfs.UpdatePipelineRequest{Holder: "w2", Old: lb.Block, New: next, Nodes: nodes, Storages: storages}))
	next.Length = 150
	for _, n := range nodes {
		r.node(n.UUID).event(control.EventReceived, next)
	}
	done, err := r.Complete(ctx, by("root"), "/f", "w2", &next, 0)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, int64(1<<20+150), r.stat("/f").Length)

	// What R does: append, write nothing, complete without a last block.
	lb, _, err = r.Append(ctx, by("root"), "/f", "w3", 0)
	require.NoError(t, err)
	require.NotNil(t, lb)
	done, err = r.Complete(ctx, by("root"), "/f", "w3", nil, 0)
	require.NoError(t, err)
	require.True(t, done)

	// NEW_BLOCK gives the block that the first new one follows, without datanodes: addBlock
	// is to name it. A last block that is full is not given.
	lb, _, err = r.Append(ctx, by("root"), "/f", "w4", dfs.CreateFlagAppend|dfs.CreateFlagNewBlock)
	require.NoError(t, err)
	require.Equal(t, next.ID, lb.ID)
	require.Empty(t, lb.Locs)
	more := r.received(r.addBlock("/f", "w4", &lb.Block), 50)
	done, err = r.Complete(ctx, by("root"), "/f", "w4", &more, 0)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, int64(1<<20+200), r.stat("/f").Length)
	// Now there is a short block inside. Hadoop's client takes the file's length modulo the
	// block size for that of the last block, so that one is not given any more.
	lb, _, err = r.Append(ctx, by("root"), "/f", "w5", 0)
	require.NoError(t, err)
	require.Nil(t, lb)
	more = r.received(r.addBlock("/f", "w5", nil), 7)
	done, err = r.Complete(ctx, by("root"), "/f", "w5", &more, 0)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, int64(1<<20+207), r.stat("/f").Length)
	r.write("/full", 1<<20)
	lb, _, err = r.Append(ctx, by("root"), "/full", "w5", 0)
	require.NoError(t, err)
	require.Nil(t, lb)

	_, _, err = r.Append(ctx, by("root"), "/none", "w", 0)
	kindAndText(t, err, dfs.NotFound, "Failed to append to non-existent file /none for client 10.0.0.1")
}

// The Go client asks for a stamp at each block's end and never uses it.
func TestUnusedStamp(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	lb := r.addBlock("/f", "w", nil)
	b := r.received(lb, 300)
	_, err := r.UpdateBlockForPipeline(ctx, by("root"), b, "w")
	require.NoError(t, err)
	lb2 := r.addBlock("/f", "w", &b)
	b2 := r.received(lb2, 10)
	_, err = r.UpdateBlockForPipeline(ctx, by("root"), b2, "w")
	require.NoError(t, err)
	done, err := r.Complete(ctx, by("root"), "/f", "w", &b2, 0)
	require.NoError(t, err)
	require.True(t, done)
}

func TestPipelineCallsNeedTheLease(t *testing.T) {
	r := newRig(t, 4)
	r.create("root", "/f", "w")
	lb := r.addBlock("/f", "w", nil)
	_, err := r.UpdateBlockForPipeline(ctx, by("root"), lb.Block, "other")
	kindAndText(t, err, dfs.LeaseExpired, "is accessed by a non lease holder other")
	_, err = r.UpdateBlockForPipeline(ctx, by("root"), dfs.Block{ID: 5}, "w")
	kindAndText(t, err, dfs.Other, "does not exist or is not under construction")

	existing := []dfs.DatanodeID{lb.Locs[0].Node.DatanodeID, lb.Locs[1].Node.DatanodeID}
	more, err := r.AdditionalDatanode(ctx, by("root"), &dfs.AdditionalDatanodeRequest{Path: "/f", Block: lb.Block, Existing: existing,
		Storages: []string{lb.Locs[0].Storage, lb.Locs[1].Storage}, Exclude: []dfs.DatanodeID{lb.Locs[2].Node.DatanodeID}, Count: 1, Holder: "w"})
	require.NoError(t, err)
	require.Len(t, more.Locs, 3)
	require.Equal(t, existing[0].UUID, more.Locs[0].Node.UUID)
	for _, old := range lb.Locs {
		require.NotEqual(t, old.Node.UUID, more.Locs[2].Node.UUID)
	}

	require.NoError(t, r.AbandonBlock(ctx, by("root"), lb.Block, "/f", "w", 0))
	require.NoError(t, r.AbandonBlock(ctx, by("root"), lb.Block, "/f", "w", 0), "twice is no error")
	second := r.addBlock("/f", "w", nil)
	require.NotEqual(t, lb.ID, second.ID)
}

func TestAddBlockWithoutDatanodes(t *testing.T) {
	r := newRig(t, 0)
	r.create("root", "/f", "w")
	_, err := r.AddBlock(ctx, by("root"), &dfs.AddBlockRequest{Path: "/f", Holder: "w"})
	kindAndText(t, err, dfs.Other, "File /f could only be written to 0 of the 1 minReplication nodes. There are 0 datanode(s) running and no node(s) are excluded in this operation.")
	require.Equal(t, int64(0), r.Counts().Blocks, "nothing was logged for it")
}

func TestOpenFileLocations(t *testing.T) {
	r := newRig(t, 3)
	r.create("root", "/f", "w")
	lb, err := r.BlockLocations(by("root"), "/f", 0, 100)
	require.NoError(t, err)
	require.True(t, lb.UnderConstruction)
	require.Nil(t, lb.Last)

	b1 := r.received(r.addBlock("/f", "w", nil), 1<<20)
	r.addBlock("/f", "w", &b1)
	lb, err = r.BlockLocations(by("root"), "/f", 0, 1<<62)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), lb.FileLength, "the block being written does not count")
	require.Len(t, lb.Blocks, 1)
	require.False(t, lb.LastComplete)
	require.Equal(t, int64(0), lb.Last.Length)
	require.Len(t, lb.Last.Locs, 3)

	require.NoError(t, r.Fsync(ctx, by("root"), "/f", "w", 4096, 0))
	require.Equal(t, int64(1<<20+4096), r.stat("/f").Length)
	lb, err = r.BlockLocations(by("root"), "/f", 0, 1<<62)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), lb.FileLength)
	require.Equal(t, int64(4096), lb.Last.Length)

	files, more, err := r.OpenFiles(by("root"), 0, "/", false)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []dfs.OpenFile{{ID: r.stat("/f").ID, Path: "/f", Holder: "w", Machine: "10.0.0.1"}}, files)
	closed, err := r.IsFileClosed(by("root"), "/f")
	require.NoError(t, err)
	require.False(t, closed)
}
