package logbessel

import (
	"encoding/json"
	"testing"

	"github.com/assay-lab/assay/internal/kern/kerntest"
	"github.com/assay-lab/assay/lab/conform"
)

// TestCasesAtEveryLevel: the kernels of all levels pass the cases.
func TestCasesAtEveryLevel(t *testing.T) {
	cases, err := conform.Read("cases")
	if err != nil {
		t.Fatal(err)
	}
	kerntest.Levels(t, func(t *testing.T) {
		for _, c := range cases {
			if r := conform.Check(t.Context(), c, Case); !r.Passed() {
				t.Errorf("%s: %v", c.File, r.Err)
			}
		}
	})
}

// FuzzCase: no input of a case makes its handler panic.
func FuzzCase(f *testing.F) {
	cases, err := conform.Read("cases")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		if len(c.Input) < 2000 {
			f.Add(c.Method, []byte(c.Input))
		}
	}
	f.Add("LogI", []byte(`{"v":["NaN",1e999],"x":[]}`))
	f.Fuzz(func(t *testing.T, method string, input []byte) {
		if json.Valid(input) {
			Case(t.Context(), conform.Case{Method: method, Input: input})
		}
	})
}
