package twopasssoftmax

import (
	"context"
	"fmt"
	"strconv"

	"github.com/assay-lab/assay/lab"
)

// Experiments lists the paper's experiments, the main one first.
func Experiments() []*lab.Experiment { return []*lab.Experiment{speed(), accuracy()} }

// moved is the cost of both experiments.
var moved = lab.Axis{Name: "bytes moved", Log: true}

var seeds = lab.Param{Name: "seeds", Help: "independent rows", Kind: lab.Int, Default: "3",
	At: map[lab.Size]string{lab.Quick: "1"}, Min: 1, Max: 1000}

var accurate = []rival{twoPass, reload, recompute, online, library, lanes, naive}

// accuracy measures errors over the length of a row.
func accuracy() *lab.Experiment {
	return &lab.Experiment{
		Name:    "two-pass-softmax/accuracy",
		Title:   "Error of softmax over the length of the row",
		Help:    "Rows of float32 numbers against softmax in float64: the largest relative error of a result that is a normal number. Bytes moved are those of the algorithm's definition. The published form of two passes keeps its sums in 48 float32 lanes; ours folds 4096 numbers at a time into float64.",
		Cost:    moved,
		Quality: lab.Axis{Name: "largest relative error", Log: true},
		Budget:  "a row's length",
		Params: []lab.Param{
			{Name: "lengths", Help: "numbers in a row", Kind: lab.Ints, Default: "1000,10007,100003,1048576,4194304",
				At: map[lab.Size]string{lab.Quick: "1000,65537", lab.Full: "1000,10007,100003,1048576,4194304,16777216,33554432"}, Min: 1, Max: 1 << 27},
			seeds,
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, panel := range panels {
				for _, m := range accurate {
					for _, n := range v.Ints("lengths") {
						for s := range v.Int("seeds") {
							cs = append(cs, lab.Cell{Panel: panel, Method: m.Name, Budget: float64(n), Seed: uint64(s), Values: v})
						}
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
	m, err := rivalNamed(accurate, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	x, err := row(c.Panel, int(c.Budget), c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	y := make([]float32, len(x))
	if err := m.Run(y, x); err != nil {
		return lab.Outcome{}, err
	}
	return lab.Outcome{Cost: 4 * m.Traffic * c.Budget, Quality: worstError(y, x)}, nil
}

var timed = []rival{twoPass, reload, recompute, online, streaming, library}

// libraryMost is the longest row, in KB, that scalar code is timed on: it takes
// some thirty times as long.
const libraryMost = 1024

// speed measures time over the length of a row.
func speed() *lab.Experiment {
	return &lab.Experiment{
		Name:  "two-pass-softmax/speed",
		Title: "Two passes or three: the time of a softmax over the bytes it moves",
		Help: "One row of float32 numbers from N(0, 10²), one thread. The time is that of the thread's processor, over the time of copying the same row: both, and two passes, take turns, and medians are compared. " +
			"Unlike other outcomes, times differ from run to run; the quartiles say by how much. Bytes moved are those of the algorithm's definition: 12, 16 and 20 for every number. " +
			"Length 0 stands for four times the last-level cache, or less if memory is short.",
		Cost:    moved,
		Quality: lab.Axis{Name: "time over a copy's", Log: true},
		Budget:  "KB a row",
		Params: []lab.Param{
			{Name: "kb", Help: "lengths of a row in KB; 0: four times the last-level cache", Kind: lab.Ints, Default: "4,32,256,4096,65536,0",
				At: map[lab.Size]string{lab.Quick: "4,256,4096"}, Min: 0, Max: 1 << 22},
			{Name: "rounds", Help: "turns of every method, if there is time", Kind: lab.Int, Default: "9",
				At: map[lab.Size]string{lab.Quick: "5", lab.Full: "25"}, Min: 3, Max: 10000},
			{Name: "seconds", Help: "after which a cell takes no more than three turns", Kind: lab.Float, Default: "2",
				At: map[lab.Size]string{lab.Full: "120"}, Min: 0, Max: 86400},
			seeds,
		},
		Version: 1,
		Grid: func(v lab.Values) ([]lab.Cell, error) {
			var cs []lab.Cell
			for _, m := range timed {
				for _, kb := range v.Ints("kb") {
					if kb == 0 {
						kb = beyondCache()
					}
					if m.Name == library.Name && kb > libraryMost {
						continue
					}
					for s := range v.Int("seeds") {
						cs = append(cs, lab.Cell{Panel: standard, Method: m.Name, Budget: float64(kb), Seed: uint64(s), Values: v})
					}
				}
			}
			return cs, nil
		},
		Run:    runSpeed,
		Claims: speedClaims(),
	}
}

// Metrics of the speed experiment.
const (
	overTwoPass = "time over two-pass's"
	lowQuartile = "its lower quartile"
	topQuartile = "its upper quartile"
	nanoseconds = "nanoseconds a number"
	gigabytes   = "GB/s by definition"
	copySpeed   = "GB/s of the copy"
	cacheShare  = "row over last-level cache"
)

func runSpeed(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
	m, err := rivalNamed(timed, c.Method)
	if err != nil {
		return lab.Outcome{}, err
	}
	n := int(c.Budget) * 1024 / 4
	x, err := row(c.Panel, n, c.Seed)
	if err != nil {
		return lab.Outcome{}, err
	}
	t, err := takeTurns(ctx, m, x, c.Values.Int("rounds"), c.Values.Float("seconds"))
	if err != nil {
		return lab.Outcome{}, fmt.Errorf("rows of %s KB: %w", strconv.Itoa(int(c.Budget)), err)
	}
	bytes := 4 * m.Traffic * float64(n)
	return lab.Outcome{Cost: bytes, Quality: t.overCopy.mid, Metrics: map[string]float64{
		overTwoPass: t.overTwo.mid, lowQuartile: t.overTwo.lo, topQuartile: t.overTwo.hi,
		nanoseconds: 1e9 * t.seconds / float64(n),
		gigabytes:   bytes / t.seconds / 1e9,
		copySpeed:   8 * float64(n) / t.copySeconds / 1e9,
		cacheShare:  4 * float64(n) / float64(lastLevelCache()),
	}}, nil
}
