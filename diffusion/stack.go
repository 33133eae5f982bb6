package diffusion

import "fmt"

// An Axis is what the coefficients of a stacked tape vary along.
type Axis uint8

const (
	Samples     Axis = iota // one tape a sample: its own levels and coefficients
	Coordinates             // one tape a coordinate of a sample
)

// Stacked is a method whose coefficients differ from coordinate to coordinate. It
// is traced once for each and stacked.
type Stacked interface {
	Method
	// Columns gives the method of every coordinate of a sample; none if it is alike
	// for all of them, and Trace writes it down.
	Columns(g Grid) ([]Method, error)
}

// Stack joins tapes of the same shape (as traces of one method on grids of equal
// length are) into one whose coefficients vary along the axis. Along Coordinates
// the levels must agree, since a model is asked at one level a sample.
func Stack(axis Axis, tapes []*Tape) (*Tape, error) {
	if len(tapes) == 0 {
		return nil, fmt.Errorf("diffusion: a stack of no tapes")
	}
	s := *tapes[0]
	s.axis, s.width = axis, len(tapes)
	s.Code = append([]Instr(nil), s.Code...)
	for k := range s.Code {
		in := &s.Code[k]
		in.Cs = make([][]float64, len(in.Terms))
		for j := range in.Terms {
			in.Cs[j] = make([]float64, len(tapes))
		}
		for i, tp := range tapes {
			if err := in.join(i, axis, tp, k, len(s.Code)); err != nil {
				return nil, fmt.Errorf("diffusion: tape %d of a stack, instruction %d: %w", i, k, err)
			}
		}
	}
	return &s, nil
}

// join takes the coefficients of tape i.
func (in *Instr) join(i int, axis Axis, tp *Tape, k, length int) error {
	if len(tp.Code) != length {
		return fmt.Errorf("the tape has %d instructions, the first one %d", len(tp.Code), length)
	}
	other := &tp.Code[k]
	if other.Op != in.Op || other.Dst != in.Dst || other.Src != in.Src || other.Part != in.Part || len(other.Terms) != len(in.Terms) || other.Draw != in.Draw ||
		other.Arg != in.Arg || other.Weight != in.Weight {
		return fmt.Errorf("%v differs from the first tape's %v", other.Op, in.Op)
	}
	for j, t := range other.Terms {
		if t.R != in.Terms[j].R {
			return fmt.Errorf("term %d reads register %d, the first tape %d", j, t.R, in.Terms[j].R)
		}
		in.Cs[j][i] = t.C
	}
	switch {
	case in.Op != OpEval && in.Op != OpHook && in.Op != OpVJP:
	case axis == Samples:
		in.Levels = append(in.Levels, other.Level)
	case other.Level != in.Level:
		return fmt.Errorf("asks at t = %g, the first tape at %g", other.Level.T, in.Level.T)
	}
	return nil
}

// traceColumns traces a stacked method for every coordinate.
func traceColumns(columns []Method, g Grid, o TraceOptions) (tp *Tape, err error) {
	tapes := make([]*Tape, len(columns))
	for i, c := range columns {
		if tapes[i], err = Trace(c, g, o); err != nil {
			return nil, err
		}
	}
	return Stack(Coordinates, tapes)
}
