package namenode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
)

// HostsConfig names the files that say which datanodes may take part: one host, host:port,
// address or address:port a line, # begins a comment.
type HostsConfig struct {
	Include string // dfs.hosts; "": everybody may register
	Exclude string // dfs.hosts.exclude; these are drained
	// JSON says that Include is a list of JSON objects, which tell of each host what is to
	// be done with it, and that there is no Exclude: CombinedHostFileManager of
	// dfs.namenode.hosts.provider.classname.
	JSON     bool
	ReadFile func(name string) ([]byte, error)
}

// hostLists is what the files said last.
type hostLists struct {
	include, exclude map[string]bool
	all              bool                 // no include file
	maintenance      map[string]time.Time // until when; zero: for ever
}

func (n *NameNode) readHosts() error {
	c := &n.cfg.Hosts
	h := &hostLists{all: c.Include == ""}
	var err error
	if c.JSON && c.Include != "" {
		h, err = c.readJSON()
	} else {
		h.include, err = c.read(c.Include)
	}
	if err != nil {
		return fmt.Errorf("namenode: dfs.hosts: %w", err)
	}
	if c.JSON && c.Exclude != "" {
		return fmt.Errorf("namenode: dfs.hosts.exclude: %s: a JSON hosts file says itself what is DECOMMISSIONED", c.Exclude)
	}
	if !c.JSON {
		if h.exclude, err = c.read(c.Exclude); err != nil {
			return fmt.Errorf("namenode: dfs.hosts.exclude: %w", err)
		}
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
	if text := bytes.TrimSpace(data); len(text) > 0 && (text[0] == '{' || text[0] == '[' && bytes.Contains(text, []byte("hostName"))) {
		return nil, fmt.Errorf("%s holds JSON, for which dfs.namenode.hosts.provider.classname is to be %s", name, CombinedHosts)
	}
	return parseHosts(string(data)), nil
}

// CombinedHosts is the class of HDFS that reads a JSON hosts file.
const CombinedHosts = "org.apache.hadoop.hdfs.server.blockmanagement.CombinedHostFileManager"

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

// hostEntry is one host of a JSON hosts file, with HDFS's names of fields.
type hostEntry struct {
	HostName                  string `json:"hostName"`
	Port                      int    `json:"port"` // 0: any
	UpgradeDomain             string `json:"upgradeDomain"`
	AdminState                string `json:"adminState"` // NORMAL, DECOMMISSIONED or IN_MAINTENANCE; "" is NORMAL
	MaintenanceExpireTimeInMS int64  `json:"maintenanceExpireTimeInMS"`
}

func (c *HostsConfig) readJSON() (*hostLists, error) {
	data, err := c.ReadFile(c.Include)
	if err != nil {
		return nil, err
	}
	entries, err := parseJSONHosts(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Include, err)
	}
	// As in HDFS, a file that names no host as NORMAL lets everybody in.
	h := &hostLists{all: true, include: map[string]bool{}, exclude: map[string]bool{}, maintenance: map[string]time.Time{}}
	for i, e := range entries {
		name := strings.ToLower(e.HostName)
		switch {
		case name == "":
			return nil, fmt.Errorf("%s: host %d has no hostName", c.Include, i+1)
		case e.Port < 0 || e.Port > 65535:
			return nil, fmt.Errorf("%s: host %s: port %d is none", c.Include, e.HostName, e.Port)
		case e.UpgradeDomain != "":
			return nil, fmt.Errorf("%s: host %s: upgradeDomain is not supported", c.Include, e.HostName)
		case e.Port > 0:
			name = net.JoinHostPort(name, strconv.Itoa(e.Port))
		}
		h.include[name] = true
		switch e.AdminState {
		case "", "NORMAL":
			h.all = false
		case "DECOMMISSIONED":
			h.exclude[name] = true
		case "IN_MAINTENANCE":
			h.maintenance[name] = expiry(e.MaintenanceExpireTimeInMS)
		default:
			return nil, fmt.Errorf("%s: host %s: adminState %s is none of NORMAL, DECOMMISSIONED, IN_MAINTENANCE", c.Include, e.HostName, e.AdminState)
		}
	}
	return h, nil
}

// expiry is until when a host is in maintenance; without a time it is for ever.
func expiry(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// parseJSONHosts reads an array of hosts or, as old versions of HDFS wrote them, one host
// after the other.
func parseJSONHosts(data []byte) (all []hostEntry, err error) {
	text := bytes.TrimSpace(data)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if len(text) > 0 && text[0] == '[' {
		if err := d.Decode(&all); err != nil {
			return nil, fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
	}
	for {
		var e hostEntry
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		all = append(all, e)
	}
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

// state is what is to be done with a datanode at a time.
func (h *hostLists) state(d dfs.DatanodeID, now time.Time) dfs.AdminState {
	for _, name := range hostNames(d) {
		if until, ok := h.maintenance[name]; ok && (until.IsZero() || now.Before(until)) {
			return dfs.AdminEnteringMaintenance
		}
	}
	if listed(h.exclude, d) {
		return dfs.AdminDecommissioning
	}
	return dfs.AdminNormal
}

// admit decides whether a datanode may register, and how.
func (n *NameNode) admit(d dfs.DatanodeID) (dfs.AdminState, error) {
	h := n.hosts.Load()
	if !h.all && !listed(h.include, d) {
		return 0, dfs.Errorf(dfs.DisallowedDatanode, "Datanode denied communication with namenode because the host is not in the include-list: %s:%d", d.IP, d.XferPort)
	}
	return h.state(d, n.clock()), nil
}

// setAdmin brings every datanode into the state that the hosts files want it in.
func (n *NameNode) setAdmin(now time.Time) {
	h := n.hosts.Load()
	n.state.RLock()
	n.blocks.SetAdmin(now, func(d dfs.DatanodeID) dfs.AdminState { return h.state(d, now) })
	n.state.RUnlock()
}

// endMaintenance brings those back whose maintenance has expired since the last tick.
func (n *NameNode) endMaintenance(last, now time.Time) {
	for host, until := range n.hosts.Load().maintenance {
		if !until.IsZero() && until.After(last) && !until.After(now) {
			n.log.Info("maintenance has expired", "host", host, "at", until)
			n.setAdmin(now)
			return
		}
	}
}
