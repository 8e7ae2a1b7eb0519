package journal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/vfs"
)

func TestInspectHealthy(t *testing.T) {
	mem, _ := imagesAt(t, "/a", "/b")
	require.NoError(t, mem.MkdirAll("/c"))
	before := disk(t, mem, "/a", "/b")
	rep, err := Inspect(mem, []string{"/a", "/b", "/c", "/missing"})
	require.NoError(t, err)
	require.False(t, rep.Recoverable, "a start refuses, because /missing may have more")
	require.Contains(t, rep.Problem, "/missing can't be used")
	require.EqualValues(t, 13, rep.LastDurable)
	require.Empty(t, rep.Choices)
	require.Contains(t, rep.Dirs[2].Problem, "not formatted")
	require.NotEmpty(t, rep.Dirs[3].Problem)
	for _, f := range append(rep.Dirs[0].Files, rep.Dirs[1].Files...) {
		require.Empty(t, f.Problem)
	}
	rep, err = Inspect(mem, []string{"/a", "/b", "/c"})
	require.NoError(t, err)
	require.True(t, rep.Recoverable)
	require.Empty(t, rep.Problem)
	require.Equal(t, before, disk(t, mem, "/a", "/b"))
	err = Recover(mem, []string{"/a", "/b"}, "keep-12")
	require.True(t, dfs.Is(err, dfs.IllegalArgument))
	rep, err = Inspect(vfs.NewMem(), []string{"/a"})
	require.NoError(t, err)
	require.False(t, rep.Recoverable)
	require.NotEmpty(t, rep.Problem)
}

// Damage in the only copy: the choice names what would be lost, does nothing unasked,
// and when it is taken, keeps what can be read and all of the evidence.
func TestRecoverKeepsWhatCanBeRead(t *testing.T) {
	for _, dirs := range [][]string{{"/a"}, {"/a", "/b"}} {
		mem, _ := imagesAt(t, dirs...)
		const segment = "edits_inprogress_0000000000000000011"
		for _, d := range dirs {
			whole, err := vfs.ReadFile(mem, d+"/current/"+segment, 1<<20)
			require.NoError(t, err)
			second := 512 + 64 // batches of one number take 64 bytes, or 88 with a mark
			for whole[second] != 'B' {
				second += 8
			}
			flip(t, mem, d+"/current/"+segment, int64(second+50))
		}
		_, err := Open(background, options(mem, newMachine(), dirs...))
		require.True(t, dfs.Is(err, dfs.Corrupt))
		before := disk(t, mem, dirs...)
		rep, err := Inspect(mem, dirs)
		require.NoError(t, err)
		require.False(t, rep.Recoverable)
		require.Contains(t, rep.Problem, segment)
		require.Equal(t, before, disk(t, mem, dirs...))
		require.Len(t, rep.Choices, 1)
		require.Equal(t, "keep-11", rep.Choices[0].ID)
		require.Contains(t, rep.Choices[0].Loses, "transactions 12 to 13")
		require.NoError(t, Recover(mem, dirs, "keep-11"))
		m := newMachine()
		j := open(t, options(mem, m, dirs...))
		require.Equal(t, upTo(11), m.list)
		propose(t, j, 100, 101)
		require.NoError(t, j.Close())
		require.Contains(t, files(t, mem, dirs[0]), segment+".corrupt", "evidence is kept")
		again := newMachine()
		j = open(t, options(mem, again, dirs...))
		require.Equal(t, m, again)
		require.NoError(t, j.Close())
	}
}

func TestRecoverFromAGapGoesBackToWhatIsThere(t *testing.T) {
	mem, _ := imagesAt(t, "/a")
	require.NoError(t, mem.Remove("/a/current/edits_0000000000000000006-0000000000000000010"))
	flip(t, mem, "/a/current/"+image10, 30)
	rep, err := Inspect(mem, []string{"/a"})
	require.NoError(t, err)
	require.Len(t, rep.Choices, 1)
	require.Equal(t, "keep-5", rep.Choices[0].ID)
	require.NoError(t, Recover(mem, []string{"/a"}, "keep-5"))
	m := newMachine()
	j := open(t, options(mem, m, "/a"))
	require.Equal(t, upTo(5), m.list)
	propose(t, j, 6, 7)
	require.NoError(t, j.Close())
	require.Contains(t, files(t, mem, "/a"), image10+".corrupt")
	require.NoError(t, open(t, options(mem, newMachine(), "/a")).Close())
}
