package fsck

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/internal/golden"
)

// tree is a Source of files that a test has made up.
type tree struct {
	files   []*dfs.FileHealth
	err     error
	lost    []dfs.LostBlock
	deleted []string
	cluster dfs.ClusterHealth

	warnings []string
}

func (s *tree) CheckTree(_ context.Context, c *dfs.Caller, path string, fn func(*dfs.FileHealth) error) error {
	if s.err != nil {
		return s.err
	}
	seen := false
	for _, f := range s.files {
		if path == "/" || f.Path == path || strings.HasPrefix(f.Path, path+"/") {
			seen = true
			if err := fn(f); err != nil {
				return err
			}
		}
	}
	if !seen {
		return dfs.Errorf(dfs.NotFound, "File does not exist: %s", path)
	}
	return nil
}

func (s *tree) CheckBlock(c *dfs.Caller, id dfs.BlockID) (dfs.BlockHealth, string, error) {
	if c.User != "root" {
		return dfs.BlockHealth{}, "", dfs.Errorf(dfs.Permission, "Access denied for user %s. Superuser privilege is required for operation fsck", c.User)
	}
	for _, f := range s.files {
		for _, b := range f.Blocks {
			if b.ID == id {
				return b, f.Path, nil
			}
		}
	}
	return dfs.BlockHealth{}, "", dfs.Errorf(dfs.NotFound, "no such block")
}

func (s *tree) LostBlocks(c *dfs.Caller, path string, after dfs.BlockID, max int) (list []dfs.LostBlock, err error) {
	for _, b := range s.lost {
		if b.ID > after && len(list) < max {
			list = append(list, b)
		}
	}
	return list, s.err
}

func (s *tree) CheckedCluster() dfs.ClusterHealth { return s.cluster }
func (s *tree) Warnings() []string                { return s.warnings }

func (s *tree) Delete(_ context.Context, _ *dfs.Caller, path string, _ bool) (bool, error) {
	s.deleted = append(s.deleted, path)
	return true, nil
}

func replica(node int, condition dfs.ReplicaCondition) dfs.ReplicaHealth {
	info := &dfs.DatanodeInfo{Location: fmt.Sprintf("/rack%d", node%3+1)}
	info.UUID, info.IP, info.Host, info.XferPort = fmt.Sprintf("dn-%d", node), fmt.Sprintf("10.0.0.%d", node), fmt.Sprintf("host%d", node), 9866
	return dfs.ReplicaHealth{ReplicaLoc: dfs.ReplicaLoc{Node: info, Storage: fmt.Sprintf("ds-%d", node), Type: dfs.StorageDisk}, Condition: condition}
}

func live(nodes ...int) (list []dfs.ReplicaHealth) {
	for _, n := range nodes {
		list = append(list, replica(n, dfs.ReplicaLive))
	}
	return list
}

func block(id int, length int64, expected int, replicas []dfs.ReplicaHealth) dfs.BlockHealth {
	return dfs.BlockHealth{Block: dfs.Block{ID: dfs.FirstBlockID + dfs.BlockID(id), GenStamp: 1001 + dfs.GenStamp(id), Length: length},
		Complete: true, Expected: expected, Replicas: replicas}
}

func file(path string, policy uint8, blocks ...dfs.BlockHealth) *dfs.FileHealth {
	f := &dfs.FileHealth{Path: path, Blocks: blocks}
	f.Type, f.Replication, f.StoragePolicy = dfs.TypeFile, 3, policy
	for _, b := range blocks {
		f.Length += b.Length
	}
	return f
}

func dir(path string) *dfs.FileHealth {
	f := &dfs.FileHealth{Path: path}
	f.Type, f.StoragePolicy = dfs.TypeDirectory, dfs.PolicyHot
	return f
}

func group(parity, gone int, replicas []dfs.ReplicaHealth) *dfs.GroupHealth {
	return &dfs.GroupHealth{Parity: dfs.Block{ID: dfs.FirstBlockID + dfs.BlockID(parity), GenStamp: 1001 + dfs.GenStamp(parity), Length: 1000},
		Data: 4, Members: 3, Departed: 1, Gone: gone, Replicas: replicas}
}

const raid5 = 36

// wellAndIll is a tree with one of everything.
func wellAndIll(ill bool) *tree {
	in := func(b dfs.BlockHealth, g *dfs.GroupHealth) dfs.BlockHealth { b.Group = g; return b }
	s := &tree{cluster: dfs.ClusterHealth{PoolID: "BP-1-10.0.0.1-2", Datanodes: 5, Racks: 3, Replication: 3, MinReplication: 1}}
	s.files = []*dfs.FileHealth{dir("/"), dir("/a"),
		file("/a/three", dfs.PolicyHot, block(0, 1000, 3, live(1, 2, 3)), block(1, 500, 3, live(3, 4, 5))),
		file("/a/empty", dfs.PolicyHot),
		file("/a/parity", raid5, in(block(2, 1000, 1, live(1)), group(9, 0, live(5))), in(block(3, 900, 1, live(2)), group(9, 0, live(5))), block(4, 10, 2, live(1, 2))),
	}
	if !ill {
		return s
	}
	open := file("/a/open", dfs.PolicyHot, block(10, 7, 3, live(1, 2)))
	open.Open, open.Blocks[0].Complete = true, false
	one := block(8, 40, 2, live(1, 4))
	one.Misplaced = "Block should be additionally replicated on 1 more rack(s). Total number of racks in the cluster: 3"
	s.files = append(s.files, open,
		file("/ill/short", dfs.PolicyHot, block(5, 100, 3, []dfs.ReplicaHealth{replica(1, dfs.ReplicaLive), replica(2, dfs.ReplicaDecommissioning)})),
		file("/ill/missing", dfs.PolicyHot, block(6, 200, 3, nil)),
		file("/ill/corrupt", dfs.PolicyHot, block(7, 300, 3, []dfs.ReplicaHealth{replica(1, dfs.ReplicaCorrupt)})),
		file("/ill/rack", dfs.PolicyHot, one),
		file("/ill/degraded", raid5, in(block(11, 100, 1, nil), group(15, 1, live(5))), in(block(12, 110, 1, live(2)), group(15, 1, live(5)))),
		file("/ill/lost", raid5, in(block(13, 120, 1, nil), group(16, 2, nil))),
		file("/ill/single", dfs.PolicyHot, block(14, 100, 1, live(3))))
	s.cluster.Waiting, s.cluster.Why = 3, "fewer than 3 datanodes"
	return s
}

// ask gets an answer with the times taken out of it.
func ask(s Source, query string) string {
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	h := Handler(Config{Source: s, Now: func() time.Time { return at }})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/fsck?"+query, nil)
	r.RemoteAddr = "[::ffff:127.0.0.1]:4711"
	h.ServeHTTP(w, r)
	return w.Body.String()
}

// TestAnswers compares whole answers with files of testdata.
func TestAnswers(t *testing.T) {
	for _, c := range []struct{ name, query, last string }{
		{"well", "ugi=root&path=%2F", "The filesystem under path '/' is HEALTHY"},
		{"well-files", "ugi=root&path=%2Fa&files=1&blocks=1&locations=1", "The filesystem under path '/a' is HEALTHY"},
		{"ill", "ugi=root&path=%2F", "The filesystem under path '/' is CORRUPT"},
		{"ill-files", "ugi=root&files=1&blocks=1&racks=1&openforwrite=1&maintenance=1&path=%2F", "The filesystem under path '/' is CORRUPT"},
		{"ill-details", "ugi=root&files=1&blocks=1&replicadetails=1&storagepolicies=1&path=%2Fill", "The filesystem under path '/ill' is CORRUPT"},
		{"ill-blocks", "ugi=root&blockId=blk_1073741832+blk_1073741836_1012.meta+blk_77+nonsense+", "Incorrect blockId format: nonsense"},
		{"ill-block-corrupt", "ugi=root&blockId=blk_1073741832", "Block replica on datanode/rack: host1/rack2 is CORRUPT"},
		{"none", "ugi=root&path=%2Fnothing", "Path '/nothing' does not exist"},
	} {
		got := ask(wellAndIll(strings.HasPrefix(c.name, "ill")), c.query)
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		require.Equal(t, c.last, lines[len(lines)-1], c.name)
		want := golden.Reviewed(t, filepath.Join("testdata", c.name+".txt"), []byte(got))
		require.Equal(t, string(want), got, c.name)
	}
}

func TestFailuresAreTold(t *testing.T) {
	s := wellAndIll(false)
	s.err = dfs.Errorf(dfs.Permission, "Permission denied: user=bob, access=READ_EXECUTE")
	got := ask(s, "ugi=bob&path=%2Fsec")
	require.Contains(t, got, "FSCK started by bob (auth:SIMPLE) from /127.0.0.1 for path /sec at Sun Nov 22 01:02:03 UTC 2026\n")
	require.Contains(t, got, "Permission denied: user=bob, access=READ_EXECUTE\n")
	require.True(t, strings.HasSuffix(got, "\n\nFsck on path '/sec' FAILED"), got)
	s.err = errors.New("plain")
	require.Contains(t, ask(s, ""), "started by dr.who")
	require.Contains(t, ask(s, ""), "plain\n")
	s.err = nil
	require.True(t, strings.HasSuffix(ask(s, "move=1"), "Fsck on path '/' FAILED"))
	require.Contains(t, ask(s, "blockId=blk_1&ugi=bob"), "Access denied for user bob")
	require.True(t, strings.HasSuffix(ask(s, "listcorruptfileblocks=1&startblockafter=x"), "FAILED"))
}

// TestLostBlocksPageByPage goes on from cookie to cookie as Hadoop's client does.
func TestLostBlocksPageByPage(t *testing.T) {
	s := wellAndIll(false)
	require.Contains(t, ask(s, "listcorruptfileblocks=1"), "Cookie:\t0\n\n\nThe filesystem under path '/' has no CORRUPT files\n")
	for i := range 250 {
		s.lost = append(s.lost, dfs.LostBlock{ID: dfs.FirstBlockID + dfs.BlockID(3*i), Replication: 1, Path: fmt.Sprint("/f", i)})
	}
	seen, cookie := 0, ""
	for pages := 0; ; pages++ {
		q := url.Values{"listcorruptfileblocks": {"1"}}
		if cookie != "" {
			q.Set("startblockafter", cookie)
		}
		done := false
		for _, line := range strings.Split(ask(s, q.Encode()), "\n") {
			if c, ok := strings.CutPrefix(line, "Cookie:\t"); ok {
				cookie = c
			}
			if strings.HasPrefix(line, "blk_") {
				require.Equal(t, fmt.Sprintf("blk_%d\t1\t/f%d", dfs.FirstBlockID+dfs.BlockID(3*seen), seen), line)
				seen++
			}
			done = done || strings.HasSuffix(line, "has no more CORRUPT files")
		}
		if done {
			require.Equal(t, 3, pages)
			break
		}
	}
	require.Equal(t, 250, seen)
}

func TestDeleteTakesWhatIsLost(t *testing.T) {
	s := wellAndIll(true)
	ask(s, "delete=1&path=%2F")
	require.Equal(t, []string{"/ill/missing", "/ill/corrupt", "/ill/lost"}, s.deleted)
	s = wellAndIll(true)
	ask(s, "path=%2F")
	require.Empty(t, s.deleted)
}

func TestJavaFloats(t *testing.T) {
	for part, want := range map[int64]string{0: " (0.0 %)", 1: " (16.666666 %)", 6: " (100.0 %)"} {
		require.Equal(t, want, percent(part, 6))
	}
	require.Empty(t, percent(1, 0))
}

func FuzzRequest(f *testing.F) {
	f.Add("ugi=root&path=%2F&files=1&blocks=1")
	f.Add("blockId=blk_x+blk_1_2_3+blk_99999999999999999999&ugi=root")
	f.Add("listcorruptfileblocks=1&startblockafter=-1")
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.Parse("/fsck?" + query); err != nil || strings.ContainsAny(query, " \r\n\x00") || !validQuery(query) {
			return
		}
		require.NotEmpty(t, ask(wellAndIll(true), query))
	})
}

func validQuery(q string) bool {
	for _, r := range q {
		if r < 0x21 || r > 0x7e {
			return false
		}
	}
	return true
}
