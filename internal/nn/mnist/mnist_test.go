package mnist

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/classifier"
	"github.com/assay-lab/assay/internal/nn/mixer"
)

// TestSplit: no image is in both parts, and all digits are in each.
func TestSplit(t *testing.T) {
	d, j, err := Split()
	if err != nil {
		t.Fatal(err)
	}
	if d.N() != 6000 || j.N() != 4000 || len(d.X) != 6000*784 || len(j.X) != 4000*784 {
		t.Fatalf("parts of %d and %d images", d.N(), j.N())
	}
	seen := map[string]bool{}
	for i := range d.N() {
		seen[key(d, i)] = true
	}
	for i := range j.N() {
		if seen[key(j, i)] {
			t.Errorf("image %d of the classifier's part is in the denoiser's", i)
		}
	}
	for _, s := range []Set{d, j} {
		var count [10]int
		for _, l := range s.Labels {
			count[l]++
		}
		for l, n := range count {
			if n < s.N()/13 {
				t.Errorf("%d of %d images are a %d", n, s.N(), l)
			}
		}
	}
}

func key(s Set, i int) string {
	b := make([]byte, 784)
	for k, x := range s.X[i*784 : (i+1)*784] {
		b[k] = byte((x + 1) * 127.5)
	}
	return string(b)
}

// TestShipped pins the files, so that a change of weights is a decision.
func TestShipped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		file  []byte
		limit int
		hash  string
	}{
		{"denoiser", denoiserWeights, 5e6, "6d159b2dd5da951138320fefa46a66320669e0496c3028985257dcd43a4697a3"},
		{"restorer", restorerWeights, 3e6, "c3a1a53578e07b26fbdbb9d89619633319066b9eaa755eb885f40f1719c97a10"},
		{"classifier", classifierWeights, 1e6, "367e58f05882aebf5d54d2d816b276a9986f7bc7ec4aca89df22669b857b2a4e"},
	} {
		sum := sha256.Sum256(tt.file)
		if got := hex.EncodeToString(sum[:]); got != tt.hash {
			t.Errorf("%s has hash %s, want %s", tt.name, got, tt.hash)
		}
		if len(tt.file) > tt.limit {
			t.Errorf("%s has %d bytes, more than %d", tt.name, len(tt.file), tt.limit)
		}
	}
	d, err := Denoiser()
	if err != nil {
		t.Fatal(err)
	}
	if d.Recipe() != mixer.MNIST {
		t.Errorf("the shipped denoiser is of recipe %+v, not of the package's", d.Recipe())
	}
	r, err := Restorer()
	if err != nil {
		t.Fatal(err)
	}
	if r.Recipe() != mixer.MNISTRestorer {
		t.Errorf("the shipped restorer is of recipe %+v, not of the package's", r.Recipe())
	}
}

// TestClassifier: at least 97 % of the images that it has not seen.
func TestClassifier(t *testing.T) {
	c, err := Classifier()
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := Split()
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	labels, err := c.Classify(context.Background(), d.X[:n*784], n)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i, l := range labels {
		if l == int(d.Labels[i]) {
			right++
		}
	}
	t.Logf("%d of %d right", right, n)
	if right < n*97/100 {
		t.Errorf("%d of %d right, want 97 %%", right, n)
	}
	f, dim, err := c.Features(context.Background(), d.X[:3*784], 3)
	if err != nil || len(f) != 3*dim {
		t.Fatalf("%d features of dimension %d: %v", len(f), dim, err)
	}
	for i, x := range f {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			t.Errorf("feature %d is %g", i, x)
		}
	}
}

// TestResumable interrupts the real recipes' first steps.
func TestResumable(t *testing.T) {
	d, j, err := Split()
	if err != nil {
		t.Fatal(err)
	}
	for name, train := range map[string]func(context.Context, nn.Options) error{
		"denoiser": func(ctx context.Context, o nn.Options) error {
			_, err := mixer.Train(ctx, mixer.MNIST, d.X, d.Labels, o)
			return err
		},
		"restorer": func(ctx context.Context, o nn.Options) error {
			_, err := mixer.TrainRestorer(ctx, mixer.MNISTRestorer, d.Unit(), o)
			return err
		},
		"classifier": func(ctx context.Context, o nn.Options) error {
			_, err := classifier.Train(ctx, classifier.MNIST, j.X, j.Labels, o)
			return err
		},
	} {
		run := func(path string, stops ...int) (loss float64) {
			for _, stop := range stops {
				ctx, cancel := context.WithCancel(context.Background())
				err := train(ctx, nn.Options{Checkpoint: path, Progress: func(p nn.Progress) {
					if loss = p.Loss; p.Step == stop {
						cancel()
					}
				}})
				cancel()
				if ctx.Err() == nil || err == nil {
					t.Fatalf("%s, stopped at step %d: %v", name, stop, err)
				}
			}
			return loss
		}
		whole, parts := run(t.TempDir()+"/a", 2), run(t.TempDir()+"/b", 1, 2)
		if whole != parts || !(whole > 0) {
			t.Errorf("%s: loss %v after two steps, %v when interrupted", name, whole, parts)
		}
	}
}
