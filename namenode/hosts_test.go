package namenode

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// withHosts gives a name node a JSON hosts file that the test may change.
func withHosts(text *string) func(*Config) {
	return func(c *Config) {
		c.Hosts = HostsConfig{Include: "/hosts.json", JSON: true, ReadFile: func(string) ([]byte, error) { return []byte(*text), nil }}
	}
}

func (r *rig) states() map[string]dfs.AdminState {
	nodes, err := r.DatanodeReport(by("root"), dfs.ReportAll)
	require.NoError(r.t, err)
	states := map[string]dfs.AdminState{}
	for _, d := range nodes {
		states[d.UUID] = d.Admin
	}
	return states
}

// A JSON hosts file puts datanodes into maintenance and takes them out again when it says so
// or when their time is over.
func TestMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := "[]"
		r := newRig(t, 4, withHosts(&hosts))
		defer r.stop()
		refresh := func(text string) {
			t.Helper()
			hosts = text
			require.NoError(t, r.RefreshNodes(ctx, by("root")))
			r.pass(time.Minute)
		}
		b := r.write("/f", 10)[0]
		lb, err := r.BlockLocations(by("root"), "/f", 0, 10)
		require.NoError(t, err)
		held := r.node(lb.Blocks[0].Locs[0].Node.UUID)
		ends := time.Now().Add(10 * time.Minute)
		refresh(fmt.Sprintf(`[{"hostName":"%s","adminState":"IN_MAINTENANCE","maintenanceExpireTimeInMS":%d}]`, held.id.Host, ends.UnixMilli()))
		require.Equal(t, dfs.AdminInMaintenance, r.states()[held.id.UUID], "two more replicas are elsewhere")
		list, err := r.DatanodeReport(by("root"), dfs.ReportInMaintenance)
		require.NoError(t, err)
		require.Len(t, list, 1)
		for _, d := range r.nodes {
			require.Empty(t, d.orders, "no copy is made of what is in maintenance")
		}
		r.pass(time.Until(ends) - 2*time.Second)
		require.Equal(t, dfs.AdminInMaintenance, r.states()[held.id.UUID])
		r.pass(3 * time.Second)
		require.Equal(t, dfs.AdminNormal, r.states()[held.id.UUID], "its time is over")

		refresh(fmt.Sprintf(`{"hostName":"%s","port":9866,"adminState":"IN_MAINTENANCE"}`+"\n"+`{"hostName":"%s","adminState":"DECOMMISSIONED"}`, r.nodes[0].id.IP, r.nodes[1].id.Host))
		require.Equal(t, dfs.AdminInMaintenance, r.states()["dn-1"])
		require.Contains(t, []dfs.AdminState{dfs.AdminDecommissioning, dfs.AdminDecommissioned}, r.states()["dn-2"])
		refresh("")
		require.Equal(t, map[string]dfs.AdminState{"dn-1": 0, "dn-2": 0, "dn-3": 0, "dn-4": 0}, r.states())

		hosts = `[{"hostName":"host1"}]`
		require.NoError(t, r.RefreshNodes(ctx, by("root")))
		_, err = r.admit(r.nodes[3].id)
		require.True(t, dfs.Is(err, dfs.DisallowedDatanode), "with a NORMAL host the list is complete: %v", err)
		_ = b
	})
}

// A name node in maintenance mode keeps too little of a block from going.
func TestMaintenanceWaitsForReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := "[]"
		r := newRig(t, 2, withHosts(&hosts), func(c *Config) { c.Blocks.MaintenanceMin = 1 })
		defer r.stop()
		req := newFile("/one", "w")
		req.Replication = 1
		_, err := r.Create(ctx, by("root"), req)
		require.NoError(t, err)
		lb := r.addBlock("/one", "w", nil)
		b := r.received(lb, 10)
		done, err := r.Complete(ctx, by("root"), "/one", "w", &b, 0)
		require.NoError(t, err)
		require.True(t, done)
		only := r.node(lb.Locs[0].Node.UUID)
		hosts = `[{"hostName":"` + only.id.Host + `","adminState":"IN_MAINTENANCE"}]`
		require.NoError(t, r.RefreshNodes(ctx, by("root")))
		r.pass(2 * time.Minute)
		require.Equal(t, dfs.AdminEnteringMaintenance, r.states()[only.id.UUID])
		other := r.nodes[0]
		if other == only {
			other = r.nodes[1]
		}
		other.report(b)
		r.pass(2 * time.Minute)
		require.Equal(t, dfs.AdminInMaintenance, r.states()[only.id.UUID])
	})
}

func TestBadJSONHosts(t *testing.T) {
	for text, want := range map[string]string{
		`[{"hostName":"a","adminState":"SLEEPING"}]`: "host a: adminState SLEEPING is none of NORMAL, DECOMMISSIONED, IN_MAINTENANCE",
		`[{"hostName":"a","upgradeDomain":"u"}]`:     "host a: upgradeDomain is not supported",
		`[{"hostName":"a","port":70000}]`:            "host a: port 70000 is none",
		`[{"port":1}]`:                               "host 1 has no hostName",
		`[{"hostName":"a","state":"x"}]`:             `unknown field "state"`,
		`[{"hostName":"a"`:                           "at byte",
		"host1\nhost2\n":                             "at byte 0: invalid character 'h'",
	} {
		hosts := "[]"
		r := newRig(t, 1, withHosts(&hosts))
		hosts = text
		err := r.RefreshNodes(ctx, by("root"))
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "dfs.hosts: /hosts.json: ", text)
		require.Equal(t, dfs.AdminNormal, r.states()["dn-1"])
		r.stop()
	}
	r := newRig(t, 1, func(c *Config) {
		c.Hosts = HostsConfig{Include: "/h", ReadFile: func(string) ([]byte, error) { return []byte("host1"), nil }}
	})
	r.NameNode.cfg.Hosts.ReadFile = func(string) ([]byte, error) { return []byte(`[{"hostName":"a"}]`), nil }
	require.ErrorContains(t, r.RefreshNodes(ctx, by("root")), "/h holds JSON, for which dfs.namenode.hosts.provider.classname is to be "+CombinedHosts)
}

// An open file whose block is on a datanode that is to go is told, and keeps it.
func TestOpenFilesThatBlockADecommission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := "[]"
		r := newRig(t, 4, withHosts(&hosts))
		defer r.stop()
		r.create("root", "/free", "w")
		r.create("root", "/held", "w")
		lb := r.addBlock("/held", "w", nil)
		r.receiving(lb)
		blocking := func() []dfs.OpenFile {
			t.Helper()
			files, more, err := r.OpenFiles(by("root"), 0, "/", true)
			require.NoError(t, err)
			require.False(t, more)
			return files
		}
		require.Empty(t, blocking())
		hosts = `[{"hostName":"` + lb.Locs[0].Node.Host + `","adminState":"DECOMMISSIONED"}]`
		require.NoError(t, r.RefreshNodes(ctx, by("root")))
		for range 60 {
			r.pass(time.Second)
			require.NoError(t, r.RenewLease(by("root"), "w"))
		}
		require.Equal(t, dfs.AdminDecommissioning, r.states()[lb.Locs[0].Node.UUID])
		files := blocking()
		require.Len(t, files, 1)
		require.Equal(t, "/held", files[0].Path)
		all, _, err := r.OpenFiles(by("root"), 0, "/", false)
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
}
