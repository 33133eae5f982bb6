package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// pictures are what the papers will ask for, and what they should not.
var pictures = []struct {
	name string
	make func() (*lab.Experiment, lab.Curves)
}{
	{"two panels", func() (*lab.Experiment, lab.Curves) {
		return sample([]string{"guidance 1", "guidance 7.5"}, 8, someBudgets, 5)
	}},
	{"one panel", func() (*lab.Experiment, lab.Curves) { return sample([]string{""}, 3, someBudgets, 1) }},
	{"four panels", func() (*lab.Experiment, lab.Curves) {
		return sample([]string{"a", "b", "guidance 7.5", "d"}, 10, []float64{10, 20, 40, 80, 160, 320, 640}, 12)
	}},
	{"accuracy", func() (*lab.Experiment, lab.Curves) {
		e, c := sample([]string{"Adult"}, 4, []float64{0.1, 0.5, 1, 2, 4, 8}, 4)
		e.Title = "What does privacy cost, and who pays for it? Logistic regression on the census with every rival tuned over as many tries as the method itself"
		c.Cost = lab.Axis{Name: "privacy loss ε"}
		c.Quality = lab.Axis{Name: "test accuracy", Better: lab.Higher}
		for i := range c.Curves {
			for j := range c.Curves[i].Points {
				q := c.Curves[i].Points[j].Quality
				for k := range q {
					q[k] = 0.85 - 0.1*math.Min(q[k], 1)
				}
			}
		}
		c.Curves[1].Points[0].Quality[0] = math.NaN()
		return e, c
	}},
	{"scales apart", func() (*lab.Experiment, lab.Curves) {
		e, c := sample([]string{"smooth", "rough"}, 5, someBudgets, 3)
		for i := range c.Curves {
			for j := range c.Curves[i].Points {
				q := c.Curves[i].Points[j].Quality
				for k := range q {
					if c.Curves[i].Panel == "smooth" {
						q[k] *= 1e-9
					}
				}
			}
		}
		return e, c
	}},
	{"eighteen methods", func() (*lab.Experiment, lab.Curves) {
		e, c := sample([]string{"guidance 7.5"}, 9, someBudgets, 2)
		for _, cv := range c.Curves {
			cv.Method += " tuned"
			cv.Points = slices.Clone(cv.Points)
			for j, p := range cv.Points {
				p.Quality = []float64{p.Quality[0] / 3, p.Quality[1] / 3}
				cv.Points[j] = p
			}
			c.Curves = append(c.Curves, cv)
		}
		return e, c
	}},
	{"one point", func() (*lab.Experiment, lab.Curves) { return sample([]string{""}, 1, []float64{10}, 1) }},
	{"all diverged", func() (*lab.Experiment, lab.Curves) {
		e, c := sample([]string{""}, 2, []float64{10, 20}, 1)
		for i := range c.Curves {
			for j := range c.Curves[i].Points {
				c.Curves[i].Points[j].Quality[0] = math.NaN()
			}
		}
		return e, c
	}},
	{"exact zeros and outliers", func() (*lab.Experiment, lab.Curves) {
		e, c := sample([]string{""}, 4, someBudgets, 1)
		c.Curves[0].Points[3].Quality[0] = 0
		c.Curves[1].Points[2].Quality[0] = 1e30
		c.Curves[2].Points[9].Quality[0] = math.Inf(1)
		c.Curves[3].Points[0].Cost[0] = 0
		return e, c
	}},
}

func TestEveryPictureIsDrawnInEveryFormat(t *testing.T) {
	for _, row := range pictures {
		e, c := row.make()
		f, err := NewFigure(e, c)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		for _, format := range Formats {
			var b bytes.Buffer
			if err := f.Write(&b, format); err != nil {
				t.Fatal(err)
			}
			keepFile(t, strings.ReplaceAll(row.name, " ", "-")+"."+format, b.Bytes())
			switch format {
			case "png":
				img, err := png.Decode(&b)
				if err != nil {
					t.Errorf("%s: %v", row.name, err)
				} else if d := img.Bounds(); d.Dx() < 600 || d.Dx() > 2600 || d.Dy() < 400 || d.Dy() > 2400 {
					t.Errorf("%s: %d×%d pixels", row.name, d.Dx(), d.Dy())
				}
			case "svg":
				checkSVG(t, row.name, b.String(), append(c.Methods(), c.Panels()...))
			case "pdf":
				if !bytes.HasPrefix(b.Bytes(), []byte("%PDF-")) || !bytes.Contains(b.Bytes(), []byte("%%EOF")) {
					t.Errorf("%s: not a PDF", row.name)
				}
			}
		}
	}
}

// checkSVG fails unless the picture is XML without NaN and has all words.
func checkSVG(t *testing.T, name, svg string, words []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	var text strings.Builder
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if s, ok := tok.(xml.CharData); ok {
			text.Write(s)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("%s: NaN or Inf among the coordinates", name)
	}
	for _, w := range words {
		if !strings.Contains(text.String(), w) {
			t.Errorf("%s: %q is not written anywhere", name, w)
		}
	}
}

func TestFigureIsTheSameEveryTime(t *testing.T) {
	e, c := pictures[0].make()
	var first []byte
	for range 2 {
		f, err := NewFigure(e, c)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Write(&b, "svg"); err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, b.Bytes()) {
			t.Error("two pictures of the same curves differ")
		}
		first = b.Bytes()
	}
}

func TestFigureRefuses(t *testing.T) {
	if _, err := NewFigure(&lab.Experiment{}, lab.Curves{}); err == nil {
		t.Error("a figure of nothing")
	}
	e, c := pictures[1].make()
	f, err := NewFigure(e, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(io.Discard, "gif"); err == nil || !strings.Contains(err.Error(), "must be png, svg or pdf") {
		t.Errorf("gif: error %v", err)
	}
}

// A method missing from a panel must not shift the colours of the others.
func TestColorsStayWithTheirMethods(t *testing.T) {
	_, c := pictures[0].make()
	c.Curves = append([]lab.Curve{c.Curves[3]}, c.Curves[8:]...)
	methods := c.Methods()
	for _, name := range c.Panels() {
		for _, tr := range newPanel(c, name, methods).traces {
			cv := c.Curves[slices.IndexFunc(c.Curves, func(cv lab.Curve) bool {
				return cv.Panel == name && slices.Index(methods, cv.Method) == tr.method
			})]
			if p := cv.Points[0]; tr.points[0].x != p.MeanCost() {
				t.Errorf("%s: trace of %s has another's points", name, methods[tr.method])
			}
		}
	}
	for i := range palette {
		for j := range i {
			if Color(i) == Color(j) {
				t.Errorf("methods %d and %d have one colour", j, i)
			}
		}
	}
	if Color(0) != Color(len(palette)) || dashes(0) != nil || dashes(len(palette)) == nil {
		t.Error("the ninth method is not the first one's colour, dashed")
	}
}

func TestDivergedIsMarkedAtTheWorseEdge(t *testing.T) {
	for _, better := range []lab.Better{lab.Lower, lab.Higher} {
		e, c := sample([]string{""}, 2, someBudgets, 1)
		c.Quality.Better = better
		c.Curves[0].Points[0].Quality[0] = math.NaN()
		c.Curves[1].Points[0].Quality[0] = c.Quality.Worst()
		f, err := NewFigure(e, c)
		if err != nil {
			t.Fatal(err)
		}
		want := 1.0
		if better == lab.Higher {
			want = 0
		}
		for _, tr := range f.panels[0].traces {
			if _, y, off, ok := f.panels[0].place(tr.points[0]); y != want || !off || !ok {
				t.Errorf("%v: diverged point of method %d is at %g", better, tr.method, y)
			}
		}
		if !f.offScale {
			t.Errorf("%v: the legend does not explain the marks", better)
		}
	}
}

func labels(ts []tick) string {
	var s []string
	for _, t := range ts {
		if t.label != "" {
			s = append(s, t.label)
		}
	}
	return strings.Join(s, " ")
}

func TestTicks(t *testing.T) {
	for _, row := range []struct {
		lo, hi float64
		log    bool
		want   string
	}{
		{4, 60, true, "5 10 20 50"},
		{0.0004, 0.3, true, "0.001 0.01 0.1"},
		{0.02, 0.9, true, "0.02 0.05 0.1 0.2 0.5"},
		{8, 22, true, "8 10 12 14 16 18 20 22"},
		{1e-12, 1, true, "10^−12 10^−10 10^−8 10^−6 10^−4 10^−2 1"},
		{1e-6, 1, true, "10^−6 10^−5 10^−4 10^−3 10^−2 0.1 1"},
		{100, 1e8, true, "10^2 10^3 10^4 10^5 10^6 10^7 10^8"},
		{0.61, 0.93, false, "0.65 0.70 0.75 0.80 0.85 0.90"},
		{-1.2, 1.2, false, "−1.0 −0.5 0.0 0.5 1.0"},
		{0, 1e6, false, "0 2×10^5 4×10^5 6×10^5 8×10^5 10^6"},
		{0, 9, false, "0 2 4 6 8"},
	} {
		a := axis{lo: row.lo, hi: row.hi, log: row.log}
		a.setTicks()
		if got := labels(a.ticks); got != row.want {
			t.Errorf("%g to %g, log %v: %s, want %s", row.lo, row.hi, row.log, got, row.want)
		}
	}
}

func TestBudgetTicksDoNotTouch(t *testing.T) {
	a := newAxis(true, someBudgets)
	width := func(s string) float64 { return 0.03 * float64(len(s)) }
	a.budgetTicks(someBudgets, width)
	if got := labels(a.ticks); got != "5 6 8 10 12 15 20 25 30 50" {
		t.Errorf("labels %s", got)
	}
	if len(a.ticks) != len(someBudgets) {
		t.Errorf("%d ticks for %d budgets", len(a.ticks), len(someBudgets))
	}
	crowded := []float64{100, 101, 102, 150, 199, 200}
	a = newAxis(false, crowded)
	a.budgetTicks(crowded, func(s string) float64 { return 0.04 * float64(len(s)) })
	if got := labels(a.ticks); got != "100 150 200" {
		t.Errorf("crowded labels %s, want 100 150 200", got)
	}
}

func TestSpread(t *testing.T) {
	nan := math.NaN()
	if lo, hi := spread([]float64{3, nan, 1, 2, math.Inf(1)}); lo != 1 || hi != 3 {
		t.Errorf("few seeds: %g to %g, want 1 to 3", lo, hi)
	}
	xs := make([]float64, 11)
	for i := range xs {
		xs[i] = float64(10 - i)
	}
	if lo, hi := spread(xs); lo != 1 || hi != 9 {
		t.Errorf("many seeds: %g to %g, want 1 to 9", lo, hi)
	}
	if lo, _ := spread([]float64{nan}); lo == lo {
		t.Errorf("spread of nothing is %g", lo)
	}
}

// Letters that a PDF's fonts lack are drawn as shapes, where the font would put them.
func TestOutlineCoversTheLetters(t *testing.T) {
	face := plot.DefaultTextHandler.Cache().Lookup(textStyle(20, ink).Font, 20)
	const text = "ε ≤ 2×10−3, RMS"
	pictures := [2]*vgimg.Canvas{vgimg.New(150, 30), vgimg.New(150, 30)}
	pictures[0].FillString(face, vg.Point{X: 5, Y: 8}, text)
	pictures[1].Fill(outline(face, vg.Point{X: 5, Y: 8}, text))
	both, either := 0, 0
	for y := range pictures[0].Image().Bounds().Dy() {
		for x := range pictures[0].Image().Bounds().Dx() {
			a, _, _, _ := pictures[0].Image().At(x, y).RGBA()
			b, _, _, _ := pictures[1].Image().At(x, y).RGBA()
			if a < 0x8000 || b < 0x8000 {
				either++
				if a < 0x8000 && b < 0x8000 {
					both++
				}
			}
		}
	}
	if either < 300 || float64(both) < 0.8*float64(either) {
		t.Errorf("%d of %d dark pixels are common", both, either)
	}
	for text, want := range map[string]bool{"RMS error": true, "10 ± 3 µm": true, "ε": false, "−3": false, "10–90 %": false} {
		if encodable(text) != want {
			t.Errorf("encodable(%q) = %v", text, !want)
		}
	}
}
