package clientrpc

import (
	"errors"
	"strings"

	"redoubt/dfs"
	"redoubt/wire/hadooprpc"
)

// classes names, for every kind, the Java exception that HDFS clients expect. Several
// kinds may share a class; canonical then tells which kind the class means.
var classes = [...]string{
	dfs.Other:                "java.io.IOException",
	dfs.NotFound:             "java.io.FileNotFoundException",
	dfs.AlreadyExists:        "org.apache.hadoop.fs.FileAlreadyExistsException",
	dfs.ParentNotDirectory:   "org.apache.hadoop.fs.ParentNotDirectoryException",
	dfs.NotEmpty:             "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
	dfs.NotDirectory:         "org.apache.hadoop.fs.PathIsNotDirectoryException",
	dfs.InvalidPath:          "org.apache.hadoop.fs.InvalidPathException",
	dfs.IllegalArgument:      "org.apache.hadoop.HadoopIllegalArgumentException",
	dfs.Permission:           "org.apache.hadoop.security.AccessControlException",
	dfs.BeingCreated:         "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException",
	dfs.RecoveryInProgress:   "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException",
	dfs.LeaseExpired:         "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException",
	dfs.NotReplicatedYet:     "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException",
	dfs.SafeMode:             "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
	dfs.Standby:              "org.apache.hadoop.ipc.StandbyException",
	dfs.Retriable:            "org.apache.hadoop.ipc.RetriableException",
	dfs.Unsupported:          "java.lang.UnsupportedOperationException",
	dfs.NSQuotaExceeded:      "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
	dfs.DSQuotaExceeded:      "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
	dfs.TypeQuotaExceeded:    "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException",
	dfs.Snapshot:             "org.apache.hadoop.hdfs.protocol.SnapshotException",
	dfs.SnapshotAccess:       "org.apache.hadoop.hdfs.protocol.SnapshotAccessControlException",
	dfs.ComponentTooLong:     "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException",
	dfs.DirectoryTooFull:     "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException",
	dfs.UnresolvedLink:       "org.apache.hadoop.hdfs.protocol.UnresolvedPathException",
	dfs.NoSuchMethod:         "org.apache.hadoop.ipc.RpcNoSuchMethodException",
	dfs.NoSuchProtocol:       "org.apache.hadoop.ipc.RpcNoSuchProtocolException",
	dfs.ReplicaNotFound:      "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException",
	dfs.InvalidToken:         "org.apache.hadoop.security.token.SecretManager$InvalidToken",
	dfs.Authorization:        "org.apache.hadoop.security.authorize.AuthorizationException",
	dfs.NoXAttr:              "org.apache.hadoop.hdfs.protocol.XAttrNotFoundException",
	dfs.ACL:                  "org.apache.hadoop.hdfs.protocol.AclException",
	dfs.DisallowedDatanode:   "org.apache.hadoop.hdfs.server.protocol.DisallowedDatanodeException",
	dfs.IncorrectVersion:     "org.apache.hadoop.hdfs.server.common.IncorrectVersionException",
	dfs.UnregisteredDatanode: "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException",
	dfs.Corrupt:              "java.io.IOException",
	dfs.NoSpace:              "org.apache.hadoop.util.DiskChecker$DiskOutOfSpaceException",
	dfs.IllegalState:         "java.lang.IllegalStateException",
	dfs.NullPointer:          "java.lang.NullPointerException",
	dfs.NotLink:              "java.io.IOException",
	dfs.RuntimeIllegal:       "java.lang.IllegalArgumentException",
	dfs.Stale:                "org.apache.hadoop.ipc.RetriableException",
	dfs.Unavailable:          "java.io.IOException",
	dfs.Canceled:             "java.io.IOException",
	dfs.Fenced:               "java.io.IOException",
}

// Classes of the undecodable request and of answers without a kind of their own.
const (
	classBadRequest        = "org.apache.hadoop.thirdparty.protobuf.InvalidProtocolBufferException"
	classUnsupportedAction = "org.apache.hadoop.hdfs.server.namenode.UnsupportedActionException"
	classInvalidRequest    = "org.apache.hadoop.fs.InvalidRequestException"
	classNoECPolicySet     = "org.apache.hadoop.hdfs.protocol.NoECPolicySetException"
)

// ClassOf gives the Java exception class that stands for an error kind on the wire.
// A kind that it does not know is an IOException.
func ClassOf(k dfs.Kind) string {
	if int(k) < len(classes) && classes[k] != "" {
		return classes[k]
	}
	return classes[dfs.Other]
}

// KindOfClass is the way back: the kind that a Java exception class means, dfs.Other for
// one that has none. ok is false then, unless the class is IOException itself.
func KindOfClass(class string) (k dfs.Kind, ok bool) {
	for i, c := range classes { // in error paths only, and the lower kind is the meant one
		if c == class {
			return dfs.Kind(i), true
		}
	}
	switch class {
	case "org.apache.hadoop.hdfs.protocol.QuotaExceededException":
		return dfs.NSQuotaExceeded, true
	case "org.apache.hadoop.ipc.ObserverRetryOnActiveException":
		return dfs.Standby, true
	}
	return dfs.Other, false
}

// javaError is an answer whose class no kind stands for.
type javaError struct{ class, message string }

func (e *javaError) Error() string { return e.class + ": " + e.message }

// Exception gives the Java class and the text by which an error goes to a client.
func Exception(err error) (class, message string) {
	var j *javaError
	if errors.As(err, &j) {
		return j.class, j.message
	}
	var e *dfs.Error
	if errors.As(err, &e) {
		return ClassOf(e.Kind), e.Message()
	}
	return classes[dfs.Other], err.Error()
}

// FromRemote makes an error of what a server answered, ours or Hadoop's: the kind that
// the class means and the first lines up to a Java stack trace. The *RemoteError stays
// in the chain for those who need the class itself.
func FromRemote(re *hadooprpc.RemoteError) *dfs.Error {
	k, _ := KindOfClass(re.Class)
	msg, _, _ := strings.Cut(re.Message, "\n\tat ")
	return &dfs.Error{Kind: k, Msg: msg, Err: re}
}
