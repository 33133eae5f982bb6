package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
)

func (c *console) runsDiffCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff RUN OTHER",
		Short: "Compare two runs of an experiment",
		Long: `diff compares two runs of one experiment: what they were asked for differently,
their verdicts, and every method at every budget: seed by seed where both runs have
the seeds, with the 95 % interval of the change.`,
		Example: `  assay runs diff xgg2 k3ab`,
		Args:    takes(2, 2, "two runs: RUN OTHER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := c.compareRuns(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.out, d)
			}
			c.printComparison(d)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func (c *console) compareRuns(ctx context.Context, this, other string) (*runner.Comparison, error) {
	a, err := c.loadRun(ctx, this)
	if err != nil {
		return nil, err
	}
	b, err := c.loadRun(ctx, other)
	if err != nil {
		return nil, err
	}
	d, err := runner.Compare(a, b)
	if errors.Is(err, runner.ErrIncomparable) {
		return nil, usagef("assay runs lists them.", "%v", err)
	}
	return d, err
}

func (c *console) printComparison(d *runner.Comparison) {
	rows := [][]string{{"", "THIS", "OTHER"}, {"run", d.This.ID, d.Other.ID}}
	for _, s := range d.Settings {
		rows = append(rows, []string{s.Name, cmp.Or(s.This, "-"), cmp.Or(s.Other, "-")})
	}
	for _, j := range d.Claims {
		name := j.Claim
		if j.Changed {
			name += " (changed)"
		}
		rows = append(rows, []string{name, cmp.Or(string(j.This), "not judged"), cmp.Or(string(j.Other), "not judged")})
	}
	c.printTable(rows)
	panel := ""
	rows = nil
	flush := func() {
		if len(rows) > 0 {
			fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, cmp.Or(panel, d.This.Quality.Label())))
			c.printTable(append([][]string{{"METHOD", "AT", "THIS", "OTHER", "CHANGE (95 % INTERVAL)", "THIS IS"}}, rows...), 1, 2, 3)
		}
		rows = nil
	}
	for _, p := range d.Points {
		if p.Panel != panel {
			flush()
			panel = p.Panel
		}
		rows = append(rows, []string{p.Method, lab.Digits(p.Budget), p.Text(p.This), p.Text(p.Other), p.ChangeText(), string(p.Finding)})
	}
	flush()
	fmt.Fprintf(c.out, "\n%s\n", d.Summary())
}
