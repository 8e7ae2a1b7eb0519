package namespace

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// TestCloseNamesAnAbandonedBlock: a client that has abandoned its last block may still
// name it when it closes the file, as HDFS's own does. The file keeps what came before.
func TestCloseNamesAnAbandonedBlock(t *testing.T) {
	for _, before := range []int{0, 1, 2} {
		s := New(Options{})
		txid := dfs.TxID(0)
		apply := func(op Op) any {
			txid++
			answer, err := s.Apply(txid, Encode(nil, op))
			require.NoError(t, err, "%T after %d blocks", op, before)
			require.NoError(t, s.Check())
			return answer
		}
		file := apply(&Create{Parent: dfs.RootInodeID, Names: []string{"f"}, Mode: 0o644, Owner: "o", Holder: "h",
			Flags: dfs.CreateFlagCreate, Replication: 1, BlockSize: 1 << 20}).(*Created).Status.ID
		var last dfs.Block
		for range before + 1 {
			last = apply(&AddBlock{File: file, Holder: "h", Previous: last}).(*AddedBlock).Block
			last.Length = 1 << 20
		}
		apply(&AbandonBlock{File: file, Holder: "h", Block: last})
		apply(&Close{File: file, Holder: "h", Last: last})
		in, ok := s.Inode(file)
		require.True(t, ok)
		require.False(t, in.UnderConstruction)
		require.Equal(t, before, in.Blocks)
		require.EqualValues(t, before<<20, in.Length)
	}
}
