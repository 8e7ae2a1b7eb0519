// Package blockstore keeps one datanode's replicas on its volumes. A replica is a data
// file and a meta file of checksums, in the directories and the format that HDFS uses.
// It is written under rbw/ and moved to finalized/ when it is complete and durable.
// Volumes are independent: one that fails takes its replicas along and nothing else.
//
// A replica on disk is only as long as its checksums prove. Sync makes what was
// received survive a power cut, in the middle of a checksum chunk too: the checksum of
// a chunk that was synced half full is not overwritten before the data that the new
// one covers is durable (see tail.go).
//
// Locks: replica.io, then shard.mu, then replica.mu, then volume.mu. None but
// replica.io is held over disk I/O.
package blockstore
