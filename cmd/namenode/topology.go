package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"

	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

// topology finds the racks of datanodes: from net.topology.table.file.name, else by
// net.topology.script.file.name, else nil, which puts all on one rack.
func topology(conf *hadoopconf.Conf, log func() *slog.Logger) (func(dfs.DatanodeID) string, error) {
	if name := conf.String("net.topology.table.file.name"); name != "" {
		table, err := readTable(name)
		if err != nil {
			return nil, fmt.Errorf("net.topology.table.file.name: %w", err)
		}
		return func(d dfs.DatanodeID) string {
			for _, key := range []string{d.IP, d.Host} {
				if rack, ok := table[key]; ok {
					return rack
				}
			}
			return ""
		}, nil
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
		rack := strings.TrimSpace(string(out))
		if err != nil || checkRack(rack) != nil {
			log().Warn("the topology script gives no rack; the datanode goes to the default one", "script", script, "address", d.IP, "answer", rack, "err", err)
			return ""
		}
		known.Store(d.IP, rack)
		return rack
	}, nil
}

// readTable reads lines "HOST-OR-ADDRESS RACK"; # begins a comment.
func readTable(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	table := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("%s:%d: want HOST RACK, got %q", name, i+1, strings.TrimSpace(line))
		}
		if err := checkRack(fields[1]); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		table[fields[0]] = fields[1]
	}
	return table, nil
}

func checkRack(rack string) error {
	if !strings.HasPrefix(rack, "/") || len(rack) < 2 || strings.HasSuffix(rack, "/") || strings.ContainsAny(rack, " \t\n") {
		return fmt.Errorf("rack %q is not of the form /rack", rack)
	}
	return nil
}
