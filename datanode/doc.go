// Package datanode is the block service: it serves block streams to clients and peers,
// forwards write pipelines, tells the name node what it holds, and obeys its commands.
// What is on its disks is package blockstore's; how it talks is wire/datatransfer's,
// wire/hadooprpc's and wire/control's.
//
// A DataNode listens on three ports: data transfer, RPC (clients' ClientDatanodeProtocol and
// the peers' side of block recovery) and HTTP. For each name node it keeps a session
// (session.go): register, heartbeat, report. A write pipeline (write.go) is a receiver
// and a responder goroutine: the receiver verifies, forwards and stores packets, the
// responder joins the answers of the nodes behind with its own and sends them back in
// order. A block is finalized, which makes it durable, and reported before its last
// packet is acknowledged.
//
// Every goroutine ends with Close, which waits for all of them. Many DataNodes may run in
// one process.
package datanode
