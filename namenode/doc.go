// Package namenode is the name service: it decides who may do what, turns every change
// into an operation of package namespace, has package journal make it durable, tells
// package blockmanager what follows for the replicas, and answers.
//
// A change goes through four steps: authorise and pre-check under the state's read lock,
// encode with the time and the ids that the change needs, propose to the journal, act on
// what was applied. Nothing is visible to any reader before it is durable, because
// readers only see what the journal has applied, and it applies only what it has synced.
//
// NameNode fulfils the interfaces that wire/clientrpc and wire/control declare; it knows
// neither of their encodings. It starts one goroutine of its own, which lets time pass
// for leases, safe mode and the block manager, and joins it in Close.
package namenode
