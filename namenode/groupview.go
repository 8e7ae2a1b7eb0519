package namenode

import "redoubt/dfs"

// ParityGroups lists all parity groups, in no useful order. It holds the state's read lock
// meanwhile: it is for tools and tests of small clusters.
func (n *NameNode) ParityGroups() []dfs.ParityGroup {
	n.state.RLock()
	defer n.state.RUnlock()
	var all []dfs.ParityGroup
	n.ns.EachGroup(func(g dfs.ParityGroup) bool {
		g.Members = append([]dfs.ParityMember(nil), g.Members...) // they are ours only now
		all = append(all, g)
		return true
	})
	return all
}
