//go:build assaytrial

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/assay-lab/assay/lab"
)

// trials are experiments that only the tests' binary has: cells that take time,
// fail, panic or ignore their context.
func trials() []*lab.Experiment {
	return []*lab.Experiment{{
		Name:    "trial/steady",
		Title:   "Does the error of a biased mean fall with the number of draws?",
		Cost:    lab.Axis{Name: "draws", Log: true},
		Quality: lab.Axis{Name: "error", Log: true},
		Params: []lab.Param{
			{Name: "seeds", Kind: lab.Int, Default: "8", At: map[lab.Size]string{lab.Quick: "3"}, Min: 1, Max: 1000, Help: "how many repetitions"},
			{Name: "wait", Kind: lab.Float, Default: "0", Min: 0, Max: 60000, Help: "milliseconds that a cell takes"},
			{Name: "mood", Kind: lab.Choice, Default: "good", Choices: []string{"good", "fails", "panics", "deaf", "hopeless"}, Help: "what cells of the method b do at 100 draws"},
			{Name: "model", Kind: lab.Input, Default: "builtin:normal", Choices: []string{"builtin:normal"}, Accept: []string{".txt"}, Help: "what to draw from"},
		},
		Grid:   trialGrid,
		Run:    runTrial,
		Claims: []lab.Claim{{Name: "a-wins", Text: "a is nearer than b at 1000 draws.", Paper: "half the error", Judge: judgeTrial}},
	}}
}

func trialGrid(v lab.Values) ([]lab.Cell, error) {
	var cells []lab.Cell
	for _, method := range []string{"a", "b"} {
		for _, draws := range []float64{10, 100, 1000} {
			for seed := range v.Int("seeds") {
				cells = append(cells, lab.Cell{Method: method, Budget: draws, Seed: uint64(seed), Values: v})
			}
		}
	}
	return cells, nil
}

func runTrial(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	wait := time.Duration(c.Values.Float("wait") * float64(time.Millisecond))
	if c.Values.Text("mood") == "hopeless" {
		return lab.Outcome{}, errors.New("no cell can do this")
	}
	if c.Method == "b" && c.Budget == 100 {
		switch c.Values.Text("mood") {
		case "fails":
			return lab.Outcome{}, errors.New("this cell always fails")
		case "panics":
			panic("this cell always panics")
		case "deaf":
			time.Sleep(time.Minute)
		}
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return lab.Outcome{}, ctx.Err()
	}
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Budget)))
	sum := 0.0
	for range int(c.Budget) {
		sum += r.NormFloat64()
	}
	q := math.Abs(sum / c.Budget)
	if c.Method == "b" {
		q += 0.1
	}
	o := lab.Outcome{Cost: c.Budget, Quality: q, Metrics: map[string]float64{"sum": sum}}
	if c.Seed == 0 && c.Budget == 1000 {
		o.Files = []lab.File{{Name: "note.txt", Type: "text/plain", Data: fmt.Appendf(nil, "%s\n", c)}}
	}
	return o, nil
}

func judgeTrial(cs lab.Curves) lab.Verdict {
	a, okA := cs.Curve("", "a")
	b, okB := cs.Curve("", "b")
	if !okA || !okB {
		return lab.Verdict{Status: lab.Undecided, Reason: "A curve is missing."}
	}
	pa, okA := a.At(1000)
	pb, okB := b.At(1000)
	if !okA || !okB {
		return lab.Verdict{Status: lab.Undecided, Reason: "No figures at 1000 draws."}
	}
	ratio := pa.Mean() / pb.Mean()
	v := lab.Verdict{Status: lab.Holds, Reason: fmt.Sprintf("The error of a is %.2f times that of b.", ratio),
		Figures: []lab.Figure{{Name: "error of a / error of b", Value: ratio, Want: "< 1", OK: ratio < 1}}}
	if ratio >= 1 {
		v.Status = lab.Fails
	}
	return v
}
