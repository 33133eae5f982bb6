package report

import (
	"image/color"
	"math"
	"strings"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette is Okabe and Ito's, which colour-blind readers can tell apart, without
// its yellow, which white paper swallows. A ninth method takes the first colour
// again, with another marker and dashed.
var palette = [8]color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, // blue
	{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	{0x00, 0x9e, 0x73, 0xff}, // green
	{0xcc, 0x79, 0xa7, 0xff}, // purple
	{0xe6, 0x9f, 0x00, 0xff}, // orange
	{0x56, 0xb4, 0xe9, 0xff}, // sky
	{0x00, 0x00, 0x00, 0xff}, // black
	{0x8c, 0x8c, 0x8c, 0xff}, // gray
}

// Color is the colour of a method, by its place in [lab.Curves.Methods]: the
// same in every picture.
func Color(method int) color.NRGBA { return palette[method%len(palette)] }

var (
	ink   = color.NRGBA{0x22, 0x22, 0x22, 0xff}
	faint = color.NRGBA{0x66, 0x66, 0x66, 0xff}
	rule  = color.NRGBA{0xe4, 0xe4, 0xe4, 0xff}
	frame = color.NRGBA{0x88, 0x88, 0x88, 0xff}
)

func dashes(method int) []vg.Length {
	switch method / len(palette) {
	case 0:
		return nil
	case 1:
		return []vg.Length{5, 2}
	}
	return []vg.Length{1.5, 1.5}
}

// shapes are the markers, as corners of polygons around the origin; a shape with
// one corner is a circle. Their areas look alike.
var shapes = [8][]vg.Point{
	{{X: 1, Y: 0}},
	polygon(4, math.Pi/4, 1.2),
	polygon(3, math.Pi/2, 1.35),
	polygon(4, 0, 1.3),
	polygon(3, -math.Pi/2, 1.35),
	polygon(5, math.Pi/2, 1.15),
	cross(0),
	cross(math.Pi / 4),
}

func polygon(n int, turn, radius float64) []vg.Point {
	ps := make([]vg.Point, n)
	for i := range ps {
		sin, cos := math.Sincos(turn + 2*math.Pi*float64(i)/float64(n))
		ps[i] = vg.Point{X: vg.Length(radius * cos), Y: vg.Length(radius * sin)}
	}
	return ps
}

// cross is a plus sign, turned.
func cross(turn float64) []vg.Point {
	const long, thin = 1.35, 0.42
	sin, cos := math.Sincos(turn)
	var ps []vg.Point
	for _, p := range [][2]float64{
		{long, -thin}, {long, thin}, {thin, thin}, {thin, long}, {-thin, long}, {-thin, thin},
		{-long, thin}, {-long, -thin}, {-thin, -thin}, {-thin, -long}, {thin, -long}, {thin, -thin},
	} {
		ps = append(ps, vg.Point{X: vg.Length(p[0]*cos - p[1]*sin), Y: vg.Length(p[0]*sin + p[1]*cos)})
	}
	return ps
}

const markerSize = 2.6 // points

// marker draws a method's marker, with a thin white edge where curves cross.
func marker(c draw.Canvas, method int, at vg.Point) {
	shape := shapes[(method+method/len(palette))%len(shapes)]
	drawShape(c, shape, markerSize, at, Color(method))
}

func drawShape(c draw.Canvas, shape []vg.Point, size vg.Length, at vg.Point, fill color.Color) {
	var p vg.Path
	if len(shape) == 1 {
		p.Move(vg.Point{X: at.X + size, Y: at.Y})
		p.Arc(at, size, 0, 2*math.Pi)
	} else {
		for i, q := range shape {
			q = at.Add(q.Scale(size))
			if i == 0 {
				p.Move(q)
			} else {
				p.Line(q)
			}
		}
	}
	p.Close()
	c.SetLineStyle(draw.LineStyle{Color: color.White, Width: 1.2})
	c.Stroke(p)
	c.SetColor(fill)
	c.Fill(p)
}

// A textStyle is Liberation Sans, whose widths are those of Arial and Helvetica.
func textStyle(size vg.Length, c color.Color) draw.TextStyle {
	return draw.TextStyle{
		Color:   c,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: plot.DefaultTextHandler,
	}
}

func bold(s draw.TextStyle) draw.TextStyle {
	s.Font.Weight = stdfont.WeightBold
	return s
}

// label draws a number, "10^-5" with the exponent raised, with the given
// alignment of its whole.
func label(c draw.Canvas, s draw.TextStyle, at vg.Point, text string) {
	base, exp, raised := strings.Cut(text, "^")
	if !raised {
		c.FillText(s, at, text)
		return
	}
	up := s
	up.Font.Size *= 0.72
	width := s.Width(base) + up.Width(exp)
	left := at.X + vg.Length(s.XAlign)*width
	s.XAlign, up.XAlign = draw.XLeft, draw.XLeft
	c.FillText(s, vg.Point{X: left, Y: at.Y}, base)
	lift := s.Font.Size * 0.36
	c.FillText(up, vg.Point{X: left + s.Width(base), Y: at.Y + lift}, exp)
}

func labelWidth(s draw.TextStyle, text string) vg.Length {
	base, exp, raised := strings.Cut(text, "^")
	w := s.Width(base)
	if raised {
		s.Font.Size *= 0.72
		w += s.Width(exp)
	}
	return w
}

// wrap breaks a text into lines no wider than w, at spaces.
func wrap(s draw.TextStyle, text string, w vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && s.Width(longer) > w {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return append(lines, line)
}
