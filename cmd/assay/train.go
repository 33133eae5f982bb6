package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/nn"
	"github.com/assay-lab/assay/internal/nn/classifier"
	"github.com/assay-lab/assay/internal/nn/mixer"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/internal/nn/tinylm"
)

// A trainee is a network that assay trains.
type trainee struct {
	name  string
	doc   string
	steps int
	seed  uint64
	onnx  bool // can be written as an ONNX file too
	train func(ctx context.Context, steps int, seed uint64, opt nn.Options) (saver, error)
}

// A saver is a trained network.
type saver interface{ Save(io.Writer) error }

func trainees() []trainee {
	return []trainee{
		{"mnist-denoiser", "the class-conditional denoiser that comes with assay", mixer.MNIST.Steps, mixer.MNIST.Seed, true,
			func(ctx context.Context, steps int, seed uint64, opt nn.Options) (saver, error) {
				set, _, err := mnist.Split()
				if err != nil {
					return nil, err
				}
				r := mixer.MNIST
				r.Steps, r.Seed, r.Warmup = steps, seed, min(r.Warmup, steps/2)
				return mixer.Train(ctx, r, set.X, set.Labels, opt)
			}},
		{"mnist-classifier", "the classifier whose features measure how real samples look", classifier.MNIST.Steps, classifier.MNIST.Seed, false,
			func(ctx context.Context, steps int, seed uint64, opt nn.Options) (saver, error) {
				_, set, err := mnist.Split()
				if err != nil {
					return nil, err
				}
				r := classifier.MNIST
				r.Steps, r.Seed, r.Warmup = steps, seed, min(r.Warmup, steps/2)
				return classifier.Train(ctx, r, set.X, set.Labels, opt)
			}},
		{"restorer", "the network of assay restore, for noise, blur and holes", mixer.MNISTRestorer.Steps, mixer.MNISTRestorer.Seed, false,
			func(ctx context.Context, steps int, seed uint64, opt nn.Options) (saver, error) {
				set, _, err := mnist.Split()
				if err != nil {
					return nil, err
				}
				r := mixer.MNISTRestorer
				r.Steps, r.Seed, r.Warmup = steps, seed, min(r.Warmup, steps/2)
				return mixer.TrainRestorer(ctx, r, set.Unit(), opt)
			}},
		{"tiny-lm", "the language model of letters that assay quantize shrinks", tinylm.Recipe.Steps, tinylm.Recipe.Seed, false,
			func(ctx context.Context, steps int, seed uint64, opt nn.Options) (saver, error) {
				r := tinylm.Recipe
				r.Steps, r.Seed, r.Warmup = steps, seed, min(r.Warmup, steps/2)
				return tinylm.Train(ctx, r, opt)
			}},
	}
}

func (c *console) trainCommand() *cobra.Command {
	var steps int
	var seed uint64
	var out string
	names := make([]string, 0, 2)
	about := "train makes one of the networks that come with assay anew:\n"
	for _, t := range trainees() {
		names = append(names, t.name)
		about += fmt.Sprintf("\n  %-17s %s", t.name, t.doc)
	}
	cmd := &cobra.Command{
		Use:   "train NETWORK",
		Short: "Train one of the networks that come with assay",
		Long: about + `

The same seed gives the same weights on one machine. Training that was stopped
goes on where it was when the same command is typed again: its state lies beside
the output, in a file that ends in .checkpoint.`,
		Example: `  assay train mnist-denoiser
  assay train mnist-denoiser --out mine.onnx
  assay train mnist-denoiser --steps 100 --seed 2    a first try`,
		Args:      takes(1, 1, "a network: "+strings.Join(names, " or ")),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.Index(names, args[0])
			if i < 0 {
				return usagef("", "unknown network %q: must be %s", args[0], strings.Join(names, " or "))
			}
			t := trainees()[i]
			if cmd.Flags().Changed("steps") {
				t.steps = steps
			}
			if cmd.Flags().Changed("seed") {
				t.seed = seed
			}
			return c.train(cmd.Context(), t, out)
		},
	}
	cmd.Flags().IntVar(&steps, "steps", 0, "train for `N` steps")
	cmd.Flags().Lookup("steps").DefValue = "those of the network that comes with assay"
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`N`: the same seed gives the same weights")
	cmd.Flags().StringVar(&out, "out", "", "write into `FILE`, .safetensors or .onnx")
	cmd.Flags().Lookup("out").DefValue = "NETWORK.safetensors"
	return cmd
}

// train is assay train.
func (c *console) train(ctx context.Context, t trainee, out string) error {
	if out == "" {
		out = t.name + ".safetensors"
	}
	end := strings.ToLower(filepath.Ext(out))
	switch {
	case t.steps < 1:
		return usagef("", "steps = %d: must be positive", t.steps)
	case end == ".onnx" && !t.onnx:
		return usagef("", "--out %s: %s is written as .safetensors only", out, t.name)
	case end != ".safetensors" && end != ".onnx":
		return usagef("", "--out %s: must end in .safetensors or .onnx", out)
	}
	c.resumable.Store(true)
	checkpoint := out + ".checkpoint"
	bar := c.progress(t.name, "steps")
	defer bar.close()
	net, err := t.train(ctx, t.steps, t.seed, nn.Options{Checkpoint: checkpoint, Progress: func(p nn.Progress) {
		bar.set(p.Step, p.Steps, fmt.Sprintf("loss %.4f", p.Loss))
	}})
	if err != nil {
		return err
	}
	took := bar.close()
	if err := saveNetwork(net, out); err != nil {
		return err
	}
	if err := os.Remove(checkpoint); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.note("%s: %d steps in %s", t.name, t.steps, roundDuration(took))
	fmt.Fprintf(c.out, "Weights  %s\n", out)
	if end == ".onnx" {
		c.note("Draw from it: %s sample --model %s --label all", c.program, shellQuote(out))
	}
	return nil
}

// saveNetwork writes a trained network as its file's name asks.
func saveNetwork(net saver, out string) error {
	if d, ok := net.(*mixer.Denoiser); ok && strings.EqualFold(filepath.Ext(out), ".onnx") {
		return d.ONNX().Write(out)
	}
	var b bytes.Buffer
	if err := net.Save(&b); err != nil {
		return err
	}
	return cache.WriteFile(out, b.Bytes())
}
