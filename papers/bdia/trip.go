package bdia

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/diffusion"
)

// The rivals in going there and back.
const (
	ddimInversion = "DDIM inversion"
	coupling      = "EDICT, p = 0.93"
	noiseAlone    = ", noise alone"       // of BDIA: the pair's second state is thrown away
	stored        = "a stored trajectory" // a fake that remembers its start; no rival, for the claims' tests
)

func bdiaName(gamma float64) string { return fmt.Sprintf("BDIA, γ = %g", gamma) }

// gammaOf reads bdiaName.
func gammaOf(name string) (diffusion.BDIA, bool) {
	text, ok := strings.CutPrefix(strings.TrimSuffix(name, noiseAlone), "BDIA, γ = ")
	gamma, err := strconv.ParseFloat(text, 64)
	return diffusion.BDIA{}.WithGamma(gamma), ok && err == nil
}

// anyError lets an inverse run whatever its rounding errors come to: here they are
// what is measured.
var anyError = diffusion.Accuracy{Tolerance: math.Inf(1)}

// A trip goes from noise to data and back by one method.
type trip[T diffusion.Float] struct {
	name        string
	model       diffusion.Denoiser[T]
	makes       diffusion.Denoiser[T] // makes samples of noise; another than model edits
	grid        diffusion.Grid        // from noise to data
	forth, back *diffusion.Tape
	rounding    float64 // error predicted of the way back, 0 for the approximate ones
	chains      int     // states that both ways take
}

func newTrip[T diffusion.Float](name string, model diffusion.Denoiser[T], g diffusion.Grid) (tr *trip[T], err error) {
	tr = &trip[T]{name: name, model: model, makes: model, grid: g, chains: 1}
	o := diffusion.TraceOptions{Predicts: model.Predicts()}
	var inv *diffusion.Inverse
	switch m, isBDIA := gammaOf(name); {
	case isBDIA:
		if tr.forth, err = diffusion.Trace(m, g, o); err != nil {
			return nil, err
		}
		if tr.forth, err = tr.forth.WithPair(); err != nil {
			return nil, err
		}
		inv, err = tr.forth.Invert(anyError)
	case name == coupling:
		tr.chains = 2
		if tr.forth, err = diffusion.Trace(edict{mix: 0.93}, g, o); err != nil {
			return nil, err
		}
		inv, err = tr.forth.Invert(anyError)
	case name == ddimInversion || name == stored:
		g.Spacing = diffusion.TimeUniform
		if tr.forth, err = diffusion.Trace(diffusion.DDIM{}, g, o); err != nil {
			return nil, err
		}
		g.Start, g.End = ends(g)
		g.Start, g.End = g.End, g.Start
		tr.back, err = diffusion.Trace(diffusion.DDIM{}, g, o)
	default:
		err = fmt.Errorf("method %q is unknown", name)
	}
	if err != nil {
		return nil, err
	}
	if inv != nil {
		tr.back, tr.rounding = inv.Tape, inv.Error(diffusion.Unit[T]())
	}
	return tr, nil
}

func ends(g diffusion.Grid) (start, end float64) {
	if g.Start == 0 && g.End == 0 {
		end, start = g.Schedule.Range()
		return start, end
	}
	return g.Start, g.End
}

func (tr *trip[T]) env() diffusion.Env[T] { return diffusion.Env[T]{Model: tr.model} }

// ahead runs from noise to all that is kept at the clean end.
func (tr *trip[T]) ahead(ctx context.Context, z []T, n int) ([][]T, error) {
	in := [][]T{z}
	if tr.chains == 2 {
		in = append(in, z)
	}
	return diffusion.Run(ctx, tr.forth, tr.env(), n, in...)
}

// homeward runs from what was kept back to noise. The fake knows the answer.
func (tr *trip[T]) homeward(ctx context.Context, kept [][]T, n int, start []T) ([]T, error) {
	if tr.name == stored {
		return start, nil
	}
	out, err := diffusion.Run(ctx, tr.back, tr.env(), n, kept...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// regenerate walks a clean sample to noise by model, and makes it again by makes.
func (tr *trip[T]) regenerate(ctx context.Context, clean []T, n int) (noise, again []T, calls int, err error) {
	var out [][]T
	m, isBDIA := gammaOf(tr.name)
	p := diffusion.Problem[T]{Model: tr.model, Grid: tr.grid, X: clean, N: n}
	switch {
	case isBDIA:
		pair, err := diffusion.InvertClean(ctx, p, m, anyError)
		if err != nil {
			return nil, nil, 0, err
		}
		p.Model = tr.makes
		if strings.HasSuffix(tr.name, noiseAlone) {
			p.X = pair.Noise
			s, err := diffusion.Solve(ctx, p, m)
			return pair.Noise, s.X, tr.grid.Steps + s.NFE, err
		}
		s, err := diffusion.FromPair(ctx, p, m, pair)
		return pair.Noise, s.X, tr.grid.Steps + s.NFE, err
	case tr.name == stored:
		return clean, clean, 0, nil
	}
	in := [][]T{clean}
	if tr.chains == 2 {
		in = append(in, clean)
	}
	if out, err = diffusion.Run(ctx, tr.back, tr.env(), n, in...); err != nil {
		return nil, nil, 0, err
	}
	noise = out[0]
	if out, err = diffusion.Run(ctx, tr.forth, diffusion.Env[T]{Model: tr.makes}, n, out...); err != nil {
		return nil, nil, 0, err
	}
	return noise, out[0], tr.back.NFE() + tr.forth.NFE(), nil
}

// farthest is the largest difference of two numbers.
func farthest[T diffusion.Float](a, b []T) float64 {
	var d float64
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
		if a[i] != a[i] {
			return math.NaN()
		}
	}
	return d
}

// meanDistance is the mean Euclidean distance of n samples from their truths.
func meanDistance[T diffusion.Float](a, b []T, n int) float64 {
	d := len(a) / n
	var sum float64
	for i := range n {
		var ss float64
		for j := i * d; j < (i+1)*d; j++ {
			e := float64(a[j]) - float64(b[j])
			ss += e * e
		}
		sum += math.Sqrt(ss)
	}
	return sum / float64(n)
}

func meanSquare[T diffusion.Float](x []T) float64 {
	var ss float64
	for _, v := range x {
		ss += float64(v) * float64(v)
	}
	return ss / float64(len(x))
}
