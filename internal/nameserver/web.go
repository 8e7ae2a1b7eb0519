package nameserver

import (
	"errors"
	"net/http"
	"strings"

	"redoubt/namenode"
	"redoubt/web"
	"redoubt/web/fsck"
)

// handler serves /healthz, /metrics, /jmx, /fsck and, if asked for, /debug/pprof/, to those
// who call this server by its name.
func (s *Server) handler(cfg Config) http.Handler {
	mux := web.Handler(web.Config{
		Title: "Redoubt name node " + s.nn.Info().ClusterID, Health: s.health, Warnings: s.nn.Warnings,
		Metrics: cfg.Registry, Beans: s.beans, Pprof: cfg.Pprof,
	})
	mux.Handle("GET /fsck", fsck.Handler(fsck.Config{Source: s.nn, Log: s.log}))
	hosts := append(web.HostsOf(cfg.HTTP, cfg.RPC), cfg.Hosts...)
	return web.Guard{Hosts: hosts, Changes: fsck.Changes, Log: s.log}.Wrap(mux)
}

// health is good while the name node serves, with a note while safe mode is on or a name
// directory is out, and bad once its journal has failed.
func (s *Server) health() (string, error) {
	if err := errors.Join(s.nn.Err(), s.nn.Superseded()); err != nil {
		return "", err
	}
	var notes []string
	if why := s.nn.SafeModeText(); why != "" {
		notes = append(notes, "safe mode is on: "+why)
	}
	notes = append(notes, s.nn.Warnings()...)
	return strings.Join(notes, "\n"), nil
}

// beans are the attributes of HDFS's name node that scripts poll.
func (s *Server) beans() []web.Bean {
	n, b, info := s.nn.Counts(), s.nn.Blocks(), s.nn.Info()
	safe := s.nn.SafeModeText()
	state := "Operational"
	if safe != "" {
		state = "safeMode"
	}
	bean := func(name, class string, attrs ...web.Attr) web.Bean {
		return web.Bean{Name: "Hadoop:service=NameNode,name=" + name, Type: class, Attrs: attrs}
	}
	attr := func(name string, v any) web.Attr { return web.Attr{Name: name, Value: v} }
	return []web.Bean{
		bean("FSNamesystemState", "org.apache.hadoop.hdfs.server.namenode.FSNamesystem",
			attr("CapacityTotal", b.Capacity), attr("CapacityUsed", b.Used), attr("CapacityRemaining", b.Remaining),
			attr("TotalLoad", b.Xceivers), attr("BlocksTotal", n.Blocks), attr("FilesTotal", n.Files+n.Directories),
			attr("UnderReplicatedBlocks", b.Blocks.LowRedundancy), attr("PendingReplicationBlocks", b.Blocks.PendingRepair),
			attr("PendingDeletionBlocks", b.Blocks.PendingDeletion), attr("FSState", state),
			attr("NumLiveDataNodes", b.Nodes.Live), attr("NumDeadDataNodes", b.Nodes.Dead), attr("NumStaleDataNodes", b.Nodes.Stale),
			attr("NumDecommissioningDataNodes", b.Nodes.Decommissioning), attr("NumEnteringMaintenanceDataNodes", b.Nodes.EnteringMaintenance),
			attr("NumInMaintenanceLiveDataNodes", b.Nodes.InMaintenance), attr("VolumeFailuresTotal", b.Nodes.FailedVolumes)),
		bean("FSNamesystem", "FSNamesystem",
			attr("MissingBlocks", b.Blocks.Missing), attr("MissingReplOneBlocks", b.Blocks.MissingReplOne), attr("CorruptBlocks", b.Blocks.Corrupt),
			attr("ExcessBlocks", b.Blocks.Excess), attr("PendingDeletionBlocks", b.Blocks.PendingDeletion),
			attr("UnderReplicatedBlocks", b.Blocks.LowRedundancy), attr("NumFilesUnderConstruction", n.OpenFiles), attr("NumActiveClients", n.Leases)),
		bean("ParityGroups", "redoubt.ParityGroups",
			attr("Groups", n.Groups), attr("Members", n.Members), attr("DepartedMembers", n.Departed), attr("ParityBytes", n.ParityBytes),
			attr("ParityReplicas", b.Parity.Parities), attr("Candidates", b.Parity.Candidates), attr("Forming", b.Parity.Forming),
			attr("DegradedBlocks", b.Parity.Degraded), attr("LostBlocks", b.Parity.Lost), attr("Leaving", b.Parity.Leaving),
			attr("WaitingForNodes", b.Parity.Waiting), attr("WaitingWhy", b.Parity.Why), attr("Folds", b.Parity.Folds),
			attr("FailedFolds", b.Parity.Failed), attr("Rebuilds", b.Parity.Rebuilds), attr("Scrubs", s.nn.Scrubs())),
		bean("NameNodeStatus", "org.apache.hadoop.hdfs.server.namenode.NameNode",
			attr("State", "active"), attr("NNRole", "NameNode"), attr("HostAndPort", s.rpcAddr.String()), attr("SecurityEnabled", false)),
		bean("NameNodeInfo", "org.apache.hadoop.hdfs.server.namenode.FSNamesystem",
			attr("Version", namenode.SoftwareVersion), attr("SoftwareVersion", namenode.SoftwareVersion), attr("Safemode", safe),
			attr("ClusterId", info.ClusterID), attr("BlockPoolId", info.PoolID), attr("TotalBlocks", n.Blocks), attr("TotalFiles", n.Files+n.Directories),
			attr("Total", b.Capacity), attr("Used", b.Used), attr("Free", b.Remaining), attr("NumberOfMissingBlocks", b.Blocks.Missing),
			attr("BytesWithFutureGenerationStamps", b.Blocks.FutureBytes), attr("Warnings", s.nn.Warnings())),
	}
}
