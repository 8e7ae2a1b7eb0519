package org.apache.hadoop.mapred;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IntWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.JobID;
import org.apache.hadoop.mapreduce.JobStatus;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.map.TokenCounterMapper;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;
import org.apache.hadoop.mapreduce.lib.reduce.IntSumReducer;
import org.apache.hadoop.mapreduce.protocol.ClientProtocol;
import org.apache.hadoop.mapreduce.protocol.ClientProtocolProvider;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Submits a word count in two ways. With framework "staging" Hadoop's own JobSubmitter and JobResourceUploader put everything
 * that a job needs on the cluster, as for YARN, up to the call of the resource manager, which here lists what came. With
 * framework "local" the job really runs, with its input and output on the cluster.
 *
 * Arguments: URI, framework, a local file to ship with the job.
 */
public class SubmitToStaging {
  public static void main(String[] args) throws Exception {
    Configuration conf = new Configuration();
    conf.set("fs.defaultFS", args[0]);
    conf.set("mapreduce.framework.name", args[1]);
    FileSystem fs = FileSystem.get(conf);
    Path in = new Path("/wordcount/in"), out = new Path("/wordcount/out-" + args[1]);
    fs.mkdirs(in);
    try (java.io.OutputStream w = fs.create(new Path(in, "text"))) {
      w.write("a rose is a rose is a rose\n".getBytes("UTF-8"));
    }
    conf.set("tmpfiles", "file://" + args[2]);
    conf.set("tmpjars", "file://" + args[2]);
    Job job = Job.getInstance(conf, "word count");
    job.setJar(args[2]);
    job.setMapperClass(TokenCounterMapper.class);
    job.setReducerClass(IntSumReducer.class);
    job.setOutputKeyClass(Text.class);
    job.setOutputValueClass(IntWritable.class);
    FileInputFormat.addInputPath(job, in);
    FileOutputFormat.setOutputPath(job, out);
    if (args[1].equals("staging")) {
      job.submit();
      return;
    }
    if (!job.waitForCompletion(false)) throw new IOException("the job failed");
    TreeSet<String> names = new TreeSet<>();
    for (FileStatus st : fs.listStatus(out)) names.add(st.getPath().getName());
    System.out.println("output " + names);
    try (java.io.InputStream r = fs.open(new Path(out, "part-r-00000"))) {
      System.out.println(new String(r.readAllBytes(), "UTF-8").replace("\t", "=").replace("\n", " ").trim());
    }
  }

  /** Gives the runner below to Hadoop's Cluster; found through META-INF/services. */
  public static class Provider extends ClientProtocolProvider {
    @Override
    public ClientProtocol create(Configuration conf) throws IOException {
      return "staging".equals(conf.get("mapreduce.framework.name")) ? new Runner(conf) : null;
    }

    @Override
    public ClientProtocol create(InetSocketAddress addr, Configuration conf) throws IOException {
      return create(conf);
    }

    @Override
    public void close(ClientProtocol client) {}
  }

  /** Stands where the resource manager would. */
  static class Runner extends LocalJobRunner {
    private final Configuration conf;

    Runner(Configuration conf) throws IOException {
      super(conf);
      this.conf = conf;
    }

    @Override
    public String getStagingAreaDir() throws IOException {
      String user = UserGroupInformation.getCurrentUser().getShortUserName();
      return FileSystem.get(conf).makeQualified(new Path("/tmp/hadoop-yarn/staging/" + user + "/.staging")).toString();
    }

    @Override
    public String getSystemDir() { // its file system is the one that jobs are put on
      return conf.get("fs.defaultFS") + "/tmp/hadoop-yarn/staging/system";
    }

    @Override
    public JobStatus submitJob(JobID id, String dir, Credentials creds) throws IOException {
      FileSystem fs = FileSystem.get(conf);
      TreeSet<String> names = new TreeSet<>();
      for (FileStatus st : fs.listStatus(new Path(dir))) names.add(st.getPath().getName());
      System.out.println("submitted " + names + " to " + fs.getFileStatus(new Path(dir)).getPermission());
      return new JobStatus(id, 0f, 0f, 0f, 0f, JobStatus.State.PREP, org.apache.hadoop.mapreduce.JobPriority.NORMAL, "u", "word count", "", "");
    }
  }
}
