package kern

import "unsafe"

// TileRows is the number of rows of a tile of [Codes]: the 32-bit lanes of the
// widest vector.
const TileRows = 16

// Codes are integer weights in the layout that [MulCodes] reads. 64 bytes are a
// step of a tile: in byte 4r + j is the code of row r for input j of four. Packed
// steps hold the codes of eight inputs in 4 bits each: the low nibble for input j,
// the high one for input 4 + j.
type Codes struct {
	Packed bool
	Tiles  int
	Groups int // of inputs
	Width  int // inputs in a group, a multiple of 8
	Code   []uint8
	Scale  []float32 // [Tiles, Groups, 16]
	Zero   []int32   // [Tiles, Groups, 16], what is subtracted from a code: 0 to 255
}

// NewCodes makes codes of zeros.
func NewCodes(packed bool, rows, groups, width int) Codes {
	tiles := (rows + TileRows - 1) / TileRows
	n := tiles * groups * TileRows
	c := Codes{packed, tiles, groups, width, nil, make([]float32, n), make([]int32, n)}
	c.Code = make([]uint8, tiles*groups*c.steps()*64)
	return c
}

// steps is the number of steps of a group.
func (c *Codes) steps() int {
	if c.Packed {
		return c.Width / 8
	}
	return c.Width / 4
}

// SetGroup stores a row's codes for a group, at most Width. The others stay as
// they are.
func (c *Codes) SetGroup(row, group int, codes []uint8, scale float32, zero int32) {
	tile, r := row/TileRows, row%TileRows
	at := tile*c.Groups + group
	c.Scale[at*TileRows+r], c.Zero[at*TileRows+r] = scale, zero
	block := c.Code[at*c.steps()*64:]
	for i, q := range codes {
		if !c.Packed {
			block[i/4*64+4*r+i%4] = q
			continue
		}
		b, shift := &block[i/8*64+4*r+i%4], i%8/4*4
		*b = *b&^(15<<shift) | q<<shift
	}
}

// Tokens are activations as signed bytes from −127 to 127.
type Tokens struct {
	N     int
	Code  []int8    // [N, Groups, Width]
	Scale []float32 // [N, Groups]
	Sum   []int32   // [N, Groups], the sums of the codes
}

// MulCodes multiplies tokens with the rows of tiles from to to−1:
//
//	dst[t][o] = Σ_k scale[o][k]·t.Scale[t][k]·Σ_{i in group k} (code[o][i] − zero[o][k])·t.Code[t][i]
//
// where dst has rows of stride numbers. The inner sum is exact.
func MulCodes(dst []float32, stride int, c Codes, from, to int, t Tokens) {
	if from >= to || t.N == 0 {
		return
	}
	n := c.Groups
	_, _ = dst[(t.N-1)*stride+to*TileRows-1], c.Code[to*n*c.steps()*64-1]
	_, _ = c.Scale[to*n*TileRows-1], c.Zero[to*n*TileRows-1]
	_, _, _ = t.Code[t.N*n*c.Width-1], t.Scale[t.N*n-1], t.Sum[t.N*n-1]
	if active == generic {
		mulCodesGeneric(dst, stride, c, from, to, t)
		return
	}
	tiles, most := 2, 4 // of one call
	if active == avx512vnni {
		most = 8
	} else if active == avx2 {
		tiles = 1
	}
	for tile := from; tile < to; tile += tiles {
		for m, blocks := 0, (t.N+most-1)/most; m < t.N; blocks-- {
			n := (t.N - m + blocks - 1) / blocks // blocks of nearly equal size
			args := c.args(dst[m*stride:], stride, tile, tile+1 < to, m, t)
			c.mul((*[15]int)(unsafe.Pointer(&args)), n)
			m += n
		}
	}
}

// mul calls the level's assembly.
func (c *Codes) mul(args *[15]int, tokens int) {
	switch {
	case active == avx512vnni && c.Packed:
		vnniPackedAVX512(args, tokens)
	case active == avx512vnni:
		vnniBytesAVX512(args, tokens)
	case active == avx512 && c.Packed:
		mulPackedAVX512(args, tokens)
	case active == avx512:
		mulBytesAVX512(args, tokens)
	case c.Packed:
		mulPackedAVX2(args, tokens)
	default:
		mulBytesAVX2(args, tokens)
	}
}

// mulArgs is what the assembly takes; strides are in bytes.
type mulArgs struct {
	dst        *float32
	stride     int
	code       *uint8
	second     int // from a tile's codes to the next one's, 0 if there is none
	scale      *float32
	zero       *int32
	secondZero int // the same for scales and zeros
	x          *int8
	xStride    int
	xScale     *float32
	sum        *int32
	sumStride  int
	secondDst  int // the same for results
	groups     int
	steps      int // of 8 inputs
}

func (c *Codes) args(dst []float32, stride, tile int, second bool, m int, t Tokens) mulArgs {
	at := tile * c.Groups
	a := mulArgs{dst: &dst[tile*TileRows], stride: 4 * stride, code: &c.Code[at*c.steps()*64], scale: &c.Scale[at*TileRows], zero: &c.Zero[at*TileRows],
		x: &t.Code[m*c.Groups*c.Width], xStride: c.Groups * c.Width, xScale: &t.Scale[m*c.Groups], sum: &t.Sum[m*c.Groups], sumStride: 4 * c.Groups,
		groups: c.Groups, steps: c.Width / 8}
	if second {
		a.second, a.secondZero, a.secondDst = c.Groups*c.steps()*64, 4*c.Groups*TileRows, 4*TileRows
	}
	return a
}

// QuantizeI8 is dst[i] = round(x[i]/scale) with scale = max(max|x|, least)/127, and
// the sum of dst. Halves are rounded to even; all levels give the same. x must be
// finite.
func QuantizeI8(dst []int8, x []float32, least float32) (scale float32, sum int32) {
	x = x[:len(dst)]
	scale = max(float32(NormInf(x)), least) / 127
	n := 0
	if active != generic {
		n = len(x) &^ 15
	}
	switch {
	case n == 0:
	case active >= avx512:
		sum = quantizeI8AVX512(&dst[0], &x[0], scale, n)
	default:
		sum = quantizeI8AVX2(&dst[0], &x[0], scale, n)
	}
	return scale, sum + quantizeI8Generic(dst[n:], x[n:], scale)
}
