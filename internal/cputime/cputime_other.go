//go:build !linux

// Package cputime tells how long a thread has run, which other programs' load
// changes less than the time on the wall. Here it is the time on the wall.
package cputime

import "time"

// Counts is what Thread measures.
const Counts = "time on the wall"

// Thread is the time since the program's start.
func Thread() time.Duration { return time.Since(start) }

var start = time.Now()

// Process is the same.
func Process() time.Duration { return time.Since(start) }
