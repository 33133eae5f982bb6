package nn

import (
	"fmt"

	"github.com/assay-lab/assay/internal/nn/backend"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// A Program is a function of float32 arrays, compiled once for each set of
// shapes that it meets. It is safe for concurrent use.
type Program struct {
	exec *graph.Exec
}

// NewProgram makes the program of a graph.
func NewProgram(name string, f func(in []*graph.Node) []*graph.Node) (*Program, error) {
	b, err := backend.Get()
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	exec, err := graph.NewExec(b, f)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", name, err)
	}
	return &Program{exec.WithName(name)}, nil
}

// Array makes a program's input of a copy of flat.
func Array(flat []float32, shape ...int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(flat, shape...)
}

// Run evaluates the program and hands every output's elements to use, which must
// not keep them.
func (p *Program) Run(in []*tensors.Tensor, use func(i int, flat []float32)) error {
	args := make([]any, len(in))
	for i, t := range in {
		args[i] = t
	}
	out, err := p.exec.Call(args...)
	if err != nil {
		return fmt.Errorf("nn: %s: %w", p.exec.Name(), err)
	}
	for i, t := range out {
		if e := tensors.ConstFlatData(t, func(flat []float32) { use(i, flat) }); e != nil && err == nil {
			err = e
		}
		if e := t.FinalizeAll(); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("nn: %s: %w", p.exec.Name(), err)
	}
	return nil
}

// GraphGradient is a [Task]'s gradient of a loss written as a graph. batch fills
// in the arrays of the given shapes for a step.
func GraphGradient(l Layout, shapes [][]int, batch func(step int, in [][]float32), loss func(params, in []*graph.Node) *graph.Node) (func(step int, w, grad []float32) (float64, error), error) {
	n := len(l)
	program, err := NewProgram("gradient", func(in []*graph.Node) []*graph.Node {
		y := loss(in[:n], in[n:])
		return append([]*graph.Node{y}, graph.Gradient(y, in[:n]...)...)
	})
	if err != nil {
		return nil, err
	}
	arrays := make([][]float32, len(shapes))
	for i, s := range shapes {
		arrays[i] = make([]float32, Param{Shape: s}.Len())
	}
	return func(step int, w, grad []float32) (y float64, err error) {
		batch(step, arrays)
		var in []*tensors.Tensor
		for i, part := range l.Split(w) {
			in = append(in, Array(part, l[i].Shape...))
		}
		for i, x := range arrays {
			in = append(in, Array(x, shapes[i]...))
		}
		grads := l.Split(grad)
		err = program.Run(in, func(i int, flat []float32) {
			if i == 0 {
				y = float64(flat[0])
				return
			}
			copy(grads[i-1], flat)
		})
		for _, x := range in {
			if e := x.FinalizeAll(); e != nil && err == nil {
				err = e
			}
		}
		return y, err
	}, nil
}
