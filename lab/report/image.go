package report

import (
	"fmt"
	"image"
	"image/color"

	"github.com/assay-lab/assay/data"
)

// seen is how many pixels an image of a grid is enlarged to, about.
const seen = 84

// maxGrid bounds the pixels of a grid.
const maxGrid = 1 << 27

// ImageGrid lays out n images [C, H, W] with values from -1 (black) to 1 in rows
// of cols, each pixel enlarged by a whole factor so that small images can be
// seen. C is 1 (gray) or 3 (red, green, blue). NaN is drawn in vermilion: a
// sampler that broke should show.
func ImageGrid(pixels []float32, n, c, h, w, cols int) (image.Image, error) {
	switch {
	case n < 1 || h < 1 || w < 1 || c != 1 && c != 3:
		return nil, fmt.Errorf("report: %d images of shape [%d %d %d]: must be [1 H W] or [3 H W]", n, c, h, w)
	case h > maxGrid/w || n > maxGrid/(h*w) || len(pixels) != n*c*h*w:
		return nil, fmt.Errorf("report: %d pixels for %d images of shape [%d %d %d]", len(pixels), n, c, h, w)
	case cols < 1:
		return nil, fmt.Errorf("report: %d columns: must be 1 or more", cols)
	}
	cols = min(cols, n)
	rows := (n + cols - 1) / cols
	k := max(1, (seen+max(h, w)/2)/max(h, w))
	gap := max(1, k/2)
	if (cols*(w*k+gap) + gap) > maxGrid/(rows*(h*k+gap)+gap) {
		return nil, fmt.Errorf("report: a grid of %d images of %d×%d is too large", n, h, w)
	}
	img := image.NewRGBA(image.Rect(0, 0, cols*(w*k+gap)+gap, rows*(h*k+gap)+gap))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	for i := range n {
		x0, y0 := gap+i%cols*(w*k+gap), gap+i/cols*(h*k+gap)
		one := pixels[i*c*h*w : (i+1)*c*h*w]
		for p := range h * w {
			block(img, x0+p%w*k, y0+p/w*k, k, pixel(one, p, h*w))
		}
	}
	return img, nil
}

// pixel is the colour of pixel p of an image whose planes have size pixels.
func pixel(one []float32, p, size int) color.RGBA {
	rgb := [3]uint8{}
	for j := range rgb {
		x := one[(j*size+p)%len(one)] // gray for all three if there is one plane
		if x != x {
			nan := palette[1]
			return color.RGBA{nan.R, nan.G, nan.B, 0xff}
		}
		rgb[j] = data.Signed.Byte(x)
	}
	return color.RGBA{rgb[0], rgb[1], rgb[2], 0xff}
}

func block(img *image.RGBA, x, y, k int, c color.RGBA) {
	for dy := range k {
		for dx := range k {
			img.SetRGBA(x+dx, y+dy, c)
		}
	}
}
