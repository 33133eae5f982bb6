// Package onnx runs networks stored as ONNX files, and reads and writes such files.
//
// [Open] checks a file and gives a [Session] on the best engine at hand: ONNX
// Runtime, loaded without cgo when its shared library is found, or the embedded
// engine, which needs nothing and agrees with it to rounding.
//
//	s, err := onnx.Open("model.onnx", onnx.Options{})
//	out, err := s.Run(ctx, map[string]onnx.Tensor{
//		"sample": {Shape: []int{1, 1, 28, 28}, Data: pixels}, // []float32
//	})
//	y, err := onnx.Data[float32](out["out_sample"])
//
// [Read] gives a file's [Model] as plain data, [Model.Write] stores one.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// The engines that [Options] may name.
const (
	ONNXRuntime = "onnxruntime" // Microsoft's ONNX Runtime, from its shared library
	Embedded    = "embedded"    // in Go, part of every build
)

// Options say how a model is run. The zero value takes the best engine at hand
// and all cores.
type Options struct {
	Engine  string // [ONNXRuntime], [Embedded] or "": ONNX Runtime when its library loads, else embedded
	Threads int    // at most so many cores for one Run; 0: the engine's choice
}

// A Session is a network ready to run. It is safe for concurrent use.
type Session interface {
	// Info describes the network and the engine.
	Info() Info

	// Run evaluates the network. in has a tensor for every input; outputs names
	// the wanted outputs, all of them when none is named. The tensors returned
	// are the caller's; those passed in are only read. An engine may finish an
	// evaluation that has begun before it heeds ctx.
	Run(ctx context.Context, in map[string]Tensor, outputs ...string) (map[string]Tensor, error)

	// Close frees the network once the Runs in progress have ended.
	Close() error
}

// Info describes a network and the engine that runs it. Inputs and outputs that
// are half precision in the file are float32 here: the session converts.
type Info struct {
	Engine          string // [ONNXRuntime] or [Embedded]
	Version         string // the engine's version, "" when it has none
	Inputs, Outputs []ValueInfo
	Opset           int               // version of the standard operator set
	Producer        string            // what wrote the file
	Ops             map[string]int    // how often each operator occurs
	Params          int               // numbers in the weights
	Metadata        map[string]string // free-form properties of the file
}

// ErrClosed is what Run returns on a closed session.
var ErrClosed = errors.New("onnx: session is closed")

// Open reads and checks the file and makes it ready to run. Errors begin with
// the path as given and say which tensor, node or input is at fault.
func Open(path string, opt Options) (Session, error) {
	m, err := Read(path)
	if err != nil {
		return nil, err
	}
	s, err := newSession(m, path, opt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// NewSession makes a model in memory ready to run, after [Model.Check]. The
// model must not change afterwards.
func NewSession(m *Model, opt Options) (Session, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	s, err := newSession(m, "", opt)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return s, nil
}

// newSession opens a checked model; path is the file it came from, if any.
func newSession(m *Model, path string, opt Options) (Session, error) {
	if opt.Threads < 0 {
		return nil, fmt.Errorf("threads = %d: must not be negative", opt.Threads)
	}
	if wide, changed := m.widen(); changed {
		m, path = wide, ""
	}
	switch opt.Engine {
	case ONNXRuntime:
		return newORT(m, path, opt)
	case Embedded:
		return newEmbedded(m, opt)
	case "":
	default:
		return nil, fmt.Errorf("engine %q: must be %q, %q or empty for the best at hand", opt.Engine, ONNXRuntime, Embedded)
	}
	s, ortErr := newORT(m, path, opt)
	if ortErr == nil {
		return s, nil
	}
	s, err := newEmbedded(m, opt)
	if err != nil && !errors.Is(ortErr, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; embedded engine: %w", ortErr, err)
	}
	return s, err
}

// info fills in what an engine reports of a model.
func (m *Model) info(engine, version string) Info {
	in := Info{
		Engine: engine, Version: version, Opset: m.Opset, Producer: m.Producer, Metadata: m.Metadata,
		Outputs: m.Graph.Outputs, Ops: map[string]int{},
	}
	weights := map[string]bool{}
	for _, w := range m.Graph.Initializers {
		weights[w.Name] = true
		in.Params += w.Len()
	}
	for _, v := range m.Graph.Inputs {
		if !weights[v.Name] { // old files list the weights as inputs too
			in.Inputs = append(in.Inputs, v)
		}
	}
	for _, n := range m.Graph.Nodes {
		in.Ops[n.Op]++
	}
	return in
}
