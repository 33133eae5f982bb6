package classifier

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-lab/assay/internal/nn"
)

// bars are images that a stroke at a place of its own tells apart.
func bars() ([]float32, []uint8) {
	x, labels := make([]float32, 40*area), make([]uint8, 40)
	for i := range labels {
		labels[i] = uint8(i % 10)
		img := x[i*area : (i+1)*area]
		for j := range img {
			img[j] = -1
		}
		for y := 4 + i/10; y < 24; y++ {
			img[y*size+4+2*(i%10)] = 1
		}
	}
	return x, labels
}

var quick = Recipe{Steps: 60, Batch: 20, Rate: 5e-3, Warmup: 5, EMA: .9, Shift: .2, Turn: .01, Zoom: .01, Seed: 1}

func train(t *testing.T, r Recipe) *Classifier {
	t.Helper()
	x, labels := bars()
	c, err := Train(context.Background(), r, x, labels, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTrain(t *testing.T) {
	c := train(t, quick)
	x, want := bars()
	got, err := c.Classify(context.Background(), x, len(want))
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, l := range got {
		if l != int(want[i]) {
			wrong++
		}
	}
	if wrong > 2 {
		t.Errorf("%d of %d bars are not told apart", wrong, len(want))
	}
}

func TestSeed(t *testing.T) {
	r := quick
	r.Steps = 4
	w := train(t, r).weights
	if !slices.Equal(train(t, r).weights, w) {
		t.Error("the same recipe gives other weights")
	}
	r.Seed = 2
	if slices.Equal(train(t, r).weights, w) {
		t.Error("another seed gives the same weights")
	}
}

// TestBatch: images are judged alike alone and in batches of any size.
func TestBatch(t *testing.T) {
	r := quick
	r.Steps = 5
	c := train(t, r)
	src := rand.New(rand.NewPCG(1, 2))
	const n = maxBatch + 3
	x := make([]float32, n*area)
	for i := range x {
		x[i] = float32(src.NormFloat64())
	}
	all, dim, err := c.Features(context.Background(), x, n)
	if err != nil || dim != features || len(all) != n*dim {
		t.Fatalf("%d features of dimension %d: %v", len(all), dim, err)
	}
	for _, i := range []int{0, 1, maxBatch - 1, maxBatch, n - 1} {
		one, _, err := c.Features(context.Background(), x[i*area:(i+1)*area], 1)
		if err != nil {
			t.Fatal(err)
		}
		for j, f := range one {
			if w := all[i*dim+j]; math.Abs(float64(f-w)) > 1e-4*(1+math.Abs(float64(w))) { // other orders of sums
				t.Fatalf("image %d, feature %d: %g alone, %g in a batch", i, j, f, w)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	r := quick
	r.Steps = 1
	c := train(t, r)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	x, labels := bars()
	if _, err := c.Classify(context.Background(), x, 3); err == nil {
		t.Error("pixels for other than n images are accepted")
	}
	if _, err := c.Classify(context.Background(), nil, -1); err == nil {
		t.Error("-1 images are accepted")
	}
	if _, err := c.Classify(cancelled, x, 40); err == nil {
		t.Error("a cancelled context is ignored")
	}
	if got, err := c.Classify(context.Background(), nil, 0); err != nil || len(got) != 0 {
		t.Errorf("no images: %v, %v", got, err)
	}
	labels[3] = 10
	if _, err := Train(context.Background(), quick, x, labels, nn.Options{}); err == nil {
		t.Error("label 10 is accepted")
	}
	if _, err := Train(context.Background(), quick, x[1:], labels[1:], nn.Options{}); err == nil {
		t.Error("a pixel too few is accepted")
	}
	if _, err := Train(context.Background(), Recipe{Steps: 1}, x, labels[:3], nn.Options{}); err == nil {
		t.Error("an empty batch is accepted")
	}
}

func TestSaveLoad(t *testing.T) {
	r := quick
	r.Steps = 1
	c := train(t, r)
	var b bytes.Buffer
	if err := c.Save(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Load(bytes.NewReader(b.Bytes()))
	if err != nil || !slices.Equal(got.weights, c.weights) || got.recipe != c.recipe {
		t.Errorf("a classifier comes back changed: %v", err)
	}
	if _, err := Load(bytes.NewReader(b.Bytes()[:b.Len()-1])); err == nil {
		t.Error("a truncated file is accepted")
	}
}

func TestWarp(t *testing.T) {
	img := make([]float32, area)
	for i := range img {
		img[i] = -1
	}
	img[10*size+6] = 1
	dst := make([]float32, area)
	for _, tt := range []struct {
		name                string
		dx, dy, angle, zoom float64
		x, y                int // where the bright pixel goes
	}{
		{"nothing", 0, 0, 0, 1, 6, 10},
		{"right and down", 3, 2, 0, 1, 9, 12},
		{"a quarter turn", 0, 0, math.Pi / 2, 1, 17, 6},
		{"a mirror through the middle", 0, 0, 0, -1, 21, 17},
	} {
		warp(dst, img, tt.dx, tt.dy, tt.angle, tt.zoom)
		for i, v := range dst {
			want := float32(-1)
			if i == tt.y*size+tt.x {
				want = 1
			}
			if math.Abs(float64(v-want)) > 1e-6 {
				t.Errorf("%s: pixel (%d, %d) is %g, want %g", tt.name, i%size, i/size, v, want)
			}
		}
	}
}

func TestWindows(t *testing.T) {
	img, dst := make([]float32, area), make([]float32, cut)
	for i := range img {
		img[i] = float32(i)
	}
	windows(dst, img)
	for _, tt := range []struct {
		row, col, y, x int
		want           float32
	}{
		{0, 0, 2, 2, 0},                        // its middle
		{0, 0, 1, 2, -1},                       // above the image
		{3, 5, 2, 2, 6*size + 10},              // every other pixel
		{3, 5, 4, 0, 8*size + 8},               // below and left
		{13, 13, 3, 3, 27*size + 27},           // the last pixel
		{13, 13, 4, 3, -1}, {13, 13, 3, 4, -1}, // beyond it
	} {
		if got := dst[(tt.row*half+tt.col)*window*window+tt.y*window+tt.x]; got != tt.want {
			t.Errorf("window (%d, %d) at (%d, %d): %g, want %g", tt.row, tt.col, tt.y, tt.x, got, tt.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := nn.WriteWeights(&b, layout, layout.Init(rand.New(rand.NewPCG(1, 1))), "r"); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes()[:2000])
	f.Fuzz(func(t *testing.T, file []byte) { _, _ = Load(bytes.NewReader(file)) })
}
