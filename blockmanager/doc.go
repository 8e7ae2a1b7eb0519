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
package blockmanager
