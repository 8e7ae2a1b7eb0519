package client

import "redoubt/dfs"

// kindOfClass gives the error kind for a Java exception class.
func kindOfClass(class string) dfs.Kind { return kinds[class] }

var kinds = map[string]dfs.Kind{
	"java.io.FileNotFoundException":                                                       dfs.NotFound,
	"org.apache.hadoop.fs.PathNotFoundException":                                          dfs.NotFound,
	"org.apache.hadoop.fs.FileAlreadyExistsException":                                     dfs.AlreadyExists,
	"org.apache.hadoop.fs.ParentNotDirectoryException":                                    dfs.ParentNotDirectory,
	"org.apache.hadoop.fs.PathIsNotEmptyDirectoryException":                               dfs.NotEmpty,
	"org.apache.hadoop.fs.PathIsNotDirectoryException":                                    dfs.NotDirectory,
	"org.apache.hadoop.fs.InvalidPathException":                                           dfs.InvalidPath,
	"org.apache.hadoop.HadoopIllegalArgumentException":                                    dfs.IllegalArgument,
	"org.apache.hadoop.security.AccessControlException":                                   dfs.Permission,
	"org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException":                        dfs.BeingCreated,
	"org.apache.hadoop.hdfs.protocol.RecoveryInProgressException":                         dfs.RecoveryInProgress,
	"org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException":                        dfs.LeaseExpired,
	"org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException":                    dfs.NotReplicatedYet,
	"org.apache.hadoop.hdfs.server.namenode.SafeModeException":                            dfs.SafeMode,
	"org.apache.hadoop.ipc.StandbyException":                                              dfs.Standby,
	"org.apache.hadoop.ipc.ObserverRetryOnActiveException":                                dfs.Standby,
	"org.apache.hadoop.ipc.RetriableException":                                            dfs.Retriable,
	"java.lang.UnsupportedOperationException":                                             dfs.Unsupported,
	"org.apache.hadoop.hdfs.protocol.NSQuotaExceededException":                            dfs.NSQuotaExceeded,
	"org.apache.hadoop.hdfs.protocol.DSQuotaExceededException":                            dfs.DSQuotaExceeded,
	"org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException":                 dfs.TypeQuotaExceeded,
	"org.apache.hadoop.hdfs.protocol.SnapshotException":                                   dfs.Snapshot,
	"org.apache.hadoop.hdfs.protocol.SnapshotAccessControlException":                      dfs.SnapshotAccess,
	"org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException":      dfs.ComponentTooLong,
	"org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException": dfs.DirectoryTooFull,
	"org.apache.hadoop.hdfs.protocol.UnresolvedPathException":                             dfs.UnresolvedLink,
	"org.apache.hadoop.ipc.RpcNoSuchMethodException":                                      dfs.NoSuchMethod,
	"org.apache.hadoop.ipc.RpcNoSuchProtocolException":                                    dfs.NoSuchProtocol,
	"org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException":                     dfs.ReplicaNotFound,
	"org.apache.hadoop.security.token.SecretManager$InvalidToken":                         dfs.InvalidToken,
	"org.apache.hadoop.security.authorize.AuthorizationException":                         dfs.Authorization,
	"org.apache.hadoop.hdfs.XAttrNotFoundException":                                       dfs.NoXAttr,
	"org.apache.hadoop.hdfs.protocol.AclException":                                        dfs.ACL,
	"java.lang.IllegalStateException":                                                     dfs.IllegalState,
	"java.lang.NullPointerException":                                                      dfs.NullPointer,
	"java.lang.IllegalArgumentException":                                                  dfs.RuntimeIllegal,
}
