package nodeconf

import (
	"cmp"
	"log/slog"

	"redoubt/datanode"
	"redoubt/internal/hadoopconf"
	"redoubt/namenode"
)

// OverNameNode lays the configuration over a name node that was made for a cluster in one
// process. Directories, superuser and logs stay as they are; replication, heartbeats, safe
// mode's extension and the racks do too unless their keys are set.
func OverNameNode(conf *hadoopconf.Conf, cfg *namenode.Config) error {
	got, err := NameNode(conf)
	if err != nil {
		return err
	}
	mine := *cfg
	got.FS, got.NameDirs, got.Superuser, got.Log, got.Audit, got.OnFailure = mine.FS, mine.NameDirs, mine.Superuser, mine.Log, mine.Audit, mine.OnFailure
	if got.Topology, err = Topology(conf, func() *slog.Logger { return cmp.Or(mine.Log, slog.Default()) }); err != nil {
		return err
	}
	if got.Topology == nil {
		got.Topology = mine.Topology
	}
	live, own := &got.Blocks.Liveness, mine.Blocks.Liveness
	keep(conf, "dfs.replication", &got.Files.Defaults.Replication, mine.Files.Defaults.Replication)
	keep(conf, "dfs.namenode.safemode.extension", &got.SafeMode.Extension, mine.SafeMode.Extension)
	keep(conf, "dfs.heartbeat.interval", &live.Heartbeat, own.Heartbeat)
	keep(conf, "dfs.namenode.heartbeat.recheck-interval", &live.Recheck, own.Recheck)
	keep(conf, "dfs.namenode.stale.datanode.interval", &live.Stale, own.Stale)
	*cfg = got
	return nil
}

// keep puts a value back that no key was set for.
func keep[T any](conf *hadoopconf.Conf, key string, value *T, own T) {
	if !conf.IsSet(key) {
		*value = own
	}
}

// OverDataNode lays the keys about limits, timeouts and volumes over a datanode that was
// made for a cluster in one process; directories and addresses stay as they are.
func OverDataNode(conf *hadoopconf.Conf, cfg *datanode.Config) error {
	got, err := DataNode(conf, cfg.NameNodes)
	if err != nil {
		return err
	}
	cfg.Access, cfg.Groups = got.Access, got.Groups
	cfg.Timeouts, cfg.Limits, cfg.Reserved, cfg.FailedVolumesTolerated = got.Timeouts, got.Limits, got.Reserved, got.FailedVolumesTolerated
	return nil
}
