package main

import (
	"fmt"
	"reflect"
	"runtime"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/assay-lab/assay/internal/kern"
	"github.com/assay-lab/assay/quant"
)

// intSize is the number of inputs and of outputs of the layers that are timed.
const intSize = 4096

// int8Products: a layer of 4-bit codes, and one with a tenth of 8-bit rows, beside
// C, float32 and what the processor can do.
func int8Products(s *session) error {
	// The layers share work among threads, of which only one is timed.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	lib, err := s.compile("int8")
	if err != nil {
		s.skip("W4A8 in C", err)
	}
	codes := quant4()
	mixed, err2 := mixedLayer()
	if err2 != nil {
		return err2
	}
	for _, tokens := range []int{1, 4, 64} {
		x := fill[float32](tokens*intSize, 1)
		var a quant.Activations
		if err := quant.QuantizeActivations(&a, x, tokens, intSize, 128); err != nil {
			return err
		}
		t := kern.Tokens{N: tokens, Code: a.Codes, Scale: a.Scale, Sum: a.Sum}
		dst := make([]float32, tokens*intSize)
		rivals := []rival{{"kern", repeat(func() { kern.MulCodes(dst, intSize, codes, 0, codes.Tiles, t) })}}
		if err == nil {
			args := []any{dst, intSize, codes.Code, codes.Scale, codes.Zero, a.Codes, a.Scale, a.Sum, tokens, codes.Tiles, codes.Groups}
			rivals = append(rivals, lib.rival("C, 4 tokens × 16 rows", "w4a8", args...), lib.rival("C, 8 tokens × 32 rows", "w4a8_wide", args...))
		}
		ops := 2 * intSize * intSize * float64(tokens)
		s.rates(fmt.Sprintf("W4A8, %d × %d weights, %d tokens", intSize, intSize, tokens), ops, s.compare(rivals))

		// In a table of their own: who follows 64 MB of float32 finds the caches cold.
		float, err := floatProduct(x, tokens)
		if err != nil {
			return err
		}
		s.rates(fmt.Sprintf("Layer with 10 %% of its rows 8-bit, from and to float32, %d tokens", tokens), ops, s.compare([]rival{
			{"quant.Linear", repeat(func() {
				if err := mixed.Forward(dst, x, tokens); err != nil {
					panic(err)
				}
			})}, float}))
	}
	if err == nil {
		const rounds = 1 << 12
		out := make([]int32, 32)
		s.rates("VPDPBUSD from registers", rounds*16*128, s.compare([]rival{lib.rival("16 sums in C", "peak", out, rounds)}))
	}
	return nil
}

// rates writes timings as rates of operations.
func (s *session) rates(title string, ops float64, ts []timing) {
	fmt.Fprintf(s.out, "\n## %s\n\n| | time | GOP/s | %s's time over it |\n|---|---|---|---|\n", title, ts[0].name)
	for _, t := range ts {
		fmt.Fprintf(s.out, "| %s | %s | %.0f | %.2f ± %.0f %% |\n", t.name, short(t.median), ops/t.median.Seconds()/1e9, t.ratio, 100*t.spread)
	}
}

// quant4 are codes of 4 bits.
func quant4() kern.Codes {
	c := kern.NewCodes(true, intSize, intSize/128, 128)
	for i := range c.Code {
		c.Code[i] = uint8(i * 0x9e3779b1 >> 13)
	}
	for i := range c.Scale {
		c.Scale[i], c.Zero[i] = 0.01, int32(i%16)
	}
	return c
}

func mixedLayer() (*quant.Linear, error) {
	w := quant.NewDense(fill[float64](intSize*intSize, 0.02), intSize, intSize)
	m := quant.MixLLM{Rounding: quant.ToNearest}
	c, err := m.Calibrate("layer", w)
	if err != nil {
		return nil, err
	}
	plan := quant.Uniform([]int{intSize}, 4)
	for o := 0; o < intSize; o += 10 {
		plan[0][o] = 8
	}
	ls, _, err := m.Quantize([]*quant.Calibration{c}, plan)
	if err != nil {
		return nil, err
	}
	return ls[0].Linear()
}

// floatProduct is the same product in float32 by GoMLX, on the calling thread.
func floatProduct(x []float32, tokens int) (rival, error) {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		return rival{}, err
	}
	alone(b)
	exec, err := graph.NewExec(b, func(x, w *graph.Node) *graph.Node { return graph.MatMul(x, w) })
	if err != nil {
		return rival{}, err
	}
	in := tensors.FromFlatDataAndDimensions(x, tokens, intSize)
	w := tensors.FromFlatDataAndDimensions(fill[float32](intSize*intSize, 0.02), intSize, intSize)
	return rival{"GoMLX, float32", repeat(func() {
		out, err := exec.Call(in, w)
		if err != nil {
			panic(err)
		}
		for _, t := range out {
			_ = t.FinalizeAll() // frees memory; nothing is lost if it cannot
		}
	})}, nil
}

// alone keeps the backend on the thread that calls it, which is the one timed.
func alone(b compute.Backend) {
	if f := reflect.ValueOf(b).Elem().FieldByName("Workers"); f.IsValid() && f.CanInterface() {
		if pool, ok := f.Interface().(interface{ SetMaxParallelism(int) }); ok {
			pool.SetMaxParallelism(0)
		}
	}
}
