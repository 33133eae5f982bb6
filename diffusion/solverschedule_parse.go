package diffusion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseSolverSchedule reads a solver schedule from JSON: the form that
// encoding/json writes it in, or the fields that the authors publish theirs with
// ("timesteps", "orders", "prediction_types", ...). It is valid, or an error says
// what is not.
func ParseSolverSchedule(text []byte) (*SolverSchedule, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("diffusion: solver schedule: %w", err)
	}
	s := new(SolverSchedule)
	if _, published := fields["timesteps"]; published {
		var p publishedSchedule
		if err := decodeStrictly(text, &p); err != nil {
			return nil, fmt.Errorf("diffusion: solver schedule: %w", err)
		}
		var err error
		if s, err = p.schedule(); err != nil {
			return nil, fmt.Errorf("diffusion: solver schedule: %w", err)
		}
	} else if err := decodeStrictly(text, s); err != nil {
		return nil, fmt.Errorf("diffusion: solver schedule: %w", err)
	}
	return s, s.Validate()
}

func decodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}

// publishedSchedule is the authors' form.
type publishedSchedule struct {
	Times       []float64               `json:"timesteps"`
	Orders      []int                   `json:"orders"`
	Predictions []string                `json:"prediction_types"`
	Starts      []int                   `json:"start_points"`
	Derivatives [][]publishedDerivative `json:"derivative_types"`
	Correctors  []publishedCorrector    `json:"corrector_types"`
	AFS         string                  `json:"afs"`
	Average     []float64               `json:"average_x0"`
	Skip        json.RawMessage         `json:"skip_coefficients"` // of the network, not of the sampler
}

type publishedDerivative struct {
	Estimate    string   `json:"estimate"` // "Difference_<number of points>"
	Points      []int    `json:"active_points"`
	Relaxation  *string  `json:"relaxation"`
	Coefficient *float64 `json:"relaxation_coefficient"`
}

type publishedCorrector struct {
	Type        string                `json:"type"`
	Start       *int                  `json:"start_point"`
	Order       *int                  `json:"taylor_order"`
	Derivatives []publishedDerivative `json:"derivative_type"`
}

var (
	publishedForms       = map[string]StepForm{"noise_prediction": StepNoise, "data_prediction": StepData, "dpmsolver_v3_prediction": StepV3}
	publishedCorrections = map[string]Correction{"no_corrector": NoCorrection, "pseudo": PseudoCorrection, "implicit": ImplicitCorrection}
	publishedFirsts      = map[string]FirstEvaluation{"": FirstModel, "no_afs": FirstModel, "zero_x0": FirstZero, "average_x0": FirstAverage}
)

func (p *publishedSchedule) schedule() (*SolverSchedule, error) {
	n := len(p.Orders)
	for _, list := range []struct {
		name string
		n    int
	}{{"prediction_types", len(p.Predictions)}, {"start_points", len(p.Starts)}, {"derivative_types", len(p.Derivatives)}, {"corrector_types", len(p.Correctors)}} {
		if list.n != n {
			return nil, fmt.Errorf("%s: %d for %d orders", list.name, list.n, n)
		}
	}
	if len(p.Skip) > 0 && string(p.Skip) != "null" {
		return nil, fmt.Errorf("skip_coefficients: they change the network, which a sampler cannot")
	}
	first, ok := publishedFirsts[p.AFS]
	if !ok {
		return nil, fmt.Errorf("afs = %q: must be no_afs, zero_x0 or average_x0", p.AFS)
	}
	s := &SolverSchedule{Times: p.Times, First: first, Average: p.Average}
	for i := range n {
		d, err := p.decision(i)
		if err != nil {
			return nil, fmt.Errorf("step %d, %w", i+1, err)
		}
		s.Steps = append(s.Steps, d)
	}
	return s, nil
}

func (p *publishedSchedule) decision(i int) (d Decision, err error) {
	var ok bool
	if d.Form, ok = publishedForms[p.Predictions[i]]; !ok {
		return d, fmt.Errorf("prediction_types = %q: must be noise_prediction, data_prediction or dpmsolver_v3_prediction", p.Predictions[i])
	}
	if d.Update, err = publishedUpdate(p.Orders[i], p.Starts[i], p.Derivatives[i]); err != nil {
		return d, fmt.Errorf("derivative_types: %w", err)
	}
	c := p.Correctors[i]
	if d.Correction, ok = publishedCorrections[c.Type]; !ok {
		return d, fmt.Errorf("corrector_types = %q: must be no_corrector, pseudo or implicit", c.Type)
	}
	if d.Correction == NoCorrection || c.Start == nil && c.Order == nil && c.Derivatives == nil {
		return d, nil
	}
	if c.Start == nil || c.Order == nil {
		return d, fmt.Errorf("corrector_types: a corrector needs start_point and taylor_order")
	}
	u, err := publishedUpdate(*c.Order, *c.Start, c.Derivatives)
	if err != nil {
		return d, fmt.Errorf("corrector_types: %w", err)
	}
	d.Corrector = &u
	return d, nil
}

func publishedUpdate(order, start int, derivatives []publishedDerivative) (Update, error) {
	u := Update{Order: order, Start: start, Points: make([][]int, len(derivatives))}
	for k, d := range derivatives {
		u.Points[k] = d.Points
		if count, ok := strings.CutPrefix(d.Estimate, "Difference_"); !ok || count != strconv.Itoa(len(d.Points)) {
			return u, fmt.Errorf("derivative %d, estimate = %q: must be Difference_%d for its %[3]d points", k+1, d.Estimate, len(d.Points))
		}
		switch {
		case d.Relaxation == nil && d.Coefficient == nil:
			continue
		case k > 0:
			return u, fmt.Errorf("derivative %d, relaxation: only the first derivative has one", k+1)
		case d.Relaxation != nil:
			u.Relaxation = Relaxation(*d.Relaxation)
		}
		if d.Coefficient != nil {
			u.Coefficient = *d.Coefficient
		}
	}
	return u, nil
}
