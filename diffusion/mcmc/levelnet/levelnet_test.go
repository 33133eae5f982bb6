package levelnet_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/assay-lab/assay/diffusion/mcmc"
	"github.com/assay-lab/assay/diffusion/mcmc/levelnet"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/internal/rng"
)

const area = 28 * 28

// digits are images to learn from, and others to judge by.
var digits = sync.OnceValues(func() (train, judge []float32) {
	a, b, err := mnist.Split()
	if err != nil {
		panic(err)
	}
	return a.X[:128*area], b.X[:256*area]
})

func train(t *testing.T, steps int) *levelnet.Classifier {
	t.Helper()
	x, _ := digits()
	r := levelnet.Recipe{Shape: []int{1, 28, 28}, Levels: mcmc.Ladder(.01, 50, 100), Steps: steps, Seed: 1}
	if steps < 100 {
		r.Examples = 64
	}
	c, err := levelnet.Train(context.Background(), r, x, len(x)/area, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLearns: on images that it has not seen, the likeliest level is near the true
// one, and the probability of the true level tells that the answer's width is honest.
func TestLearns(t *testing.T) {
	c := train(t, 800)
	_, x := digits()
	levels := c.Levels()
	n, k, r := len(x)/area, len(levels), rng.Stream(2)
	truth := make([]int, n)
	noisy := make([]float32, len(x))
	for i := range n {
		truth[i] = r.IntN(k)
		for j := i * area; j < (i+1)*area; j++ {
			noisy[j] = x[j] + float32(levels[truth[i]]*r.NormFloat64())
		}
	}
	logp := make([]float64, n*k)
	if err := c.LogProbs(context.Background(), logp, noisy, n); err != nil {
		t.Fatal(err)
	}
	var off, entropy float64
	for i, level := range truth {
		p, err := mcmc.Probs(logp[i*k : (i+1)*k])
		if err != nil {
			t.Fatal(err)
		}
		best, err := mcmc.Argmax(p)
		if err != nil {
			t.Fatal(err)
		}
		off += math.Abs(math.Log(levels[best]/levels[level])) / float64(n)
		entropy -= math.Log(max(p[level], 1e-300)) / float64(n)
	}
	t.Logf("log σ is off by %.3f on average, cross-entropy %.3f of log %d = %.3f", off, entropy, k, math.Log(float64(k)))
	// A step of the ladder is 0.086.
	if off > .15 {
		t.Errorf("log σ is off by %.3f on average, want 0.15", off)
	}
	if entropy > 2 { // a uniform guess over 7 neighbours
		t.Errorf("cross-entropy %.3f, want at most 2", entropy)
	}
}

// TestBatch: an image is judged alike alone and among others.
func TestBatch(t *testing.T) {
	c := train(t, 2)
	_, x := digits()
	k := len(c.Levels())
	all, one := make([]float64, 3*k), make([]float64, k)
	if err := c.LogProbs(context.Background(), all, x[:3*area], 3); err != nil {
		t.Fatal(err)
	}
	if err := c.LogProbs(context.Background(), one, x[area:2*area], 1); err != nil {
		t.Fatal(err)
	}
	for l, v := range one {
		if v != all[k+l] {
			t.Fatalf("level %d: %g alone, %g among others", l, v, all[k+l])
		}
	}
}

func TestSaveLoad(t *testing.T) {
	c := train(t, 2)
	var b bytes.Buffer
	if err := c.Save(&b); err != nil {
		t.Fatal(err)
	}
	got, err := levelnet.Load(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	_, x := digits()
	k := len(c.Levels())
	want, have := make([]float64, k), make([]float64, k)
	for _, v := range []struct {
		c   *levelnet.Classifier
		out []float64
	}{{c, want}, {got, have}} {
		if err := v.c.LogProbs(context.Background(), v.out, x[:area], 1); err != nil {
			t.Fatal(err)
		}
	}
	for l := range want {
		if want[l] != have[l] {
			t.Fatalf("level %d: %g before, %g after", l, want[l], have[l])
		}
	}
	if _, err := levelnet.Load(bytes.NewReader(b.Bytes()[:b.Len()-1])); err == nil {
		t.Error("a truncated file is accepted")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("no weights"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := levelnet.Load(bytes.NewReader(b)); err == nil && len(c.Levels()) < 2 {
			t.Error("a classifier without levels")
		}
	})
}

func TestRefuses(t *testing.T) {
	ladder := mcmc.Ladder(.01, 50, 10)
	x := make([]float32, 2*64)
	for _, tt := range []struct {
		name string
		r    levelnet.Recipe
		n    int
		want string
	}{
		{"no image", levelnet.Recipe{Shape: []int{64}, Levels: ladder}, 2, "must be images"},
		{"an image too small to average", levelnet.Recipe{Shape: []int{4, 4}, Levels: ladder}, 2, "at least 8 pixels"},
		{"one level", levelnet.Recipe{Shape: []int{8, 8}, Levels: ladder[:1]}, 2, "1 levels"},
		{"levels that rise", levelnet.Recipe{Shape: []int{8, 8}, Levels: []float64{1, 2}}, 2, "level 1 = 2"},
		{"pixels of other images", levelnet.Recipe{Shape: []int{8, 8}, Levels: ladder}, 3, "128 pixels for 3 images"},
		{"negative steps", levelnet.Recipe{Shape: []int{8, 8}, Levels: ladder, Steps: -1}, 2, "-1 steps"},
	} {
		if _, err := levelnet.Train(context.Background(), tt.r, x, tt.n, nn.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	x[70] = float32(math.NaN())
	if _, err := levelnet.Train(context.Background(), levelnet.Recipe{Shape: []int{8, 8}, Levels: ladder}, x, 2, nn.Options{}); err == nil || !strings.Contains(err.Error(), "image 1 has NaN") {
		t.Errorf("NaN: error %v", err)
	}
	c := train(t, 1)
	if err := c.LogProbs(context.Background(), nil, x, 2); err == nil {
		t.Error("images of another size are accepted")
	}
}
