//go:build !assaytrial

package main

import "github.com/assay-lab/assay/lab"

// trials are experiments that only the tests' binary has.
func trials() []*lab.Experiment { return nil }
