package authorize

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
	"redoubt/wire/hadooprpc"
)

// Guard decides about connections. Its methods may be called at the same time.
type Guard struct {
	conf     *hadoopconf.Conf // as at the start; nil: nothing is configured
	log      *slog.Logger
	on       bool // hadoop.security.authorization, which counts from start to end
	services atomic.Pointer[map[string]service]
	proxies  atomic.Pointer[map[string]*proxy]
}

// ErrOff answers a refresh of ACLs that do not count.
var ErrOff = dfs.Errorf(dfs.Authorization, "Service Level Authorization not enabled!")

// Unconfigured lets everybody connect and nobody act for others.
func Unconfigured() *Guard {
	g := &Guard{log: slog.New(slog.DiscardHandler)}
	g.proxies.Store(&map[string]*proxy{})
	return g
}

// New reads what conf says.
func New(conf *hadoopconf.Conf, log *slog.Logger) (*Guard, error) {
	g := &Guard{conf: conf, log: log, on: conf.Bool("hadoop.security.authorization")}
	err := g.takeProxies(conf)
	if g.on {
		err = errors.Join(err, g.takeServices(conf))
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Guard) takeServices(conf *hadoopconf.Conf) error {
	s, unresolved, err := readServices(conf)
	if err != nil {
		return err
	}
	g.warn(unresolved)
	g.services.Store(&s)
	return nil
}

func (g *Guard) takeProxies(conf *hadoopconf.Conf) error {
	p, unresolved, err := readProxies(conf)
	if err != nil {
		return err
	}
	g.warn(unresolved)
	g.proxies.Store(&p)
	return nil
}

func (g *Guard) warn(hosts []string) {
	if len(hosts) > 0 {
		g.log.Warn("hosts that may connect can't be resolved, so that they may not", "hosts", hosts)
	}
}

// Authorize refuses a connection in the words of Hadoop's AuthorizationException.
func (g *Guard) Authorize(p *hadooprpc.Peer, protocol string, groups Groups) error {
	if err := mayAct(*g.proxies.Load(), p, groups); err != nil {
		return err
	}
	if !g.on {
		return nil
	}
	return mayUse(*g.services.Load(), p, protocol, groups)
}

// RefreshServices reads hadoop-policy.xml again. When that fails, what counted goes on to
// count. Connections that are open stay so.
func (g *Guard) RefreshServices() error {
	if !g.on {
		return ErrOff
	}
	return g.refresh("service ACLs", g.takeServices)
}

// RefreshProxies reads again who may act for whom.
func (g *Guard) RefreshProxies() error {
	return g.refresh("proxy users", g.takeProxies)
}

func (g *Guard) refresh(what string, take func(*hadoopconf.Conf) error) error {
	if g.conf == nil {
		return nil // there is nothing to read
	}
	conf, err := g.conf.Again()
	if err == nil {
		err = take(conf)
	}
	if err != nil {
		return fmt.Errorf("refresh of %s: %w", what, err)
	}
	g.log.Info("read again", "what", what)
	return nil
}
