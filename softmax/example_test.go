package softmax_test

import (
	"fmt"
	"log"

	"github.com/assay-lab/assay/softmax"
)

func ExampleRows() {
	logits := []float32{1, 2, 3, 1000, 1000, -1000}
	if err := softmax.Rows(logits, logits, 3, softmax.Options{}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f\n", logits)
	// Output: [0.0900 0.2447 0.6652 0.5000 0.5000 0.0000]
}

// Two machines hold parts of one row.
func ExampleExt_Add() {
	here, there := []float64{1000, 1001}, []float64{999, 1002}
	sum := softmax.SumExp(here).Add(softmax.SumExp(there))
	fmt.Printf("%.4f\n", sum.Log())
	// Output: 1002.4402
}
