// Package simulate runs a whole cluster, name node, datanodes and clients, in one process
// on virtual time: the network is memory (Network), the disks are vfs.Mem, and inside a
// testing/synctest bubble hours of heartbeats pass in milliseconds. Each message and each
// change of a disk is a numbered event, and any party can be killed at any of them: its
// calls to network and disk fail from that instant, and what a restart finds is what the
// disk's crash model leaves.
//
// The tests of this package are the proof that any one node may die at every instant. See
// oracle.go for what a client may then read.
package simulate
