// Package web is what the HTTP ports of all our servers have in common: /healthz,
// /metrics in Prometheus's text form, /jmx in the form that HDFS's own scripts poll,
// profiles under /debug/pprof/ where they are switched on, and a page that lists these.
// It knows no server: what is shown comes in through Config.
package web

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says what a server shows. Zero fields leave their page out.
type Config struct {
	Title string // of the front page
	// Health is asked for by /healthz: nil answers 200 "ok" and the note, if there is
	// one; an error answers 503 with its text.
	Health func() (note string, err error)
	// Warnings stand first on the front page, a sentence each; called for every request.
	Warnings func() []string
	// Metrics are served as /metrics.
	Metrics prometheus.Gatherer
	// Beans are served as /jmx; called for every request, maybe at the same time.
	Beans func() []Bean
	// Pprof serves profiles of the process. They tell much and cost CPU: off by default.
	Pprof bool
}

// Handler serves the pages of c. More may be added to it.
func Handler(c Config) *http.ServeMux {
	mux := http.NewServeMux()
	var pages []string
	page := func(path string, h http.Handler) {
		pages = append(pages, path)
		mux.Handle("GET "+path, h)
	}
	if c.Health != nil {
		page("/healthz", health(c.Health))
	}
	if c.Metrics != nil {
		page("/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	}
	if c.Beans != nil {
		page("/jmx", beans(c.Beans))
	}
	if c.Pprof {
		pages = append(pages, "/debug/pprof/")
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.Handle("GET /{$}", front(c.Title, c.Warnings, pages))
	return mux
}

func health(ask func() (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		note, err := ask()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		text := "ok\n"
		if note != "" {
			text += note + "\n"
		}
		send(w, "text/plain; charset=utf-8", text)
	}
}

// front shows what is wrong and lists the pages.
func front(title string, warnings func() []string, pages []string) http.HandlerFunc {
	head := fmt.Sprintf("<!DOCTYPE html>\n<title>%[1]s</title>\n<h1>%[1]s</h1>\n", html.EscapeString(title))
	text := "<ul>\n"
	for _, p := range pages {
		text += fmt.Sprintf("<li><a href=%q>%s</a>\n", p, p)
	}
	text += "</ul>\n"
	return func(w http.ResponseWriter, _ *http.Request) {
		page := head
		if warnings != nil {
			for _, warning := range warnings() {
				page += "<p role=alert>Warning: " + html.EscapeString(warning) + "</p>\n"
			}
		}
		send(w, "text/html; charset=utf-8", page+text)
	}
}

func send(w http.ResponseWriter, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, text) // the client is gone if that fails
}
