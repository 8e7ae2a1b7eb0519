package nameserver

import (
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handler serves /healthz, /metrics and, if asked for, /debug/pprof/.
func (s *Server) handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Redoubt name node "+s.nn.Info().ClusterID+"\n/healthz\n/metrics\n") // the client is gone if that fails
	})
	if cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// health is 200 while the name node serves, with a second line while safe mode is on, and
// 503 once its journal has failed.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if err := s.nn.Err(); err != nil {
		http.Error(w, "the journal has failed: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	text := "ok\n"
	if why := s.nn.SafeModeText(); why != "" {
		text += "safe mode is on: " + why + "\n"
	}
	_, _ = io.WriteString(w, text) // the client is gone if that fails
}
