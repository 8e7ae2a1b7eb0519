package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart is a finished picture, in two widths: for a page and a document, and for a telephone.
type Chart struct {
	Name  string // of its file, without ending
	Title string
	Desc  string // what it shows, for those who do not see it

	wide, narrow drawing
}

// drawing is the content of a picture.
type drawing struct {
	svg  string // without the outermost element
	w, h float64
}

const (
	chartWidth  = 780.0
	narrowWidth = 340.0
)

// canvas collects the elements of a chart.
type canvas struct {
	b    strings.Builder
	w, h float64
}

// narrow: there is no room beside the plot for names.
func (c *canvas) narrow() bool { return c.w < 500 }

// drawn draws a chart in both widths.
func drawn(name, title, desc string, draw func(*canvas)) Chart {
	in := func(w float64) drawing {
		c := &canvas{w: w}
		draw(c)
		return drawing{svg: c.b.String(), w: w, h: math.Ceil(c.h)}
	}
	return Chart{Name: name, Title: title, Desc: desc, wide: in(chartWidth), narrow: in(narrowWidth)}
}

func (c *canvas) rect(x, y, w, h float64, class, tip string) {
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5" class="%s">`, x, y, max(w, 0), h, class)
	c.tip(tip)
	c.b.WriteString("</rect>\n")
}

func (c *canvas) tip(tip string) {
	if tip != "" {
		fmt.Fprintf(&c.b, "<title>%s</title>", html.EscapeString(tip))
	}
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// text writes at a baseline; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(s))
}

// mark draws a point: a disk, or a square if it is the second kind; hollow ones have no filling.
func (c *canvas) mark(x, y float64, square bool, class, tip string) {
	if square {
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="11" height="11" class="%s">`, x-5.5, y-5.5, class)
		c.tip(tip)
		c.b.WriteString("</rect>\n")
		return
	}
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="6" class="%s">`, x, y, class)
	c.tip(tip)
	c.b.WriteString("</circle>\n")
}

// dot draws a small point on a line.
func (c *canvas) dot(x, y float64, class, tip string) {
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="3.5" class="%s">`, x, y, class)
	c.tip(tip)
	c.b.WriteString("</circle>\n")
}

// width estimates how wide a text is set, on the wide side.
func width(s string) float64 { return 7.3 * float64(len([]rune(s))) }

// swatch is an entry of a legend.
type swatch struct {
	class, text string
	square      bool
	mark        bool // drawn as a point, not as a field
}

// legend draws entries in lines and moves the canvas below them.
func (c *canvas) legend(items []swatch) {
	x := 0.0
	c.h += 14
	for _, s := range items {
		w := 22 + width(s.text) + 14
		if x > 0 && x+w > c.w {
			x, c.h = 0, c.h+20
		}
		if s.mark {
			c.mark(x+7, c.h-4.5, s.square, s.class, "")
		} else {
			c.rect(x, c.h-10, 14, 11, s.class, "")
		}
		c.text(x+20, c.h, "start", "t", s.text)
		x += w
	}
	c.h += 14
}

// axis writes what an axis is about, in the middle of what lies between two places, in as many
// lines as it takes, and moves the canvas below them.
func (c *canvas) axis(from, to, y float64, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && width(line+" "+word) > c.w {
			c.axisLine(from, to, y, line)
			line, y = "", y+16
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	c.axisLine(from, to, y, line)
	c.h = y + 8
}

func (c *canvas) axisLine(from, to, y float64, line string) {
	half := width(line) / 2
	c.text(max(half, min((from+to)/2, c.w-half)), y, "middle", "t s", line)
}

// SVG is the chart as a file of its own, with its colours in it.
func (c Chart) SVG() []byte {
	d := c.wide
	return []byte(c.open(d, "", ` xmlns="http://www.w3.org/2000/svg"`) + "<style>" + svgStyle + "</style>\n" +
		fmt.Sprintf(`<rect width="%.0f" height="%.0f" class="bg"/>`, d.w+32, d.h+32) + `<g transform="translate(16 16)">` + "\n" + d.svg + "</g>\n</svg>\n")
}

func (c Chart) open(d drawing, suffix, more string) string {
	w, h := d.w, d.h
	if strings.Contains(more, "xmlns") {
		w, h = w+32, h+32
		more += fmt.Sprintf(` width="%.0f" height="%.0f"`, w, h)
	}
	id := c.Name + suffix
	return fmt.Sprintf(`<svg%s viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`+"\n",
		more, w, h, id, id, id, html.EscapeString(c.Title), id, html.EscapeString(c.Desc))
}

// inline is the chart as elements of the page, whose style it uses: the one that fits is shown.
func (c Chart) inline() string {
	return c.open(c.wide, "", ` class="wide"`) + c.wide.svg + "</svg>" + c.open(c.narrow, "-n", ` class="narrow"`) + c.narrow.svg + "</svg>"
}

// ticks are round numbers from 0 to at least top, about five of them.
func ticks(top float64) []float64 {
	if top <= 0 || math.IsInf(top, 0) || math.IsNaN(top) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if top/(step*f) <= 5 {
			step *= f
			break
		}
	}
	var out []float64
	for i := 0; ; i++ {
		x := step * float64(i)
		out = append(out, x)
		if x >= top*0.999 {
			return out
		}
	}
}

// tick writes a number at an axis, with no digit that is not needed.
func tick(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if len(s) > 6 {
		s = scientific(x)
	}
	if !strings.Contains(s, ".") && !strings.Contains(s, "e") {
		s = thousands(s)
	}
	return s
}
