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

//go:embed weights/restorer.safetensors
var restorerWeights []byte

// Restorer is the shipped restorer. It is read once and shared.
var Restorer = sync.OnceValues(func() (*mixer.Restorer, error) {
	return mixer.LoadRestorer(bytes.NewReader(restorerWeights))
})

// Denoiser is the shipped denoiser. It is read once and shared.
var Denoiser = sync.OnceValues(func() (*mixer.Denoiser, error) {
	return mixer.Load(bytes.NewReader(denoiserWeights))
})

// Classifier is the shipped classifier. It is read once and shared.
var Classifier = sync.OnceValues(func() (*classifier.Classifier, error) {
	return classifier.Load(bytes.NewReader(classifierWeights))
})
