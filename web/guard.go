package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Guard keeps web pages of strangers, open in a browser that can reach this server, from
// using it. It is no protection against programs: with simple authentication whoever can
// open a connection may say who they are.
type Guard struct {
	// Hosts are the names by which requests may call this server; addresses and localhost
	// always may. A page whose name was made to point here after it was loaded (DNS
	// rebinding) is told by the name that its requests carry. "*" lets all names pass.
	Hosts []string
	// Changes says which requests change something although they are GETs, as HDFS's
	// /fsck?delete is. They pass only with a header that no page can make a browser send.
	Changes func(*http.Request) bool
	// Log is told of what was refused; nil drops it.
	Log *slog.Logger
}

// ChangeHeader marks a request that no page could have made a browser send. It is the one
// of Hadoop's own filter against such requests; its value does not matter.
const ChangeHeader = "X-XSRF-HEADER"

// HostsKey is the setting that adds to Guard.Hosts.
const HostsKey = "redoubt.http.hosts"

// HostsOf gives the names in addresses of the form host:port.
func HostsOf(addresses ...string) (hosts []string) {
	for _, a := range addresses {
		if h, _, err := net.SplitHostPort(a); err == nil && h != "" {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Wrap puts the guard before a handler.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, why := g.check(r)
		if why == "" {
			next.ServeHTTP(w, r)
			return
		}
		if g.Log != nil {
			g.Log.Warn("HTTP request refused: "+why, "from", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"), "path", r.URL.Path)
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, why, code)
	})
}

// check gives the reason to refuse a request, "" if there is none.
func (g Guard) check(r *http.Request) (code int, why string) {
	change := g.Changes != nil && g.Changes(r)
	switch {
	case !g.known(r.Host):
		return http.StatusMisdirectedRequest, fmt.Sprintf("this server is not known as %q: name it in %s, or use its address", r.Host, HostsKey)
	case foreignPage(r) && (change || !isVisit(r)):
		return http.StatusForbidden, "a page of another site may not use this server"
	case change && !certain(r):
		return http.StatusForbidden, "a request that changes something needs the header " + ChangeHeader + " (any value), so that no web page can send it"
	}
	return 0, ""
}

// known says whether a request may call this server so. HTTP/1.0 needs no name.
func (g Guard) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true // a name is what an attacker would need
	}
	return slices.ContainsFunc(g.Hosts, func(h string) bool {
		return h == "*" || strings.TrimSuffix(strings.ToLower(h), ".") == name
	})
}

// foreignPage says whether a browser sends the request for a page of another site. Old
// browsers, and all for servers without TLS that are not on this machine, tell the origin
// only of requests that are no plain GETs.
func foreignPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// isVisit says whether somebody followed a link to a page here that only shows something.
// Profiles cost too much to be had by a link on any page.
func isVisit(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasPrefix(r.URL.Path, "/debug/") &&
		r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// certain says whether no web page can have sent the request: it carries a header that
// would need the server's consent first, or comes from Java's own client, as Hadoop's
// `hdfs fsck -delete` does, which sends no such header.
func certain(r *http.Request) bool {
	if _, ok := r.Header[http.CanonicalHeaderKey(ChangeHeader)]; ok {
		return true
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "Java/") || strings.Contains(agent, " Java/") && !strings.HasPrefix(agent, "Mozilla/") && !strings.HasPrefix(agent, "Opera/")
}
