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
		Long: `restore repairs a picture of a handwritten digit, gray and 28×28, with the network
that comes with assay: a diffusion that starts from the degraded picture instead of
from noise. Holes to be filled in must be gray, half-way between black and white.

With --degrade it spoils a clean picture first, so that the result can be compared
with the truth. Without --in it takes a digit that the network has not seen.`,
		Example: `  assay restore --degrade --task deblur
  assay restore --in clean.png --degrade --task inpaint --seed 3
  assay restore --in noisy.png --task denoise --steps 5 --out clean.png
  assay restore --degrade --task denoise --method posterior --steps 100`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.restore(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.in, "in", "", "`FILE` of the picture, PNG")
	flags.StringVar(&f.task, "task", "", "`TASK`: "+strings.Join(degrade.Names(), ", "))
	flags.BoolVar(&f.degrade, "degrade", false, "the picture is clean: spoil it first")
	flags.StringVar(&f.truth, "truth", "", "`FILE` of the clean picture, to compare with")
	flags.StringVar(&f.method, "method", "mrs-2", "`NAME` of the method; an unknown one lists all")
	flags.IntVar(&f.steps, "steps", 10, "`N`, the budget: evaluations of the network")
	flags.StringVar(&f.grid, "grid", "", "`NAME`: "+strings.Join(diffusion.IndexGridNames(), ", "))
	flags.Lookup("grid").DefValue = "the method's own"
	flags.Uint64Var(&f.seed, "seed", 1, "`N`: the same seed gives the same result")
	flags.StringVar(&f.out, "out", "restored.png", "write the restored picture into `FILE`")
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

// A repair is a checked request to restore one picture.
type repair struct {
	net    *network.Restorer
	model  diffusion.MeanModel[float32]
	method diffusion.Method
	grid   diffusion.Grid
	mu     []float32 // the degraded picture
	truth  []float32 // nil: not known
}

// restore is assay restore.
func (c *console) restore(ctx context.Context, f restoreFlags) error {
	r, err := f.check()
	if err != nil {
		return err
	}
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
	c.note("%s by %s, %d evaluations, in %s", f.task, f.method, sol.NFE, roundDuration(time.Since(start)))
	return c.writeRestored(f, r, sol.X)
}

// check reads the pictures and settles the method.
func (f *restoreFlags) check() (*repair, error) {
	method, err := f.checkMethod()
	if err != nil {
		return nil, err
	}
	task, err := degrade.Parse(f.task)
	switch {
	case f.task == "":
		return nil, usagef("", "--task: what shall be repaired? one of %s", strings.Join(degrade.Names(), ", "))
	case err != nil:
		return nil, usagef("", "--%v", err)
	case f.in == "" && !f.degrade:
		return nil, usagef("Or try a digit that is spoiled first: --degrade", "--in FILE: which picture shall be restored?")
	case f.degrade && f.truth != "":
		return nil, usagef("", "--degrade and --truth: with --degrade the picture itself is the truth")
	case !strings.EqualFold(filepath.Ext(f.out), ".png"):
		return nil, usagef("", "--out %s: must end in .png", f.out)
	}
	net, err := network.MNISTRestorer()
	if err != nil {
		return nil, err
	}
	r := &repair{net: net, method: method, grid: diffusion.Grid{Schedule: net.Process, Steps: f.steps}}
	if f.grid != "" {
		kind, err := diffusion.ParseIndexGridKind(f.grid)
		if err != nil {
			return nil, asUsage(err)
		}
		r.grid.Spacing = diffusion.IndexGrid{Kind: kind}.Spacing()
	}
	if r.model, err = net.Model(f.task); err != nil {
		return nil, err
	}
	if _, err := diffusion.Trace(method, r.grid, diffusion.TraceOptions{Predicts: net.Predicts}); err != nil {
		return nil, asUsage(err)
	}
	return r, f.readPictures(r, task)
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

// readPictures reads or makes the degraded picture, and the truth where it is known.
func (f *restoreFlags) readPictures(r *repair, task degrade.Task) (err error) {
	if f.in == "" {
		r.mu, err = unseenDigit(f.seed)
	} else {
		r.mu, err = readGray(f.in, r.net.Shape)
	}
	if err != nil {
		return err
	}
	if f.truth != "" {
		r.truth, err = readGray(f.truth, r.net.Shape)
	}
	if f.degrade {
		r.truth = r.mu
		r.mu = make([]float32, len(r.truth))
		task.Apply(r.mu, r.truth, r.net.Shape[1], rng.Stream(f.seed, 2))
	}
	return err
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

// readGray reads a picture of the shape that a network takes, between 0 and 1. A gray
// picture that was saved in colour will do.
func readGray(name string, shape []int) ([]float32, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("", "%s: no such file", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t, err := data.ReadPNG(file, data.Unit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	h, w := shape[1], shape[2]
	if t.Shape[1] != h || t.Shape[2] != w {
		return nil, usagef("", "%s: %d×%d pixels: the network restores pictures of %d×%d", name, t.Shape[2], t.Shape[1], w, h)
	}
	x := t.Float32()
	for c := 1; c < t.Shape[0]; c++ {
		if !slices.Equal(x[:h*w], x[c*h*w:(c+1)*h*w]) {
			return nil, usagef("", "%s: %d channels of colour: the network restores gray pictures", name, t.Shape[0])
		}
	}
	return x[:h*w], nil
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
		fmt.Fprintf(c.out, "PSNR      %.1f dB, %.1f dB before\n", psnr(x, r.truth), psnr(r.mu, r.truth))
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
