package twopasssoftmax

import (
	"context"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-lab/assay/internal/cputime"
)

// A spread is the median of some numbers and their quartiles.
type spread struct{ lo, mid, hi float64 }

func spreadOf(x []float64) spread {
	x = slices.Sorted(slices.Values(x))
	n := len(x) - 1
	return spread{x[n/4], x[n/2], x[3*n/4]}
}

// A timing is what one cell measures.
type timing struct {
	seconds, copySeconds float64 // medians
	overTwo, overCopy    spread  // of the rounds' ratios
}

// turn is how long one turn takes at least: a short row is done many times.
const turn = time.Millisecond

// leastRounds is how many rounds there are in any case.
const leastRounds = 3

// takeTurns times a rival, two passes and a copy, one after the other in every
// round, on one thread.
func takeTurns(ctx context.Context, m rival, x []float32, rounds int, seconds float64) (timing, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dst := make([]float32, len(x))
	work := []func() error{
		func() error { return m.Run(dst, x) },
		func() error { return twoPass.Run(dst, x) },
		func() error { copy(dst, x); return nil },
	}
	var reps [3]int
	for i, f := range work {
		for reps[i] = 1; ; reps[i] *= 2 {
			if d, err := repeat(f, reps[i]); err != nil {
				return timing{}, err
			} else if d >= turn.Seconds() {
				break
			}
		}
	}
	var times [3][]float64
	start := cputime.Thread()
	for round := range rounds {
		if round >= leastRounds && (cputime.Thread()-start).Seconds() > seconds {
			break
		}
		for i, f := range work {
			if err := ctx.Err(); err != nil {
				return timing{}, err
			}
			d, err := repeat(f, reps[i])
			if err != nil {
				return timing{}, err
			}
			times[i] = append(times[i], d/float64(reps[i]))
		}
	}
	t := timing{seconds: spreadOf(times[0]).mid, copySeconds: spreadOf(times[2]).mid}
	if m.Name == twoPass.Name { // itself
		times[1] = times[0]
	}
	t.overTwo, t.overCopy = ratios(times[0], times[1]), ratios(times[0], times[2])
	return t, nil
}

// repeat is the time of f, done reps times, in seconds.
func repeat(f func() error, reps int) (float64, error) {
	start := cputime.Thread()
	for range reps {
		if err := f(); err != nil {
			return 0, err
		}
	}
	return (cputime.Thread() - start).Seconds(), nil
}

func ratios(a, b []float64) spread {
	r := make([]float64, len(a))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return spreadOf(r)
}

// lastLevelCache is its size in bytes, as Linux tells it: NaN where unknown.
func lastLevelCache() float64 {
	for level := 4; level >= 0; level-- {
		b, err := os.ReadFile("/sys/devices/system/cpu/cpu0/cache/index" + strconv.Itoa(level) + "/size")
		if err != nil {
			continue
		}
		if kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(b)), "K")); err == nil {
			return float64(kb) * 1024
		}
	}
	return math.NaN()
}

const (
	unknownCacheKB = 128 << 10 // the longest row where the cache's size is unknown
	mostKB         = 2 << 20
)

// beyondCache is the length in KB of a row of four times the last-level cache,
// if that is a twentieth of the memory or less: two workers hold two such rows
// each. It is the same at every call, as a grid has to be.
func beyondCache() int {
	kb := 4 * lastLevelCache() / 1024
	if math.IsNaN(kb) {
		return unknownCacheKB
	}
	return int(min(kb, mostKB, memoryKB()/20))
}

// memoryKB is how much memory the machine has.
func memoryKB() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 20 * unknownCacheKB
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			if kb, err := strconv.ParseFloat(f[1], 64); err == nil {
				return kb
			}
		}
	}
	return 20 * unknownCacheKB
}
