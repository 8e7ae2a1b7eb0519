// Package crashtest cuts the power at every I/O of a workload. For k = 0, 1, 2, ... it
// runs the workload on a disk that stops after k steps, takes several of the disks
// that a machine may then find (unsynced effects kept, lost, torn, reordered), lets the
// program recover on each, with the power cut again at each step of that recovery, and
// has the result judged. It ends with the first k at which the workload ran through.
//
// The oracle knows three states. What Run has not begun must not appear; what it has
// begun but not seen the end of may appear, whole; what was acknowledged must be there.
package crashtest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"redoubt/vfs"
)

var (
	states = flag.Int("crashtest.states", 8, "disks to try for each crash point")
	nested = flag.Int("crashtest.nested", 1, "disks of each crash point on which recovery is crashed too; each at every step")
	inner  = flag.Int("crashtest.inner", 3, "disks to try for each crash of a recovery")
	seed   = flag.Uint64("crashtest.seed", 1, "picks the disks to try")
	point  = flag.Int("crashtest.point", -1, "try this crash point only")
)

// Scenario is one run of a workload with the oracle that belongs to it. Its functions
// are called one after another on one goroutine.
type Scenario struct {
	// Setup prepares the disk; all it does is durable before Run. May be nil.
	Setup func(fs vfs.FS) error
	// Run is the workload. After the power cut every call to fs fails with
	// vfs.ErrPowerOff; Run then gives up and returns, with or without that error. Any
	// other error fails the test. It notes for Check what it has begun and what was
	// acknowledged.
	Run func(fs vfs.FS) error
	// Recover is what the program does at start, on a disk after a power cut. It is
	// itself cut at every step; an error other than the power cut fails the test.
	// May be nil: no nested crashes then.
	Recover func(fs vfs.FS) error
	// Check recovers (again) and tells what is wrong with the result. It must be
	// callable many times, each time with a different disk.
	Check func(fs vfs.FS) error
	// Phase names what Run was doing last, for the count of disks. May be nil.
	Phase func() string
}

var (
	total   atomic.Int64
	mu      sync.Mutex
	reports []string // of each EachPoint, for Main
)

// Total tells how many disks this process has judged so far.
func Total() int64 { return total.Load() }

// Main runs a package's tests and prints how many disks were judged, by test and phase;
// to be called by TestMain with its *testing.M.
func Main(m interface{ Run() int }) {
	code := m.Run()
	for _, r := range reports {
		fmt.Println("crashtest:", r)
	}
	if n := Total(); n > 0 {
		fmt.Printf("crashtest: %d disks judged after a power cut\n", n)
	}
	os.Exit(code)
}

// EachPoint cuts the power at each step of the scenario. fresh makes a scenario with an
// oracle that knows nothing yet; it is called once for each crash point. EachPoint
// returns how many disks were judged.
func EachPoint(t testing.TB, fresh func() Scenario) int64 {
	t.Helper()
	e := &explorer{t: t, phases: map[string]int64{}}
	for k := max(0, *point); ; k++ {
		s := fresh()
		finished := e.point(s, k)
		if t.Failed() {
			return e.count
		}
		if finished || *point >= 0 {
			e.report(k + 1)
			return e.count
		}
	}
}

type explorer struct {
	t      testing.TB
	count  int64
	nested int64
	phases map[string]int64 // disks by what the run was doing
}

// report keeps for Main what was tried.
func (e *explorer) report(points int) {
	text := fmt.Sprintf("%s: %d crash points, %d disks judged, %d of them after a crash of the recovery too", e.t.Name(), points, e.count, e.nested)
	for _, name := range slices.Sorted(maps.Keys(e.phases)) {
		text += fmt.Sprintf("; %s %d", name, e.phases[name])
	}
	mu.Lock()
	reports = append(reports, text)
	mu.Unlock()
}

// point runs the scenario up to step k and judges what is left. It tells whether the
// run had fewer steps than that.
func (e *explorer) point(s Scenario, k int) (finished bool) {
	e.t.Helper()
	disk := vfs.NewMem()
	if s.Setup != nil {
		if err := s.Setup(disk); err != nil {
			e.t.Fatalf("set-up: %v", err)
		}
		disk.SyncAll()
		disk = disk.CrashClone(vfs.Choice{}) // drops locks, as the end of a process does
	}
	disk.StopAfter(k)
	err := s.Run(disk)
	finished = !disk.Stopped()
	if err != nil && (finished || !errors.Is(err, vfs.ErrPowerOff)) {
		e.t.Fatalf("run with the power cut after step %d: %v", k, err)
	}
	if s.Phase != nil {
		defer func(before int64) { e.phases[s.Phase()] += e.count - before }(e.count)
	}
	for i, c := range disk.Choices(*states, *seed+uint64(k)) {
		where := fmt.Sprintf("power cut after step %d, unsynced effects %q (%d)", k, c, i)
		if !e.judge(s, disk.CrashClone(c), where) {
			return finished
		}
		// All lost, all kept, and then mixtures in turn: over the points all kinds come up.
		if s.Recover != nil && (i+k)%max(1, *states) < *nested {
			e.recovery(s, disk, c, where, uint64(k))
		}
		if e.t.Failed() {
			return finished
		}
	}
	return finished
}

// recovery cuts the power at each step of a recovery.
func (e *explorer) recovery(s Scenario, disk *vfs.Mem, c vfs.Choice, where string, salt uint64) {
	e.t.Helper()
	for j := 0; ; j++ {
		again := disk.CrashClone(c)
		again.StopAfter(j)
		err := s.Recover(again)
		if !again.Stopped() {
			if err != nil {
				e.t.Errorf("%s: recovery: %v", where, err)
			}
			return
		}
		if err != nil && !errors.Is(err, vfs.ErrPowerOff) {
			e.t.Errorf("%s: recovery stopped after step %d: %v", where, j, err)
			return
		}
		for _, c2 := range again.Choices(*inner, *seed+salt+uint64(j)) {
			e.nested++
			if !e.judge(s, again.CrashClone(c2), fmt.Sprintf("%s; then recovery cut after step %d, unsynced effects %q", where, j, c2)) {
				return
			}
		}
	}
}

func (e *explorer) judge(s Scenario, disk *vfs.Mem, where string) bool {
	e.t.Helper()
	e.count++
	total.Add(1)
	if err := s.Check(disk); err != nil {
		e.t.Errorf("%s: %v", where, err)
		return false
	}
	return true
}
