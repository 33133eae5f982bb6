package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/papers"
)

// written is a run whose files are in a folder.
type written struct {
	run    *runner.Run
	report report.Run
	dir    string
	files  []string // in dir, the picture first
}

// picture is the path of the curves' picture, "" where no cell gave a figure.
func (w *written) picture() string {
	if slices.Contains(w.files, "curve.png") {
		return filepath.Join(w.dir, "curve.png")
	}
	return ""
}

// reportOf is what there is to report of a run. An experiment that this version
// does not have is taken from the run's record.
func reportOf(e *lab.Experiment, run *runner.Run) report.Run {
	if e == nil {
		e = &lab.Experiment{Name: run.Experiment, Title: run.Title, Cost: run.Cost, Quality: run.Quality}
		for _, j := range run.Verdicts {
			e.Claims = append(e.Claims, lab.Claim{Name: j.Claim, Text: j.Text, Paper: j.Paper})
		}
	}
	if len(run.Verdicts) != len(e.Claims) { // not finished: judge what there is
		return report.NewRun(e, run.Values, run.Curves)
	}
	r := report.Run{Experiment: e, Values: run.Values, Curves: run.Curves}
	for _, j := range run.Verdicts {
		r.Verdicts = append(r.Verdicts, j.Verdict)
	}
	return r
}

// hasPoints says whether there is anything to draw.
func hasPoints(cs lab.Curves) bool {
	return slices.ContainsFunc(cs.Curves, func(c lab.Curve) bool { return len(c.Points) > 0 })
}

// formats lists what a run can be exported as, and the files' names.
var formats = []struct{ name, file string }{
	{"png", "curve.png"}, {"svg", "curve.svg"}, {"pdf", "curve.pdf"},
	{"csv", "results.csv"}, {"json", "results.json"}, {"md", "report.md"},
}

// render writes a run in one of the formats.
func render(r report.Run, format string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch format {
	case "csv":
		err = report.WriteCSV(&b, r.Curves)
	case "json":
		err = report.WriteJSON(&b, r)
	case "md":
		picture := ""
		if hasPoints(r.Curves) {
			picture = "curve.png"
		}
		err = report.WriteMarkdown(&b, r, picture)
	default:
		var fig *report.Figure
		if fig, err = report.NewFigure(r.Experiment, r.Curves); err == nil {
			err = fig.Write(&b, format)
		}
	}
	return b.Bytes(), err
}

// writeRun writes everything about a run into a folder.
func writeRun(e *lab.Experiment, run *runner.Run, dir string) (written, error) {
	w := written{run: run, report: reportOf(e, run), dir: dir}
	for _, f := range formats {
		if strings.HasPrefix(f.file, "curve.") && !hasPoints(run.Curves) {
			continue
		}
		b, err := render(w.report, f.name)
		if err != nil {
			return w, err
		}
		if err := cache.WriteFile(filepath.Join(dir, f.file), b); err != nil {
			return w, err
		}
		w.files = append(w.files, f.file)
	}
	used := map[string]int{}
	for _, r := range run.Results {
		if len(r.Outcome.Files) == 0 {
			continue
		}
		name := fileName(r.Cell.String())
		if used[name]++; used[name] > 1 {
			name += fmt.Sprintf("-%d", used[name])
		}
		for _, f := range r.Outcome.Files {
			file := filepath.Join("cells", name, fileName(f.Name))
			if err := cache.WriteFile(filepath.Join(dir, file), f.Data); err != nil {
				return w, err
			}
			w.files = append(w.files, file)
		}
	}
	return w, nil
}

// fileName makes a name that every file system takes.
func fileName(s string) string {
	s = strings.ReplaceAll(s, ", ", "_")
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune("._+-=", r):
			return r
		}
		return '-'
	}, s)
	if s = strings.TrimLeft(s, "."); s == "" {
		return "-"
	}
	return s
}

// printRun prints a run's figures, advice and verdicts.
func (c *console) printRun(w written) error {
	e := w.report.Experiment
	fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, wrap(e.Title, c.textWidth(), "")))
	fmt.Fprintf(c.out, "%s\n\n", c.paint(faint, fmt.Sprintf("%s, size %s, run %s", e.Name, w.run.Size, w.run.ID)))
	term := report.Terminal{Color: c.color, Width: c.width}
	if hasPoints(w.run.Curves) {
		if err := report.WriteTable(c.out, w.run.Curves, term); err != nil {
			return err
		}
	}
	term.Width = c.textWidth()
	if a := w.report.Advice(); len(a.Lines) > 0 {
		fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, "Recommendation"))
		for _, line := range a.Lines {
			fmt.Fprintf(c.out, "  %s\n", wrap(line, c.textWidth()-2, "    "))
		}
	}
	for i, v := range w.report.Verdicts {
		fmt.Fprintln(c.out)
		if err := report.WriteVerdict(c.out, e.Claims[i], v, term); err != nil {
			return err
		}
	}
	return nil
}

// printNext ends a run: the verdicts in a word each, the pictures, what to do.
func (c *console) printNext(arg string, done []written) {
	c.printVerdicts(done)
	fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, "Pictures"))
	for _, w := range done {
		if p := w.picture(); p != "" {
			fmt.Fprintf(c.out, "  %s\n", p)
		}
	}
	fmt.Fprintf(c.out, "  %s\n", c.paint(faint, "and beside them SVG, PDF, results.csv, results.json, report.md"))
	slug, _, _ := strings.Cut(arg, "/")
	next := [][2]string{
		{"papers", "other papers to run"},
		{"sample --label all", "draw digits with any of the methods"},
		{"serve", "all of it as a page in your browser"},
	}
	if _, ok := papers.Get(slug); ok {
		next = slices.Insert(next, 0, [2]string{"show " + slug, "the paper: how it works, what it claims"})
	}
	column := 0
	for _, n := range next {
		column = max(column, len(c.program+" "+n[0]))
	}
	fmt.Fprintf(c.out, "\n%s\n", c.paint(bold, "Next"))
	for _, n := range next {
		fmt.Fprintf(c.out, "  %s  %s\n", c.paint(cyan, fmt.Sprintf("%-*s", column, c.program+" "+n[0])), c.paint(faint, n[1]))
	}
}

// printVerdicts sums up several claims in a line each.
func (c *console) printVerdicts(done []written) {
	looks := map[lab.Status]style{lab.Holds: green, lab.Fails: red, lab.HoldsInPart: yellow, lab.Undecided: yellow}
	var lines []string
	for _, w := range done {
		e := w.report.Experiment
		for i, v := range w.report.Verdicts {
			status := c.paint(looks[v.Status], fmt.Sprintf("%-13s", v.Status))
			lines = append(lines, fmt.Sprintf("  %s  %s", status, cut(shortOf(e)+": "+e.Claims[i].Name, c.width-17)))
		}
	}
	if len(lines) > 1 {
		fmt.Fprintf(c.out, "\n%s\n%s\n", c.paint(bold, "Verdicts"), strings.Join(lines, "\n"))
	}
}

// runDocument is what --json prints.
func runDocument(done []written) (any, error) {
	type document struct {
		Run    any             `json:"run"`
		Folder string          `json:"folder"`
		Files  []string        `json:"files"`
		Report json.RawMessage `json:"report"`
	}
	docs := make([]document, len(done))
	for i, w := range done {
		b, err := render(w.report, "json")
		if err != nil {
			return nil, err
		}
		docs[i] = document{w.run.Run, w.dir, w.files, b}
	}
	return map[string]any{"experiments": docs}, nil
}
