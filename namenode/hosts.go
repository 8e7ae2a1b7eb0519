package namenode

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"redoubt/dfs"
)

// HostsConfig names the files that say which datanodes may take part: one host, host:port,
// address or address:port a line, # begins a comment.
type HostsConfig struct {
	Include  string // dfs.hosts; "": everybody may register
	Exclude  string // dfs.hosts.exclude; these are drained
	ReadFile func(name string) ([]byte, error)
}

// hostLists is what the two files said last.
type hostLists struct {
	include, exclude map[string]bool
	all              bool // no include file
}

func (n *NameNode) readHosts() error {
	h := &hostLists{all: n.cfg.Hosts.Include == ""}
	var err error
	if h.include, err = n.cfg.Hosts.read(n.cfg.Hosts.Include); err != nil {
		return fmt.Errorf("namenode: dfs.hosts: %w", err)
	}
	if h.exclude, err = n.cfg.Hosts.read(n.cfg.Hosts.Exclude); err != nil {
		return fmt.Errorf("namenode: dfs.hosts.exclude: %w", err)
	}
	n.hosts.Store(h)
	return nil
}

func (c *HostsConfig) read(name string) (map[string]bool, error) {
	if name == "" {
		return nil, nil
	}
	data, err := c.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseHosts(string(data)), nil
}

// parseHosts reads a hosts file: names between white space, and # up to the end of a line.
func parseHosts(text string) map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, host := range strings.Fields(line) {
			set[strings.ToLower(host)] = true
		}
	}
	return set
}

// names is all that a datanode may be listed under.
func hostNames(d dfs.DatanodeID) []string {
	port := strconv.Itoa(int(d.XferPort))
	host := strings.ToLower(d.Host)
	return []string{d.IP, net.JoinHostPort(d.IP, port), host, net.JoinHostPort(host, port)}
}

func listed(set map[string]bool, d dfs.DatanodeID) bool {
	for _, name := range hostNames(d) {
		if set[name] {
			return true
		}
	}
	return false
}

func (h *hostLists) excluded(d dfs.DatanodeID) bool { return listed(h.exclude, d) }

// admit decides whether a datanode may register, and how.
func (n *NameNode) admit(d dfs.DatanodeID) (dfs.AdminState, error) {
	h := n.hosts.Load()
	if !h.all && !listed(h.include, d) {
		return 0, dfs.Errorf(dfs.DisallowedDatanode, "Datanode denied communication with namenode because the host is not in the include-list: %s:%d", d.IP, d.XferPort)
	}
	if h.excluded(d) {
		return dfs.AdminDecommissioning, nil
	}
	return dfs.AdminNormal, nil
}
