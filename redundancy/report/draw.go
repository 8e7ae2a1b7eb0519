package report

import (
	"fmt"
	"html"
	"math"
)

// bar is one bar, of one or more pieces.
type bar struct {
	parts []part
	label string // at its end; or instead of it, when there is nothing to draw
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

// rows is a group of bars with a name.
type rows struct {
	name string
	bars []bar
}

// bars draws groups of lying bars over a common scale; without groups there is no chart.
func bars(name, title, desc, axis string, legend []swatch, groups []rows) Chart {
	if len(groups) == 0 {
		return Chart{}
	}
	c := &canvas{}
	c.legend(legend)
	left, top := 0.0, 0.0
	for _, g := range groups {
		left = max(left, width(g.name)+12)
		for _, b := range g.bars {
			top = max(top, b.sum())
		}
	}
	scale := ticks(top)
	end := scale[len(scale)-1]
	plot := chartWidth - left - 16
	for _, g := range groups { // as wide as leaves room for each label behind its bar
		for _, b := range g.bars {
			if v := b.sum(); v > 0 {
				plot = min(plot, (chartWidth-left-width(b.label)-10)*end/v)
			}
		}
	}
	x := func(v float64) float64 { return left + plot*v/end }
	begin, y := c.h, c.h+8
	const thick, gap = 17.0, 12.0
	body := &canvas{}
	for _, g := range groups {
		first := y
		for _, b := range g.bars {
			at := 0.0
			for _, p := range b.parts {
				body.rect(x(at), y, x(at+p.value)-x(at), thick-3, p.class, p.tip)
				at += p.value
			}
			body.text(x(at)+6, y+11.5, "start", "t v", b.label)
			y += thick
		}
		body.text(left-10, (first+y)/2+3, "end", "t", g.name)
		y += gap
	}
	for _, v := range scale {
		c.line(x(v), begin, x(v), y-gap+8, "grid")
		c.text(x(v), y+8, "middle", "t s", tick(v))
	}
	c.b.WriteString(body.b.String())
	c.text(left+plot/2, y+26, "middle", "t s", axis)
	c.h = y + 34
	return c.chart(name, title, desc)
}

// point is a mark in a scatter chart.
type point struct {
	x, y   float64
	class  string
	square bool
	tip    string
}

// scatter draws points over two linear scales that begin at 0; without points there is no chart.
func scatter(name, title, desc, xAxis, yAxis string, legend []swatch, points []point) Chart {
	if len(points) == 0 {
		return Chart{}
	}
	c := &canvas{}
	c.legend(legend)
	var xTop, yTop float64
	for _, p := range points {
		xTop, yTop = max(xTop, p.x), max(yTop, p.y)
	}
	xs, ys := ticks(xTop), ticks(yTop)
	const left, high = 62.0, 300.0
	begin := c.h + 10
	x := func(v float64) float64 { return left + (chartWidth-left-24)*v/xs[len(xs)-1] }
	y := func(v float64) float64 { return begin + high*(1-v/ys[len(ys)-1]) }
	for _, v := range xs {
		c.line(x(v), begin, x(v), begin+high, "grid")
		c.text(x(v), begin+high+18, "middle", "t s", tick(v))
	}
	for _, v := range ys {
		c.line(left, y(v), chartWidth-24, y(v), "grid")
		c.text(left-8, y(v)+4, "end", "t s", tick(v))
	}
	for i, p := range points {
		at := x(p.x)
		for _, q := range points[:i] { // beside another point, not on it
			if math.Abs(at-x(q.x)) < 8 && math.Abs(y(p.y)-y(q.y)) < 9 {
				at += 13
			}
		}
		c.mark(at, y(p.y), p.square, p.class, p.tip)
	}
	c.text(left+(chartWidth-left)/2, begin+high+38, "middle", "t s", xAxis)
	fmt.Fprintf(&c.b, `<text transform="translate(13 %.1f) rotate(-90)" text-anchor="middle" class="t s">%s</text>`+"\n", begin+high/2, html.EscapeString(yAxis))
	c.h = begin + high + 46
	return c.chart(name, title, desc)
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
	c := &canvas{}
	c.legend(legend)
	low, high, left, right := math.Inf(1), math.Inf(-1), 0.0, 0.0
	for _, l := range lines {
		for _, v := range []float64{l.hollow, l.full} {
			if v > 0 {
				low, high = min(low, math.Floor(math.Log10(v))), max(high, math.Ceil(math.Log10(v)+0.01))
			}
		}
		left, right = max(left, width(l.name)+12), max(right, width(l.label)+16)
	}
	if math.IsInf(low, 0) {
		low, high = 0, 1
	}
	step := math.Ceil((high - low) / 10)
	plot := chartWidth - left - right - 10
	x := func(v float64) float64 { return left + 10 + (plot-10)*(math.Log10(v)-low)/(high-low) }
	begin := c.h
	y := begin + 24
	bottom := begin + 32*float64(len(lines)) + 8
	for d := low; d <= high; d += step {
		at := x(math.Pow(10, d))
		c.line(at, begin, at, bottom, "grid")
		c.power(at, bottom+17, d)
	}
	for _, l := range lines {
		c.text(left-8, y+4, "end", "t", l.name)
		if l.hollow > 0 && l.full > 0 {
			c.line(x(l.hollow), y, x(l.full), y, "span "+l.class)
		}
		if l.hollow > 0 {
			c.mark(x(l.hollow), y, false, "hollow "+l.class, l.tips[0])
		}
		if l.full > 0 {
			c.mark(x(l.full), y, false, l.class, l.tips[1])
		}
		c.text(chartWidth-right+10, y+4, "start", "t v", l.label)
		y += 32
	}
	c.text(left+plot/2, bottom+36, "middle", "t s", axis)
	c.h = bottom + 44
	return c.chart(name, title, desc)
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
type cell struct{ class, text, tip string }

// matrix draws fields in rows and columns.
func matrix(name, title, desc string, legend []swatch, columns, names []string, cells [][]cell) Chart {
	c := &canvas{}
	c.legend(legend)
	left := 0.0
	for _, n := range names {
		left = max(left, width(n)+12)
	}
	w, h := (chartWidth-left)/float64(len(columns)), 34.0
	y := c.h + 16
	for i, text := range columns {
		c.text(left+w*(float64(i)+0.5), y, "middle", "t s", text)
	}
	y += 10
	for i, row := range cells {
		c.text(left-10, y+h/2+4, "end", "t", names[i])
		for j, f := range row {
			x := left + w*float64(j)
			c.rect(x+2, y+2, w-4, h-4, f.class, f.tip)
			c.text(x+w/2, y+h/2+4, "middle", "t in-"+f.class, f.text)
		}
		y += h
	}
	c.h = y + 6
	return c.chart(name, title, desc)
}
