package nodeconf

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"redoubt/internal/hadoopconf"
)

// hostKeys are the keys whose values hold addresses, and with them names, of this machine.
var hostKeys = []string{
	"dfs.namenode.http-address", "dfs.namenode.http-bind-host", "dfs.namenode.rpc-address", "dfs.namenode.rpc-bind-host", "fs.defaultFS",
	"dfs.namenode.servicerpc-address", "dfs.datanode.http.address", "dfs.datanode.address", "dfs.datanode.ipc.address", "dfs.datanode.hostname",
}

// HTTPHosts are the names by which HTTP requests may call this server: the machine's, short
// and whole, those in the addresses that are configured, and redoubt.http.hosts.
func HTTPHosts(conf *hadoopconf.Conf) []string {
	hosts := slices.Clone(conf.List("redoubt.http.hosts"))
	for _, key := range hostKeys {
		if !conf.IsSet(key) {
			continue
		}
		addr := conf.String(key)
		if _, rest, ok := strings.Cut(addr, "://"); ok {
			addr, _, _ = strings.Cut(rest, "/")
		}
		if h, _, err := net.SplitHostPort(addr); err == nil {
			addr = h
		}
		if addr != "" {
			hosts = append(hosts, addr)
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return hosts
	}
	hosts = append(hosts, name)
	// A name service that does not answer must not hold a start up.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if whole, err := net.DefaultResolver.LookupCNAME(ctx, name); err == nil {
		hosts = append(hosts, whole)
	}
	return hosts
}
