package blockmanager

import (
	"time"

	"redoubt/dfs"
)

// ParityPlans gives up to max changes of parity groups that are due, the most urgent ones
// first. Plans of an earlier call that neither Fold nor Grouped has taken up are void: one
// caller at a time. It does a bounded piece of work and may be called as often as Tick.
func (m *Manager) ParityPlans(now time.Time, max int) []ParityPlan { return nil }

// Fold orders a plan's parity, whose id and stamp have just been logged as handed out, to be
// made by the plan's datanode. It is false when the plan does not hold any more; the id is
// then wasted.
func (m *Manager) Fold(now time.Time, plan ParityPlan, parity dfs.Block) bool { return false }

// Folded takes the datanode's answer to a Fold command. It is true when a group stands ready
// to be logged: every member has a good replica on a node of its own beside the parity's, and
// the sums are right. The caller logs it and calls Grouped, or FoldFailed when that fails. It
// is false also for the rebuilding of a lost block, after which there is nothing to log.
func (m *Manager) Folded(now time.Time, uuid string, r *FoldResult) (Formed, bool) {
	return Formed{}, false
}

// Grouped tells that a plan has been logged, and how.
func (m *Manager) Grouped(now time.Time, c *GroupChange) {}

// FoldFailed tells that a group could not be logged: its parity is removed and its members
// are tried again later.
func (m *Manager) FoldFailed(now time.Time, parity dfs.BlockID) {}

// Touched tells that members of these groups have departed: their files are gone.
func (m *Manager) Touched(now time.Time, groups []dfs.BlockID) {}

// Leave asks for a block to leave its group, so that it can be changed: it first gets
// replicas of its own. It is true when the block is in no group; it then stays out of any
// for a while.
func (m *Manager) Leave(now time.Time, id dfs.BlockID) bool { return true }

// Satisfy has a block looked at again under its present storage policy.
func (m *Manager) Satisfy(now time.Time, id dfs.BlockID) { m.Changed(now, id) }

// Sources tells what a block of a group can be made from: all other blocks of the group, and
// what the outcome must add up to. It is false for a block of no group and for one whose
// group lacks more than that block.
func (m *Manager) Sources(id dfs.BlockID) ([]FoldSource, dfs.ParityMember, bool) {
	return nil, dfs.ParityMember{}, false
}

// Scrub orders the node of a group's parity to compare the group's checksums. It is false
// when the group is not complete at the moment.
func (m *Manager) Scrub(now time.Time, parity dfs.BlockID) bool { return false }
