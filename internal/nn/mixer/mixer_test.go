package mixer

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/nn"
)

func TestRealTrain(t *testing.T) {
	dir := os.Getenv("TRAIN")
	if dir == "" {
		t.Skip()
	}
	m, err := data.MNIST()
	if err != nil {
		t.Fatal(err)
	}
	r := MNIST
	px := m.Float32(data.Range{Lo: -1, Hi: 1})
	var x []float32
	var labels []uint8
	for i := range m.N {
		if i%5 < 3 {
			x = append(x, px[i*784:(i+1)*784]...)
			labels = append(labels, m.Labels[i])
		}
	}
	t0 := time.Now()
	_, err = Train(context.Background(), r, x, labels, nn.Options{Checkpoint: dir + "/ck.safetensors", Every: 50, Progress: func(p nn.Progress) {
		if p.Step%10 == 0 {
			fmt.Println(p.Step, p.Loss, p.Rate, p.Remaining, time.Since(t0))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
}
