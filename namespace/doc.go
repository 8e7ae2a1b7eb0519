// Package namespace is the file system tree as a deterministic state machine: inodes,
// the blocks of each file, leases, counters and the retry cache. It holds everything
// about a name service that must survive a crash, and nothing that is rebuilt from
// datanodes' reports.
//
// State.Apply is the only way to change it, live, on replay and under consensus alike.
// There is no disk, clock, lock, goroutine or randomness in here: time and identity come
// in the op, ids come from counters in the state, and the same records give the same
// state, which Digest proves. The owner of a State serialises: any number of readers, or
// one Apply, Snapshot, Release or Restore.
//
// An operation has two halves. The caller resolves a path (Resolve), authorises what it
// found, fills an op in with the ids that it saw, and may ask Precheck whether the op
// would succeed. Apply then checks the op again against the state of its turn. An op whose
// premises no longer hold fails with dfs.Stale and changes nothing: resolve, authorise
// and propose again. Limits that an administrator may change (Limits) are checked only
// before an op is proposed, so that a changed setting never changes what a replay does.
package namespace
