//go:build !windows

package main

import "os"

// enableANSI says whether the terminals understand escape sequences.
func enableANSI(...*os.File) bool { return true }
