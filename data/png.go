package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
)

// A Range says which values stand for black and white.
type Range struct{ Lo, Hi float32 }

// The two ranges in use: diffusion models see pixels in Signed.
var (
	Signed = Range{-1, 1}
	Unit   = Range{0, 1}
)

func (r Range) at(u float64) float32 {
	return float32(float64(r.Lo) + u*(float64(r.Hi)-float64(r.Lo)))
}

// Byte is the 8-bit level of a value, rounded; values outside the range are
// clamped to it and NaN gives 0.
func (r Range) Byte(x float32) uint8 {
	u := (float64(x) - float64(r.Lo)) / (float64(r.Hi) - float64(r.Lo)) * 255
	if !(u > 0) {
		return 0
	}
	return uint8(math.Min(u, 255) + 0.5)
}

const maxPixels = 1 << 26

// ReadPNG reads a picture as float32 [C, H, W] in the given range: C is 1 for a
// gray picture and 3 (red, green, blue) for any other. What is transparent is
// laid on white.
func ReadPNG(r io.Reader, to Range) (Tensor, error) {
	// The size is checked before pixels are allocated for; the decoder then
	// sees the header again.
	var seen bytes.Buffer
	cfg, err := png.DecodeConfig(io.TeeReader(io.LimitReader(r, 1<<20), &seen))
	if err != nil {
		return Tensor{}, fmt.Errorf("data: PNG: %w", err)
	}
	if cfg.Width > maxPixels/cfg.Height {
		return Tensor{}, fmt.Errorf("data: PNG: %d×%d: more than %d pixels", cfg.Width, cfg.Height, maxPixels)
	}
	img, err := png.Decode(io.MultiReader(&seen, &limited{r, MaxBytes}))
	if err != nil {
		return Tensor{}, fmt.Errorf("data: PNG: %w", err)
	}
	c := 3
	if m := img.ColorModel(); m == color.GrayModel || m == color.Gray16Model {
		c = 1
	}
	b := img.Bounds()
	h, w := b.Dy(), b.Dx()
	xs := make([]float32, c*h*w)
	for y := range h {
		for x := range w {
			r, g, b, a := img.At(b.Min.X+x, b.Min.Y+y).RGBA() // premultiplied, 16 bits
			for k, v := range []uint32{r, g, b}[:c] {
				xs[(k*h+y)*w+x] = to.at(float64(v+0xffff-a) / 0xffff)
			}
		}
	}
	return Tensor{Shape: []int{c, h, w}, Data: xs}, nil
}

// WritePNG writes pixels [C, H, W], C being 1 (gray) or 3 (red, green, blue),
// as an 8-bit picture. Values outside the range are clamped.
func WritePNG(w io.Writer, t Tensor, from Range) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("data: PNG: %w", err)
	}
	s := t.Shape
	if len(s) != 3 || s[0] != 1 && s[0] != 3 || s[1] < 1 || s[2] < 1 {
		return fmt.Errorf("data: PNG: shape %v: must be [C H W] with C = 1 or 3", s)
	}
	if !(from.Lo < from.Hi) {
		return fmt.Errorf("data: PNG: range from %g to %g is empty", from.Lo, from.Hi)
	}
	xs, n := t.Float32(), s[1]*s[2]
	for i, x := range xs {
		if x != x {
			return fmt.Errorf("data: PNG: element %d is NaN", i)
		}
	}
	if s[0] == 1 {
		img := image.NewGray(image.Rect(0, 0, s[2], s[1]))
		for i, x := range xs {
			img.Pix[i] = from.Byte(x)
		}
		return png.Encode(w, img)
	}
	img := image.NewNRGBA(image.Rect(0, 0, s[2], s[1]))
	for i := range n {
		for k := range 3 {
			img.Pix[4*i+k] = from.Byte(xs[k*n+i])
		}
		img.Pix[4*i+3] = 0xff
	}
	return png.Encode(w, img)
}
