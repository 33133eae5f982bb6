package adjoint_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/gmm"
)

var mixture = &gmm.Mixture{W: []float64{.5, .3, .2}, Mu: [][]float64{{1, -.5}, {-1.2, .8}, {.3, 1.5}}, S: []float64{.25, .4, .15}}

var (
	euler    = diffusion.RhoRK{Tableau: diffusion.Tableaux[0]}
	midpoint = diffusion.RhoRK{Tableau: diffusion.Tableaux[2]}
	rk4      = diffusion.RhoRK{Tableau: diffusion.ThreeEighths}
)

func trainable(t testing.TB, shift []float64, components ...int) *gmm.Trainable {
	t.Helper()
	m, err := gmm.NewTrainable(mixture, shift, components...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func problem(t testing.TB, steps, n int) diffusion.Problem[float64] {
	t.Helper()
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, Start: 1, End: 1e-2}
	x, err := diffusion.Start[float64](g, n, mixture.Dim(), diffusion.Seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	return diffusion.Problem[float64]{Model: trainable(t, nil), Grid: g, X: x, N: n, Noise: diffusion.Seeded(3)}
}

// half is ½·Σ|x − target|².
func half[T diffusion.Float](x []T, n int, grad []T) (float64, error) {
	target := []T{.4, .2}
	var y float64
	for i, v := range x {
		grad[i] = v - target[i%2]
		y += float64(grad[i]*grad[i]) / 2
	}
	return y, nil
}

func solve[T diffusion.Float](t testing.TB, p diffusion.Problem[T], m diffusion.Method, o adjoint.Options) *adjoint.Gradient[T] {
	t.Helper()
	g, err := adjoint.Solve(context.Background(), p, m, half[T], o)
	if err != nil {
		t.Fatalf("%T, %+v: %v", m, o, err)
	}
	return g
}

func distance(a, b []float64) float64 {
	var d, s float64
	for i := range a {
		d += (a[i] - b[i]) * (a[i] - b[i])
		s += b[i] * b[i]
	}
	return math.Sqrt(d / s)
}

// TestDifferences: the discrete gradient is that of the sampler, by central
// differences, for start states and for a condition, with every method of a kind.
func TestDifferences(t *testing.T) {
	const h = 1e-5
	for _, m := range []diffusion.NamedMethod{
		{Name: "euler", Method: euler}, {Name: "midpoint", Method: midpoint}, {Name: "rk4", Method: rk4},
		{Name: "2M", Method: diffusion.DPMSolver{}}, {Name: "UniPC", Method: diffusion.UniPC{}},
		{Name: "explicit Adams", Method: diffusion.RhoAdams{}},
		{Name: "SDE, the noise held fast", Method: diffusion.DDIM{Eta: 1}},
	} {
		p := problem(t, 10, 3)
		g := solve(t, p, m.Method, adjoint.Options{})
		loss := func(x, shift []float64) float64 {
			q := p
			q.X, q.Model = x, trainable(t, shift)
			s, err := diffusion.Solve(context.Background(), q, m.Method)
			if err != nil {
				t.Fatal(err)
			}
			y, _ := half(s.X, s.Tape.Steps(), make([]float64, len(s.X)))
			return y
		}
		if y := loss(p.X, nil); math.Abs(g.Loss-y) > 1e-14*y {
			t.Errorf("%s: loss %v, sampling gives %v", m.Name, g.Loss, y)
		}
		for i := range p.X {
			up, down := slices.Clone(p.X), slices.Clone(p.X)
			up[i] += h
			down[i] -= h
			if want := (loss(up, nil) - loss(down, nil)) / (2 * h); math.Abs(g.Start[i]-want) > 1e-6*(1+math.Abs(want)) {
				t.Errorf("%s: start[%d]: %.9g, differences %.9g", m.Name, i, g.Start[i], want)
			}
		}
		_, _, shift := trainable(t, nil).Split(g.Params)
		for i := range shift {
			up, down := make([]float64, 2), make([]float64, 2)
			up[i], down[i] = h, -h
			if want := (loss(p.X, up) - loss(p.X, down)) / (2 * h); math.Abs(shift[i]-want) > 1e-6*(1+math.Abs(want)) {
				t.Errorf("%s: shift[%d]: %.9g, differences %.9g", m.Name, i, shift[i], want)
			}
		}
	}
}

// TestParameters holds means and deviations against differences.
func TestParameters(t *testing.T) {
	p := problem(t, 8, 3)
	g := solve(t, p, midpoint, adjoint.Options{})
	mu, logS, _ := trainable(t, nil).Split(g.Params)
	loss := func(k, i int, h float64) float64 { // i = 2: the logarithm of the deviation
		m := &gmm.Mixture{W: mixture.W, S: slices.Clone(mixture.S)}
		for _, row := range mixture.Mu {
			m.Mu = append(m.Mu, slices.Clone(row))
		}
		if i == 2 {
			m.S[k] *= math.Exp(h)
		} else {
			m.Mu[k][i] += h
		}
		model, err := gmm.NewTrainable(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		q := p
		q.Model = model
		return solve(t, q, midpoint, adjoint.Options{}).Loss
	}
	const h = 1e-5
	for k := range mixture.W {
		for i := range 3 {
			got, want := logS[k], (loss(k, i, h)-loss(k, i, -h))/(2*h)
			if i < 2 {
				got = mu[k][i]
			}
			if math.Abs(got-want) > 1e-7*(1+math.Abs(want)) {
				t.Errorf("component %d, parameter %d: %.9g, differences %.9g", k, i, got, want)
			}
		}
	}
}

// TestCheckpoints: where states come from changes nothing but the cost.
func TestCheckpoints(t *testing.T) {
	const n = 12
	for _, tt := range []struct {
		name            string
		method          diffusion.Method
		mode            adjoint.Mode
		o               adjoint.Options
		nfe, vjps, most int // most: states, gradients and registers at the peak
	}{
		{"euler asks at the grid's states: nothing is run again", euler, adjoint.Discrete, adjoint.Options{}, n, n, n + 5},
		{"euler, full is the same", euler, adjoint.Discrete, adjoint.Options{Checkpoint: adjoint.Full}, n, n, n + 5},
		// every part but the last step of each is run again
		{"euler, four parts", euler, adjoint.Discrete, adjoint.Options{Checkpoint: adjoint.Recursive, Parts: 4}, n - 3 + n - 3, n, 4 + 3 + 5},
		{"euler, halves of halves", euler, adjoint.Discrete, adjoint.Options{Checkpoint: adjoint.Recursive, Parts: 2}, 0, n, 5 + 5},
		{"midpoint runs its inner stage again", midpoint, adjoint.Discrete, adjoint.Options{}, 2*n + n, 2 * n, n + 8},
		{"midpoint, full", midpoint, adjoint.Discrete, adjoint.Options{Checkpoint: adjoint.Full}, 2 * n, 2 * n, 2*n + 7},
		{"rk4 runs three stages again", rk4, adjoint.Discrete, adjoint.Options{}, 4*n + 3*n, 4 * n, n + 14},
		{"2M has a history but asks at the grid's states", diffusion.DPMSolver{}, adjoint.Discrete, adjoint.Options{}, n, n, n + 8},
		{"2M, parts", diffusion.DPMSolver{}, adjoint.Discrete, adjoint.Options{Checkpoint: adjoint.Recursive}, 0, n, 18},
		{"UniPC keeps what it asks at, and runs again the first step, which asks twice", diffusion.UniPC{}, adjoint.Discrete, adjoint.Options{}, n + 1, n, n + 16},
		{"the paper's euler", euler, adjoint.Continuous, adjoint.Options{}, n, n, n + 7},
		{"the paper's midpoint asks for ε on the way back", midpoint, adjoint.Continuous, adjoint.Options{}, 2*n + n, 2 * n, n + 9},
		{"the paper's rk4, recursive", rk4, adjoint.Continuous, adjoint.Options{Checkpoint: adjoint.Recursive, Parts: 3}, 0, 4 * n, 30},
	} {
		tt.o.Mode = tt.mode
		p := problem(t, n, 50)
		want := solve(t, p, tt.method, adjoint.Options{Mode: tt.mode})
		got := solve(t, p, tt.method, tt.o)
		if d := distance(got.Start, want.Start); d > 0 {
			t.Errorf("%s: start: differs by %g", tt.name, d)
		}
		if d := distance(got.Params, want.Params); d > 0 {
			t.Errorf("%s: parameters: differ by %g", tt.name, d)
		}
		if !slices.Equal(got.X, want.X) || got.Loss != want.Loss {
			t.Errorf("%s: other samples", tt.name)
		}
		if tt.nfe > 0 && got.NFE != tt.nfe || got.VJPs != tt.vjps {
			t.Errorf("%s: %d evaluations and %d products, want %d and %d", tt.name, got.NFE, got.VJPs, tt.nfe, tt.vjps)
		}
		if states := got.Bytes / 8 / len(p.X); states > tt.most {
			t.Errorf("%s: %d states at the peak, want %d at most", tt.name, states, tt.most)
		}
	}
}

// TestContinuousIsItsOwn: the paper's Euler gradient takes the Jacobian at the clean
// end, the exact one at the noisy end; with more steps both tend to the same.
func TestContinuousIsItsOwn(t *testing.T) {
	truth := solve(t, problem(t, 600, 4), rk4, adjoint.Options{})
	for _, tt := range []struct {
		name   string
		method diffusion.Method
		mode   adjoint.Mode
		lo, hi float64 // order between 40 and 160 steps
	}{
		{"discrete euler", euler, adjoint.Discrete, .8, 1.3},
		{"discrete midpoint", midpoint, adjoint.Discrete, 1.7, 2.4},
		{"discrete rk4", rk4, adjoint.Discrete, 3.6, 4.6},
		{"continuous midpoint", midpoint, adjoint.Continuous, 1.6, 3.5},
		{"continuous rk4", rk4, adjoint.Continuous, 3.5, 4.8},
	} {
		e := func(steps int) float64 {
			return distance(solve(t, problem(t, steps, 4), tt.method, adjoint.Options{Mode: tt.mode}).Start, truth.Start)
		}
		if order := math.Log2(e(40)/e(160)) / 2; order < tt.lo || order > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, order, tt.lo, tt.hi)
		}
	}
	fine := solve(t, problem(t, 80, 4), rk4, adjoint.Options{Mode: adjoint.Continuous})
	if d := distance(fine.Params, truth.Params); d > 1e-4 {
		t.Errorf("the continuous gradient of the parameters is off by %g", d)
	}
	p := problem(t, 20, 4)
	a, b := solve(t, p, euler, adjoint.Options{}), solve(t, p, euler, adjoint.Options{Mode: adjoint.Continuous})
	if d := distance(b.Start, a.Start); d < .1 {
		t.Errorf("discrete and continuous Euler differ by %g only", d)
	}
	own := solve(t, p, diffusion.DDIM{}, adjoint.Options{Mode: adjoint.Continuous})
	if d := distance(own.Start, b.Start); d > 1e-10 { // DDIM is Euler in ρ, by another route
		t.Errorf("DDIM's own adjoint differs from Euler's by %g", d)
	}
	adams := solve(t, p, diffusion.RhoAdams{}, adjoint.Options{Mode: adjoint.Continuous})
	given := solve(t, p, diffusion.RhoAdams{}, adjoint.Options{Mode: adjoint.Continuous, Solver: diffusion.ThreeEighths})
	if !slices.Equal(adams.Start, given.Start) {
		t.Error("the adjoint of Adams is not the 3/8 rule's")
	}
}

// TestNone: integrating back finds the start the better the more steps there are,
// takes the same memory, and says so when it does not find it.
func TestNone(t *testing.T) {
	for _, mode := range []adjoint.Mode{adjoint.Discrete, adjoint.Continuous} {
		o := adjoint.Options{Mode: mode, Checkpoint: adjoint.None, Tolerance: 1e3}
		var bytes []int
		var off, gradient []float64
		for _, steps := range []int{40, 160} {
			p := problem(t, steps, 4)
			g := solve(t, p, rk4, o)
			bytes, off = append(bytes, g.Bytes), append(off, g.Mismatch)
			kept := solve(t, p, rk4, adjoint.Options{Mode: mode})
			gradient = append(gradient, distance(g.Start, kept.Start))
		}
		if bytes[0] != bytes[1] {
			t.Errorf("%v: %v bytes with 40 and 160 steps", mode, bytes)
		}
		if off[1] > off[0]/50 || off[1] == 0 { // order 4: 256
			t.Errorf("%v: the start is missed by %v", mode, off)
		}
		if gradient[1] > gradient[0]/50 || gradient[1] == 0 {
			t.Errorf("%v: the gradients differ from those with states by %v", mode, gradient)
		}
	}
	p := problem(t, 10, 4)
	var far *adjoint.MismatchError
	g, err := adjoint.Solve(context.Background(), p, euler, half[float64], adjoint.Options{Checkpoint: adjoint.None})
	if !errors.As(err, &far) || g == nil || g.Mismatch != far.Mismatch || !(far.Mismatch > 1e-3) {
		t.Errorf("10 steps of Euler without states: %v", err)
	}
}

// TestNoneOfBDIA: what can be inverted gives the exact gradient without kept states,
// in the same memory for any number of steps; what cannot is refused.
func TestNoneOfBDIA(t *testing.T) {
	for _, gamma := range []float64{1, .96} {
		m := diffusion.BDIA{Gamma: gamma}
		var bytes []int
		for _, steps := range []int{1, 2, 20, 60} {
			p := problem(t, steps, 4)
			kept := solve(t, p, m, adjoint.Options{})
			g := solve(t, p, m, adjoint.Options{Checkpoint: adjoint.None})
			if d := distance(g.Start, kept.Start); d > 1e-9 || g.Mismatch > 1e-11 { // rounding, grown by γ⁻⁶⁰
				t.Errorf("γ = %g, %d steps: the gradient is off by %.2g, the start by %.2g", gamma, steps, d, g.Mismatch)
			}
			for i := range g.Params {
				if math.Abs(g.Params[i]-kept.Params[i]) > 1e-9*(1+math.Abs(kept.Params[i])) {
					t.Errorf("γ = %g, %d steps: parameter %d: %g, want %g", gamma, steps, i, g.Params[i], kept.Params[i])
				}
			}
			bytes = append(bytes, g.Bytes)
		}
		if bytes[2] != bytes[3] {
			t.Errorf("γ = %g: %v bytes with 20 and 60 steps", gamma, bytes[2:])
		}
	}
	_, err := adjoint.Solve(context.Background(), problem(t, 100, 4), diffusion.BDIA{Gamma: .5}, half[float64], adjoint.Options{Checkpoint: adjoint.None})
	if err == nil || !strings.Contains(err.Error(), "beyond the tolerance") {
		t.Errorf("γ = 0.5: %v", err)
	}
}

// TestFloat32: small gradients of float32 states are those of float64 to the
// states' precision; in float32 they are nearly so.
func TestFloat32(t *testing.T) {
	p := problem(t, 20, 8)
	q := diffusion.Problem[float32]{Model: rounded{trainable(t, nil)}, Grid: p.Grid, N: p.N}
	for _, x := range p.X {
		q.X = append(q.X, float32(x))
	}
	for _, mode := range []adjoint.Mode{adjoint.Discrete, adjoint.Continuous} {
		for _, narrow := range []bool{false, true} {
			for _, check := range []adjoint.Checkpoint{adjoint.GridStates, adjoint.Recursive, adjoint.None} {
				o := adjoint.Options{Mode: mode, Checkpoint: check, NarrowAdjoint: narrow, Tolerance: 1}
				want, got := solve(t, p, rk4, o), solve(t, q, rk4, o)
				wide := make([]float64, len(got.Start))
				for i, v := range got.Start {
					wide[i] = float64(v)
				}
				if d := distance(wide, want.Start); d > 1e-4 { // float32 through 160 products
					t.Errorf("%+v: start differs by %g", o, d)
				}
				if d := distance(got.Params, want.Params); d > 1e-4 {
					t.Errorf("%+v: parameters differ by %g", o, d)
				}
			}
		}
	}
}

// rounded is a model of float64 for states of float32.
type rounded struct{ *gmm.Trainable }

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func (r rounded) Denoise(ctx context.Context, dst, x []float32, n int, at []diffusion.Level) error {
	out := make([]float64, len(x))
	err := r.Trainable.Denoise(ctx, out, wide(x), n, at)
	for i, v := range out {
		dst[i] = float32(v)
	}
	return err
}

func (r rounded) VJP(ctx context.Context, gx, x, a []float32, n int, at []diffusion.Level, params []float64, weight float64) error {
	out := make([]float64, len(x))
	err := r.Trainable.VJP(ctx, out, wide(x), wide(a), n, at, params, weight)
	for i, v := range out {
		gx[i] = float32(v)
	}
	return err
}

// TestCoefficients: the gradient of DC-Solver's kind, by differences in one
// coefficient of the tape at a time.
func TestCoefficients(t *testing.T) {
	p := problem(t, 4, 2)
	for _, check := range []adjoint.Checkpoint{adjoint.GridStates, adjoint.Full, adjoint.Recursive} {
		g := solve(t, p, diffusion.DPMSolver{}, adjoint.Options{Coefficients: true, Checkpoint: check, Parts: 2})
		run := func(i, j int, h float64) float64 {
			moved := *g.Tape
			moved.Code = slices.Clone(g.Tape.Code)
			moved.Code[i].Terms = slices.Clone(moved.Code[i].Terms)
			moved.Code[i].Terms[j].C += h
			out, err := diffusion.Run(context.Background(), &moved, diffusion.Env[float64]{Model: p.Model}, p.N, p.X)
			if err != nil {
				t.Fatal(err)
			}
			y, _ := half(out[0], p.N, make([]float64, len(out[0])))
			return y
		}
		for i, row := range g.Coefficients {
			for j, got := range row {
				const h = 1e-6
				if want := (run(i, j, h) - run(i, j, -h)) / (2 * h); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("%v: coefficient %d of instruction %d: %.9g, differences %.9g", check, j, i, got, want)
				}
			}
		}
		if len(g.Coefficients) != len(g.Tape.Code) {
			t.Errorf("%v: gradients of %d instructions of %d", check, len(g.Coefficients), len(g.Tape.Code))
		}
	}
}

// recording keeps ten numbers an evaluation.
type recording struct {
	*gmm.Trainable
	pulls *int
}

func (r recording) Record(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) (adjoint.Pull[float64], int, error) {
	kept, level := slices.Clone(x), slices.Clone(at)
	return func(ctx context.Context, gx, a []float64, params []float64, weight float64) error {
		*r.pulls++
		return r.VJP(ctx, gx, kept, a, n, level, params, weight)
	}, 10, r.Denoise(ctx, dst, x, n, at)
}

// TestRecorder: with full storage a model that can keep its activations is pulled
// back, evaluation by evaluation in the right order.
func TestRecorder(t *testing.T) {
	for _, m := range []diffusion.Method{euler, rk4, diffusion.UniPC{}, diffusion.PNDM{Start: diffusion.PseudoImprovedEuler}} {
		p := problem(t, 9, 3)
		want := solve(t, p, m, adjoint.Options{})
		pulls := 0
		p.Model = recording{trainable(t, nil), &pulls}
		got := solve(t, p, m, adjoint.Options{Checkpoint: adjoint.Full})
		if d := distance(got.Start, want.Start) + distance(got.Params, want.Params); d > 0 {
			t.Errorf("%T: differs by %g", m, d)
		}
		if pulls != got.VJPs || got.NFE != got.Tape.NFE() || got.Recorded != 8*10*got.NFE {
			t.Errorf("%T: %d pulls for %d products, %d evaluations of %d, %d bytes kept", m, pulls, got.VJPs, got.NFE, got.Tape.NFE(), got.Recorded)
		}
	}
}

// TestGuidance: the gradient through guidance is that of the sampler.
func TestGuidance(t *testing.T) {
	p := problem(t, 12, 2)
	guided, err := diffusion.NewGuided[float64](trainable(t, nil, 1), trainable(t, nil), 2.5)
	if err != nil {
		t.Fatal(err)
	}
	p.Model = guided
	g := solve(t, p, diffusion.DPMSolver{}, adjoint.Options{})
	for i := range p.X {
		const h = 1e-5
		at := func(h float64) float64 {
			q := p
			q.X = slices.Clone(p.X)
			q.X[i] += h
			return solve(t, q, diffusion.DPMSolver{}, adjoint.Options{}).Loss
		}
		if want := (at(h) - at(-h)) / (2 * h); math.Abs(g.Start[i]-want) > 1e-6*(1+math.Abs(want)) {
			t.Errorf("start[%d]: %.9g, differences %.9g", i, g.Start[i], want)
		}
	}
}

func TestOnStep(t *testing.T) {
	for _, check := range []adjoint.Checkpoint{adjoint.GridStates, adjoint.Recursive, adjoint.None} {
		p := problem(t, 7, 1)
		var told []int
		p.OnStep = func(s diffusion.Step[float64]) error { told = append(told, s.Index); return nil }
		solve(t, p, rk4, adjoint.Options{Checkpoint: check, Tolerance: 10})
		if !slices.Equal(told, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Errorf("%v: told of steps %v", check, told)
		}
	}
}

// Example finds how the first sample's distance to a point changes with its noise.
func ExampleSolve() {
	model, err := gmm.NewTrainable(&gmm.Mixture{W: []float64{1}, Mu: [][]float64{{1, -1}}, S: []float64{.5}}, nil)
	if err != nil {
		panic(err)
	}
	p := diffusion.Problem[float64]{
		Model: model, N: 1, X: []float64{.3, -.2},
		Grid: diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 20},
	}
	loss := func(x []float64, n int, grad []float64) (float64, error) {
		grad[0], grad[1] = x[0], x[1]
		return (x[0]*x[0] + x[1]*x[1]) / 2, nil
	}
	g, err := adjoint.Solve(context.Background(), p, diffusion.DPMSolver{}, loss, adjoint.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Printf("start %.3f, shift %.3f, after %d evaluations and %d products\n", g.Start, g.Params[len(g.Params)-2:], g.NFE, g.VJPs)
	// Output: start [0.582 -0.556], shift [1.145 -1.094], after 20 evaluations and 20 products
}
