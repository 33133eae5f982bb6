// Package degrade spoils small gray images the way the shipped restoration network
// has learned to repair: noise, blur, holes.
package degrade

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// A Task is what is to be repaired.
type Task int

const (
	Denoise Task = iota // normal noise of deviation 0.2 to 0.6
	Deblur              // a Gaussian blur of deviation 1 to 2.2 pixels, and a little noise
	Inpaint             // a gray rectangle with sides of two to four sevenths of the image's
)

var names = []string{"denoise", "deblur", "inpaint"}

// Tasks lists all of them.
func Tasks() []Task { return []Task{Denoise, Deblur, Inpaint} }

// Names lists what Parse reads.
func Names() []string { return append([]string(nil), names...) }

func (t Task) String() string { return names[t] }

// Parse reads a task's name.
func Parse(s string) (Task, error) {
	for i, name := range names {
		if s == name {
			return Task(i), nil
		}
	}
	return 0, fmt.Errorf("task %q: must be one of %s", s, strings.Join(names, ", "))
}

// Gray is the value that marks a hole.
const Gray = 0.5

// Apply writes a spoiled copy of an image x [size, size] between 0 and 1 to dst.
// How strong the damage is, and where, is drawn from r.
func (t Task) Apply(dst, x []float32, size int, r *rand.Rand) {
	switch t {
	case Denoise:
		noisy(dst, x, 0.2+0.4*r.Float64(), r)
	case Deblur:
		blur(dst, x, size, 1+1.2*r.Float64())
		noisy(dst, dst, 0.01, r)
	case Inpaint:
		copy(dst, x)
		side := func() int { return size*2/7 + r.IntN(size*2/7+1) }
		h, w := side(), side()
		top, left := r.IntN(size-h+1), r.IntN(size-w+1)
		for y := top; y < top+h; y++ {
			for x := left; x < left+w; x++ {
				dst[y*size+x] = Gray
			}
		}
	}
}

// noisy adds normal noise and keeps to the range.
func noisy(dst, x []float32, deviation float64, r *rand.Rand) {
	for i, v := range x {
		dst[i] = min(max(v+float32(deviation*r.NormFloat64()), 0), 1)
	}
}

// blur convolves with a Gaussian cut off at three deviations; beyond its edge the
// image is black.
func blur(dst, x []float32, size int, deviation float64) {
	k := int(math.Ceil(3 * deviation))
	weights := make([]float32, 2*k+1)
	var sum float32
	for i := range weights {
		u := float64(i-k) / deviation
		weights[i] = float32(math.Exp(-u * u / 2))
		sum += weights[i]
	}
	rows := make([]float32, len(x))
	for i := range x {
		row, col := i/size, i%size
		for j, w := range weights {
			if c := col + j - k; c >= 0 && c < size {
				rows[i] += w / sum * x[row*size+c]
			}
		}
	}
	clear(dst)
	for i := range x {
		row, col := i/size, i%size
		for j, w := range weights {
			if r := row + j - k; r >= 0 && r < size {
				dst[i] += w / sum * rows[r*size+col]
			}
		}
	}
}
