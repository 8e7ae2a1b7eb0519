package simulate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"redoubt/client"
)

// mix does random things to files under several policies, with pauses in which groups are
// made, filled up and left.
func mix(s *session) {
	dirs := []string{"/r", "/r4", "/plain"}
	var files []string
	for range 24 {
		if len(files) < 3 || s.rng.IntN(4) == 0 {
			path := fmt.Sprintf("%s/%d", dirs[s.rng.IntN(len(dirs))], len(files))
			files = append(files, path)
			s.write(path, 1+s.rng.IntN(2*BlockSize), 1+s.rng.IntN(3), client.CreateOptions{})
		} else {
			s.change(files[s.rng.IntN(len(files))], dirs, &files)
		}
		if s.rng.IntN(3) == 0 {
			s.sleep(time.Duration(s.rng.IntN(6000)) * time.Millisecond)
		}
	}
	s.await("calm", func() bool { return s.unrest() == "" })
}

// change does one thing to a file, or to the policy of a directory.
func (s *session) change(path string, dirs []string, files *[]string) {
	switch s.rng.IntN(9) {
	case 0, 1:
		s.appendTo(path, 1+s.rng.IntN(BlockSize), 1+s.rng.IntN(3))
	case 2:
		s.remove(path)
	case 3:
		to := fmt.Sprintf("%s/%d", dirs[s.rng.IntN(len(dirs))], len(*files))
		if s.rename(path, to) {
			*files = append(*files, to)
		}
	case 4:
		if data, ok := s.o.Certain(path); ok && len(data) > 0 {
			s.truncate(path, s.rng.IntN(len(data)))
		}
	case 5:
		if _, ok := s.o.Certain(path); ok {
			_, err := s.cl.SetReplication(s.ctx, path, uint16(2+s.rng.IntN(2)))
			s.call("setrep", err)
		}
	case 6:
		dir := dirs[s.rng.IntN(len(dirs))]
		s.call("set policy", s.cl.SetStoragePolicy(s.ctx, dir, []string{"RAID5-2", "RAID5", "HOT"}[s.rng.IntN(3)]))
		s.call("satisfy", s.cl.SatisfyStoragePolicy(s.ctx, dir))
	default:
		if slices.Contains(s.o.Paths(), path) {
			s.check(path)
		}
	}
}

// TestKillMixed kills each party while random things happen, each time others.
func TestKillMixed(t *testing.T) {
	sc := &script{name: "mixed", cfg: raidConfig(7, 0), runs: 60, setup: func(s *session) {
		s.under("/r", "RAID5-2")
		s.under("/r4", "RAID5")
		_, err := s.cl.Mkdirs(s.ctx, "/plain", 0o755, true)
		s.must(err)
	}, run: mix}
	sum := killEverywhere(t, sc)
	sum.print(t, sc.name)
}
