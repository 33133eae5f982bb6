package mixer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/assay-lab/assay/internal/nn"
)

// Save writes the denoiser as a safetensors file, its weights rounded to half
// precision.
func (d *Denoiser) Save(w io.Writer) error {
	recipe, err := json.Marshal(d.recipe)
	if err != nil {
		return fmt.Errorf("mixer: recipe: %w", err)
	}
	return nn.WriteWeights(w, d.recipe.Shape.layout(), d.weights, string(recipe))
}

// maxWeights bounds what a file may ask for.
const maxWeights = 1 << 28

// Load reads a denoiser that Save wrote.
func Load(r io.Reader) (*Denoiser, error) {
	var recipe Recipe
	weights, err := nn.ReadWeights(r, func(text string) (nn.Layout, error) {
		if err := json.Unmarshal([]byte(text), &recipe); err != nil {
			return nil, fmt.Errorf("recipe: %w", err)
		}
		if err := recipe.Shape.check(); err != nil {
			return nil, err
		}
		if err := recipe.Shape.single(); err != nil {
			return nil, err
		}
		l := recipe.Shape.layout()
		if l.Len() > maxWeights {
			return nil, errors.New("recipe: the network is too large")
		}
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("mixer: %w", err)
	}
	return newDenoiser(recipe, weights), nil
}
