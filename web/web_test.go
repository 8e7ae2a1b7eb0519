package web

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, h http.Handler, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w.Code, w.Body.String()
}

func TestPages(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "seen_total", Help: "h"})
	require.NoError(t, reg.Register(c))
	c.Add(3)
	var fault error
	note := ""
	h := Handler(Config{Title: "A <node>", Health: func() (string, error) { return note, fault }, Metrics: reg,
		Beans: func() []Bean { return nil }, Pprof: true})
	code, text := get(t, h, "/healthz")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", text)
	note = "safe mode is on"
	_, text = get(t, h, "/healthz")
	require.Equal(t, "ok\nsafe mode is on\n", text)
	fault = errors.New("the disk is gone")
	code, text = get(t, h, "/healthz")
	require.Equal(t, 503, code)
	require.Contains(t, text, "the disk is gone")
	_, text = get(t, h, "/metrics")
	require.Contains(t, text, "seen_total 3")
	code, _ = get(t, h, "/debug/pprof/cmdline")
	require.Equal(t, 200, code)
	_, text = get(t, h, "/")
	require.Contains(t, text, "A &lt;node&gt;")
	for _, p := range []string{"/healthz", "/metrics", "/jmx", "/debug/pprof/"} {
		require.Contains(t, text, `href="`+p+`"`)
	}
	code, _ = get(t, h, "/elsewhere")
	require.Equal(t, 404, code)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/healthz", nil))
	require.Equal(t, 405, w.Code)
}

func TestWhatIsNotConfiguredIsNotServed(t *testing.T) {
	h := Handler(Config{})
	for _, p := range []string{"/healthz", "/metrics", "/jmx", "/debug/pprof/", "/debug/pprof/profile"} {
		code, _ := get(t, h, p)
		require.Equal(t, 404, code, p)
	}
}

func TestJMX(t *testing.T) {
	const state, status = "Hadoop:service=NameNode,name=FSNamesystemState", "Hadoop:service=NameNode,name=NameNodeStatus"
	list := []Bean{
		{Name: state, Type: "FSNamesystem", Attrs: []Attr{{"NumLiveDataNodes", 3}, {"FSState", "Operational"}}},
		{Name: status, Attrs: []Attr{{"State", "active"}}},
	}
	h := Handler(Config{Beans: func() []Bean { return list }})
	names := func(target string) (names []string) {
		code, text := get(t, h, target)
		require.Equal(t, 200, code)
		var reply struct{ Beans []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(text), &reply))
		for _, b := range reply.Beans {
			names = append(names, b["name"].(string))
		}
		return names
	}
	require.Equal(t, []string{state, status}, names("/jmx"))
	require.Equal(t, []string{state}, names("/jmx?qry="+state))
	require.Equal(t, []string{state, status}, names("/jmx?qry=Hadoop:service=NameNode,*"))
	require.Empty(t, names("/jmx?qry=java.lang:*"))
	_, text := get(t, h, "/jmx?get="+state+"::NumLiveDataNodes")
	require.Regexp(t, `(?s)"name": "`+state+`",\s+"modelerType": "FSNamesystem",\s+"NumLiveDataNodes": 3\s+}`, text)
	require.NotContains(t, text, "FSState")
	for _, bad := range []string{"x", "x::y", state + "::y"} {
		code, text := get(t, h, "/jmx?get="+bad)
		require.Equal(t, 404, code)
		require.Contains(t, text, "ERROR")
	}
	list[0].Attrs[0].Value = math.NaN()
	code, text := get(t, h, "/jmx")
	require.Equal(t, 500, code)
	require.Contains(t, text, "NumLiveDataNodes")
}

func FuzzMatch(f *testing.F) {
	f.Add("Hadoop:*,name=?S*", "Hadoop:service=NameNode,name=FSNamesystem")
	f.Add("**a", "b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.ContainsAny(pattern+name, `[]\/`) || len(pattern) > 100 || strings.ToValidUTF8(pattern+name, "") != pattern+name {
			return
		}
		for _, r := range pattern + name {
			if r > 127 {
				return
			}
		}
		want, err := path.Match(pattern, name)
		require.NoError(t, err)
		require.Equal(t, want, match(pattern, name))
	})
}
