package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy"
	"redoubt/redundancy/result"
)

// The command runs a scheme, shows tables and leaves its three files, and nothing else.
func TestRedundancy(t *testing.T) {
	out, disks := filepath.Join(t.TempDir(), "a", "b"), t.TempDir()
	var stdout, stderr bytes.Buffer
	e := &env{stdout: &stdout, stderr: &stderr}
	code := run(t.Context(), e, []string{"redundancy", "--scheme", "none,replicas-2", "--fault", "corruption", "--datanodes", "3", "--racks", "3", "--data", "4m",
		"--file-size", "512k", "--block-size", "256k", "--disk-mbps", "0", "--link-mbps", "0", "--disk-latency", "0", "--link-latency", "0", "--no-model", "--out", out, "--dir", disks})
	require.Zero(t, code, stderr.String())
	for _, want := range []string{"no redundancy", "2 replicas"} {
		require.Contains(t, stdout.String(), want)
	}
	require.Contains(t, stderr.String(), "2 replicas: writing")
	left, err := os.ReadDir(disks)
	require.NoError(t, err)
	require.Empty(t, left)

	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")
	f, err := os.Open(filepath.Join(out, "results.csv"))
	require.NoError(t, err)
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(lines), 20)
	data, err := os.ReadFile(filepath.Join(out, "results.json"))
	require.NoError(t, err)
	var got struct{ Run result.Run }
	require.NoError(t, json.Unmarshal(data, &got))
	require.Len(t, got.Run.Schemes, 2)
	require.Equal(t, 2.0, got.Run.Scheme(result.Two).Space.Ratio)
}

// On a terminal there is one line, which each step writes over.
func TestProgressBar(t *testing.T) {
	var w bytes.Buffer
	p := newProgress(&w)
	require.False(t, p.tty)
	p.tty = true
	p.step(redundancy.Step{Scheme: result.Three, Doing: "writing " + strings.Repeat("x", 200), Done: 3, Total: 6})
	p.step(redundancy.Step{Scheme: result.Three, Doing: "reading", Done: 6, Total: 6})
	p.end()
	parts := strings.Split(w.String(), "\r")
	require.Len(t, parts, 5)
	require.Contains(t, parts[1], "[############............]  50%")
	require.Len(t, parts[1], 110)
	require.Contains(t, parts[2], "[########################] 100%")
	require.Len(t, parts[2], 110)
	require.Equal(t, strings.Repeat(" ", len(strings.TrimRight(parts[2], " "))), parts[3])
}
