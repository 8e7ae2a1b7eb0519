package org.apache.hadoop.fs.contract.hdfs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.mockito.Mockito;

/**
 * Stands in front of Hadoop's class of this name, so that Hadoop's file system contract tests run
 * against the cluster named by -Dcontract.fs=hdfs://HOST:PORT instead of one that they start.
 */
public class HDFSContract extends AbstractFSContract {
  public static final String CONTRACT_HDFS_XML = "contract/hdfs.xml";
  public static final int BLOCK_SIZE = 1024 * 1024;

  public HDFSContract(Configuration conf) {
    super(conf);
    addConfResource(CONTRACT_HDFS_XML);
    conf.setInt("dfs.blocksize", BLOCK_SIZE);
    conf.set(FileSystem.FS_DEFAULT_NAME_KEY, System.getProperty("contract.fs"));
  }

  public static void createCluster() throws IOException {
    new HdfsConfiguration();
  }

  public static void destroyCluster() {}

  /** What the tests ask of a cluster is its file system. */
  public static MiniDFSCluster getCluster() {
    MiniDFSCluster cluster = Mockito.mock(MiniDFSCluster.class);
    try {
      FileSystem fs = FileSystem.get(URI.create(System.getProperty("contract.fs")), new HdfsConfiguration());
      Mockito.when(cluster.getFileSystem()).thenReturn((DistributedFileSystem) fs);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return cluster;
  }

  @Override
  public void init() throws IOException {
    super.init();
  }

  @Override
  public FileSystem getTestFileSystem() throws IOException {
    return FileSystem.get(URI.create(System.getProperty("contract.fs")), getConf());
  }

  @Override
  public String getScheme() {
    return "hdfs";
  }

  @Override
  public Path getTestPath() {
    return new Path("/test");
  }
}
