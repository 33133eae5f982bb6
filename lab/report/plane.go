package report

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Plane is a picture of regions of the complex plane: a frame for every panel, one
// legend for all. Lengths are alike along both axes of a frame.
type Plane struct {
	Title   string
	X, Y    string   // titles of the axes
	Methods []string // the legend
	Notes   []string // under the legend
	Panels  []PlanePanel
}

// A PlanePanel is one frame, from corner to corner.
type PlanePanel struct {
	Title    string
	Min, Max complex128
	Regions  []Region
}

// A Region is what is inside of closed lines.
type Region struct {
	Method int // its place in Methods: its colour
	Loops  [][]complex128
}

// check refuses what cannot be drawn.
func (p *Plane) check() error {
	if len(p.Panels) == 0 {
		return errors.New("report: no regions to draw")
	}
	for _, panel := range p.Panels {
		d := panel.Max - panel.Min
		if !(real(d) > 0 && imag(d) > 0) || math.IsInf(real(d), 0) || math.IsInf(imag(d), 0) {
			return fmt.Errorf("report: panel %q from %g to %g: must have an extent", panel.Title, panel.Min, panel.Max)
		}
		for _, r := range panel.Regions {
			if r.Method < 0 || r.Method >= len(p.Methods) {
				return fmt.Errorf("report: panel %q has a region of method %d: there are %d", panel.Title, r.Method, len(p.Methods))
			}
		}
	}
	return nil
}

// Sizes of a plane's picture in points.
const (
	planeFrame = 215 // width of a frame
	planeAbove = 22  // a frame's title
	planeBelow = 38  // numbers and title of the real axis

	flattest, tallest = 0.6, 1.4 // heights of frames, to their width
)

// A planeLayout is where a plane's frames are.
type planeLayout struct {
	cols          int
	heights       []vg.Length // of the frames, row by row
	left, gap     vg.Length
	above, top    vg.Length // the room for a frame's title, and where the first frame begins
	width, height vg.Length
}

func (p *Plane) layout() planeLayout {
	l := planeLayout{cols: min(len(p.Panels), 2), left: margin + textSize + 40, gap: 44}
	for i, panel := range p.Panels {
		if i%l.cols == 0 {
			l.heights = append(l.heights, flattest*planeFrame)
		}
		if panel.Title != "" {
			l.above = planeAbove
		}
		d := panel.Max - panel.Min
		row := &l.heights[len(l.heights)-1]
		*row = max(*row, vg.Length(min(imag(d)/real(d), tallest))*planeFrame)
	}
	text, small := textStyle(textSize, ink), textStyle(smallSize, ink)
	var legend vg.Length
	for _, m := range p.Methods {
		legend = max(legend, thumb+6+text.Width(m))
	}
	for _, n := range p.Notes {
		legend = max(legend, small.Width(n))
	}
	l.top = margin + titleSize + 8 + l.above
	l.width = l.left + vg.Length(l.cols)*planeFrame + vg.Length(l.cols-1)*l.gap + 16 + legend + margin
	l.height = l.top - l.above + margin/2
	for _, h := range l.heights {
		l.height += l.above + h + planeBelow
	}
	return l
}

// Write writes the picture as "png" (192 pixels an inch), "svg" or "pdf".
func (p *Plane) Write(w io.Writer, format string) error {
	if err := p.check(); err != nil {
		return err
	}
	write := map[string]func(io.Writer, vg.Length, vg.Length, func(draw.Canvas)) error{"png": writePNG, "svg": writeSVG, "pdf": writePDF}[format]
	if write == nil {
		return fmt.Errorf("report: format %q: must be png, svg or pdf", format)
	}
	l := p.layout()
	return write(w, l.width, l.height, func(c draw.Canvas) { p.draw(c, l) })
}

func (p *Plane) draw(c draw.Canvas, l planeLayout) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c.FillText(bold(textStyle(titleSize, ink)), vg.Point{X: l.left, Y: c.Max.Y - margin - titleSize}, p.Title)
	y := l.height - l.top
	for i, panel := range p.Panels {
		col, row := i%l.cols, i/l.cols
		if col == 0 && row > 0 {
			y -= l.heights[row-1] + planeBelow + l.above
		}
		frame := draw.Canvas{Canvas: c.Canvas}
		frame.Min.X = l.left + vg.Length(col)*(planeFrame+l.gap)
		frame.Max.X = frame.Min.X + planeFrame
		frame.Max.Y = y
		frame.Min.Y = y - l.heights[row]
		p.drawPanel(frame, panel, col == 0, i+l.cols >= len(p.Panels))
	}
	at := vg.Point{X: l.left + vg.Length(l.cols)*planeFrame + vg.Length(l.cols-1)*l.gap + 16, Y: l.height - l.top - legendLine/2}
	text, small := textStyle(textSize, ink), textStyle(smallSize, faint)
	for i, m := range p.Methods {
		c.StrokeLine2(draw.LineStyle{Color: Color(i), Width: 1.8, Dashes: dashes(i)}, at.X, at.Y, at.X+thumb, at.Y)
		c.FillText(text, vg.Point{X: at.X + thumb + 6, Y: at.Y - 0.34*textSize}, m)
		at.Y -= legendLine
	}
	for _, n := range p.Notes {
		at.Y -= 11
		c.FillText(small, vg.Point{X: at.X, Y: at.Y}, n)
	}
}

// axes are the two axes of a frame, which is widened or heightened around the panel
// so that lengths are alike.
func (p PlanePanel) axes(width, height vg.Length) (x, y axis) {
	x, y = axis{lo: real(p.Min), hi: real(p.Max)}, axis{lo: imag(p.Min), hi: imag(p.Max)}
	shape := float64(height / width)
	if want := x.span() * shape; want > y.span() {
		d := (want/y.span() - 1) / 2
		y.extend(d, d)
	} else {
		d := y.span()/shape/x.span() - 1
		x.extend(0.75*d, 0.25*d) // regions are on the left
	}
	x.setTicks()
	y.setTicks()
	return x, y
}

func (p *Plane) drawPanel(c draw.Canvas, panel PlanePanel, ytitle, xtitle bool) {
	x, y := panel.axes(c.Max.X-c.Min.X, c.Max.Y-c.Min.Y)
	panelGrid{x, y}.draw(c)
	at := func(z complex128) vg.Point { return vg.Point{X: c.X(x.norm(real(z))), Y: c.Y(y.norm(imag(z)))} }
	for _, r := range panel.Regions {
		fill := Color(r.Method)
		fill.A = 0x22
		for _, loop := range r.Loops {
			points := make([]vg.Point, len(loop))
			for i, z := range loop {
				points[i] = at(z)
			}
			c.FillPolygon(fill, c.ClipPolygonXY(slices.Clone(points)))
			c.StrokeLines(draw.LineStyle{Color: Color(r.Method), Width: 1.4, Dashes: dashes(r.Method)}, c.ClipLinesXY(append(points, points[0]))...)
		}
	}
	line := draw.LineStyle{Color: frame, Width: 0.7}
	c.SetLineStyle(line)
	c.Stroke(c.Rectangle.Path())
	c.FillText(bold(textStyle(textSize, ink)), vg.Point{X: c.Min.X, Y: c.Max.Y + 8}, panel.Title)
	small := textStyle(smallSize, ink)
	small.XAlign = draw.XCenter
	for _, t := range x.ticks {
		label(c, small, vg.Point{X: c.X(x.norm(t.at)), Y: c.Min.Y - tickLength - 2 - smallSize}, t.label)
	}
	small.XAlign = draw.XRight
	for _, t := range y.ticks {
		label(c, small, vg.Point{X: c.Min.X - tickLength - 3, Y: c.Y(y.norm(t.at)) - 0.36*smallSize}, t.label)
	}
	text := textStyle(textSize, ink)
	text.XAlign = draw.XCenter
	if xtitle {
		c.FillText(text, vg.Point{X: c.Center().X, Y: c.Min.Y - 28}, p.X)
	}
	if ytitle {
		text.Rotation = math.Pi / 2
		c.FillText(text, vg.Point{X: c.Min.X - 36, Y: c.Center().Y}, p.Y)
	}
}

// A panelGrid is the thin lines behind regions, those through 0 darker.
type panelGrid struct{ x, y axis }

func (g panelGrid) draw(c draw.Canvas) {
	style := func(at float64) draw.LineStyle {
		if at == 0 {
			return draw.LineStyle{Color: frame, Width: 0.7}
		}
		return draw.LineStyle{Color: rule, Width: 0.5}
	}
	for _, t := range g.x.ticks {
		x := c.X(g.x.norm(t.at))
		c.StrokeLine2(style(t.at), x, c.Min.Y, x, c.Max.Y)
	}
	for _, t := range g.y.ticks {
		y := c.Y(g.y.norm(t.at))
		c.StrokeLine2(style(t.at), c.Min.X, y, c.Max.X, y)
	}
}
