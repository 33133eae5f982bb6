package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab"
)

// compareFlags are what the user asked of assay compare.
type compareFlags struct {
	model  modelFlags
	values map[string]*string // of the experiment's parameters, by flag
	run    runFlags
}

func (c *console) compareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Find the best method for your own model",
		Args:  takes(0, 0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.compareDiffusionCommand())
	return cmd
}

func (c *console) compareDiffusionCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "diffusion",
		Short: "Which sampler, at which number of evaluations?",
		Long: `compare diffusion runs samplers on one model from the same states, at budgets of
evaluations, and measures how far they end from where the model's ODE does: from
its exact solution where that is known, else from a fine one. It recommends a
sampler for every budget, and says how sure that is and what to type for it.

A comparison that was stopped goes on where it was when the same command is
typed again.`,
		Example: `  assay compare diffusion --model my.onnx --predict noise --schedule ddpm-linear
  assay compare diffusion --model my.onnx --methods ddim,dpmpp-2m,unipc --nfe 5,10,20
  assay compare diffusion --guidance 1,3 --label all       the model that comes along
  assay compare diffusion --model builtin:overlap8         a mixture, exact`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.compare(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	e := compare.Diffusion()
	f.values = map[string]*string{}
	param := func(name, help string) {
		p, _ := e.Param(name)
		f.values[name] = flags.String(name, "", help)
		if p.Default != "" {
			flags.Lookup(name).DefValue = p.Default
		}
	}
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: an ONNX file, or "+strings.Join(compare.Builtins(), ",\n"))
	param("methods", "`NAMES` of the methods; an unknown one lists all")
	param("nfe", "`N,...`, the budgets: evaluations of the model")
	param("guidance", "classifier-free guidance `SCALE,...`")
	param("label", "`CLASS,...` that the samples go round, all or none\n(default all, where the model has classes)")
	param("spacing", "`NAME` of the spacing: own, "+strings.Join(diffusion.SpacingNames(), ", "))
	param("truth", "`N` steps of the fine solution")
	param("n", "`N` samples a seed")
	param("seeds", "`N` independent sets of samples")
	flags.StringVar(&f.run.size, "size", string(lab.Desk), "how much work: `quick`, desk or full; sets the defaults")
	flags.IntVar(&f.run.jobs, "jobs", 0, "`N` cells at once: 0 for one a core")
	flags.StringVar(&f.run.out, "out", "", "write into `DIR` (default out/compare/diffusion)")
	flags.BoolVar(&f.run.json, "json", false, "print one JSON document and nothing else")
	flags.BoolVar(&f.run.retry, "retry-failed", false, "run again the cells that failed for good")
	param("rows", "v3: `N` intervals of the statistics' grid")
	param("samples", "v3: `N` samples behind the statistics; 0: as the model needs")
	param("probes", "v3: `N` random probes of the Jacobian; 0: as the model\nneeds; -1: none, all of it")
	for _, name := range []string{"rows", "samples", "probes"} {
		flags.SetAnnotation(name, groupKey, []string{"For DPM-Solver-v3, as assay statistics has them"})
	}
	addModelFlags(flags, &f.model)
	cmd.RegisterFlagCompletionFunc("methods", cobra.FixedCompletions(compare.MethodNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("size", cobra.FixedCompletions([]cobra.Completion{"quick", "desk", "full"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// settings are the parameters that the user has set.
func (f *compareFlags) settings() map[string]string {
	set := map[string]string{"model": f.model.name}
	for _, values := range []map[string]*string{f.values, f.model.byFlag()} {
		for name, value := range values {
			if *value != "" {
				set[name] = *value
			}
		}
	}
	return set
}

// compare is assay compare diffusion.
func (c *console) compare(ctx context.Context, f compareFlags) error {
	e := compare.Diffusion()
	size, err := lab.ParseSize(f.run.size)
	if err != nil {
		return usagef("", "--%v", err)
	}
	const help = "See: assay compare diffusion --help"
	values, err := e.Resolve(size, f.settings())
	if err != nil {
		return usagef(help, "%v", err)
	}
	if err := checkInputs(e, values); err != nil {
		return err
	}
	if _, err := compare.Open(values); err != nil {
		return modelError(err, "assay compare diffusion")
	}
	if _, err := e.Grid(values); err != nil {
		return usagef(help, "%v", err)
	}
	r, err := f.run.runner()
	if err != nil {
		return err
	}
	if r.Store, err = c.openStore(ctx); err != nil {
		return err
	}
	defer r.Store.Close()
	c.resumable.Store(true)
	run, err := c.runOne(ctx, *r, plan{e, values}, size)
	if err != nil {
		return err
	}
	if f.run.out == "" {
		f.run.out = filepath.Join("out", filepath.FromSlash(e.Name))
	}
	w, err := writeRun(e, run, f.run.out)
	if err != nil {
		return err
	}
	if f.run.json {
		return errors.Join(c.compareJSON(w), anyOutcome([]written{w}))
	}
	if err := c.printRun(w); err != nil {
		return err
	}
	c.printCompared(w)
	return anyOutcome([]written{w})
}

// compareJSON prints the comparison as one document.
func (c *console) compareJSON(w written) error {
	b, err := render(w.report, "json")
	if err != nil {
		return err
	}
	return writeJSON(c.out, struct {
		Recommendation []compare.Choice `json:"recommendation"`
		Advice         lab.Advice       `json:"advice"`
		Run            any              `json:"run"`
		Folder         string           `json:"folder"`
		Files          []string         `json:"files"`
		Report         json.RawMessage  `json:"report"`
	}{compare.Recommend(w.report.Curves), w.report.Advice(), w.run.Run, w.dir, w.files, b})
}

// printCompared ends a comparison: where its picture is, and what to type next.
func (c *console) printCompared(w written) {
	if p := w.picture(); p != "" {
		fmt.Fprintf(c.out, "\n%s\n  %s\n", c.paint(bold, "Picture"), p)
		fmt.Fprintf(c.out, "  %s\n", c.paint(faint, "and beside it SVG, PDF, results.csv, results.json, report.md"))
	}
	commands := w.report.Advice().Commands
	if len(commands) == 0 { // a mixture
		commands = []string{"assay compare diffusion --model my.onnx"}
	}
	fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, "Next"))
	for _, command := range commands {
		fmt.Fprintf(c.out, "  %s\n", c.paint(cyan, c.program+strings.TrimPrefix(command, "assay")))
	}
}

// statisticsFlags are what the user asked of assay statistics.
type statisticsFlags struct {
	model                 modelFlags
	rows, samples, probes int
	guidance              float64
	label, out            string
}

func (c *console) statisticsCommand() *cobra.Command {
	var f statisticsFlags
	cmd := &cobra.Command{
		Use:   "statistics",
		Short: "Estimate what DPM-Solver-v3 must know of a model",
		Long: `statistics estimates the empirical model statistics of DPM-Solver-v3 on a model,
and writes them into a file for assay sample --method v3 --statistics FILE. They
hold for the model, its noise schedule and the guidance that they were made with.

The model draws the samples itself. Its Jacobian is known for the built-in
mixtures; of a network it is found by central differences along random probes.`,
		Example: `  assay statistics --model my.onnx --predict noise --schedule ddpm-linear
  assay sample --model my.onnx --predict noise --schedule ddpm-linear --method v3 --steps 8 --statistics statistics.safetensors`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.statistics(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: an ONNX file, or "+strings.Join(compare.Builtins(), ",\n"))
	flags.StringVar(&f.label, "label", "", "`CLASS,...` that the samples go round, or all")
	flags.Float64Var(&f.guidance, "guidance", 1, "classifier-free guidance `SCALE`, with --label")
	flags.IntVar(&f.rows, "rows", 120, "`N` intervals of the grid")
	flags.IntVar(&f.samples, "samples", 0, "`N` samples (default 1024 of a mixture, 32 of a network)")
	flags.IntVar(&f.probes, "probes", 0, "`N` random probes of the Jacobian; -1: none, all of it\n(default all of it for a mixture, 2 for a network)")
	flags.StringVar(&f.out, "out", "statistics.safetensors", "write into `FILE`")
	addModelFlags(flags, &f.model)
	return cmd
}

// statistics is assay statistics.
func (c *console) statistics(ctx context.Context, f statisticsFlags) error {
	for _, n := range []struct {
		name         string
		value, least int
	}{{"rows", f.rows, 10}, {"samples", f.samples, 0}, {"probes", f.probes, -1}} {
		if n.value < n.least {
			return usagef("", "--%s = %d: must be at least %d", n.name, n.value, n.least)
		}
	}
	s, done, err := c.openSubject(f.model)
	if err != nil {
		return err
	}
	defer done()
	labels, err := compare.ParseLabels(f.label, s.Classes)
	if err != nil {
		return usagef("", "--%v", err)
	}
	r := compare.Recipe{Condition: compare.Condition{Labels: labels}, Label: f.label, Rows: f.rows, Samples: f.samples, Probes: f.probes}
	switch {
	case labels != nil || s.Classes == 0 && s.Conditional():
		r.Condition.Guidance = f.guidance
	case f.guidance != 1:
		return usagef("", "--guidance %g: guidance needs labels", f.guidance)
	}
	if _, err := s.Denoiser(r.Condition, 1); err != nil {
		return asUsage(err)
	}
	bar := c.progress("statistics", "rows")
	defer bar.close()
	file, err := s.Statistics(ctx, r, func(done, all int) { bar.set(done, all, "") })
	took := bar.close()
	if err != nil {
		return err
	}
	b, err := file.Bytes()
	if err != nil {
		return err
	}
	if err := cache.WriteFile(f.out, b); err != nil {
		return err
	}
	c.note("%d rows of %s, %s evaluations for a sample each, in %s", f.rows+1, times(s.Shape), strconv.FormatInt(file.Evaluations, 10), roundDuration(took))
	fmt.Fprintf(c.out, "Statistics  %s\n", f.out)
	return nil
}

// openSubject opens a model, mixtures included; done closes it.
func (c *console) openSubject(f modelFlags) (s *compare.Subject, done func() error, err error) {
	if s, ok, err := compare.Mixture(f.name); ok {
		return s, func() error { return nil }, err
	}
	m, err := c.openModel(f)
	if err != nil {
		return nil, nil, err
	}
	return compare.Network(m), m.Close, nil
}
