import java.lang.reflect.UndeclaredThrowableException;
import java.net.URI;
import java.security.PrivilegedExceptionAction;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.ipc.RemoteException;
import org.apache.hadoop.security.UserGroupInformation;

/** Tries what a cluster allows to whom, and prints each outcome on a line: see access_test.go. */
public class AccessProbe {
  interface Op { void run(DistributedFileSystem fs) throws Exception; }

  static Configuration conf;
  static URI uri;

  static void print(String what, Throwable t) {
    if (t instanceof UndeclaredThrowableException) t = t.getCause();
    if (t == null) { System.out.println(what + ": ok"); return; }
    String name = t.getClass().getName();
    if (t instanceof RemoteException) name += "<" + ((RemoteException) t).getClassName() + ">";
    System.out.println(what + ": " + name + ": " + String.valueOf(t.getMessage()).split("\n")[0]);
  }

  static void as(UserGroupInformation who, String what, Op op) {
    Throwable outcome = null;
    try {
      who.doAs((PrivilegedExceptionAction<Void>) () -> {
        try (FileSystem fs = FileSystem.newInstance(uri, conf)) { op.run((DistributedFileSystem) fs); }
        return null;
      });
    } catch (Throwable t) { outcome = t; }
    print(what, outcome);
  }

  static UserGroupInformation user(String name) { return UserGroupInformation.createRemoteUser(name); }

  static void proxied(String real, String effective) {
    as(UserGroupInformation.createProxyUser(effective, user(real)), real + " as " + effective, fs -> fs.getFileStatus(new Path("/")));
  }

  public static void main(String[] args) throws Exception {
    uri = URI.create(args[0]);
    conf = new Configuration();
    conf.set("ipc.client.connect.max.retries", "0");
    conf.set("dfs.replication", "1");
    if (args[1].equals("status")) { proxied(args[2], args[3]); return; }
    String root = args[2];
    for (String u : new String[] {root, "ann", "carl", "dora", "zoe", "zoe/h@R"}) as(user(u), u, fs -> fs.getFileStatus(new Path("/")));
    String[][] pairs = {{"ann", "bob"}, {"ann", root}, {"ann", "dora"}, {"ann/h@R", root}, {"mal/h@R", root}, {"mallory", root}, {"eve", "zoe"},
        {"eve", root}, {"bob", "ann"}, {root, root}, {"all", root}, {"all", "carl"}};
    for (String[] p : pairs) proxied(p[0], p[1]);
    as(UserGroupInformation.createProxyUser("zoe", user("all")), "what a proxy makes is the other's", fs -> {
      try { fs.mkdirs(new Path("/of-zoe")); } catch (Exception e) { print("mkdirs as zoe", e); }
    });
    as(user(root), "namespace", AccessProbe::namespace);
    as(user("ann"), "policies", fs -> {
      attempt("set policy", fs, f -> f.setStoragePolicy(new Path("/"), "HOT"));
      attempt("unset policy", fs, f -> f.unsetStoragePolicy(new Path("/")));
    });
  }

  static void attempt(String what, DistributedFileSystem fs, Op op) {
    Throwable outcome = null;
    try { op.run(fs); } catch (Throwable t) { outcome = t; }
    print(what, outcome);
  }

  static void namespace(DistributedFileSystem fs) {
    for (String d : new String[] {"/keep/x", "/deep/in/side/x", "/sub/a/b", "/empty", "/other", "/free"}) attempt("mkdirs " + d, fs, f -> f.mkdirs(new Path(d)));
    for (String d : new String[] {"/keep", "/keep/x", "/keep", "/deep", "/deep/in", "/empty"}) remove(fs, d, true);
    rename(fs, "/deep", "/deep3");
    rename(fs, "/deep/in/side", "/free/z");
    rename(fs, "/sub/a", "/free/z");
    for (String d : new String[] {"/sub/a/b", "/sub/a", "/sub"}) remove(fs, d, true);
    attempt("file below", fs, f -> f.create(new Path("/sub/f")).close());
    remove(fs, "/sub/f", false);
    rename(fs, "/free", "/sub/g");
    attempt("mkdirs", fs, f -> f.mkdirs(new Path("/sub/t/u")));
    rename(fs, "/sub/t/u", "/other/u");
    rename(fs, "/sub/t", "/sub/t2");
    attempt("mkdirs", fs, f -> { f.mkdirs(new Path("/ov")); f.mkdirs(new Path("/empty")); });
    overwrite(fs, "/ov", "/empty");
    overwrite(fs, "/deep/in/side", "/qq");
    attempt("a file", fs, f -> f.create(new Path("/file")).close());
    int made = 0;
    try { while (made < 100) { fs.mkdirs(new Path("/m" + made)); made++; } } catch (Exception e) { print("mkdirs of one more than " + made, e); }
    attempt("mkdirs of what is there", fs, f -> f.mkdirs(new Path("/m0")));
    attempt("create", fs, f -> f.create(new Path("/one-more")).close());
    attempt("create over", fs, f -> f.create(new Path("/file"), true).close());
    attempt("add a block", fs, f -> { try (var out = f.append(new Path("/file"))) { out.write(1); } });
    rename(fs, "/m0", "/m0-new");
  }

  static void remove(DistributedFileSystem fs, String d, boolean recursive) { attempt("delete " + d + (recursive ? " -r" : ""), fs, f -> f.delete(new Path(d), recursive)); }

  static void rename(DistributedFileSystem fs, String from, String to) { attempt("rename " + from + " " + to, fs, f -> f.rename(new Path(from), new Path(to))); }

  static void overwrite(DistributedFileSystem fs, String from, String to) { attempt("rename over " + from + " " + to, fs, f -> f.rename(new Path(from), new Path(to), Options.Rename.OVERWRITE)); }
}
