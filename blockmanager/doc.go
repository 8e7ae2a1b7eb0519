// Package blockmanager knows where replicas are and what to do about it: datanodes and
// their volumes, the replicas of every block, blocks under construction, repair, excess
// and corrupt replicas, removals, placement of new blocks. All of it is soft state, made
// from what datanodes report; what must survive a restart is in package namespace, and
// this package asks for it through Source.
//
// # Threading
//
// A Manager has its own lock, the last one in the order journal, name node state,
// Manager. It starts no goroutine, reads no clock, does no I/O and never waits: events
// come in by method calls, time by their now argument, work goes out as the commands that
// Heartbeat returns. The caller of every method holds the name node's state lock, for
// reading at least, so that Source answers from one state; the methods that change
// nothing but say so may also be called at the same time. Long work is cut into slices:
// Tick and Report do a bounded part and tell whether there is more, so that no lock is
// held longer than about a millisecond.
//
// # What counts
//
// A replica is live when it is finalized, has the block's generation stamp and length, is
// not known to be damaged, not chosen for removal, and its node is alive and in service.
// A block with fewer live replicas than expected stands in a repair queue by its danger.
//
// # Parity groups
//
// A block under a RAID5-k policy has two replicas until it is in a group, then one: the
// group's parity stands for the other. At every instant any one node may die and all blocks
// stay readable. That rests on five rules, which the code holds at the moment it acts and not
// only when it plans:
//
//   - a group is logged only when each member has a live replica on a node of its own that is
//     not the parity's, the parity is on a disk with the right sum, and every member that
//     leaves has replicas enough without it (gate);
//   - a replica of a group goes only when every block of the group has another one on a node
//     of its own that was heard of lately (mayRemove), asked when the order is handed out;
//   - a parity, like any block of a group, is never changed: a new one replaces it, and the
//     old one goes after that is logged;
//   - a member's bytes stay until a parity without them is logged;
//   - what a plan has leave keeps its own replicas until the plan is logged or given up.
//
// docs/parity-groups.md tells the states of a block and why each transition is safe. Blocks
// that wait for a group are in queues, eight bytes each, by the node that will fold them and
// the one that keeps them; groups cost nothing here but while something is to be done about
// them. All that is about one group is decided on a view of it, made when it is needed.
package blockmanager
