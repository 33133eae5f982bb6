package diffusion_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
	"gonum.org/v1/gonum/stat"
)

// singlestep2 and singlestep3 are DPM-Solver++ as BDIA takes it.
var (
	singlestep2 = diffusion.DPMSolver{Mode: diffusion.SinglestepFixed}
	singlestep3 = diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Order: 3}
)

// TestBDIAZeroGamma: γ = 0 is the solver itself, bit for bit and call for call.
func TestBDIAZeroGamma(t *testing.T) {
	for _, tt := range []struct {
		name    string
		base    diffusion.OneStep
		perStep int
	}{
		{"DDIM", nil, 1},
		{"DPM-Solver++ of order 1", diffusion.DPMSolver{Order: 1}, 1},
		{"2S", singlestep2, 2},
		{"3S", singlestep3, 3},
		{"noise 2S", diffusion.DPMSolver{Mode: diffusion.SinglestepFixed, Form: diffusion.NoiseForm}, 2},
		{"Heun", diffusion.RhoRK{}, 1},
		{"Kutta", diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}, 1},
	} {
		p := problem[float64](t, 12, 3)
		p.Grid.Spacing = diffusion.LogSNR
		got := solve(t, p, diffusion.BDIA{Base: tt.base}.WithGamma(0))
		base, ok := tt.base.(diffusion.Method)
		if !ok {
			base = diffusion.DDIM{}
		}
		p.Grid.Steps *= tt.perStep // a singlestep solver counts evaluations
		want := solve(t, p, base)
		if !slices.Equal(got.X, want.X) || got.NFE != want.NFE {
			t.Errorf("%s: γ = 0 gives %v after %d evaluations, the solver %v after %d", tt.name, got.X, got.NFE, want.X, want.NFE)
		}
	}
}

// TestBDIARows holds the rows of the tape against the closed form.
func TestBDIARows(t *testing.T) {
	const gamma = 0.7
	g := diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 6, ToZero: true}
	tp := trace(t, diffusion.BDIA{Gamma: gamma}, g, diffusion.Noise)
	g.Spacing = diffusion.TimeUniform
	ls, err := g.Levels(g.Steps)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < g.Steps; n++ {
		row := tp.Code[tp.Marks[n].PC-1].Terms
		prev, at, next := ls[n-1], ls[n], ls[n+1]
		want := []float64{
			gamma,
			next.Alpha/at.Alpha - gamma*prev.Alpha/at.Alpha,
			next.Sigma - next.Alpha*at.Sigma/at.Alpha - gamma*(prev.Sigma-prev.Alpha*at.Sigma/at.Alpha),
		}
		if len(row) != 3 {
			t.Fatalf("row %d has %d terms: want 3", n, len(row))
		}
		for i := range row {
			if math.Abs(row[i].C-want[i]) > 1e-14*(1+at.Sigma/at.Alpha) { // both sides cancel at α near 0
				t.Errorf("row %d, term %d: %v, want %v", n, i, row[i].C, want[i])
			}
		}
	}
}

func trace(t testing.TB, m diffusion.Method, g diffusion.Grid, p diffusion.Prediction) *diffusion.Tape {
	t.Helper()
	tp, err := diffusion.Trace(m, g, diffusion.TraceOptions{Predicts: p})
	if err != nil {
		t.Fatalf("%+v: %v", m, err)
	}
	return tp
}

func TestBDIAOrder(t *testing.T) {
	// Slopes over 160, 320, 640 steps; the first step's lower order costs nothing
	// where the noise is pure.
	tests := []struct {
		name   string
		method diffusion.BDIA
		lo, hi float64
	}{
		{"γ = 0.5 is of order 1", diffusion.BDIA{Gamma: .5}, .85, 1.15},
		{"γ = 1 is of order 2", diffusion.BDIA{}, 1.8, 2.2},
		{"Heun, reused", diffusion.BDIA{Base: diffusion.RhoRK{}, Gamma: .5}, 1.85, 2.2},
		{"Heun, full", diffusion.BDIA{Base: diffusion.RhoRK{}, Gamma: .5, Backward: diffusion.Full}, 1.85, 2.2},
		{"2S, reused", diffusion.BDIA{Base: singlestep2, Gamma: .5}, 1.85, 2.2},
		{"2S, full", diffusion.BDIA{Base: singlestep2, Gamma: .5, Backward: diffusion.Full}, 1.85, 2.2},
		{"3S, full", diffusion.BDIA{Base: singlestep3, Gamma: .5, Backward: diffusion.Full}, 2.8, 3.2},
		{"Kutta, full", diffusion.BDIA{Base: diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}, Gamma: .5, Backward: diffusion.Full}, 2.8, 3.2},
	}
	p := problem[float64](t, 0, 32)
	exact := exactEnd(t, p)
	for _, tt := range tests {
		var logN, logE []float64
		for _, steps := range []int{160, 320, 640} {
			p.Grid.Steps = steps
			logN = append(logN, math.Log(float64(steps)))
			logE = append(logE, math.Log(rms(solve(t, p, tt.method).X, exact)))
		}
		_, slope := stat.LinearRegression(logN, logE, nil, false)
		if -slope < tt.lo || -slope > tt.hi {
			t.Errorf("%s: order %.2f, want %g to %g", tt.name, -slope, tt.lo, tt.hi)
		}
	}
}

func exactEnd(t testing.TB, p diffusion.Problem[float64]) []float64 {
	t.Helper()
	x, err := gmm.Exact(context.Background(), p.Model, p.Grid.Schedule, p.X, p.N, p.Grid.Start, p.Grid.End)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestBDIALaw: with equal steps in σ the error is Euler's times (1−γ)/(1+γ).
func TestBDIALaw(t *testing.T) {
	const steps = 4000
	p := problem[float64](t, steps, 16)
	p.Grid = diffusion.Grid{Schedule: diffusion.EDM{}, Steps: steps, Start: 3, End: .5, Spacing: diffusion.TimeUniform}
	for i := range p.X {
		p.X[i] *= 3
	}
	exact := exactEnd(t, p)
	euler := rms(solve(t, p, diffusion.DDIM{}).X, exact)
	for _, gamma := range []float64{.2, .5, .8} {
		want := (1 - gamma) / (1 + gamma)
		got := rms(solve(t, p, diffusion.BDIA{Gamma: gamma}).X, exact) / euler
		if math.Abs(got/want-1) > .01 { // the next order, at 4000 steps
			t.Errorf("γ = %g: %.4f of Euler's error, want %.4f", gamma, got, want)
		}
	}
}

func TestBDIABuffers(t *testing.T) {
	tests := []struct {
		name       string
		method     diffusion.BDIA
		predicts   diffusion.Prediction
		nfe, slots int
	}{
		{"DDIM", diffusion.BDIA{}, diffusion.Noise, 50, 3},
		{"DDIM of a data model", diffusion.BDIA{Gamma: .9}, diffusion.Data, 50, 3},
		{"DDIM of a velocity model", diffusion.BDIA{}, diffusion.Velocity, 50, 3},
		// two states, three outputs (or two and one stage's) and the inner state
		{"Heun, reused", diffusion.BDIA{Base: diffusion.RhoRK{}}, diffusion.Noise, 100, 6},
		{"Heun, full: one call more in all steps but the first", diffusion.BDIA{Base: diffusion.RhoRK{}, Backward: diffusion.Full}, diffusion.Noise, 149, 6},
		{"2S, reused", diffusion.BDIA{Base: singlestep2}, diffusion.Data, 100, 6},
		{"2S, full", diffusion.BDIA{Base: singlestep2, Backward: diffusion.Full}, diffusion.Data, 149, 6},
	}
	for _, tt := range tests {
		tp := trace(t, tt.method, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: 50}, tt.predicts)
		if tp.NFE() != tt.nfe || tp.Slots() != tt.slots {
			t.Errorf("%s: %d evaluations in %d buffers, want %d in %d", tt.name, tp.NFE(), tp.Slots(), tt.nfe, tt.slots)
		}
	}
}

// TestBDIACleanEnd: the published clean end repeats the table's first level when the
// grid ends there, and lies between the levels when there is room.
func TestBDIACleanEnd(t *testing.T) {
	table, err := diffusion.NewDiscrete(diffusion.LinearBetas(1e-4, .02, 1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		times       []int // indices, from noise to the last but one state
		told, level int
	}{
		{[]int{900, 600, 300, 0}, -300, 0},
		{[]int{900, 700, 500}, 300, 300},
		{[]int{901, 451, 1}, -449, 0},
	} {
		var ts []float64
		for _, i := range tt.times {
			ts = append(ts, table.TimeOf(float64(i)))
		}
		g := diffusion.Grid{Schedule: table, Steps: len(ts), Start: ts[0], End: ts[len(ts)-1], Spacing: diffusion.Explicit(ts...)}
		tp := trace(t, diffusion.BDIA{Clean: diffusion.OneStrideBelow}, g, diffusion.Noise)
		last := tp.Marks[len(tp.Marks)-1].Level
		if want := table.At(table.TimeOf(float64(tt.level))); math.Abs(last.Alpha-want.Alpha) > 1e-12 || math.Abs(table.Index(last.T)-float64(tt.told)) > 1e-9 {
			t.Errorf("%v: ends at index %g with α = %g, want %d with %g", tt.times, table.Index(last.T), last.Alpha, tt.told, want.Alpha)
		}
	}
}

func TestBDIAErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method diffusion.BDIA
		change func(g *diffusion.Grid)
		want   string
	}{
		{"γ above 1", diffusion.BDIA{Gamma: 1.2}, nil, "gamma = 1.2: must lie in (0, 1]"},
		{"γ below 0", diffusion.BDIA{Gamma: -.1}, nil, "gamma = -0.1"},
		{"γ NaN", diffusion.BDIA{Gamma: math.NaN()}, nil, "gamma = NaN"},
		{"two values of γ", diffusion.BDIA{Gamma: .5, ZeroGamma: true}, nil, "ZeroGamma is set"},
		{"unknown backward step", diffusion.BDIA{Backward: 2}, nil, "Reuse or Full"},
		{"unknown clean end", diffusion.BDIA{Clean: 2}, nil, "AtEnd or OneStrideBelow"},
		{"lattice off a power of two", diffusion.BDIA{Lattice: .1}, nil, "lattice = 0.1: must be a power of two"},
		{"negative lattice", diffusion.BDIA{Lattice: -.5}, nil, "lattice = -0.5"},
		{"lattice with γ below 1", diffusion.BDIA{Lattice: .25, Gamma: .9}, nil, "only gamma = 1"},
		{"stochastic DDIM", diffusion.BDIA{Base: diffusion.DDIM{Eta: 1}}, nil, "eta = 1"},
		{"stochastic DPM-Solver", diffusion.BDIA{Base: diffusion.DPMSolver{Eta: 1, Order: 1}}, nil, "eta = 1"},
		{"a solver with memory", diffusion.BDIA{Base: diffusion.DPMSolver{}}, nil, "has no memory"},
		{"DPM-Solver of no order", diffusion.BDIA{Base: diffusion.DPMSolver{Order: 4, Mode: diffusion.Singlestep}}, nil, "order 4"},
		{"a solver that denoises", diffusion.BDIA{Base: diffusion.DPMSolver{Order: 1, Denoise: true}}, nil, "denoise"},
		{"3S reused", diffusion.BDIA{Base: singlestep3}, nil, "Full"},
		{"Kutta reused", diffusion.BDIA{Base: diffusion.RhoRK{Tableau: diffusion.Tableaux[3]}}, nil, "Full"},
		{"a ragged tableau", diffusion.BDIA{Base: diffusion.RhoRK{Tableau: diffusion.Tableau{Name: "mine", B: []float64{1}}}}, nil, `"mine"`},
		{"a tableau that starts late", diffusion.BDIA{Base: diffusion.RhoRK{Tableau: diffusion.Tableau{Name: "mine", A: [][]float64{{}}, B: []float64{1}, C: []float64{.5}}}}, nil, "starts at 0"},
		{"no steps", diffusion.BDIA{}, func(g *diffusion.Grid) { g.Steps = 0 }, "0 steps"},
		{"clean end below one step", diffusion.BDIA{Clean: diffusion.OneStrideBelow}, func(g *diffusion.Grid) { g.Steps = 1 }, "at least 2"},
		{"clean end below σ = 0", diffusion.BDIA{Clean: diffusion.OneStrideBelow}, func(g *diffusion.Grid) { g.ToZero = true }, "ends at σ > 0"},
		{"clean end below while inverting", diffusion.BDIA{Clean: diffusion.OneStrideBelow}, func(g *diffusion.Grid) { g.Start, g.End = g.End, g.Start }, "from noise to data"},
	} {
		g := problem[float64](t, 10, 1).Grid
		if tt.change != nil {
			tt.change(&g)
		}
		_, err := diffusion.Trace(tt.method, g, diffusion.TraceOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func ExampleBDIA() {
	schedule := diffusion.VPLinear{}
	tape, err := diffusion.Trace(diffusion.BDIA{Gamma: 0.96}, diffusion.Grid{Schedule: schedule, Steps: 50}, diffusion.TraceOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pair, err := tape.WithPair()
	if err != nil {
		fmt.Println(err)
		return
	}
	inverse, err := pair.Invert(diffusion.Accuracy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("there %d evaluations, back %d; rounding errors grow by %.1f\n", tape.NFE(), inverse.NFE(), inverse.Growth)
	_, err = pair.Invert(diffusion.Accuracy{Unit: diffusion.Unit[float32](), Tolerance: 1e-6})
	fmt.Println(strings.Split(err.Error(), ": take")[0])
	// Output:
	// there 50 evaluations, back 49; rounding errors grow by 7.4
	// diffusion: the inverse of 50 steps multiplies rounding errors by up to 7.4: from a rounding unit of 6e-08 to 1e-05, beyond the tolerance of 1e-06
}
