package report

import (
	"bytes"
	"io"

	stdfont "golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"
)

func writePNG(w io.Writer, width, height vg.Length, paint func(draw.Canvas)) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(192))
	paint(draw.New(c))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

func writeSVG(w io.Writer, width, height vg.Length, paint func(draw.Canvas)) error {
	c := vgsvg.New(width, height)
	paint(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// Fonts of the same widths, for readers who lack this one.
	svg := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	_, err := w.Write(svg)
	return err
}

func writePDF(w io.Writer, width, height vg.Length, paint func(draw.Canvas)) error {
	c := vgpdf.New(width, height)
	paint(draw.NewCanvas(outlined{c}, width, height))
	_, err := c.WriteTo(w)
	return err
}

// outlined is a canvas that draws text with letters beyond Windows-1252, which
// its fonts cannot encode, as shapes: ε, ≤, −.
type outlined struct{ *vgpdf.Canvas }

func (c outlined) FillString(f font.Face, at vg.Point, text string) {
	if encodable(text) {
		if f.Font.Weight == stdfont.WeightBold {
			// vgpdf asks for the style of a font that it registers without one.
			f.Font.Typeface += "Bold"
			f.Font.Weight = stdfont.WeightNormal
		}
		c.Canvas.FillString(f, at, text)
		return
	}
	c.Fill(outline(f, at, text))
}

// encodable says whether a text is plain Latin-1, without the control characters.
func encodable(text string) bool {
	for _, r := range text {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r > 0xff {
			return false
		}
	}
	return true
}

// outline is the shape of a line of text.
func outline(f font.Face, at vg.Point, text string) vg.Path {
	var (
		b    sfnt.Buffer
		p    vg.Path
		em   = f.Face.UnitsPerEm()
		ppem = fixed.I(int(em)) // one pixel a unit
		unit = f.Font.Size / vg.Length(em)
	)
	for _, r := range text {
		i, err := f.Face.GlyphIndex(&b, r)
		if err != nil {
			continue
		}
		segments, err := f.Face.LoadGlyph(&b, i, ppem, nil)
		if err != nil {
			continue
		}
		point := func(q fixed.Point26_6) vg.Point {
			return vg.Point{X: at.X + vg.Length(q.X)/64*unit, Y: at.Y - vg.Length(q.Y)/64*unit}
		}
		open := false
		for _, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				if open {
					p.Close()
				}
				open = true
				p.Move(point(s.Args[0]))
			case sfnt.SegmentOpLineTo:
				p.Line(point(s.Args[0]))
			case sfnt.SegmentOpQuadTo:
				p.QuadTo(point(s.Args[0]), point(s.Args[1]))
			case sfnt.SegmentOpCubeTo:
				p.CubeTo(point(s.Args[0]), point(s.Args[1]), point(s.Args[2]))
			}
		}
		if open {
			p.Close()
		}
		if advance, err := f.Face.GlyphAdvance(&b, i, ppem, 0); err == nil {
			at.X += vg.Length(advance) / 64 * unit
		}
	}
	return p
}
