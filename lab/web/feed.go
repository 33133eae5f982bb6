package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
)

// feedView is the front page.
type feedView struct {
	Query  url.Values
	Groups []group
	Found  string // what is shown, in words
	Next   string // address of the next page
	Newest string // address of the first page, on others
	Ranked bool   // the order is not that of time
	Topics []shelf.Count
	States []lab.Status
	Spans  []string
	Token  string
	Mail   bool   // the digest can be had
	First  string // address of a paper to begin with, while nothing has been run
	Login  string // where to log in before a paper can be added; "": need not
}

// A card is a paper in the feed.
type card struct {
	shelf.Paper
	Spark template.HTML
	Token string
}

// spans of time that the feed can be cut to, in days.
var spans = map[string]int{"day": 1, "week": 7, "month": 31}

var statuses = []lab.Status{lab.Holds, lab.HoldsInPart, lab.Fails, lab.Undecided}

// queryOf reads what of the feed is asked for.
func queryOf(r *http.Request) (shelf.Query, error) {
	v := r.URL.Query()
	q := shelf.Query{
		Text: v.Get("q"), Order: shelf.Order(v.Get("order")), Topic: v.Get("topic"), Status: v.Get("verdict"),
		Run: v.Get("run") != "", After: v.Get("after"), Visitor: visitorOf(r),
	}
	if len(q.Text) > 200 {
		return q, bad("The search is %d bytes long: at most 200 are taken.", len(q.Text))
	}
	if s := v.Get("since"); s != "" {
		days, ok := spans[s]
		if !ok {
			return q, bad("since = %q: must be day, week or month.", s)
		}
		q.Since = time.Now().AddDate(0, 0, -days)
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return q, bad("limit = %q: must be a number.", s)
		}
		q.Limit = n
	}
	return q, nil
}

func (s *Server) feed(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	page, err := s.cfg.Shelf.Find(r.Context(), q)
	if err != nil {
		return err
	}
	view := feedView{Token: s.token(visitorOf(r)), Login: s.loginFirst(r), Mail: s.cfg.Mail != nil, Query: r.URL.Query(), States: statuses, Spans: []string{"day", "week", "month"}}
	var cards []card
	for _, p := range page.Papers {
		c := card{Paper: p, Token: s.token(visitorOf(r))}
		if p.Runnable {
			c.Spark = s.status.spark(p.Slug)
		}
		cards = append(cards, c)
	}
	if view.Ranked = q.Order == shelf.ByTrend || strings.TrimSpace(q.Text) != ""; view.Ranked && len(cards) > 0 {
		view.Groups = []group{{Cards: cards}}
	} else {
		view.Groups = grouped(cards, time.Now())
	}
	view.Found = found(view.Query, len(cards), page.Next != "")
	if len(view.Query) == 0 && s.status.empty() && len(s.cfg.Experiments(firstPaper)) > 0 {
		view.First = "/papers/" + firstPaper + "#try"
	}
	if q.After != "" {
		view.Newest = withQuery(view.Query, "after", "")
	}
	if page.Next != "" {
		next := r.URL.Query()
		next.Set("after", page.Next)
		view.Next = "/?" + next.Encode()
	}
	if r.Header.Get("HX-Request") != "" && r.Header.Get("HX-History-Restore-Request") == "" { // the list alone
		return s.part(w, r, "feed", "answer", view)
	}
	if view.Topics, err = s.status.topics(r.Context(), s.cfg.Shelf); err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "feed", view)
}

// firstPaper is what to begin with: make run does too.
const firstPaper = "dpm-solver-pp"

func (s *Server) vote(w http.ResponseWriter, r *http.Request) error {
	slug := r.PathValue("slug")
	up := r.FormValue("up") != "0"
	if _, err := s.cfg.Shelf.Vote(r.Context(), slug, visitorOf(r), up); err != nil {
		return err
	}
	if r.Header.Get("HX-Request") != "" {
		p, err := s.cfg.Shelf.Paper(r.Context(), slug, visitorOf(r))
		if err != nil {
			return err
		}
		return s.part(w, r, "feed", "vote", card{Paper: p, Token: s.token(visitorOf(r))})
	}
	http.Redirect(w, r, "/papers/"+slug, http.StatusSeeOther)
	return nil
}

// submit adds the paper that a reader names by its arXiv identifier or its page's address.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	slug, _, err := s.add(r.Context(), r.FormValue("id"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/papers/"+slug, http.StatusSeeOther)
	return nil
}

// add finds a paper and puts it on the shelf, where it may be already.
func (s *Server) add(ctx context.Context, id string) (slug string, isNew bool, err error) {
	id = strings.TrimSpace(id)
	if id == "" || len(id) > 300 {
		return "", false, bad("Which paper? Give its arXiv identifier, such as 2211.01095, or the address of its page.")
	}
	p, err := s.cfg.Lookup(ctx, id)
	if err != nil {
		s.cfg.Log.Info("submission", "id", id, "err", err, "cause", errors.Unwrap(err))
		return "", false, bad("%v", err)
	}
	added, err := s.cfg.Shelf.Put(ctx, []shelf.Paper{p})
	if err != nil {
		return "", false, err
	}
	slug, err = s.cfg.Shelf.SlugOf(ctx, p.URL) // the catalogue may have it
	return slug, added > 0, err
}

// A statusCache keeps what the feed shows of runs and topics.
type statusCache struct {
	mu       sync.Mutex
	sparks   map[string]template.HTML
	listed   []shelf.Count
	listedAt time.Time
}

func (c *statusCache) spark(slug string) template.HTML {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sparks[slug]
}

// empty reports whether nothing has been run.
func (c *statusCache) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sparks) == 0
}

func (c *statusCache) setSpark(slug string, h template.HTML) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sparks == nil {
		c.sparks = map[string]template.HTML{}
	}
	c.sparks[slug] = h
}

// topics are counted once a minute.
func (c *statusCache) topics(ctx context.Context, s *shelf.Shelf) ([]shelf.Count, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.listedAt) < time.Minute {
		return c.listed, nil
	}
	ts, err := s.Topics(ctx, 60)
	if err != nil {
		return nil, err
	}
	c.listed, c.listedAt = ts, time.Now()
	return ts, nil
}

// noteVerdictOf shows the finished run of that ID on its paper's card.
func (s *Server) noteVerdictOf(ctx context.Context, id string) error {
	r, err := s.cfg.Store.Run(ctx, id)
	if err != nil {
		return err
	}
	return s.noteVerdict(ctx, r)
}

// noteVerdict shows a finished run on its paper's card: its curves, and what the last run
// of each experiment says of the paper's claims, for one that fails is not to be hidden by
// a run of another.
func (s *Server) noteVerdict(ctx context.Context, r store.Run) error {
	slug := slugOf(r.Experiment)
	e, ok := s.experiment(r.Experiment)
	if !ok || slug == comparisons {
		return nil
	}
	run, err := runner.Load(ctx, s.cfg.Store, r.ID, e)
	if err != nil {
		return err
	}
	runs, err := s.cfg.Store.Runs(ctx)
	if err != nil {
		return err
	}
	rows, err := s.claimRows(ctx, s.cfg.Experiments(slug), runs)
	if err != nil {
		return err
	}
	var all []lab.Status
	for _, c := range rows {
		if c.Run.ID != "" {
			all = append(all, c.Status)
		}
	}
	s.status.setSpark(slug, spark(run.Curves))
	return s.cfg.Shelf.SetStatus(ctx, slug, string(together(all)))
}

// together is one word for several verdicts.
func together(all []lab.Status) lab.Status {
	count := map[lab.Status]int{}
	for _, s := range all {
		count[s]++
	}
	switch decided := len(all) - count[lab.Undecided]; {
	case decided == 0:
		return lab.Undecided
	case count[lab.Holds] == decided:
		return lab.Holds
	case count[lab.Fails] == decided:
		return lab.Fails
	}
	return lab.HoldsInPart
}

func slugOf(experiment string) string {
	slug, _, _ := strings.Cut(experiment, "/")
	return slug
}

// experiment is the experiment of that full name.
func (s *Server) experiment(name string) (*lab.Experiment, bool) {
	es := s.cfg.Experiments(slugOf(name))
	i := slices.IndexFunc(es, func(e *lab.Experiment) bool { return e.Name == name })
	if i < 0 {
		return nil, false
	}
	return es[i], true
}

func count(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprint(n, " ", one)
	}
	return fmt.Sprint(n, " ", many)
}
