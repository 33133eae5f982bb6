package kern

func combGeneric[T Float](dst, c []T, x [][]T) {
	n := len(dst)
	switch len(c) {
	case 1:
		c0, x0 := c[0], x[0][:n]
		for i := range dst {
			dst[i] = c0 * x0[i]
		}
	case 2:
		c0, x0, c1, x1 := c[0], x[0][:n], c[1], x[1][:n]
		for i := range dst {
			dst[i] = c0*x0[i] + c1*x1[i]
		}
	case 3:
		c0, x0, c1, x1, c2, x2 := c[0], x[0][:n], c[1], x[1][:n], c[2], x[2][:n]
		for i := range dst {
			dst[i] = c0*x0[i] + c1*x1[i] + c2*x2[i]
		}
	case 4:
		c0, x0, c1, x1, c2, x2, c3, x3 := c[0], x[0][:n], c[1], x[1][:n], c[2], x[2][:n], c[3], x[3][:n]
		for i := range dst {
			dst[i] = c0*x0[i] + c1*x1[i] + c2*x2[i] + c3*x3[i]
		}
	default: // element by element: dst may be any of x
		for i := range dst {
			var s T
			for j, cj := range c {
				s += cj * x[j][i]
			}
			dst[i] = s
		}
	}
}

func combColsGeneric[T Float](dst []T, c, x [][]T, off int) {
	for i := range dst {
		var s T
		for j := range c {
			s += c[j][i] * x[j][off+i]
		}
		dst[i] = s
	}
}

func finiteGeneric[T Float](x []T) int {
	// v − v is 0 unless v is infinite or NaN. Four sums, or the additions would
	// wait for each other.
	var s0, s1, s2, s3 T
	y := x
	for ; len(y) >= 4; y = y[4:] {
		s0 += y[0] - y[0]
		s1 += y[1] - y[1]
		s2 += y[2] - y[2]
		s3 += y[3] - y[3]
	}
	if s0+s1+s2+s3 != 0 {
		return 0
	}
	return len(x) - len(y)
}
