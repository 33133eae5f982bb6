package backend

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

func TestBroadcastAgreesWithNative(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	full := []int{4, 30, 20, 8}
	for _, c := range [][]int{
		{1, 1, 1, 8}, {4, 1, 1, 8}, {4, 1, 1, 1}, {4, 30, 20, 1}, {1, 30, 1, 8}, {1, 30, 20, 8}, {1, 1, 20, 1}, {1, 1, 1, 1}, full,
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			for _, in := range [][]array{
				{random(rng, dtypes.Float32, full...), random(rng, dtypes.Float32, c...)},
				{random(rng, dtypes.Float32, c...), random(rng, dtypes.Float32, full...)},
				{random(rng, dtypes.Float64, full...), random(rng, dtypes.Float64, c...)},
			} {
				same(t, in, func(f compute.Function, v []compute.Value) (compute.Value, error) {
					sum, err := f.Add(v[0], v[1])
					if err != nil {
						return nil, err
					}
					diff, err := f.Sub(v[0], v[1])
					if err != nil {
						return nil, err
					}
					return f.Mul(sum, diff)
				})
			}
		})
	}
	same(t, []array{random(rng, dtypes.Float32, 40, 1, 30), random(rng, dtypes.Float32, 1, 50, 1)},
		func(f compute.Function, v []compute.Value) (compute.Value, error) { return f.Mul(v[0], v[1]) })
}

func TestReduceSumAgreesWithNative(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, axes := range [][]int{nil, {0}, {3}, {1, 2}, {0, 1}, {2, 3}, {0, 1, 2}, {0, 2}, {1, 3}, {3, 1, 2}, {0, 1, 2, 3}} {
		t.Run(fmt.Sprint(axes), func(t *testing.T) {
			same(t, []array{random(rng, dtypes.Float64, 4, 30, 20, 8)}, func(f compute.Function, v []compute.Value) (compute.Value, error) {
				return f.ReduceSum(v[0], axes...)
			})
		})
	}
}
