package authorize

import (
	"errors"
	"fmt"
	"strings"

	"redoubt/internal/hadoopconf"
	"redoubt/wire/hadooprpc"
)

// ProxyPrefix begins the keys that say who may act for others:
// hadoop.proxyuser.USER.users, .groups and .hosts.
const ProxyPrefix = "hadoop.proxyuser."

// proxy is whom one user may act for, and from where.
type proxy struct {
	users, groups string
	whom          acl
	hosts         machines
}

// readProxies reads all of them, by the short name of the user who acts.
func readProxies(conf *hadoopconf.Conf) (map[string]*proxy, []string, error) {
	proxies := map[string]*proxy{}
	var errs []error
	var unresolved []string
	for _, key := range conf.SetWith(ProxyPrefix) {
		user, what, ok := cutLast(strings.TrimPrefix(key, ProxyPrefix))
		value, _ := conf.Lookup(key)
		if !ok || user == "" {
			continue
		}
		p := proxies[user]
		if p == nil {
			p = &proxy{}
			proxies[user] = p
		}
		switch what {
		case "users":
			p.users = value
		case "groups":
			p.groups = value
		case "hosts":
			var err error
			if p.hosts, err = parseMachines(value, lookup); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", conf.Origin(key), key, err))
			}
			unresolved = append(unresolved, p.hosts.names...)
		}
	}
	for _, p := range proxies {
		p.whom = newACL(p.users, p.groups)
	}
	return proxies, unresolved, errors.Join(errs...)
}

// IsProxyKey reports whether a key is one that says who may act for whom.
func IsProxyKey(key string) bool {
	rest, ok := strings.CutPrefix(key, ProxyPrefix)
	user, what, cut := cutLast(rest)
	return ok && cut && user != "" && (what == "users" || what == "groups" || what == "hosts")
}

// cutLast cuts at the last dot: user names may have dots.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// mayAct refuses a connection that acts for another without leave.
func mayAct(proxies map[string]*proxy, peer *hadooprpc.Peer, groups Groups) error {
	if peer.RealUser == "" {
		return nil
	}
	p := proxies[hadooprpc.ShortName(peer.RealUser)]
	in := false
	if p != nil {
		var err error
		if in, err = p.whom.holds(hadooprpc.ShortName(peer.User), groups); err != nil {
			return fmt.Errorf("User: %s is not allowed to impersonate %s: %w", peer.RealUser, peer.User, err)
		}
	}
	if !in {
		return fmt.Errorf("User: %s is not allowed to impersonate %s", peer.RealUser, peer.User)
	}
	if !p.hosts.hold(peer.Addr) {
		return fmt.Errorf("Unauthorized connection for super-user: %s from IP /%s", peer.RealUser, peer.Addr.Unmap())
	}
	return nil
}
