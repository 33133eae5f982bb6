package report

import (
	"image/color"
	"math"
	"slices"

	"github.com/assay-lab/assay/lab"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A panel is one frame of a figure.
type panel struct {
	title  string
	traces []trace
	x, y   axis
	worst  float64 // where on y what diverged is marked: 1 is the top of the frame, 0 the bottom
}

// A trace is the curve of a method.
type trace struct {
	method int
	points []tracePoint
}

// A tracePoint has the mean over the seeds and, with several, their spread.
type tracePoint struct {
	x, y, lo, hi float64
	band         bool
}

func newPanel(c lab.Curves, name string, methods []string) panel {
	p := panel{title: name, worst: 1}
	if c.Quality.Better == lab.Higher {
		p.worst = 0
	}
	for _, cv := range c.Curves {
		if cv.Panel != name || len(cv.Points) == 0 {
			continue
		}
		t := trace{method: slices.Index(methods, cv.Method)}
		for _, q := range cv.Points {
			pt := tracePoint{x: q.MeanCost(), y: q.Mean()}
			pt.lo, pt.hi = spread(q.Quality)
			pt.band = len(q.Quality) > 1 && pt.lo < pt.hi
			t.points = append(t.points, pt)
		}
		p.traces = append(p.traces, t)
	}
	return p
}

// manySeeds is from how many seeds on the band leaves out the outer tenths.
const manySeeds = 10

// spread is the band over the seeds: least and greatest, or from the first to
// the last tenth with many seeds. Seeds that diverged are not in it.
func spread(xs []float64) (lo, hi float64) {
	xs = slices.DeleteFunc(slices.Clone(xs), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	if len(xs) == 0 {
		return math.NaN(), math.NaN()
	}
	slices.Sort(xs)
	if len(xs) < manySeeds {
		return xs[0], xs[len(xs)-1]
	}
	return quantile(xs, 0.1), quantile(xs, 0.9)
}

// quantile interpolates between sorted numbers.
func quantile(xs []float64, q float64) float64 {
	at := q * float64(len(xs)-1)
	i := int(at)
	if i+1 == len(xs) {
		return xs[i]
	}
	return xs[i] + (at-float64(i))*(xs[i+1]-xs[i])
}

// numbers lists the costs and qualities to be shown.
func (p panel) numbers() (xs, ys []float64) {
	for _, t := range p.traces {
		for _, q := range t.points {
			xs, ys = append(xs, q.x), append(ys, q.y)
			if q.band {
				ys = append(ys, q.lo, q.hi)
			}
		}
	}
	return xs, ys
}

// place is where a point is drawn in the unit square. off says that its mark
// goes to the frame: the method diverged or is off the scale.
func (p panel) place(q tracePoint) (x, y float64, off, ok bool) {
	if !p.x.shown(q.x) {
		return 0, 0, false, false
	}
	x = p.x.norm(q.x)
	switch {
	case math.IsNaN(q.y):
		return x, p.worst, true, true
	case math.IsInf(q.y, 0):
		y = 0
		if q.y > 0 {
			y = 1
		}
		return x, y, true, true
	case !p.y.shown(q.y): // 0 on a logarithmic scale
		return x, 0, true, true
	}
	y = p.y.norm(q.y)
	return x, min(max(y, 0), 1), y < 0 || y > 1, true
}

// off says whether some point is marked at the frame.
func (p panel) off() (top, bottom bool) {
	for _, t := range p.traces {
		for _, q := range t.points {
			if _, y, off, ok := p.place(q); off && ok {
				top, bottom = top || y == 1, bottom || y == 0
			}
		}
	}
	return top, bottom
}

// draw draws the inside of the frame.
func (p panel) draw(c draw.Canvas) {
	p.drawGrid(c)
	at := func(x, y float64) vg.Point { return vg.Point{X: c.X(x), Y: c.Y(y)} }
	for _, t := range p.traces {
		p.drawBand(c, t, at)
	}
	marks := p.marks(c)
	for _, t := range p.traces {
		var line []vg.Point
		for _, m := range marks {
			if m.method == t.method {
				line = append(line, m.at)
			}
		}
		c.StrokeLines(draw.LineStyle{Color: Color(t.method), Width: 1.4, Dashes: dashes(t.method)}, line)
	}
	for _, m := range marks {
		if !m.off {
			marker(c, m.method, m.at)
		}
	}
}

// drawOff draws what is marked on the frame, after the frame itself.
func (p panel) drawOff(c draw.Canvas) {
	for _, m := range p.marks(c) {
		if m.off {
			drawOffMark(c, m.at, m.at.Y > c.Center().Y, Color(m.method))
		}
	}
}

// drawOffMark draws a triangle that points out of the frame.
func drawOffMark(c draw.Canvas, at vg.Point, up bool, fill color.Color) {
	shape := shapes[4]
	if up {
		shape = shapes[2]
	}
	drawShape(c, shape, markerSize*1.25, at, fill)
}

// A mark is where a point is drawn.
type mark struct {
	method int
	at     vg.Point
	off    bool // on the frame
}

// marks places all points. Those that would hide each other on the frame stand
// side by side, short of the next cost.
func (p panel) marks(c draw.Canvas) []mark {
	var ms []mark
	var xs []vg.Length
	crowd := map[vg.Point]int{} // how many share a place on the frame
	for _, t := range p.traces {
		for _, q := range t.points {
			x, y, off, ok := p.place(q)
			if !ok {
				continue
			}
			m := mark{t.method, vg.Point{X: c.X(x), Y: c.Y(y)}, off}
			if off {
				crowd[m.at]++
			}
			ms, xs = append(ms, m), append(xs, m.at.X)
		}
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	placed := map[vg.Point]int{}
	for i, m := range ms {
		if !m.off {
			continue
		}
		step := vg.Length(2.4 * markerSize)
		if next, _ := slices.BinarySearch(xs, m.at.X); next+1 < len(xs) {
			step = min(step, 0.8*(xs[next+1]-m.at.X)/vg.Length(crowd[m.at]))
		}
		ms[i].at.X += vg.Length(placed[m.at]) * step
		placed[m.at]++
	}
	return ms
}

func (p panel) drawGrid(c draw.Canvas) {
	thin := draw.LineStyle{Color: rule, Width: 0.5}
	for _, t := range p.x.ticks {
		if t.label != "" {
			x := c.X(p.x.norm(t.at))
			c.StrokeLine2(thin, x, c.Min.Y, x, c.Max.Y)
		}
	}
	for _, t := range p.y.ticks {
		if t.label != "" {
			y := c.Y(p.y.norm(t.at))
			c.StrokeLine2(thin, c.Min.X, y, c.Max.X, y)
		}
	}
}

func (p panel) drawBand(c draw.Canvas, t trace, at func(x, y float64) vg.Point) {
	fill := Color(t.method)
	fill.A = 0x2e
	var upper, lower []vg.Point
	flush := func() {
		if len(upper) > 1 {
			slices.Reverse(lower)
			c.FillPolygon(fill, c.ClipPolygonXY(append(upper, lower...)))
		}
		upper, lower = nil, nil
	}
	for _, q := range t.points {
		x, y, off, ok := p.place(q)
		if !ok || off {
			flush()
			continue
		}
		lo, hi := y, y
		if q.band {
			hi = p.y.norm(q.hi)
			if lo = 0; p.y.shown(q.lo) {
				lo = p.y.norm(q.lo)
			}
		}
		upper, lower = append(upper, at(x, hi)), append(lower, at(x, lo))
	}
	flush()
}
