package hadoopconf

import (
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strings"
)

// DefaultRPCPort is the name node's, used where an address names none.
const DefaultRPCPort = "8020"

// NameNodes gives the RPC addresses (host:port) of the name nodes that uri means, "" for
// fs.defaultFS: the authority itself, or, when it is one of dfs.nameservices, the
// dfs.namenode.rpc-address of each of dfs.ha.namenodes.NAME. Anything but an hdfs: URI
// with a host is an error that names it.
func (c *Conf) NameNodes(uri string) ([]string, error) {
	if uri == "" {
		uri = c.String("fs.defaultFS")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "hdfs" || u.Host == "" {
		return nil, fmt.Errorf("hadoopconf: %q is not hdfs://HOST[:PORT] (fs.defaultFS, or -fs)", uri)
	}
	if u.Port() == "" && c.isNameservice(u.Host) {
		return c.nameservice(u.Host, "dfs.namenode.rpc-address")
	}
	return []string{WithPort(u.Host, DefaultRPCPort)}, nil
}

// ServiceNameNodes gives the addresses at which the name nodes of fs.defaultFS take
// datanodes: dfs.namenode.servicerpc-address, by name service if it is one, else those
// for clients.
func (c *Conf) ServiceNameNodes() ([]string, error) {
	for _, key := range []string{"dfs.namenode.servicerpc-address", "dfs.namenode.rpc-address"} {
		if a := c.String(key); a != "" {
			return []string{a}, nil
		}
	}
	u, err := url.Parse(c.String("fs.defaultFS"))
	if err == nil && u.Port() == "" && c.isNameservice(u.Host) {
		return c.nameservice(u.Host, "dfs.namenode.servicerpc-address", "dfs.namenode.rpc-address")
	}
	return c.NameNodes("")
}

func (c *Conf) isNameservice(name string) bool {
	for _, ns := range c.List("dfs.nameservices") {
		if ns == name {
			return true
		}
	}
	return false
}

// nameservice gives for each name node of a name service the first of keys that is set.
func (c *Conf) nameservice(name string, keys ...string) ([]string, error) {
	ids, _ := c.Lookup("dfs.ha.namenodes." + name)
	suffixes := []string{"." + name}
	if list := splitList(ids); len(list) > 0 {
		suffixes = suffixes[:0]
		for _, id := range list {
			suffixes = append(suffixes, "."+name+"."+id)
		}
	}
	var addrs []string
	for _, s := range suffixes {
		addr := ""
		for _, key := range keys {
			if v, _ := c.Lookup(key + s); addr == "" {
				addr = strings.TrimSpace(v)
			}
		}
		if addr == "" {
			return nil, fmt.Errorf("hadoopconf: %s is not set, but %s names it", keys[len(keys)-1]+s, "dfs.ha.namenodes."+name)
		}
		addrs = append(addrs, WithPort(addr, DefaultRPCPort))
	}
	return addrs, nil
}

// WithPort adds a port to an address that has none.
func WithPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

// LocalDir reads one item of dfs.namenode.name.dir or dfs.datanode.data.dir: a path or a
// file: URI, with the medium in brackets before it if one is named ("[SSD]file:///d1").
func LocalDir(item string) (medium, dir string, err error) {
	dir = strings.TrimSpace(item)
	if strings.HasPrefix(dir, "[") {
		end := strings.IndexByte(dir, ']')
		if end < 0 {
			return "", "", fmt.Errorf("hadoopconf: directory %q: no ] after the medium", item)
		}
		medium, dir = strings.ToUpper(strings.TrimSpace(dir[1:end])), strings.TrimSpace(dir[end+1:])
	}
	if strings.HasPrefix(dir, "file:") {
		u, err := url.Parse(dir)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return "", "", fmt.Errorf("hadoopconf: directory %q is not file:///PATH", item)
		}
		if dir = u.Path; dir == "" {
			dir = u.Opaque
		}
	}
	if runtime.GOOS == "windows" {
		dir = fromWindows(dir)
	}
	if strings.Contains(dir, "://") {
		return "", "", fmt.Errorf("hadoopconf: directory %q is not on this machine: want a path or file:///PATH", item)
	}
	if dir == "" {
		return "", "", fmt.Errorf("hadoopconf: directory %q is empty", item)
	}
	return medium, dir, nil
}

// fromWindows gives a path with a drive's letter the form that the packages of this
// project join and split, with slashes: C:\data, and /C:/data as a URI has it, are C:/data.
func fromWindows(dir string) string {
	drive := strings.TrimPrefix(dir, "/")
	if len(drive) < 3 || drive[1] != ':' || drive[2] != '/' && drive[2] != '\\' || drive[0]|0x20 < 'a' || drive[0]|0x20 > 'z' {
		return dir
	}
	return strings.ReplaceAll(drive, `\`, "/")
}
