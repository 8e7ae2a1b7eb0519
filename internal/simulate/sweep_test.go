package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tally counts what a script's runs have shown.
type tally struct {
	events, kills, reads, refused, failed int
	byVictim                              map[string]int
	longest                               time.Duration // until everything could be read after a kill
	refusals                              map[string]int
	example                               map[string]string // a kill after which it was refused
}

// killEverywhere counts a script's events and then kills each victim at a sample of them,
// or at all.
func killEverywhere(t *testing.T, sc *script) tally {
	sum := tally{byVictim: map[string]int{}, refusals: map[string]int{}, example: map[string]string{}}
	if *only != "" {
		name, rest, _ := strings.Cut(*only, ":")
		if name == sc.name {
			f := fate{}
			parts := strings.Split(rest, ":")
			require.Len(t, parts, 3)
			f.victim = strings.TrimPrefix(parts[0], "none")
			_, err := fmt.Sscan(parts[1]+" "+parts[2], &f.at, &f.seed)
			require.NoError(t, err)
			sum.judge(t, sc, f)
		}
		return sum
	}
	events := dryRun(t, sc)
	sum.events = events
	victims := sc.victims
	if victims == nil {
		victims = []string{"client", "name", "all"}
		for i := range sc.cfg.Datanodes {
			victims = append(victims, fmt.Sprintf("data%d", i+1))
		}
	}
	want := sc.runs
	if testing.Short() {
		want = min(want, 10)
	}
	if *runs > 0 {
		want = *runs
	}
	stride := max(1, events*len(victims)/max(1, want))
	if *all {
		stride = 1
	}
	rng := rand.New(rand.NewPCG(*seed, 4))
	for i, victim := range victims {
		for at := 1 + (i*stride)/len(victims); at <= events; at += stride {
			sum.judge(t, sc, fate{victim, at, 1 + rng.Uint64N(1<<20)})
			if sum.failed >= *fails {
				return sum
			}
		}
	}
	return sum
}

// dryRun plays a script without a kill and counts its events. Not every choice of places lets
// every block into a group, so that an await may be in vain: then it is tried again.
func dryRun(t *testing.T, sc *script) (events int) {
	var refused []string
	for try := range uint64(5) {
		dry, events := play(t, sc, fate{seed: *seed + try})
		require.NoError(t, errors.Join(dry.wrong...), "%s without any kill", sc.name)
		if refused = dry.o.Refusals(); len(refused) == 0 {
			return events
		}
		for _, text := range refused {
			require.Contains(t, text, "await", "%s without any kill", sc.name)
		}
	}
	require.Empty(t, refused, "%s without any kill", sc.name)
	return 0
}

// judge plays one kill and reports what was wrong.
func (sum *tally) judge(t *testing.T, sc *script, f fate) {
	s, _ := play(t, sc, f)
	for _, text := range s.o.Refusals() {
		if strings.HasPrefix(f.victim, "data") && !sc.double && !strings.HasPrefix(text, "await") {
			s.wrong = append(s.wrong, fmt.Errorf("the loss of one datanode was to be masked, but: %s", text))
		}
	}
	if err := errors.Join(s.wrong...); err != nil {
		sum.failed++
		t.Errorf("-simulate.only=%s:%v\n%v\nrefused: %q", sc.name, f, err, s.o.Refusals())
	}
	sum.reads += s.reads
	sum.longest = max(sum.longest, s.longest)
	if !s.struck {
		return
	}
	sum.kills++
	sum.byVictim[strings.TrimRight(f.victim, "0123456789")]++
	if r := s.o.Refusals(); len(r) > 0 {
		sum.refused++
		for _, text := range r {
			key := strings.TrimRight(f.victim, "0123456789") + ": " + text
			if sum.refusals[key]++; sum.example[key] == "" {
				sum.example[key] = f.String()
			}
		}
	}
}

// print shows a script's line of the table.
func (sum *tally) print(t *testing.T, name string) {
	t.Logf("| %s | %d | %d | %d | %d | %d | %d | %d | %v |", name, sum.events, sum.kills, sum.byVictim["name"], sum.byVictim["data"]+sum.byVictim["rack"],
		sum.byVictim["client"], sum.byVictim["all"], sum.reads, sum.longest.Round(time.Millisecond))
	var texts []string
	for text, n := range sum.refusals {
		if !strings.HasPrefix(text, "client: ") { // of course
			texts = append(texts, fmt.Sprintf("%4d refused: %.300s (%s)", n, text, sum.example[text]))
		}
	}
	slices.Sort(texts)
	for _, text := range texts {
		t.Log(text)
	}
}
