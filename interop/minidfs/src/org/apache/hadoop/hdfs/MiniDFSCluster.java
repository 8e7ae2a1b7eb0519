package org.apache.hadoop.hdfs;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.StorageType;
import org.apache.hadoop.hdfs.protocol.ClientProtocol;
import org.apache.hadoop.hdfs.server.common.HdfsServerConstants.StartupOption;
import org.apache.hadoop.hdfs.server.protocol.NamenodeProtocols;
import org.apache.hadoop.ipc.RemoteException;

/**
 * Stands in front of the class of this name in Hadoop's test jar: Hadoop's own JUnit tests
 * that ask for a cluster get a process of ours, with their settings. A test that reaches
 * into Hadoop's servers finds no such method here, and fails with NoSuchMethodError.
 */
public class MiniDFSCluster implements AutoCloseable {
  private static final Pattern READY = Pattern.compile("ready in \\d+ ms: hdfs://[^:]+:(\\d+) (http://\\S+).*");

  /** The storage policy of everything, and with it the settings KEY=VALUE,... of the cluster; none when null. */
  private static final String POLICY = System.getProperty("minidfs.policy");
  private static final String SETTINGS = System.getProperty("minidfs.settings", "");

  private static Path latest; // the directory of the cluster built last

  private final Configuration conf;
  private final int datanodes;
  private final Path dir;
  private int port;
  private String web;
  private Process process;

  /** Collects what a test wants of its cluster. */
  public static class Builder {
    private final Configuration conf;
    private int datanodes = 1;
    private int port;
    private boolean format = true;

    public Builder(Configuration conf) {
      this.conf = conf;
    }

    public Builder(Configuration conf, File base) {
      this(conf);
    }

    public Builder numDataNodes(int n) {
      datanodes = n;
      return this;
    }

    public Builder nameNodePort(int p) {
      port = p;
      return this;
    }

    public Builder nameNodeHttpPort(int p) {
      return this;
    }

    public Builder format(boolean on) {
      format = on;
      return this;
    }

    public Builder manageDataDfsDirs(boolean on) {
      return this;
    }

    public Builder manageNameDfsDirs(boolean on) {
      return this;
    }

    public Builder checkExitOnShutdown(boolean on) {
      return this;
    }

    public Builder checkDataNodeAddrConfig(boolean on) {
      return this;
    }

    public Builder waitSafeMode(boolean on) {
      return this;
    }

    public Builder startupOption(StartupOption option) {
      return this;
    }

    public Builder storageTypes(StorageType[] types) {
      return this;
    }

    public Builder storagesPerDatanode(int n) {
      return this;
    }

    public Builder racks(String[] racks) {
      return this;
    }

    public Builder checkDataNodeHostConfig(boolean on) {
      return this;
    }

    public Builder hosts(String[] hosts) {
      return this;
    }

    public Builder simulatedCapacities(long[] capacities) {
      return this;
    }

    public MiniDFSCluster build() throws IOException {
      return new MiniDFSCluster(conf, datanodes, port, format);
    }
  }

  MiniDFSCluster(Configuration conf, int datanodes, int port, boolean format) throws IOException {
    this.conf = conf;
    this.datanodes = POLICY == null ? datanodes : Math.max(datanodes, 4);
    this.port = port;
    if (format || latest == null) {
      remove(latest);
      latest = Files.createTempDirectory("minidfs");
    }
    this.dir = latest;
    conf.setInt("dfs.replication", Math.max(1, Math.min(conf.getInt("dfs.replication", 3), datanodes)));
    start();
  }

  private void start() throws IOException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("minidfs.binary"), "minicluster", "--dir", dir.toString(),
        "--rpc-port", Integer.toString(port), "--http-port", "0", "--datanodes", Integer.toString(datanodes)));
    Configuration defaults = new HdfsConfiguration();
    for (Map.Entry<String, String> e : conf) {
      String value = conf.get(e.getKey());
      if (e.getKey().startsWith("dfs.") && value != null && !value.equals(defaults.get(e.getKey())) && !e.getKey().matches(".*(dir|address|nameservices)$")) {
        command.add("-D");
        command.add(e.getKey() + "=" + value);
      }
    }
    // Hadoop's tests run with this in their own hdfs-site.xml.
    if (conf.getLong("dfs.namenode.fs-limits.min-block-size", 1 << 20) == 1 << 20) {
      command.addAll(List.of("-D", "dfs.namenode.fs-limits.min-block-size=0"));
    }
    command.addAll(List.of("-D", "fs.trash.interval=" + conf.get("fs.trash.interval", "0")));
    for (String setting : SETTINGS.isEmpty() ? new String[0] : SETTINGS.split(",")) {
      command.addAll(List.of("-D", setting));
    }
    ProcessBuilder builder = new ProcessBuilder(command)
        .redirectError(ProcessBuilder.Redirect.appendTo(new File(System.getProperty("minidfs.log", "/dev/null"))));
    builder.environment().remove("HADOOP_CONF_DIR");
    process = builder.start();
    Process own = process;
    Runtime.getRuntime().addShutdownHook(new Thread(own::destroyForcibly));
    BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream()));
    String line = out.readLine();
    Matcher ready = READY.matcher(String.valueOf(line));
    if (!ready.matches()) {
      process.destroyForcibly();
      throw new IOException("no cluster: " + line);
    }
    port = Integer.parseInt(ready.group(1));
    web = ready.group(2);
    Thread drain = new Thread(() -> out.lines().forEach(l -> { }));
    drain.setDaemon(true);
    drain.start();
    FileSystem.setDefaultUri(conf, getURI());
    if (POLICY != null) {
      try (FileSystem fs = getNewFileSystemInstance(0)) {
        fs.setStoragePolicy(new org.apache.hadoop.fs.Path("/"), POLICY);
      }
    }
  }

  /** Says how many parity blocks were made. */
  private void report() {
    try (Stream<String> lines = new BufferedReader(new InputStreamReader(URI.create(web + "/metrics").toURL().openStream())).lines()) {
      lines.filter(l -> l.startsWith("redoubt_namenode_parity_folds_total ")).forEach(System.out::println);
    } catch (IOException e) {
      System.out.println("no metrics: " + e);
    }
  }

  private void stop() {
    if (POLICY != null) {
      report();
    }
    process.destroy();
    try {
      if (!process.waitFor(20, TimeUnit.SECONDS)) {
        process.destroyForcibly().waitFor();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }

  private static void remove(Path dir) throws IOException {
    if (dir == null) {
      return;
    }
    try (Stream<Path> all = Files.walk(dir)) {
      all.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete());
    }
  }

  /** Stops the cluster. Its data stays for the next one, unless that one formats. */
  public void shutdown() {
    stop();
  }

  public void shutdown(boolean delete) {
    stop();
  }

  public void shutdown(boolean delete, boolean closeFileSystem) {
    stop();
  }

  @Override
  public void close() {
    shutdown();
  }

  public boolean isClusterUp() {
    return process.isAlive();
  }

  public void waitActive() {
  }

  public void waitActive(int index) {
  }

  public void waitClusterUp() {
  }

  public void restartNameNode(String... args) throws IOException {
    stop();
    start();
  }

  public void restartNameNodes() throws IOException {
    restartNameNode();
  }

  public void restartNameNode(boolean wait) throws IOException {
    restartNameNode();
  }

  public boolean restartDataNodes() throws IOException {
    restartNameNode();
    return true;
  }

  public DistributedFileSystem getFileSystem() throws IOException {
    return (DistributedFileSystem) FileSystem.get(getURI(), conf);
  }

  public DistributedFileSystem getFileSystem(int index) throws IOException {
    return getFileSystem();
  }

  public FileSystem getNewFileSystemInstance(int index) throws IOException {
    return FileSystem.newInstance(getURI(), conf);
  }

  public Configuration getConfiguration(int index) {
    return conf;
  }

  /** The client's side of what tests ask of the name node itself. */
  public NamenodeProtocols getNameNodeRpc() throws IOException {
    ClientProtocol client = getFileSystem().getClient().getNamenode();
    return (NamenodeProtocols) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {NamenodeProtocols.class}, (self, method, args) -> {
      try {
        return ClientProtocol.class.getMethod(method.getName(), method.getParameterTypes()).invoke(client, args);
      } catch (InvocationTargetException e) {
        throw e.getCause() instanceof RemoteException remote ? unwrap(remote) : e.getCause();
      }
    });
  }

  /** What a name node in the same process would have thrown, unchecked exceptions too. */
  private static Throwable unwrap(RemoteException e) {
    try {
      return (Throwable) Class.forName(e.getClassName()).getConstructor(String.class).newInstance(e.getMessage());
    } catch (ReflectiveOperationException | ClassCastException x) {
      return e;
    }
  }

  public NamenodeProtocols getNameNodeRpc(int index) throws IOException {
    return getNameNodeRpc();
  }

  public URI getURI() {
    return URI.create("hdfs://localhost:" + port);
  }

  public URI getURI(int index) {
    return getURI();
  }

  public int getNameNodePort() {
    return port;
  }

  public int getNameNodePort(int index) {
    return port;
  }

  public void setLeasePeriod(long soft, long hard) {
    throw new NoSuchMethodError("setLeasePeriod");
  }

  public static String getBaseDirectory() {
    return System.getProperty("java.io.tmpdir") + "/minidfs-base/";
  }

  public File getDataDirectoryFile() {
    return dir.toFile();
  }
}
