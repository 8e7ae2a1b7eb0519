package report

import (
	"fmt"
	"html"
	"math"
)

// bar is one bar, of one or more pieces.
type bar struct {
	parts     []part
	low, high float64 // the range of its length over the rounds; equal: none is drawn
	label     string  // at its end; or instead of it, when there is nothing to draw
}

type part struct {
	value float64
	class string
	tip   string
}

func (b bar) sum() float64 {
	var s float64
	for _, p := range b.parts {
		s += p.value
	}
	return s
}

// end is how far it is drawn.
func (b bar) end() float64 {
	if len(b.parts) == 0 {
		return 0
	}
	return max(b.sum(), b.high)
}

// rows is a group of bars with a name.
type rows struct {
	name string
	bars []bar
}

const (
	barThick = 17.0
	groupGap = 12.0
)

// bars draws groups of lying bars over a common scale; without groups there is no chart.
func bars(name, title, desc, axis string, legend []swatch, groups []rows) Chart {
	if len(groups) == 0 {
		return Chart{}
	}
	return drawn(name, title, desc, func(c *canvas) {
		c.legend(legend)
		left, top := 0.0, 0.0
		for _, g := range groups {
			if !c.narrow() {
				left = max(left, width(g.name)+12)
			}
			for _, b := range g.bars {
				top = max(top, b.end())
			}
		}
		scale := ticks(top)
		end := scale[len(scale)-1]
		plot := c.w - left - 16
		for _, g := range groups { // as wide as leaves room for each label behind its bar
			for _, b := range g.bars {
				if v := b.end(); v > 0 {
					plot = min(plot, (c.w-left-width(b.label)-10)*end/v)
				}
			}
		}
		plot = max(plot, 40)
		x := func(v float64) float64 { return left + plot*v/end }
		begin, y := c.h, c.h+8
		body := &canvas{w: c.w}
		for _, g := range groups {
			y = body.group(g, left, y, x)
		}
		for _, v := range scale {
			c.line(x(v), begin, x(v), y-groupGap+8, "grid")
			if v == 0 || plot/float64(len(scale)-1) > width(tick(end)) {
				c.text(max(x(v), 4), y+8, "middle", "t s", tick(v))
			}
		}
		c.b.WriteString(body.b.String())
		c.axis(left, left+plot, y+26, axis)
	})
}

// group draws a group of bars from y on and gives where the next one begins.
func (c *canvas) group(g rows, left, y float64, x func(float64) float64) float64 {
	if c.narrow() {
		c.text(0, y+9, "start", "t b", g.name)
		y += 15
	}
	first := y
	for _, b := range g.bars {
		at := 0.0
		for _, p := range b.parts {
			c.rect(x(at), y, x(at+p.value)-x(at), barThick-3, p.class, p.tip)
			at += p.value
		}
		if b.high > b.low && len(b.parts) > 0 {
			c.line(x(b.low), y+7, x(b.high), y+7, "range")
			c.line(x(b.low), y+4, x(b.low), y+10, "range")
			c.line(x(b.high), y+4, x(b.high), y+10, "range")
		}
		c.text(x(b.end())+6, y+11.5, "start", "t v", b.label)
		y += barThick
	}
	if !c.narrow() {
		c.text(left-10, (first+y)/2+3, "end", "t", g.name)
	}
	return y + groupGap
}

// point is a mark in a scatter chart.
type point struct {
	x, y      float64
	low, high float64 // the range of y over the rounds; equal: none is drawn
	class     string
	square    bool
	tip       string
}

// scatter draws points over two linear scales that begin at 0; without points there is no chart.
func scatter(name, title, desc, xAxis, yAxis string, legend []swatch, points []point) Chart {
	if len(points) == 0 {
		return Chart{}
	}
	return drawn(name, title, desc, func(c *canvas) {
		c.legend(legend)
		var xTop, yTop float64
		for _, p := range points {
			xTop, yTop = max(xTop, p.x), max(yTop, p.y, p.high)
		}
		xs, ys := ticks(xTop), ticks(yTop)
		const left, high = 62.0, 300.0
		begin := c.h + 10
		x := func(v float64) float64 { return left + (c.w-left-24)*v/xs[len(xs)-1] }
		y := func(v float64) float64 { return begin + high*(1-v/ys[len(ys)-1]) }
		for _, v := range xs {
			c.line(x(v), begin, x(v), begin+high, "grid")
			c.text(x(v), begin+high+18, "middle", "t s", tick(v))
		}
		for _, v := range ys {
			c.line(left, y(v), c.w-24, y(v), "grid")
			c.text(left-8, y(v)+4, "end", "t s", tick(v))
		}
		for i, p := range points {
			at := x(p.x)
			for _, q := range points[:i] { // beside another point, not on it
				if math.Abs(at-x(q.x)) < 8 && math.Abs(y(p.y)-y(q.y)) < 9 {
					at += 13
				}
			}
			if p.high > p.low {
				c.line(at, y(p.low), at, y(p.high), "span "+p.class)
			}
			c.mark(at, y(p.y), p.square, p.class, p.tip)
		}
		fmt.Fprintf(&c.b, `<text transform="translate(13 %.1f) rotate(-90)" text-anchor="middle" class="t s">%s</text>`+"\n", begin+high/2, html.EscapeString(yAxis))
		c.axis(left, c.w, begin+high+38, xAxis)
	})
}

// span is a line of a chart over powers of ten: from one mark to another.
type span struct {
	name         string
	hollow, full float64
	class, label string
	tips         [2]string
}

// spans draws, line by line, two marks over a scale of powers of ten and the way between.
func spans(name, title, desc, axis string, legend []swatch, lines []span) Chart {
	return drawn(name, title, desc, func(c *canvas) {
		c.legend(legend)
		left, right, thick := 0.0, 0.0, 32.0
		var values []float64
		for _, l := range lines {
			values = append(values, l.hollow, l.full)
			left, right = max(left, width(l.name)+12), max(right, width(l.label)+16)
		}
		if c.narrow() { // name and figures stand above the line
			left, right, thick = 6, 10, 44
		}
		low, high := decades(values)
		plot := c.w - left - right - 10
		x := func(v float64) float64 { return left + 10 + (plot-10)*(math.Log10(v)-low)/(high-low) }
		begin := c.h
		bottom := begin + thick*float64(len(lines)) + 8
		step := math.Ceil((high - low) / math.Min(10, math.Floor(plot/42)))
		for d := low; d <= high; d += step {
			at := x(math.Pow(10, d))
			c.line(at, begin, at, bottom, "grid")
			c.power(at, bottom+17, d)
		}
		for i, l := range lines {
			y := begin + 24 + thick*float64(i)
			if c.narrow() {
				c.text(0, y-6, "start", "t b", l.name)
				c.text(c.w-2, y-6, "end", "t v", l.label)
				y += 10
			} else {
				c.text(left-8, y+4, "end", "t", l.name)
				c.text(c.w-right+10, y+4, "start", "t v", l.label)
			}
			c.between(l, x, y)
		}
		c.axis(left, left+plot, bottom+36, axis)
	})
}

// between draws the marks of a line and the way from one to the other.
func (c *canvas) between(l span, x func(float64) float64, y float64) {
	if l.hollow > 0 && l.full > 0 {
		c.line(x(l.hollow), y, x(l.full), y, "span "+l.class)
	}
	if l.hollow > 0 {
		c.mark(x(l.hollow), y, false, "hollow "+l.class, l.tips[0])
	}
	if l.full > 0 {
		c.mark(x(l.full), y, false, l.class, l.tips[1])
	}
}

// decades are the whole powers of ten around some values; those that are 0 are not there.
func decades(values []float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, math.Floor(math.Log10(v))), max(high, math.Ceil(math.Log10(v)+0.01))
		}
	}
	if math.IsInf(low, 0) {
		return 0, 1
	}
	return low, high
}

// power writes a power of ten.
func (c *canvas) power(x, y, d float64) {
	if d >= -2 && d <= 3 {
		c.text(x, y, "middle", "t s", tick(math.Pow(10, d)))
		return
	}
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="middle" class="t s">10<tspan dy="-4" class="up">%.0f</tspan></text>`+"\n", x, y, d)
}

// cell is a field of a matrix.
type cell struct{ class, text, more, tip string }

// matrix draws fields in rows and columns; where it is narrow, each row as a block of its own,
// its fields below each other.
func matrix(name, title, desc string, legend []swatch, columns, names []string, cells [][]cell) Chart {
	return drawn(name, title, desc, func(c *canvas) {
		c.legend(legend)
		if c.narrow() {
			c.blocks(columns, names, cells)
			return
		}
		left := 0.0
		for _, n := range names {
			left = max(left, width(n)+12)
		}
		w, h := (c.w-left)/float64(len(columns)), 44.0
		y := c.h + 16
		for i, text := range columns {
			c.text(left+w*(float64(i)+0.5), y, "middle", "t s", text)
		}
		y += 10
		for i, row := range cells {
			c.text(left-10, y+h/2+4, "end", "t", names[i])
			for j, f := range row {
				c.field(left+w*float64(j)+2, y+2, w-4, h-4, f)
			}
			y += h
		}
		c.h = y + 6
	})
}

// field draws a field with one line of text or two.
func (c *canvas) field(x, y, w, h float64, f cell) {
	c.rect(x, y, w, h, f.class, f.tip)
	if f.more == "" {
		c.text(x+w/2, y+h/2+4, "middle", "t in-"+f.class, f.text)
		return
	}
	c.text(x+w/2, y+h/2-3, "middle", "t in-"+f.class, f.text)
	c.text(x+w/2, y+h/2+13, "middle", "t s in-"+f.class, f.more)
}

func (c *canvas) blocks(columns, names []string, cells [][]cell) {
	left := 0.0
	for _, text := range columns {
		left = max(left, width(text)+8)
	}
	const h = 40.0
	y := c.h + 16
	for i, row := range cells {
		c.text(0, y, "start", "t b", names[i])
		y += 6
		for j, f := range row {
			c.text(0, y+h/2+4, "start", "t s", columns[j])
			c.field(left, y+1, c.w-left, h-2, f)
			y += h
		}
		y += 26
	}
	c.h = y - 16
}

// panel is a part of a chart of lines, over a scale of its own.
type panel struct {
	axis  string
	at    []float64
	ticks []string
	lines []line
}

type line struct {
	class string
	dash  bool
	y     []float64
	tips  []string
}

// panels draws lines over powers of ten in both directions, panel beside panel or, where it is
// narrow, below each other. All have the same scale upward.
func panels(name, title, desc, yAxis string, legend []swatch, all []panel) Chart {
	if len(all) == 0 {
		return Chart{}
	}
	return drawn(name, title, desc, func(c *canvas) {
		c.legend(legend)
		var values []float64
		for _, p := range all {
			for _, l := range p.lines {
				values = append(values, l.y...)
			}
		}
		low, high := decades(values)
		c.text(0, c.h+8, "start", "t s", yAxis)
		c.h += 18
		w := (c.w - 30*float64(len(all)-1)) / float64(len(all))
		if c.narrow() {
			w = c.w
		}
		left, top := 0.0, c.h
		for i, p := range all {
			if c.narrow() && i > 0 {
				top = c.h + 20
			}
			c.panel(p, left, top, w, low, high)
			if !c.narrow() {
				left += w + 30
			}
		}
	})
}

func (c *canvas) panel(p panel, left, top, w, low, high float64) {
	const tall, margin = 300.0, 44.0
	first, last := math.Log10(p.at[0]), math.Log10(p.at[len(p.at)-1])
	x := func(v float64) float64 { return left + margin + (w-margin-24)*(math.Log10(v)-first)/(last-first) }
	y := func(v float64) float64 { return top + 8 + tall*(1-(math.Log10(v)-low)/(high-low)) }
	for i, v := range p.at {
		c.line(x(v), top+8, x(v), top+8+tall, "grid")
		c.text(x(v), top+tall+26, "middle", "t s", p.ticks[i])
	}
	for d := low; d <= high; d += math.Ceil((high - low) / 10) {
		c.line(left+margin, y(math.Pow(10, d)), left+w-24, y(math.Pow(10, d)), "grid")
		c.power(left+22, y(math.Pow(10, d))+4, d)
	}
	for _, l := range p.lines {
		class := "line " + l.class
		if l.dash {
			class += " dash"
		}
		for i := range l.y {
			if i > 0 && l.y[i] > 0 && l.y[i-1] > 0 {
				c.line(x(p.at[i-1]), y(l.y[i-1]), x(p.at[i]), y(l.y[i]), class)
			}
		}
		for i, v := range l.y {
			if v > 0 {
				c.dot(x(p.at[i]), y(v), l.class, l.tips[i])
			}
		}
	}
	c.axis(left+margin, left+w-24, top+tall+46, p.axis)
}
