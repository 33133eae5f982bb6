package quant

import (
	"fmt"
	"math"
)

// A Criterion is what the search for a range makes small.
type Criterion int8

const (
	// Power is the mean of |x − x̂|^P: the paper's choice with P = 2.4. P = 1 is the
	// L1 distance, P = 2 the mean square.
	Power Criterion = iota
	// Cosine is 1 − x·x̂/(|x||x̂|).
	Cosine
	// Divergence is the Kullback–Leibler divergence of histograms (Migacz 2017).
	Divergence
	// Extremes does not search: the range is that of the data.
	Extremes
)

var criterionNames = [...]string{"power", "cosine", "divergence", "extremes"}

func (c Criterion) String() string {
	if c >= 0 && int(c) < len(criterionNames) {
		return criterionNames[c]
	}
	return fmt.Sprintf("Criterion(%d)", int8(c))
}

// ParseCriterion reads the name that String writes; "l1" and "mse" are Power with
// that P.
func ParseCriterion(s string) (c Criterion, p float64, err error) {
	switch s {
	case "l1":
		return Power, 1, nil
	case "mse":
		return Power, 2, nil
	}
	for i, name := range criterionNames {
		if s == name {
			return Criterion(i), 0, nil
		}
	}
	return 0, 0, fmt.Errorf("quant: criterion %q: must be power, l1, mse, cosine, divergence or extremes", s)
}

// A Side says on which side of zero a tensor lies. It is decided on the first
// tensor that a quantizer sees.
type Side int8

const (
	TwoSided Side = iota
	Positive      // min ≥ 0: as after a ReLU; a tensor of zeros counts as one
	Negative      // max ≤ 0
)

var sideNames = [...]string{"no", "pos", "neg"}

func (s Side) String() string {
	if s >= 0 && int(s) < len(sideNames) {
		return sideNames[s]
	}
	return fmt.Sprintf("Side(%d)", int8(s))
}

// SideOf is the side of a tensor.
func SideOf(x []float64) Side {
	lo, hi := extremes(x)
	switch {
	case lo >= 0:
		return Positive
	case hi <= 0:
		return Negative
	}
	return TwoSided
}

// A RangeSearch finds the range in which a tensor is best quantized among
// candidates: the range search of PTQ4DM (Shang et al. 2023, section 3.4), whose
// defaults its zero value has.
//
//	symmetric, or one-sided: for i = 1..Steps, t = R·i/Steps with R = max|x|,
//	  lo = 0 if positive, else −t; hi = 0 if negative, else t
//	asymmetric and two-sided: for i = 1..Steps and z = 0..2^b−1, of width
//	  r = (max − min)·i/Steps: lo = −z·r/(2^b − 1), hi = r + lo
//
// The first of the best candidates is taken.
type RangeSearch struct {
	Bits       int // 2 to 8; 0: 8
	Asymmetric bool
	Criterion  Criterion
	P          float64 // exponent of Power; 0: 2.4
	Steps      int     // candidates; 0: 100
	Bins       int     // of Divergence's histogram; 0: 2048
}

func (s RangeSearch) bits() int {
	if s.Bits == 0 {
		return 8
	}
	return s.Bits
}

func (s RangeSearch) steps() int {
	if s.Steps == 0 {
		return 100
	}
	return s.Steps
}

func (s RangeSearch) bins() int {
	if s.Bins == 0 {
		return 2048
	}
	return s.Bins
}

func (s RangeSearch) power() float64 {
	if s.P == 0 {
		return 2.4
	}
	return s.P
}

// Check wants bits, exponent, candidates and bins within their ranges.
func (s RangeSearch) Check() error {
	if err := checkBits(s.bits()); err != nil {
		return err
	}
	switch {
	case !(s.power() > 0 && s.power() <= 16):
		return fmt.Errorf("quant: p = %g: must be in (0, 16]", s.P)
	case s.steps() < 1 || s.steps() > 1<<16:
		return fmt.Errorf("quant: %d candidates of a range: must be 1 to 65536", s.Steps)
	case s.Criterion < Power || s.Criterion > Extremes:
		return fmt.Errorf("quant: %v: is no criterion", s.Criterion)
	case s.Criterion == Divergence && (s.bins() < 1<<s.bits() || s.bins() > 1<<20):
		return fmt.Errorf("quant: %d bins for %d codes: must be at least as many, at most 2^20", s.bins(), 1<<s.bits())
	}
	return nil
}

// Tensor finds the range of a whole tensor that lies on that side.
func (s RangeSearch) Tensor(x []float64, side Side) (lo, hi float64, err error) {
	if err := s.checkTensor(x); err != nil {
		return 0, 0, err
	}
	if s.Criterion != Extremes && s.Asymmetric && side == TwoSided {
		lo, hi = s.search2(x)
		return lo, hi, nil
	}
	most := spread(x)
	if s.Criterion == Extremes {
		if lo, hi = extremes(x); !s.Asymmetric {
			lo, hi = -most, most
		}
		lo, hi = side.cut(lo, hi)
		return lo, hi, nil
	}
	score := s.scorer(x, most)
	best := math.Inf(1)
	lo, hi = side.cut(-most, most)
	for i := 1; i <= s.steps(); i++ {
		t := most / float64(s.steps()) * float64(i) // in this order: a last bit decides whether −t/scale, half a code, rounds up
		l, h := side.cut(-t, t)
		if e := score(l, h); e < best {
			best, lo, hi = e, l, h
		}
	}
	return lo, hi, nil
}

// Channels quantizes weights [channels, ...] with a range of its own for each
// output channel. A channel's search begins at its extremes, and its side is its own
// tensor's: the whole's, as in the authors' code.
func (s RangeSearch) Channels(w []float64, channels int) (Affine, error) {
	if err := s.checkTensor(w); err != nil {
		return Affine{}, err
	}
	if channels < 1 || len(w)%channels != 0 {
		return Affine{}, fmt.Errorf("quant: %d weights in %d channels: must divide", len(w), channels)
	}
	side := SideOf(w)
	lo, hi := make([]float64, channels), make([]float64, channels)
	n := len(w) / channels
	var err error
	each(channels, func(c int) {
		l, h, e := s.Tensor(w[c*n:(c+1)*n], side)
		if lo[c], hi[c] = l, h; e != nil {
			err = e // the same for all: too few numbers for the histogram
		}
	})
	if err != nil {
		return Affine{}, err
	}
	return NewAffine(s.bits(), lo, hi)
}

func (s RangeSearch) checkTensor(x []float64) error {
	if err := s.Check(); err != nil {
		return err
	}
	if len(x) == 0 {
		return fmt.Errorf("quant: calibration on no numbers")
	}
	if s.Criterion == Divergence && len(x) < s.bins() {
		return fmt.Errorf("quant: calibration on %d numbers, fewer than the %d bins of the histogram", len(x), s.bins())
	}
	return finite("calibration", x)
}

// cut takes the half of a range that a side leaves out.
func (s Side) cut(lo, hi float64) (float64, float64) {
	switch s {
	case Positive:
		return 0, hi
	case Negative:
		return lo, 0
	}
	return lo, hi
}

func extremes(x []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// spread is max(|min x|, max x).
func spread(x []float64) float64 {
	lo, hi := extremes(x)
	return max(math.Abs(lo), hi)
}
