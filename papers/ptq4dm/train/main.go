// The command train makes the denoiser of the experiments of ptq4dm anew, in some
// fifteen seconds: go generate ./papers/ptq4dm.
package main

import (
	"bytes"
	"context"
	"log"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/papers/ptq4dm"
)

func main() {
	d, err := ptq4dm.Train(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.Save(&b); err != nil {
		log.Fatal(err)
	}
	if err := cache.WriteFile("denoiser.safetensors", b.Bytes()); err != nil {
		log.Fatal(err)
	}
}
