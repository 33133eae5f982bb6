package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/softmax"
)

func repeat(f func()) func(int) {
	return func(reps int) {
		for range reps {
			f()
		}
	}
}

func fill[T kern.Float](n int, scale T) []T {
	z, x := make([]float64, n), make([]T, n)
	kern.Normal(z, 1, uint64(n))
	for i, v := range z {
		x[i] = scale * T(v)
	}
	return x
}

// comb: the fused linear combination, on one thread.
func comb(s *session) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // its peers have one thread
	lib, err := s.compile("comb")
	if err != nil {
		s.skip("C loops", err)
	}
	for _, bytes := range []int{32 << 10, 1 << 20, 64 << 20} {
		n := bytes / 8
		x := [][]float64{fill(n, 1.0), fill(n, 1.0), fill(n, 1.0), fill(n, 1.0)}
		dst, c := make([]float64, n), []float64{1, 0.5, -0.25, 3}
		for _, terms := range []int{2, 4} {
			rivals := []rival{{"kern", repeat(func() { kern.Comb(dst, c[:terms], x[:terms]) })}}
			switch {
			case err != nil:
			case terms == 2:
				rivals = append(rivals, lib.rival("triad in C", "triad", dst, x[0], x[1], c[1:], n))
			default:
				rivals = append(rivals, lib.rival("gcc -O3", "comb4", dst, c, x[0], x[1], x[2], x[3], n))
			}
			s.table(fmt.Sprintf("Linear combination of %d arrays of %s", terms, size(bytes)), float64((terms+1)*bytes), s.compare(rivals))
		}
		if err == nil {
			s.table(fmt.Sprintf("Copy of %s", size(bytes)), float64(2*bytes), s.compare([]rival{lib.rival("memcpy", "copy", dst, x[0], n)}))
		}
		runtime.KeepAlive(x)
	}
	return nil
}

// softmaxRows: one row on one thread, our algorithms and the peers'.
func softmaxRows(s *session) error {
	lib, err := s.compile("softmax")
	if err != nil {
		s.skip("two-pass softmax in C", err)
	}
	mem, memErr := s.compile("comb")
	for _, bytes := range []int{4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20, 64 << 20} {
		n := bytes / 4
		x, dst := fill[float32](n, 10), make([]float32, n)
		var rivals []rival
		for _, a := range []softmax.Algorithm{softmax.Auto, softmax.TwoPass, softmax.ThreePassReload, softmax.ThreePassRecompute, softmax.Online} {
			o := softmax.Options{Algorithm: a, Threads: 1}
			rivals = append(rivals, rival{a.String(), repeat(func() {
				if err := softmax.Rows(dst, x, n, o); err != nil {
					panic(err)
				}
			})})
		}
		if err == nil {
			rivals = append(rivals, lib.rival("two-pass in C", "softmax", dst, x, n))
		}
		if memErr == nil {
			rivals = append(rivals, mem.rival("memcpy", "copy", dst, x, n/2))
		}
		s.table(fmt.Sprintf("Softmax of %s of float32", size(bytes)), float64(2*bytes), s.compare(rivals))
	}
	return s.torch()
}

// torch times the same rows in another process: not alternately.
func (s *session) torch() error {
	const script = `
import torch, time
torch.set_num_threads(1)
for n in (1 << 10, 1 << 13, 1 << 18, 1 << 20, 1 << 24):
    x = 10 * torch.randn(n)
    best = 1e9
    for _ in range(15):
        k = max(1, (1 << 20) // n)
        t = time.perf_counter()
        for _ in range(k): torch.softmax(x, 0)
        best = min(best, (time.perf_counter() - t) / k)
    print(f"| {4 * n // 1024} KB | {1e6 * best:.1f} µs |")
`
	b, err := exec.Command("python3", "-c", script).Output()
	if err != nil {
		s.skip("torch", fmt.Errorf("python3 cannot import it"))
		return nil
	}
	fmt.Fprintf(s.out, "\n## torch.softmax, best of 15, in its own process\n\n| float32 | time |\n|---|---|\n%s\n", strings.TrimSpace(string(b)))
	return nil
}
