package nodeconf

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"

	"redoubt/blockmanager"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

// Topology finds the racks of datanodes: from net.topology.table.file.name, else by
// net.topology.script.file.name, else nil, which puts all on one rack.
func Topology(conf *hadoopconf.Conf, log func() *slog.Logger) (func(dfs.DatanodeID) string, error) {
	if name := conf.String("net.topology.table.file.name"); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("net.topology.table.file.name: %w", err)
		}
		table, err := blockmanager.ParseRackTable(data)
		if err != nil {
			return nil, fmt.Errorf("net.topology.table.file.name: %s: %w", name, err)
		}
		return func(d dfs.DatanodeID) string { return table.Rack(d.IP, d.Host) }, nil
	}
	script := conf.String("net.topology.script.file.name")
	if script == "" {
		return nil, nil
	}
	if _, err := exec.LookPath(script); err != nil {
		return nil, fmt.Errorf("net.topology.script.file.name: %w", err)
	}
	var known sync.Map // address -> rack
	return func(d dfs.DatanodeID) string {
		if rack, ok := known.Load(d.IP); ok {
			return rack.(string)
		}
		out, err := exec.Command(script, d.IP).Output()
		var rack string
		if err == nil {
			rack, err = blockmanager.CleanRack(strings.TrimSpace(string(out)))
		}
		if err != nil {
			log().Warn("the topology script gives no rack; the datanode goes to the default one", "script", script, "address", d.IP, "answer", string(out), "err", err)
			return ""
		}
		known.Store(d.IP, rack)
		return rack
	}, nil
}
