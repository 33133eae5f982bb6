package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/diffusion"
	"github.com/assay-lab/assay/diffusion/search"
	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/search/evo"
	"github.com/assay-lab/assay/search/evo/gru"
)

func (c *console) searchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "search",
		Short: "Search a method made for your own model",
		Args:  takes(0, 0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.searchScheduleCommand())
	return cmd
}

// searchFlags are what the user asked of assay search schedule.
type searchFlags struct {
	model             modelFlags
	nfe, scores       int
	starts, new       int // 0: by the kind of model
	truth, jobs       int
	seed              uint64
	guidance          float64
	label, predictor  string
	statistics        string
	average, implicit bool
	out               string
}

func (c *console) searchScheduleCommand() *cobra.Command {
	var f searchFlags
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Search a solver schedule for one number of evaluations",
		Long: `search schedule looks for the sampler that takes one model furthest with a small
number of evaluations: times, and for every step its order, its prediction, the
points that it uses, and its corrector (Liu et al. 2024). Schedules are scored by
how far their samples end from where the model's ODE does.

It starts from the standard solvers and scores as many schedules as the budget
allows; a predictor that learns from them chooses which. In the end the schedule
is compared with the best standard solver on starts that the search has not seen.

A search that was stopped goes on where it was when the same command is typed
again.`,
		Example: `  assay search schedule --nfe 5 --out schedule.json
  assay search schedule --model my.onnx --predict noise --schedule ddpm-linear --nfe 8
  assay sample --schedule-file schedule.json`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.searchSchedule(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model.name, "model", builtinMNIST, "`MODEL`: an ONNX file, or "+strings.Join(compare.Builtins(), ",\n"))
	flags.IntVar(&f.nfe, "nfe", 5, "`N` evaluations of the model for a sample")
	flags.IntVar(&f.scores, "budget", 500, "score `N` schedules")
	flags.StringVar(&f.label, "label", "", "`CLASS,...` that the samples go round, or all")
	flags.Float64Var(&f.guidance, "guidance", 1, "classifier-free guidance `SCALE`, with --label")
	flags.IntVar(&f.starts, "starts", 0, "score on `N` samples (default 256 of a mixture, 32 of a network)")
	flags.IntVar(&f.new, "new", 0, "compare on `N` new samples in the end (default twice as many)")
	flags.IntVar(&f.truth, "truth", 200, "`N` steps of a network's fine solution")
	flags.StringVar(&f.predictor, "predictor", "gp", "`KIND`: gp, a Gaussian process; gru, the paper's recurrent\nnetwork; none")
	flags.StringVar(&f.statistics, "statistics", "", "`FILE` of assay statistics: steps may be DPM-Solver-v3's")
	flags.BoolVar(&f.average, "average", false, "the first evaluation may be guessed as the mean sample")
	flags.BoolVar(&f.implicit, "implicit", false, "correctors may evaluate again")
	flags.Uint64Var(&f.seed, "seed", 1, "`N`: the same seed gives the same schedule")
	flags.IntVar(&f.jobs, "jobs", 0, "`N` schedules at once: 0 for one a core")
	flags.StringVar(&f.out, "out", "schedule.json", "write into `FILE`")
	addModelFlags(flags, &f.model)
	cmd.RegisterFlagCompletionFunc("predictor", cobra.FixedCompletions([]cobra.Completion{"gp", "gru", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check checks what does not depend on the model.
func (f *searchFlags) check() error {
	for _, n := range []struct {
		name         string
		value, least int
	}{{"nfe", f.nfe, 1}, {"budget", f.scores, 1}, {"starts", f.starts, 0}, {"new", f.new, 0}, {"truth", f.truth, 10}, {"jobs", f.jobs, 0}} {
		if n.value < n.least {
			return usagef("", "--%s = %d: must be at least %d", n.name, n.value, n.least)
		}
	}
	switch f.predictor {
	case "gp", "gru", "none":
	default:
		return usagef("", "--predictor %s: must be gp, gru or none", f.predictor)
	}
	return nil
}

// searchSchedule is assay search schedule.
func (c *console) searchSchedule(ctx context.Context, f searchFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	s, done, err := c.openSubject(f.model)
	if err != nil {
		return err
	}
	defer done()
	if f.starts == 0 {
		if f.starts = 32; s.Exact() {
			f.starts = 256
		}
	}
	if f.new == 0 {
		f.new = 2 * f.starts
	}
	condition, err := f.condition(s)
	if err != nil {
		return err
	}
	sp := search.Space{Noise: s.Schedule, NFE: f.nfe, V3: f.statistics != "", Average: f.average, Implicit: f.implicit}
	var st *diffusion.Statistics
	if sp.V3 {
		if st, err = readStatistics(f.statistics, s.Schedule, s.Shape, condition.Guidance, condition.Labels, s.Classes); err != nil {
			return err
		}
	}
	if _, err := sp.Evolution(nil, f.scores, f.seed); err != nil {
		return asUsage(err)
	}
	c.resumable.Store(true)
	c.note("Truth: %d samples to search on and %d to compare on", f.starts, f.new)
	sc, err := s.Scorer(ctx, condition, f.starts, f.seed, f.truth)
	if err != nil {
		return err
	}
	judge, err := s.Scorer(ctx, condition, f.new, f.seed^1<<63, f.truth)
	if err != nil {
		return err
	}
	sc.Statistics, judge.Statistics, judge.Average = st, st, sc.Average
	r, err := c.evolve(ctx, f, sp, sc)
	if err != nil {
		return err
	}
	return c.writeSchedule(ctx, f, sp, judge, sc.Finish(r.Best.X), r)
}

// condition is what the model is asked for.
func (f *searchFlags) condition(s *compare.Subject) (c compare.Condition, err error) {
	if c.Labels, err = compare.ParseLabels(f.label, s.Classes); err != nil {
		return c, usagef("", "--%v", err)
	}
	switch {
	case c.Labels != nil || s.Classes == 0 && s.Conditional():
		c.Guidance = f.guidance
	case f.guidance != 1:
		return c, usagef("", "--guidance %g: guidance needs labels", f.guidance)
	}
	if _, err := s.Denoiser(c, 1); err != nil {
		return c, asUsage(err)
	}
	return c, nil
}

// evolve runs the search.
func (c *console) evolve(ctx context.Context, f searchFlags, sp search.Space, sc search.Scorer[float64]) (r evo.Result[search.Schedule], err error) {
	e, err := sp.Evolution(sc.Score, f.scores, f.seed)
	if err != nil {
		return r, err
	}
	switch f.predictor {
	case "gp":
		e.Screen = sp.Screen()
	case "gru":
		e.Screen = &evo.Screen[search.Schedule]{Predictor: &gru.Ranker[search.Schedule]{Steps: sp.StepFeatures, Length: sp.NFE + 1}}
	}
	e.Name += " on " + compare.SearchName(sc)
	e.State, e.Workers = f.out+".checkpoint", f.jobs
	bar := c.progress("search", "schedules")
	defer bar.close()
	e.Progress = func(p evo.Progress[search.Schedule]) {
		bar.set(p.Scores, p.Budget, "error "+lab.Digits(p.Best.Score))
	}
	if r, err = e.Run(ctx); err != nil {
		return r, err
	}
	c.note("%d schedules scored in %s", len(r.All), roundDuration(bar.close()))
	return r, nil
}

// writeSchedule compares what was found with the standard solvers on new starts, says
// so, and writes the file.
func (c *console) writeSchedule(ctx context.Context, f searchFlags, sp search.Space, judge search.Scorer[float64], found search.Schedule, r evo.Result[search.Schedule]) error {
	all, err := sp.Baselines()
	if err != nil {
		return err
	}
	standard := math.Inf(1)
	for _, b := range all {
		e, err := judge.Score(ctx, b)
		if err != nil {
			return err
		}
		standard = min(standard, e)
	}
	e, err := judge.Score(ctx, found)
	if err != nil {
		return err
	}
	found.Note = fmt.Sprintf("found for %s with %d evaluations among %d schedules; error %s on new samples, of the best standard solver %s",
		f.model.name, f.nfe, len(r.All), lab.Digits(e), lab.Digits(standard))
	b, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return err
	}
	if err := cache.WriteFile(f.out, append(b, '\n')); err != nil {
		return err
	}
	if err := os.Remove(f.out + ".checkpoint"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Fprintf(c.out, "RMS error with %d evaluations on %d new samples\n", f.nfe, judge.N)
	fmt.Fprintf(c.out, "  found           %s  (%s in the search)\n", lab.Digits(e), lab.Digits(r.Best.Score))
	fmt.Fprintf(c.out, "  best of %d      %s  the standard solvers\n", len(all), lab.Digits(standard))
	switch {
	case e >= standard:
		c.note("The schedule does not carry over to new samples: search with more --starts.")
	case e > 2*r.Best.Score:
		c.note("The schedule is less good on new samples than in the search: more --starts would help.")
	}
	if worst, step, err := found.Condition(sp.Noise); err == nil && worst > 1e8 {
		c.note("Step %d uses points so near to each other that rounding shows: condition %.1g.", step, worst)
	}
	fmt.Fprintf(c.out, "Schedule  %s\n", f.out)
	c.note("Draw with it: %s sample --model %s --schedule-file %s", c.program, shellQuote(f.model.name), shellQuote(f.out))
	return nil
}
