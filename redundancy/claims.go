package redundancy

import (
	"fmt"

	"redoubt/redundancy/result"
)

// claims holds the goals against a run: those whose schemes and faults it has.
func claims(r *result.Run) (out []result.Claim) {
	atLeast := func(text string, got, want float64, unit string) {
		out = append(out, result.Claim{Text: text, Got: got, Want: want, Unit: unit, Met: got >= want})
	}
	three, raid := r.Scheme(result.Three), r.Scheme(result.RAIDCluster)
	k := r.Setup.Parity
	if three != nil && raid != nil && three.Write.Rate > 0 && raid.Write.Rate > 0 {
		atLeast(fmt.Sprintf("writing under RAID-5 across nodes (k=%d) over writing 3 replicas", k), raid.Write.Rate/three.Write.Rate, 1.3, "x")
	}
	if raid != nil && raid.Space.Ratio > 0 {
		// With so little data the groups that are not full weigh.
		want := float64(k+1) / float64(k) * 1.03
		got := raid.Space.Ratio
		out = append(out, result.Claim{Text: fmt.Sprintf("space of RAID-5 across nodes (k=%d) once folded; %.2fx if all groups were full", k, float64(k+1)/float64(k)), Got: got, Want: want, Unit: "x", Most: true, Met: got <= want})
	}
	for i := range r.Schemes {
		s := &r.Schemes[i]
		if f := s.Fault(result.Node); f != nil && groups(s.Scheme) && s.Read.Rate > 0 && f.Read.Measured {
			// A node takes its own disks and link along, whatever the scheme.
			atLeast(s.Title+": reading with a node lost over reading healthy, all clients together", 100*f.Read.Rate/s.Read.Rate, 80, "%")
			left := float64(r.Setup.Datanodes-1) / float64(r.Setup.Datanodes)
			atLeast(s.Title+": reading with a node lost over reading healthy, for each node that is left", 100*f.Read.Rate/s.Read.Rate/left, 80, "%")
		}
		if f := s.Fault(result.Disk); f != nil && s.Scheme == result.RAIDNode && s.Read.Rate > 0 && f.Read.Measured {
			atLeast(s.Title+": reading with a disk lost over reading healthy", 100*f.Read.Rate/s.Read.Rate, 80, "%")
		}
		for _, name := range []result.Fault{result.Node, result.Disk} {
			f := s.Fault(name)
			if f == nil || f.Repair.Rebuilt == 0 || f.Repair.Limit == 0 || !groups(s.Scheme) && !(name == result.Disk && arrays(s.Scheme)) {
				continue
			}
			atLeast(fmt.Sprintf("%s: rebuilding after %s, of what the busiest emulated disk or link allows", s.Title, f.Title), 100*f.Repair.Rate/f.Repair.Limit, 50, "%")
		}
		if a := s.Array; a != nil && s.Scheme == result.RAIDNode && a.SumRate > 0 {
			atLeast("one array: large writes, of the sum of its disks", 100*a.WriteRate/a.SumRate, 70, "%")
			atLeast("one array: large reads, of the sum of its disks", 100*a.ReadRate/a.SumRate, 70, "%")
		}
	}
	if worst := wrongBytes(r); worst >= 0 {
		out = append(out, result.Claim{Text: "bytes read wrong, in all schemes and faults", Got: float64(worst), Want: 0, Unit: "B", Most: true, Met: worst == 0})
	}
	return out
}

// wrongBytes adds up what must never be; -1 if nothing was compared.
func wrongBytes(r *result.Run) int64 {
	n := int64(-1)
	for _, s := range r.Schemes {
		for _, f := range s.Faults {
			n = max(n, 0) + f.Survived.WrongBytes
		}
	}
	return n
}
