package main

import (
	"bytes"
	"context"
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
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/report"
)

// editFlags are what the user asked of assay edit.
type editFlags struct {
	model    modelFlags
	image    string
	from, to int
	method   string
	gamma    float64
	steps    int
	guidance float64
	bits     bool
	out      string
	compare  string
}

// builtinDigit names the images that assay edit has at hand: mnist:17.
const builtinDigit = "mnist:"

func (c *console) editCommand() *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Turn a picture of one class into one of another",
		Long: `edit walks a picture to noise under its own label, by a sampler run backwards, and
makes it again under another label. With BDIA the way there and back is exact: under
its own label the very same picture comes out. With DDIM it is not.`,
		Example: `  assay edit --image in.png --from-label 3 --to-label 8
  assay edit --image in.png --from-label 3 --to-label 8 --method ddim
  assay edit --image mnist:18 --from-label 3 --to-label 8 --compare all.png
                                            with a digit that comes with assay`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"image", "from-label", "to-label"} {
				if !cmd.Flags().Changed(name) {
					return usagef(seeHelp(cmd), "--%s is missing", name)
				}
			}
			if f.method == "ddim" && (cmd.Flags().Changed("gamma") || f.bits) {
				return usagef("", "--gamma and --every-bit are for --method bdia")
			}
			if f.bits && !cmd.Flags().Changed("gamma") {
				f.gamma = 1
			}
			return c.edit(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.image, "image", "", "`FILE`, a PNG of the model's size; or mnist:N, a real digit")
	flags.IntVar(&f.from, "from-label", 0, "`CLASS` of the picture")
	flags.IntVar(&f.to, "to-label", 0, "`CLASS` to make of it")
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: "+builtinMNIST+", or an ONNX file")
	flags.StringVar(&f.method, "method", "bdia", "`NAME`: bdia, or ddim to compare")
	flags.Float64Var(&f.gamma, "gamma", 0.96, "`GAMMA` of BDIA, in (0, 1]")
	flags.IntVar(&f.steps, "steps", 50, "`N` steps each way")
	flags.Float64Var(&f.guidance, "guidance", 3, "classifier-free guidance `SCALE`, both ways")
	flags.BoolVar(&f.bits, "every-bit", false, "exact to the last bit, by states on a lattice; γ = 1")
	flags.StringVar(&f.out, "out", "edited.png", "write the edited picture into `FILE`")
	flags.StringVar(&f.compare, "compare", "", "also write the picture, the one made again under its\nown label and the edited one into `FILE`, in a row")
	addModelFlags(flags, &f.model)
	cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"bdia", "ddim"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// An editor takes one picture to noise and back under any label.
type editor struct {
	model    *network.Model
	method   diffusion.BDIA
	ddim     bool
	grid     diffusion.Grid // from noise to data
	guidance float64
	x        []float64 // the picture
	noise    diffusion.Pair[float64]
	onStep   func(diffusion.Step[float64]) error
}

// latticeOfStates is fine enough for pictures, and leaves room for states of 2²³.
const latticeOfStates = 1.0 / (1 << 30)

// grayLevel is half a gray level of 8 bits in [−1, 1]: errors below are not seen.
const grayLevel = 1.0 / 255

// edit is assay edit.
func (c *console) edit(ctx context.Context, f editFlags) error {
	e, err := c.editor(f)
	if err != nil {
		return err
	}
	defer e.model.Close()
	again, edited, err := c.thereAndBack(ctx, e, f.from, f.to)
	if err != nil {
		return err
	}
	off, levels := 0.0, 0
	for i, v := range e.x {
		off = max(off, math.Abs(again[i]-v))
		if data.Signed.Byte(float32(again[i])) != data.Signed.Byte(float32(v)) {
			levels++
		}
	}
	if err := e.write(f, again, edited); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Edited      %s, from %d to %d by %s\n", f.out, f.from, f.to, e)
	fmt.Fprintf(c.out, "Round trip  off by at most %s under label %d; %d of %d gray levels changed\n", small(off), f.from, levels, len(e.x))
	fmt.Fprintf(c.out, "Noise       mean square %.2f; that of a sampler is 1\n", meanSquare(e.noise.Noise))
	if f.compare != "" {
		fmt.Fprintf(c.out, "Compare     %s: the picture, made again, edited\n", f.compare)
	}
	if !e.ddim && off > grayLevel {
		c.note("The way back is off by more than rounding: the model does not always answer the same question alike.")
	}
	return nil
}

// small writes an error.
func small(x float64) string {
	if x == 0 {
		return "0"
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

func meanSquare(x []float64) float64 {
	var ss float64
	for _, v := range x {
		ss += v * v
	}
	return ss / float64(len(x))
}

func (e *editor) String() string {
	if e.ddim {
		return fmt.Sprintf("DDIM, %d steps", e.grid.Steps)
	}
	return fmt.Sprintf("BDIA-DDIM, γ = %g, %d steps", e.method.Gamma, e.grid.Steps)
}

// editor checks the request.
func (c *console) editor(f editFlags) (*editor, error) {
	e := &editor{ddim: f.method == "ddim", guidance: f.guidance, method: diffusion.BDIA{Gamma: f.gamma}}
	if f.bits {
		e.method.Lattice = latticeOfStates
	}
	switch {
	case f.method != "bdia" && f.method != "ddim":
		return nil, usagef("", "--method %s: must be bdia or ddim", f.method)
	case f.steps < 2:
		return nil, usagef("", "steps = %d: must be at least 2", f.steps)
	case f.gamma == 0:
		return nil, usagef("", "--gamma 0: that is DDIM, whose way back is not exact: must lie in (0, 1], or --method ddim")
	}
	for name, file := range map[string]string{"out": f.out, "compare": f.compare} {
		if file != "" && !strings.EqualFold(filepath.Ext(file), ".png") {
			return nil, usagef("", "--%s %s: must end in .png", name, file)
		}
	}
	if filepath.Clean(f.out) == filepath.Clean(f.compare) {
		return nil, usagef("", "--compare %s is the edited picture's file too", f.compare)
	}
	picture, err := pictureOrDigit(f.image)
	if err != nil {
		return nil, err
	}
	if e.model, err = c.openModel(f.model); err != nil {
		return nil, err
	}
	if err := e.check(f, picture); err != nil {
		e.model.Close()
		return nil, err
	}
	return e, nil
}

// check checks what depends on the model.
func (e *editor) check(f editFlags, picture data.Tensor) error {
	m := e.model
	ch, h, w, ok := imageShape(m.Shape)
	if !ok {
		return usagef("", "--model %s: samples of shape %s are no pictures", f.model.name, times(m.Shape))
	}
	if want := []int{ch, h, w}; !slices.Equal(picture.Shape, want) {
		return usagef("", "--image %s: %s: %s takes pictures of %s", f.image, sizeOf(picture.Shape), m.Name, sizeOf(want))
	}
	if m.Classes == 0 {
		return usagef("", "--model %s: the network takes no labels: there is nothing to edit by", f.model.name)
	}
	for _, flag := range []struct {
		name  string
		label int
	}{{"from-label", f.from}, {"to-label", f.to}} {
		if flag.label < 0 || flag.label >= m.Classes {
			return usagef("", "--%s %d: must be from 0 to %d", flag.name, flag.label, m.Classes-1)
		}
	}
	if _, err := m.Guided([]int{f.from}, f.guidance); err != nil {
		return asUsage(err)
	}
	for _, v := range picture.Float32() {
		x := float64(v)
		if f.bits { // a billionth, far below a gray level
			x = latticeOfStates * math.Round(x/latticeOfStates)
		}
		e.x = append(e.x, x)
	}
	e.grid = diffusion.Grid{Schedule: m.Schedule, Steps: f.steps}
	if e.ddim {
		return nil
	}
	tp, err := diffusion.Trace(e.method, e.grid, diffusion.TraceOptions{Predicts: m.Predicts})
	if err != nil {
		return asUsage(err)
	}
	if tp, err = tp.WithPair(); err != nil {
		return err
	}
	if _, err = tp.Invert(e.accuracy()); err != nil {
		return asUsage(err)
	}
	return nil
}

func (e *editor) accuracy() diffusion.Accuracy { return diffusion.Accuracy{Tolerance: grayLevel} }

// sizeOf is "28×28, gray".
func sizeOf(shape []int) string {
	color := "gray (1 channel)"
	if shape[0] != 1 {
		color = fmt.Sprintf("in color (%d channels)", shape[0])
	}
	return fmt.Sprintf("%d×%d pixels, %s", shape[2], shape[1], color)
}

// pictureOrDigit reads a PNG, or takes a digit of MNIST's test split.
func pictureOrDigit(name string) (data.Tensor, error) {
	if number, ok := strings.CutPrefix(name, builtinDigit); ok {
		set, err := data.MNIST()
		if err != nil {
			return data.Tensor{}, err
		}
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= set.N {
			return data.Tensor{}, usagef("", "--image %s: must be %s0 to %s%d", name, builtinDigit, builtinDigit, set.N-1)
		}
		area := set.H * set.W
		return data.Tensor{Shape: []int{1, set.H, set.W}, Data: set.Float32(data.Signed)[i*area : (i+1)*area]}, nil
	}
	return readPicture("--image "+name, name, data.Signed)
}

// thereAndBack walks the picture to noise and makes it again, under its own label and
// under the other one.
func (c *console) thereAndBack(ctx context.Context, e *editor, from, to int) (again, edited []float64, err error) {
	bar := c.progress("editing", "steps")
	defer bar.close()
	for i, part := range []struct {
		note string
		run  func() error
	}{
		{"to noise", func() error { return e.toNoise(ctx, from) }},
		{"back", func() (err error) { again, err = e.fromNoise(ctx, from); return err }},
		{"edited", func() (err error) { edited, err = e.fromNoise(ctx, to); return err }},
	} {
		e.onStep = func(s diffusion.Step[float64]) error {
			bar.set(i*e.grid.Steps+s.Index+1, 3*e.grid.Steps, part.note)
			return nil
		}
		if err := part.run(); err != nil {
			return nil, nil, err
		}
	}
	return again, edited, nil
}

func (e *editor) problem(label int) (p diffusion.Problem[float64], err error) {
	m, err := e.model.Guided([]int{label}, e.guidance)
	if err != nil {
		return p, err
	}
	return diffusion.Problem[float64]{Model: diffusion.Widen(m), Grid: e.grid, N: 1, OnStep: e.onStep}, nil
}

// toNoise walks the picture to noise.
func (e *editor) toNoise(ctx context.Context, label int) error {
	p, err := e.problem(label)
	if err != nil {
		return err
	}
	p.X = e.x
	if !e.ddim {
		e.noise, err = diffusion.InvertClean(ctx, p, e.method, e.accuracy())
		return err
	}
	p.Grid.Start, p.Grid.End = p.Grid.Schedule.Range()
	p.Grid.Spacing = diffusion.TimeUniform
	s, err := diffusion.Solve(ctx, p, diffusion.DDIM{})
	e.noise.Noise = s.X
	return err
}

// fromNoise makes a picture of the noise.
func (e *editor) fromNoise(ctx context.Context, label int) ([]float64, error) {
	p, err := e.problem(label)
	if err != nil {
		return nil, err
	}
	if !e.ddim {
		s, err := diffusion.FromPair(ctx, p, e.method, e.noise)
		return s.X, err
	}
	p.X, p.Grid.Spacing = e.noise.Noise, diffusion.TimeUniform
	s, err := diffusion.Solve(ctx, p, diffusion.DDIM{})
	return s.X, err
}

// write writes the pictures.
func (e *editor) write(f editFlags, again, edited []float64) error {
	ch, h, w, _ := imageShape(e.model.Shape)
	var b bytes.Buffer
	if err := data.WritePNG(&b, data.Tensor{Shape: []int{ch, h, w}, Data: narrow(edited)}, data.Signed); err != nil {
		return err
	}
	if err := cache.WriteFile(f.out, b.Bytes()); err != nil {
		return err
	}
	if f.compare == "" {
		return nil
	}
	img, err := report.ImageGrid(narrow(slices.Concat(e.x, again, edited)), 3, ch, h, w, 3)
	if err != nil {
		return err
	}
	b.Reset()
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	return cache.WriteFile(f.compare, b.Bytes())
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
