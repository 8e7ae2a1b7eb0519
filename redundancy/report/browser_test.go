package report

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// screens are the widths at which nothing may be cut off.
var screens = []int{400, 800, 1200}

// browser is a Chromium on this machine; "" if there is none.
func browser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	return ""
}

// measure is run by a page that holds a report in a frame of a certain width. It names all
// that reaches out of the frame, or out of an element that would cut it off.
const measure = `<script>
onload = () => document.querySelectorAll("iframe").forEach(frame => {
  const doc = frame.contentDocument, wide = doc.documentElement.clientWidth, bad = [];
  doc.querySelectorAll("details").forEach(d => d.open = true);
  let seen = 0;
  if (doc.documentElement.scrollWidth > wide) bad.push("the page scrolls sideways: " + doc.documentElement.scrollWidth);
  doc.querySelectorAll("body *").forEach(e => {
    const r = e.getBoundingClientRect();
    if (r.width == 0 || r.height == 0) return;
    seen++;
    const name = e.tagName + " " + (e.textContent || "").trim().slice(0, 40);
    if (r.right > wide + 1 || r.left < -1) bad.push(name + " from " + r.left + " to " + r.right);
    if (!(e instanceof doc.defaultView.SVGElement) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display != "inline")
      bad.push(name + " is " + e.scrollWidth + " wide in " + e.clientWidth);
    const svg = e.closest("svg");
    if (e.tagName == "text" && svg) {
      const b = svg.getBoundingClientRect();
      if (r.left < b.left - 1 || r.right > b.right + 1 || r.top < b.top - 1 || r.bottom > b.bottom + 1) bad.push(name + " is outside of its picture");
      if (parseFloat(getComputedStyle(e).fontSize) * b.width / svg.viewBox.baseVal.width < 7) bad.push(name + " is too small to read");
    }
  });
  const out = document.createElement("pre");
  out.className = "found"; out.textContent = wide + " wide, " + seen + " elements\n" + bad.join("\n");
  document.body.append(out);
});
</script>`

var found = regexp.MustCompile(`(?s)<pre class="found">(\d+) wide, (\d+) elements\n?(.*?)</pre>`)

// TestPageFitsEveryScreen looks at the page in a browser, if there is one: on a telephone, a
// tablet and a desk nothing is cut off and no picture is too small to read.
func TestPageFitsEveryScreen(t *testing.T) {
	chromium := browser()
	if chromium == "" {
		t.Skip("no Chromium here; TestPageHasNoFixedWidths looks at the style alone")
	}
	for _, name := range []string{"whole", "untested", "huge"} {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			require.NoError(t, variants(t)[name].HTML(&page))
			all := found.FindAllStringSubmatch(inBrowser(t, chromium, page.String(), screens...), -1)
			require.Len(t, all, len(screens), "the browser has not measured everything")
			for i, m := range all {
				require.Greater(t, len(m[2]), 2, "%s elements", m[2])
				require.InDelta(t, screens[i], numbers(t, m[1])[0], 20, "the frame's width, less a scroll bar")
				require.Empty(t, strings.TrimSpace(html.UnescapeString(m[3])), "%d wide", screens[i])
			}
		})
	}
}

// TestOverflowIsSeen: what is measured in the browser can fail.
func TestOverflowIsSeen(t *testing.T) {
	chromium := browser()
	if chromium == "" {
		t.Skip("no Chromium here")
	}
	m := found.FindStringSubmatch(inBrowser(t, chromium, `<!doctype html><body><p style="width:600px">wide</p><div style="width:100px;overflow:hidden"><b style="display:inline-block;width:200px">cut</b></div>`, 400))
	require.NotNil(t, m)
	require.Contains(t, m[3], "the page scrolls sideways")
	require.Contains(t, m[3], "DIV cut is 200 wide in 100")
}

// inBrowser opens a page in frames of some widths and gives the document after it was
// measured. With REPORT_SHOTS it leaves a picture of each in that directory.
func inBrowser(t *testing.T, chromium, page string, widths ...int) string {
	dir := t.TempDir()
	file := filepath.Join(dir, "frame.html")
	write := func(widths ...int) {
		text := `<!doctype html><meta charset="utf-8"><body style="margin:0">` + measure
		for _, w := range widths {
			text += fmt.Sprintf(`<iframe style="border:0;display:block;width:%dpx;height:16000px" srcdoc="%s"></iframe>`, w, html.EscapeString(page))
		}
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	run := func(args ...string) string {
		args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" + filepath.Join(dir, "profile")}, args...)
		cmd := exec.CommandContext(ctx, chromium, append(args, "file://"+file)...)
		out, err := cmd.Output()
		require.NoError(t, err)
		return string(out)
	}
	if shots := os.Getenv("REPORT_SHOTS"); shots != "" {
		for _, w := range widths {
			write(w)
			name := fmt.Sprintf("%s-%d.png", strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), w)
			run("--hide-scrollbars", fmt.Sprintf("--window-size=%d,9000", max(500, w)), "--screenshot="+filepath.Join(shots, name))
		}
	}
	write(widths...)
	return run("--dump-dom", "--window-size=1300,1000")
}

// TestPageHasNoFixedWidths is the same by the style alone, for machines without a browser: nothing
// scrolls or is hidden inside the page, nothing has a width that a telephone has not, and
// there is a form of every table and picture for it.
func TestPageHasNoFixedWidths(t *testing.T) {
	for _, bad := range []string{"overflow-x", "overflow: hidden", "overflow: auto", "nowrap", "min-width: 560px"} {
		require.NotContains(t, pageStyle, bad)
	}
	for _, m := range regexp.MustCompile(`(?:^|[;{ ])(?:min-)?width: (\d+)px`).FindAllStringSubmatch(pageStyle, -1) {
		require.LessOrEqual(t, len(m[1]), 2, m[0])
	}
	var b bytes.Buffer
	require.NoError(t, sampleReport(t).HTML(&b))
	page := b.String()
	require.Equal(t, strings.Count(page, `class="wide"`), strings.Count(page, `class="narrow"`))
	require.Positive(t, strings.Count(page, `class="narrow"`))
	cells := strings.Count(page, "<td")
	require.Equal(t, cells, strings.Count(page, "data-head="), "every cell names its column")
}
