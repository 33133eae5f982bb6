// Package compare asks which method to use on a model, the user's own among them,
// whatever papers say: every method at every budget, against the truth.
package compare

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/recent"
	"github.com/assay-lab/assay/lab"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

// Experiments lists the comparisons.
func Experiments() []*lab.Experiment { return []*lab.Experiment{Diffusion()} }

// onnxKeys are the parameters of ONNX files and the keys of [network.ONNXOptions].
var onnxKeys = []struct{ param, key, help string }{
	{"predict", "predict", "what an ONNX network estimates: noise, data, velocity or score"},
	{"schedule", "schedule", "noise schedule that an ONNX network was trained on, as ddpm-linear"},
	{"input", "input", "name of its input of noisy samples, where it cannot be guessed"},
	{"time", "time", "name of its input of noise levels, where it cannot be guessed"},
	{"time-as", "time-as", "how it wants the time"},
	{"label-input", "label", "name of its input of classes, where it cannot be guessed"},
	{"output", "output", "name of its output, where it cannot be guessed"},
	{"classes", "classes", "number of classes"},
	{"null-label", "null-label", "class that stands for none"},
	{"shape", "shape", "shape of a sample, where the file leaves it open"},
	{"engine", "engine", "what runs it: onnxruntime or embedded"},
}

// ownSpacing is every method's own spacing of times.
const ownSpacing = "own"

// Diffusion compares samplers of a diffusion model.
func Diffusion() *lab.Experiment {
	ps := []lab.Param{{Name: "model", Help: "the model: built in, or an ONNX file", Kind: lab.Input, Default: mnist, Choices: Builtins(), Accept: []string{".onnx"}}}
	for _, k := range onnxKeys {
		ps = append(ps, lab.Param{Name: k.param, Help: k.help, Kind: lab.Text})
	}
	return &lab.Experiment{
		Name:    "compare/diffusion",
		Title:   "Which sampler for this model? Error over network evaluations",
		Help:    "Every method starts from the same states. The error is the root mean square distance, in the units of the samples, to where the model's probability-flow ODE ends: the exact solution of a mixture, a fine one of a network. A method makes as many steps as its budget of evaluations pays for.",
		Cost:    mixture.NFE,
		Quality: mixture.RMSError,
		Version: 1,
		Params: append(ps,
			lab.Param{Name: "methods", Help: "the methods, by the names that assay sample knows", Kind: lab.Text, Default: "ddim,pndm,deis-tab3,dpmpp-2m,dpmpp-3m-corrected,unipc,v3"},
			lab.Param{Name: "nfe", Help: "numbers of evaluations", Kind: lab.Ints, Default: "5,8,10,15,20", At: map[lab.Size]string{lab.Quick: "6,10", lab.Full: "5,6,8,10,12,15,20,25,30,40,50"}, Min: 1, Max: 1000},
			lab.Param{Name: "guidance", Help: "guidance scales, a panel each, for models with labels or a condition", Kind: lab.Floats, Default: "1", Min: 0, Max: 1000},
			lab.Param{Name: "label", Help: "classes that the samples go round: numbers with commas, all, or none; empty: all, where the model has classes", Kind: lab.Text},
			lab.Param{Name: "spacing", Help: "how times are spaced: own is every method's own", Kind: lab.Choice, Default: ownSpacing, Choices: append([]string{ownSpacing}, diffusion.SpacingNames()...)},
			lab.Param{Name: "truth", Help: "steps of a network's fine solution", Kind: lab.Int, Default: "400", At: map[lab.Size]string{lab.Quick: "100", lab.Full: "1000"}, Min: 10, Max: 100000},
			lab.Param{Name: "n", Help: "samples a seed", Kind: lab.Int, Default: "10", At: map[lab.Size]string{lab.Quick: "4", lab.Full: "64"}, Min: 1, Max: 100000},
			lab.Param{Name: "seeds", Help: "independent sets of start states", Kind: lab.Int, Default: "5", At: map[lab.Size]string{lab.Quick: "2", lab.Full: "10"}, Min: 1, Max: 1000},
			lab.Param{Name: "rows", Help: "v3: intervals of the statistics' grid", Kind: lab.Int, Default: "120", At: map[lab.Size]string{lab.Quick: "60"}, Min: 10, Max: 10000},
			lab.Param{Name: "samples", Help: "v3: samples behind the statistics; 0: 1024 of a mixture, 32 of a network", Kind: lab.Int, Default: "0", At: map[lab.Size]string{lab.Quick: "16"}, Min: 0, Max: 1000000},
			lab.Param{Name: "probes", Help: "v3: random probes of the Jacobian; 0: all of it for a mixture, 2 for a network; -1: all of it", Kind: lab.Int, Default: "0", At: map[lab.Size]string{lab.Quick: "1"}, Min: -1, Max: 100000},
		),
		Grid:   func(v lab.Values) ([]lab.Cell, error) { cs, _, err := grid(v); return cs, err },
		Run:    run,
		Advise: advise,
	}
}

// subjects are kept open, the last few: reading a network takes longer than many cells.
var subjects = recent.Cache[*Subject]{Most: 4}

// Open opens the model that the values choose.
func Open(v lab.Values) (*Subject, error) {
	name := v.Text("model")
	if s, ok, err := Mixture(name); ok {
		return s, err
	}
	if name == mnist {
		m, err := network.MNIST()
		if err != nil {
			return nil, err
		}
		return Network(m), nil
	}
	var o network.ONNXOptions
	key := name
	for _, k := range onnxKeys {
		if value := v.Text(k.param); value != "" {
			if err := o.Set(k.key, value); err != nil {
				return nil, err
			}
			key += fmt.Sprintf(" %s=%q", k.key, value)
		}
	}
	return subjects.Get(key, func() (*Subject, error) {
		m, err := network.OpenONNX(name, o)
		if err != nil {
			return nil, err
		}
		return Network(m), nil
	})
}

// unguided is the panel of a model that is asked for nothing.
const unguided = "unguided"

// conditions are what the values ask the model for, a panel each.
func conditions(s *Subject, v lab.Values) (panels []string, cs []Condition, err error) {
	label := labelOf(s, v)
	labels, err := ParseLabels(label, s.Classes)
	if err != nil {
		return nil, nil, err
	}
	scales := v.Floats("guidance")
	if labels == nil && (s.Classes > 0 || !s.Conditional()) {
		if len(scales) != 1 || scales[0] != 1 {
			return nil, nil, fmt.Errorf("guidance = %s: the model is not asked for anything that it could be guided to", v.Text("guidance"))
		}
		return []string{unguided}, []Condition{{}}, nil
	}
	for _, scale := range scales {
		panels = append(panels, fmt.Sprintf("guidance %g", scale))
		cs = append(cs, Condition{labels, scale})
	}
	return panels, cs, nil
}

// labelOf is the labels that are asked for, in the form that users type.
func labelOf(s *Subject, v lab.Values) string {
	if label := v.Text("label"); label != "" || s.Classes == 0 {
		return label
	}
	return "all"
}

// A leftOut is a method that cannot run at a budget.
type leftOut struct {
	method string
	budget int
	why    string
}

// grid lists the cells, and what is left out.
func grid(v lab.Values) (cells []lab.Cell, out []leftOut, err error) {
	s, err := Open(v)
	if err != nil {
		return nil, nil, err
	}
	panels, cs, err := conditions(s, v)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range cs {
		if _, err := s.Denoiser(c, 1); err != nil {
			return nil, nil, err
		}
	}
	names, err := parseMethods(v.Text("methods"))
	if err != nil {
		return nil, nil, err
	}
	p, err := newPlanner(s, v)
	if err != nil {
		return nil, nil, err
	}
	for i, panel := range panels {
		for _, name := range names {
			for _, b := range v.Ints("nfe") {
				pl, err := p.plan(name, b)
				if err != nil {
					return nil, nil, err
				}
				if pl.steps == 0 {
					if i == 0 {
						out = append(out, leftOut{name, b, pl.why})
					}
					continue
				}
				for seed := range v.Int("seeds") {
					cells = append(cells, lab.Cell{Panel: panel, Method: name, Budget: float64(b), Seed: uint64(seed), Values: v})
				}
			}
		}
	}
	if len(cells) == 0 {
		return nil, nil, fmt.Errorf("methods = %s, nfe = %s: none of the methods can run: %s", v.Text("methods"), v.Text("nfe"), out[0].why)
	}
	return cells, out, nil
}

func newPlanner(s *Subject, v lab.Values) (planner, error) {
	p := planner{grid: diffusion.Grid{Schedule: s.Schedule}, predicts: s.Predicts(), rows: v.Int("rows")}
	var err error
	if name := v.Text("spacing"); name != ownSpacing {
		p.grid.Spacing, err = diffusion.ParseSpacing(name)
	}
	return p, err
}

// run is one cell.
func run(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	var none lab.Outcome
	s, err := Open(c.Values)
	if err != nil {
		return none, err
	}
	t := trial{subject: s, n: c.Values.Int("n"), seed: c.Seed}
	panels, cs, err := conditions(s, c.Values)
	if err != nil {
		return none, err
	}
	for i, p := range panels {
		if p == c.Panel {
			t.condition = cs[i]
		}
	}
	p, err := newPlanner(s, c.Values)
	if err != nil {
		return none, err
	}
	pl, err := p.plan(c.Method, int(c.Budget))
	if err != nil {
		return none, err
	}
	metrics := map[string]float64{"steps": float64(pl.steps)}
	m, err := methodNamed(c.Method, func() (*diffusion.Statistics, error) {
		f, err := s.Statistics(ctx, recipe(s, c.Values, t.condition), nil)
		metrics[statisticsCost] = float64(f.Evaluations)
		return f.Statistics, err
	})
	if err != nil {
		return none, err
	}
	truth, err := t.truth(ctx, c.Values.Int("truth"))
	if err != nil {
		return none, err
	}
	p.grid.Steps = pl.steps
	sol, err := t.solve(ctx, m, p.grid)
	if err != nil {
		return none, err
	}
	metrics["network passes"] = float64(sol.Passes)
	return lab.Outcome{Cost: float64(sol.NFE), Quality: mixture.RMS(sol.X, truth), Metrics: metrics}, nil
}

// statisticsCost is the metric of what v3 costs before the first sample.
const statisticsCost = "evaluations for statistics"

// recipe is that of the model's statistics.
func recipe(s *Subject, v lab.Values, c Condition) Recipe {
	return Recipe{Condition: c, Label: labelOf(s, v), Rows: v.Int("rows"), Samples: v.Int("samples"), Probes: v.Int("probes")}
}

// A trial samples a subject from seeded starts.
type trial struct {
	subject   *Subject
	condition Condition
	n         int
	seed      uint64
}

func (t trial) solve(ctx context.Context, m diffusion.Method, g diffusion.Grid) (sol diffusion.Solution[float64], err error) {
	model, err := t.subject.Denoiser(t.condition, t.n)
	if err != nil {
		return sol, err
	}
	x, err := diffusion.Start[float64](g, t.n, t.subject.Len(), diffusion.Seeded(t.seed))
	if err != nil {
		return sol, err
	}
	return diffusion.Solve(ctx, diffusion.Problem[float64]{Model: model, Grid: g, X: x, N: t.n}, m)
}

// truth is where the ODE ends from the trial's starts: exactly for a mixture, else
// by that many steps of DPM-Solver++(2M). It is computed once and kept in the cache.
func (t trial) truth(ctx context.Context, steps int) ([]float64, error) {
	s := t.subject
	if s.Exact() {
		p, err := s.load(t.condition.Guidance)
		if err != nil {
			return nil, err
		}
		return mixture.Trial{Problem: p, Guidance: t.condition.Guidance, N: t.n, Seed: t.seed}.Exact(ctx)
	}
	id, err := s.fingerprint(ctx, t.condition)
	if err != nil {
		return nil, err
	}
	key := struct {
		Model          string
		N              int
		Seed           uint64
		Steps, Version int
	}{id, t.n, t.seed, steps, 1}
	b, err := cache.Get(ctx, "model-truth", key, func(ctx context.Context) ([]byte, error) {
		sol, err := t.solve(ctx, diffusion.DPMSolver{}, diffusion.Grid{Schedule: s.Schedule, Steps: steps})
		if err != nil {
			return nil, err
		}
		return binary.Append(nil, binary.LittleEndian, sol.X)
	})
	if err != nil {
		return nil, err
	}
	x := make([]float64, len(b)/8)
	_, err = binary.Decode(b, binary.LittleEndian, x)
	return x, err
}

// modelArgs are the flags that name the model.
func modelArgs(v lab.Values) string {
	var b strings.Builder
	b.WriteString("--model " + quote(v.Text("model")))
	for _, k := range onnxKeys {
		if value := v.Text(k.param); value != "" {
			b.WriteString(" --" + k.param + " " + quote(value))
		}
	}
	return b.String()
}

// quote is a word as a shell takes it.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n'\"\\$`*?[]{}()<>|&;!#~", r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
