package report_test

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/assay-lab/assay/lab/report"
)

func circle(x, r float64) []complex128 {
	var ps []complex128
	for i := range 60 {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / 60)
		ps = append(ps, complex(x+r*cos, r*sin))
	}
	return ps
}

func TestPlane(t *testing.T) {
	p := &report.Plane{Title: "Two circles", X: "Re z", Y: "Im z", Methods: []string{"small", "large"}, Notes: []string{"a note"}}
	for _, title := range []string{"left", "right", "below"} {
		p.Panels = append(p.Panels, report.PlanePanel{Title: title, Min: -3 - 2i, Max: 1 + 2i, Regions: []report.Region{
			{Method: 1, Loops: [][]complex128{circle(-1, 1.5)}}, {Method: 0, Loops: [][]complex128{circle(-1, .5), circle(5, 1)}}}})
	}
	for _, format := range report.Formats {
		var b bytes.Buffer
		if err := p.Write(&b, format); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		switch format {
		case "svg":
			for _, want := range []string{"Two circles", "small", "large", "below", "a note", "Re z"} {
				if !strings.Contains(b.String(), want) {
					t.Errorf("the SVG lacks %q", want)
				}
			}
		case "png":
			img, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			seen := false // the blue of the first method
			for x := range img.Bounds().Dx() {
				r, g, b, _ := img.At(x, img.Bounds().Dy()/4).RGBA()
				seen = seen || r>>8 < 0x20 && g>>8 < 0x90 && b>>8 > 0x90
			}
			if !seen {
				t.Error("the PNG does not show the small circle")
			}
		}
	}
}

func TestPlaneRefuses(t *testing.T) {
	good := report.PlanePanel{Min: -1 - 1i, Max: 1 + 1i}
	flat, foreign := good, good
	flat.Max = 1 - 1i
	foreign.Regions = []report.Region{{Method: 3}}
	for name, tt := range map[string]struct {
		panels []report.PlanePanel
		format string
		want   string
	}{
		"nothing":                {nil, "png", "no regions"},
		"a frame of no height":   {[]report.PlanePanel{flat}, "png", "must have an extent"},
		"a method without name":  {[]report.PlanePanel{foreign}, "png", "region of method 3"},
		"a format that is not":   {[]report.PlanePanel{good}, "gif", "must be png, svg or pdf"},
		"a frame without number": {[]report.PlanePanel{{Min: complex(math.NaN(), 0), Max: 1 + 1i}}, "png", "must have an extent"},
	} {
		p := &report.Plane{Panels: tt.panels, Methods: []string{"a"}}
		if err := p.Write(&bytes.Buffer{}, tt.format); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}
