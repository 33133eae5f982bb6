package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/papers"
)

// runFlags are what the user asked of assay run.
type runFlags struct {
	size   string
	set    []string
	seeds  int
	jobs   int
	out    string
	json   bool
	retry  bool
	listen string
	secret string
	nats   runner.Remote
}

func (c *console) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SLUG[/EXPERIMENT]",
		Short: "Run a paper's experiments and judge its claims",
		Long: `run runs the experiments of a paper, or the one that is named: every method at
every budget, with several seeds. It prints the figures and whether the paper's
claims hold, and writes pictures, tables and the cells' files into a folder.

A run that was stopped, by Ctrl-C or worse, goes on where it was when the same
command is typed again. Finished runs are not run twice. The status is 0 when
it is done, whatever the verdict, 1 when it failed, and 130 after Ctrl-C.`,
		Example: `  assay run dpm-solver-pp                          all its experiments
  assay run dpm-solver-pp --size quick             a smoke run
  assay run dpm-solver-pp/guided --seeds 20        one of them, more seeds
  assay run dpm-solver-pp --set model=my.onnx      on your own network
  assay run dpm-solver-pp --json > result.json     for a program to read
  assay run dpm-solver-pp --nats nats://host:4222  on a cluster of workers`,
		Args:              takes(1, 1, "a paper: SLUG or SLUG/EXPERIMENT"),
		ValidArgsFunction: completeExperiments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.size, "size", string(lab.Desk), "how much work: `quick`, desk (a minute or so) or full")
	flags.StringArrayVar(&f.set, "set", nil, "set a parameter: `NAME=VALUE`, repeatable")
	flags.IntVar(&f.seeds, "seeds", 0, "repeat with `N` seeds: --set seeds=N")
	flags.IntVar(&f.jobs, "jobs", 0, "`N` cells at once: 0 for one a core, -1 for none, all\nleft to workers")
	flags.StringVar(&f.out, "out", "", "write into `DIR` (default out/SLUG/EXPERIMENT)")
	flags.BoolVar(&f.json, "json", false, "print one JSON document and nothing else")
	flags.BoolVar(&f.retry, "retry-failed", false, "run again the cells that failed for good")
	addNATS(flags, &f.nats)
	flags.StringVar(&f.listen, "listen", "", "without --nats: let workers in at `ADDR` (host:port)")
	flags.StringVar(&f.secret, "secret", "", "who know the secret in `FILE` (made if absent)")
	for _, name := range []string{"listen", "secret"} {
		flags.SetAnnotation(name, groupKey, []string{clusterFlags})
	}
	cmd.RegisterFlagCompletionFunc("size", cobra.FixedCompletions([]cobra.Completion{"quick", "desk", "full"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.SetHelpFunc(c.runHelp(cmd.HelpFunc()))
	return cmd
}

// runHelp adds to the help of run the parameters of the paper that is named.
func (c *console) runHelp(general func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		general(cmd, args)
		for _, arg := range args {
			if es, err := findExperiments(arg); err == nil {
				for _, e := range es {
					c.printParams(e)
				}
				return
			}
		}
		fmt.Fprintln(c.out, "\nThe parameters of a paper: assay run SLUG --help")
	}
}

func (c *console) printParams(e *lab.Experiment) {
	fmt.Fprintf(c.out, "\nParameters of %s:\n", e.Name)
	for _, p := range e.Params {
		value := p.Default
		if p.Kind == lab.Choice || p.Kind == lab.Input {
			value += " (of " + strings.Join(p.Choices, ", ") + ")"
		}
		fmt.Fprintf(c.out, "  %-12s %s\n", p.Name, wrap(p.Help+"; default "+value, c.textWidth()-15, strings.Repeat(" ", 15)))
	}
}

// completeExperiments completes slugs that run and, after a slash, experiments.
func completeExperiments(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	slug, _, slash := strings.Cut(typed, "/")
	if !slash || len(args) > 0 {
		return completeSlugs(papers.Paper.Runnable)(cmd, args, typed)
	}
	var cs []cobra.Completion
	for _, e := range experimentsOf(slug) {
		cs = append(cs, cobra.CompletionWithDesc(e.Name, e.Title))
	}
	return cs, cobra.ShellCompDirectiveNoFileComp
}

// run is assay run.
func (c *console) run(ctx context.Context, arg string, f runFlags) error {
	experiments, err := findExperiments(arg)
	if err != nil {
		return err
	}
	size, err := lab.ParseSize(f.size)
	if err != nil {
		return usagef("", "--%v", err)
	}
	settings, err := parseSettings(f.set, f.seeds)
	if err != nil {
		return err
	}
	plans, err := makePlans(experiments, size, settings)
	if err != nil {
		return err
	}
	r, err := f.runner()
	if err != nil {
		return err
	}
	if r.Store, err = c.openStore(ctx); err != nil {
		return err
	}
	defer r.Store.Close()
	c.resumable.Store(true)

	var done []written
	for _, p := range plans {
		run, err := c.runOne(ctx, *r, p, size)
		if err != nil {
			return err
		}
		w, err := writeRun(p.experiment, run, f.folder(arg, p.experiment))
		if err != nil {
			return err
		}
		done = append(done, w)
		if f.json {
			continue
		}
		if err := c.printRun(w); err != nil {
			return err
		}
	}
	if !f.json {
		c.printNext(arg, done)
		return anyOutcome(done)
	}
	doc, err := runDocument(done)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(c.out, doc), anyOutcome(done))
}

// anyOutcome is an error for an experiment of which every cell failed: nothing
// was done then.
func anyOutcome(done []written) error {
	for _, w := range done {
		if m := w.run.Curves.Missing; !hasPoints(w.run.Curves) && len(m) > 0 {
			why, _, _ := strings.Cut(m[0].Err, "\n")
			return fmt.Errorf("%s: all %d cells failed, such as %s: %s", w.run.Experiment, len(m), m[0].Cell, why)
		}
	}
	return nil
}

// runner is the runner that the flags ask for, without a store.
func (f *runFlags) runner() (*runner.Runner, error) {
	if f.secret != "" && f.listen == "" {
		return nil, usagef("", "--secret without --listen: nobody would ask for it")
	}
	to, err := remote(f.nats)
	if err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(f.listen); f.listen != "" && err != nil {
		return nil, usagef("", "--listen %s: must be host:port, such as :4222", f.listen)
	}
	if f.jobs < 0 && to == nil && f.listen == "" {
		return nil, usagef("", "--jobs = %d: must not be negative, unless workers join by --nats or --listen", f.jobs)
	}
	if to != nil && f.listen != "" {
		return nil, usagef("", "--listen with --nats: workers connect to the server that --nats names")
	}
	return &runner.Runner{Jobs: f.jobs, Remote: to, Listen: f.listen, SecretFile: f.secret, RetryFailed: f.retry}, nil
}

// folder is where the files of an experiment go.
func (f *runFlags) folder(arg string, e *lab.Experiment) string {
	switch {
	case f.out == "":
		return filepath.Join("out", slugOf(e), shortOf(e))
	case strings.Contains(arg, "/"):
		return f.out
	}
	return filepath.Join(f.out, shortOf(e))
}

// runOne runs one experiment and shows how far it is.
func (c *console) runOne(ctx context.Context, r runner.Runner, p plan, size lab.Size) (*runner.Run, error) {
	bar := c.progress(p.experiment.Name, "cells")
	defer bar.close()
	last := ""
	r.Progress = func(now runner.Progress) {
		if now.Note != "" {
			c.note("%s: %s", p.experiment.Name, now.Note)
		}
		if now.Last != nil {
			last = now.Last.Cell.String()
		}
		if now.Failed > 0 {
			bar.set(now.Done, now.Total, fmt.Sprintf("%d failed  %s", now.Failed, last))
			return
		}
		bar.set(now.Done, now.Total, last)
	}
	run, err := r.Run(ctx, p.experiment, size, p.values)
	if err != nil {
		return nil, err
	}
	took := bar.close()
	switch {
	case run.Resumed == run.Cells:
		c.note("%s: %d cells, all from earlier (run %s)", p.experiment.Name, run.Cells, run.ID)
	case run.Resumed > 0:
		c.note("%s: %d cells in %s, %d more from earlier", p.experiment.Name, run.Cells-run.Resumed, roundDuration(took), run.Resumed)
	default:
		c.note("%s: %d cells in %s", p.experiment.Name, run.Cells, roundDuration(took))
	}
	return run, nil
}
