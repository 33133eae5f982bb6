package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/report"
)

// stabilityFlags are what the user asked of assay stability.
type stabilityFlags struct {
	methods string
	momenta string
	step    float64
	out     string
}

// momentumFamilies are the pictures that need no list of methods.
var momentumFamilies = map[string]string{"ghvb": "GHVB", "hb": "HB", "nt": "NT"}

func (c *console) stabilityCommand() *cobra.Command {
	var f stabilityFlags
	cmd := &cobra.Command{
		Use:   "stability",
		Short: "Draw the regions of stability of samplers",
		Long: `stability shows for which models and steps a sampler is stable. It takes the
equation dy/dρ = λ·y, where y = x/α and ρ = σ/α, reads the matrix of one steady
step off the sampler itself, and draws where in the plane of z = λ·Δρ no
eigenvalue is larger than 1. Few steps and strong guidance mean a large |z|.

Without --methods it draws momentum with one to four slopes, as the paper of GHVB
does: how regions grow as β falls from 1, which is PLMS. Methods that integrate in
log ρ (DPM-Solver++, UniPC) are looked at on a grid even in it, where the region
depends on the step: --step.`,
		Example: `  assay stability --out regions.svg                    GHVB with 1 to 4 slopes
  assay stability --momentum hb                        heavy ball
  assay stability --methods plms,ghvb-3.5,ghvb-2.3     methods side by side
  assay stability --methods dpmpp-2m,dpmpp-2m-hb,unipc --step 0.3`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("methods") && cmd.Flags().Changed("momentum") {
				return usagef("", "--methods and --momentum: give one")
			}
			return c.stability(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.methods, "methods", "", "`NAMES` with commas; an unknown one lists all")
	flags.StringVar(&f.momenta, "momentum", "ghvb", "`KIND` of momentum to draw: ghvb, hb or nt")
	flags.Float64Var(&f.step, "step", diffusion.DefaultLogStep, "`H`, the step in log ρ for methods that integrate in it")
	flags.StringVar(&f.out, "out", "stability.png", "write the picture into `FILE`: .png, .svg or .pdf")
	cmd.RegisterFlagCompletionFunc("methods", completeMethods)
	cmd.RegisterFlagCompletionFunc("momentum", cobra.FixedCompletions([]cobra.Completion{"ghvb", "hb", "nt"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// A regionRow is a method of the picture.
type regionRow struct {
	name    string // as the table has it
	legend  int    // its place in the legend
	panel   int
	method  diffusion.Method
	logEven bool
	reach   [3]float64 // along regionAngles
	window  diffusion.Window
	loops   [][]complex128
	stable  *diffusion.Stability
}

// regionAngles are the rays of the table, and regionRows how fine regions are drawn.
var regionAngles = [3]float64{180, 135, 95}

const regionRows = 150

func (c *console) stability(ctx context.Context, f stabilityFlags) error {
	format := strings.ToLower(strings.TrimPrefix(filepath.Ext(f.out), "."))
	if !slices.Contains(report.Formats, format) {
		return usagef("", "--out %s: must end in .png, .svg or .pdf", f.out)
	}
	if !(f.step > 0 && f.step <= 5) {
		return usagef("", "--step %g: must be above 0 and at most 5", f.step)
	}
	p, rows, err := f.picture()
	if err != nil {
		return err
	}
	for i := range rows {
		if err := rows[i].measure(f.step); err != nil {
			return asUsage(fmt.Errorf("%s: %w", rows[i].name, err))
		}
		if rows[i].logEven {
			p.Notes = []string{fmt.Sprintf("Steps of %g in log ρ", f.step), "where a method needs it."}
		}
		w := &p.Panels[rows[i].panel]
		w.Min = complex(min(real(w.Min), real(rows[i].window.Min)), min(imag(w.Min), imag(rows[i].window.Min)))
		w.Max = complex(max(real(w.Max), real(rows[i].window.Max)), max(imag(w.Max), imag(rows[i].window.Max)))
	}
	if err := drawRegions(ctx, p, rows); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.Write(&b, format); err != nil {
		return err
	}
	if err := cache.WriteFile(f.out, b.Bytes()); err != nil {
		return err
	}
	c.printRegions(rows, f.out)
	return nil
}

// picture lays out frames, and the methods to go into them.
func (f stabilityFlags) picture() (*report.Plane, []regionRow, error) {
	p := &report.Plane{X: "Re z", Y: "Im z", Title: "Where the samplers are stable: inside"}
	var rows []regionRow
	if f.methods != "" {
		p.Panels = []report.PlanePanel{{}}
		for name := range strings.SplitSeq(f.methods, ",") {
			name = strings.TrimSpace(name)
			if slices.Contains(p.Methods, name) {
				return nil, nil, usagef("", "--methods: %s is given twice", name)
			}
			m, err := namedMethod(name)
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, regionRow{name: name, legend: len(p.Methods), method: m})
			p.Methods = append(p.Methods, name)
		}
		return p, rows, nil
	}
	family, ok := momentumFamilies[f.momenta]
	if !ok {
		return nil, nil, usagef("", "--momentum %q: must be ghvb, hb or nt", f.momenta)
	}
	kind := map[string]diffusion.MomentumKind{"ghvb": diffusion.Generalized, "hb": diffusion.Polyak, "nt": diffusion.Nesterov}[f.momenta]
	p.Title = fmt.Sprintf("Where PLMS with momentum (%s) is stable: inside", family)
	betas := []float64{1, 0.8, 0.5}
	p.Methods = []string{"β = 1, which is PLMS", "β = 0.8", "β = 0.5"}
	for k := 1; k <= 4; k++ {
		slopes := "slopes"
		if k == 1 {
			slopes = "slope"
		}
		p.Panels = append(p.Panels, report.PlanePanel{Title: fmt.Sprintf("%d %s", k, slopes)})
		for i, beta := range betas {
			name := fmt.Sprintf("PLMS %d", k)
			if beta < 1 {
				name = fmt.Sprintf("%s %g", family, float64(k-1)+beta)
			}
			rows = append(rows, regionRow{name: name, legend: i, panel: k - 1, method: diffusion.Momentum{Kind: kind, Order: k, Beta: beta}})
		}
	}
	return p, rows, nil
}

func (r *regionRow) measure(step float64) (err error) {
	if r.stable, r.logEven, err = diffusion.StabilityOf(r.method, step); err != nil {
		return err
	}
	for i, a := range regionAngles {
		if r.reach[i], err = r.stable.Reach(a); err != nil {
			return err
		}
	}
	r.window, err = r.stable.Extent()
	return err
}

// drawRegions finds the edges of all regions, two at a time.
func drawRegions(ctx context.Context, p *report.Plane, rows []regionRow) error {
	errs := make([]error, len(rows))
	var wg sync.WaitGroup
	free := make(chan struct{}, 2)
	for i := range rows {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			w := p.Panels[rows[i].panel]
			rows[i].loops, errs[i] = rows[i].stable.Boundary(ctx, diffusion.Window{Min: w.Min, Max: w.Max}, regionRows)
		})
	}
	wg.Wait()
	for i, r := range rows {
		if errs[i] != nil {
			return errs[i]
		}
		panel := &p.Panels[r.panel]
		panel.Regions = append(panel.Regions, report.Region{Method: r.legend, Loops: r.loops})
	}
	return nil
}

func (c *console) printRegions(rows []regionRow, out string) {
	width := len("Method")
	for _, r := range rows {
		width = max(width, len(r.name))
	}
	fmt.Fprintf(c.out, "%s\n", c.paint(bold, fmt.Sprintf("%-*s  %13s  %7s  %7s  %s", width, "Method", "real interval", "at 135°", "at 95°", "grid")))
	for _, r := range rows {
		grid := "even in ρ"
		if r.logEven {
			grid = "even in log ρ"
		}
		interval := "none"
		if r.reach[0] > 0 {
			interval = fmt.Sprintf("−%.3f to 0", r.reach[0])
		}
		fmt.Fprintf(c.out, "%-*s  %13s  %7.3f  %7.3f  %s\n", width, r.name, interval, r.reach[1], r.reach[2], grid)
	}
	fmt.Fprintf(c.out, "\nHow far from 0 each region reaches, along the negative real axis and along two\nrays: 90° is the imaginary axis.\n\nPicture  %s\n", out)
}
