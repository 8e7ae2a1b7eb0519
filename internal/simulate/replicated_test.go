package simulate

import (
	"testing"

	"redoubt/client"
)

// everyday is what applications do to files.
func everyday(s *session) {
	s.write("/d/a", 10_000, 4, client.CreateOptions{})
	s.write("/d/b", 3_000, 1, client.CreateOptions{Replication: 2})
	s.appendTo("/d/a", 5_000, 3)
	s.check("/d/a")
	s.rename("/d/b", "/d/c")
	s.truncate("/d/a", 6_000)
	s.write("/d/e", 4_096, 2, client.CreateOptions{})
	s.remove("/d/c")
	s.appendTo("/d/a", 300, 1)
	_, err := s.cl.SetReplication(s.ctx, "/d/e", 2)
	s.call("setrep", err)
	s.check("/d/e")
}

// TestKillReplicated kills each party at the events of everyday operations on replicated
// files.
func TestKillReplicated(t *testing.T) {
	sc := &script{name: "replicated", cfg: Config{Datanodes: 5, Racks: 2}, runs: 100, run: everyday}
	sum := killEverywhere(t, sc)
	sum.print(t, sc.name)
}
