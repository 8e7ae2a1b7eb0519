// Package array makes one file system of several directories, as a RAID-5 controller
// makes one disk of several: files are striped over the members with rotated parity, and
// any one member may be lost, before or after a power cut, without a byte of what was
// synced. An Array is a vfs.FS, so block storage uses it like any other directory.
//
// There is no write hole. Names, sizes and the places of stripes stand in a log that
// every member holds in full, and that is the only thing ever appended to: a stripe is
// written, with its parity, to a place that nothing durable refers to; when it is synced
// on all members, one record in the log makes it the file's, whole or not at all.
// docs/formats/array.md has the layout, the invariants and the rules of recovery.
//
// Locks, in this order: work.io, one for each open file; Array.change; work.mu;
// Array.mu; column.mu; work.fmu; member.mu; Array.eventMu. Disk I/O is done under io, under change
// (logs and superblocks), and by readers under a read lock of work.mu.
package array
