// Package fsimage reads and writes checkpoint files. An image holds a state machine's
// whole state after one transaction as named sections of chunks; what the chunks mean
// is the machine's business. Every byte of the file is covered by a checksum. Chunks
// are compressed where that makes them smaller, and are encoded and decoded in parallel.
//
// An image appears under its name whole or not at all (vfs.FS.Publish). A damaged one is
// set aside under another name, never deleted. The newest few are kept, and that an old
// one could not be removed never makes a new one fail.
//
// The layout of the bytes is in format.go and docs/formats/fsimage.md.
package fsimage
