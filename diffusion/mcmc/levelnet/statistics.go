package levelnet

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/internal/rng"
)

// What the network sees of an image: logarithms of
//
//   - quantiles of |x_i − x_j| over neighbours: images are smooth almost everywhere,
//     white noise nowhere
//   - root mean squares of those differences, also after averaging over 2 and 4 pixels
//     a side: averaging takes noise down and leaves edges
//   - the root mean square of the whole, which is all that counts for large noise
const (
	coarsest = 4
	features = 5 + 3 + 1
)

var quantiles = [5]float64{.05, .25, .5, .75, .95}

// floor keeps logarithms finite where neighbours are equal.
const floor = 1e-4

// A scratch is memory that statistics reuses.
type scratch struct {
	gaps, small []float64
	f           [features]float64
}

// statistics gives the features of an image of shape [C, H, W].
func (s *scratch) statistics(x []float32, shape []int) []float64 {
	ch, h, w := shape[0], shape[1], shape[2]
	s.gaps = s.gaps[:0]
	var square float64
	for c := range ch {
		plane := x[c*h*w : (c+1)*h*w]
		for i, v := range plane {
			square += float64(v) * float64(v)
			if i%w+1 < w {
				s.gaps = append(s.gaps, math.Abs(float64(plane[i+1]-v)))
			}
			if i+w < len(plane) {
				s.gaps = append(s.gaps, math.Abs(float64(plane[i+w]-v)))
			}
		}
	}
	f := s.f[:0]
	f = append(f, rms(s.gaps))
	slices.Sort(s.gaps)
	for _, q := range quantiles {
		f = append(f, s.gaps[int(q*float64(len(s.gaps)-1))])
	}
	for size := 2; size <= coarsest; size *= 2 {
		f = append(f, s.coarse(x, ch, h, w, size))
	}
	f = append(f, math.Sqrt(square/float64(len(x))))
	for i, v := range f {
		f[i] = math.Log(v+floor) / 3 // logarithms of 10⁻⁴ to 10² come to ±3
	}
	return f
}

// coarse is the root mean square of the differences of neighbours after averaging
// over squares of that size.
func (s *scratch) coarse(x []float32, ch, h, w, size int) float64 {
	hh, ww := h/size, w/size
	var gaps []float64
	for c := range ch {
		s.small = append(s.small[:0], make([]float64, hh*ww)...)
		for i := range hh * size {
			for j := range ww * size {
				s.small[i/size*ww+j/size] += float64(x[(c*h+i)*w+j]) / float64(size*size)
			}
		}
		for i, v := range s.small {
			if i%ww+1 < ww {
				gaps = append(gaps, s.small[i+1]-v)
			}
			if i+ww < len(s.small) {
				gaps = append(gaps, s.small[i+ww]-v)
			}
		}
	}
	return rms(gaps)
}

func rms(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(x)))
}

// A pool is examples of noisy images: their statistics, and their levels.
type pool struct {
	f     []float32
	level []int
}

// examples makes noisy images at levels drawn evenly. Each has its own stream, so
// they do not depend on how many goroutines make them.
func (r Recipe) examples(ctx context.Context, x0 []float32, n int) (pool, error) {
	d := len(x0) / n
	p := pool{make([]float32, r.Examples*features), make([]int, r.Examples)}
	workers := min(runtime.GOMAXPROCS(0), r.Examples)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			x, z := make([]float32, d), make([]float64, d)
			var s scratch
			for i := w; i < r.Examples && ctx.Err() == nil; i += workers {
				src := rng.Stream(r.Seed, 1, uint64(i))
				from := src.IntN(n)
				p.level[i] = src.IntN(len(r.Levels))
				key, stream := rng.Key(r.Seed, 2, uint64(i))
				kern.Normal(z, key, stream)
				for j, v := range x0[from*d : (from+1)*d] {
					x[j] = v + float32(r.Levels[p.level[i]]*z[j])
				}
				for j, v := range s.statistics(x, r.Shape) {
					p.f[i*features+j] = float32(v)
				}
			}
		})
	}
	wg.Wait()
	return p, ctx.Err()
}

// draw fills in a batch.
func (p pool) draw(src *rand.Rand, batch, levels int, f, onehot []float32) {
	clear(onehot)
	for i := range batch {
		j := src.IntN(len(p.level))
		copy(f[i*features:(i+1)*features], p.f[j*features:(j+1)*features])
		onehot[i*levels+p.level[j]] = 1
	}
}
