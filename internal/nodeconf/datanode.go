package nodeconf

import (
	"fmt"
	"net"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"redoubt/blockstore"
	"redoubt/blockstore/array"
	"redoubt/datanode"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

// dataNodeKeys are the keys of the configuration that a datanode reads.
var dataNodeKeys = []string{
	"fs.defaultFS", "hadoop.tmp.dir", "redoubt.http.hosts", "redoubt.ipc.maximum.buffered", "hadoop.security.authorization", "hadoop.user.group.static.mapping.overrides", "dfs.nameservices", "dfs.namenode.rpc-address", "dfs.namenode.servicerpc-address",
	"dfs.heartbeat.interval", "dfs.blockreport.intervalMsec", "dfs.blockreport.split.threshold",
	"dfs.datanode.address", "dfs.datanode.ipc.address", "dfs.datanode.http.address", "dfs.datanode.hostname",
	"dfs.datanode.data.dir", "dfs.datanode.data.dir.perm", "dfs.datanode.failed.volumes.tolerated", "dfs.datanode.du.reserved",
	"dfs.datanode.max.transfer.threads", "dfs.datanode.balance.bandwidthPerSec", "dfs.datanode.balance.max.concurrent.moves", "dfs.datanode.data.transfer.bandwidthPerSec",
	"redoubt.datanode.raid.bandwidthPerSec", "redoubt.datanode.raid.streams",
	"dfs.datanode.scan.period.hours", "dfs.block.scanner.volume.bytes.per.second",
	"dfs.datanode.socket.write.timeout", "dfs.datanode.socket.reuse.keepalive", "dfs.client.socket-timeout",
}

// DataNode turns Hadoop's keys into a datanode's configuration. With no nameNodes it takes
// those that are configured.
func DataNode(conf *hadoopconf.Conf, nameNodes []string) (datanode.Config, error) {
	fs, err := diskFS("dfs.datanode.data.dir.perm", conf.String("dfs.datanode.data.dir.perm"))
	if err != nil {
		return datanode.Config{}, err
	}
	cfg := datanode.Config{
		FS:        fs,
		NameNodes: nameNodes,
		Listen: datanode.Addresses{
			Transfer: address(conf, "dfs.datanode.address", "127.0.0.1:9866"),
			IPC:      address(conf, "dfs.datanode.ipc.address", "127.0.0.1:9867"),
			HTTP:     address(conf, "dfs.datanode.http.address", "127.0.0.1:9864"),
			Host:     hostname(conf),
		},
		Timeouts: datanode.Timeouts{
			Read:      zeroIsNever(conf.Duration("dfs.client.socket-timeout")) + 15*time.Second,
			Write:     zeroIsNever(conf.Duration("dfs.datanode.socket.write.timeout")),
			KeepAlive: max(conf.Duration("dfs.datanode.socket.reuse.keepalive"), 1), // 0: every connection is for one operation
		},
		Limits: datanode.Limits{
			Streams:           conf.Int("dfs.datanode.max.transfer.threads"),
			TransferBandwidth: conf.Size("dfs.datanode.data.transfer.bandwidthPerSec"),
			BalanceBandwidth:  conf.Size("dfs.datanode.balance.bandwidthPerSec"),
			BalanceMoves:      conf.Int("dfs.datanode.balance.max.concurrent.moves"),
			GroupBandwidth:    conf.Size("redoubt.datanode.raid.bandwidthPerSec"),
			DegradedStreams:   conf.Int("redoubt.datanode.raid.streams"),
			ScrubBandwidth:    conf.Size("dfs.block.scanner.volume.bytes.per.second"),
			ScrubPeriod:       time.Duration(conf.Int("dfs.datanode.scan.period.hours")) * time.Hour,
			Buffered:          conf.Size("redoubt.ipc.maximum.buffered"),
			ReportReplicas:    max(conf.Int("dfs.blockreport.split.threshold"), 1),
		},
		Reserved: conf.Size("dfs.datanode.du.reserved"),
	}
	// HDFS's own number is how many volumes may fail, -1 for all but one; the store counts
	// 0 as all but one and a negative number as none.
	switch n := conf.Int("dfs.datanode.failed.volumes.tolerated"); {
	case n < 0:
		cfg.FailedVolumesTolerated = 0
	case n == 0 && conf.IsSet("dfs.datanode.failed.volumes.tolerated"):
		cfg.FailedVolumesTolerated = -1
	default:
		cfg.FailedVolumesTolerated = n
	}
	if cfg.Limits.ScrubBandwidth == 0 || cfg.Limits.ScrubPeriod < 0 {
		cfg.Limits.ScrubBandwidth, cfg.Limits.ScrubPeriod = -1, 0
	}
	// The name node's word counts unless this datanode was told another.
	if conf.IsSet("dfs.heartbeat.interval") {
		cfg.Timeouts.Heartbeat = conf.Duration("dfs.heartbeat.interval")
	}
	if conf.IsSet("dfs.blockreport.intervalMsec") {
		cfg.Timeouts.Report = conf.Duration("dfs.blockreport.intervalMsec")
	}
	if cfg.Access, cfg.Groups, err = access(conf); err != nil {
		return cfg, err
	}
	if cfg.Volumes, cfg.Arrays, err = volumes(conf); err != nil {
		return cfg, err
	}
	if len(cfg.NameNodes) == 0 {
		cfg.NameNodes, err = configuredNameNodes(conf)
	}
	for i, a := range cfg.NameNodes {
		cfg.NameNodes[i] = hadoopconf.WithPort(a, hadoopconf.DefaultRPCPort)
	}
	return cfg, err
}

// zeroIsNever turns Hadoop's "0 waits for ever" into a very long time.
func zeroIsNever(d time.Duration) time.Duration {
	if d == 0 {
		return 10 * 365 * 24 * time.Hour
	}
	return d
}

// hostname is what a datanode calls itself: dfs.datanode.hostname, else the machine's name.
func hostname(conf *hadoopconf.Conf) string {
	if name := conf.String("dfs.datanode.hostname"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "" // the name node takes the address instead
	}
	return name
}

// address is a listening address: loopback unless somebody set the key.
func address(conf *hadoopconf.Conf, key, loopback string) string {
	if !conf.IsSet(key) {
		return loopback
	}
	addr := conf.String(key)
	_, port, err := net.SplitHostPort(loopback)
	if err != nil {
		return addr
	}
	return hadoopconf.WithPort(addr, port)
}

// configuredNameNodes finds the name nodes: the address for datanodes if there is one, the
// one for clients, else the authority of fs.defaultFS.
func configuredNameNodes(conf *hadoopconf.Conf) ([]string, error) {
	if conf.String("dfs.namenode.servicerpc-address") == "" && conf.String("dfs.namenode.rpc-address") == "" && !conf.IsSet("fs.defaultFS") {
		return []string{net.JoinHostPort("127.0.0.1", hadoopconf.DefaultRPCPort)}, nil
	}
	return conf.ServiceNameNodes()
}

var media = map[string]dfs.StorageType{
	"": dfs.StorageDisk, "DISK": dfs.StorageDisk, "SSD": dfs.StorageSSD, "ARCHIVE": dfs.StorageArchive,
	"RAM_DISK": dfs.StorageRAMDisk, "NVDIMM": dfs.StorageNVDIMM,
}

// arrayPrefix is the beginning of an array, behind its medium.
var arrayPrefix = regexp.MustCompile(`^(\[[^\]]*\]\s*)?raid5:`)

// volumes reads dfs.datanode.data.dir: directories, and RAID-5 arrays of directories. In
// a list divided by commas an array takes all directories up to the next item that begins
// with a medium in brackets or with raid5:, so that plain directories stand before it.
func volumes(conf *hadoopconf.Conf) (plain []blockstore.VolumeConfig, arrays []datanode.ArrayConfig, err error) {
	var open *datanode.ArrayConfig // takes what follows
	for _, item := range conf.List("dfs.datanode.data.dir") {
		rest, spare := strings.CutPrefix(strings.TrimSpace(item), "spare=")
		begin := arrayPrefix.FindStringSubmatch(rest)
		if begin != nil {
			rest = begin[1] + rest[len(begin[0]):]
		}
		medium, dir, err := hadoopconf.LocalDir(rest)
		if err != nil {
			return nil, nil, fmt.Errorf("dfs.datanode.data.dir: %w", err)
		}
		typ, ok := media[strings.ToUpper(medium)]
		if !ok {
			return nil, nil, fmt.Errorf("dfs.datanode.data.dir: %s: unknown medium %s", item, medium)
		}
		if begin != nil && !spare {
			arrays = append(arrays, datanode.ArrayConfig{Type: typ})
			open = &arrays[len(arrays)-1]
		} else if medium != "" {
			open = nil
		}
		switch {
		case open != nil && spare:
			open.Spares = append(open.Spares, array.Member{Dir: path.Clean(dir)})
		case open != nil:
			open.Members = append(open.Members, array.Member{Dir: path.Clean(dir)})
		case spare:
			return nil, nil, fmt.Errorf("dfs.datanode.data.dir: %s: a spare stands behind the members of its array, raid5:DIR,DIR,DIR,spare=DIR", item)
		default:
			plain = append(plain, blockstore.VolumeConfig{Dir: dir, Type: typ})
		}
	}
	return plain, arrays, nil
}

// JoinVolumes makes one value for dfs.datanode.data.dir of several volumes, so that a plain
// directory behind an array is not taken for one of its members.
func JoinVolumes(volumes []string) string {
	var out []string
	for _, v := range volumes {
		if !strings.HasPrefix(v, "[") && !strings.HasPrefix(v, "spare=") && !arrayPrefix.MatchString(v) {
			v = "[DISK]" + v
		}
		out = append(out, v)
	}
	return strings.Join(out, ",")
}
