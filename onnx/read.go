package onnx

import "errors"

// Read reads an ONNX file and checks it.
func Read(path string) (*Model, error) { return nil, errors.New("not read") }

// Decode reads the bytes of an ONNX file and checks the model.
func Decode(b []byte) (*Model, error) { return nil, errors.New("not read") }
