package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/assay-lab/assay/diffusion"
)

// samplerSteps of a sampler are run at a time.
const samplerSteps = 50

// idle is a model that takes no time: it leaves what stands in dst.
var idle = diffusion.Func[float32]{Prediction: diffusion.Data, F: func(context.Context, []float32, []float32, int, []diffusion.Level) error { return nil }}

// samplers: a sampler's own work a step beside the triad, on one thread.
func samplers(s *session) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	lib, compileErr := s.compile("comb")
	if compileErr != nil {
		s.skip("C loops", compileErr)
	}
	for _, shape := range []struct {
		name string
		n, d int
	}{{"one image of 28 × 28", 1, 28 * 28}, {"latents of 4 × 64 × 64 × 4", 4, 4 * 64 * 64}, {"64 MB", 16, 1 << 20}} {
		x := fill[float32](shape.n*shape.d, 1)
		var rivals []rival
		var arrays []float64 // moved, a step
		for _, name := range []string{"ddim", "dpmpp-2m", "plms", "deis-tab3", "unipc", "bdia-ddim"} {
			r, moved, err := samplerOn(name, shape.n, x)
			if err != nil {
				return err
			}
			rivals, arrays = append(rivals, r), append(arrays, moved/samplerSteps)
		}
		if compileErr == nil { // on as many bytes, in float64
			n := len(x) / 2
			rivals = append(rivals, lib.rival("triad in C", "triad", make([]float64, n), fill(n, 1.0), fill(n, 1.0), []float64{0.5}, n))
			arrays = append(arrays, 3)
		}
		s.steps(shape.name, 4*float64(len(x)), arrays, s.compare(rivals))
	}
	return s.torchSteps()
}

// steps writes what a step takes; bytes are those of an array. The triad is last.
func (s *session) steps(shape string, bytes float64, arrays []float64, ts []timing) {
	fmt.Fprintf(s.out, "\n## A step of a sampler on %s, without the model\n\n| | time | arrays moved | GB/s |\n|---|---|---|---|\n", shape)
	for i, t := range ts {
		if t.name != "triad in C" {
			t.median /= samplerSteps
		}
		fmt.Fprintf(s.out, "| %s | %s | %.1f | %.1f |\n", t.name, short(t.median), arrays[i], bytes*arrays[i]/t.median.Seconds()/1e9)
	}
}

// samplerOn runs a sampler, and says how many arrays that reads and writes: those of
// its linear combinations, and the model's answers, which are looked through for NaN.
func samplerOn(name string, n int, x []float32) (r rival, arrays float64, err error) {
	m, err := diffusion.MethodNamed(name)
	if err != nil {
		return r, 0, err
	}
	tp, err := diffusion.Trace(m, diffusion.Grid{Schedule: diffusion.Cosine{}, Steps: samplerSteps}, diffusion.TraceOptions{Predicts: diffusion.Data})
	if err != nil {
		return r, 0, err
	}
	for _, in := range tp.Code {
		if arrays++; in.Op == diffusion.OpComb {
			arrays += float64(len(in.Terms))
		}
	}
	return rival{name, repeat(func() {
		if _, err := diffusion.Run(context.Background(), tp, diffusion.Env[float32]{Model: idle}, n, x); err != nil {
			panic(err)
		}
	})}, arrays, nil
}

// torchSteps times the arithmetic of a step of 2M in another process: not alternately.
func (s *session) torchSteps() error {
	const script = `
import torch, time
torch.set_num_threads(1)
for n in (28 * 28, 4 * 4 * 64 * 64, 1 << 24):
    x, m0, m1 = (torch.randn(n) for _ in range(3))
    best = 1e9
    for _ in range(15):
        k = max(1, (1 << 20) // n)
        t = time.perf_counter()
        for _ in range(k): 0.9 * x + 0.2 * m0 - 0.1 * (m0 - m1)
        best = min(best, (time.perf_counter() - t) / k)
    print(f"| {n} numbers | {1e6 * best:.2f} µs |")
`
	b, err := exec.Command("python3", "-c", script).Output()
	if err != nil {
		s.skip("torch", fmt.Errorf("python3 cannot import it"))
		return nil
	}
	fmt.Fprintf(s.out, "\n## A step of 2M in torch, best of 15, in its own process\n\n| float32 | time |\n|---|---|\n%s\n", strings.TrimSpace(string(b)))
	return nil
}
