package quant

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/assay-lab/assay/internal/kern"
)

// A Linear multiplies with a layer's codes in integers, y = x·Wᵀ, in two steps:
// within a group codes and activations are multiplied and added exactly in 32 bits,
// then each sum is scaled once.
//
//	P_k = Σ_{i in group k} (q_i − z_k)·a_i      y = Σ_k P_k·s_k·s_a,k
//
// It is safe for concurrent use.
type Linear struct {
	rows, cols, group int
	parts             []packed
	scratch           sync.Pool // of *linearScratch
}

// packed is a part in the kernel's layout.
type packed struct {
	rows  []int
	codes kern.Codes
}

type linearScratch struct {
	a   Activations
	out []float32
}

// Linear packs a layer for multiplication.
func (l *Layer) Linear() (*Linear, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	x := &Linear{rows: l.Rows, cols: l.Cols, group: l.Parts[0].Matrix.Spec.group()}
	for _, p := range l.Parts {
		x.parts = append(x.parts, packed{p.Rows, pack(p.Matrix)})
	}
	return x, nil
}

// pack lays codes out in tiles of 16 rows, the last filled up with zeros.
func pack(m *Matrix) kern.Codes {
	g := m.Spec.group()
	c := kern.NewCodes(m.Spec.Bits <= 4, m.Rows, m.Groups(), padded(g))
	for o := range m.Rows {
		for k := range m.Groups() {
			i := o*m.Groups() + k
			c.SetGroup(o, k, m.Codes[i*g:(i+1)*g], float32(m.Scale[i]), int32(m.Zero[i]))
		}
	}
	return c
}

// Rows and Cols are the numbers of output and input features.
func (l *Linear) Rows() int { return l.rows }
func (l *Linear) Cols() int { return l.cols }

// Forward writes the product for the tokens x [tokens, Cols], which it quantizes to
// 8 bits, to dst [tokens, Rows].
func (l *Linear) Forward(dst, x []float32, tokens int) error {
	s := l.get()
	defer l.scratch.Put(s)
	if err := QuantizeActivations(&s.a, x, tokens, l.cols, l.group); err != nil {
		return err
	}
	return l.multiply(dst, &s.a, s)
}

// Multiply does the same for tokens that are quantized already.
func (l *Linear) Multiply(dst []float32, a *Activations) error {
	s := l.get()
	defer l.scratch.Put(s)
	return l.multiply(dst, a, s)
}

func (l *Linear) get() *linearScratch {
	if s, ok := l.scratch.Get().(*linearScratch); ok {
		return s
	}
	return &linearScratch{}
}

// parallelCodes is the size from which a product is worth several goroutines.
const parallelCodes = 1 << 18

func (l *Linear) multiply(dst []float32, a *Activations, s *linearScratch) error {
	if a.Cols != l.cols || a.Group != l.group || a.Tokens < 1 {
		return fmt.Errorf("quant: %d tokens of %d features in groups of %d: the layer takes %d in groups of %d", a.Tokens, a.Cols, a.Group, l.cols, l.group)
	}
	if len(dst) != a.Tokens*l.rows {
		return fmt.Errorf("quant: output of %d numbers for %d tokens of %d features", len(dst), a.Tokens, l.rows)
	}
	t := kern.Tokens{N: a.Tokens, Code: a.Codes, Scale: a.Scale, Sum: a.Sum}
	for _, p := range l.parts {
		width := 16 * p.codes.Tiles
		s.out = resized(s.out, a.Tokens*width)
		chunks := min(runtime.GOMAXPROCS(0), p.codes.Tiles)
		if len(p.codes.Code)*a.Tokens < parallelCodes {
			chunks = 1
		}
		each(chunks, func(i int) {
			kern.MulCodes(s.out, width, p.codes, i*p.codes.Tiles/chunks, (i+1)*p.codes.Tiles/chunks, t)
		})
		scatter(dst, l.rows, s.out, width, p.rows, a.Tokens)
	}
	return nil
}

// scatter writes columns of src to where they belong.
func scatter(dst []float32, stride int, src []float32, width int, rows []int, tokens int) {
	n := len(rows)
	if rows[n-1]-rows[0] == n-1 { // they ascend: no gaps
		for m := range tokens {
			copy(dst[m*stride+rows[0]:], src[m*width:m*width+n])
		}
		return
	}
	for m := range tokens {
		to, from := dst[m*stride:(m+1)*stride], src[m*width:m*width+n]
		for i, o := range rows {
			to[o] = from[i]
		}
	}
}

// Partials are the exact sums P_k before any scaling [tokens, Rows, Groups]: what
// the fast product is held against.
func Partials(m *Matrix, a *Activations) ([]int64, error) {
	if a.Cols != m.Cols || a.Group != m.Spec.group() {
		return nil, fmt.Errorf("quant: activations of %d features in groups of %d for weights of %d in groups of %d", a.Cols, a.Group, m.Cols, m.Spec.group())
	}
	n, g := m.Groups(), a.Group
	ps := make([]int64, a.Tokens*m.Rows*n)
	for i := range ps {
		t, o, k := i/n/m.Rows, i/n%m.Rows, i%n
		z := int64(m.Zero[o*n+k])
		codes, x := m.Codes[o*m.Cols+k*g:], a.Codes[(t*n+k)*padded(g):]
		for j := range g {
			ps[i] += (int64(codes[j]) - z) * int64(x[j])
		}
	}
	return ps, nil
}
