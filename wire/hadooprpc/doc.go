// Package hadooprpc speaks Hadoop IPC version 9, both ends: the preamble, frames, the
// headers of requests and responses, the switch of a SASL client to simple
// authentication, the connection context, pings, and the rules for errors. It knows no
// method and no message: a body is a run of bytes, protobuf for HDFS's protocols and
// msgpack for the control wire.
//
// A Server answers calls of many connections and of several protocols on one listener;
// each connection has one reader, which answers cheap calls itself, and answers leave
// out of order, many in one write while more input waits. A Conn is the other end: any
// number of callers share one connection. A Pipeline is a client for measuring, with one
// goroutine and no allocation per call.
//
// docs/formats/hadooprpc.md draws the bytes.
package hadooprpc

import "errors"

// Numbers of Hadoop IPC.
const (
	ipcVersion = 9

	authNone = 0x00
	authSASL = 0xDF

	callContext = -3  // connection context
	callPing    = -4  // keeps a waiting client's connection alive
	callSASL    = -33 // authentication dialogue
	callRefused = -1  // answers to what came before any call

	kindProtobuf  = 2 // rpcKind
	opFinalPacket = 0 // rpcOp

	statusSuccess = 0
	statusError   = 1
	statusFatal   = 2

	saslSuccess   = 0
	saslNegotiate = 1
)

// Detail is the error code of a response header.
type Detail int32

// Codes of errors. Those from 10 on end the connection.
const (
	ErrorApplication         Detail = 1
	ErrorNoSuchMethod        Detail = 2
	ErrorNoSuchProtocol      Detail = 3
	ErrorServer              Detail = 4
	ErrorSerializingResponse Detail = 5
	ErrorVersionMismatch     Detail = 6
	FatalUnknown             Detail = 10
	FatalUnsupportedKind     Detail = 11
	FatalInvalidHeader       Detail = 12
	FatalDeserializing       Detail = 13
	FatalVersionMismatch     Detail = 14
	FatalUnauthorized        Detail = 15
)

// Java classes that this layer itself answers with.
const (
	classNoSuchMethod    = "org.apache.hadoop.ipc.RpcNoSuchMethodException"
	classNoSuchProtocol  = "org.apache.hadoop.ipc.RpcNoSuchProtocolException"
	classVersionMismatch = "org.apache.hadoop.ipc.RPC$VersionMismatch"
	classRPCServer       = "org.apache.hadoop.ipc.RpcServerException"
	classIPC             = "org.apache.hadoop.ipc.IpcException"
	classIOException     = "java.io.IOException"
	classRetriable       = "org.apache.hadoop.ipc.RetriableException"
	classAuthorization   = "org.apache.hadoop.security.authorize.AuthorizationException"
	classAccessControl   = "org.apache.hadoop.security.AccessControlException"
)

// RemoteError is an error that the other end answered: a Java class and the text for
// the user, without stack trace.
type RemoteError struct {
	Class   string
	Message string
	Detail  Detail
	Fatal   bool // the server has given up the connection too
}

// Error gives class and text.
func (e *RemoteError) Error() string { return "hadooprpc: " + e.Class + ": " + e.Message }

// Errors of a connection. What ended it is wrapped beside ErrBroken.
var (
	// ErrBroken says that a connection ended before the answer came: the call may or may
	// not have been carried out.
	ErrBroken = errors.New("hadooprpc: connection broken")
	// ErrClosed says that this end closed the connection, the client or the server.
	ErrClosed = errors.New("hadooprpc: closed")

	errFrame = errors.New("hadooprpc: malformed frame")
)

// Marshaler is a message that encodes itself, as vtprotobuf's generated code does.
type Marshaler interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
}

// Unmarshaler is a message that decodes itself. It must not keep b.
type Unmarshaler interface {
	UnmarshalVT(b []byte) error
}
