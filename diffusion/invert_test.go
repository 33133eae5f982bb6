package diffusion_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
)

func withPair(t testing.TB, tp *diffusion.Tape) *diffusion.Tape {
	t.Helper()
	p, err := tp.WithPair()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func inverse(t testing.TB, tp *diffusion.Tape, a diffusion.Accuracy) *diffusion.Inverse {
	t.Helper()
	inv, err := tp.Invert(a)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func run[T diffusion.Float](t testing.TB, tp *diffusion.Tape, e diffusion.Env[T], n int, inputs ...[]T) [][]T {
	t.Helper()
	out, err := diffusion.Run(context.Background(), tp, e, n, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func farthest[T diffusion.Float](a, b []T) float64 {
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// TestRoundTrip: every invertible method comes back from the pair to within its
// predicted error, whatever the model predicts, at no more calls.
func TestRoundTrip(t *testing.T) {
	full := func(base diffusion.OneStep, gamma float64) diffusion.BDIA {
		return diffusion.BDIA{Base: base, Gamma: gamma, Backward: diffusion.Full}
	}
	tests := []struct {
		name   string
		method diffusion.BDIA
		toZero bool
	}{
		{"γ = 1", diffusion.BDIA{}, false},
		{"γ = 0.9", diffusion.BDIA{Gamma: .9}, false},
		{"γ = 0.7", diffusion.BDIA{Gamma: .7}, false},
		{"from σ = 0", diffusion.BDIA{Gamma: .9}, true},
		{"Heun", full(diffusion.RhoRK{}, .95), false},
		{"Kutta", full(diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}, .9), false},
		{"2S", full(singlestep2, .95), false},
		{"3S in noise form", full(diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Order: 3, Form: diffusion.NoiseForm}, .9), false},
	}
	const steps = 40
	for _, tt := range tests {
		for _, pred := range []diffusion.Prediction{diffusion.Noise, diffusion.Data, diffusion.Velocity, diffusion.Score} {
			p := problem[float64](t, steps, 8)
			p.Grid.ToZero = tt.toZero
			env := diffusion.Env[float64]{Model: model[float64](t, mixture, pred)}
			tp := withPair(t, trace(t, tt.method, p.Grid, pred))
			inv := inverse(t, tp, diffusion.Accuracy{Tolerance: 1e-3})
			there := run(t, tp, env, p.N, p.X)
			back := run(t, inv.Tape, env, p.N, there...)
			gamma := tt.method.Gamma
			if gamma == 0 {
				gamma = 1
			}
			// predictions are off by what the coefficients, some 100 at the noisy end, add
			if want := math.Pow(gamma, 1-steps); math.Abs(inv.Growth/want-1) > 1e-9 {
				t.Errorf("%s: growth %g, want γ^−(N−1) = %g", tt.name, inv.Growth, want)
			}
			if d, e := farthest(back[0], p.X), inv.Error(diffusion.Unit[float64]()); d > 1e3*e {
				t.Errorf("%s, model of %v: comes back %.2g away, predicted %.2g", tt.name, pred, d, e)
			}
			if inv.NFE() >= tp.NFE() || inv.Slots() > tp.Slots()+1 {
				t.Errorf("%s: back in %d calls and %d buffers, there in %d and %d", tt.name, inv.NFE(), inv.Slots(), tp.NFE(), tp.Slots())
			}
		}
	}
}

// TestInverseSteps: which step undoes which, and that the model is asked at the
// states of that step: what interleaving with a backward sweep relies on.
func TestInverseSteps(t *testing.T) {
	const steps = 12
	p := problem[float64](t, steps, 2)
	asked := func() (*[][]float64, diffusion.Denoiser[float64]) {
		var xs [][]float64
		return &xs, diffusion.Func[float64]{Prediction: diffusion.Noise, F: func(ctx context.Context, dst, x []float64, n int, at []diffusion.Level) error {
			xs = append(xs, append([]float64{at[0].T}, x...))
			return p.Model.Denoise(ctx, dst, x, n, at)
		}}
	}
	tp := withPair(t, trace(t, diffusion.BDIA{Gamma: .9}, p.Grid, diffusion.Noise))
	inv := inverse(t, tp, diffusion.Accuracy{})
	forth, model := asked()
	states := [][]float64{p.X}
	pair := run(t, tp, diffusion.Env[float64]{Model: model, OnStep: func(s diffusion.Step[float64]) error {
		states = append(states, slices.Clone(s.X))
		return nil
	}}, p.N, p.X)
	back, model := asked()
	var levels []float64
	run(t, inv.Tape, diffusion.Env[float64]{Model: model, OnStep: func(s diffusion.Step[float64]) error {
		k := inv.Undoes[s.Index]
		if k != steps-1-s.Index {
			t.Errorf("step %d of the inverse undoes step %d, want %d", s.Index, k, steps-1-s.Index)
		}
		if d := farthest((*back)[s.Index], (*forth)[k]); d > 1e-11 {
			t.Errorf("step %d of the inverse asks the model %.2g away from where step %d did", s.Index, d, k)
		}
		if d := farthest(s.X, states[k-1]); d > 1e-11 {
			t.Errorf("step %d of the inverse finds a state %.2g away from that before step %d's", s.Index, d, k)
		}
		levels = append(levels, s.Level.T)
		return nil
	}}, p.N, pair...)
	times := trace(t, diffusion.BDIA{}, p.Grid, diffusion.Noise).Times()
	slices.Reverse(times)
	if !slices.Equal(levels, times[1:]) {
		t.Errorf("the inverse's levels are %v, want %v", levels, times[1:])
	}
	if len(inv.Pivots) != steps-1 || inv.Pivots[0] != .9 || inv.NFE() != steps-1 || inv.Slots() != 3 {
		t.Errorf("pivots %v, %d calls, %d buffers", inv.Pivots, inv.NFE(), inv.Slots())
	}
}

// TestPairStart: the tape without its first step starts from the pair that the
// inverse, with a pair of its own, ends with.
func TestPairStart(t *testing.T) {
	p := problem[float64](t, 9, 3)
	env := diffusion.Env[float64]{Model: p.Model}
	tp := trace(t, diffusion.BDIA{Gamma: .8}, p.Grid, diffusion.Noise)
	rest, err := tp.Slice(1, tp.Steps())
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, withPair(t, tp), env, p.N, p.X)
	start := run(t, withPair(t, inverse(t, withPair(t, tp), diffusion.Accuracy{}).Tape), env, p.N, end...)
	if d := farthest(run(t, rest, env, p.N, start...)[0], end[0]); d > 1e-11 {
		t.Errorf("there, back and there again differs by %.2g", d)
	}
	again := run(t, inverse(t, withPair(t, rest), diffusion.Accuracy{}).Tape, env, p.N, end...)
	if d := max(farthest(again[0], start[0]), farthest(again[1], start[1])); d > 1e-11 {
		t.Errorf("the rest's own inverse differs by %.2g", d)
	}
}

// TestInverseLinearised: an inverse computes its answer, it does not remember it: a
// change of the pair spreads as its derivative says.
func TestInverseLinearised(t *testing.T) {
	p := problem[float64](t, 30, 4)
	env := diffusion.Env[float64]{Model: p.Model}
	tp := withPair(t, trace(t, diffusion.BDIA{Gamma: .95}, p.Grid, diffusion.Noise))
	inv := inverse(t, tp, diffusion.Accuracy{})
	pair := run(t, tp, env, p.N, p.X)
	move := func(h float64) []float64 {
		x := slices.Clone(pair[0])
		for i := range x {
			x[i] += h * float64(1+i%3)
		}
		return run(t, inv.Tape, env, p.N, x, pair[1])[0]
	}
	a, b, zero := move(1e-6), move(2e-6), move(0)
	for i := range a {
		if d := a[i] - zero[i]; math.Abs(d) < 1e-9 || math.Abs((b[i]-zero[i])/d-2) > .02 { // second order of a change amplified 100 times
			t.Errorf("x[%d] moves by %g and %g for a change and its double", i, d, b[i]-zero[i])
		}
	}
}

// TestLattice: on a lattice the way back gives every bit, also in float32 and over
// as many steps as one likes; off it it does not.
func TestLattice(t *testing.T) {
	t.Run("float64", func(t *testing.T) { testLattice[float64](t, 1.0/(1<<40)) })
	t.Run("float32", func(t *testing.T) { testLattice[float32](t, 1.0/(1<<18)) })
}

func testLattice[T diffusion.Float](t *testing.T, lattice float64) {
	p := problem[T](t, 300, 8)
	env := diffusion.Env[T]{Model: p.Model}
	exact := func(lattice float64) bool {
		tp := withPair(t, trace(t, diffusion.BDIA{Lattice: lattice}, p.Grid, diffusion.Noise))
		inv := inverse(t, tp, diffusion.Accuracy{})
		first := run(t, withPair(t, inv.Tape), env, p.N, run(t, tp, env, p.N, p.X)...)
		rest, err := tp.Slice(1, tp.Steps())
		if err != nil {
			t.Fatal(err)
		}
		end := run(t, rest, env, p.N, first...)
		again := run(t, inv.Tape, env, p.N, end...)
		for _, x := range first[0] {
			if lattice > 0 && math.Mod(float64(x), lattice) != 0 {
				t.Fatalf("%v is off the lattice", x)
			}
		}
		return slices.Equal(again[0], first[0]) && farthest(first[0], p.X) <= lattice/2
	}
	if !exact(lattice) {
		t.Error("on a lattice the way back loses bits")
	}
	if exact(0) {
		t.Error("off a lattice the way back loses nothing: the test shows nothing")
	}
	coarse := solve(t, p, diffusion.BDIA{Lattice: lattice}).X
	if d := farthest(coarse, solve(t, p, diffusion.BDIA{}).X); d > 300*300*lattice+1e-3 { // rounding adds up at γ = 1
		t.Errorf("the lattice moves the samples by %.2g", d)
	}
	p.X[0] = T(lattice / diffusion.Unit[T]())
	if _, err := diffusion.Solve(context.Background(), p, diffusion.BDIA{Lattice: lattice}); err == nil || !strings.Contains(err.Error(), "does not fit a lattice") {
		t.Errorf("a state beyond the lattice: error %v", err)
	}
}

// coupled is two chains that ask the model at each other's states and are mixed, as
// EDICT does. Not of two steps, but solvable.
type coupled struct{ mix float64 }

func (c coupled) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	x := t.Input()
	y := x
	for i := range g.Steps {
		from, to := ls[i], ls[i+1]
		a := to.Alpha / from.Alpha
		b := to.Sigma - a*from.Sigma
		xi := t.Let(x.Mul(a).Add(b, t.Eval(y, from, diffusion.Noise)))
		yi := t.Let(y.Mul(a).Add(b, t.Eval(xi, from, diffusion.Noise)))
		x = t.Step(xi.Mul(c.mix).Add(1-c.mix, yi), to)
		y = t.Let(yi.Mul(c.mix).Add(1-c.mix, x))
	}
	t.Return(x, y)
	return nil
}

func TestInvertCoupled(t *testing.T) {
	p := problem[float64](t, 25, 4)
	env := diffusion.Env[float64]{Model: p.Model}
	tp := trace(t, coupled{.93}, p.Grid, diffusion.Noise)
	inv := inverse(t, tp, diffusion.Accuracy{})
	back := run(t, inv.Tape, env, p.N, run(t, tp, env, p.N, p.X)...)
	// the chains start from one state, so that the last call back is spared
	if d := farthest(back[0], p.X); d > 1e-10 || inv.NFE() != tp.NFE()-1 || inv.Steps() != tp.Steps() {
		t.Errorf("comes back %.2g away in %d calls and %d steps", d, inv.NFE(), inv.Steps())
	}
}

func TestInvertRefuses(t *testing.T) {
	g := problem[float64](t, 50, 1).Grid
	hooked := func(m diffusion.Method) *diffusion.Tape {
		tp, err := diffusion.Trace(m, g, diffusion.TraceOptions{Hook: true})
		if err != nil {
			t.Fatal(err)
		}
		return withPair(t, tp)
	}
	pair := func(m diffusion.Method) *diffusion.Tape { return withPair(t, trace(t, m, g, diffusion.Noise)) }
	stacked, err := diffusion.Stack(diffusion.Samples, []*diffusion.Tape{pair(diffusion.BDIA{}), pair(diffusion.BDIA{Gamma: .9})})
	if err != nil {
		t.Fatal(err)
	}
	float32s := diffusion.Accuracy{Unit: diffusion.Unit[float32](), Tolerance: 1e-6}
	for _, tt := range []struct {
		name string
		tape *diffusion.Tape
		a    diffusion.Accuracy
		want string
	}{
		{"growth past the tolerance", pair(diffusion.BDIA{Gamma: .5}), diffusion.Accuracy{}, "5.6e+14"},
		{"growth past that of float32", pair(diffusion.BDIA{Gamma: .9}), float32s, "beyond the tolerance of 1e-06"},
		{"a tolerance below the rounding unit", pair(diffusion.BDIA{}), diffusion.Accuracy{Tolerance: 1e-17}, "beyond the tolerance"},
		{"the last state alone", trace(t, diffusion.BDIA{}, g, diffusion.Noise), diffusion.Accuracy{}, "WithPair"},
		{"γ = 0", pair(diffusion.BDIA{ZeroGamma: true}), diffusion.Accuracy{}, "gamma above 0"},
		{"DDIM", pair(diffusion.DDIM{}), diffusion.Accuracy{}, "asks the model at a state that it would have to be solved for"},
		{"2M", pair(diffusion.DPMSolver{}), diffusion.Accuracy{}, "asks the model at a state"},
		{"reused slopes", pair(diffusion.BDIA{Base: diffusion.RhoRK{}}), diffusion.Accuracy{}, "asks the model at a state"},
		{"an oldest state that counts for nothing", pair(twoSteps{0}), diffusion.Accuracy{}, "factor 0"},
		{"noise", pair(diffusion.DDIM{Eta: 1}), diffusion.Accuracy{}, "stochastic"},
		{"thresholding", hooked(diffusion.BDIA{}), diffusion.Accuracy{}, "thresholding"},
		{"a stack", stacked, diffusion.Accuracy{}, "stacked"},
		{"a rounding unit of 2", pair(diffusion.BDIA{}), diffusion.Accuracy{Unit: 2}, "rounding unit of 2"},
		{"a tolerance of NaN", pair(diffusion.BDIA{}), diffusion.Accuracy{Tolerance: math.NaN()}, "tolerance of NaN"},
	} {
		_, err := tt.tape.Invert(tt.a)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := pair(diffusion.BDIA{}).WithPair(); err == nil {
		t.Error("a pair of a pair is accepted")
	}
}

// twoSteps adds a share of the state two steps back.
type twoSteps struct{ share float64 }

func (m twoSteps) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	before := t.Input()
	x := t.Step(before.Mul(.5), ls[1])
	for i := 1; i < g.Steps; i++ {
		before, x = x, t.Step(before.Mul(m.share).Add(1, x).Add(.1, t.Eval(x, ls[i], diffusion.Noise)), ls[i+1])
	}
	t.Return(x)
	return nil
}

// FuzzInvert traces programs made of random bytes: inverting one gives an error or
// a tape that finds the inputs, and never panics.
func FuzzInvert(f *testing.F) {
	f.Add([]byte{0, 0, 1, 9, 200, 4})
	f.Add([]byte{2, 1, 1, 1, 2, 3, 0, 0, 7, 2, 1, 250})
	f.Fuzz(func(t *testing.T, program []byte) {
		p := problem[float64](t, 1, 2)
		tp, err := diffusion.Trace(scribble(program), p.Grid, diffusion.TraceOptions{})
		if err != nil {
			return
		}
		env := diffusion.Env[float64]{Model: p.Model}
		out, err := diffusion.Run(context.Background(), tp, env, p.N, p.X)
		if err != nil {
			return
		}
		inv, err := tp.Invert(diffusion.Accuracy{Tolerance: 1e-12})
		if err != nil {
			return
		}
		back, err := diffusion.Run(context.Background(), inv.Tape, env, p.N, out...)
		var blown *diffusion.DivergedError
		if err != nil && !errors.As(err, &blown) {
			t.Fatal(err)
		}
		if err == nil && len(back) != len(tp.Inputs) {
			t.Fatalf("%d inputs come back, want %d", len(back), len(tp.Inputs))
		}
	})
}

// scribble is a method of three bytes an instruction.
type scribble []byte

func (s scribble) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	at := g.Schedule.At(.5)
	regs := []diffusion.Vec{t.Input()}
	for b := []byte(s); len(b) >= 3 && len(regs) < 40; b = b[3:] {
		x, y := regs[int(b[0])%len(regs)], regs[int(b[1])%len(regs)]
		switch c := float64(b[2])/64 - 1; b[2] % 4 {
		case 0:
			regs = append(regs, t.Let(t.Eval(x, at, diffusion.Noise)))
		case 1:
			regs = append(regs, t.Step(x.Mul(c).Add(1, y), at))
		default:
			regs = append(regs, t.Let(x.Add(c, y)))
		}
	}
	if len(regs) == 1 {
		return errors.New("nothing")
	}
	t.Return(regs[len(regs)-1], regs[len(regs)-2])
	return nil
}

// split makes a two-step method's step in two passes.
type split struct{}

func (split) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	ls, err := g.Levels(g.Steps)
	if err != nil {
		return err
	}
	before := t.Input()
	x := t.Step(before.Mul(.5).Add(.1, t.Eval(before, ls[0], diffusion.Noise)), ls[1])
	for i := 1; i < g.Steps; i++ {
		v := t.Let(before.Mul(.75).Add(.25, x))
		before, x = x, t.Step(v.Mul(.5).Add(.1, t.Eval(x, ls[i], diffusion.Noise)), ls[i+1])
	}
	t.Return(x)
	return nil
}

// TestInverseSplitSteps: a pivot is the product of all that a step divides by, and the
// step undone is the one that the divisions are in, wherever in it they are.
func TestInverseSplitSteps(t *testing.T) {
	p := problem[float64](t, 6, 2)
	env := diffusion.Env[float64]{Model: p.Model}
	tp := withPair(t, trace(t, split{}, p.Grid, diffusion.Noise))
	inv := inverse(t, tp, diffusion.Accuracy{})
	if !slices.Equal(inv.Undoes, []int{5, 4, 3, 2, 1}) || !slices.Equal(inv.Pivots, []float64{.375, .375, .375, .375, .375}) {
		t.Errorf("undoes %v with pivots %v", inv.Undoes, inv.Pivots)
	}
	if d := farthest(run(t, inv.Tape, env, p.N, run(t, tp, env, p.N, p.X)...)[0], p.X); d > 1e-12 {
		t.Errorf("comes back %.2g away", d)
	}
}

// tells returns, beside the state, what its prediction was.
type tells struct{}

func (tells) Trace(t *diffusion.Tracer, g diffusion.Grid) error {
	x := t.Input()
	at := g.Schedule.At(g.Start)
	e := t.Eval(x, at, diffusion.Noise)
	x = t.Step(x.Add(.1, e), at)
	t.Return(x, t.Let(x.Add(2, e)))
	return nil
}

// TestInverseAsks: a prediction is asked for again, never solved for: what divides by
// the small weight of a prediction would be no inverse in finite precision.
func TestInverseAsks(t *testing.T) {
	if _, err := trace(t, tells{}, problem[float64](t, 1, 1).Grid, diffusion.Noise).Invert(diffusion.Accuracy{}); err == nil || !strings.Contains(err.Error(), "asks the model at a state") {
		t.Errorf("a prediction that could be solved for: error %v", err)
	}
}
