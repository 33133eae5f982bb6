package logbessel

import (
	"context"
	"embed"
	"encoding/json"
	"math"
	"sync"

	"github.com/assay-lab/assay/lab"
)

//go:embed cases/*.json
var files embed.FS

// A known is a point at which log I and log K are known to 60 digits.
type known struct{ v, x, logI, logK float64 }

// knowns are the points of the conformance cases.
var knowns = sync.OnceValues(func() ([]known, error) {
	var ks []known
	for _, name := range []string{"grid-a", "grid-large-a", "transition"} {
		b, err := files.ReadFile("cases/" + name + ".json")
		if err != nil {
			return nil, err
		}
		var c struct {
			Input  struct{ V, X []float64 }
			Expect struct {
				I []float64 `json:"log_i"`
				K []float64 `json:"log_k"`
			}
		}
		if err := json.Unmarshal(b, &c); err != nil {
			return nil, err
		}
		for i, v := range c.Input.V {
			ks = append(ks, known{v, c.Input.X[i], c.Expect.I[i], c.Expect.K[i]})
		}
	}
	return ks, nil
})

// of is the true value for a panel.
func (k known) of(panel string) float64 {
	if panel == panelK {
		return k.logK
	}
	return k.logI
}

// miss is the error beside max(|value|, √(v²+x²)); +Inf if there is no answer.
func (k known) miss(panel string, got float64) float64 {
	want := k.of(panel)
	e := math.Abs(got-want) / max(math.Abs(want), math.Hypot(k.v, k.x))
	if math.IsNaN(e) {
		return math.Inf(1)
	}
	return e
}

// ranges of v begin here; the first has v = 0 too.
var ranges = []float64{0.1, 1, 10, 100, 1000, 10000, 100000}

// in says whether k is in the range that begins there.
func (k known) in(begin float64) bool {
	return k.v < 10*begin && (k.v >= begin || begin == ranges[0])
}

func accuracy() *lab.Experiment {
	return &lab.Experiment{
		Name:    "log-bessel/accuracy",
		Title:   "The largest error of log I and log K",
		Help:    "568 points that are known to 60 digits, v up to 1,000,000, many with x near v. The error is that of the logarithm, beside the larger of its size and √(v²+x²). A point of the curve is a decade of v, the first with all v < 1.",
		Cost:    orders,
		Quality: lab.Axis{Name: "largest error", Log: true},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range []string{panelI, panelK} {
				for _, r := range rivals {
					for _, begin := range ranges {
						cs = append(cs, lab.Cell{Panel: panel, Method: r.Name, Budget: begin, Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runAccuracy,
		Claims: accuracyClaims(),
	}
}

func runAccuracy(_ context.Context, c lab.Cell) (lab.Outcome, error) {
	r, err := rivalNamed(rivals, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	f, err := r.of(c.Panel)
	if err != nil {
		return lab.Outcome{}, err
	}
	ks, err := knowns()
	if err != nil {
		return lab.Outcome{}, err
	}
	var worst, sum float64
	n, missing := 0, 0
	for _, k := range ks {
		if !k.in(c.Budget) {
			continue
		}
		e := k.miss(c.Panel, f(k.v, k.x))
		worst = max(worst, e)
		n++
		if math.IsInf(e, 1) {
			missing++
		} else {
			sum += e
		}
	}
	return lab.Outcome{Cost: c.Budget * math.Sqrt(10), Quality: worst,
		Metrics: map[string]float64{"mean error": sum / float64(n-missing), "not finite": float64(missing), "points": float64(n)}}, nil
}
