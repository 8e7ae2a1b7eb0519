package dfs

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, independent of who says it and how it is worded.
// wire/clientrpc maps each kind to one Java exception class, web/webhdfs to one HTTP
// status; the numbers stand in the edit log's retry results and must not change.
type Kind uint8

const (
	Other                Kind = 0  // java.io.IOException
	NotFound             Kind = 1  // java.io.FileNotFoundException
	AlreadyExists        Kind = 2  // fs.FileAlreadyExistsException
	ParentNotDirectory   Kind = 3  // fs.ParentNotDirectoryException
	NotEmpty             Kind = 4  // fs.PathIsNotEmptyDirectoryException
	NotDirectory         Kind = 5  // fs.PathIsNotDirectoryException
	InvalidPath          Kind = 6  // fs.InvalidPathException
	IllegalArgument      Kind = 7  // HadoopIllegalArgumentException
	Permission           Kind = 8  // security.AccessControlException
	BeingCreated         Kind = 9  // hdfs.protocol.AlreadyBeingCreatedException
	RecoveryInProgress   Kind = 10 // hdfs.protocol.RecoveryInProgressException
	LeaseExpired         Kind = 11 // namenode.LeaseExpiredException
	NotReplicatedYet     Kind = 12 // namenode.NotReplicatedYetException
	SafeMode             Kind = 13 // namenode.SafeModeException
	Standby              Kind = 14 // ipc.StandbyException
	Retriable            Kind = 15 // ipc.RetriableException
	Unsupported          Kind = 16 // java.lang.UnsupportedOperationException
	NSQuotaExceeded      Kind = 17 // hdfs.protocol.NSQuotaExceededException
	DSQuotaExceeded      Kind = 18 // hdfs.protocol.DSQuotaExceededException
	TypeQuotaExceeded    Kind = 19 // hdfs.protocol.QuotaByStorageTypeExceededException
	Snapshot             Kind = 20 // hdfs.protocol.SnapshotException
	SnapshotAccess       Kind = 21 // hdfs.protocol.SnapshotAccessControlException
	ComponentTooLong     Kind = 22 // hdfs.protocol.FSLimitException$PathComponentTooLongException
	DirectoryTooFull     Kind = 23 // hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException
	UnresolvedLink       Kind = 24 // hdfs.protocol.UnresolvedPathException
	NoSuchMethod         Kind = 25 // ipc.RpcNoSuchMethodException
	NoSuchProtocol       Kind = 26 // ipc.RpcNoSuchProtocolException
	ReplicaNotFound      Kind = 27 // datanode.ReplicaNotFoundException
	InvalidToken         Kind = 28 // security.token.SecretManager$InvalidToken
	Authorization        Kind = 29 // security.authorize.AuthorizationException
	NoXAttr              Kind = 30 // hdfs.protocol.XAttrNotFoundException
	ACL                  Kind = 31 // hdfs.protocol.AclException
	DisallowedDatanode   Kind = 32 // protocol.DisallowedDatanodeException
	IncorrectVersion     Kind = 33 // server.common.IncorrectVersionException
	UnregisteredDatanode Kind = 34 // protocol.UnregisteredNodeException
	Corrupt              Kind = 35 // what was read can't be verified; java.io.IOException on the wire
	NoSpace              Kind = 36 // DiskChecker$DiskOutOfSpaceException
	IllegalState         Kind = 37 // java.lang.IllegalStateException
	NullPointer          Kind = 38 // java.lang.NullPointerException, where HDFS really answers so
	NotLink              Kind = 39 // java.io.IOException: path is not a symbolic link
	RuntimeIllegal       Kind = 40 // java.lang.IllegalArgumentException
	Stale                Kind = 41 // internal: pre-check and apply saw different states; check again and propose again
	Unavailable          Kind = 42 // internal: no datanode or name node could be reached
	Canceled             Kind = 43 // internal: the caller's context ended
	Fenced               Kind = 44 // internal: another name node, or another process of the same datanode, has taken over
)

// Error is the error of every operation that a user can cause. Its text on the wire is
// Message(), which starts with Msg and carries no class or package prefix, because
// HDFS clients print and compare its first line.
type Error struct {
	Op   string // the operation, "create"; may be empty
	Path string // the path or thing it was about; may be empty
	Kind Kind
	Msg  string // HDFS's wording where clients show or compare it; may be empty
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	s := e.Message()
	if e.Op != "" {
		return e.Op + ": " + s
	}
	return s
}

// Message is the text for a client: Msg if set, else built from Path, Kind and cause.
func (e *Error) Message() string {
	if e.Msg != "" {
		return e.Msg
	}
	s := e.Path
	if e.Err != nil {
		if s != "" {
			s += ": "
		}
		return s + e.Err.Error()
	}
	if s != "" {
		s += ": "
	}
	return s + fmt.Sprintf("error kind %d", e.Kind)
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an *Error of the given kind whose Msg is formatted.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// KindOf gives the kind of the first *Error in err's chain, Other if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}

// Is reports whether err carries an *Error of this kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
