// Package editlog is an append-only log of opaque records, numbered by dfs.TxID and cut
// into segments, one file each. It knows one directory and one writer at a time; what
// the records mean, several directories and recovery as a whole are package journal's.
//
// A segment is a header and then batches. Each batch is written with one write and made
// durable with one sync before the next one is begun, and its header says up to which
// offset the file was synced before: the promise. Reading therefore tells three ends
// apart. Zeroes to the end of the file are a clean end. An invalid batch that no later
// promise covers is a torn tail (ErrTorn): a power cut hit a batch nobody was told
// about, and it may be cut off. An invalid batch that a later header promises to have
// been synced, or any invalid batch in a finished segment, is damage (*CorruptError):
// acknowledged records are gone, and nothing may be cut. A read that fails is none of
// these and changes nothing.
//
// The layout of the bytes is in format.go and docs/formats/editlog.md.
package editlog
