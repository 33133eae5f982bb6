// Package adjoint gives gradients through a diffusion sampler: of a loss on the
// final sample, with respect to the noise that sampling starts from, to a
// condition or the weights of the model, and to the sampler's own coefficients.
//
// By default the gradient is that of the numbers which the sampler computes, by the
// transposed tape ([Discrete]). AdjointDPM (Pan, Liew, Tan, Feng & Yan 2024) solves
// an adjoint ODE instead ([Continuous]). Either way the states along the way are
// kept, recomputed or integrated back, as [Options] say; the model's own activations
// live for one evaluation only, unless [Full] storage is asked for.
package adjoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/kern"
)

// Mode says which gradient is computed.
type Mode uint8

const (
	// Discrete is the gradient of the sampler itself, exact to rounding, for every
	// method: every evaluation of the model costs one product with its Jacobian.
	Discrete Mode = iota
	// Continuous is AdjointDPM: one ODE for state, adjoint and parameter gradient is
	// integrated back from data to noise, in the variables y = (α_T/α)·x and ρ =
	// α_T·σ/α − σ_T of the paper. Its error is that of the solver, and near the data,
	// where steps in ρ are long against ρ, it can be large for the start states.
	Continuous
)

func (m Mode) String() string { return name(m, "discrete", "continuous") }

// Checkpoint says where the states of the run come from on the way back.
type Checkpoint uint8

const (
	// GridStates keeps the state before every step and runs a step again where it
	// has inner stages: N + 1 states, as the paper's code does.
	GridStates Checkpoint = iota
	// Full keeps the state of every evaluation, and what the model keeps for its
	// gradient where it is a [Recorder]: plain back-propagation.
	Full
	// Recursive cuts the steps into Parts, keeps the state before each, and does
	// every part likewise: Parts·⌈log N/log Parts⌉ states, for as many more runs as
	// that logarithm less 1.
	Recursive
	// None keeps nothing: the same method integrates from the final state back to
	// noise. Memory does not depend on the number of steps, but the states drift
	// away from those of the run; see [MismatchError]. Those of [diffusion.BDIA] do not:
	// its inverse retraces them to rounding, so the gradient is exact.
	None
)

func (c Checkpoint) String() string { return name(c, "grid states", "full", "recursive", "none") }

func name[T ~uint8](i T, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%d", uint8(i))
}

// Options choose the gradient. The zero value is the exact gradient from kept
// states.
type Options struct {
	Mode       Mode
	Checkpoint Checkpoint
	Parts      int // of Recursive; 0: √N, so that one more run is enough

	// Solver integrates the adjoint ODE; the zero value is the method's own tableau,
	// and the 3/8 rule for a method that has none, as Adams methods in the official
	// code come down to on the way back.
	Solver diffusion.Tableau

	// Tolerance is how far the state that None comes back to may be from the start,
	// as a root mean square relative to the start's; 0: 10⁻³.
	Tolerance float64

	// Coefficients asks for the gradient of every coefficient of the tape (Discrete
	// only). It needs all registers: more memory for methods with a history.
	Coefficients bool

	// NarrowAdjoint keeps gradients of float32 states in float32. They are in float64
	// otherwise, up to 65,536 numbers.
	NarrowAdjoint bool
}

// wideNumbers is up to what size gradients of float32 states are held in float64.
const wideNumbers = 1 << 16

// A Loss writes the gradient of a scalar with respect to n samples x, row by row,
// to grad and returns the scalar.
type Loss[T diffusion.Float] func(x []T, n int, grad []T) (float64, error)

// A Recorder is a model that can keep what its gradient needs, for [Full].
type Recorder[T diffusion.Float] interface {
	diffusion.VJPDenoiser[T]
	// Record is Denoise; pull then gives the product that VJP gives, and numbers is
	// how many numbers it keeps.
	Record(ctx context.Context, dst, x []T, n int, at []diffusion.Level) (pull Pull[T], numbers int, err error)
}

// A Pull is VJP at a point that is known.
type Pull[T diffusion.Float] func(ctx context.Context, gx, a []T, params []float64, weight float64) error

// A Gradient is the result of Solve.
type Gradient[T diffusion.Float] struct {
	X    []T     // the samples, row by row
	Loss float64 // of the samples
	// Start is the gradient with respect to the start states.
	Start []T
	// Params is the gradient with respect to the model's parameters; nil: it has none.
	Params []float64
	// Coefficients is the gradient of Tape.Code[i].Terms[j].C, at [i][j]; nil unless
	// asked for, and for instructions that are no Comb.
	Coefficients [][]float64
	Tape         *diffusion.Tape

	NFE, VJPs int // evaluations, those done again included, and products with the Jacobian
	// Bytes is the most memory that states, gradients and registers took together, and
	// Recorded that of what a Recorder kept.
	Bytes, Recorded int
	Mismatch        float64 // of None, see Options.Tolerance
}

// A MismatchError says that None came back to another state than sampling started
// from: the gradient is then wrong as well.
type MismatchError struct{ Mismatch, Tolerance float64 }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("adjoint: integrating back without kept states misses the start by %.3g (relative), more than the tolerance of %.3g: take more steps, a higher order, or keep states",
		e.Mismatch, e.Tolerance)
}

// Solve samples and gives the gradient of the loss. The problem's model must be a
// [diffusion.VJPDenoiser]. With None, the gradient comes along with a
// [MismatchError].
func Solve[T diffusion.Float](ctx context.Context, p diffusion.Problem[T], m diffusion.Method, loss Loss[T], o Options) (*Gradient[T], error) {
	s, err := newSweep(p, m, o)
	if err != nil {
		return nil, err
	}
	if loss == nil {
		return nil, errors.New("adjoint: no loss")
	}
	if !s.wide {
		return run(ctx, s, sameSide[T](s), loss)
	}
	return run(ctx, s, wideSide(s), loss)
}

// newSweep checks the problem and compiles the sampler.
func newSweep[T diffusion.Float](p diffusion.Problem[T], m diffusion.Method, o Options) (*sweep[T], error) {
	if p.Model == nil || m == nil {
		return nil, errors.New("adjoint: no model or no method")
	}
	model, ok := p.Model.(diffusion.VJPDenoiser[T])
	switch {
	case !ok:
		return nil, fmt.Errorf("adjoint: the model (%T) gives no gradient: it must be a diffusion.VJPDenoiser", p.Model)
	case p.Hook != nil:
		return nil, errors.New("adjoint: the gradient through thresholding or clipping of data predictions is not defined: sample without")
	case o.Mode > Continuous || o.Checkpoint > None:
		return nil, fmt.Errorf("adjoint: mode %v with checkpoint %v: there is no such", o.Mode, o.Checkpoint)
	case o.Parts != 0 && o.Parts < 2:
		return nil, fmt.Errorf("adjoint: %d parts: recursion needs at least 2", o.Parts)
	case o.Tolerance < 0 || math.IsNaN(o.Tolerance):
		return nil, fmt.Errorf("adjoint: tolerance = %g: must be positive", o.Tolerance)
	case o.Coefficients && (o.Mode != Discrete || o.Checkpoint == None):
		return nil, errors.New("adjoint: gradients of coefficients need the discrete gradient and kept states")
	case p.N < 1 || len(p.X) == 0 || len(p.X)%p.N != 0:
		return nil, fmt.Errorf("adjoint: %d numbers for %d samples: want samples of equal size", len(p.X), p.N)
	}
	tape, err := diffusion.Trace(m, p.Grid, diffusion.TraceOptions{Predicts: model.Predicts()})
	if err != nil {
		return nil, err
	}
	if len(tape.Inputs) != 1 || tape.Steps() == 0 {
		return nil, fmt.Errorf("adjoint: a tape of %d inputs and %d steps: want one input, and marked steps", len(tape.Inputs), tape.Steps())
	}
	var x T
	s := &sweep[T]{
		p: p, o: o, model: model, tape: tape, n: p.N, size: len(p.X), steps: tape.Steps(),
		values: map[diffusion.Reg][]T{}, wide: unsafe.Sizeof(x) == 4 && !o.NarrowAdjoint && len(p.X) <= wideNumbers,
	}
	if o.Parts == 0 {
		s.o.Parts = max(2, int(math.Ceil(math.Sqrt(float64(s.steps)))))
	}
	if o.Tolerance == 0 {
		s.o.Tolerance = 1e-3
	}
	if err := s.plan(m); err != nil {
		return nil, err
	}
	if r, ok := p.Model.(Recorder[T]); ok && o.Checkpoint == Full && o.Mode == Discrete {
		s.recorder = &recorder[T]{Recorder: r, pulls: map[int]Pull[T]{}}
		s.model = s.recorder
	}
	return s, nil
}

// lossGradient asks the loss, and checks what it says.
func lossGradient[T diffusion.Float](loss Loss[T], x []T, n int, grad []T) (float64, error) {
	clear(grad)
	y, err := loss(x, n, grad)
	if err != nil {
		return y, fmt.Errorf("adjoint: loss: %w", err)
	}
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return y, fmt.Errorf("adjoint: the loss is %v", y)
	}
	if i := kern.NotFinite(grad); i >= 0 {
		return y, &diffusion.GradientError{Value: float64(grad[i]), Sample: i / (len(grad) / n)}
	}
	return y, nil
}
