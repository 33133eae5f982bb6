package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/adjoint"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/report"
)

// guideFlags are what the user asked of assay guide.
type guideFlags struct {
	model      modelFlags
	label      int
	from       string // label that is drawn; "": none
	tune       string
	method     string
	gradient   string
	states     string
	steps      int
	n          int
	seed       uint64
	guidance   float64
	iterations int
	rate       float64
	clamp      float64
	out        string
}

// The choices of assay guide.
var (
	tunes     = []string{"noise", "embedding"}
	gradients = []string{"discrete", "continuous"}
	stored    = []string{"grid", "full", "recursive", "none"}
)

func (c *console) guideCommand() *cobra.Command {
	var f guideFlags
	cmd := &cobra.Command{
		Use:   "guide",
		Short: "Change noise or condition until samples are judged as wanted",
		Long: `guide takes the gradient of a classifier's score through the whole sampling run
(AdjointDPM) and follows it: to start noise from which the model draws the digit
that is wanted, or to another embedding for a label. Memory does not grow with
the model's activations.

It writes a picture, samples as they were above and as they became below, and the
noise or the embedding that was found.`,
		Example: `  assay guide --label 8
  assay guide --label 9 --from 4 --guidance 2
  assay guide --label 8 --from 3 --tune embedding --n 16
  assay guide --label 8 --clamp 0.1             an attack: hardly other noise`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.guide(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: "+builtinMNIST+" (an ONNX file gives no gradient)")
	flags.IntVar(&f.label, "label", 8, "`DIGIT` that the classifier shall see")
	flags.StringVar(&f.from, "from", "", "`CLASS` that the model draws; default none")
	flags.StringVar(&f.tune, "tune", "noise", "`WHAT` to change: noise, or the embedding of --from")
	flags.StringVar(&f.method, "method", "dpmpp-2m", "`NAME` of the method, as in assay sample")
	flags.IntVar(&f.steps, "steps", 10, "`N`, evaluations of the model a run")
	flags.IntVar(&f.n, "n", 8, "`N` samples")
	flags.Uint64Var(&f.seed, "seed", 1, "`N`: the same seed starts from the same noise")
	flags.Float64Var(&f.guidance, "guidance", 1, "classifier-free guidance `SCALE`, with --from")
	flags.IntVar(&f.iterations, "iterations", 30, "`N` steps of Adam")
	flags.Float64Var(&f.rate, "rate", 0.03, "`RATE` of Adam")
	flags.Float64Var(&f.clamp, "clamp", 0, "`D`: no number moves further than this; 0 for no bound")
	flags.StringVar(&f.gradient, "gradient", "discrete", "`KIND`: discrete (exact for the method), or continuous\n(the paper's adjoint ODE)")
	flags.StringVar(&f.states, "states", "grid", "`WHERE` states come from: grid, full, recursive or none")
	flags.StringVar(&f.out, "out", "guided.png", "write the picture into `FILE`; the tensor lies beside it")
	addModelFlags(flags, &f.model)
	cmd.RegisterFlagCompletionFunc("method", completeMethods)
	for name, choices := range map[string][]string{"tune": tunes, "gradient": gradients, "states": stored} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// check reads what does not depend on the model.
func (f *guideFlags) check() (method diffusion.Method, labels []int, o adjoint.Options, err error) {
	fail := func(format string, args ...any) (diffusion.Method, []int, adjoint.Options, error) {
		return nil, nil, o, usagef("", format, args...)
	}
	mode, states := slices.Index(gradients, f.gradient), slices.Index(stored, f.states)
	switch {
	case !slices.Contains(tunes, f.tune):
		return fail("--tune %s: must be %s", f.tune, strings.Join(tunes, " or "))
	case mode < 0:
		return fail("--gradient %s: must be %s", f.gradient, strings.Join(gradients, " or "))
	case states < 0:
		return fail("--states %s: must be one of %s", f.states, strings.Join(stored, ", "))
	case f.n < 1 || f.n > batch:
		return fail("n = %d: must be from 1 to %d", f.n, batch)
	case f.steps < 1 || f.iterations < 1:
		return fail("%d steps, %d iterations: both must be positive", f.steps, f.iterations)
	case !(f.rate > 0) || math.IsInf(f.rate, 0):
		return fail("rate = %g: must be positive", f.rate)
	case f.clamp < 0 || math.IsNaN(f.clamp):
		return fail("clamp = %g: must not be negative", f.clamp)
	case f.tune == "embedding" && f.from == "":
		return fail("--tune embedding needs --from CLASS: the label whose embedding is changed")
	case !strings.EqualFold(filepath.Ext(f.out), ".png"):
		return fail("--out %s: must end in .png", f.out)
	}
	if f.from != "" {
		l, err := strconv.Atoi(f.from)
		if err != nil {
			return fail("--from %s: must be one class, as a number", f.from)
		}
		labels = []int{l}
	}
	if method, err = diffusion.MethodNamed(f.method); err != nil {
		return nil, nil, o, asUsage(err)
	}
	return method, labels, adjoint.Options{Mode: adjoint.Mode(mode), Checkpoint: adjoint.Checkpoint(states)}, nil
}

// guide is assay guide.
func (c *console) guide(ctx context.Context, f guideFlags) error {
	method, labels, o, err := f.check()
	if err != nil {
		return err
	}
	model, err := c.openModel(f.model)
	if err != nil {
		return err
	}
	defer model.Close()
	if _, err := model.Differentiable(labels, f.guidance, network.TrainNothing); err != nil {
		return asUsage(err)
	}
	if f.label < 0 || f.label >= model.Classes {
		return usagef("", "label = %d: must be from 0 to %d", f.label, model.Classes-1)
	}
	judge, err := network.MNISTClassifier()
	if err != nil {
		return err
	}
	p := diffusion.Problem[float32]{N: f.n, Grid: diffusion.Grid{Schedule: model.Schedule, Steps: f.steps}, Noise: diffusion.Seeded(f.seed)}
	if p.X, err = diffusion.Start[float32](p.Grid, f.n, model.Len(), p.Noise); err != nil {
		return err
	}
	bar := c.progress("guiding", "iterations")
	defer bar.close()
	d := adjoint.Descent{Iterations: f.iterations, Adam: adjoint.Adam{Rate: f.rate}, Clamp: f.clamp, Gradient: o,
		OnIteration: func(i int, loss float64) error {
			bar.set(i, f.iterations, fmt.Sprintf("log probability of %d: %.2f", f.label, -loss))
			return nil
		}}
	loss := network.TowardsLabel(ctx, judge, f.label)
	var found *adjoint.Descended[float32]
	if f.tune == "noise" {
		found, err = model.GuideNoise(ctx, p, method, labels, f.guidance, loss, d)
	} else {
		found, err = model.TuneEmbedding(ctx, p, method, labels[0], f.guidance, loss, d)
	}
	bar.close()
	if err != nil {
		return guideError(err)
	}
	return c.writeGuided(ctx, f, model, judge, p.X, found)
}

// guideError tells settings that do not go together from failures.
func guideError(err error) error {
	var far *adjoint.MismatchError
	if errors.As(err, &far) {
		return asUsage(err)
	}
	for _, advice := range []string{"take the discrete gradient", "take a lower rate", "keep states", "needs at least", "is not defined"} {
		if strings.Contains(err.Error(), advice) {
			return asUsage(err)
		}
	}
	return err
}

// writeGuided writes the picture and the tensor, and says what became of the samples.
func (c *console) writeGuided(ctx context.Context, f guideFlags, model *network.Model, judge network.Classifier, start []float32, r *adjoint.Descended[float32]) error {
	tensor := data.Tensor{Shape: append([]int{f.n}, model.Shape...), Data: r.Start}
	if f.tune == "embedding" {
		e := make([]float32, len(r.Params))
		for i, v := range r.Params {
			e[i] = float32(v)
		}
		tensor = data.Tensor{Shape: []int{len(e)}, Data: e}
	}
	img, err := report.ImageGrid(slices.Concat(r.First, r.X), 2*f.n, model.Shape[0], model.Shape[1], model.Shape[2], f.n)
	if err != nil {
		return err
	}
	var picture, npy bytes.Buffer
	if err := png.Encode(&picture, img); err != nil {
		return err
	}
	if err := data.WriteNPY(&npy, tensor); err != nil {
		return err
	}
	name := strings.TrimSuffix(f.out, filepath.Ext(f.out)) + ".npy"
	if err := cache.WriteFile(f.out, picture.Bytes()); err != nil {
		return err
	}
	if err := cache.WriteFile(name, npy.Bytes()); err != nil {
		return err
	}
	before, err := judged(ctx, judge, r.First, f)
	if err != nil {
		return err
	}
	after, err := judged(ctx, judge, r.X, f)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "                            before     after\n")
	fmt.Fprintf(c.out, "probability of %d (mean)     %6.3f    %6.3f\n", f.label, before.probability, after.probability)
	fmt.Fprintf(c.out, "judged as %d                 %6s    %6s\n", f.label, before.count, after.count)
	if f.tune == "noise" {
		fmt.Fprintf(c.out, "noise moved (root mean square)       %7.3f\n", moved(r.Start, start))
	}
	c.note("%d evaluations of the model and %d products with its Jacobian", r.NFE, r.VJPs)
	fmt.Fprintf(c.out, "\nPicture  %s  above: before; below: after\nTensor   %s  float32 %s, the %s that was found\n", f.out, name, times(tensor.Shape), f.tune)
	return nil
}

// A judgement is what the classifier says of samples.
type judgement struct {
	probability float64
	count       string
}

func judged(ctx context.Context, judge network.Classifier, x []float32, f guideFlags) (judgement, error) {
	logs, err := judge.LogProb(ctx, x, f.n, []int{f.label}, nil)
	if err != nil {
		return judgement{}, err
	}
	labels, err := judge.Classify(ctx, x, f.n)
	if err != nil {
		return judgement{}, err
	}
	var j judgement
	right := 0
	for i, l := range logs {
		j.probability += math.Exp(l) / float64(f.n)
		if labels[i] == f.label {
			right++
		}
	}
	j.count = fmt.Sprintf("%d of %d", right, f.n)
	return j, nil
}

// moved is the root mean square of a difference.
func moved(x, y []float32) float64 {
	var s float64
	for i, v := range x {
		d := float64(v - y[i])
		s += d * d
	}
	return math.Sqrt(s / float64(len(x)))
}
