package authorize

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// acl is a list of users and groups: "user,user group,group", or "*" for everybody. The
// zero value holds nobody.
type acl struct {
	all           bool
	users, groups []string
}

// parseACL reads an ACL as it stands in hadoop-policy.xml. One that begins with a blank has
// groups only.
func parseACL(text string) acl {
	if strings.TrimSpace(text) == "*" {
		return acl{all: true}
	}
	users, groups, _ := strings.Cut(text, " ")
	return newACL(users, groups)
}

func newACL(users, groups string) acl {
	return acl{all: strings.TrimSpace(users) == "*" || strings.TrimSpace(groups) == "*", users: items(users), groups: items(groups)}
}

// items splits a list at its commas; empty items count for nothing.
func items(text string) (list []string) {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// Groups finds the groups of a user by his short name.
type Groups func(user string) ([]string, error)

// holds tells whether a user is in the list. Who is in a group is asked only if that
// decides, and an error is an answer of its own: it neither lets in nor fails to block.
func (a *acl) holds(user string, groups Groups) (bool, error) {
	if a.all || slices.Contains(a.users, user) {
		return true, nil
	}
	if len(a.groups) == 0 {
		return false, nil
	}
	of, err := groups(user)
	if err != nil {
		return false, fmt.Errorf("the groups of %s can't be looked up: %w", user, err)
	}
	return slices.ContainsFunc(of, func(g string) bool { return slices.Contains(a.groups, g) }), nil
}

// machines is a list of addresses, networks (10.0.0.0/8) and host names, or "*". The zero
// value holds none.
type machines struct {
	all   bool
	nets  []netip.Prefix
	names []string // that nobody could resolve
}

// parseMachines reads such a list. Names are resolved now, and again at a refresh.
func parseMachines(text string, resolve func(host string) ([]netip.Addr, error)) (m machines, err error) {
	if strings.TrimSpace(text) == "*" {
		return machines{all: true}, nil
	}
	for _, item := range items(text) {
		if strings.Contains(item, "/") {
			p, err := netip.ParsePrefix(item)
			if err != nil {
				return m, fmt.Errorf("%q is not ADDRESS/BITS", item)
			}
			m.nets = append(m.nets, p.Masked())
			continue
		}
		addrs := []netip.Addr{}
		if a, err := netip.ParseAddr(item); err == nil {
			addrs = append(addrs, a)
		} else if addrs, err = resolve(item); err != nil {
			m.names = append(m.names, item)
			continue
		}
		for _, a := range addrs {
			a = a.Unmap().WithZone("")
			m.nets = append(m.nets, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return m, nil
}

func (m *machines) hold(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return m.all || slices.ContainsFunc(m.nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// lookup asks the system's resolver.
func lookup(host string) ([]netip.Addr, error) {
	ips, err := net.LookupIP(host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out, nil
}
