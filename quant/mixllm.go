package quant

import (
	"fmt"
	"slices"
)

// MixLLM quantizes the linear layers of a network, with more bits for the rows
// that matter most for its loss, chosen over all layers together (Zheng, Song &
// Liu 2024). The zero value is the paper's method: groups of 128, 10 % of the rows
// at 8 bits, symmetric, the others at 4, asymmetric, rounded by GPTQ with groups
// in the order of their strength and a search for clipping ranges.
//
// Use it in three steps: a [Calibration] for every layer, whose Add is given the
// layer's inputs and gradients for sequences of calibration text; [MixLLM.Plan];
// [MixLLM.Quantize].
type MixLLM struct {
	Group    int     // 0: 128
	Low      int     // bits of most rows; 0: 4
	High     []Width // nil: 8 bits for 10 % of the rows
	Rounding Rounding
	GPTQ     GPTQ // of the rounding by GPTQ
	// SecondOrderOnly and Diagonal are variants of the [Salience].
	SecondOrderOnly, Diagonal bool
}

// Rounding is how codes are found.
type Rounding int8

const (
	ByGPTQ    Rounding = iota
	ByClip             // ClipSearch
	ToNearest          // RTN
)

var roundingNames = []string{"gptq", "clip", "nearest"}

func (r Rounding) String() string { return roundingNames[r] }

// ParseRounding reads the name of a rounding.
func ParseRounding(s string) (Rounding, error) {
	i := slices.Index(roundingNames, s)
	if i < 0 {
		return 0, fmt.Errorf("quant: rounding %q: must be one of %v", s, roundingNames)
	}
	return Rounding(i), nil
}

func (m MixLLM) low() int {
	if m.Low == 0 {
		return 4
	}
	return m.Low
}

func (m MixLLM) high() []Width {
	if m.High == nil {
		return []Width{{8, 10}}
	}
	return m.High
}

// Spec is how rows of that many bits are quantized: 8 bits symmetric, fewer
// asymmetric.
func (m MixLLM) Spec(bits int) Spec {
	return Spec{Bits: bits, Group: m.Group, Symmetric: bits == 8}
}

// A Calibration gathers what quantizing one layer needs.
type Calibration struct {
	Name    string
	Weights Dense
	Inputs  Inputs
	method  MixLLM
	scorers map[int]*Scorer // by the narrower width, once there are gradients
}

// Calibrate begins the calibration of a layer.
func (m MixLLM) Calibrate(name string, w Dense) (*Calibration, error) {
	c := &Calibration{Name: name, Weights: w, Inputs: Inputs{Cols: w.Cols}, method: m}
	for _, b := range m.widths() {
		if err := m.Spec(b).check(w.Cols); err != nil {
			return nil, c.wrap(err)
		}
	}
	if err := w.check("weights"); err != nil {
		return nil, c.wrap(err)
	}
	return c, nil
}

// widths lists the numbers of bits, the smallest first.
func (m MixLLM) widths() []int {
	bits := []int{m.low()}
	for _, h := range m.high() {
		bits = append(bits, h.Bits)
	}
	slices.Sort(bits)
	return slices.Compact(bits)
}

func (c *Calibration) wrap(err error) error { return fmt.Errorf("%s: %w", c.Name, err) }

// Add adds one sequence: the layer's inputs x [tokens, Cols] and the gradient of
// the sequence's mean loss by its outputs [tokens, Rows]. Without gradients (the
// zero Dense) the layer can be rounded by its inputs, but not scored.
func (c *Calibration) Add(x, grad Dense) error {
	if err := c.Inputs.Add(x); err != nil {
		return c.wrap(err)
	}
	if grad.X == nil {
		return nil
	}
	if c.scorers == nil {
		if err := c.startScores(); err != nil {
			return c.wrap(err)
		}
	}
	for _, s := range c.scorers {
		if err := s.Add(x, grad); err != nil {
			return c.wrap(err)
		}
	}
	return nil
}

// startScores makes a scorer for every width but the widest.
func (c *Calibration) startScores() error {
	m := c.method
	bits := m.widths()
	c.scorers = map[int]*Scorer{}
	for _, b := range bits[:len(bits)-1] {
		s := Salience{Spec: m.Spec(b), SecondOrderOnly: m.SecondOrderOnly, Diagonal: m.Diagonal}
		scorer, err := s.Scorer(c.Weights)
		if err != nil {
			return err
		}
		c.scorers[b] = scorer
	}
	return nil
}

// HasGradients says whether the layer can be scored.
func (c *Calibration) HasGradients() bool { return c.scorers != nil }

// Scores are the salience of the layer's rows, were they rounded to that many bits.
func (c *Calibration) Scores(bits int) ([]float64, error) {
	s, ok := c.scorers[bits]
	if !ok {
		return nil, c.wrap(fmt.Errorf("quant: no salience at %d bits: calibrate with gradients", bits))
	}
	scores, err := s.Scores()
	if err != nil {
		return nil, c.wrap(err)
	}
	return scores, nil
}

// Plan chooses the bits of all rows by their salience.
func (m MixLLM) Plan(layers []*Calibration) (Plan, error) {
	return m.PlanBy(layers, func(c *Calibration, bits int) ([]float64, error) { return c.Scores(bits) })
}

// PlanBy chooses by another score.
func (m MixLLM) PlanBy(layers []*Calibration, score func(c *Calibration, bits int) ([]float64, error)) (Plan, error) {
	scores := map[int][][]float64{}
	bits := m.widths()
	for _, b := range bits[:max(1, len(bits)-1)] {
		for _, c := range layers {
			s, err := score(c, b)
			if err != nil {
				return nil, err
			}
			scores[b] = append(scores[b], s)
		}
	}
	return Allocate(m.low(), m.high(), scores)
}

// A LayerReport says how a layer was quantized.
type LayerReport struct {
	Name       string
	Bits       []int   // of every row
	MSE        float64 // of the output on the calibration inputs; 0 without any
	NearestMSE float64 // the same, if all were rounded to nearest
	WeightMSE  float64 // of the weights
	Rounding   Rounding
	Note       string // what was not done as asked, and why
}

// Quantize quantizes layers by a plan. Layers without calibration inputs are
// rounded to nearest, and the report says so.
func (m MixLLM) Quantize(layers []*Calibration, p Plan) ([]*Layer, []LayerReport, error) {
	if len(p) != len(layers) {
		return nil, nil, fmt.Errorf("quant: plan for %d layers: there are %d", len(p), len(layers))
	}
	var ls []*Layer
	var rs []LayerReport
	for i, c := range layers {
		l, r, err := m.layer(c, p, i)
		if err != nil {
			return nil, nil, c.wrap(err)
		}
		ls, rs = append(ls, l), append(rs, r)
	}
	return ls, rs, nil
}

func (m MixLLM) layer(c *Calibration, p Plan, i int) (*Layer, LayerReport, error) {
	w := c.Weights
	if len(p[i]) != w.Rows {
		return nil, LayerReport{}, fmt.Errorf("plan for %d rows: there are %d", len(p[i]), w.Rows)
	}
	r := LayerReport{Name: c.Name, Bits: p[i], Rounding: m.Rounding}
	if c.Inputs.Tokens == 0 && m.Rounding != ToNearest {
		r.Rounding, r.Note = ToNearest, "no calibration inputs: rounded to nearest"
	}
	round, err := m.rounder(c, &r)
	if err != nil {
		return nil, r, err
	}
	l := &Layer{Name: c.Name, Rows: w.Rows, Cols: w.Cols}
	for _, b := range p.Widths(i) {
		rows := p.Rows(i, b)
		part := w.Select(rows)
		q, err := round(part, m.Spec(b))
		if err != nil {
			return nil, r, err
		}
		l.Parts = append(l.Parts, Part{rows, q.Matrix})
		share := float64(len(rows)) / float64(w.Rows)
		r.MSE += share * q.mse
		r.NearestMSE += share * q.nearest
	}
	d := l.Dequantize()
	for j, x := range d.X {
		e := x - w.X[j]
		r.WeightMSE += e * e / float64(len(d.X))
	}
	return l, r, l.check()
}

// rounded are quantized rows with the mean squares of their output's error, and
// of that by rounding to nearest.
type rounded struct {
	*Matrix
	mse, nearest float64
}

// rounder is how the rows of a layer are quantized. All its widths share one
// factorization.
func (m MixLLM) rounder(c *Calibration, r *LayerReport) (func(Dense, Spec) (rounded, error), error) {
	switch r.Rounding {
	case ToNearest:
		return func(w Dense, s Spec) (rounded, error) {
			q, err := RTN(w, s)
			if err != nil || c.Inputs.Tokens == 0 {
				return rounded{Matrix: q}, err
			}
			mse := c.Inputs.mse(w, q)
			return rounded{q, mse, mse}, nil
		}, nil
	case ByClip:
		return func(w Dense, s Spec) (rounded, error) {
			q, cr, err := ClipSearch(w, &c.Inputs, s)
			if cr.FellBack {
				r.Note = fmt.Sprintf("clipping does not help at %d bits: full ranges", s.Bits)
				cr.MSE = cr.BaseMSE
			}
			return rounded{q, cr.MSE, cr.BaseMSE}, err
		}, nil
	}
	s := m.Spec(m.low())
	if err := s.check(c.Weights.Cols); err != nil {
		return nil, err
	}
	f, err := m.GPTQ.factor(&c.Inputs, c.Weights.Cols, s.group())
	if err != nil {
		return nil, err
	}
	return func(w Dense, s Spec) (rounded, error) {
		if err := checkWeights(w, s); err != nil {
			return rounded{}, err
		}
		q, gr := f.quantize(w, s)
		if gr.Singular {
			r.Note = "GPTQ's matrix is singular: rounded to nearest"
		}
		return rounded{q, gr.MSE, gr.NearestMSE}, nil
	}, nil
}
