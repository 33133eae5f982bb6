package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/report"
)

// sampleFlags are what the user asked of assay sample.
type sampleFlags struct {
	model    modelFlags
	method   string
	steps    int
	n        int
	seed     uint64
	guidance float64
	label    string
	spacing  string  // "": the method's own
	eta      float64 // negative: the method's own
	toZero   bool
	dynamic  float64
	clip     float64
	out      string
	npy      string

	statistics string // file, for the methods that need one
	schedule   string // file, in place of a method
	chain      chainFlags
	shift      timeShiftFlags
}

func (c *console) sampleCommand() *cobra.Command {
	var f sampleFlags
	cmd := &cobra.Command{
		Use:   "sample",
		Short: "Draw samples from a diffusion model, with any method",
		Long: `sample draws from the model that comes with assay, or from your own as an ONNX
file. It writes the samples as a picture, and as a tensor beside it.`,
		Example: `  assay sample --out digits.png
  assay sample --label 7 --guidance 3 --steps 10 --method dpmpp-2m
  assay sample --label all --n 100            one column a class
  assay sample --n 640 --chains 64            by Markov chains
  assay sample --model my.onnx --predict noise --schedule ddpm-linear`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.schedule != "" {
				for _, name := range []string{"method", "steps", "spacing", "eta", "to-zero"} {
					if cmd.Flags().Changed(name) {
						return usagef("", "--%s and --schedule-file: a solver schedule decides that itself", name)
					}
				}
			}
			if err := f.checkChains(cmd.Flags().Changed); err != nil {
				return err
			}
			if err := f.shift.check(cmd.Flags()); err != nil {
				return err
			}
			return c.sample(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: "+builtinMNIST+", or an ONNX file")
	flags.StringVar(&f.method, "method", "dpmpp-2m", "`NAME` of the method; an unknown one lists all")
	flags.IntVar(&f.steps, "steps", 20, "`N`, the budget: evaluations of the model")
	flags.IntVar(&f.n, "n", 64, "draw `N` samples")
	flags.Uint64Var(&f.seed, "seed", 1, "`N`: the same seed gives the same samples")
	flags.StringVar(&f.label, "label", "", "`CLASS` to draw, several with commas, or all")
	flags.Float64Var(&f.guidance, "guidance", 1, "classifier-free guidance `SCALE`, with --label")
	flags.StringVar(&f.spacing, "spacing", "", "`NAME`: "+strings.Join(diffusion.SpacingNames(), ", "))
	flags.Lookup("spacing").DefValue = "the method's own"
	flags.StringVar(&f.statistics, "statistics", "", "`FILE` of assay statistics, for DPM-Solver-v3")
	flags.StringVar(&f.schedule, "schedule-file", "", "`FILE` of assay search schedule, in place of --method and\n--steps")
	flags.Float64Var(&f.eta, "eta", -1, "`ETA`, noise of stochastic methods, 0 for none")
	flags.Lookup("eta").DefValue = "the method's own"
	flags.BoolVar(&f.toZero, "to-zero", false, "end at no noise at all")
	flags.Float64Var(&f.dynamic, "threshold", 0, "dynamic thresholding at this `QUANTILE`, such as 0.995")
	flags.Float64Var(&f.clip, "clip", 0, "clip predicted data to ±`LIMIT`, such as 1")
	flags.StringVar(&f.out, "out", "samples.png", "write the picture into `FILE`")
	flags.StringVar(&f.npy, "npy", "", "write the tensor into `FILE` (default beside the picture)")
	addChainFlags(flags, &f.chain)
	f.shift.add(flags)
	addModelFlags(flags, &f.model)
	cmd.RegisterFlagCompletionFunc("method", completeMethods)
	cmd.RegisterFlagCompletionFunc("spacing", cobra.FixedCompletions(diffusion.SpacingNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// sampleMethods lists all methods, those that need statistics last.
func sampleMethods() []diffusion.NamedMethod {
	return slices.Concat(diffusion.Methods(), diffusion.StatisticsMethods())
}

func completeMethods(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var cs []cobra.Completion
	for _, m := range sampleMethods() {
		cs = append(cs, cobra.CompletionWithDesc(m.Name, m.Doc))
	}
	return cs, cobra.ShellCompDirectiveNoFileComp
}

// A drawing is a checked request for samples.
type drawing struct {
	model    *network.Model
	method   diffusion.Method
	name     string // of the method
	grid     diffusion.Grid
	hook     diffusion.Hook[float32]
	n        int
	labels   []int // the classes to draw, in turn; nil for none
	guidance float64
	seed     uint64
}

// sample is assay sample.
func (c *console) sample(ctx context.Context, f sampleFlags) error {
	method, err := f.checkMethod()
	if err != nil {
		return err
	}
	if f.n < 1 {
		return usagef("", "n = %d: must be positive", f.n)
	}
	if f.npy == "" {
		f.npy = strings.TrimSuffix(f.out, filepath.Ext(f.out)) + ".npy"
	}
	if !strings.EqualFold(filepath.Ext(f.out), ".png") {
		return usagef("", "--out %s: must end in .png", f.out)
	}
	if filepath.Clean(f.npy) == filepath.Clean(f.out) {
		return usagef("", "--npy %s is the picture's file too", f.npy)
	}
	model, err := c.openModel(f.model)
	if err != nil {
		return err
	}
	defer model.Close()
	d, err := f.drawing(model, method)
	if err != nil {
		return err
	}
	if s, ok := d.method.(diffusion.TimeShift); ok {
		if w := s.Warning(model.Len()); w != "" {
			c.note("Note: %s.", w)
		}
	}
	draw := c.draw
	if f.chain.chains > 0 {
		draw = f.chain.draw(c)
	}
	samples, err := draw(ctx, d)
	if err != nil {
		return err
	}
	return c.writeSamples(d, samples, f.out, f.npy)
}

// checkMethod checks what does not depend on the model.
func (f *sampleFlags) checkMethod() (diffusion.Method, error) {
	if f.schedule != "" {
		return f.readSchedule()
	}
	m, err := namedMethod(f.method)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(sampleMethods(), func(m diffusion.NamedMethod) bool { return m.Name == f.method })
	switch needs := i >= len(diffusion.Methods()); {
	case needs && f.statistics == "":
		return nil, usagef("Make them once for a model: assay statistics --help", "--method %s needs statistics of the model: --statistics FILE", f.method)
	case !needs && f.statistics != "":
		return nil, usagef("", "--statistics %s: %s takes no statistics of the model", f.statistics, f.method)
	}
	if f.eta >= 0 {
		if m, err = diffusion.WithEta(m, f.eta); err != nil {
			return nil, usagef("", "--eta %g: %s is deterministic", f.eta, f.method)
		}
	}
	if f.steps < 1 {
		return nil, usagef("", "steps = %d: must be positive", f.steps)
	}
	return m, f.checkHooks()
}

// namedMethod is the method of that name; that of an unknown one is an error that
// lists all.
func namedMethod(name string) (diffusion.Method, error) {
	for _, m := range sampleMethods() {
		if m.Name == name {
			return m.Method, nil
		}
	}
	if m, ok, err := diffusion.ParseMomentum(name); ok && err != nil {
		return nil, asUsage(err)
	} else if ok {
		return m, nil
	}
	var list strings.Builder
	list.WriteString("The methods are:")
	for _, m := range sampleMethods() {
		fmt.Fprintf(&list, "\n  %-18s  %s", m.Name, m.Doc)
	}
	return nil, usagef(list.String(), "unknown method %q", name)
}

func (f *sampleFlags) checkHooks() error {
	if f.dynamic != 0 && f.clip != 0 {
		return usagef("", "--threshold and --clip: give one")
	}
	return nil
}

// readSchedule is the method of a file of assay search schedule.
func (f *sampleFlags) readSchedule() (diffusion.Method, error) {
	text, err := os.ReadFile(f.schedule)
	if err != nil {
		return nil, usagef("", "--schedule-file: %v", err)
	}
	s, err := diffusion.ParseSolverSchedule(text)
	if err != nil {
		return nil, usagef("", "%s: %v", f.schedule, err)
	}
	switch needs := s.NeedsStatistics(); {
	case needs && f.statistics == "":
		return nil, usagef("Make them once for a model: assay statistics --help", "%s has steps of DPM-Solver-v3: they need --statistics FILE", f.schedule)
	case !needs && f.statistics != "":
		return nil, usagef("", "--statistics %s: %s takes no statistics of the model", f.statistics, f.schedule)
	}
	f.method = f.schedule
	return diffusion.USF{Schedule: s}, f.checkHooks()
}

// drawing checks what depends on the model.
func (f *sampleFlags) drawing(model *network.Model, method diffusion.Method) (*drawing, error) {
	d := &drawing{model: model, method: method, name: f.method, n: f.n, guidance: f.guidance, seed: f.seed}
	d.grid = diffusion.Grid{Schedule: model.Schedule, Steps: f.steps, ToZero: f.toZero}
	if u, ok := method.(diffusion.USF); ok {
		ts := u.Schedule.Times
		d.grid.Steps, d.grid.Start, d.grid.End = len(ts)-1, ts[0], ts[len(ts)-1]
	}
	var err error
	if f.spacing != "" {
		if d.grid.Spacing, err = diffusion.ParseSpacing(f.spacing); err != nil {
			return nil, asUsage(err)
		}
	}
	switch {
	case f.dynamic != 0:
		d.hook, err = diffusion.DynamicThreshold[float32](f.dynamic, 1)
	case f.clip != 0:
		d.hook, err = diffusion.StaticThreshold[float32](f.clip)
	}
	if err != nil {
		return nil, asUsage(err)
	}
	if d.labels, err = parseLabels(f.label, model.Classes); err != nil {
		return nil, err
	}
	if k := len(d.labels); k > 1 { // whole rows of one sample a class
		d.n = (d.n + k - 1) / k * k
	}
	if _, err := d.denoiser(0, 1); err != nil {
		return nil, asUsage(err)
	}
	if f.statistics != "" {
		if d.method, err = f.withStatistics(d); err != nil {
			return nil, err
		}
	}
	f.shift.apply(d)
	if _, err := diffusion.Trace(d.method, d.grid, diffusion.TraceOptions{Predicts: model.Predicts, Hook: d.hook != nil}); err != nil {
		return nil, asUsage(err)
	}
	return d, nil
}

// asUsage is for errors about what the user gave.
func asUsage(err error) error { return &usageError{message: err.Error()} }

// parseLabels reads "", "7", "0,1,2" or "all".
func parseLabels(s string, classes int) ([]int, error) {
	labels, err := compare.ParseLabels(s, classes)
	if err != nil {
		return nil, usagef("", "--%v", err)
	}
	return labels, nil
}

// denoiser is the model for n samples from the sample with that index on.
func (d *drawing) denoiser(from, n int) (diffusion.Denoiser[float32], error) {
	var labels []int
	if d.labels != nil {
		labels = make([]int, n)
		for i := range labels {
			labels[i] = d.labels[(from+i)%len(d.labels)]
		}
	}
	return d.model.Guided(labels, d.guidance)
}

// batch is how many samples go through the model together.
const batch = 64

// samples are what was drawn, and what it cost.
type samples struct {
	x           []float32
	nfe, passes int // of one sample
	took        time.Duration

	chains, start int // if any: chains, and evaluations of each before its first sample
	worth         int // so many independent samples; 0: unknown
}

// draw draws the samples, batch by batch.
func (c *console) draw(ctx context.Context, d *drawing) (samples, error) {
	var s samples
	start := time.Now()
	bar := c.progress("sampling", "steps")
	defer bar.close()
	batches := (d.n + batch - 1) / batch
	for b := range batches {
		from := b * batch
		n := min(batch, d.n-from)
		model, err := d.denoiser(from, n)
		if err != nil {
			return s, err
		}
		noise := shifted{diffusion.Seeded(d.seed), from}
		x, err := diffusion.Start[float32](d.grid, n, d.model.Len(), noise)
		if err != nil {
			return s, err
		}
		note := ""
		if batches > 1 {
			note = fmt.Sprintf("samples %d to %d", from+1, from+n)
		}
		sol, err := diffusion.Solve(ctx, diffusion.Problem[float32]{
			Model: model, Grid: d.grid, X: x, N: n, Noise: noise, Hook: d.hook,
			OnStep: func(st diffusion.Step[float32]) error {
				bar.set(b*st.Of+st.Index+1, batches*st.Of, note)
				return nil
			},
		}, d.method)
		if err != nil {
			return s, err
		}
		s.x = append(s.x, sol.X...)
		s.nfe, s.passes = sol.NFE, sol.Passes
	}
	s.took = time.Since(start)
	return s, nil
}

// shifted gives the samples of a batch the noise that they have in the whole.
type shifted struct {
	source diffusion.NoiseSource
	by     int
}

func (s shifted) Normal(dst []float64, draw, sample int) error {
	return s.source.Normal(dst, draw, s.by+sample)
}

// writeSamples writes the picture and the tensor, and says what they are.
func (c *console) writeSamples(d *drawing, s samples, out, npy string) error {
	shape := append([]int{d.n}, d.model.Shape...)
	var b bytes.Buffer
	if err := data.WriteNPY(&b, data.Tensor{Shape: shape, Data: s.x}); err != nil {
		return err
	}
	if err := cache.WriteFile(npy, b.Bytes()); err != nil {
		return err
	}
	cost := fmt.Sprintf("%d evaluations", s.nfe)
	if s.passes != s.nfe {
		cost += fmt.Sprintf(" (%d network passes)", s.passes)
	}
	c.note("%d samples by %s, %s each, in %s", d.n, d.name, cost, roundDuration(s.took))
	if s.chains > 0 {
		c.note("%s", s.about())
	}
	picture, err := picture(d, s.x)
	switch {
	case errors.Is(err, errNoPicture):
		fmt.Fprintf(c.out, "Tensor   %s  float32 %s\n", npy, times(shape))
		c.note("Samples of shape %s are no pictures: only the tensor is written.", times(d.model.Shape))
		return nil
	case err != nil:
		return err
	}
	if err := cache.WriteFile(out, picture); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Picture  %s\nTensor   %s  float32 %s\n", out, npy, times(shape))
	return nil
}

// errNoPicture is given for samples that are no gray or coloured images.
var errNoPicture = errors.New("no picture")

// picture is the samples side by side, as PNG.
func picture(d *drawing, x []float32) ([]byte, error) {
	ch, h, w, ok := imageShape(d.model.Shape)
	if !ok {
		return nil, errNoPicture
	}
	img, err := report.ImageGrid(x, d.n, ch, h, w, d.columns())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return b.Bytes(), err
}

// columns is how many samples stand in a row of the picture.
func (d *drawing) columns() int {
	if k := len(d.labels); k > 1 {
		return k
	}
	cols := 1
	for cols*cols < d.n {
		cols++
	}
	return cols
}

func times(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
	}
	return strings.Join(parts, "×")
}

// imageShape is channels, height and width of samples that are images.
func imageShape(shape []int) (ch, h, w int, ok bool) {
	if len(shape) == 2 {
		shape = slices.Insert(slices.Clone(shape), 0, 1)
	}
	if len(shape) != 3 || shape[0] != 1 && shape[0] != 3 {
		return 0, 0, 0, false
	}
	return shape[0], shape[1], shape[2], true
}
