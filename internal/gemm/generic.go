package gemm

// generic is the kernel in Go: a row of eight sums at a time.
var generic = kernel{rows: 8, columns: 8, tile: func(m, k int, a []float32, rowA, colA int, b, c []float32, rowC int, add bool) {
	for i := range m {
		var s0, s1, s2, s3, s4, s5, s6, s7 float32
		row := (*[8]float32)(c[i*rowC:])
		if add {
			s0, s1, s2, s3, s4, s5, s6, s7 = row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
		}
		for p := range k {
			x, y := a[i*rowA+p*colA], (*[8]float32)(b[8*p:])
			s0 += x * y[0]
			s1 += x * y[1]
			s2 += x * y[2]
			s3 += x * y[3]
			s4 += x * y[4]
			s5 += x * y[5]
			s6 += x * y[6]
			s7 += x * y[7]
		}
		*row = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	}
}}
