// Package mixture holds the laboratory problems of every diffusion paper:
// Gaussian mixtures, whose denoiser and probability-flow solution are known
// exactly, and how the conformance cases of samplers write them down.
package mixture

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/gmm"
)

// A Problem is a mixture on a schedule, as the input of a case describes it.
type Problem struct {
	Fixture struct {
		W  []float64   `json:"w"`
		Mu [][]float64 `json:"mu"`
		S  []float64   `json:"s"`
	} `json:"fixture"`
	Guidance *struct {
		Components []int   `json:"cond_components"`
		Scale      float64 `json:"scale"`
	} `json:"guidance"`
	Schedule Schedule    `json:"schedule"`
	TStart   float64     `json:"t_start"`
	TEnd     float64     `json:"t_end"`
	XT       [][]float64 `json:"x_T"` // start states
}

// Mixture is the data distribution.
func (p *Problem) Mixture() *gmm.Mixture {
	return &gmm.Mixture{W: p.Fixture.W, Mu: p.Fixture.Mu, S: p.Fixture.S}
}

// Model is the exact noise prediction, guided where the problem says so.
func (p *Problem) Model() (diffusion.Denoiser[float64], error) {
	if p.Guidance == nil {
		return gmm.Model[float64](p.Mixture(), diffusion.Noise)
	}
	return p.Guided(p.Guidance.Scale)
}

// Guided is the noise prediction guided to the problem's condition at that scale.
func (p *Problem) Guided(scale float64) (diffusion.Denoiser[float64], error) {
	m := p.Mixture()
	all, err := gmm.Model[float64](m, diffusion.Noise)
	if err != nil {
		return nil, err
	}
	if p.Guidance == nil {
		return nil, fmt.Errorf("the problem has no condition to guide to")
	}
	c, err := m.Condition(p.Guidance.Components...)
	if err != nil {
		return nil, err
	}
	cond, err := gmm.Model[float64](c, diffusion.Noise)
	if err != nil {
		return nil, err
	}
	return diffusion.NewGuided(cond, all, scale)
}

// Starts is the start states row by row, and how many they are.
func (p *Problem) Starts() (x []float64, n int, err error) {
	for i, row := range p.XT {
		if len(p.Fixture.Mu) > 0 && len(row) != len(p.Fixture.Mu[0]) {
			return nil, 0, fmt.Errorf("x_T[%d] has %d coordinates: want %d", i, len(row), len(p.Fixture.Mu[0]))
		}
		x = append(x, row...)
	}
	if len(x) == 0 {
		return nil, 0, fmt.Errorf("x_T is empty")
	}
	return x, len(p.XT), nil
}

// Rows cuts a flat batch of n samples into rows.
func Rows(x []float64, n int) [][]float64 {
	d := len(x) / n
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = append([]float64(nil), x[i*d:(i+1)*d]...)
	}
	return rows
}

// A Schedule is a noise schedule as cases write it.
type Schedule struct {
	Kind      string  `json:"kind"`
	Beta0     float64 `json:"beta0"`
	Beta1     float64 `json:"beta1"`
	BetaStart float64 `json:"beta_start"`
	BetaEnd   float64 `json:"beta_end"`
	N         int     `json:"N"`
	S         float64 `json:"s"`
	T         float64 `json:"T"`
	SigmaMin  float64 `json:"sigma_min"`
	SigmaMax  float64 `json:"sigma_max"`
	Note      string  `json:"note"`
}

// Build makes the schedule.
func (s Schedule) Build() (diffusion.Schedule, error) {
	switch s.Kind {
	case "vp-linear":
		return diffusion.VPLinear{Beta0: s.Beta0, Beta1: s.Beta1}, nil
	case "ddpm-discrete":
		return diffusion.NewDiscrete(diffusion.LinearBetas(s.BetaStart, s.BetaEnd, s.N))
	case "quad", "scaled-linear-discrete":
		return diffusion.NewDiscrete(diffusion.QuadBetas(s.BetaStart, s.BetaEnd, s.N))
	case "cosine-discrete":
		return diffusion.NewDiscrete(diffusion.CosineBetas(s.N))
	case "cosine":
		return diffusion.Cosine{S: s.S, T: s.T}, nil
	case "cosine-raw":
		return diffusion.CosineRaw{S: s.S}, nil
	case "edm":
		return diffusion.EDM{SigmaMin: s.SigmaMin, SigmaMax: s.SigmaMax}, nil
	}
	return nil, fmt.Errorf("schedule kind %q is unknown", s.Kind)
}

//go:embed cases/lab-*.json cases/exact-vp-linear-a.json
var files embed.FS

// Lab is the laboratory problem of that name ("packed16-cfg", "overlap8",
// "cfg8-cfg") on that schedule ("vp-linear", "ddpm-discrete").
func Lab(name, schedule string) (*Problem, error) {
	p, err := load("lab-" + name + "-" + schedule)
	if err != nil {
		return nil, fmt.Errorf("laboratory problem %q on %q: known are %s", name, schedule, strings.Join(labNames(), ", "))
	}
	return p, nil
}

// Smooth is the small problem on which orders of convergence are measured: three
// components in two dimensions on the linear VP schedule.
func Smooth() (*Problem, error) { return load("exact-vp-linear-a") }

func load(name string) (*Problem, error) {
	b, err := files.ReadFile("cases/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var c struct{ Input Problem }
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	return &c.Input, nil
}

func labNames() []string {
	cases, err := files.ReadDir("cases") // sorted
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range cases {
		if name, ok := strings.CutPrefix(f.Name(), "lab-"); ok {
			names = append(names, strings.TrimSuffix(name, ".json"))
		}
	}
	return names
}

// Exact is the exact end of the probability-flow ODE from every start.
func (p *Problem) Exact(ctx context.Context, model diffusion.Denoiser[float64], x []float64, n int) ([]float64, error) {
	s, err := p.Schedule.Build()
	if err != nil {
		return nil, err
	}
	return gmm.Exact(ctx, model, s, x, n, p.TStart, p.TEnd)
}

// SpacingNamed reads the name that cases give a grid.
func SpacingNamed(name string) (diffusion.Spacing, error) {
	switch name {
	case "logSNR", "":
		return diffusion.LogSNR, nil
	case "time_uniform":
		return diffusion.TimeUniform, nil
	case "time_quadratic":
		return diffusion.TimeQuadratic, nil
	case "edm":
		return diffusion.Karras, nil
	}
	return diffusion.Spacing{}, fmt.Errorf("spacing %q is unknown", name)
}
