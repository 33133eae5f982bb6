package main

import "testing"

// TestCommitted: the files that are embedded are those of the packages.
func TestCommitted(t *testing.T) {
	for _, s := range sources {
		for _, f := range in("../../..", s.files) {
			if !f.Here() {
				t.Errorf("%s is not the file %s of %s: make assets", f.To, f.Path, s.pkg)
			}
		}
	}
}
