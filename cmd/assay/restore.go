package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/data"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/network"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/internal/degrade"
	"github.com/assay-lab/assay/internal/nn/mnist"
	"github.com/assay-lab/assay/internal/rng"
	"github.com/assay-lab/assay/lab/report"
)

// restoreFlags are what the user asked of assay restore.
type restoreFlags struct {
	model           modelFlags
	mean            string // input of an ONNX file
	in, task, truth string
	degrade         bool
	method, grid    string
	steps           int
	seed            uint64
	out             string
}

func (c *console) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Repair a noisy, blurred or torn picture of a digit",
		Long: `restore repairs a picture by a diffusion that starts from the degraded picture
instead of from noise. The network that comes with assay repairs handwritten digits,
gray and 28×28; holes to be filled in must be gray, half-way between black and
white. Or bring your own, of the kind of IR-SDE, as an ONNX file.

With --degrade it spoils a clean picture first, so that the result can be compared
with the truth. Without --in it takes a digit that the network has not seen.`,
		Example: `  assay restore --degrade --task deblur
  assay restore --in clean.png --degrade --task inpaint --seed 3
  assay restore --in noisy.png --task denoise --steps 5 --out clean.png
  assay restore --degrade --task denoise --method posterior --steps 100
  assay restore --in rain.png --model derain.onnx --predict noise --schedule ir-sde`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.restore(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.in, "in", "", "`FILE` of the picture, PNG")
	flags.StringVar(&f.task, "task", "", "`TASK`: "+strings.Join(degrade.Names(), ", "))
	flags.StringVar(&f.model.name, "model", builtinRestorer, "`MODEL`: "+builtinRestorer+", or an ONNX file")
	flags.BoolVar(&f.degrade, "degrade", false, "the picture is clean: spoil it first")
	flags.StringVar(&f.truth, "truth", "", "`FILE` of the clean picture, to compare with")
	flags.StringVar(&f.method, "method", "mrs-2", "`NAME` of the method; an unknown one lists all")
	flags.IntVar(&f.steps, "steps", 10, "`N`, the budget: evaluations of the network")
	flags.StringVar(&f.grid, "grid", "", "`NAME`: "+strings.Join(diffusion.IndexGridNames(), ", "))
	flags.Lookup("grid").DefValue = "the method's own"
	flags.Uint64Var(&f.seed, "seed", 1, "`N`: the same seed gives the same result")
	flags.StringVar(&f.out, "out", "restored.png", "write the restored picture into `FILE`")
	addModelFlags(flags, &f.model)
	flags.StringVar(&f.mean, "mean-input", "", "`NAME` of the input for degraded pictures")
	flags.SetAnnotation("mean-input", groupKey, flags.Lookup("input").Annotations[groupKey])
	flags.Lookup("schedule").Usage = "noise schedule it was trained with: `ir-sde` ..."
	for _, name := range []string{"label-input", "classes", "null-label"} {
		flags.MarkHidden(name)
	}
	cmd.RegisterFlagCompletionFunc("task", cobra.FixedCompletions(degrade.Names(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("grid", cobra.FixedCompletions(diffusion.IndexGridNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("method", func(*cobra.Command, []string, string) (cs []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, m := range diffusion.RestorationMethods() {
			cs = append(cs, cobra.CompletionWithDesc(m.Name, m.Doc))
		}
		return cs, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

const builtinRestorer = "builtin:restorer"

// A repair is a checked request to restore one picture.
type repair struct {
	net    *network.Restorer
	model  diffusion.MeanModel[float32]
	method diffusion.Method
	grid   diffusion.Grid
	name   string    // of the picture
	mu     []float32 // the degraded picture
	truth  []float32 // nil: not known
}

// restore is assay restore.
func (c *console) restore(ctx context.Context, f restoreFlags) error {
	r, err := f.check()
	if err != nil {
		return err
	}
	defer r.net.Close()
	if m, ok := r.method.(diffusion.MRSampler); ok {
		if w := m.Warning(r.grid); w != "" {
			c.note("Careful: %s.", w)
		}
	}
	bar := c.progress("restoring", "steps")
	defer bar.close()
	start := time.Now()
	sol, err := diffusion.Restore(ctx, diffusion.Restoration[float32]{
		Model: r.model, Grid: r.grid, Mu: r.mu, N: 1, Noise: diffusion.Seeded(f.seed), Lo: 0, Hi: 1,
		OnStep: func(s diffusion.Step[float32]) error { bar.set(s.Index+1, s.Of, ""); return nil },
	}, r.method)
	if err != nil {
		return err
	}
	bar.close()
	c.note("%s restored by %s, %d evaluations, in %s", r.name, f.method, sol.NFE, roundDuration(time.Since(start)))
	return c.writeRestored(f, r, sol.X)
}

// check reads the pictures, opens the network and settles the method.
func (f *restoreFlags) check() (*repair, error) {
	method, err := f.checkMethod()
	if err != nil {
		return nil, err
	}
	task, err := f.checkTask()
	if err != nil {
		return nil, err
	}
	switch {
	case f.in == "" && !f.degrade:
		return nil, usagef("Or try a digit that is spoiled first: --degrade", "--in FILE: which picture shall be restored?")
	case f.degrade && f.truth != "":
		return nil, usagef("", "--degrade and --truth: with --degrade the picture itself is the truth")
	case !strings.EqualFold(filepath.Ext(f.out), ".png"):
		return nil, usagef("", "--out %s: must end in .png", f.out)
	}
	r := &repair{method: method, name: "A digit"}
	var given data.Tensor
	if f.in != "" {
		r.name = f.in
		if given, err = readPicture(f.in, f.in, data.Unit); err != nil {
			return nil, err
		}
	}
	if r.net, err = f.openRestorer(given.Shape); err != nil {
		return nil, err
	}
	if err := f.settle(r, given, task); err != nil {
		r.net.Close()
		return nil, err
	}
	return r, nil
}

// settle checks what depends on the network.
func (f *restoreFlags) settle(r *repair, given data.Tensor, task degrade.Task) (err error) {
	r.grid = diffusion.Grid{Schedule: r.net.Process, Steps: f.steps}
	if f.grid != "" {
		kind, err := diffusion.ParseIndexGridKind(f.grid)
		if err != nil {
			return asUsage(err)
		}
		r.grid.Spacing = diffusion.IndexGrid{Kind: kind}.Spacing()
	}
	name := f.task
	if len(r.net.Tasks) == 0 {
		name = "" // it is made for one
	}
	if r.model, err = r.net.Model(name); err != nil {
		return err
	}
	if _, err := diffusion.Trace(r.method, r.grid, diffusion.TraceOptions{Predicts: r.net.Predicts}); err != nil {
		return asUsage(err)
	}
	return f.readPictures(r, given, task)
}

// checkTask wants a task where one is needed: by the network that comes with assay, and
// to spoil a picture.
func (f *restoreFlags) checkTask() (degrade.Task, error) {
	if f.task == "" && f.model.name != builtinRestorer && !f.degrade {
		return 0, nil
	}
	if f.task == "" {
		return 0, usagef("", "--task: what shall be repaired? one of %s", strings.Join(degrade.Names(), ", "))
	}
	task, err := degrade.Parse(f.task)
	if err != nil {
		return 0, usagef("", "--%v", err)
	}
	return task, nil
}

// openRestorer opens the network. Where a file leaves the shape open it is the picture's.
func (f *restoreFlags) openRestorer(picture []int) (*network.Restorer, error) {
	o, err := f.model.options()
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(f.model.name, "builtin:") {
		if f.model.name != builtinRestorer {
			return nil, usagef("", "--model %s: must be %s, or an ONNX file", f.model.name, builtinRestorer)
		}
		return network.MNISTRestorer()
	}
	if _, err := os.Stat(f.model.name); errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("Built in: "+builtinRestorer, "--model %s: no such file", f.model.name)
	}
	r, err := network.OpenRestorer(f.model.name, network.RestorerOptions{ONNXOptions: o, Mean: f.mean})
	if err != nil && o.Shape == nil && strings.Contains(err.Error(), "shape=CHANNELS,HEIGHT,WIDTH") {
		o.Shape = picture
		r, err = network.OpenRestorer(f.model.name, network.RestorerOptions{ONNXOptions: o, Mean: f.mean})
	}
	return r, modelError(err, "assay restore")
}

func (f *restoreFlags) checkMethod() (diffusion.Method, error) {
	all := diffusion.RestorationMethods()
	i := slices.IndexFunc(all, func(m diffusion.NamedMethod) bool { return m.Name == f.method })
	if i < 0 {
		var list strings.Builder
		list.WriteString("The methods are:")
		for _, m := range all {
			fmt.Fprintf(&list, "\n  %-19s  %s", m.Name, m.Doc)
		}
		return nil, usagef(list.String(), "unknown method %q", f.method)
	}
	if f.steps < 1 {
		return nil, usagef("", "steps = %d: must be positive", f.steps)
	}
	return all[i].Method, nil
}

// readPictures settles the degraded picture, and the truth where it is known.
func (f *restoreFlags) readPictures(r *repair, given data.Tensor, task degrade.Task) (err error) {
	shape := r.net.Shape
	if f.in == "" {
		if !slices.Equal(shape, []int{1, 28, 28}) {
			return usagef("", "--in FILE: which picture shall be restored? %s takes %s", r.net.Name, times(shape))
		}
		r.mu, err = unseenDigit(f.seed)
	} else {
		r.mu, err = fit(f.in, given, shape)
	}
	if err != nil {
		return err
	}
	if f.truth != "" {
		truth, err := readPicture(f.truth, f.truth, data.Unit)
		if err != nil {
			return err
		}
		if r.truth, err = fit(f.truth, truth, shape); err != nil {
			return err
		}
	}
	if f.degrade {
		if shape[0] != 1 || shape[1] != shape[2] {
			return usagef("", "--degrade spoils gray square pictures only: %s takes %s", r.net.Name, times(shape))
		}
		r.truth = r.mu
		r.mu = make([]float32, len(r.truth))
		task.Apply(r.mu, r.truth, shape[1], rng.Stream(f.seed, 2))
	}
	return nil
}

// unseenDigit is a digit that the network was not trained on.
func unseenDigit(seed uint64) ([]float32, error) {
	_, set, err := mnist.Split()
	if err != nil {
		return nil, err
	}
	i, area := rng.Stream(seed, 3).IntN(set.N()), len(set.X)/set.N()
	return set.Unit()[i*area : (i+1)*area], nil
}

// fit is a picture in the shape that a network takes. A gray one that was saved in
// colour will do for gray.
func fit(name string, t data.Tensor, shape []int) ([]float32, error) {
	if len(shape) != 3 {
		return nil, usagef("", "the network restores samples of %s: no pictures", times(shape))
	}
	ch, h, w := shape[0], shape[1], shape[2]
	if t.Shape[1] != h || t.Shape[2] != w {
		return nil, usagef("", "%s: %d×%d pixels: the network restores pictures of %d×%d", name, t.Shape[2], t.Shape[1], w, h)
	}
	x, area := t.Float32(), h*w
	if t.Shape[0] == ch {
		return x, nil
	}
	if ch != 1 {
		return nil, usagef("", "%s: %d channel: the network restores pictures of %d", name, t.Shape[0], ch)
	}
	for c := 1; c < t.Shape[0]; c++ {
		if !slices.Equal(x[:area], x[c*area:(c+1)*area]) {
			return nil, usagef("", "%s: a picture in colour, %d channels: the network restores gray ones", name, t.Shape[0])
		}
	}
	return x[:area], nil
}

// writeRestored writes the pictures and says how good the result is.
func (c *console) writeRestored(f restoreFlags, r *repair, x []float32) error {
	stem := strings.TrimSuffix(f.out, filepath.Ext(f.out))
	pictures := []struct {
		name, file string
		x          []float32
	}{{"Restored", f.out, x}}
	row, order := [][]float32{r.mu, x}, "degraded, restored"
	if f.degrade {
		pictures = append(pictures, struct {
			name, file string
			x          []float32
		}{"Degraded", stem + "-degraded.png", r.mu})
	}
	if r.truth != nil {
		row, order = append(row, r.truth), order+", clean"
	}
	for _, p := range pictures {
		var b bytes.Buffer
		if err := data.WritePNG(&b, data.Tensor{Shape: r.net.Shape, Data: p.x}, data.Unit); err != nil {
			return err
		}
		if err := cache.WriteFile(p.file, b.Bytes()); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s  %s\n", p.name, p.file)
	}
	beside := stem + "-beside.png"
	if err := writeBeside(beside, row, r.net.Shape); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Beside    %s  enlarged: %s\n", beside, order)
	if r.truth != nil {
		fmt.Fprintf(c.out, "PSNR      %.1f dB, before %.1f dB\n", psnr(x, r.truth), psnr(r.mu, r.truth))
	}
	return nil
}

// writeBeside writes pictures in a row, enlarged.
func writeBeside(file string, row [][]float32, shape []int) error {
	var all []float32
	for _, x := range row {
		for _, v := range x {
			all = append(all, 2*v-1)
		}
	}
	img, err := report.ImageGrid(all, len(row), shape[0], shape[1], shape[2], len(row))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	return cache.WriteFile(file, b.Bytes())
}

// psnr is the peak signal-to-noise ratio of pixels between 0 and 1, in dB.
func psnr(x, truth []float32) float64 {
	var sum float64
	for i, v := range x {
		d := float64(v - truth[i])
		sum += d * d
	}
	return -10 * math.Log10(sum/float64(len(x)))
}
