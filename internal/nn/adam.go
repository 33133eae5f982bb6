package nn

import "math"

// Adam is the optimizer of the training loop: Kingma & Ba 2015, with a linear
// warm-up, a cosine decay to zero and a bound on the gradient's norm.
type Adam struct {
	Rate         float64 // peak learning rate
	Beta1, Beta2 float64
	Epsilon      float64
	Clip         float64 // largest gradient norm; 0: no bound
	Warmup       int     // steps
}

// rate is the learning rate of a step counted from 0.
func (a Adam) rate(step, steps int) float64 {
	if step < a.Warmup {
		return a.Rate * float64(step+1) / float64(a.Warmup)
	}
	return a.Rate / 2 * (1 + math.Cos(math.Pi*float64(step-a.Warmup)/float64(steps-a.Warmup)))
}

// step moves w against the gradient. m and v are the moments; step counts from 0.
// It returns the gradient's norm.
func (a Adam) step(w, grad, m, v []float32, step, steps int) float64 {
	var square float64
	for _, g := range grad {
		square += float64(g) * float64(g)
	}
	norm := math.Sqrt(square)
	scale := float32(1)
	if a.Clip > 0 && norm > a.Clip {
		scale = float32(a.Clip / norm)
	}
	b1, b2 := float32(a.Beta1), float32(a.Beta2)
	c1, c2 := 1-math.Pow(a.Beta1, float64(step+1)), 1-math.Pow(a.Beta2, float64(step+1))
	// w −= rate·(m/c1)/(√(v/c2) + ε), with the constants drawn out of the loop.
	rate, eps := float32(a.rate(step, steps)/c1*math.Sqrt(c2)), float32(a.Epsilon*math.Sqrt(c2))
	for i, g := range grad {
		g *= scale
		mi := b1*m[i] + (1-b1)*g
		vi := b2*v[i] + (1-b2)*g*g
		m[i], v[i] = mi, vi
		w[i] -= rate * mi / (float32(math.Sqrt(float64(vi))) + eps)
	}
	return norm
}

// average moves the exponential moving average towards w. Its memory grows with
// the steps, so that the start is forgotten.
func average(ema, w []float32, decay float64, step int) {
	d := float32(min(decay, float64(1+step)/float64(10+step)))
	for i, x := range w {
		ema[i] = d*ema[i] + (1-d)*x
	}
}
