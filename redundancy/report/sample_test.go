package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy/fleet"
	"redoubt/redundancy/result"
)

// sample is a run as it could have been: every kind of outcome is in it.
func sample() *result.Run {
	r := &result.Run{Begun: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Seconds: 245,
		Setup: result.Setup{Datanodes: 12, Racks: 6, DisksPerNode: 5, Clients: 24, DiskRate: 8e6, DiskLatency: 0.001, LinkRate: 12e6, LinkLatency: 0.0002,
			DataBytes: 128 << 20, FileBytes: 2 << 20, BlockBytes: 1 << 20, Parity: 4, Seed: 1, CPUs: 2},
		Claims: []result.Claim{{Text: "writing under RAID-5 across nodes (k=4) over writing 3 replicas", Got: 1.41, Want: 1.3, Unit: "x", Met: true},
			{Text: "bytes read wrong, in all schemes and faults", Got: 0, Want: 0, Unit: "B", Most: true, Met: true}}}
	load := func(rate, net, write float64) result.Load {
		return result.Load{Measured: true, Rate: rate * 1e6, Bytes: 128 << 20, Seconds: 134 / rate, NetPerByte: net, DiskWritePerByte: write, DiskReadPerByte: 0.2, CPUPerByte: 4e-9, P50: 0.02, P90: 0.08, P99: 0.31, Max: 1.9}
	}
	for i, s := range result.Schemes() {
		space := []float64{1, 2, 3, 1.25, 1.25, 1.5625}[i]
		x := result.SchemeResult{Scheme: s, Title: s.Title(), Seconds: 40, CPU: 0.7,
			Space: result.Space{UserBytes: 128 << 20, StoredBytes: int64(space * (128 << 20)), Ratio: space, FoldSeconds: 3},
			Write: load([]float64{108, 54, 36, 95, 52, 49}[i], []float64{1, 2, 3, 1, 2, 2}[i], []float64{1, 2, 3, 1.25, 2.25, 2.8}[i]),
			Read:  load(80+3*float64(i), 1, 0)}
		if s == result.RAIDNode {
			x.Array = &result.Array{WriteRate: 31e6, ReadRate: 38e6, Degraded: 30e6, SumRate: 40e6}
		}
		survives := map[result.Fault]int{result.SlowNode: 0, result.Corruption: 1, result.Disk: 1, result.Node: 2, result.Rack: 2, result.TwoNodes: 4}
		strength := []int{0, 2, 4, 1, 2, 2}[i]
		for _, f := range result.Faults() {
			y := result.FaultResult{Fault: f, Title: f.Title(), Read: load(70, 1.4, 0), Survived: result.Survived{Files: 64, Bytes: 128 << 20}, Victims: []string{"node3"}, AtRisk: 11 << 20}
			if f == result.SlowNode {
				y.Hedged = load(76, 1.5, 0)
			}
			if survives[f] > strength {
				y.Survived.LostFiles, y.Survived.LostBytes = 5, 7<<20
				y.Read.Failed = 5
			} else if f != result.SlowNode {
				y.Repair = result.Repair{Needed: true, Complete: f != result.Rack, Detect: 1.2, Seconds: 9, Rebuilt: 11 << 20, Rate: 1.2e6, NetBytes: 44 << 20, DiskRead: 44 << 20, MovedPerByte: 8, NetPerByte: 4, ReadPerByte: 4, Limit: 2e6, CPUPerByte: 9e-9}
				y.Rebuilding = load(55, 1.6, 0)
			}
			if f == result.Corruption {
				y.Note = "8 of 8 spoiled places made good by readers and a scrub"
			}
			x.Faults = append(x.Faults, y)
		}
		r.Schemes = append(r.Schemes, x)
	}
	return r
}

// repeated is a run of three rounds that differ; in one of them the machine was busy, another
// had a fault that hit nothing, and one number was never measured in peace.
func repeated() *result.Run {
	r := sample()
	r.Setup.Repeat = 3
	for i, by := range []float64{1, 0.9, 1.25} {
		one := sample()
		for j := range one.Schemes {
			s := &one.Schemes[j]
			s.Write.Rate *= by
			s.Read.Rate *= by
			s.Read.Strain.Busy = s.Scheme == result.Two
			s.Write.Strain.Busy = i == 1
			for k := range s.Faults {
				f := &s.Faults[k]
				f.Read.Rate *= by
				f.Repair.Seconds *= by
				f.Survived.LostBytes = int64(float64(f.Survived.LostBytes) * (by - 0.9))
				if i == 2 && s.Scheme == result.None && f.Fault == result.Disk {
					f.Untested = "no disk holds data of the run"
				}
			}
		}
		r.Rounds = append(r.Rounds, result.Round{Schemes: one.Schemes})
	}
	r.Schemes = result.Summarize(r.Rounds)
	return r
}

func sampleReport(t testing.TB) *Report {
	r, err := New(repeated(), fleet.Defaults(), fleet.Options{Cycles: 4000, Seed: 1})
	require.NoError(t, err)
	return r
}

// TestDraw is how the pictures are looked at, and how the document gets its tables and
// pictures: from the JSON in REPORT_IN, or of the sample, it writes all files to the
// directory in REPORT_OUT, and what docs/redundancy.md shows to the one in REPORT_DOCS.
func TestDraw(t *testing.T) {
	out, docs := os.Getenv("REPORT_OUT"), os.Getenv("REPORT_DOCS")
	if out == "" && docs == "" {
		t.Skip("neither REPORT_OUT nor REPORT_DOCS is set")
	}
	r := sampleReport(t)
	if in := os.Getenv("REPORT_IN"); in != "" {
		data, err := os.ReadFile(in)
		require.NoError(t, err)
		r, err = Read(bytes.NewReader(data))
		require.NoError(t, err)
		if r.Fleet == nil {
			r, err = New(r.Run, fleet.Defaults(), fleet.Options{})
			require.NoError(t, err)
		}
	}
	files, err := r.Files()
	require.NoError(t, err)
	for _, f := range files {
		if out != "" {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(out, f.Name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(out, f.Name), f.Data, 0o644))
		}
		if docs != "" && strings.HasPrefix(f.Name, "img/") {
			require.NoError(t, os.MkdirAll(filepath.Join(docs, "img"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(docs, f.Name), f.Data, 0o644))
		}
		if docs != "" && f.Name == "tables.md" {
			splice(t, filepath.Join(docs, "redundancy.md"), f.Data)
		}
	}
}

// splice puts tables between the two marks of a document.
func splice(t *testing.T, path string, tables []byte) {
	const begin, end = "<!-- tables of a run: begin -->\n", "<!-- tables of a run: end -->"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "no mark in %s", path)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "no second mark in %s", path)
	require.NoError(t, os.WriteFile(path, []byte(before+begin+"\n"+string(tables)+end+after), 0o644))
}

func wellFormed(t *testing.T, data []byte) {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func TestJSONAgain(t *testing.T) {
	r := sampleReport(t)
	var a, b bytes.Buffer
	require.NoError(t, r.JSON(&a))
	text := a.String()
	again, err := Read(&a)
	require.NoError(t, err)
	require.NoError(t, again.JSON(&b))
	require.Equal(t, text, b.String())
	for _, bad := range []string{"", "{", "[]", "{}", `{"run": 7}`} {
		_, err := Read(strings.NewReader(bad))
		require.ErrorContains(t, err, "report: ")
	}
}

func TestCSVIsRegular(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sampleReport(t).CSV(&b))
	all, err := csv.NewReader(&b).ReadAll() // refuses lines of other lengths
	require.NoError(t, err)
	require.Greater(t, len(all), 300)
	seen := map[string]bool{}
	for _, row := range all {
		key := strings.Join(row[:4], "|")
		require.False(t, seen[key], "twice: %s", key)
		seen[key] = true
	}
}
