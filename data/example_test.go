package data_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/assay-lab/assay/data"
)

func ExampleMNIST() {
	digits, err := data.MNIST()
	if err != nil {
		log.Fatal(err)
	}
	x := digits.Float32(data.Signed) // as diffusion models want them
	fmt.Println(digits.N, digits.H, digits.W, digits.Labels[0], x[0])
	// Output: 10000 28 28 7 -1
}

func ExampleReadCSV() {
	t, err := data.ReadCSV(strings.NewReader("x;y\n1;2\n3;?\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Names, t.Row(0), t.Col(1))
	// Output: [x y] [1 2] [2 NaN]
}

func ExampleWriteNPY() {
	var file bytes.Buffer
	if err := data.WriteNPY(&file, data.Tensor{Shape: []int{2, 2}, Data: []float32{1, 2, 3, 4}}); err != nil {
		log.Fatal(err)
	}
	t, err := data.ReadNPY(&file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Shape, t.Float64())
	// Output: [2 2] [1 2 3 4]
}
