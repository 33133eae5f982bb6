package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/store"
)

func (c *console) exportCommand() *cobra.Command {
	var format, out string
	names := []string{"all"}
	for _, f := range formats {
		names = append(names, f.name)
	}
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Write a run's pictures, tables and files again",
		Long: `export writes what is recorded of a run, also of one that was stopped. RUN is
its id, or the beginning of it, as assay runs lists them.`,
		Example: `  assay export xgg2                           everything, into out/
  assay export xgg2 --format csv > out.csv    the table
  assay export xgg2 --format pdf --out f.pdf  the picture, for a paper`,
		Args:              takes(1, 1, "a run: RUN"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(names, format) {
				return usagef("", "--format %s: must be one of %s", format, strings.Join(names, ", "))
			}
			return c.export(cmd.Context(), args[0], format, out)
		},
	}
	cmd.Flags().StringVar(&format, "format", "all", "`FORMAT`: "+strings.Join(names, ", "))
	cmd.Flags().StringVar(&out, "out", "", "the `FILE` to write, - for standard output; for all, the folder")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// export is assay export.
func (c *console) export(ctx context.Context, id, format, out string) error {
	run, err := c.loadRun(ctx, id)
	if err != nil {
		return err
	}
	e, _ := experimentNamed(run.Experiment)
	if format == "all" {
		if out == "" {
			out = filepath.Join("out", filepath.FromSlash(run.Experiment))
		}
		w, err := writeRun(e, run, out)
		if err != nil {
			return err
		}
		for _, f := range w.files {
			fmt.Fprintln(c.out, filepath.Join(w.dir, f))
		}
		return nil
	}
	b, err := render(reportOf(e, run), format)
	if err != nil {
		return err
	}
	text := format == "csv" || format == "json" || format == "md"
	if out == "-" || out == "" && text {
		_, err := c.out.Write(b)
		return err
	}
	if out == "" {
		i := slices.IndexFunc(formats, func(f struct{ name, file string }) bool { return f.name == format })
		out = filepath.Join("out", filepath.FromSlash(run.Experiment), formats[i].file)
	}
	if err := cache.WriteFile(out, b); err != nil {
		return err
	}
	fmt.Fprintln(c.out, out)
	return nil
}

// loadRun reads a run from the store.
func (c *console) loadRun(ctx context.Context, id string) (*runner.Run, error) {
	const hint = "assay runs lists them."
	if !c.haveStore() {
		return nil, usagef(hint, "no run %q: nothing was run yet", id)
	}
	s, err := c.openStore(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rec, err := s.Run(ctx, id)
	if errors.Is(err, store.ErrNoRun) {
		return nil, usagef(hint, "no run %q", id)
	}
	if err != nil {
		return nil, err
	}
	e, err := experimentNamed(rec.Experiment)
	if err == nil && e.Version != rec.Version {
		e = nil // its grid may differ from the run's
	}
	return runner.Load(ctx, s, rec.ID, e)
}

// completeRuns completes the ids of runs.
func (c *console) completeRuns(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 || !c.haveStore() {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := c.openStore(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer s.Close()
	runs, err := s.Runs(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var cs []cobra.Completion
	for _, r := range runs {
		cs = append(cs, cobra.CompletionWithDesc(r.ID, fmt.Sprintf("%s, %s, %s", r.Experiment, r.Size, when(r.Created))))
	}
	return cs, cobra.ShellCompDirectiveNoFileComp
}
