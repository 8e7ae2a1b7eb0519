import java.lang.reflect.*;
import java.util.*;
import org.apache.hadoop.hdfs.HdfsConfiguration;

/**
 * Prints what Hadoop's own classes hold of the constants that Redoubt has as well, a line each: "kind name value".
 * Arguments: names of classes that must be there, and conf:NAME for the default of a configuration key.
 */
public class Facts {
  static final String HDFS = "org.apache.hadoop.hdfs.protocol.proto.";

  public static void main(String[] args) throws Exception {
    for (String e : new String[] {
      HDFS + "HdfsProtos$StorageTypeProto", HDFS + "HdfsProtos$DatanodeInfoProto$AdminState", HDFS + "HdfsProtos$ChecksumTypeProto",
      HDFS + "HdfsProtos$HdfsFileStatusProto$FileType", HDFS + "HdfsProtos$HdfsFileStatusProto$Flags", HDFS + "HdfsProtos$ErasureCodingPolicyState",
      HDFS + "ClientNamenodeProtocolProtos$CreateFlagProto", HDFS + "ClientNamenodeProtocolProtos$AddBlockFlagProto",
      HDFS + "ClientNamenodeProtocolProtos$SafeModeActionProto", HDFS + "ClientNamenodeProtocolProtos$DatanodeReportTypeProto",
      HDFS + "ClientNamenodeProtocolProtos$RollingUpgradeActionProto", HDFS + "ClientNamenodeProtocolProtos$OpenFilesTypeProto",
      HDFS + "XAttrProtos$XAttrProto$XAttrNamespaceProto", HDFS + "XAttrProtos$XAttrSetFlagProto",
      HDFS + "AclProtos$AclEntryProto$AclEntryScopeProto", HDFS + "AclProtos$AclEntryProto$AclEntryTypeProto",
      HDFS + "DataTransferProtos$Status", HDFS + "DataTransferProtos$OpWriteBlockProto$BlockConstructionStage",
      "org.apache.hadoop.ha.proto.HAServiceProtocolProtos$HAServiceStateProto"}) {
      for (Object c : Class.forName(e).getEnumConstants())
        System.out.println("enum " + e.substring(e.indexOf('$') + 1).replace('$', '.') + "." + c + " " + c.getClass().getMethod("getNumber").invoke(c));
    }
    for (Object c : Class.forName("org.apache.hadoop.hdfs.protocol.datatransfer.Op").getEnumConstants())
      System.out.println("enum Op." + c + " " + c.getClass().getField("code").get(c));
    for (org.apache.hadoop.fs.CreateFlag f : org.apache.hadoop.fs.CreateFlag.values()) {
      Method mode = f.getClass().getDeclaredMethod("getMode");
      mode.setAccessible(true);
      System.out.println("enum CreateFlag." + f + " " + mode.invoke(f));
    }
    for (String f : new String[] {
      "org.apache.hadoop.io.erasurecode.ErasureCodeConstants.REPLICATION_POLICY_NAME",
      "org.apache.hadoop.hdfs.protocol.HdfsConstants.QUOTA_DONT_SET", "org.apache.hadoop.hdfs.protocol.HdfsConstants.QUOTA_RESET",
      "org.apache.hadoop.hdfs.protocol.HdfsConstants.DOT_SNAPSHOT_DIR", "org.apache.hadoop.hdfs.protocol.HdfsConstants.LEASE_SOFTLIMIT_PERIOD",
      "org.apache.hadoop.hdfs.protocol.HdfsConstants.CLIENT_NAMENODE_PROTOCOL_NAME",
      "org.apache.hadoop.hdfs.protocol.HdfsConstants.HDFS_URI_SCHEME",
      "org.apache.hadoop.hdfs.server.namenode.FSDirectory.DOT_RESERVED_STRING", "org.apache.hadoop.hdfs.server.namenode.FSDirectory.DOT_INODES_STRING",
      "org.apache.hadoop.hdfs.server.common.HdfsServerConstants.MAX_PATH_LENGTH", "org.apache.hadoop.hdfs.server.common.HdfsServerConstants.MAX_PATH_DEPTH",
      "org.apache.hadoop.hdfs.server.namenode.INodeId.ROOT_INODE_ID", "org.apache.hadoop.hdfs.protocol.BlockType.BLOCK_ID_MASK",
      "org.apache.hadoop.hdfs.server.blockmanagement.SequentialBlockIdGenerator.LAST_RESERVED_BLOCK_ID",
      "org.apache.hadoop.hdfs.protocol.datatransfer.DataTransferProtocol.DATA_TRANSFER_VERSION",
      "org.apache.hadoop.hdfs.server.datanode.BlockMetadataHeader.VERSION", "org.apache.hadoop.ipc.RpcConstants.CURRENT_VERSION",
      "org.apache.hadoop.fs.FileSystem.TRASH_PREFIX", "org.apache.hadoop.fs.TrashPolicyDefault.CURRENT",
      "org.apache.hadoop.net.NetworkTopology.DEFAULT_RACK", "org.apache.hadoop.hdfs.protocol.HdfsConstants.BLOCK_STORAGE_POLICY_ID_UNSPECIFIED"}) {
      System.out.println("const " + f.substring(f.lastIndexOf('.', f.lastIndexOf('.') - 1) + 1) + " " + constant(f));
    }
    for (Object p : org.apache.hadoop.hdfs.server.blockmanagement.BlockStoragePolicySuite.createDefaultSuite().getAllPolicies())
      System.out.println("policy " + p);
    for (Object p : org.apache.hadoop.hdfs.protocol.SystemErasureCodingPolicies.getPolicies()) {
      org.apache.hadoop.hdfs.protocol.ErasureCodingPolicy ec = (org.apache.hadoop.hdfs.protocol.ErasureCodingPolicy) p;
      System.out.println("ec " + ec.getName() + " " + ec.getId());
    }
    for (Object t : org.apache.hadoop.fs.StorageType.getTypesSupportingQuota()) System.out.println("quota " + t);
    HdfsConfiguration conf = new HdfsConfiguration();
    for (String a : args) {
      if (!a.startsWith("conf:")) {
        System.out.println("class " + a + " " + load(a));
        continue;
      }
      String value = conf.getRaw(a.substring(5));
      System.out.println("conf " + a.substring(5) + " " + (value == null ? "(none)" : "=" + value.trim()));
    }
  }

  static Object constant(String path) throws Exception {
    int dot = path.lastIndexOf('.');
    try {
      Field f = Class.forName(path.substring(0, dot)).getDeclaredField(path.substring(dot + 1));
      f.setAccessible(true);
      return f.get(null);
    } catch (NoSuchFieldException | ClassNotFoundException e) {
      return "(none)";
    }
  }

  static String load(String name) {
    try {
      Class<?> c = Class.forName(name, false, Facts.class.getClassLoader());
      return Throwable.class.isAssignableFrom(c) ? "exception" : "class";
    } catch (ClassNotFoundException e) {
      return "(none)";
    }
  }
}
