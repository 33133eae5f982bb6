package onnx

import "errors"

// Encode gives the bytes of the model's ONNX file. The same model gives the same bytes.
func (m *Model) Encode() ([]byte, error) { return nil, errors.New("not written") }

// Write checks the model and stores it as an ONNX file.
func (m *Model) Write(path string) error { return errors.New("not written") }
