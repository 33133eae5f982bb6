package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/store"
)

func (c *console) runsCommand() *cobra.Command {
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List the runs, the newest first",
		Example: `  assay runs
  assay runs --n 100`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 1 {
				return usagef("", "--n = %d: must be positive", most)
			}
			runs, verdicts, err := c.listRuns(cmd.Context(), most)
			if err != nil {
				return err
			}
			if asJSON {
				if runs == nil {
					runs = []store.Run{}
				}
				return writeJSON(c.out, runs)
			}
			c.printRuns(runs, verdicts)
			return nil
		},
	}
	cmd.Flags().IntVar(&most, "n", 20, "list at most `N`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.AddCommand(c.runsDiffCommand())
	return cmd
}

// listRuns reads the newest runs and their verdicts.
func (c *console) listRuns(ctx context.Context, most int) ([]store.Run, []string, error) {
	if !c.haveStore() {
		return nil, nil, nil
	}
	s, err := c.openStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, nil, err
	}
	runs = runs[:min(most, len(runs))]
	words := make([]string, len(runs))
	for i, r := range runs {
		if r.Finished.IsZero() {
			words[i] = fmt.Sprintf("stopped at %d/%d", r.Done, r.Cells)
			continue
		}
		judged, err := s.Verdicts(ctx, r.ID)
		if err != nil {
			return nil, nil, err
		}
		words[i] = tally(judged)
		if r.Failed > 0 {
			words[i] += fmt.Sprintf(", %d failed", r.Failed)
		}
	}
	return runs, words, nil
}

// tally says in few words how the claims came out: "holds", "2 hold, 1 fails".
func tally(judged []store.Judged) string {
	if len(judged) == 1 {
		return string(judged[0].Verdict.Status)
	}
	var parts []string
	for _, s := range []lab.Status{lab.Holds, lab.HoldsInPart, lab.Fails, lab.Undecided} {
		n := 0
		for _, j := range judged {
			if j.Verdict.Status == s {
				n++
			}
		}
		if n > 0 {
			word := string(s)
			if n > 1 {
				word = map[lab.Status]string{lab.Holds: "hold", lab.HoldsInPart: "hold in part", lab.Fails: "fail", lab.Undecided: "undecided"}[s]
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if parts == nil {
		return "no claim"
	}
	return strings.Join(parts, ", ")
}

func (c *console) printRuns(runs []store.Run, verdicts []string) {
	if len(runs) == 0 {
		c.note("No runs yet. Start one: assay run dpm-solver-pp --size quick")
		return
	}
	rows := [][]string{{"RUN", "EXPERIMENT", "SIZE", "CELLS", "STARTED", "VERDICT"}}
	for i, r := range runs {
		rows = append(rows, []string{r.ID, r.Experiment, string(r.Size), fmt.Sprint(r.Cells), when(r.Created), verdicts[i]})
	}
	c.printTable(rows, 3)
	c.note("assay export RUN writes the figures of one again, assay runs diff RUN OTHER compares two.")
}

// when writes a time as short as it stays clear.
func when(t time.Time) string {
	if now := time.Now(); now.Sub(t) < 18*time.Hour && now.Day() == t.Day() {
		return "today " + t.Format("15:04")
	}
	return t.Format("2006-01-02")
}

// printTable writes rows in aligned columns, the first row as a heading. The
// columns in right are numbers.
func (c *console) printTable(rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case slices.Contains(right, i):
				b.WriteString(gap + cell)
			case i == len(row)-1:
				b.WriteString(cell)
			default:
				b.WriteString(cell + gap)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if n == 0 {
			line = c.paint(faint, line)
		}
		fmt.Fprintln(c.out, line)
	}
}

// writeJSON prints one indented document.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
