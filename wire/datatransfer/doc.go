// Package datatransfer speaks HDFS's block streaming protocol, both ends of it: the
// operation headers that open a stream, the packets that carry a block's bytes with
// their checksums, and the acknowledgements that come back. It knows no disk and no
// name node; package datanode serves with it, package client reads and writes with it.
//
// One Reader stands on each connection's receiving side. It owns the only receive buffer,
// so that an operation, the packets after it and the next operation can arrive in one
// segment, and it hands out packets as views into that buffer: nothing is copied between
// the socket and the checksum. The sending side is plain byte slices built by the
// Append functions and written by the caller with one Write.
//
// The layout of every message is in docs/formats/datatransfer.md. All numbers outside of
// protobuf messages are big-endian.
package datatransfer
