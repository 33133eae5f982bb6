package cache_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/assay-lab/assay/internal/cache"
)

func ExampleGet() {
	dir, err := os.MkdirTemp("", "assay")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv("ASSAY_CACHE", dir)
	defer os.Unsetenv("ASSAY_CACHE")

	recipe := struct{ Width, Steps int }{128, 4800}
	train := func(context.Context) ([]byte, error) {
		fmt.Println("training")
		return []byte("weights"), nil
	}
	for range 2 {
		weights, err := cache.Get(context.Background(), "denoiser", recipe, train)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", weights)
	}
	// Output:
	// training
	// weights
	// weights
}
