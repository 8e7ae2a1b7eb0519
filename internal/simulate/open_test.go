package simulate

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/dfs"
)

// TestOpenFileIsLookedAfter: the blocks of a file that stays open for long are made again
// when a datanode is lost, so that a second one may be lost an hour later; the name node's
// restart changes nothing about that.
func TestOpenFileIsLookedAfter(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Hour)
			defer cancel()
			c, err := Start(ctx, Config{Datanodes: 6})
			require.NoError(t, err)
			defer func() { require.NoError(t, c.Close()) }()
			cl, err := c.Client(c.Net.Host("10.0.1.1"))
			require.NoError(t, err)
			defer cl.Close()
			s := &session{t: t, ctx: ctx, c: c, o: NewOracle(), wiped: map[*Party]bool{}}
			_, err = cl.Mkdirs(ctx, "/r", 0o755, true)
			require.NoError(t, err)
			require.NoError(t, cl.SetStoragePolicy(ctx, "/r", "RAID5-2"))
			w, err := cl.Create(ctx, "/r/log", client.CreateOptions{})
			require.NoError(t, err)
			defer w.Abort()
			data := slices.Repeat([]byte("0123456789abcdef"), (BlockSize+1024)/16)
			_, err = w.Write(data)
			require.NoError(t, err)
			require.NoError(t, w.Flush())
			located, err := cl.BlockLocations(ctx, "/r/log", 0, 1)
			require.NoError(t, err)
			first, writing := located.Blocks[0].Block, located.Last.Locs
			if restart {
				c.Kill(c.Name, Reset)
				require.NoError(t, c.Restart(ctx, c.Name, 0))
			}
			time.Sleep(30 * time.Second)
			// The open block is the writer's affair: one of its two replicas stays.
			lost := false
			lose := func() {
				for p := range replicasOf(t, c, first) {
					ofOpen := slices.ContainsFunc(writing, func(l dfs.ReplicaLoc) bool { return l.Node.IP == p.IP })
					if p.Alive() && !(ofOpen && lost) {
						lost = lost || ofOpen
						c.Kill(p, Reset)
						return
					}
				}
				t.Fatal("nobody can be lost")
			}
			lose()
			time.Sleep(10 * time.Minute) // plenty
			require.Equal(t, 2, living(replicasOf(t, c, first)), "%s", s.describe())
			lose()
			got, err := read(ctx, cl, "/r/log")
			require.NoError(t, err)
			require.NoError(t, Exactly(data).holds(got))
			require.NoError(t, w.Close())
		})
	}
}

func replicasOf(t *testing.T, c *Cluster, b dfs.Block) map[*Party][]byte {
	disks, err := c.Replicas()
	require.NoError(t, err)
	return disks[b.ID]
}

func living(on map[*Party][]byte) (n int) {
	for p := range on {
		if p.Alive() {
			n++
		}
	}
	return n
}
