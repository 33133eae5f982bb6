package mnist

import (
	"bytes"
	_ "embed"
	"sync"

	"github.com/assay-lab/assay/internal/nn/classifier"
	"github.com/assay-lab/assay/internal/nn/mixer"
)

//go:embed weights/denoiser.safetensors
var denoiserWeights []byte

//go:embed weights/classifier.safetensors
var classifierWeights []byte

// Denoiser is the shipped denoiser. It is read once and shared.
var Denoiser = sync.OnceValues(func() (*mixer.Denoiser, error) {
	return mixer.Load(bytes.NewReader(denoiserWeights))
})

// Classifier is the shipped classifier. It is read once and shared.
var Classifier = sync.OnceValues(func() (*classifier.Classifier, error) {
	return classifier.Load(bytes.NewReader(classifierWeights))
})
