package namenode

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/dfs"
)

// safeMode decides when the namespace may change. After a start it waits until enough
// blocks and datanodes have reported; an administrator can enter and leave it by hand.
type safeMode struct {
	threshold float64 // share of complete blocks that must have a replica
	minNodes  int
	extension time.Duration

	on atomic.Bool // as told by state below, for the fast path

	mu      sync.Mutex
	manual  bool
	auto    bool      // start-up: thresholds not reached, or the extension runs
	reached time.Time // when the thresholds were reached; zero before
	counts  blockCounts
	held    string // why it must not end by itself, nor by a plain leave; "": nothing
}

// blockCounts is what safe mode looks at.
type blockCounts struct {
	safe  int64 // complete blocks with at least the minimum of replicas
	total int64 // complete blocks
	live  int   // datanodes
}

func newSafeMode(cfg SafeModeConfig) *safeMode {
	s := &safeMode{threshold: max(cfg.Threshold, 0), minNodes: cfg.MinDatanodes, extension: cfg.Extension, auto: true}
	s.on.Store(true)
	return s
}

func (s *safeMode) isOn() bool { return s.on.Load() }

// isStartup reports whether safe mode is on because of the start: blocks are still being
// reported, so their absence means nothing yet.
func (s *safeMode) isStartup() bool {
	if !s.on.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auto
}

// update looks at new counts. It returns true when this ended safe mode.
func (s *safeMode) update(c blockCounts, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = c
	if !s.auto {
		return false
	}
	if !s.metLocked() || s.held != "" {
		s.reached = time.Time{}
		return false
	}
	if s.reached.IsZero() {
		s.reached = now
	}
	// With no block to wait for there is nothing that an extension could bring.
	if c.total > 0 && now.Sub(s.reached) < s.extension {
		return false
	}
	s.auto = false
	s.storeLocked()
	return !s.on.Load()
}

// needed is the number of blocks that must be safe.
func (s *safeMode) needed() int64 { return int64(float64(s.counts.total) * s.threshold) }

func (s *safeMode) metLocked() bool {
	return s.counts.safe >= s.needed() && s.counts.live >= s.minNodes
}

func (s *safeMode) storeLocked() { s.on.Store(s.manual || s.auto || s.held != "") }

// hold keeps safe mode on, or enters it, until force; why "" lets go of it. It returns true
// when the reason is another one than before.
func (s *safeMode) hold(why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == why {
		return false
	}
	s.held = why
	s.storeLocked()
	return true
}

// isHeld reports whether only force ends safe mode.
func (s *safeMode) isHeld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held != ""
}

func (s *safeMode) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manual = true
	s.storeLocked()
}

func (s *safeMode) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manual, s.auto, s.held = false, false, ""
	s.storeLocked()
}

// check refuses an operation while safe mode is on. What names it: "delete /x". HDFS
// leaves out the blank of "create file/x" and "append to file/x", and some look for that.
func (s *safeMode) check(what string, path string, now time.Time) error {
	if !s.on.Load() {
		return nil
	}
	switch {
	case what == "create file" || what == "append to file":
		what += path
	case path != "":
		what += " " + path
	}
	return &dfs.Error{Kind: dfs.SafeMode, Path: path,
		Msg: "Cannot " + what + ". Name node is in safe mode.\n" + s.explain(now)}
}

// explain says why safe mode is on and what ends it.
func (s *safeMode) explain(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != "" {
		return s.held + ` "dfsadmin -safemode forceExit" goes on all the same.`
	}
	if s.manual {
		return `It was turned on by hand; "dfsadmin -safemode leave" turns it off.`
	}
	if !s.auto {
		return "Safe mode is off."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d blocks are reported, %d are needed (threshold %.4f). ",
		s.counts.safe, s.counts.total, s.needed(), s.threshold)
	if s.minNodes > 0 {
		fmt.Fprintf(&b, "%d datanodes are live, %d are needed. ", s.counts.live, s.minNodes)
	}
	if s.reached.IsZero() {
		b.WriteString("It ends by itself once that is reached.")
	} else {
		left := max(0, s.extension-now.Sub(s.reached))
		fmt.Fprintf(&b, "It ends by itself in %d seconds.", int64(left.Seconds()))
	}
	return b.String()
}
