package report

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"github.com/assay-lab/assay/lab"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Figure is the picture of an experiment's curves: a frame for every panel,
// one legend for all.
type Figure struct {
	title    string
	xlabel   string
	ylabel   string
	notes    []string // under the legend
	offScale bool
	methods  []string
	panels   []panel
	cols     int
	ownY     bool      // panels have different y axes
	frame    vg.Length // width of a frame
}

// Sizes in points.
const (
	titleSize, textSize, smallSize = 11.5, 9, 8
	margin                         = 10
	tickLength                     = 3
	legendLine                     = 14
	thumb                          = 22 // width of a legend's sample
)

// NewFigure lays out the curves of an experiment. Curves without any point make
// an error.
func NewFigure(e *lab.Experiment, c lab.Curves) (*Figure, error) {
	f := &Figure{title: e.Title, xlabel: c.Cost.Label(), ylabel: c.Quality.Label(), methods: c.Methods()}
	if f.title == "" {
		f.title = e.Name
	}
	switch c.Quality.Better {
	case lab.Lower:
		f.ylabel += " (lower is better)"
	case lab.Higher:
		f.ylabel += " (higher is better)"
	}
	var budgets []float64
	most := 0 // seeds
	for _, name := range c.Panels() {
		if p := newPanel(c, name, f.methods); len(p.traces) > 0 {
			f.panels = append(f.panels, p)
		}
	}
	for _, cv := range c.Curves {
		for _, q := range cv.Points {
			budgets = append(budgets, q.Budget)
			most = max(most, len(q.Seeds))
		}
	}
	if len(f.panels) == 0 {
		return nil, errors.New("report: no results to draw")
	}
	if most > 1 {
		f.notes = append(f.notes, fmt.Sprintf("mean of %d seeds", most), "band: lowest to highest")
		if most >= manySeeds {
			f.notes[1] = "band: 10–90 %"
		}
	}
	f.arrange()
	f.setAxes(c, budgets)
	for _, p := range f.panels {
		top, bottom := p.off()
		f.offScale = f.offScale || top || bottom
	}
	return f, nil
}

// arrange chooses rows, columns and sizes: frames in one row up to three.
func (f *Figure) arrange() {
	n := len(f.panels)
	f.cols = n
	if n > 3 {
		f.cols = int(math.Ceil(math.Sqrt(float64(n))))
	}
	f.frame = 190
	if n == 1 {
		f.frame = 300
	}
}

// setAxes gives all panels one cost axis, and one quality axis if that leaves
// every panel most of its height.
func (f *Figure) setAxes(c lab.Curves, budgets []float64) {
	var allX, allY []float64
	own := make([]axis, len(f.panels))
	widest := 0.0
	for i, p := range f.panels {
		xs, ys := p.numbers()
		allX, allY = append(allX, xs...), append(allY, ys...)
		own[i] = qualityAxis(c.Quality, ys)
		widest = max(widest, own[i].span())
	}
	x, y := newAxis(c.Cost.Log, allX), qualityAxis(c.Quality, allY)
	small := textStyle(smallSize, ink)
	x.budgetTicks(budgets, func(s string) float64 { return float64((labelWidth(small, s) + 5) / f.frame) })
	f.ownY = y.span() > 1.5*widest
	for i := range f.panels {
		p := &f.panels[i]
		p.x, p.y = x, y
		if f.ownY {
			p.y = own[i]
		}
	}
	f.leaveRoom()
}

// leaveRoom extends the quality axes where marks sit at the frame, so that they
// stand apart from the curves, and sets the ticks.
func (f *Figure) leaveRoom() {
	var top, bottom bool
	for _, p := range f.panels {
		t, b := p.off()
		top, bottom = top || t, bottom || b
	}
	for i := range f.panels {
		p := &f.panels[i]
		t, b := top, bottom
		if f.ownY {
			t, b = p.off()
		}
		var below, above float64
		if t {
			above = 0.07
		}
		if b {
			below = 0.07
		}
		p.y.extend(below, above)
		p.y.setTicks()
	}
}

// draw draws the figure.
func (f *Figure) draw(c draw.Canvas) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	l := f.layout()
	y := c.Max.Y - margin
	for _, line := range l.title {
		title := bold(textStyle(titleSize, ink))
		c.FillText(title, vg.Point{X: l.left(0), Y: y - titleSize}, line)
		y -= titleSize + 3
	}
	for i, p := range f.panels {
		col, row := i%f.cols, i/f.cols
		frame := draw.Canvas{Canvas: c.Canvas}
		frame.Min.X = l.left(col)
		frame.Max.X = frame.Min.X + f.frame
		frame.Max.Y = l.height - l.top - vg.Length(row)*l.rowHeight
		frame.Min.Y = frame.Max.Y - l.frameHeight
		f.drawFrame(frame, p, col == 0 || f.ownY, col == 0)
	}
	f.drawLegend(c, vg.Point{X: l.left(f.cols-1) + f.frame + 14, Y: l.height - l.top})
}

func (f *Figure) drawFrame(c draw.Canvas, p panel, numbers, title bool) {
	p.draw(c)
	line := draw.LineStyle{Color: frame, Width: 0.7}
	c.SetLineStyle(line)
	c.Stroke(c.Rectangle.Path())
	// The frame must not hide the marks that sit on it.
	p.drawOff(c)
	if p.title != "" {
		c.FillText(bold(textStyle(textSize, ink)), vg.Point{X: c.Min.X, Y: c.Max.Y + 8}, p.title)
	}
	small := textStyle(smallSize, ink)
	small.XAlign = draw.XCenter
	for _, t := range p.x.ticks {
		x := c.X(p.x.norm(t.at))
		c.StrokeLine2(line, x, c.Min.Y, x, c.Min.Y-t.length())
		label(c, small, vg.Point{X: x, Y: c.Min.Y - tickLength - 2 - smallSize}, t.label)
	}
	small.XAlign = draw.XRight
	for _, t := range p.y.ticks {
		y := c.Y(p.y.norm(t.at))
		c.StrokeLine2(line, c.Min.X, y, c.Min.X-t.length(), y)
		if numbers {
			label(c, small, vg.Point{X: c.Min.X - tickLength - 3, Y: y - 0.36*smallSize}, t.label)
		}
	}
	text := textStyle(textSize, ink)
	text.XAlign = draw.XCenter
	c.FillText(text, vg.Point{X: c.Center().X, Y: c.Min.Y - 28}, f.xlabel)
	if title {
		text.Rotation = math.Pi / 2
		c.FillText(text, vg.Point{X: c.Min.X - f.numbersWidth() - 9, Y: c.Center().Y}, f.ylabel)
	}
}

func (t tick) length() vg.Length {
	if t.label == "" {
		return tickLength * 0.6
	}
	return tickLength
}

// numbersWidth is the room for the y axes' numbers.
func (f *Figure) numbersWidth() vg.Length {
	var w vg.Length
	for _, p := range f.panels {
		for _, t := range p.y.ticks {
			w = max(w, labelWidth(textStyle(smallSize, ink), t.label))
		}
	}
	return w + tickLength + 3
}

func (f *Figure) drawLegend(c draw.Canvas, at vg.Point) {
	text := textStyle(textSize, ink)
	at.Y -= legendLine / 2
	for i, name := range f.methods {
		c.StrokeLine2(draw.LineStyle{Color: Color(i), Width: 1.4, Dashes: dashes(i)}, at.X, at.Y, at.X+thumb, at.Y)
		marker(c, i, vg.Point{X: at.X + thumb/2, Y: at.Y})
		c.FillText(text, vg.Point{X: at.X + thumb + 6, Y: at.Y - 0.34*textSize}, name)
		at.Y -= legendLine
	}
	small := textStyle(smallSize, faint)
	at.Y -= 4
	if f.offScale {
		drawOffMark(c, vg.Point{X: at.X + thumb/2, Y: at.Y}, f.panels[0].worst == 1, faint)
		c.FillText(small, vg.Point{X: at.X + thumb + 6, Y: at.Y - 0.34*smallSize}, "diverged or off scale")
		at.Y -= legendLine
	}
	for _, note := range f.notes {
		c.FillText(small, vg.Point{X: at.X, Y: at.Y - 0.34*smallSize}, note)
		at.Y -= 11
	}
}

func (f *Figure) legendSize() (w, h vg.Length) {
	text, small := textStyle(textSize, ink), textStyle(smallSize, ink)
	for _, name := range f.methods {
		w = max(w, thumb+6+text.Width(name))
	}
	h = vg.Length(len(f.methods))*legendLine + 4
	if f.offScale {
		w = max(w, thumb+6+small.Width("diverged or off scale"))
		h += legendLine
	}
	for _, note := range f.notes {
		w = max(w, small.Width(note))
		h += 11
	}
	return w, h
}

// A layout is where things are.
type layout struct {
	title                  []string
	top                    vg.Length // from the upper edge to the first frames
	frameHeight, rowHeight vg.Length
	width, height          vg.Length
	left                   func(col int) vg.Length
}

func (f *Figure) layout() layout {
	l := layout{frameHeight: 175}
	if len(f.panels) == 1 {
		l.frameHeight = 210
	}
	rows := (len(f.panels) + f.cols - 1) / f.cols
	lw, lh := f.legendSize()
	const below = 36 // numbers and title of the cost axis
	above := vg.Length(4)
	if slices.ContainsFunc(f.panels, func(p panel) bool { return p.title != "" }) {
		above = 22
	}
	// A long legend makes the frames taller.
	if need := (lh+below)/vg.Length(rows) - above - below; need > l.frameHeight {
		l.frameHeight = need
	}
	l.rowHeight = l.frameHeight + above + below
	numbers := f.numbersWidth()
	gap := vg.Length(14)
	if f.ownY {
		gap += numbers
	}
	l.left = func(col int) vg.Length {
		return margin + textSize + 6 + numbers + vg.Length(col)*(f.frame+gap)
	}
	l.width = l.left(f.cols-1) + f.frame + 14 + lw + margin
	l.title = wrap(bold(textStyle(titleSize, ink)), f.title, l.width-l.left(0)-margin)
	l.top = margin + vg.Length(len(l.title))*(titleSize+3) + above + 2
	l.height = l.top - above + vg.Length(rows)*l.rowHeight + margin/2
	return l
}

// Formats lists what [Figure.Write] writes.
var Formats = []string{"png", "svg", "pdf"}

// Write writes the figure as "png" (192 pixels an inch), "svg" or "pdf".
func (f *Figure) Write(w io.Writer, format string) error {
	l := f.layout()
	switch format {
	case "png":
		return writePNG(w, l.width, l.height, f.draw)
	case "svg":
		return writeSVG(w, l.width, l.height, f.draw)
	case "pdf":
		return writePDF(w, l.width, l.height, f.draw)
	}
	return fmt.Errorf("report: format %q: must be png, svg or pdf", format)
}
