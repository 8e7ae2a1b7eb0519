package netlimit

import (
	"fmt"
	"log/slog"
	"net"
)

// HTTP limits the connections of a web server. who is what it is called in the log.
func HTTP(l net.Listener, max int, who string, log *slog.Logger) *Listener {
	const text = "too many connections: try again later\n"
	return &Listener{Listener: l, Max: max, Refuser: &Refuser{
		Word: fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Content-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", len(text), text),
		Note: Noting(log, who, max),
	}}
}

// Noting gives a Refuser's Note that writes to a log.
func Noting(log *slog.Logger, who string, max int) func(int, net.Addr) {
	if log == nil {
		return nil
	}
	return func(n int, last net.Addr) {
		log.Warn(who+" has as many connections as it may: others are refused", "limit", max, "refused", n, "last", last)
	}
}
