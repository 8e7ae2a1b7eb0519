package authorize

import (
	"errors"
	"fmt"
	"strings"

	"redoubt/internal/hadoopconf"
	"redoubt/wire/control"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

// policyKeys names the ACL that guards each protocol. Redoubt's own protocols are under
// the keys of those that they stand in for.
var policyKeys = map[string]string{
	hdfspb.ClientProtocol:                     "security.client.protocol.acl",
	hdfspb.ClientDatanodeProtocol:             "security.client.datanode.protocol.acl",
	hdfspb.DatanodeProtocol:                   "security.datanode.protocol.acl",
	hdfspb.NamenodeProtocol:                   "security.namenode.protocol.acl",
	hdfspb.HAServiceProtocol:                  "security.ha.service.protocol.acl",
	hdfspb.RefreshAuthorizationPolicyProtocol: "security.refresh.policy.protocol.acl",
	hdfspb.RefreshUserMappingsProtocol:        "security.refresh.user.mappings.protocol.acl",
	hdfspb.GetUserMappingsProtocol:            "security.get.user.mappings.protocol.acl",
	hdfspb.RefreshCallQueueProtocol:           "security.refresh.callqueue.protocol.acl",
	hdfspb.GenericRefreshProtocol:             "security.refresh.generic.protocol.acl",
	hdfspb.ReconfigurationProtocol:            "security.reconfiguration.protocol.acl",
	hdfspb.InterDatanodeProtocol:              "security.inter.datanode.protocol.acl",
	hdfspb.DatanodeLifelineProtocol:           "security.datanode.lifeline.protocol.acl",
	control.NameNodeProtocol:                  "security.datanode.protocol.acl",
	control.DataNodeProtocol:                  "security.inter.datanode.protocol.acl",
	control.AdminProtocol:                     "security.client.protocol.acl",
	control.ArrayProtocol:                     "security.client.datanode.protocol.acl",
}

// PolicyKeys lists the keys of the ACLs that count, each once.
func PolicyKeys() (keys []string) {
	seen := map[string]bool{}
	for _, key := range policyKeys {
		if !seen[key] {
			seen[key], keys = true, append(keys, key)
		}
	}
	return append(keys, defaultKey)
}

const (
	defaultKey = "security.service.authorization.default.acl"
	blocked    = ".blocked"
)

// service is what guards one protocol.
type service struct {
	users, notUsers acl
	hosts, notHosts machines
}

// readServices reads the ACLs of all protocols, by their keys.
func readServices(conf *hadoopconf.Conf) (map[string]service, []string, error) {
	r := &policyReader{conf: conf}
	services := map[string]service{}
	for _, key := range policyKeys {
		if _, ok := services[key]; ok {
			continue
		}
		hosts, fallback := hostsKey(key), hostsKey(defaultKey)
		services[key] = service{
			users:    parseACL(r.text(key, defaultKey, "*")),
			notUsers: parseACL(r.text(key+blocked, defaultKey+blocked, "")),
			hosts:    r.machines(hosts, fallback, "*"),
			notHosts: r.machines(hosts+blocked, fallback+blocked, ""),
		}
	}
	return services, r.unresolved, errors.Join(r.errs...)
}

// hostsKey is the key of a service's machines: .hosts in the place of .acl.
func hostsKey(key string) string { return strings.TrimSuffix(key, ".acl") + ".hosts" }

// policyReader collects what is wrong while it reads.
type policyReader struct {
	conf       *hadoopconf.Conf
	errs       []error
	unresolved []string
}

func (r *policyReader) text(key, fallback, def string) string {
	if v, ok := r.conf.Lookup(key); ok {
		return v
	}
	if v, ok := r.conf.Lookup(fallback); ok {
		return v
	}
	return def
}

func (r *policyReader) machines(key, fallback, def string) machines {
	if !r.conf.IsSet(key) {
		key = fallback
	}
	m, err := parseMachines(r.text(key, key, def), lookup)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: %w", r.conf.Origin(key), key, err))
	}
	if strings.HasSuffix(key, blocked) && len(m.names) > 0 {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: %s can't be resolved, so that they would not be kept out", r.conf.Origin(key), key, strings.Join(m.names, ", ")))
	}
	r.unresolved = append(r.unresolved, m.names...)
	return m
}

// mayUse decides in Hadoop's order: the protocol, the user, the machine.
func mayUse(services map[string]service, p *hadooprpc.Peer, protocol string, groups Groups) error {
	if protocol == "" {
		return errors.New("Null protocol not authorized")
	}
	key, ok := policyKeys[protocol]
	if !ok {
		return errors.New("Unknown protocol: " + protocol)
	}
	s := services[key]
	user := hadooprpc.ShortName(p.User)
	in, err := s.users.holds(user, groups)
	if err == nil && in {
		in, err = s.notUsers.holds(user, groups)
		in = !in
	}
	if err != nil || !in {
		why := "denied by configured ACL"
		if err != nil {
			why = err.Error()
		}
		return fmt.Errorf("User %s is not authorized for protocol interface %s: %s", describe(p), protocol, why)
	}
	if !s.hosts.hold(p.Addr) || s.notHosts.hold(p.Addr) {
		return fmt.Errorf("Host %s is not authorized for protocol interface %s", p.Addr.Unmap(), protocol)
	}
	return nil
}

// describe words a user as Hadoop's UserGroupInformation does.
func describe(p *hadooprpc.Peer) string {
	if p.RealUser != "" {
		return p.User + " (auth:PROXY) via " + p.RealUser + " (auth:SIMPLE)"
	}
	return p.User + " (auth:SIMPLE)"
}
