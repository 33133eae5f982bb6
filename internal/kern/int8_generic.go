package kern

import "math"

func mulCodesGeneric(dst []float32, stride int, c Codes, from, to int, t Tokens) {
	for tile := from; tile < to; tile++ {
		for m := range t.N {
			var sums [TileRows]float32
			for k := range c.Groups {
				at := tile*c.Groups + k
				code := c.Code[at*c.steps()*64:][:c.steps()*64]
				x := t.Code[(m*c.Groups+k)*c.Width:][:c.Width]
				var p [TileRows]int32
				if c.Packed {
					dotPacked(&p, code, x)
				} else {
					dotBytes(&p, code, x)
				}
				scale, sum := t.Scale[m*c.Groups+k], t.Sum[m*c.Groups+k]
				for r := range sums {
					sums[r] += float32(p[r]-c.Zero[at*TileRows+r]*sum) * (c.Scale[at*TileRows+r] * scale)
				}
			}
			copy(dst[m*stride+tile*TileRows:], sums[:])
		}
	}
}

func dotBytes(p *[TileRows]int32, code []uint8, x []int8) {
	for ; len(x) >= 4; code, x = code[64:], x[4:] {
		step := (*[64]uint8)(code)
		x0, x1, x2, x3 := int32(x[0]), int32(x[1]), int32(x[2]), int32(x[3])
		for r := range p {
			p[r] += int32(step[4*r])*x0 + int32(step[4*r+1])*x1 + int32(step[4*r+2])*x2 + int32(step[4*r+3])*x3
		}
	}
}

func dotPacked(p *[TileRows]int32, code []uint8, x []int8) {
	for ; len(x) >= 8; code, x = code[64:], x[8:] {
		step := (*[64]uint8)(code)
		for j := range 4 {
			lo, hi := int32(x[j]), int32(x[4+j])
			for r := range p {
				q := step[4*r+j]
				p[r] += int32(q&15)*lo + int32(q>>4)*hi
			}
		}
	}
}

// quantizeI8Generic rounds halves to even.
func quantizeI8Generic(dst []int8, x []float32, scale float32) (sum int32) {
	for i, v := range x {
		// The quotient is at most 127 + 1 ulp.
		q := int32(math.RoundToEven(float64(v / scale)))
		dst[i] = int8(q)
		sum += q
	}
	return sum
}
