package lab

import (
	"math/rand/v2"
	"slices"
)

// resamples is how often seeds are drawn again. The share of agreeing verdicts
// is then known to 0.03 or better.
const resamples = 1000

// Seeds lists the seeds of all points, sorted.
func (c Curves) Seeds() []uint64 {
	var seeds []uint64
	for _, cv := range c.Curves {
		for _, p := range cv.Points {
			seeds = append(seeds, p.Seeds...)
		}
	}
	slices.Sort(seeds)
	return slices.Compact(seeds)
}

// Confidence says how much a verdict depends on the seeds at hand: the share of
// 1000 resamplings with replacement in which judge comes to the same status as
// on c itself. A seed is drawn for all methods at once, so that what they share
// (a starting noise, a data split) stays shared. It is 0 with fewer than two
// seeds, which say nothing about the spread. The draws are the same every time.
func Confidence(c Curves, judge func(Curves) Verdict) float64 {
	seeds := c.Seeds()
	if len(seeds) < 2 {
		return 0
	}
	want := judge(c).Status
	r := rand.New(rand.NewPCG(0xa55a, 1))
	same := 0
	drawn := make([]uint64, len(seeds))
	for range resamples {
		for i := range drawn {
			drawn[i] = seeds[r.IntN(len(seeds))]
		}
		if judge(c.resampled(drawn)).Status == want {
			same++
		}
	}
	return float64(same) / resamples
}

// resampled has, at every point, the outcomes of the drawn seeds, repeated as
// often as they were drawn. Points left without an outcome are dropped.
func (c Curves) resampled(drawn []uint64) Curves {
	out := c
	out.Curves = make([]Curve, len(c.Curves))
	for i, cv := range c.Curves {
		points := make([]Point, 0, len(cv.Points))
		for _, p := range cv.Points {
			if p = p.resampled(drawn); len(p.Seeds) > 0 {
				points = append(points, p)
			}
		}
		cv.Points = points
		out.Curves[i] = cv
	}
	return out
}

func (p Point) resampled(drawn []uint64) Point {
	q := Point{Budget: p.Budget, Metrics: make(map[string][]float64, len(p.Metrics))}
	at := make([]int, 0, len(drawn))
	for _, seed := range drawn {
		if i := slices.Index(p.Seeds, seed); i >= 0 {
			at = append(at, i)
		}
	}
	q.Seeds = pick(p.Seeds, at)
	q.Cost = pick(p.Cost, at)
	q.Quality = pick(p.Quality, at)
	for name, xs := range p.Metrics {
		q.Metrics[name] = pick(xs, at)
	}
	return q
}

func pick[T any](xs []T, at []int) []T {
	ys := make([]T, len(at))
	for i, j := range at {
		ys[i] = xs[j]
	}
	return ys
}
