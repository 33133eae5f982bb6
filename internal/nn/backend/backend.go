// Package backend is GoMLX's pure-Go backend made fit for convolutional networks.
//
// The plain backend runs convolutions element by element, hundreds of times
// slower than its matrix products, and transposes whole operands where the
// smaller one would do. [Get] wraps it: what a graph asks for is lowered to
// operations that the backend is fast at, before it is compiled. Results agree
// to rounding.
//
// Tensors belong to the backend value that made them, so a process uses the one
// that Get returns and no other. It is fast only in a build with
// GOEXPERIMENT=simd, on amd64; elsewhere it is correct.
//
// Two faults of GoMLX remain: its gradient of a convolution by the input is wrong
// for kernels of even size, and it has none for gradients of strided convolutions.
package backend

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Get returns the process's backend. It is safe for concurrent use.
var Get = sync.OnceValues(func() (compute.Backend, error) {
	inner, err := gobackend.New("")
	if err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	if err := unbound(inner); err != nil {
		return nil, err
	}
	return &backend{inner}, nil
})

// unbound lets the backend start as many workers as it has work for. Its default
// is a pool of fixed size, in which the operations of a training graph wait for
// each other forever; matrix products still use one worker a core. The option
// "parallelism=-1" does the same, but prints to standard output.
func unbound(b compute.Backend) error {
	if v := reflect.ValueOf(b); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if f := v.Elem().FieldByName("Workers"); f.IsValid() && f.CanInterface() {
			if pool, ok := f.Interface().(interface{ SetMaxParallelism(int) }); ok {
				pool.SetMaxParallelism(-1)
				return nil
			}
		}
	}
	return fmt.Errorf("backend: %T has no pool of workers to configure", b)
}

// backend wraps the pure-Go backend, builder and function what it makes.
type backend struct{ compute.Backend }

func (b *backend) Builder(name string) compute.Builder {
	return newBuilder(b.Backend.Builder(name))
}

func (b *backend) Description() string {
	return b.Backend.Description() + " with convolutions as matrix products"
}

type builder struct {
	compute.Builder
	main *function
}

func newBuilder(inner compute.Builder) *builder {
	b := &builder{Builder: inner}
	b.main = b.wrap(inner.Main(), nil)
	return b
}

func (b *builder) Main() compute.Function { return b.main }

func (b *builder) NewFunction(name string) (compute.Function, error) {
	f, err := b.Builder.NewFunction(name)
	if err != nil {
		return nil, err
	}
	return b.wrap(f, nil), nil
}

func (b *builder) wrap(inner compute.Function, parent *function) *function {
	return &function{
		Function: inner, builder: b, parent: parent,
		transposed: map[compute.Value]transposed{}, constants: map[compute.Value]constant{},
	}
}

// function passes on what it does not lower. Its values are the inner ones.
type function struct {
	compute.Function
	builder    *builder
	parent     *function
	transposed map[compute.Value]transposed // values that Transpose made
	constants  map[compute.Value]constant
}

func (f *function) Builder() compute.Builder { return f.builder }

func (f *function) Parent() compute.Function {
	if f.parent == nil {
		return nil
	}
	return f.parent
}

func (f *function) Closure() (compute.Function, error) {
	c, err := f.Function.Closure()
	if err != nil {
		return nil, err
	}
	return f.builder.wrap(c, f), nil
}

func (f *function) Call(g compute.Function, inputs ...compute.Value) ([]compute.Value, error) {
	return f.Function.Call(unwrap(g), inputs...)
}

func (f *function) Sort(comparator compute.Function, axis int, stable bool, inputs ...compute.Value) ([]compute.Value, error) {
	return f.Function.Sort(unwrap(comparator), axis, stable, inputs...)
}

func (f *function) While(cond, body compute.Function, state ...compute.Value) ([]compute.Value, error) {
	return f.Function.While(unwrap(cond), unwrap(body), state...)
}

func (f *function) If(pred compute.Value, yes, no compute.Function) ([]compute.Value, error) {
	return f.Function.If(pred, unwrap(yes), unwrap(no))
}

func unwrap(f compute.Function) compute.Function {
	if g, ok := f.(*function); ok {
		return g.Function
	}
	return f
}
