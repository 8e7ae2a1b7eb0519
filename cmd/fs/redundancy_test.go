package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		"--file-size", "512k", "--block-size", "256k", "--disk-mbps", "0", "--link-mbps", "0", "--disk-latency", "0", "--link-latency", "0", "--repeat", "2", "--no-model", "--out", out, "--dir", disks})
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
	require.Len(t, got.Run.Rounds, 2)
	require.Len(t, got.Run.Claims, 15, "every goal has its row, measured or not")
	for line := range strings.Lines(strings.TrimSuffix(stdout.String(), out+"\n") + stderr.String()) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, line)
	}
}

// unlimited are the flags of a small cluster whose disks and links are no limit.
var unlimited = []string{"--file-size", "64k", "--block-size", "64k", "--disk-mbps", "0", "--link-mbps", "0", "--disk-latency", "0", "--link-latency", "0", "--no-model", "--repeat", "1"}

// A fault that has hit nothing is no success: with one block there are no two nodes with data.
func TestUntestedFaultFails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	e := &env{stdout: &stdout, stderr: &stderr}
	args := append([]string{"redundancy", "--scheme", "none", "--fault", "two-nodes", "--data", "64k", "--dir", t.TempDir()}, unlimited...)
	require.Equal(t, exitFailed, run(t.Context(), e, args))
	require.Contains(t, stdout.String(), "not tested")
	require.NotContains(t, stdout.String(), "all there")
	require.Contains(t, stderr.String(), "no redundancy, two nodes lost: not tested: no two nodes on different racks hold data of the run")
}

// watched is a standard error that is told each line that is written.
type watched struct {
	bytes.Buffer
	line func(string)
}

func (w *watched) Write(p []byte) (int, error) {
	w.line(string(p))
	return w.Buffer.Write(p)
}

// Ctrl-C keeps what was measured: the scheme that was finished is in the report, the other is not.
func TestInterruptedRunKeepsWhatItHas(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	stderr := &watched{line: func(s string) {
		if strings.Contains(s, "2 replicas: writing") {
			stop()
		}
	}}
	e := &env{stdout: &stdout, stderr: stderr}
	out, disks := t.TempDir(), t.TempDir()
	args := append([]string{"redundancy", "--scheme", "none,replicas-2", "--fault", "disk", "--data", "1m", "--out", out, "--dir", disks}, unlimited...)
	require.Equal(t, exitInterrupted, run(ctx, e, args), stderr.String())
	require.True(t, strings.HasSuffix(stderr.String(), "fs redundancy: interrupted\n"), stderr.String())
	require.NotContains(t, stderr.String(), "context canceled")
	require.Contains(t, stdout.String(), "The run was interrupted in round 1 of 1, 2 replicas.")
	require.Contains(t, stdout.String(), "AT A GLANCE")
	data, err := os.ReadFile(filepath.Join(out, "results.json"))
	require.NoError(t, err)
	var got struct{ Run result.Run }
	require.NoError(t, json.Unmarshal(data, &got))
	require.Len(t, got.Run.Schemes, 1)
	require.Equal(t, result.None, got.Run.Schemes[0].Scheme)
	require.Empty(t, got.Run.Schemes[0].Err)
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "The run was interrupted")
	left, err := os.ReadDir(disks)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Interrupted before anything came to its end, it says so and writes nothing.
func TestInterruptedAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	out := t.TempDir()
	args := append([]string{"redundancy", "--scheme", "none", "--fault", "disk", "--data", "1m", "--out", out, "--dir", t.TempDir()}, unlimited...)
	require.Equal(t, exitInterrupted, run(ctx, &env{stdout: &stdout, stderr: &stderr}, args))
	require.Contains(t, stderr.String(), "fs redundancy: interrupted")
	require.Empty(t, stdout.String())
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestHelpSaysHowLongItTakes(t *testing.T) {
	var stderr bytes.Buffer
	require.Zero(t, run(t.Context(), &env{stderr: &stderr}, []string{"redundancy", "--help"}))
	require.Regexp(t, `about \d+ min on a machine with nothing else to do`, strings.ReplaceAll(stderr.String(), "\n", " "))
	for line := range strings.Lines(stderr.String()) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, line)
	}
}

// On a terminal there is one line, which each step writes over.
func TestProgressBar(t *testing.T) {
	var w bytes.Buffer
	p := newProgress(&w)
	require.False(t, p.tty)
	p.tty = true
	p.step(redundancy.Step{Scheme: result.Three, Round: 2, Rounds: 3, Doing: "writing " + strings.Repeat("x", 200), Done: 3, Total: 6, Left: 125 * time.Second})
	p.step(redundancy.Step{Scheme: result.Three, Round: 3, Rounds: 3, Doing: "reading", Done: 6, Total: 6})
	p.end()
	parts := strings.Split(w.String(), "\r")
	require.Len(t, parts, 5)
	require.Contains(t, parts[1], "[########........] 0:00, 2:05 left  2/3 3 replicas: writing")
	require.Len(t, parts[1], 79, "one less than a terminal has, so that nothing wraps")
	require.Contains(t, parts[2], "[################] 0:00, 0:00 left  3/3 3 replicas: reading")
	require.Len(t, parts[2], 79)
	require.Equal(t, strings.Repeat(" ", len(strings.TrimRight(parts[2], " "))), parts[3])
}
