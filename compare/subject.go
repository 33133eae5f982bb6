package compare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
)

const (
	builtin = "builtin:"
	mnist   = builtin + "mnist"
)

// mixtures are the laboratory problems that stand for a model, exact solution
// included, and how many of them have a condition to guide to.
var mixtures = []string{"overlap8", "packed16", "packed16-cfg", "cfg8-cfg"}

// Builtins lists the models that need no file.
func Builtins() []string {
	names := []string{mnist}
	for _, m := range mixtures {
		names = append(names, builtin+m)
	}
	return names
}

// A Subject is a model that methods are compared on.
type Subject struct {
	Name     string
	Schedule diffusion.Schedule
	Shape    []int // of one sample
	Classes  int   // labels are 0 to Classes−1; 0: it takes none

	network *network.Model // nil for a mixture
	problem string         // of a mixture
}

// Network makes a subject of a trained network.
func Network(m *network.Model) *Subject {
	return &Subject{Name: m.Name, Schedule: m.Schedule, Shape: m.Shape, Classes: m.Classes, network: m}
}

// Mixture is the laboratory problem of that name, as [Builtins] lists them; ok is
// false when there is none.
func Mixture(name string) (s *Subject, ok bool, err error) {
	problem, ok := strings.CutPrefix(name, builtin)
	if !ok || !slices.Contains(mixtures, problem) {
		return nil, false, nil
	}
	s = &Subject{Name: problem, problem: problem}
	p, err := s.load(0)
	if err != nil {
		return nil, true, err
	}
	s.Shape = []int{p.Mixture().Dim()}
	s.Schedule, err = p.Schedule.Build()
	return s, true, err
}

// load is the mixture's problem, guided at that scale where it has a condition.
func (s *Subject) load(guidance float64) (*mixture.Problem, error) {
	p, err := mixture.Setting{Problem: s.problem, Schedule: "vp-linear"}.Load()
	if err == nil && p.Guidance != nil {
		p.Guidance.Scale = guidance
	}
	return p, err
}

// Conditional says whether the model takes labels or has a condition.
func (s *Subject) Conditional() bool { return s.Classes > 0 || strings.HasSuffix(s.problem, "-cfg") }

// Exact says whether true solutions and Jacobians are known.
func (s *Subject) Exact() bool { return s.network == nil }

// Len is the number of values in one sample.
func (s *Subject) Len() int {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	return n
}

// Predicts says what the model estimates.
func (s *Subject) Predicts() diffusion.Prediction {
	if s.network != nil {
		return s.network.Predicts
	}
	return diffusion.Noise
}

// A Condition is what a model is asked for.
type Condition struct {
	Labels   []int   // that go round; nil: none
	Guidance float64 // scale; 0 where nothing is there to guide to
}

// bind is the condition's labels for n samples.
func (c Condition) bind(n int) []int {
	if c.Labels == nil {
		return nil
	}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = c.Labels[i%len(c.Labels)]
	}
	return labels
}

// Denoiser is the model for n samples. States are float64, so that only the model's
// own precision counts.
func (s *Subject) Denoiser(c Condition, n int) (diffusion.Denoiser[float64], error) {
	if s.network == nil {
		p, err := s.load(c.Guidance)
		if err != nil {
			return nil, err
		}
		return p.Model()
	}
	if c.Labels == nil {
		m, err := s.network.Denoiser(nil)
		if err != nil {
			return nil, err
		}
		return diffusion.Widen(m), nil
	}
	m, err := s.network.Guided(c.bind(n), c.Guidance)
	if err != nil {
		return nil, err
	}
	return diffusion.Widen(m), nil
}

// Differentiable is the model for n samples as one of noise with its Jacobian: exact
// for mixtures, by central differences for networks.
func (s *Subject) Differentiable(c Condition, n int) (diffusion.Differentiable, error) {
	if s.network == nil {
		p, err := s.load(c.Guidance)
		if err != nil {
			return nil, err
		}
		return p.Differentiable()
	}
	m, err := s.Denoiser(c, n)
	// A wide step: networks compute in float32, whose rounding it divides.
	return diffusion.Differences{Denoiser: diffusion.AsNoise(m), H: 1e-3}, err
}

// ParseLabels reads "", "none", "7", "0,1,2" or "all".
func ParseLabels(s string, classes int) ([]int, error) {
	if s == "" || s == "none" {
		return nil, nil
	}
	if classes < 1 {
		return nil, fmt.Errorf("label %s: the model knows no classes", s)
	}
	if s == "all" {
		labels := make([]int, classes)
		for i := range labels {
			labels[i] = i
		}
		return labels, nil
	}
	var labels []int
	for part := range strings.SplitSeq(s, ",") {
		k, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || k < 0 || k >= classes {
			return nil, fmt.Errorf("label %s: %q must be a class from 0 to %d, or all", s, part, classes-1)
		}
		labels = append(labels, k)
	}
	return labels, nil
}

// fingerprint tells models and conditions apart: a hash of what the model says of
// some fixed states.
func (s *Subject) fingerprint(ctx context.Context, c Condition) (string, error) {
	n := max(1, len(c.Labels))
	m, err := s.Denoiser(c, n)
	if err != nil {
		return "", err
	}
	lo, hi := s.Schedule.Range()
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %v %v %v", s.Name, s.Shape, c, m.Predicts())
	x, out := make([]float64, n*s.Len()), make([]float64, n*s.Len())
	for k, t := range []float64{hi, lo + (hi-lo)/2, lo + (hi-lo)/16} {
		for i := range n {
			if err := diffusion.Seeded(k).Normal(x[i*s.Len():(i+1)*s.Len()], 0, i); err != nil {
				return "", err
			}
		}
		at := s.Schedule.At(t)
		if err := m.Denoise(ctx, out, x, n, []diffusion.Level{at}); err != nil {
			return "", err
		}
		if err := binary.Write(hash, binary.LittleEndian, append(out, at.T, at.Alpha, at.Sigma)); err != nil {
			return "", err
		}
	}
	return s.Name + " " + hex.EncodeToString(hash.Sum(nil)[:12]), nil
}
