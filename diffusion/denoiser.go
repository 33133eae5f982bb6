package diffusion

import (
	"context"
	"fmt"
	"math"
)

// Float is the element type of states: storage is the user's choice,
// coefficients are always computed in float64.
type Float interface{ ~float32 | ~float64 }

// Prediction says what a network estimates of x = α·x₀ + σ·ε.
type Prediction uint8

const (
	Noise    Prediction = iota // ε
	Data                       // x₀
	Velocity                   // v = α·ε − σ·x₀ (Salimans & Ho 2022)
	Score                      // ∇ log p(x) = −ε/σ
)

var predictionNames = [...]string{"noise", "data", "velocity", "score"}

func (p Prediction) String() string {
	if int(p) < len(predictionNames) {
		return predictionNames[p]
	}
	return fmt.Sprintf("Prediction(%d)", uint8(p))
}

// ParsePrediction reads the name that String writes.
func ParsePrediction(s string) (Prediction, error) {
	for i, name := range predictionNames {
		if s == name {
			return Prediction(i), nil
		}
	}
	return 0, fmt.Errorf("diffusion: prediction %q: must be noise, data, velocity or score", s)
}

// A Level is a point of a noise schedule: x_t = Alpha·x₀ + Sigma·ε.
type Level struct {
	T      float64 // time, in the schedule's own unit
	Alpha  float64 // signal
	Sigma  float64 // noise
	Lambda float64 // log(Alpha/Sigma), half the log signal-to-noise ratio; +Inf at Sigma = 0
}

// A Denoiser is a trained diffusion model, or an exact one. Conditioning (a
// label, a prompt) is bound in it; [Guided] combines two.
//
// Denoise writes the prediction for n samples of len(x)/n numbers each, row by
// row, to dst. at has one level for the whole batch or one for every sample. dst
// and x have the same length and do not overlap. A Denoiser is safe for
// concurrent use.
type Denoiser[T Float] interface {
	Predicts() Prediction
	Denoise(ctx context.Context, dst, x []T, n int, at []Level) error
}

// A Func is a Denoiser made of a function.
type Func[T Float] struct {
	Prediction Prediction
	F          func(ctx context.Context, dst, x []T, n int, at []Level) error
}

// Predicts says what F estimates.
func (f Func[T]) Predicts() Prediction { return f.Prediction }

// Denoise calls F.
func (f Func[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	return f.F(ctx, dst, x, n, at)
}

// Guided is classifier-free guidance (Ho & Salimans 2022): the prediction
// Uncond + Scale·(Cond − Uncond). Scale 1 asks Cond alone, scale 0 Uncond alone.
// One call counts as one function evaluation, as papers count it, and costs
// [Passes] network passes.
type Guided[T Float] struct {
	Cond, Uncond Denoiser[T]
	Scale        float64
}

// NewGuided checks that both models predict the same thing and that the scale is finite.
func NewGuided[T Float](cond, uncond Denoiser[T], scale float64) (Guided[T], error) {
	if cond.Predicts() != uncond.Predicts() {
		return Guided[T]{}, fmt.Errorf("diffusion: guidance of a model that predicts %v by one that predicts %v: they must agree",
			cond.Predicts(), uncond.Predicts())
	}
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return Guided[T]{}, fmt.Errorf("diffusion: guidance scale = %g: must be finite", scale)
	}
	return Guided[T]{cond, uncond, scale}, nil
}

// Predicts says what both models estimate.
func (g Guided[T]) Predicts() Prediction { return g.Cond.Predicts() }

// Reverts is the mean-reverting process of the models, if they are of one.
func (g Guided[T]) Reverts() *MeanReverting { return revertsTo(g.Cond) }

// Passes is how many network passes one evaluation costs.
func (g Guided[T]) Passes() int {
	switch g.Scale {
	case 0:
		return Passes(g.Uncond)
	case 1:
		return Passes(g.Cond)
	}
	return Passes(g.Cond) + Passes(g.Uncond)
}

// Denoise writes the guided prediction.
func (g Guided[T]) Denoise(ctx context.Context, dst, x []T, n int, at []Level) error {
	switch g.Scale {
	case 0:
		return g.Uncond.Denoise(ctx, dst, x, n, at)
	case 1:
		return g.Cond.Denoise(ctx, dst, x, n, at)
	}
	if err := g.Cond.Denoise(ctx, dst, x, n, at); err != nil {
		return err
	}
	un := make([]T, len(dst))
	if err := g.Uncond.Denoise(ctx, un, x, n, at); err != nil {
		return err
	}
	s := T(g.Scale)
	for i, u := range un {
		dst[i] = u + s*(dst[i]-u)
	}
	return nil
}

// Passes is how many network passes one call of the model costs: 1, unless the
// model has a method Passes that says otherwise.
func Passes[T Float](m Denoiser[T]) int {
	if p, ok := m.(interface{ Passes() int }); ok {
		return p.Passes()
	}
	return 1
}
