// Package dfs is Redoubt's vocabulary: the identifiers, paths, blocks, file
// statuses, storage policies, error kinds and limits that every other package
// speaks in. It does no I/O, starts no goroutine and imports nothing but the
// standard library, so that any package may import it.
//
// The words are HDFS's. Lengths are bytes, times are milliseconds since the Unix
// epoch in UTC unless a name or comment says otherwise.
package dfs
