package adjoint

import (
	"fmt"
	"math"
)

// Adam is the optimizer of Kingma & Ba 2015 on a list of numbers, for descending
// along gradients of Solve. Its state grows with the first step.
type Adam struct {
	Rate         float64 // learning rate; 0: 0.01
	Beta1, Beta2 float64 // 0: 0.9 and 0.999
	Epsilon      float64 // 0: 10⁻⁸

	m, v []float64
	t    int
}

// Step moves x against the gradient.
func (a *Adam) Step(x, grad []float64) error {
	rate, b1, b2, eps := or(a.Rate, .01), or(a.Beta1, .9), or(a.Beta2, .999), or(a.Epsilon, 1e-8)
	if !(rate > 0) || !(b1 > 0 && b1 < 1) || !(b2 > 0 && b2 < 1) || !(eps > 0) {
		return fmt.Errorf("adjoint: Adam with rate %g, betas %g and %g, epsilon %g: rate and epsilon must be positive, betas in (0, 1)", rate, b1, b2, eps)
	}
	if a.m == nil {
		a.m, a.v = make([]float64, len(x)), make([]float64, len(x))
	}
	if len(grad) != len(x) || len(a.m) != len(x) {
		return fmt.Errorf("adjoint: Adam: a gradient of %d numbers for %d, after steps on %d", len(grad), len(x), len(a.m))
	}
	a.t++
	c1, c2 := 1-math.Pow(b1, float64(a.t)), 1-math.Pow(b2, float64(a.t))
	for i, g := range grad {
		a.m[i] = b1*a.m[i] + (1-b1)*g
		a.v[i] = b2*a.v[i] + (1-b2)*g*g
		x[i] -= rate * (a.m[i] / c1) / (math.Sqrt(a.v[i]/c2) + eps)
	}
	return nil
}

func or(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}
