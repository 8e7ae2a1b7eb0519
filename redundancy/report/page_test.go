package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/redundancy/fleet"
	"redoubt/redundancy/result"
)

// variants are reports of all shapes: whole, empty, half done, hostile.
func variants(t testing.TB) map[string]*Report {
	whole := sampleReport(t)
	one := sample()
	one.Schemes = one.Schemes[4:5]
	ended := sample()
	ended.Schemes[2] = result.SchemeResult{Scheme: result.Three, Title: result.Three.Title(), Err: `the run <script>alert("x")</script> ended & stopped`}
	zero := &result.Run{Schemes: []result.SchemeResult{{Scheme: result.None, Title: `<b>"none"</b>`}}}
	huge := sample()
	for i := range huge.Schemes {
		huge.Schemes[i].Write.Rate, huge.Schemes[i].Faults[3].Repair.Seconds = 1e13, 1e7
	}
	untested := sample()
	for i := range untested.Schemes {
		for j := range untested.Schemes[i].Faults {
			f := &untested.Schemes[i].Faults[j]
			*f = result.FaultResult{Fault: f.Fault, Title: f.Title, Untested: "no disk holds data of the run"}
		}
	}
	untested.Rounds = []result.Round{{Schemes: untested.Schemes}}
	untested.Interrupted = "interrupted in round 1 of 3, 2 replicas"
	wrong := sample()
	wrong.Schemes[1].Faults[1].Survived.WrongBytes = 4096
	return map[string]*Report{"whole": whole, "model alone": {Fleet: whole.Fleet}, "run alone": {Run: whole.Run}, "one scheme": {Run: one, Fleet: whole.Fleet},
		"ended early": {Run: ended, Fleet: whole.Fleet}, "nothing measured": {Run: zero}, "no scheme": {Run: &result.Run{}}, "huge": {Run: huge}, "wrong bytes": {Run: wrong},
		"untested": {Run: untested}}
}

// TestPageStandsAlone: no script, nothing from elsewhere, everything escaped, all ids unique.
func TestPageStandsAlone(t *testing.T) {
	for name, r := range variants(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, r.HTML(&b))
			page := b.String()
			for _, bad := range []string{"<script", "<link", "<img", "<iframe", "http://", "https://", "url(", "@import", "NaN", "+Inf", "-Inf", "ZgotmplZ", "%!"} {
				require.NotContains(t, page, bad)
			}
			require.Less(t, len(page), 500_000)
			seen := map[string]bool{}
			for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
				require.False(t, seen[m[1]], "id %s twice", m[1])
				seen[m[1]] = true
			}
			for _, m := range regexp.MustCompile(`(?:href="#|aria-labelledby=")([^"]+)"`).FindAllStringSubmatch(page, -1) {
				for id := range strings.FieldsSeq(m[1]) {
					require.True(t, seen[id], "%s is not there", id)
				}
			}
			body := strings.Replace(page, "<!doctype html>", "", 1)
			body = regexp.MustCompile(`<meta ([^>]*)>`).ReplaceAllString(body, `<meta $1/>`)
			body = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(body, "")
			wellFormed(t, []byte(body))
		})
	}
}

// TestWrongBytesAreSeen: what must never be is not hidden by a nice table.
func TestWrongBytesAreSeen(t *testing.T) {
	r := variants(t)["wrong bytes"]
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	require.Contains(t, b.String(), "wrong bytes")
	b.Reset()
	require.NoError(t, r.Text(&b))
	require.Contains(t, b.String(), "WRONG BYTES")
}

var (
	textElement = regexp.MustCompile(`<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)" class="([^"]*)">(.*?)</text>`)
	rectElement = regexp.MustCompile(`<rect x="([-\d.]+)" y="([-\d.]+)" width="([-\d.]+)" height="([-\d.]+)"`)
	classes     = regexp.MustCompile(` class="([^"]*)"`)
)

func numbers(t *testing.T, all ...string) []float64 {
	var out []float64
	for _, s := range all {
		x, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		out = append(out, x)
	}
	return out
}

// TestChartsAreDrawnInside: no text and no bar reaches out of its picture, no two texts lie on
// each other, every class has a style, and every picture says what it shows.
func TestChartsAreDrawnInside(t *testing.T) {
	count := 0
	for name, r := range variants(t) {
		for _, c := range r.Charts() {
			count++
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				wellFormed(t, c.SVG())
				require.NotEmpty(t, c.Title)
				require.Greater(t, len(c.Desc), 40)
				drawnInside(t, c.wide)
				drawnInside(t, c.narrow)
			})
		}
	}
	require.Greater(t, count, 30)
}

func drawnInside(t *testing.T, d drawing) {
	type box struct{ x1, y1, x2, y2 float64 }
	var boxes []box
	var texts []string
	for _, m := range textElement.FindAllStringSubmatch(d.svg, -1) {
		at := numbers(t, m[1], m[2])
		plain := regexp.MustCompile(`<[^>]+>`).ReplaceAllString(m[5], "")
		plain = html.UnescapeString(plain)
		w := 6.6 * float64(len([]rune(plain)))
		x := at[0]
		switch m[3] {
		case "middle":
			x -= w / 2
		case "end":
			x -= w
		}
		require.GreaterOrEqual(t, x, -1.0, plain)
		require.LessOrEqual(t, x+w, d.w+1, plain)
		require.LessOrEqual(t, at[1], d.h, plain)
		for i, o := range boxes {
			apart := x >= o.x2 || x+w <= o.x1 || at[1]-9 >= o.y2 || at[1] <= o.y1
			require.True(t, apart, "%q lies on %q", plain, texts[i])
		}
		boxes, texts = append(boxes, box{x, at[1] - 9, x + w, at[1]}), append(texts, plain)
	}
	for _, m := range rectElement.FindAllStringSubmatch(d.svg, -1) {
		at := numbers(t, m[1:5]...)
		require.True(t, at[0] >= -1 && at[0]+at[2] <= d.w+1 && at[1]+at[3] <= d.h, "%v", m[0])
	}
	for _, m := range classes.FindAllStringSubmatch(d.svg, -1) {
		for class := range strings.FieldsSeq(m[1]) {
			require.Contains(t, svgStyle, "."+class, "no style for it")
		}
	}
}

// luminance is that of WCAG 2.
func luminance(t *testing.T, hex string) float64 {
	v, err := strconv.ParseUint(hex, 16, 32)
	require.NoError(t, err)
	part := func(shift uint) float64 {
		c := float64(v>>shift&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

// TestContrast: text at least 4.5 to 1, marks and bars at least 3 to 1, light and dark (WCAG 2.1, AA).
func TestContrast(t *testing.T) {
	light, dark, ok := strings.Cut(svgStyle, "@media")
	require.True(t, ok)
	for theme, css := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(css, -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		require.Len(t, colour, 26, theme)
		check := func(front, back string, least float64) {
			a, b := colour[front], colour[back]
			got := (max(a, b) + 0.05) / (min(a, b) + 0.05)
			require.GreaterOrEqual(t, got, least, "%s: %s on %s", theme, front, back)
		}
		for _, ink := range []string{"ink", "soft", "link"} {
			check(ink, "paper", 4.5)
			check(ink, "panel", 4.5)
		}
		check("good-ink", "good", 4.5)
		check("bad-ink", "bad", 4.5)
		check("soft", "idle", 4.5)
		for _, mark := range []string{"none", "two", "three", "node", "cluster", "both", "node2", "cluster2", "rs", "s1", "s2", "s2b", "s3"} {
			check(mark, "paper", 3)
		}
	}
}

// TestTextFitsATerminal: no line is longer than 80 characters, and no word is lost by breaking.
func TestTextFitsATerminal(t *testing.T) {
	for name, r := range variants(t) {
		var b bytes.Buffer
		require.NoError(t, r.Text(&b), name)
		require.NotContains(t, b.String(), "%!")
		for line := range strings.Lines(b.String()) {
			require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 80, "%s: %q", name, line)
		}
		all := strings.Join(strings.Fields(b.String()), " ")
		for _, table := range r.Tables() {
			for _, head := range table.Head {
				for word := range strings.FieldsSeq(head) {
					require.Contains(t, all, word, "%s: %s", name, table.Name)
				}
			}
		}
		for _, table := range r.Tables() {
			for _, row := range table.Rows {
				require.Len(t, row, len(table.Head), "%s: %s", name, table.Name)
			}
			require.NotContains(t, fmt.Sprint(table.Rows), "NaN")
		}
		b.Reset()
		require.NoError(t, r.Markdown(&b))
		b.Reset()
		require.NoError(t, r.CSV(&b))
	}
}

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"0": short(0), "1,235": short(1234.6), "12.3": short(12.34), "1.23": short(1.234), "0.012": short(0.0123), "1.2e7": short(12345678), "1.2e-5": short(0.0000123),
		"90.0 s": seconds(90), "2.50 min": seconds(150), "3.00 h": seconds(3 * 3600), "5.00 d": seconds(5 * 86400), "500 ms": seconds(0.5),
		"1.50 TB": size(1.5e12), "12.0 B": size(12), ">99.9 %": percent(0.99999), "100 %": percent(1), "1.0e-5 %": percent(1e-7),
		"182 d": years(0.5), "2.0e9 years": years(2e9), "-1,234": short(-1234), "1.0e7": tick(1e7), "2.5": tick(2.5), "10,000": tick(10000),
	} {
		require.Equal(t, want, got)
	}
}

// TestMeasuredRates: what a run has measured goes into the model, as a share of the limit.
func TestMeasuredRates(t *testing.T) {
	p := fleet.Defaults()
	m := p.Measured(sample())
	require.True(t, m.Rates.Measured)
	require.InEpsilon(t, 0.6*p.Rates.Spare, m.Rates.Spare, 1e-9)
	require.InEpsilon(t, 0.6*p.Rates.Copy, m.Rates.Copy, 1e-9)
	require.InEpsilon(t, 0.6*p.Rates.Fold, m.Rates.Fold, 1e-9)
	require.Equal(t, p.Rates, p.Measured(&result.Run{}).Rates, "nothing measured, nothing changed")
	early := sample() // a repair that was over before it was measured: the next one counts
	early.Scheme(result.Three).Fault(result.Node).Repair.Rate = 1e12
	early.Scheme(result.Two).Fault(result.Node).Repair.Rate = 0.5e6
	require.InEpsilon(t, 0.25*p.Rates.Copy, p.Measured(early).Rates.Copy, 1e-9)
	wide := sample()
	wide.Setup.Parity = 16
	r, err := New(wide, p, fleet.Options{Cycles: 100})
	require.NoError(t, err)
	require.Equal(t, 34, r.Fleet.Params.DisksPerNode, "enough for RAID-6 of 32 and 2")
	_, err = New(sample(), fleet.Params{}, fleet.Options{})
	require.ErrorContains(t, err, "fleet: ")
}
