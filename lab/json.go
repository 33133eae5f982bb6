package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// number is a float64 whose JSON form can be infinite or NaN, as the strings
// "+Inf", "-Inf" and "NaN".
type number float64

func (x number) MarshalJSON() ([]byte, error) {
	f := float64(x)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte(strconv.Quote(strconv.FormatFloat(f, 'g', -1, 64))), nil
	}
	return json.Marshal(f)
}

func (x *number) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if s != "NaN" && s != "+Inf" && s != "-Inf" {
			return fmt.Errorf("number %q: must be a number, \"NaN\", \"+Inf\" or \"-Inf\"", s)
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	*x = number(f)
	return err
}

type outcomeJSON struct {
	Cost    number            `json:"cost"`
	Quality number            `json:"quality"`
	Metrics map[string]number `json:"metrics,omitempty"`
	Files   []File            `json:"files,omitempty"`
}

// MarshalJSON writes the outcome; infinite and NaN figures become strings.
func (o Outcome) MarshalJSON() ([]byte, error) {
	j := outcomeJSON{Cost: number(o.Cost), Quality: number(o.Quality), Files: o.Files}
	if o.Metrics != nil {
		j.Metrics = make(map[string]number, len(o.Metrics))
		for k, x := range o.Metrics {
			j.Metrics[k] = number(x)
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *Outcome) UnmarshalJSON(b []byte) error {
	var j outcomeJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*o = Outcome{Cost: float64(j.Cost), Quality: float64(j.Quality), Files: j.Files}
	if j.Metrics != nil {
		o.Metrics = make(map[string]float64, len(j.Metrics))
		for k, x := range j.Metrics {
			o.Metrics[k] = float64(x)
		}
	}
	return nil
}

// MarshalJSON writes the figure; an infinite or NaN value becomes a string.
func (f Figure) MarshalJSON() ([]byte, error) {
	return json.Marshal(figureJSON{f.Name, number(f.Value), f.Want, f.OK})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Figure) UnmarshalJSON(b []byte) error {
	var j figureJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*f = Figure{j.Name, float64(j.Value), j.Want, j.OK}
	return nil
}

type figureJSON struct {
	Name  string `json:"name"`
	Value number `json:"value"`
	Want  string `json:"want,omitempty"`
	OK    bool   `json:"ok"`
}

// MarshalText writes "lower" or "higher".
func (b Better) MarshalText() ([]byte, error) {
	switch b {
	case Lower:
		return []byte("lower"), nil
	case Higher:
		return []byte("higher"), nil
	}
	return nil, fmt.Errorf("lab: better = %d: must be Lower or Higher", b)
}

// UnmarshalText reads what MarshalText writes.
func (b *Better) UnmarshalText(text []byte) error {
	switch string(text) {
	case "lower":
		*b = Lower
	case "higher":
		*b = Higher
	default:
		return fmt.Errorf("lab: better = %q: must be lower or higher", text)
	}
	return nil
}

type pointJSON struct {
	Budget  number              `json:"budget"`
	Seeds   []uint64            `json:"seeds"`
	Cost    []number            `json:"cost"`
	Quality []number            `json:"quality"`
	Metrics map[string][]number `json:"metrics,omitempty"`
}

// MarshalJSON writes the point; infinite and NaN figures become strings.
func (p Point) MarshalJSON() ([]byte, error) {
	j := pointJSON{number(p.Budget), p.Seeds, cast[number](p.Cost), cast[number](p.Quality), nil}
	if len(p.Metrics) > 0 {
		j.Metrics = make(map[string][]number, len(p.Metrics))
		for k, xs := range p.Metrics {
			j.Metrics[k] = cast[number](xs)
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Point) UnmarshalJSON(b []byte) error {
	var j pointJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Point{float64(j.Budget), j.Seeds, cast[float64](j.Cost), cast[float64](j.Quality), map[string][]float64{}}
	for k, xs := range j.Metrics {
		p.Metrics[k] = cast[float64](xs)
	}
	return nil
}

func cast[T, S ~float64](xs []S) []T {
	ys := make([]T, len(xs))
	for i, x := range xs {
		ys[i] = T(x)
	}
	return ys
}
