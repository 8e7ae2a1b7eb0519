package datanode

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/dfs"
	"redoubt/internal/netlimit"
	"redoubt/web"
	"redoubt/wire/control"
	"redoubt/wire/datanoderpc"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// startIPC serves the RPC port: ClientDatanodeProtocol and the peers' side of recovery.
func (dn *DataNode) startIPC() {
	dn.rpc = &hadooprpc.Server{Log: dn.cfg.Log, Budget: dn.budget, MaxConns: netlimit.Share(maxIPC, dn.descriptors, 15, 1), Authorize: func(p *hadooprpc.Peer, protocol string) error {
		return dn.cfg.Access.Authorize(p, protocol, dn.cfg.Groups)
	}}
	dn.rpc.Handle(hdfspb.ClientDatanodeProtocol, 1, hadooprpc.HandlerFunc(dn.serveIPC))
	control.HandleDataNode(dn.rpc, peerNode{dn})
	datanoderpc.HandlePeer(dn.rpc, peerNode{dn})
	control.HandleArrays(dn.rpc, arrayAdmin{dn})
	dn.goRun(func() {
		if err := dn.rpc.Serve(dn.ipc); err != nil && dn.ctx.Err() == nil {
			dn.fail(err)
		}
	})
}

// user is as whom the datanode calls the name node and its peers, which may ask ACLs.
func (dn *DataNode) user() string {
	if dn.cfg.Superuser == "" {
		return "datanode"
	}
	return dn.cfg.Superuser
}

// serveIPC answers ClientDatanodeProtocol.
func (dn *DataNode) serveIPC(c *hadooprpc.Call) {
	switch c.Method {
	case "triggerBlockReport", "getVolumeReport", "getBalancerBandwidth", "shutdownDatanode", "refreshNamenodes":
		if err := dn.checkSuperuser(c.Caller.User); err != nil {
			c.Fail("org.apache.hadoop.security.AccessControlException", err.Error())
			return
		}
	}
	switch c.Method {
	case "getReplicaVisibleLength":
		dn.visibleLength(c)
	case "getDatanodeInfo":
		v, conf, up := SoftwareVersion, "core-3.0.0,hdfs-1", uint64(time.Since(dn.started)/time.Second)
		c.Reply(&hdfspb.GetDatanodeInfoResponse{LocalInfo: &hdfspb.DatanodeLocalInfo{SoftwareVersion: &v, ConfigVersion: &conf, Uptime: &up}})
	case "triggerBlockReport":
		var q hdfspb.TriggerBlockReportRequest
		if err := q.UnmarshalVT(c.Body); err != nil {
			c.FailBadRequest(err)
			return
		}
		for _, s := range dn.sessions {
			if !q.GetIncremental() {
				s.requestReport()
			}
			kick(s.wake)
		}
		c.Reply(&hdfspb.Empty{})
	case "getVolumeReport":
		c.Reply(dn.volumeReport())
	case "getBalancerBandwidth":
		b := uint64(dn.moves.limit.rate.Load())
		c.Reply(&hdfspb.GetBalancerBandwidthResponse{Bandwidth: &b})
	case "shutdownDatanode":
		c.Reply(&hdfspb.Empty{})
		dn.fail(ErrShutdown)
	case "refreshNamenodes":
		c.Reply(&hdfspb.Empty{}) // the list is fixed for the life of the process: nothing has changed
	case "evictWriters", "deleteBlockPool", "getBlockLocalPathInfo", "getReconfigurationStatus", "startReconfiguration",
		"listReconfigurableProperties", "submitDiskBalancerPlan", "cancelDiskBalancerPlan", "queryDiskBalancerPlan", "getDiskBalancerSetting":
		c.Fail("java.lang.UnsupportedOperationException", c.Method+" is not supported")
	default:
		c.FailNoSuchMethod()
	}
}

// checkSuperuser refuses everybody but the superuser.
func (dn *DataNode) checkSuperuser(user string) error {
	if s := dn.cfg.Superuser; s == "" || user != s {
		return fmt.Errorf("Access denied for user %s. Superuser privilege is required", user)
	}
	return nil
}

func (dn *DataNode) visibleLength(c *hadooprpc.Call) {
	var q hdfspb.GetReplicaVisibleLengthRequest
	if err := q.UnmarshalVT(c.Body); err != nil {
		c.FailBadRequest(err)
		return
	}
	b := dfs.Block{ID: dfs.BlockID(q.Block.GetBlockId()), GenStamp: dfs.GenStamp(q.Block.GetGenerationStamp())}
	r, ok := dn.state.store.Get(b.ID)
	if !ok || q.Block.GetPoolId() != dn.state.cluster.PoolID || r.Block.GenStamp < b.GenStamp {
		c.Fail("org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException", "Replica not found for "+q.Block.GetPoolId()+":"+b.String())
		return
	}
	n := uint64(r.Visible)
	c.Reply(&hdfspb.GetReplicaVisibleLengthResponse{Length: &n})
}

func (dn *DataNode) volumeReport() *hdfspb.GetVolumeReportResponse {
	m := &hdfspb.GetVolumeReportResponse{}
	for _, v := range dn.state.store.Volumes() {
		if v.Err != nil {
			continue
		}
		typ := hdfspb.StorageType(v.Type)
		used, free, reserved, zero, n := uint64(v.Used), uint64(v.Free), uint64(dn.cfg.Reserved), uint64(0), uint64(v.Replicas)
		m.VolumeInfo = append(m.VolumeInfo, &hdfspb.DatanodeVolumeInfo{
			Path: &v.Dir, StorageType: &typ, UsedSpace: &used, FreeSpace: &free, ReservedSpace: &reserved,
			ReservedSpaceForReplicas: &zero, NumBlocks: &n,
		})
	}
	return m
}

// health is good once a name node has taken the datanode.
func (dn *DataNode) health() (string, error) {
	select {
	case <-dn.ready:
		return "", nil
	default:
		return "", errors.New("not registered with a name node yet")
	}
}

// startHTTP serves /healthz, /metrics and, if asked for, /debug/pprof.
func (dn *DataNode) startHTTP() {
	if dn.http == nil {
		return
	}
	g, _ := dn.metrics.registry.(prometheus.Gatherer)
	mux := web.Handler(web.Config{Title: "Redoubt datanode", Health: dn.health, Metrics: g, Pprof: dn.cfg.Pprof})
	hosts := append(web.HostsOf(dn.cfg.Listen.HTTP, dn.cfg.Listen.Transfer, dn.cfg.Listen.IPC), dn.cfg.Listen.Host)
	guard := web.Guard{Hosts: append(hosts, dn.cfg.Listen.Names...), Log: dn.cfg.Log}
	dn.web = &http.Server{Handler: guard.Wrap(mux), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	limited := netlimit.HTTP(dn.http, netlimit.Share(maxHTTP, dn.descriptors, 5, 1), "the HTTP port", dn.cfg.Log)
	dn.goRun(func() {
		if err := dn.web.Serve(limited); err != nil && !errors.Is(err, http.ErrServerClosed) && dn.ctx.Err() == nil {
			dn.cfg.Log.Error("HTTP port failed", "err", err)
		}
	})
}
