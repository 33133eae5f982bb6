package diffusion_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

func trainable(t testing.TB, components ...int) *gmm.Trainable {
	t.Helper()
	m, err := gmm.NewTrainable(mixture, nil, components...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// allStates runs a tape and returns the values of the registers.
func allStates(t *testing.T, tp *diffusion.Tape, env diffusion.Env[float64], n int, x []float64, regs []diffusion.Reg) [][]float64 {
	t.Helper()
	env.Buffers, env.Params, env.Dots = nil, nil, nil
	out, err := diffusion.Run(context.Background(), tp.Keep(regs...), env, n, x)
	if err != nil {
		t.Fatal(err)
	}
	return out[len(tp.Outputs):]
}

// TestTranspose: for every method, the transposed tape is the transpose of the
// tape's derivative: w·(J·v) = (Jᵀ·w)·v, with J·v from differences.
func TestTranspose(t *testing.T) {
	ctx := context.Background()
	p := problem[float64](t, 12, 3)
	all := append(diffusion.Methods(),
		diffusion.NamedMethod{Name: "explicit Adams", Method: diffusion.RhoAdams{}},
		diffusion.NamedMethod{Name: "implicit Adams", Method: diffusion.RhoAdams{Implicit: true, VariableStep: true}},
		diffusion.NamedMethod{Name: "3/8 rule", Method: diffusion.RhoRK{Tableau: diffusion.ThreeEighths}})
	for _, m := range all {
		tp, err := diffusion.Trace(m.Method, p.Grid, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := tp.Transpose(diffusion.TransposeOptions{Coefficients: true})
		if m.Name == "pc" { // whose steps' length is no linear form
			if err == nil || !strings.Contains(err.Error(), "Langevin") {
				t.Errorf("%s: %v", m.Name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		model := trainable(t)
		env := diffusion.Env[float64]{Model: model, Noise: p.Noise, Params: make([]float64, model.Params()), Dots: make([]float64, len(tr.Coefficients))}
		w, v := make([]float64, len(p.X)), make([]float64, len(p.X))
		for i := range w {
			w[i], v[i] = math.Sin(float64(3*i+1)), math.Cos(float64(5*i))
		}
		inputs := append([][]float64{w}, allStates(t, tp, env, p.N, p.X, tr.States)...)
		g, err := diffusion.Run(ctx, tr.Tape, env, p.N, inputs...)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		run := func(h float64) (wx float64) {
			x := slices.Clone(p.X)
			for i := range x {
				x[i] += h * v[i]
			}
			out, err := diffusion.Run(ctx, tp, diffusion.Env[float64]{Model: model, Noise: p.Noise}, p.N, x)
			if err != nil {
				t.Fatal(err)
			}
			return dotProduct(w, out[0])
		}
		const h = 1e-5
		if got, want := dotProduct(g[0], v), (run(h)-run(-h))/(2*h); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) { // h² and rounding over h
			t.Errorf("%s: along the start: %.9g, differences %.9g", m.Name, got, want)
		}
		checkCoefficients(t, m.Name, tp, tr, env, p, w)
		if tr.VJPs() > tp.NFE() || tr.VJPs() < tp.NFE()-1 { // PLMS's last evaluation leads to nothing
			t.Errorf("%s: %d products for %d evaluations", m.Name, tr.VJPs(), tp.NFE())
		}
	}
}

func dotProduct(x, y []float64) (s float64) {
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

// checkCoefficients moves all coefficients along one direction.
func checkCoefficients(t *testing.T, name string, tp *diffusion.Tape, tr *diffusion.Transposed, env diffusion.Env[float64], p diffusion.Problem[float64], w []float64) {
	t.Helper()
	along := 0.0
	direction := map[diffusion.Coefficient]float64{}
	for i, c := range tr.Coefficients {
		d := math.Sin(float64(7*i + 2))
		direction[c] = d
		along += d * env.Dots[i]
	}
	run := func(h float64) float64 {
		moved := *tp
		moved.Code = slices.Clone(tp.Code)
		for i := range moved.Code {
			moved.Code[i].Terms = slices.Clone(moved.Code[i].Terms)
			for j := range moved.Code[i].Terms {
				moved.Code[i].Terms[j].C += h * direction[diffusion.Coefficient{Instr: i, Term: j}]
			}
		}
		out, err := diffusion.Run(context.Background(), &moved, diffusion.Env[float64]{Model: env.Model, Noise: env.Noise}, p.N, p.X)
		if err != nil {
			t.Fatal(err)
		}
		return dotProduct(w, out[0])
	}
	const h = 1e-6
	if want := (run(h) - run(-h)) / (2 * h); math.Abs(along-want) > 1e-5*(1+math.Abs(want)) {
		t.Errorf("%s: along the coefficients: %.9g, differences %.9g", name, along, want)
	}
}

// TestTransposeStacked: a stacked tape's transpose is that of its columns.
func TestTransposeStacked(t *testing.T) {
	ctx := context.Background()
	p := problem[float64](t, 6, 2)
	var tapes []*diffusion.Tape
	var want []float64
	w := []float64{1, -2, .5, 3}
	model := trainable(t)
	params, one := make([]float64, model.Params()), make([]float64, model.Params())
	for i, end := range []float64{.01, .05} {
		g := p.Grid
		g.End = end
		tp, err := diffusion.Trace(diffusion.DPMSolver{}, g, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tapes = append(tapes, tp)
		tr, err := tp.Transpose(diffusion.TransposeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		env := diffusion.Env[float64]{Model: model, Params: one}
		x := p.X[2*i : 2*i+2]
		out, err := diffusion.Run(ctx, tr.Tape, env, 1, append([][]float64{w[2*i : 2*i+2]}, allStates(t, tp, env, 1, x, tr.States)...)...)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, out[0]...)
	}
	stacked, err := diffusion.Stack(diffusion.Samples, tapes)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := stacked.Transpose(diffusion.TransposeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := diffusion.Env[float64]{Model: model, Params: params}
	out, err := diffusion.Run(ctx, tr.Tape, env, 2, append([][]float64{w}, allStates(t, stacked, env, 2, p.X, tr.States)...)...)
	if err != nil {
		t.Fatal(err)
	}
	if e := rms(out[0], want); e > 1e-13 { // the order of sums
		t.Errorf("stacked %v, column by column %v", out[0], want)
	}
	if e := rms(params, one); e > 1e-12 {
		t.Errorf("parameters: stacked %v, column by column %v", params, one)
	}
	if _, err := stacked.Transpose(diffusion.TransposeOptions{Coefficients: true}); err == nil {
		t.Error("the gradient of stacked coefficients is accepted")
	}
}

// TestTransposeBuffers pins what a transposed step costs.
func TestTransposeBuffers(t *testing.T) {
	for _, tt := range []struct {
		name        string
		method      diffusion.Method
		vjps, slots int
	}{
		{"one evaluation: the state, the gradient and the product", diffusion.DDIM{}, 1, 3},
		{"3/8 rule: four states, one gradient, two products at a time", diffusion.RhoRK{Tableau: diffusion.ThreeEighths}, 4, 7},
	} {
		tp, err := diffusion.Trace(tt.method, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 10}, diffusion.TraceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := tp.Slice(3, 4)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := s.Transpose(diffusion.TransposeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if tr.VJPs() != tt.vjps || tr.Slots() != tt.slots {
			t.Errorf("%s: %d products in %d buffers, want %d in %d", tt.name, tr.VJPs(), tr.Slots(), tt.vjps, tt.slots)
		}
	}
}

// TestComputing: the part of a tape that a register depends on asks for nothing else.
func TestComputing(t *testing.T) {
	tp, err := diffusion.Trace(diffusion.RhoRK{Tableau: diffusion.ThreeEighths}, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 3}, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tp.Slice(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := s.Transpose(diffusion.TransposeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Computing(tr.States...)
	if c.NFE() != 3 || len(c.Inputs) != 1 { // the fourth slope is no one's state
		t.Errorf("%d evaluations from %d registers, want 3 from 1", c.NFE(), len(c.Inputs))
	}
}

// TestModelVJP holds the products of every model with a gradient against
// differences: along x, and along its parameters.
func TestModelVJP(t *testing.T) {
	at := []diffusion.Level{diffusion.VPLinear{}.At(.4)}
	guided, err := diffusion.NewGuided[float64](trainable(t, 0, 2), trainable(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	x, a := []float64{.2, .4, -1, 1}, []float64{1, -.5, .3, 2}
	along := func(m diffusion.VJPDenoiser[float64], x []float64) float64 {
		out := make([]float64, len(x))
		if err := m.Denoise(context.Background(), out, x, 2, at); err != nil {
			t.Fatal(err)
		}
		return dotProduct(a, out)
	}
	for name, m := range map[string]diffusion.VJPDenoiser[float64]{
		"mixture": trainable(t), "conditioned": trainable(t, 1, 2), "guided": guided,
		"guidance 0 is the unconditional model": diffusion.Guided[float64]{Cond: trainable(t, 0), Uncond: trainable(t)},
		"velocity as noise":                     diffusion.AsNoise[float64](velocity{trainable(t)}).(diffusion.VJPDenoiser[float64]),
	} {
		gx := make([]float64, 4)
		if err := m.VJP(context.Background(), gx, x, a, 2, at, nil, 1); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			const h = 1e-6
			up, down := slices.Clone(x), slices.Clone(x)
			up[i] += h
			down[i] -= h
			if want := (along(m, up) - along(m, down)) / (2 * h); math.Abs(gx[i]-want) > 1e-7*(1+math.Abs(want)) {
				t.Errorf("%s: gx[%d] = %.9g, differences %.9g", name, i, gx[i], want)
			}
		}
	}
}

// velocity is a noise prediction as one of velocity: v = (ε − σ·x)/α.
type velocity struct{ *gmm.Trainable }

func (velocity) Predicts() diffusion.Prediction { return diffusion.Velocity }

func (v velocity) Denoise(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
	if err := v.Trainable.Denoise(ctx, dst, x, n, at); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = (dst[i] - at[0].Sigma*x[i]) / at[0].Alpha
	}
	return nil
}

func (v velocity) VJP(ctx context.Context, gx, x, a []float64, n int, at []diffusion.Level, params []float64, weight float64) error {
	if err := v.Trainable.VJP(ctx, gx, x, a, n, at, params, weight/at[0].Alpha); err != nil {
		return err
	}
	for i := range gx {
		gx[i] = (gx[i] - at[0].Sigma*a[i]) / at[0].Alpha
	}
	return nil
}

func TestTransposeRefuses(t *testing.T) {
	g := diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 4}
	hooked, err := diffusion.Trace(diffusion.DDIM{}, g, diffusion.TraceOptions{Hook: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hooked.Transpose(diffusion.TransposeOptions{}); err == nil || !strings.Contains(err.Error(), "thresholding") {
		t.Errorf("a tape with a hook: %v", err)
	}
	plain, err := diffusion.Trace(diffusion.DDIM{}, g, diffusion.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := plain.Transpose(diffusion.TransposeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Tape.Transpose(diffusion.TransposeOptions{}); err == nil {
		t.Error("a transpose is transposed again")
	}
	x := []float64{1, 2}
	inputs := [][]float64{x, x, x, x, x}
	run := func(m diffusion.Denoiser[float64], params []float64) error {
		_, err := diffusion.Run(context.Background(), tr.Tape, diffusion.Env[float64]{Model: m, Params: params}, 1, inputs...)
		return err
	}
	if err := run(model[float64](t, mixture, diffusion.Noise), nil); err == nil || !strings.Contains(err.Error(), "gives no gradient") {
		t.Errorf("a model without gradient: %v", err)
	}
	if err := run(trainable(t), make([]float64, 3)); err == nil || !strings.Contains(err.Error(), "3 parameters: the model has 11") {
		t.Errorf("too few parameters: %v", err)
	}
	if err := run(diffusion.Guided[float64]{Cond: trainable(t), Uncond: model[float64](t, mixture, diffusion.Noise), Scale: 2}, nil); err == nil || !strings.Contains(err.Error(), "unconditional model gives no gradient") {
		t.Errorf("a branch without gradient: %v", err)
	}
	inputs[0] = []float64{math.NaN(), 0}
	var bad *diffusion.GradientError
	if err := run(trainable(t), nil); !errors.As(err, &bad) {
		t.Errorf("a gradient that is NaN: %v", err)
	}
}

// TestAdams: with weights for unequal steps the order is that of the formula, on any
// grid; with weights for equal steps it is 2.
func TestAdams(t *testing.T) {
	p := problem[float64](t, 0, 32)
	exact, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	if err != nil {
		t.Fatal(err)
	}
	errorAt := func(m diffusion.Method, steps int) float64 {
		p.Grid.Steps = steps
		return rms(solve(t, p, m).X, exact)
	}
	for _, tt := range []struct {
		name   string
		m      diffusion.RhoAdams
		lo, hi float64 // of the order from 120 to 240 steps
	}{
		{"AB4", diffusion.RhoAdams{MaxHistory: 4, VariableStep: true}, 3.5, 5},
		{"AM5", diffusion.RhoAdams{MaxHistory: 4, VariableStep: true, Implicit: true}, 4.2, 6.5},
		{"weights of equal steps on another grid lose two orders", diffusion.RhoAdams{MaxHistory: 4}, 1.5, 2.5},
	} {
		if order := math.Log2(errorAt(tt.m, 120) / errorAt(tt.m, 240)); order < tt.lo || order > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, order, tt.lo, tt.hi)
		}
	}
	if a, b := errorAt(diffusion.RhoAdams{}, 3), errorAt(diffusion.RhoRK{Tableau: diffusion.ThreeEighths}, 3); a != b {
		t.Errorf("the start is not the 3/8 rule: errors %g and %g", a, b)
	}
}
