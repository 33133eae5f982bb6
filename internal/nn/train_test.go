package nn

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-lab/assay/internal/rng"
	"github.com/gomlx/gomlx/core/graph"
)

// quadratic is the task of finding 1, 2, 3, ... from noisy gradients.
func quadratic(steps int) Task {
	return Task{
		Recipe: "quadratic " + strconv.Itoa(steps), Layout: Layout{{"a", []int{2, 3}, .5}, {"b", []int{4}, 0}},
		Steps: steps, Seed: 7, EMA: .9, Adam: Adam{Rate: .1, Beta1: .9, Beta2: .99, Epsilon: 1e-8, Clip: 2, Warmup: 5},
		Gradient: func(step int, w, grad []float32) (float64, error) {
			r := rng.Stream(3, uint64(step))
			var loss float64
			for i, x := range w {
				e := x - float32(i+1)
				grad[i] = e + .1*float32(r.NormFloat64())
				loss += float64(e) * float64(e) / 2
			}
			return loss, nil
		},
	}
}

func TestTrain(t *testing.T) {
	var steps []int
	w, err := Train(context.Background(), quadratic(400), Options{Progress: func(p Progress) { steps = append(steps, p.Step) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range w {
		if math.Abs(float64(x)-float64(i+1)) > .1 {
			t.Errorf("w[%d] = %g, want %d", i, x, i+1)
		}
	}
	if len(steps) != 400 || steps[0] != 1 || steps[399] != 400 {
		t.Errorf("progress is told of %d steps", len(steps))
	}
	again, err := Train(context.Background(), quadratic(400), Options{})
	if err != nil || !slices.Equal(again, w) {
		t.Errorf("the same task gives %v, then %v, %v", w, again, err)
	}
}

// TestResume: interrupted runs end with the weights of an undisturbed one.
func TestResume(t *testing.T) {
	want, err := Train(context.Background(), quadratic(50), Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Checkpoint: filepath.Join(t.TempDir(), "state"), Every: 7}
	for _, stop := range []int{1, 20, 21, 49} {
		ctx, cancel := context.WithCancel(context.Background())
		opt.Progress = func(p Progress) {
			if p.Step == stop {
				cancel()
			}
		}
		if _, err := Train(ctx, quadratic(50), opt); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at step %d: %v", stop, err)
		}
	}
	opt.Progress = nil
	for range 2 { // the second time there is nothing left to do
		got, err := Train(context.Background(), quadratic(50), opt)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("after interruptions %v, %v; want %v", got, err, want)
		}
	}
	if left, _ := filepath.Glob(opt.Checkpoint + "*"); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

// TestKilled kills training with SIGKILL again and again, as close to its writes
// as chance has it.
func TestKilled(t *testing.T) {
	if path := os.Getenv("NN_TEST_CHECKPOINT"); path != "" {
		task := quadratic(1000)
		if _, err := Train(context.Background(), task, Options{Checkpoint: path, Every: 1}); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := Train(context.Background(), quadratic(1000), Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state")
	kills := 0
	for i := range 200 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "NN_TEST_CHECKPOINT="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(20+17*i%60)*time.Millisecond, func() {
			if i < 8 { // then let it finish
				cmd.Process.Kill()
			}
		})
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		kills++
	}
	got, err := Train(context.Background(), quadratic(1000), Options{Checkpoint: path})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("after %d kills: %v, %v; want %v", kills, got, err, want)
	}
	t.Logf("killed %d times", kills)
}

func TestTrainRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	half := filepath.Join(dir, "half")
	if _, err := Train(ctx, quadratic(50), Options{Checkpoint: half}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	diverging := quadratic(50)
	diverging.Gradient = func(_ int, _, grad []float32) (float64, error) { grad[3] = float32(math.NaN()); return 1, nil }
	failing := quadratic(50)
	failing.Gradient = func(int, []float32, []float32) (float64, error) { return 0, fs.ErrInvalid }
	for _, tt := range []struct {
		name       string
		task       Task
		checkpoint string
		want       string
	}{
		{"no steps", quadratic(0), "", "0 steps"},
		{"a gradient of NaN", diverging, "", "diverged"},
		{"an error of the gradient", failing, "", "invalid"},
		{"a checkpoint of another task", quadratic(60), half, "recipe quadratic 50"},
		{"a checkpoint that is none", quadratic(50), file("text", "hello, world"), "text"},
		{"a folder that is not there", quadratic(50), filepath.Join(dir, "no", "state"), "no such"},
	} {
		if _, err := Train(context.Background(), tt.task, Options{Checkpoint: tt.checkpoint}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestAdamRate(t *testing.T) {
	a := Adam{Rate: 2, Warmup: 4}
	for step, want := range map[int]float64{0: .5, 3: 2, 4: 2, 54: 1, 104: 0} {
		if got := a.rate(step, 104); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate at step %d of 104 is %g, want %g", step, got, want)
		}
	}
}

// TestAdamStep: the first step is the rate, whatever the gradient's size; a
// clipped gradient counts as one of the bound's norm.
func TestAdamStep(t *testing.T) {
	w, m, v := []float32{1, 1}, make([]float32, 2), make([]float32, 2)
	a := Adam{Rate: .5, Beta1: .9, Beta2: .99, Epsilon: 1e-12, Clip: 1}
	norm := a.step(w, []float32{30, -40}, m, v, 0, 1<<30)
	if norm != 50 || math.Abs(float64(w[0])-.5) > 1e-6 || math.Abs(float64(w[1])-1.5) > 1e-6 {
		t.Errorf("norm %g, w = %v; want 50, [0.5 1.5]", norm, w)
	}
	if math.Abs(float64(m[0])-.06) > 1e-7 || math.Abs(float64(v[1])-.01*.64) > 1e-7 {
		t.Errorf("moments %v, %v of a gradient clipped to [0.6 -0.8]", m, v)
	}
}

// TestGraphGradient trains a line through points written as a graph.
func TestGraphGradient(t *testing.T) {
	l := Layout{{"slope", []int{1, 1}, 1}, {"offset", []int{1, 1}, 0}}
	g, err := GraphGradient(l, [][]int{{4, 1}, {4, 1}}, func(step int, in [][]float32) {
		for i := range 4 {
			x := float32(i) - 1.5
			in[0][i], in[1][i] = x, 3*x-2
		}
	}, func(p, in []*graph.Node) *graph.Node {
		d := graph.Sub(graph.Add(graph.MatMul(in[0], p[0]), p[1]), in[1])
		return graph.ReduceAllMean(graph.Mul(d, d))
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Train(context.Background(), Task{Layout: l, Gradient: g, Steps: 300, Adam: Adam{Rate: .1, Beta1: .9, Beta2: .99, Epsilon: 1e-8}}, Options{})
	if err != nil || math.Abs(float64(w[0])-3) > .01 || math.Abs(float64(w[1])+2) > .01 {
		t.Errorf("the line 3x − 2 comes out as %v, %v", w, err)
	}
}

func TestWeights(t *testing.T) {
	l := Layout{{"a", []int{2, 2}, 1}, {"b", []int{3}, 1}}
	flat := []float32{1, -2, .5, 1e-3, 4, 5, 6}
	path := filepath.Join(t.TempDir(), "w")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteWeights(f, l, flat, "recipe"); err != nil {
		t.Fatal(err)
	}
	read := func(l Layout) ([]float32, error) {
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		return ReadWeights(bufio.NewReader(f), func(r string) (Layout, error) {
			if r != "recipe" {
				t.Errorf("recipe %q", r)
			}
			return l, nil
		})
	}
	got, err := read(l)
	if err != nil || len(got) != 7 || got[1] != -2 || math.Abs(float64(got[3])-1e-3) > 1e-6 {
		t.Errorf("weights come back as %v, %v", got, err)
	}
	for name, other := range map[string]Layout{
		"an array of another shape": {{"a", []int{4}, 1}, {"b", []int{3}, 1}},
		"an array of another name":  {{"a", []int{2, 2}, 1}, {"c", []int{3}, 1}},
		"too few arrays":            {{"a", []int{2, 2}, 1}},
	} {
		if _, err := read(other); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	flat[2] = float32(math.Inf(1))
	if err := WriteWeights(f, l, flat, ""); err == nil || !strings.Contains(err.Error(), "a[2]") {
		t.Errorf("infinite weights: %v", err)
	}
}
