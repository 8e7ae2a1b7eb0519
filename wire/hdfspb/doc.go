// Package hdfspb holds the protobuf messages of HDFS's wire protocols: the RPC envelope,
// ClientProtocol and its smaller companions, ClientDatanodeProtocol and the block
// streaming protocol. The .proto files are the source; the .pb.go files are generated
// and committed, so that a build needs no protoc.
//
// The messages are proto2, because HDFS requires fields on the wire even when they are
// zero: Go fields are pointers and encoders must set every required one. MarshalVT and
// UnmarshalVT are the fast ways to bytes and back. UnmarshalVT reports a missing
// required field; MarshalVT too.
package hdfspb

//go:generate ./generate.sh
