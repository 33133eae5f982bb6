package mixllm

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/decoder"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

// The source that small models learn: the next of 16 tokens depends on the two
// before.
const (
	markovVocab    = 16
	markovSparsity = 0.1 // parameter of the Dirichlet rows
	markovText     = 400_000
)

var markovRecipe = decoder.Recipe{
	Shape: decoder.Shape{Vocab: markovVocab, Context: 24, Width: 64, Heads: 4, Blocks: 2, Hidden: 256},
	Steps: 500, Batch: 32, Rate: 2e-3, Warmup: 20, Clip: 1, EMA: .9,
}

// markovChain are the cumulated probabilities of the next token, by the last two.
type markovChain [markovVocab * markovVocab][markovVocab]float64

func newChain(src *rand.Rand) *markovChain {
	var c markovChain
	gamma := distuv.Gamma{Alpha: markovSparsity, Beta: 1, Src: src}
	for i := range c {
		sum := 0.0
		for sum == 0 { // such small numbers may all be rounded to zero
			for j := range c[i] {
				sum += gamma.Rand()
				c[i][j] = sum
			}
		}
		for j := range c[i] {
			c[i][j] /= sum
		}
	}
	return &c
}

// text draws n tokens.
func (c *markovChain) text(n int, src *rand.Rand) []int {
	text := []int{src.IntN(markovVocab), src.IntN(markovVocab)}
	for len(text) < n {
		row := &c[text[len(text)-2]*markovVocab+text[len(text)-1]]
		u := src.Float64()
		next := slices.IndexFunc(row[:], func(p float64) bool { return u < p })
		text = append(text, max(next, 0))
	}
	return text
}

// sequences draws independent sequences.
func (c *markovChain) sequences(n, length int, src *rand.Rand) [][]int {
	seqs := make([][]int, n)
	for i := range seqs {
		seqs[i] = c.text(length+20, src)[20:] // past the start, which is not the chain's own
	}
	return seqs
}

// markovModel is the model of a seed, trained once and kept in the cache.
func markovModel(ctx context.Context, seed uint64) (*decoder.Model, *markovChain, error) {
	chain := newChain(rng.Stream(seed, 10))
	r := markovRecipe
	r.Seed = seed
	recipe := struct {
		Recipe   decoder.Recipe
		Sparsity float64
		Text     int
		Version  int
	}{r, markovSparsity, markovText, 1}
	b, err := cache.Get(ctx, "markov-lm", recipe, func(ctx context.Context) ([]byte, error) {
		m, err := decoder.Train(ctx, r, chain.text(markovText, rng.Stream(seed, 11)), nn.Options{})
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		err = data.WriteSafetensors(&b, &data.Safetensors{Tensors: m.Tensors()})
		return b.Bytes(), err
	})
	if err != nil {
		return nil, nil, err
	}
	s, err := data.ReadSafetensors(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	m, err := decoder.FromTensors(r.Shape, s.Tensors)
	return m, chain, err
}

var markovProblems = memo{Most: 64}

// markovProblem is the model of a cell's seed with its text.
func markovProblem(ctx context.Context, c lab.Cell) (*problem, error) {
	p := &problem{id: fmt.Sprintf("markov, seed %d, %s and %s sequences", c.Seed, c.Values.Text("calibration"), c.Values.Text("test"))}
	return once(&markovProblems, p.id, func() (*problem, error) {
		m, chain, err := markovModel(ctx, c.Seed)
		if err != nil {
			return nil, err
		}
		p.model = m
		length := markovRecipe.Shape.Context + 1
		p.calibration = chain.sequences(c.Values.Int("calibration"), length, rng.Stream(c.Seed, 12))
		p.test = chain.sequences(c.Values.Int("test"), length, rng.Stream(c.Seed, 13))
		return p, nil
	})
}

// markovParams are the sizes of its texts.
func markovParams() []lab.Param {
	return []lab.Param{
		{Name: "calibration", Help: "sequences of 25 tokens to calibrate on", Kind: lab.Int, Default: "64", Min: 1, Max: 10000},
		{Name: "test", Help: "sequences to judge by", Kind: lab.Int, Default: "800", At: map[lab.Size]string{lab.Full: "4000"}, Min: 1, Max: 100000},
		{Name: "group", Help: "inputs that share a scale", Kind: lab.Int, Default: "32", Min: 1, Max: 64},
	}
}

// markovBits is the paper's main question on models that are trained here.
func markovBits() *lab.Experiment {
	return &lab.Experiment{
		Name:    "mixllm/markov",
		Title:   "Rows at 8 bits, chosen over the whole model: loss over bits",
		Help:    "Small decoders, one a seed, have learned a random second-order Markov source. All linear layers of their blocks are quantized and run in integers, activations in 8 bits. The loss is that on new text, over the float32 model's.",
		Cost:    bits,
		Quality: lab.Axis{Name: "loss increase", Unit: "nats"},
		Params:  slices.Concat(bitsParams("10"), markovParams(), []lab.Param{roundingParam("nearest"), seedsParam("models, each of a source of its own", "3", "10")}),
		Version: 1,
		Grid:    bitsGrid,
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			if err := checkCell(c); err != nil {
				return lab.Outcome{}, err
			}
			p, err := markovProblem(ctx, c)
			if err != nil {
				return lab.Outcome{}, err
			}
			r, err := p.quantized(ctx, c)
			return lab.Outcome{Cost: r.bits, Quality: r.loss - r.floatLoss, Metrics: r.metrics()}, err
		},
		Claims: markovClaims(),
	}
}
