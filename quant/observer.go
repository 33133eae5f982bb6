package quant

import "fmt"

// A WarningKind names what makes a poor quantizer without being an error.
type WarningKind string

const (
	// AllZero: every number was 0, so that the scale is the smallest there is.
	AllZero WarningKind = "all zero"
	// WrongSide: a later batch has numbers on the side that the first one lacked.
	// They are clipped to 0.
	WrongSide WarningKind = "numbers on the side that the first batch lacked"
	// Dropped: the set is no whole number of batches, and what is left over is not used.
	Dropped WarningKind = "remainder of the set not used"
)

// A Warning is a [WarningKind] and where it was met.
type Warning struct {
	Layer string
	Kind  WarningKind
	Count int // batches, or samples that are not used
}

func (w Warning) String() string {
	if w.Layer == "" {
		return fmt.Sprintf("%s (%d)", w.Kind, w.Count)
	}
	return fmt.Sprintf("%s: %s (%d)", w.Layer, w.Kind, w.Count)
}

// An Observer finds the static range of activations over calibration batches
// [Shang et al. 2023, the authors' code]: the first batch's best range starts a
// running one, and then every batch, the first included, moves it,
// running ← Rate·new + (1 − Rate)·running. The zero value has the paper's settings.
type Observer struct {
	Search RangeSearch
	Rate   float64 // 0: 0.1
	// Layer names the observer in errors and warnings.
	Layer string
	// Sample bounds the numbers of a batch that the search looks at, evenly spread,
	// the extremes among them; 0: all.
	Sample int

	side   Side
	lo, hi float64
	seen   int
	zeros  int // batches of zeros only
	wrong  int // batches with numbers on the wrong side
}

// Observe takes the activations of one batch.
func (o *Observer) Observe(x []float64) error {
	rate := o.Rate
	if rate == 0 {
		rate = 0.1
	}
	if !(rate > 0 && rate <= 1) {
		return fmt.Errorf("quant: rate = %g: must be in (0, 1]", o.Rate)
	}
	side := o.side
	if o.seen == 0 && len(x) > 0 {
		side = SideOf(x)
	}
	l, h := extremes(x)
	lo, hi, err := o.Search.Tensor(o.some(x, l, h), side)
	if err != nil {
		if o.Layer != "" {
			err = fmt.Errorf("layer %q: %w", o.Layer, err)
		}
		return err
	}
	if o.seen == 0 {
		o.side, o.lo, o.hi = side, lo, hi
	}
	o.seen++
	o.lo = rate*lo + (1-rate)*o.lo
	o.hi = rate*hi + (1-rate)*o.hi
	if l == 0 && h == 0 {
		o.zeros++
	}
	if side == Positive && l < 0 || side == Negative && h > 0 {
		o.wrong++
	}
	return nil
}

// some picks numbers evenly, and the extremes.
func (o *Observer) some(x []float64, lo, hi float64) []float64 {
	if o.Sample <= 0 || len(x) <= o.Sample {
		return x
	}
	n := max(o.Sample-2, 0)
	part := append(make([]float64, 0, n+2), lo, hi)
	for i := range n {
		part = append(part, x[i*len(x)/n])
	}
	return part
}

// Range is the running range.
func (o *Observer) Range() (lo, hi float64) { return o.lo, o.hi }

// Side is on which side of zero the first batch lay.
func (o *Observer) Side() Side { return o.side }

// Quantizer is that of the running range.
func (o *Observer) Quantizer() (Affine, error) {
	if o.seen == 0 {
		return Affine{}, fmt.Errorf("quant: layer %q: no batch was observed", o.Layer)
	}
	return NewAffine(o.Search.bits(), []float64{o.lo}, []float64{o.hi})
}

// Warnings tell what was odd in the batches.
func (o *Observer) Warnings() []Warning {
	var ws []Warning
	if o.zeros == o.seen && o.seen > 0 {
		ws = append(ws, Warning{o.Layer, AllZero, o.zeros})
	}
	if o.wrong > 0 {
		ws = append(ws, Warning{o.Layer, WrongSide, o.wrong})
	}
	return ws
}
