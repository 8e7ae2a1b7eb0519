package namespace

import "redoubt/dfs"

// Group gives a parity group by the id of its parity block. The answer shares no memory
// with the state.
func (s *State) Group(parity dfs.BlockID) (dfs.ParityGroup, bool) {
	return dfs.ParityGroup{}, false
}

// GroupOf gives the id of the parity of a block's group: 0 for a block that is in none or is
// not known, a parity's own id for a parity.
func (s *State) GroupOf(block dfs.BlockID) dfs.BlockID {
	return 0
}

// EachGroup calls fn with every parity group, in no useful order, until it returns false.
// The members are fn's only until it returns.
func (s *State) EachGroup(fn func(dfs.ParityGroup) bool) {
}

// GroupPage appends to dst at most max groups from the place that cursor stands for, and
// tells the next place, 0 at the end. Cursor 0 is the beginning; a group that is there all
// the time is seen once, whatever happens between two calls.
func (s *State) GroupPage(dst []dfs.ParityGroup, cursor uint32, max int) (page []dfs.ParityGroup, next uint32) {
	return dst, 0
}
