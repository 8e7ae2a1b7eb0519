package blockmanager

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redoubt/dfs"
)

func place(w *world, r PlaceRequest) []string {
	if r.Size == 0 {
		r.Size = testBlock
	}
	if r.Policy == 0 {
		r.Policy = dfs.PolicyHot
	}
	var list []string
	for _, t := range w.m.Choose(&r) {
		list = append(list, t.Node.UUID)
	}
	return list
}

func TestPlacementByRack(t *testing.T) {
	w := cluster(t, 9, "/a", "/b", "/c")
	rack := func(uuid string) string { return w.m.Node(uuid).Location }
	for range 200 {
		got := place(w, PlaceRequest{Count: 3, Writer: netip.MustParseAddr("10.0.0.5")})
		require.Equal(t, "uuid-4", got[0], "the writer's own node")
		require.NotEqual(t, rack(got[0]), rack(got[1]))
		require.Equal(t, rack(got[1]), rack(got[2]))
		require.NotEqual(t, got[1], got[2])
		got = place(w, PlaceRequest{Count: 5})
		slices.Sort(got)
		require.Len(t, slices.Compact(got), 5)
		got = place(w, PlaceRequest{Count: 1, Writer: netip.MustParseAddr("10.0.0.5"), NoLocal: true})
		require.NotEqual(t, "uuid-4", got[0])
	}
	require.Len(t, place(w, PlaceRequest{Count: 12}), 9, "as many as there are")
}

func TestPlacementWishes(t *testing.T) {
	w := cluster(t, 6, "/a", "/b")
	w.nodes[0].reg.Storages[0].Remaining = testBlock - 1
	w.nodes[1].beats.Xceivers = 1000
	for _, n := range w.nodes[2:] {
		n.beats.Xceivers = 10
	}
	w.round()
	for range 50 {
		got := place(w, PlaceRequest{Count: 3})
		require.NotContains(t, got, "uuid-0", "full")
		require.NotContains(t, got, "uuid-1", "busy")
		got = place(w, PlaceRequest{Count: 2, Favored: []string{"h4", "10.0.0.4:9866", "nobody"}})
		require.ElementsMatch(t, []string{"uuid-4", "uuid-3"}, got)
		got = place(w, PlaceRequest{Count: 1, Exclude: []dfs.DatanodeID{w.nodes[2].reg.Node, w.nodes[3].reg.Node},
			Existing: []dfs.DatanodeID{w.nodes[4].reg.Node, {IP: "10.0.0.99"}}})
		require.Equal(t, []string{"uuid-5"}, got)
	}
	require.Len(t, place(w, PlaceRequest{Count: 5}), 5, "better a busy one than none")
	require.Empty(t, place(w, PlaceRequest{Count: 3, Size: 1 << 50}))
}

func TestPlacementCountsWhatIsPromised(t *testing.T) {
	w := cluster(t, 1)
	w.nodes[0].reg.Storages[0].Remaining = 3 * testBlock
	w.round()
	for range 3 {
		_, targets := w.allocate(1)
		require.Len(t, targets, 1)
	}
	require.Empty(t, place(w, PlaceRequest{Count: 1}))
	w.pass(21 * time.Minute)
	require.Len(t, place(w, PlaceRequest{Count: 1}), 1, "promises that were not kept expire")
}

func TestPlacementByMedium(t *testing.T) {
	w := newWorld(t, testConfig)
	for i := range 4 {
		n := w.addNode("", 2)
		n.reg.Storages[1].Type = dfs.StorageSSD
		if i > 0 {
			n.reg.Storages[1].Type = dfs.StorageArchive
		}
		w.start(n)
	}
	w.m.SetStartup(w.now, false)
	media := func(policy uint8, n int) (list []dfs.StorageType) {
		for _, t := range w.m.Choose(&PlaceRequest{Count: n, Size: 1, Policy: policy}) {
			list = append(list, t.Type)
		}
		slices.Sort(list)
		return list
	}
	for range 50 {
		require.Equal(t, []dfs.StorageType{dfs.StorageDisk, dfs.StorageDisk, dfs.StorageDisk}, media(dfs.PolicyHot, 3))
		require.Equal(t, []dfs.StorageType{dfs.StorageDisk, dfs.StorageDisk, dfs.StorageSSD}, media(10, 3), "ONE_SSD")
		require.Equal(t, []dfs.StorageType{dfs.StorageDisk, dfs.StorageDisk, dfs.StorageSSD}, media(12, 3), "ALL_SSD falls back")
		require.Equal(t, []dfs.StorageType{dfs.StorageDisk, dfs.StorageArchive, dfs.StorageArchive}, media(5, 3), "WARM")
		require.Len(t, media(2, 4), 3, "COLD has no fallback")
		require.Len(t, media(99, 3), 3, "an unknown policy is HOT")
	}
}

func TestStaleNodesAreAvoided(t *testing.T) {
	cfg := testConfig
	cfg.Place.AvoidStaleWrite, cfg.Place.AvoidStaleRead = true, true
	w := newWorld(t, cfg)
	for range 4 {
		w.addNode("", 1)
	}
	w.m.SetStartup(w.now, false)
	b := w.create(4)
	w.nodes[0].up = false
	w.pass(time.Minute)
	require.Equal(t, 1, w.m.Stats(w.now).Nodes.Stale)
	for range 50 {
		require.NotContains(t, place(w, PlaceRequest{Count: 3}), "uuid-0")
		locs, _ := w.m.Locate(nil, b.ID, netip.MustParseAddr("10.0.0.1"))
		require.Equal(t, "uuid-0", locs[3].Node.UUID)
	}
	require.Contains(t, place(w, PlaceRequest{Count: 4}), "uuid-0")
}

func TestLocateByDistance(t *testing.T) {
	w := cluster(t, 6, "/a", "/b")
	b := w.create(6)
	first := map[string]bool{}
	for range 100 {
		locs, corrupt := w.m.Locate(nil, b.ID, netip.MustParseAddr("::ffff:10.0.0.3"))
		require.False(t, corrupt)
		require.Equal(t, "uuid-2", locs[0].Node.UUID)
		require.Equal(t, []string{"/a", "/a", "/a", "/b", "/b", "/b"}, func() (r []string) {
			for _, l := range locs {
				r = append(r, l.Node.Location)
			}
			return r
		}())
		locs, _ = w.m.Locate(nil, b.ID, netip.Addr{})
		first[locs[0].Node.UUID] = true
	}
	require.Len(t, first, 6, "readers from elsewhere are spread")
	locs, corrupt := w.m.Locate(nil, 12345, netip.Addr{})
	require.Empty(t, locs)
	require.False(t, corrupt)
}

func TestSameSeedSameChoice(t *testing.T) {
	run := func() (all [][]string) {
		w := cluster(t, 8, "/a", "/b")
		for range 50 {
			all = append(all, place(w, PlaceRequest{Count: 3}))
		}
		return all
	}
	require.Equal(t, run(), run())
}

// Whatever the cluster and the request, the choice has no node twice, nothing that was
// excluded, no volume without room, and is as long as it can be.
func TestPlacementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, testConfig)
		racks := rapid.IntRange(1, 4).Draw(t, "racks")
		fit := map[string]bool{}
		for range rapid.IntRange(0, 10).Draw(t, "nodes") {
			n := w.addNode("/r"+string(rune('0'+rapid.IntRange(0, racks-1).Draw(t, "rack"))), 2)
			for i := range n.reg.Storages {
				if rapid.IntRange(0, 3).Draw(t, "full") == 0 {
					n.reg.Storages[i].Remaining = 0
				} else {
					fit[n.reg.Node.UUID] = true
				}
			}
			n.beats.Xceivers = uint32(rapid.IntRange(0, 20).Draw(t, "load"))
			w.beat(n)
		}
		w.m.SetStartup(w.now, false)
		r := PlaceRequest{Count: rapid.IntRange(1, 6).Draw(t, "count"), Size: testBlock, Policy: dfs.PolicyHot}
		for _, n := range w.nodes {
			switch rapid.IntRange(0, 5).Draw(t, "role") {
			case 0:
				r.Exclude = append(r.Exclude, n.reg.Node)
				delete(fit, n.reg.Node.UUID)
			case 1:
				r.Existing = append(r.Existing, n.reg.Node)
				delete(fit, n.reg.Node.UUID)
			case 2:
				r.Writer = netip.MustParseAddr(n.reg.Node.IP)
			}
		}
		got := w.m.Choose(&r)
		require.Len(t, got, min(r.Count, len(fit)))
		usedRacks := map[string]bool{}
		for _, tg := range got {
			require.True(t, fit[tg.Node.UUID], "%s", tg.Node.UUID)
			delete(fit, tg.Node.UUID)
			usedRacks[w.m.Node(tg.Node.UUID).Location] = true
			for _, s := range w.node(tg.Node.UUID).reg.Storages {
				require.True(t, s.UUID != tg.Storage || s.Remaining >= testBlock)
			}
		}
	})
}

func TestRackTable(t *testing.T) {
	table, err := ParseRackTable([]byte("# racks\n\nh1 /a # the first\n10.0.0.2\t/b//x/\n"))
	require.NoError(t, err)
	require.Equal(t, "/a", table.Rack("10.0.0.1", "h1"))
	require.Equal(t, "/b/x", table.Rack("10.0.0.2", "h2"))
	require.Equal(t, DefaultRack, table.Rack("10.0.0.3", "h3"))
	_, err = ParseRackTable([]byte("h1\nh2 rack\nh3 /\nh4 /ok\n"))
	for _, want := range []string{"line 1", "line 2", "line 3"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "line 4")
}

func FuzzRackTable(f *testing.F) {
	f.Add([]byte("h1 /a\n# x\n10.0.0.2 /b//c/\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ParseRackTable(data)
		if err != nil {
			return
		}
		for host, rack := range table {
			clean, err := CleanRack(rack)
			require.NoError(t, err)
			require.Equal(t, rack, clean)
			require.Equal(t, rack, table.Rack(host, ""))
		}
	})
}
