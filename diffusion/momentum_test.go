package diffusion_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"gonum.org/v1/gonum/stat"
)

// TestMomentumWeights holds the general formula against the weights as they are
// published for each k.
func TestMomentumWeights(t *testing.T) {
	published := []func(b float64) []float64{
		func(b float64) []float64 { return []float64{1} },
		func(b float64) []float64 { return []float64{(2 + b) / (2 * b), -(2 - b) / (2 * b)} },
		func(b float64) []float64 {
			return []float64{(18 + 5*b) / (12 * b), -(24 - 8*b) / (12 * b), (6 - b) / (12 * b)}
		},
		func(b float64) []float64 {
			return []float64{(46 + 9*b) / (24 * b), -(78 - 19*b) / (24 * b), (42 - 5*b) / (24 * b), -(10 - b) / (24 * b)}
		},
		func(b float64) []float64 {
			d := 720 * b
			return []float64{(1650 + 251*b) / d, -(3420 - 646*b) / d, (2880 - 264*b) / d, -(1380 - 106*b) / d, (270 - 19*b) / d}
		},
	}
	for i, want := range published {
		for _, beta := range []float64{1, .8, .3, .05} {
			got, err := diffusion.MomentumWeights(i+1, beta)
			if err != nil {
				t.Fatal(err)
			}
			for j, w := range want(beta) {
				if math.Abs(got[j]-w) > 1e-14/beta*20 { // a few roundings of weights as large as 20/β
					t.Errorf("k = %d, β = %g: weight %d is %v, want %v", i+1, beta, j, got[j], w)
				}
			}
		}
	}
}

// TestMomentumWeightsUndoTheLag: on the averages of a polynomial of degree below k, the
// weights give its exact integral over the next step.
func TestMomentumWeightsUndoTheLag(t *testing.T) {
	for k := 1; k <= 5; k++ {
		for _, beta := range []float64{1, .7, .3} {
			w, err := diffusion.MomentumWeights(k, beta)
			if err != nil {
				t.Fatal(err)
			}
			for degree := range k {
				v := make([]float64, 0, 300)
				last := math.Pow(-300, float64(degree))
				for i := -299; i <= 0; i++ { // (1 − β)^300 of the start is left
					last = (1-beta)*last + beta*math.Pow(float64(i), float64(degree))
					v = append(v, last)
				}
				var sum float64
				for j, c := range w {
					sum += c * v[len(v)-1-j]
				}
				want := 1 / float64(degree+1)
				if math.Abs(sum-want) > 1e-9 { // weights of 10 times sums that reach 10³
					t.Errorf("k = %d, β = %g: the integral of degree %d is %v, want %v", k, beta, degree, sum, want)
				}
			}
		}
	}
}

func TestSplitOrder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order float64
		k     int
		beta  float64
	}{
		{"3.3 modulo 1 is not 0.3 in binary", 3.3, 4, .3},
		{"nor is 2.7's fraction 0.7", 2.7, 3, .7},
		{"a whole number is PLMS", 4, 4, 1},
		{"the largest", 5, 5, 1},
		{"below one", .5, 1, .5},
		{"five slopes", 4.6, 5, .6},
		{"the smallest beta", 1.05, 2, .05},
	} {
		if k, beta, err := diffusion.SplitOrder(tt.order); k != tt.k || beta != tt.beta || err != nil {
			t.Errorf("%s: order %v is %d slopes with β = %v, %v; want %d with %v", tt.name, tt.order, k, beta, err, tt.k, tt.beta)
		}
	}
	for order, want := range map[float64]string{
		0: "must be positive", -1.5: "must be positive", math.Inf(1): "must be positive", math.NaN(): "must be positive",
		5.1: "at most 5", 3.01: "beta = 0.01", 1e-9: "beta = 1e-09",
	} {
		if _, _, err := diffusion.SplitOrder(order); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("order %g: error %v, want one with %q", order, err, want)
		}
	}
}

// TestNoMomentum: β = 1 is the method without momentum.
func TestNoMomentum(t *testing.T) {
	p := problem[float64](t, 12, 4)
	p.Grid.Spacing = diffusion.TimeUniform
	for k := 1; k <= 4; k++ {
		want := solve(t, p, diffusion.PNDM{Start: diffusion.PseudoEuler, Order: k}).X
		for _, kind := range []diffusion.MomentumKind{diffusion.Generalized, diffusion.Polyak, diffusion.Nesterov} {
			if e := rms(solve(t, p, diffusion.Momentum{Kind: kind, Order: k, Beta: 1}).X, want); e > 1e-12 { // roundings of the weights
				t.Errorf("%v of order %d with β = 1 is not PLMS: differs by %.2g", kind, k, e)
			}
		}
	}
	for name, base := range map[string]diffusion.Method{
		"2M": diffusion.DPMSolver{}, "3M noise": diffusion.DPMSolver{Order: 3, Form: diffusion.NoiseForm},
		"UniPC": diffusion.UniPC{}, "UniPC-2 bh2": diffusion.UniPC{Order: 2, BH: diffusion.BH2},
	} {
		if !slices.Equal(solve(t, p, diffusion.HeavyBall{Base: base, Beta: 1}).X, solve(t, p, base).X) {
			t.Errorf("%s with heavy ball of β = 1 is another method", name)
		}
	}
}

// scalar is a one-dimensional problem, for methods worked out by hand: its data
// prediction is a nonlinear function of x and the level.
func scalar(steps int) (diffusion.Problem[float64], []diffusion.Level, func(x float64, at diffusion.Level) float64) {
	f := func(x float64, at diffusion.Level) float64 { return math.Tanh(1.3*x) * (1 - .4*at.Sigma) }
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: steps, Start: .8, End: .05}
	ls, err := g.Levels(steps)
	if err != nil {
		panic(err)
	}
	model := diffusion.Func[float64]{Prediction: diffusion.Data, F: func(_ context.Context, dst, x []float64, _ int, at []diffusion.Level) error {
		dst[0] = f(x[0], at[0])
		return nil
	}}
	return diffusion.Problem[float64]{Model: model, Grid: g, X: []float64{.7}, N: 1}, ls, f
}

// TestMomentumByHand writes GHVB, heavy ball and Nesterov with two slopes down as
// plain arithmetic in y = x/α and ρ = σ/α.
func TestMomentumByHand(t *testing.T) {
	const beta = .6
	p, ls, f := scalar(7)
	for kind, ghvb := range map[diffusion.MomentumKind]bool{diffusion.Generalized: true, diffusion.Polyak: false, diffusion.Nesterov: false} {
		y := p.X[0] / ls[0].Alpha
		var v, oldV, oldE float64
		for i := range 7 {
			at := ls[i]
			x := y * at.Alpha
			e := (x - at.Alpha*f(x, at)) / at.Sigma
			var u float64
			if ghvb {
				v = (1-beta)*v + beta*e
				if i == 0 {
					v, u = e, e
				} else {
					u = ((2+beta)*v - (2-beta)*oldV) / (2 * beta)
				}
				oldV = v
			} else {
				ab := 1.5*e - .5*oldE
				if i == 0 {
					ab, v = e, e
				} else {
					v = (1-beta)*v + beta*ab
				}
				u, oldE = v, e
				if kind == diffusion.Nesterov {
					u = (1-beta)*v + beta*ab
				}
			}
			y += (ls[i+1].Sigma/ls[i+1].Alpha - at.Sigma/at.Alpha) * u
		}
		got := solve(t, p, onLogSNR{diffusion.Momentum{Kind: kind, Order: 2, Beta: beta}}).X[0]
		if want := y * ls[7].Alpha; math.Abs(got-want) > 1e-13 {
			t.Errorf("%v: %v, by hand %v", kind, got, want)
		}
	}
}

// TestHeavyBallByHand does the same for DPM-Solver++(2M).
func TestHeavyBallByHand(t *testing.T) {
	const beta = .7
	for name, fromFirst := range map[string]bool{"from the second step": false, "from the first step": true} {
		p, ls, f := scalar(11)
		x := p.X[0]
		var m1, v float64
		started := false
		for i := range 11 {
			s, to := ls[i], ls[i+1]
			m0 := f(x, s)
			h := to.Lambda - s.Lambda
			d := m0
			if i > 0 {
				d += .5 * h / (s.Lambda - ls[i-1].Lambda) * (m0 - m1)
			}
			switch {
			case i == 0 && !fromFirst:
				v = d // used once, not kept
			case !started:
				v, started = d, true
			default:
				v = (1-beta)*v + beta*d
			}
			x = to.Sigma/s.Sigma*x - to.Alpha*math.Expm1(-h)*v
			m1 = m0
		}
		got := solve(t, p, diffusion.HeavyBall{Beta: beta, FromFirst: fromFirst}).X[0]
		if math.Abs(got-x) > 1e-13 {
			t.Errorf("%s: %v, by hand %v", name, got, x)
		}
	}
}

// TestHeavyBallOnUniPCByHand does the same for UniPC of order 2 with B(h) = h, whose
// predictor and corrector have averages of their own.
func TestHeavyBallOnUniPCByHand(t *testing.T) {
	const beta, steps = .7, 9
	for _, m := range []diffusion.HeavyBall{{}, {CorrectorOnly: true}, {OverSigma: true}, {OverSigma: true, CorrectorOnly: true}} {
		m.Base, m.Beta = diffusion.UniPC{Order: 2, FullOrderFinal: true}, beta
		p, ls, f := scalar(steps)
		var vp, vc *float64
		average := func(v **float64, bracket float64, to diffusion.Level) float64 {
			scale := 1.0
			if m.OverSigma {
				scale = to.Sigma
			}
			d := bracket / scale
			if *v != nil {
				d = (1-beta)**(*v) + beta*d
			}
			*v = &d
			return d * scale
		}
		x := p.X[0]
		m0 := f(x, ls[0])
		var m1 float64
		for i := range steps {
			s, to := ls[i], ls[i+1]
			h := to.Lambda - s.Lambda
			first := math.Expm1(-h) // of m0, times −α_t
			var d float64           // (m1 − m0)/r
			if i > 0 {
				d = (m1 - m0) / ((ls[i-1].Lambda - s.Lambda) / h)
			}
			pred := first * m0
			if i > 0 {
				pred += -h * .5 * d
			}
			bracket := pred / first
			if !m.CorrectorOnly {
				bracket = average(&vp, bracket, to)
			}
			next := to.Sigma/s.Sigma*x - to.Alpha*first*bracket
			if i == steps-1 {
				x = next
				break
			}
			mt := f(next, to)
			corr := first*m0 - h*.5*(mt-m0)
			if i > 0 { // weights that are exact for predictions linear and quadratic in λ
				r := (ls[i-1].Lambda - s.Lambda) / h
				b1 := (math.Expm1(-h)/(-h) - 1) / (-h) // φ₂(−h)
				b2 := 2 * (b1 - .5) / (-h)             // 2·φ₃(−h)
				w1 := (b2 - b1) / (r - 1)
				w2 := b1 - w1
				corr = first*m0 - h*(w1*d+w2*(mt-m0))
			}
			x = to.Sigma/s.Sigma*x - to.Alpha*first*average(&vc, corr/first, to)
			m0, m1 = mt, m0
		}
		if got := solve(t, p, m).X[0]; math.Abs(got-x) > 1e-12 {
			t.Errorf("%+v: %v, by hand %v", m, got, x)
		}
	}
}

// TestSplitting: the parts of a guided model add up to it.
func TestSplitting(t *testing.T) {
	cond, err := mixture.Condition(1)
	if err != nil {
		t.Fatal(err)
	}
	p := problem[float64](t, 12, 4)
	p.Grid.Spacing = diffusion.TimeUniform
	for _, pred := range []diffusion.Prediction{diffusion.Noise, diffusion.Data, diffusion.Velocity} {
		u := model[float64](t, mixture, pred)
		plain := solve(t, diffusion.Problem[float64]{Model: u, Grid: p.Grid, X: p.X, N: p.N}, diffusion.Momentum{Beta: 1}).X
		none, err := diffusion.NewGuided(u, u, 5)
		if err != nil {
			t.Fatal(err)
		}
		p.Model = none
		s := solve(t, p, diffusion.Splitting{})
		if e := rms(s.X, plain); e > 1e-11 { // conversions cancel
			t.Errorf("a model of %v, guidance to where it is anyway: differs from PLMS by %.2g", pred, e)
		}
		if s.NFE != 24 || s.Passes != 36 {
			t.Errorf("%d evaluations in %d passes, want two a step in three", s.NFE, s.Passes)
		}
		g, err := diffusion.NewGuided(model[float64](t, cond, pred), u, 3)
		if err != nil {
			t.Fatal(err)
		}
		p.Model = g
		var errs, logN []float64
		exact := solve(t, diffusion.Problem[float64]{Model: g, Grid: withSteps(p.Grid, 1600), X: p.X, N: p.N}, diffusion.Momentum{Order: 2, Beta: 1}).X
		for _, steps := range []int{100, 200, 400} {
			x := solve(t, diffusion.Problem[float64]{Model: g, Grid: withSteps(p.Grid, steps), X: p.X, N: p.N}, diffusion.Splitting{Momentum: diffusion.Momentum{Order: 3, Beta: .5}}).X
			errs, logN = append(errs, math.Log(rms(x, exact))), append(logN, math.Log(float64(steps)))
		}
		if _, slope := stat.LinearRegression(logN, errs, nil, false); slope > -.8 || slope < -1.3 {
			t.Errorf("a model of %v: the splitting is of order %.2f, want 1", pred, -slope)
		}
	}
	for name, plain := range map[string]diffusion.Denoiser[float64]{
		"a model": model[float64](t, mixture, diffusion.Noise), "a widened model": diffusion.Widen(model[float32](t, mixture, diffusion.Noise)),
	} {
		p.Model = plain
		if _, err := diffusion.Solve(context.Background(), p, diffusion.Splitting{}); err == nil || !strings.Contains(err.Error(), "classifier-free guidance") {
			t.Errorf("splitting %s without guidance: error %v", name, err)
		}
	}
	g32, err := diffusion.NewGuided(model[float32](t, cond, diffusion.Noise), model[float32](t, mixture, diffusion.Noise), 3)
	if err != nil {
		t.Fatal(err)
	}
	g64, err := diffusion.NewGuided(model[float64](t, cond, diffusion.Noise), model[float64](t, mixture, diffusion.Noise), 3)
	if err != nil {
		t.Fatal(err)
	}
	p.Model = g64
	want := solve(t, p, diffusion.Splitting{})
	p.Model = diffusion.Widen(g32)
	if got := solve(t, p, diffusion.Splitting{}); rms(got.X, want.X) > 1e-3 || got.Passes != want.Passes { // float32 through 12 guided steps
		t.Errorf("the parts of a widened model: %.2g off in %d passes, want %d", rms(got.X, want.X), got.Passes, want.Passes)
	}
}

// TestSplittingByHand writes a splitting down as arithmetic in y = x/α and ρ = σ/α:
// two averaged slopes of the guidance, then two slopes of the unguided model.
func TestSplittingByHand(t *testing.T) {
	const beta, scale, steps = .6, 3, 8
	p, ls, f := scalar(steps)
	cond := diffusion.Func[float64]{Prediction: diffusion.Data, F: func(_ context.Context, dst, x []float64, _ int, _ []diffusion.Level) error {
		dst[0] = math.Cos(x[0])
		return nil
	}}
	y := p.X[0] / ls[0].Alpha
	var v, oldV, oldE float64
	for i := range steps {
		at := ls[i]
		h := ls[i+1].Sigma/ls[i+1].Alpha - at.Sigma/at.Alpha
		x := y * at.Alpha
		pull := -at.Alpha / at.Sigma * scale * (math.Cos(x) - f(x, at)) // a difference of data predictions as one of noise
		var u float64
		if v = (1-beta)*v + beta*pull; i == 0 {
			v, u = pull, pull
		} else {
			u = ((2+beta)*v - (2-beta)*oldV) / (2 * beta)
		}
		y += h * u
		x = y * at.Alpha
		e := (x - at.Alpha*f(x, at)) / at.Sigma
		if i == 0 {
			oldE = e
		}
		y += h * (1.5*e - .5*oldE)
		oldV, oldE = v, e
	}
	g, err := diffusion.NewGuided[float64](cond, p.Model, scale)
	if err != nil {
		t.Fatal(err)
	}
	p.Model = g
	m := diffusion.Splitting{Momentum: diffusion.Momentum{Order: 2, Beta: beta}, Order: 2}
	if got, want := solve(t, p, onLogSNR{m}).X[0], y*ls[steps].Alpha; math.Abs(got-want) > 1e-12 {
		t.Errorf("%v, by hand %v", got, want)
	}
}

func withSteps(g diffusion.Grid, n int) diffusion.Grid { g.Steps = n; return g }

// TestParts: Guided's parts, and which of its models they ask.
func TestParts(t *testing.T) {
	constant := func(c float64) diffusion.Denoiser[float64] {
		return diffusion.Func[float64]{F: func(_ context.Context, dst, _ []float64, _ int, _ []diffusion.Level) error {
			dst[0] = c
			return nil
		}}
	}
	g, err := diffusion.NewGuided(constant(5), constant(2), 4)
	if err != nil {
		t.Fatal(err)
	}
	off := g
	off.Scale = 0
	for _, tt := range []struct {
		name   string
		g      diffusion.Guided[float64]
		part   diffusion.Part
		want   float64
		passes int
	}{
		{"what guidance adds", g, diffusion.GuidancePart, 12, 2},
		{"the unguided part", g, diffusion.UnguidedPart, 2, 1},
		{"the whole", g, diffusion.WholeModel, 14, 2},
		{"no guidance adds nothing and costs nothing", off, diffusion.GuidancePart, 0, 0},
	} {
		dst := []float64{math.NaN()}
		if err := tt.g.DenoisePart(context.Background(), tt.part, dst, []float64{1}, 1, []diffusion.Level{{}}); err != nil || dst[0] != tt.want || tt.g.PartPasses(tt.part) != tt.passes {
			t.Errorf("%s: %v in %d passes, %v; want %v in %d", tt.name, dst[0], tt.g.PartPasses(tt.part), err, tt.want, tt.passes)
		}
	}
}

func TestMomentumErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		m    diffusion.Method
		want string
	}{
		"too many slopes":             {diffusion.Momentum{Order: 6}, "GHVB of order 6: must be 1 to 5"},
		"negative order":              {diffusion.Momentum{Kind: diffusion.Polyak, Order: -1}, "HB of order -1"},
		"beta above 1":                {diffusion.Momentum{Beta: 1.2}, "beta = 1.2: must be from 0.05 to 1"},
		"beta at which weights blow":  {diffusion.Momentum{Beta: .01}, "beta = 0.01"},
		"beta NaN":                    {diffusion.Momentum{Beta: math.NaN()}, "beta = NaN"},
		"a kind that is not there":    {diffusion.Momentum{Kind: 7}, "kind 7"},
		"fewer steps than slopes":     {diffusion.Momentum{Order: 5}, "3 steps: GHVB of order 5 needs at least 5"},
		"heavy ball, negative beta":   {diffusion.HeavyBall{Beta: -.5}, "beta = -0.5"},
		"heavy ball on DDIM":          {diffusion.HeavyBall{Base: diffusion.DDIM{}}, "must be UniPC or a multistep DPMSolver"},
		"heavy ball on singlestep":    {diffusion.HeavyBall{Base: diffusion.DPMSolver{Mode: diffusion.Singlestep}}, "must be multistep"},
		"heavy ball on an SDE":        {diffusion.HeavyBall{Base: diffusion.DPMSolver{Eta: 1}}, "eta = 0"},
		"splitting, too many slopes":  {diffusion.Splitting{Order: 9}, "order 9"},
		"splitting, too few steps":    {diffusion.Splitting{}, "a splitting of order 4 needs at least 4"},
		"splitting, bad momentum":     {diffusion.Splitting{Momentum: diffusion.Momentum{Beta: 2}}, "beta = 2"},
		"a grid that turns back":      {onExplicit{diffusion.Momentum{Order: 1}}, "strictly in one direction"},
		"splitting on no such a grid": {onExplicit{diffusion.Splitting{Order: 1, Momentum: diffusion.Momentum{Order: 1}}}, "strictly in one direction"},
	} {
		p := problem[float64](t, 3, 2)
		if _, err := diffusion.Solve(context.Background(), p, tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	for name, args := range map[string]struct {
		k    int
		beta float64
	}{"no slopes": {0, .5}, "no beta": {3, 0}, "too many": {6, .5}, "NaN": {2, math.NaN()}} {
		if w, err := diffusion.MomentumWeights(args.k, args.beta); err == nil {
			t.Errorf("%s: weights %v", name, w)
		}
	}
	p := problem[float64](t, 10, 2)
	p.Hook, _ = diffusion.StaticThreshold[float64](1)
	if _, err := diffusion.Solve(context.Background(), p, diffusion.Splitting{}); err == nil || !strings.Contains(err.Error(), "has no effect") {
		t.Errorf("thresholding a splitting: error %v", err)
	}
}

// onExplicit is a grid that turns back.
type onExplicit struct{ diffusion.Method }

func (onExplicit) Spacing() diffusion.Spacing { return diffusion.Explicit(1, .4, .5, .1) }

// TestMomentumNames: order numbers in names.
func TestMomentumNames(t *testing.T) {
	for name, want := range map[string]diffusion.Method{
		"ghvb-3.3":    diffusion.Momentum{Order: 4, Beta: .3},
		"ghvb-2":      diffusion.Momentum{Order: 2, Beta: 1},
		"plms-hb-3.8": diffusion.Momentum{Kind: diffusion.Polyak, Order: 4, Beta: .8},
		"plms-nt-0.5": diffusion.Momentum{Kind: diffusion.Nesterov, Order: 1, Beta: .5},
		"ltsp-3.8":    diffusion.Splitting{Momentum: diffusion.Momentum{Order: 4, Beta: .8}},
	} {
		if got, err := diffusion.MethodNamed(name); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"ghvb-":        "not an order number",
		"ghvb-fast":    "not an order number",
		"ghvb-7":       "at most 5",
		"plms-hb--1":   "must be positive",
		"ltsp-3.01":    "beta = 0.01",
		"plms-nt-NaN":  "must be positive",
		"ghvb3.3":      "must be one of",
		"plms-hb-3,8":  "not an order number",
		"ghvb-1e-4000": "must be positive",
	} {
		if _, err := diffusion.MethodNamed(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
}

func FuzzMethodNamed(f *testing.F) {
	for _, name := range []string{"ddim", "ghvb-3.3", "plms-hb-0.05", "ltsp-5", "plms-nt-1e-2", "ghvb-0x1p2"} {
		f.Add(name)
	}
	g := diffusion.Grid{Schedule: diffusion.VPLinear{}, Steps: 10}
	f.Fuzz(func(t *testing.T, name string) {
		m, err := diffusion.MethodNamed(name)
		if err != nil {
			return
		}
		if _, err := diffusion.Trace(m, g, diffusion.TraceOptions{}); err != nil {
			t.Errorf("%q is a method that cannot be traced: %v", name, err)
		}
	})
}
