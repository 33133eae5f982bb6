package mixer

import (
	"fmt"
	"math"

	"github.com/assay-lab/assay/internal/nn"
)

// A Shape is the size of the network.
type Shape struct {
	Size   int // the image is Size × Size
	Patch  int // side of a patch, which divides Size
	Width  int // numbers a patch is represented by
	Blocks int
	Tokens int // hidden numbers of token mixing
	Hidden int // hidden numbers of channel mixing
	Times  int // sine and cosine features of the time, an even number
	// Frequency is the largest of them, in radians over the whole process. High ones
	// make the network rough in time: with 256, the order of second- and third-order
	// samplers is lost in the noise.
	Frequency float64
	Classes   int
	Channels  int `json:",omitempty"` // images that the network sees at once; 0: 1
}

func (s Shape) side() int   { return s.Size / s.Patch }
func (s Shape) tokens() int { return s.side() * s.side() }
func (s Shape) pixels() int { return s.Patch * s.Patch }
func (s Shape) inputs() int { return max(s.Channels, 1) * s.pixels() } // numbers a token is made of

func (s Shape) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"size", s.Size}, {"patch", s.Patch}, {"width", s.Width}, {"blocks", s.Blocks}, {"tokens", s.Tokens}, {"hidden", s.Hidden}, {"times", s.Times}, {"classes", s.Classes}, {"channels", max(s.Channels, 1)}} {
		if f.n < 1 || f.n > 1<<12 {
			return fmt.Errorf("mixer: %s = %d: must be between 1 and 4096", f.name, f.n)
		}
	}
	if s.Size%s.Patch != 0 {
		return fmt.Errorf("mixer: patch %d does not divide size %d", s.Patch, s.Size)
	}
	if !(s.Frequency >= 1 && s.Frequency <= 1e4) {
		return fmt.Errorf("mixer: frequency = %g: must be between 1 and 10000", s.Frequency)
	}
	if s.Times%2 != 0 {
		return fmt.Errorf("mixer: %d time features: must be even", s.Times)
	}
	return nil
}

// single wants the one channel of a denoiser.
func (s Shape) single() error {
	if s.Channels > 1 {
		return fmt.Errorf("mixer: %d channels: a denoiser sees one image, a restorer two", s.Channels)
	}
	return nil
}

// layout lists the parameters. Matrices keep the size of what they multiply;
// those that end a branch, and all modulation, start at zero, so that every block
// starts as the identity and the network as zero.
func (s Shape) layout() nn.Layout {
	var l nn.Layout
	add := func(deviation float64, name string, shape ...int) {
		l = append(l, nn.Param{Name: name, Shape: shape, Deviation: deviation})
	}
	fan := func(n int) float64 { return 1 / math.Sqrt(float64(n)) }
	t, p, w, in := s.tokens(), s.pixels(), s.Width, s.inputs()
	add(fan(s.Times), "time.in", s.Times, w)
	add(fan(w), "time.out", w, w)
	add(1, "labels", s.Classes+1, w)
	add(fan(in), "patch", in, w)
	add(0.3, "position", t, w)
	for i := range s.Blocks {
		b := fmt.Sprintf("block%d.", i)
		add(0, b+"token.scale", w, w)
		add(0, b+"token.shift", w, w)
		add(fan(t), b+"token.in", 2*s.Tokens, t)
		add(0, b+"token.out", t, s.Tokens)
		add(0, b+"channel.scale", w, w)
		add(0, b+"channel.shift", w, w)
		add(fan(w), b+"channel.in", w, 2*s.Hidden)
		add(0, b+"channel.out", s.Hidden, w)
	}
	add(0, "head.scale", w, w)
	add(0, "head.shift", w, w)
	add(0, "head", w, p)
	return l
}
