package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
	"github.com/assay-lab/assay/papers"
)

// jobView is the page of a run that waits or is under way.
type jobView struct {
	shelf.Job
	Title string
	Slug  string
	Back  string
	Ahead int
	Mine  bool
	Again string // address of its form, filled in as it was
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	j, err := s.cfg.Shelf.Job(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if j.State == shelf.Done && j.Run != "" {
		http.Redirect(w, r, "/runs/"+j.Run, http.StatusSeeOther)
		return nil
	}
	view := jobView{Job: j, Slug: slugOf(j.Experiment), Back: back(j.Experiment), Title: j.Experiment, Mine: j.Visitor == visitorOf(r)}
	view.Again = view.Back
	if e, ok := s.experiment(j.Experiment); ok {
		view.Title = e.Title
		set := maps.Clone(j.Settings)
		for _, p := range e.Params {
			if p.Kind == lab.Input && !slices.Contains(p.Choices, set[p.Name]) {
				delete(set, p.Name) // a file, which must be sent anew
			}
		}
		view.Again = formAddress(j.Experiment, j.Size, set)
	}
	if j.State == shelf.Queued {
		if view.Ahead, err = s.queue.ahead(r.Context(), j.ID); err != nil {
			return err
		}
	}
	return s.show(w, r, http.StatusOK, "job", view)
}

// events tells of a run under way, as server-sent events: every change, at most four
// times a second, and its end.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, err := s.cfg.Shelf.Job(r.Context(), id); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	send := func(event string, data []byte) bool {
		control.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
		return err == nil && control.Flush() == nil
	}
	var l *live
	for {
		if l == nil {
			l = s.queue.of(id)
		}
		if l == nil {
			j, err := s.cfg.Shelf.Job(r.Context(), id)
			if err != nil {
				return nil
			}
			if j.State != shelf.Queued && j.State != shelf.Running {
				send("end", []byte(`"`+string(j.State)+`"`))
				return nil
			}
			ahead, _ := s.queue.ahead(r.Context(), id)
			if !send("waiting", fmt.Appendf(nil, "%d", ahead)) || !pause(r, 250*time.Millisecond) {
				return nil
			}
			continue
		}
		now, changed := l.look()
		if !send("progress", now.JSON()) {
			return nil
		}
		if now.Ended { // the job's state says how
			l = nil
			continue
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second): // still here
		case <-r.Context().Done():
			return nil
		}
		if !pause(r, 250*time.Millisecond) {
			return nil
		}
	}
}

func pause(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// stop ends a run of the reader's own.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	j, err := s.end(r)
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/jobs/"+j.ID, http.StatusSeeOther)
	return nil
}

// end stops the job that an address names, and returns it as it was.
func (s *Server) end(r *http.Request) (shelf.Job, error) {
	j, err := s.cfg.Shelf.Job(r.Context(), r.PathValue("id"))
	if err != nil {
		return j, err
	}
	if j.Visitor != visitorOf(r) {
		return j, &problem{http.StatusForbidden, "Only who started a run can stop it."}
	}
	if l := s.queue.of(j.ID); l != nil {
		l.cancel(errStopped)
	} else if j.State == shelf.Queued {
		j.State = shelf.Stopped
		err = s.cfg.Shelf.SetJob(r.Context(), j)
	}
	return j, err
}

// runView is the page of a run.
type runView struct {
	*runner.Run
	Slug    string
	Title   string
	Axes    string
	Tables  []table
	Samples []lab.File
	Command string
	Status  lab.Status
	Charts  []chartData
	Advice  lab.Advice
	Back    string // address of the page that it was started from
	Others  []choice
	Again   string // address of its form, filled in as it was
	Usage   usage
}

// A table is a panel: methods over budgets.
type table struct {
	Panel   string
	Budgets []string
	Rows    []tableRow
}

type tableRow struct {
	Method, Color string
	Cells         []tableCell
}

type tableCell struct {
	Text string
	Best bool
}

func (s *Server) load(r *http.Request) (*runner.Run, *lab.Experiment, error) {
	return s.loadID(r.Context(), r.PathValue("id"))
}

// loadID is the run of that ID, as anyone may see it.
func (s *Server) loadID(ctx context.Context, id string) (*runner.Run, *lab.Experiment, error) {
	recorded, err := s.cfg.Store.Run(ctx, id)
	if errors.Is(err, store.ErrNoRun) || err == nil && recorded.ID != id {
		return nil, nil, notFound("run")
	}
	if err != nil {
		return nil, nil, err
	}
	e, _ := s.experiment(recorded.Experiment)
	grid := e
	if e != nil && e.Version != recorded.Version {
		grid = nil // it may differ from the run's
	}
	run, err := runner.Load(ctx, s.cfg.Store, id, grid)
	if err != nil {
		return nil, nil, err
	}
	run.Run = public(run.Run)
	for i := range run.Curves.Missing {
		m := &run.Curves.Missing[i]
		m.Cell.Values, m.Err = run.Values, s.unplaced(m.Err)
	}
	return run, e, nil
}

func (s *Server) run(w http.ResponseWriter, r *http.Request) error {
	run, e, err := s.load(r)
	if err != nil {
		return err
	}
	if c, other, err := s.against(r, run); err != nil || c != nil {
		if err != nil {
			return err
		}
		return s.runAgainst(w, r, run, other, c)
	}
	view := runView{
		Run: run, Slug: slugOf(run.Experiment), Title: run.Title, Command: command(run),
		Axes: axes(run.Curves), Charts: charts(run.Curves),
	}
	var all []lab.Status
	for _, v := range run.Verdicts {
		all = append(all, v.Verdict.Status)
	}
	view.Status, view.Back = together(all), back(run.Experiment)
	if e != nil && e.Advise != nil && !run.Finished.IsZero() {
		if view.Advice, err = s.advice(r.Context(), e, run); err != nil {
			return err
		}
	}
	view.Tables, view.Again = tables(run.Curves), s.again(run.Run)
	if page, ok := papers.Get(view.Slug); ok {
		view.Usage = usageOf(page)
	}
	if view.Others, err = s.choices(r.Context(), run.Run); err != nil {
		return err
	}
	for _, res := range run.Results {
		for _, f := range res.Outcome.Files {
			if f.Type == "image/png" && len(view.Samples) < 12 {
				view.Samples = append(view.Samples, lab.File{Name: f.Name, Type: res.Cell.String(), Data: f.Data})
			}
		}
	}
	return s.show(w, r, http.StatusOK, "run", view)
}

// advice is that of an experiment, which may open readers' files for it.
func (s *Server) advice(ctx context.Context, e *lab.Experiment, run *runner.Run) (lab.Advice, error) {
	recorded, err := s.cfg.Store.Run(ctx, run.ID) // which tells where they are
	if err != nil {
		return lab.Advice{}, err
	}
	a := e.Advise(recorded.Values, run.Curves)
	for _, lines := range [][]string{a.Lines, a.Commands} {
		for i := range lines {
			lines[i] = s.unplaced(lines[i])
		}
	}
	return a, nil
}

// axes says what curves show.
func axes(c lab.Curves) string { return c.Quality.Label() + " over " + c.Cost.Label() }

// budgetLabel is what budgets count.
func budgetLabel(c lab.Curves) string { return cmp.Or(c.Budget, c.Cost.Label()) }

// back is the page of an experiment.
func back(experiment string) string {
	if slug := slugOf(experiment); slug != comparisons {
		return "/papers/" + slug
	}
	return "/" + experiment
}

// command is what gives the same run on a terminal. The parameters of a comparison are
// flags of its own verb. Where a file lies here is nobody's business.
func command(run *runner.Run) string {
	begin, set := "assay run "+run.Experiment, func(name, value string) string { return "--set " + shellQuote(name+"="+value) }
	if slugOf(run.Experiment) == comparisons {
		begin, set = "assay "+strings.ReplaceAll(run.Experiment, "/", " "), func(name, value string) string { return "--" + name + " " + shellQuote(value) }
	}
	parts := []string{begin, "--size", string(run.Size)}
	for _, name := range slices.Sorted(maps.Keys(run.Values)) {
		value := run.Values[name]
		if run.Inputs[name] != "" {
			value = "FILE"
		}
		if value != "" {
			parts = append(parts, set(name, value))
		}
	}
	return strings.Join(parts, " ")
}

func shellQuote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,:/") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func tables(c lab.Curves) []table {
	var out []table
	for _, panel := range c.Panels() {
		t := table{Panel: panel}
		var budgets []float64
		seen := map[float64]bool{}
		for _, cv := range c.Curves {
			for _, p := range cv.Points {
				if cv.Panel == panel && !seen[p.Budget] {
					seen[p.Budget] = true
					budgets = append(budgets, p.Budget)
				}
			}
		}
		slices.Sort(budgets)
		best := make([]float64, len(budgets))
		for i, b := range budgets {
			t.Budgets = append(t.Budgets, lab.Digits(b))
			best[i] = c.Quality.Worst()
			for _, cv := range c.Curves {
				if p, ok := cv.At(b); ok && cv.Panel == panel && c.Quality.Beats(p.Mean(), best[i]) {
					best[i] = p.Mean()
				}
			}
		}
		for i, m := range c.Methods() {
			cv, ok := c.Curve(panel, m)
			if !ok {
				continue
			}
			row := tableRow{Method: m, Color: colorText(i)}
			for k, b := range budgets {
				cell := tableCell{Text: "–"}
				if p, ok := cv.At(b); ok {
					cell = tableCell{lab.Digits(p.Mean()), p.Mean() == best[k]}
				}
				row.Cells = append(row.Cells, cell)
			}
			t.Rows = append(t.Rows, row)
		}
		out = append(out, t)
	}
	return out
}

// runFile is a download of a run.
func (s *Server) runFile(w http.ResponseWriter, r *http.Request) error {
	run, e, err := s.load(r)
	if err != nil {
		return err
	}
	if e == nil {
		return notFound("experiment any more")
	}
	told, err := s.reportOf(r.Context(), e, run)
	if err != nil {
		return err
	}
	file := r.PathValue("file")
	var b bytes.Buffer
	var kind string
	switch file {
	case "curve.png", "curve.svg", "curve.pdf":
		format := file[len("curve."):]
		kind = mime.TypeByExtension("." + format)
		fig, err := report.NewFigure(e, run.Curves)
		if err != nil {
			return bad("%v", err)
		}
		if err := fig.Write(&b, format); err != nil {
			return err
		}
	case "results.csv":
		kind = "text/csv; charset=utf-8"
		err = report.WriteCSV(&b, run.Curves)
	case "results.json":
		kind = "application/json"
		err = report.WriteJSON(&b, told)
	case "report.md":
		kind = "text/markdown; charset=utf-8"
		err = report.WriteMarkdown(&b, told, "curve.png")
	default:
		return notFound("file")
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	if r.URL.Query().Has("download") || !strings.HasPrefix(kind, "image/") {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": run.ID + "-" + file}))
	}
	_, err = w.Write(b.Bytes())
	return err
}

// reportOf is a run for the writers of reports, with the advice that its page has.
func (s *Server) reportOf(ctx context.Context, e *lab.Experiment, run *runner.Run) (report.Run, error) {
	told := *e
	if e.Advise != nil {
		a, err := s.advice(ctx, e, run)
		if err != nil {
			return report.Run{}, err
		}
		told.Advise = func(lab.Values, lab.Curves) lab.Advice { return a }
	}
	return report.NewRun(&told, run.Values, run.Curves), nil
}

// Downloads are the files of a run.
func (runView) Downloads() []string {
	return []string{"curve.png", "curve.svg", "curve.pdf", "results.csv", "results.json", "report.md"}
}
