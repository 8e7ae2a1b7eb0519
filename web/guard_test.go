package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"redoubt/web"
)

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// TestGuard: which requests reach the pages, on every page that there is. GET /fsck?delete was once
// served to whatever page a user of the machine had open.
func TestGuard(t *testing.T) {
	mux := web.Handler(web.Config{Title: "t", Health: func() (string, error) { return "", nil }, Metrics: prometheus.NewRegistry(),
		Beans: func() []web.Bean { return nil }, Pprof: true})
	mux.Handle("GET /fsck", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h := web.Guard{Hosts: []string{"nn.example", "Alias"}, Changes: func(r *http.Request) bool { return r.URL.Query().Has("delete") }}.Wrap(mux)
	pages := []string{"/", "/healthz", "/metrics", "/jmx", "/fsck?path=/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol"}
	const change = "/fsck?path=/&delete=1&ugi=root"

	ask := func(method, target string, headers ...string) (int, string) {
		r := httptest.NewRequest(method, target, nil)
		r.Host = "127.0.0.1:9870"
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			if name == "Host" {
				r.Host = value
			} else {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, p := range append(pages, change) {
		for _, host := range []string{"evil.example", "nn.example.evil.example", "evil.example:9870", "127.0.0.1.evil.example", "notlocalhost"} {
			code, text := ask("GET", p, "Host: "+host, web.ChangeHeader+": x")
			require.Equal(t, 421, code, "%s as %s", p, host)
			require.Contains(t, text, "redoubt.http.hosts")
		}
		code, _ := ask("GET", p, "Origin: http://evil.example", web.ChangeHeader+": x")
		require.Equal(t, 403, code, p)
		code, _ = ask("GET", p, "Origin: null", web.ChangeHeader+": x")
		require.Equal(t, 403, code, p)
		code, _ = ask("POST", p, "Origin: http://127.0.0.1:8080", web.ChangeHeader+": x")
		require.Equal(t, 403, code, "%s: another port is another origin", p)
		for _, site := range []string{"cross-site", "same-site"} {
			code, _ = ask("GET", p, "Sec-Fetch-Site: "+site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")
			require.Equal(t, 403, code, p)
		}
	}
	for _, p := range pages {
		for _, host := range []string{"127.0.0.1:9870", "[::1]:9870", "10.0.0.7", "localhost:9870", "nn.example:9870", "NN.example.", "alias", ""} {
			code, _ := ask("GET", p, "Host: "+host)
			require.Equal(t, 200, code, "%s as %q", p, host)
		}
		code, _ := ask("GET", p, "User-Agent: "+browser, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		require.Equal(t, 200, code, "%s by its address bar", p)
		code, _ = ask("GET", p, "Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:9870")
		require.Equal(t, 200, code, "%s by its own page", p)
		code, _ = ask("GET", p, "User-Agent: "+browser, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		want := 200
		if strings.HasPrefix(p, "/debug/") {
			want = 403
		}
		require.Equal(t, want, code, "%s by a link elsewhere", p)
	}

	for name, headers := range map[string][]string{
		"a form or an image of any page": {"User-Agent: " + browser},
		"a link on any page":             {"User-Agent: " + browser, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		"its address bar":                {"User-Agent: " + browser, "Sec-Fetch-Site: none"},
		"curl":                           {"User-Agent: curl/8.5.0"},
		"a Java browser":                 {"User-Agent: Mozilla/5.0 Java/1.8"},
		"nobody":                         nil,
	} {
		code, text := ask("GET", change, headers...)
		require.Equal(t, 403, code, name)
		if name == "curl" {
			require.Contains(t, text, "X-XSRF-HEADER")
		}
	}
	for name, headers := range map[string][]string{
		"Hadoop's fsck":         {"User-Agent: Java/17.0.12"},
		"Hadoop with an agent":  {"User-Agent: hadoop Java/1.8.0_402"},
		"whoever says so":       {"User-Agent: curl/8.5.0", web.ChangeHeader + ": any"},
		"our own page's script": {"User-Agent: " + browser, "Sec-Fetch-Site: same-origin", web.ChangeHeader + ": "},
	} {
		code, _ := ask("GET", change, headers...)
		require.Equal(t, 200, code, name)
	}
}

// TestAnyHost: who has a proxy that checks names may switch the check off.
func TestAnyHost(t *testing.T) {
	h := web.Guard{Hosts: []string{"*"}}.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "anything.example"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
}
