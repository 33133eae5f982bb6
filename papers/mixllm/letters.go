package mixllm

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/assay-lab/assay/internal/nn/tinylm"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab"
)

// Builtin is the language model that assay ships.
const Builtin = "builtin:tiny-lm"

// OpenLetters opens the shipped language model, or one that assay train tiny-lm
// has made.
func OpenLetters(name string) (*tinylm.Model, error) {
	if name == Builtin {
		return tinylm.Shipped()
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := tinylm.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// CalibrationText draws sequences from the text that the model was trained on.
func CalibrationText(m *tinylm.Model, n int, seed uint64) ([][]int, error) {
	train, _, err := tinylm.Text()
	if err != nil {
		return nil, err
	}
	tokens, err := m.Encode(train)
	if err != nil {
		return nil, err
	}
	src := rng.Stream(seed, 12)
	length := m.Shape.Context + 1
	seqs := make([][]int, n)
	for i := range seqs {
		at := src.IntN(len(tokens) - length + 1)
		seqs[i] = tokens[at : at+length]
	}
	return seqs, nil
}

// TestText is n sequences, evenly spread over the text that it has not seen.
func TestText(m *tinylm.Model, n int) ([][]int, error) {
	_, rest, err := tinylm.Text()
	if err != nil {
		return nil, err
	}
	tokens, err := m.Encode(rest)
	if err != nil {
		return nil, err
	}
	length := m.Shape.Context + 1
	n = min(n, len(tokens)/length)
	seqs := make([][]int, n)
	for i := range seqs {
		at := i * (len(tokens) - length) / n
		seqs[i] = tokens[at : at+length]
	}
	return seqs, nil
}

var letterModels, letterProblems = memo{Most: 4}, memo{Most: 16}

func letterProblem(c lab.Cell) (*problem, error) {
	name := c.Values.Text("model")
	id := strings.Join([]string{"letters", name, fmt.Sprint(c.Seed), c.Values.Text("calibration"), c.Values.Text("test")}, " ")
	return once(&letterProblems, id, func() (*problem, error) {
		m, err := once(&letterModels, name, func() (*tinylm.Model, error) { return OpenLetters(name) })
		if err != nil {
			return nil, err
		}
		p := &problem{id: id, model: m.Model}
		if p.calibration, err = CalibrationText(m, c.Values.Int("calibration"), c.Seed); err != nil {
			return nil, err
		}
		p.test, err = TestText(m, c.Values.Int("test"))
		return p, err
	})
}

// letterBits is the same question of the language model that assay ships.
func letterBits() *lab.Experiment {
	return &lab.Experiment{
		Name:    "mixllm/letters",
		Title:   "A language model of letters in 3 to 8 bits: increase of perplexity over bits",
		Help:    "A decoder of three blocks has read plays of Shakespeare letter by letter. Its linear layers are quantized by GPTQ and run in integers, activations in 8 bits. The increase is that of the perplexity on plays that it has not read, over the float32 model's of 5.1; seeds differ in the text that it is calibrated on.",
		Cost:    bits,
		Quality: lab.Axis{Name: "perplexity increase", Log: true},
		Params: slices.Concat(bitsParams("10,50"), []lab.Param{
			{Name: "model", Help: "the language model: built in, or what assay train tiny-lm has made", Kind: lab.Input, Default: Builtin, Choices: []string{Builtin}, Accept: []string{".safetensors"}},
			{Name: "calibration", Help: "sequences of 65 letters to calibrate on", Kind: lab.Int, Default: "128", At: map[lab.Size]string{lab.Quick: "8"}, Min: 1, Max: 10000},
			{Name: "test", Help: "sequences to judge by", Kind: lab.Int, Default: "300", At: map[lab.Size]string{lab.Quick: "40", lab.Full: "1700"}, Min: 1, Max: 1700},
			{Name: "group", Help: "inputs that share a scale", Kind: lab.Int, Default: "128", Min: 1, Max: 128},
			roundingParam("gptq"),
			seedsParam("draws of calibration text", "3", "5"),
		}),
		Version: 1,
		Grid:    bitsGrid,
		Run: func(ctx context.Context, c lab.Cell) (lab.Outcome, error) {
			if err := checkCell(c); err != nil {
				return lab.Outcome{}, err
			}
			p, err := letterProblem(c)
			if err != nil {
				return lab.Outcome{}, err
			}
			r, err := p.quantized(ctx, c)
			ms := r.metrics()
			ms["perplexity"], ms["perplexity of float32"] = math.Exp(r.loss), math.Exp(r.floatLoss)
			return lab.Outcome{Cost: r.bits, Quality: math.Exp(r.loss) - math.Exp(r.floatLoss), Metrics: ms}, err
		},
		Claims: letterClaims(),
	}
}
