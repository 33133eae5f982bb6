package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/assay-lab/assay/internal/cputime"
)

// A rival does the same work as others; run does it reps times.
type rival struct {
	name string
	run  func(reps int)
}

// A timing is what is known of a rival.
type timing struct {
	name   string
	median time.Duration // of the work done once
	ratio  float64       // of the first rival's time to this one's: above 1 is faster than the first
	spread float64       // half the distance of the ratio's quartiles, relative
}

const leastRounds = 9

// compare lets the rivals take turns on this thread.
func (s *session) compare(rivals []rival) []timing {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reps := make([]int, len(rivals))
	for i, r := range rivals { // a turn takes a millisecond or more
		for reps[i] = 1; ; reps[i] *= 2 {
			if d := clock(r, reps[i]); d >= time.Millisecond {
				break
			}
		}
	}
	times := make([][]float64, len(rivals))
	start := time.Now()
	order := rand.New(rand.NewPCG(1, 2))
	for round := 0; round < leastRounds || time.Since(start) < s.time; round++ {
		for _, i := range order.Perm(len(rivals)) { // who comes before leaves the caches to whom
			times[i] = append(times[i], clock(rivals[i], reps[i]).Seconds()/float64(reps[i]))
		}
	}
	runtime.GC()
	out := make([]timing, len(rivals))
	for i, r := range rivals {
		ratios := make([]float64, len(times[i]))
		for k := range ratios {
			ratios[k] = times[0][k] / times[i][k]
		}
		lo, mid, hi := quartiles(ratios)
		_, m, _ := quartiles(times[i])
		out[i] = timing{r.name, time.Duration(m * 1e9), mid, (hi - lo) / 2 / mid}
	}
	return out
}

func clock(r rival, reps int) time.Duration {
	start := cputime.Thread()
	r.run(reps)
	return cputime.Thread() - start
}

func quartiles(x []float64) (lo, mid, hi float64) {
	x = slices.Sorted(slices.Values(x))
	n := len(x) - 1
	return x[n/4], x[n/2], x[3*n/4]
}

// table writes timings; bytes are what the work moves by definition.
func (s *session) table(title string, bytes float64, ts []timing) {
	fmt.Fprintf(s.out, "\n## %s\n\n| | time | GB/s | %s's time over it |\n|---|---|---|---|\n", title, ts[0].name)
	for _, t := range ts {
		fmt.Fprintf(s.out, "| %s | %s | %.1f | %.2f ± %.0f %% |\n", t.name, short(t.median), bytes/t.median.Seconds()/1e9, t.ratio, 100*t.spread)
	}
}

func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1e3)
	}
	return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
}

// size is a number of bytes in words.
func size(bytes int) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KB", bytes>>10)
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}
