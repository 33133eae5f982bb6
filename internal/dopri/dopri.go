// Package dopri holds the coefficients of Dormand and Prince's Runge–Kutta pair of
// orders 5 and 4 (1980, RK5(4)7M), whose last stage is the next step's first.
package dopri

// Stages is the number of stages, the last of which stands at the step's end.
const Stages = 7

// C are the nodes; row i of A makes stage i; the last row is the step.
var (
	C = [Stages]float64{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1}
	A = [Stages][Stages - 1]float64{
		{},
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	}
	// E is the error's estimate: the weights of order 5 less those of order 4.
	E = [Stages]float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40}
)
