package conform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/assay-lab/assay/lab/conform"
)

func ExampleCheck() {
	c := conform.Parse("roots/two.json", []byte(`{
		"paper": "roots", "method": "square root", "source": "closed form",
		"input": {"x": [4, 9]}, "expect": {"y": [2.0, 3.0], "n": 2},
		"tolerance": {"rtol": 1e-12, "atol": 0}
	}`))
	handler := func(_ context.Context, c conform.Case) (conform.Got, error) {
		var in struct{ X []float64 }
		if err := json.Unmarshal(c.Input, &in); err != nil {
			return nil, err
		}
		y := make([]float64, len(in.X))
		for i, x := range in.X {
			y[i] = math.Sqrt(x)
		}
		y[1] += 0.1 // a mistake
		return conform.Got{"y": y, "n": len(y)}, nil
	}
	r := conform.Check(context.Background(), c, handler)
	fmt.Println(r.Passed(), r.Err)
	// Output: false y[1] = 3.1, want 3.0 ± 3e-12 (off by 0.1)
}
