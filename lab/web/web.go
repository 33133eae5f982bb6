// Package web is the Daily Papers page: a feed of papers, each of which can be run in
// place where it is built, with its curve growing as cells finish, and the API behind it.
package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/feeds"
	"github.com/assay-lab/assay/lab/mail"
	"github.com/assay-lab/assay/lab/runner"
	"github.com/assay-lab/assay/lab/shelf"
	"github.com/assay-lab/assay/lab/store"
	"github.com/assay-lab/assay/papers"
)

// Config is what a server is made of.
type Config struct {
	Store   *store.Store
	Shelf   *shelf.Shelf
	Uploads string // folder of readers' files
	Log     *slog.Logger

	Runs  int           // runs at once; 0: 1
	Queue int           // runs that wait at most; 0: 20
	Upper int64         // bytes of an uploaded file at most; 0: 64 MB
	Drain time.Duration // how long open answers may take at the end; 0: 3 s

	// Run runs an experiment to its end, tells how far it is, and returns the run's ID;
	// nil: in this process. A process of its own leaves the pages their time and memory.
	Run  func(ctx context.Context, e *lab.Experiment, size lab.Size, v lab.Values, progress func(runner.Progress)) (string, error)
	Mail *mail.Sender // sends digests; nil: nobody can subscribe
	URL  string       // public address of the server, which links in mails begin with; "": that of the listener

	Auth   *Auth       // how users log in; nil: nobody needs to, and only this machine is answered
	TLS    *tls.Config // for HTTPS
	Limits Limits

	// Lookup finds a paper that a reader submits; nil: at arXiv, or by its page's address.
	Lookup func(ctx context.Context, id string) (shelf.Paper, error)

	// Experiments lists what of a paper can be run, and for "compare" the comparisons of
	// whole fields; nil: what the catalogue and package compare say.
	Experiments func(slug string) []*lab.Experiment
}

// A Server answers for the pages. [Server.Serve] starts it.
type Server struct {
	cfg    Config
	key    []byte // signs cookies
	views  map[string]*template.Template
	queue  *queue
	limits *limiter
	routed *http.ServeMux
	mux    http.Handler // routed, guarded
	status statusCache
	meters *meters

	asks      asks
	postman   *postman
	passwords *passwordFile // nil without one
	checks    chan struct{} // passwords being checked
	uploading chan struct{} // forms with files that come in
	keeping   sync.Mutex    // of the folder of uploads
	planning  sync.Mutex    // of runs that are asked for, one after the other
}

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// New makes a server, and puts the catalogue on the shelf.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Shelf == nil || cfg.Uploads == "" {
		return nil, errors.New("web: store, shelf and folder for uploads must be set")
	}
	if cfg.Mail != nil {
		if err := cfg.Mail.Check(); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Experiments == nil {
		cfg.Experiments = experimentsOf
	}
	if cfg.Run == nil {
		cfg.Run = func(ctx context.Context, e *lab.Experiment, size lab.Size, v lab.Values, progress func(runner.Progress)) (string, error) {
			run, err := (&runner.Runner{Store: cfg.Store, Progress: progress}).Run(ctx, e, size, v)
			if err != nil {
				return "", err
			}
			return run.ID, nil
		}
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(ctx context.Context, id string) (shelf.Paper, error) { return feeds.Lookup(ctx, nil, id) }
	}
	cfg.Runs, cfg.Queue = cmp.Or(cfg.Runs, 1), cmp.Or(cfg.Queue, 20)
	cfg.Upper, cfg.Drain = cmp.Or(cfg.Upper, 64<<20), cmp.Or(cfg.Drain, 3*time.Second)
	cfg.Limits.setDefaults()
	key, err := cfg.Shelf.Secret(ctx, "cookies", func() []byte {
		b := make([]byte, 32)
		rand.Read(b)
		return b
	})
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, key: key, limits: newLimiter(), checks: make(chan struct{}, 2), uploading: make(chan struct{}, cfg.Limits.Uploads)}
	if err := s.openAuth(); err != nil {
		return nil, err
	}
	s.queue = &queue{server: s, live: map[string]*live{}, wake: make(chan struct{}, 1)}
	s.postman = &postman{server: s, wake: make(chan struct{}, 1)}
	s.meters = newMeters(s)
	if s.views, err = parseViews(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if err := s.stockCatalogue(ctx); err != nil {
		return nil, err
	}
	s.mux = s.routes()
	return s, nil
}

// experimentsOf lists the experiments of a paper, or those of package compare.
func experimentsOf(slug string) []*lab.Experiment {
	if slug == comparisons {
		return compare.Experiments()
	}
	return papers.Experiments(slug)
}

// comparisons stands in the place of a paper for what compares the methods of a field.
const comparisons = "compare"

// stockCatalogue puts the papers of the catalogue on the shelf, and the verdicts of
// their last runs.
func (s *Server) stockCatalogue(ctx context.Context) error {
	var ps []shelf.Paper
	for _, p := range papers.All() {
		ps = append(ps, shelf.Paper{
			Slug: p.Slug, Title: p.Title, Authors: p.Authors, Summary: papers.Plain(p.Summary), Topics: p.Topics, Methods: p.Methods,
			URL: p.URL(), Published: published(p), Runnable: len(s.cfg.Experiments(p.Slug)) > 0,
		})
	}
	if _, err := s.cfg.Shelf.Put(ctx, ps); err != nil {
		return err
	}
	runs, err := s.cfg.Store.Runs(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range runs { // the newest first
		if slug := slugOf(r.Experiment); slug != comparisons && !seen[slug] && !r.Finished.IsZero() {
			seen[slug] = true
			if err := s.noteVerdict(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// published is the month that an arXiv identifier tells, YYMM.NNNNN.
func published(p papers.Paper) time.Time {
	if len(p.ArXiv) > 4 {
		yy, err1 := strconv.Atoi(p.ArXiv[:2])
		mm, err2 := strconv.Atoi(p.ArXiv[2:4])
		if err1 == nil && err2 == nil {
			return time.Date(2000+yy, time.Month(mm), 1, 0, 0, 0, 0, time.UTC)
		}
	}
	return time.Date(p.Year, 1, 1, 0, 0, 0, 0, time.UTC)
}

// Serve answers on the listener and runs what is queued, until ctx is done. Runs that
// are under way then go on at the next start.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { s.queue.work(ctx) })
	if s.cfg.Mail != nil {
		s.postman.site = cmp.Or(s.cfg.URL, "http://"+l.Addr().String()+"/")
		work.Go(func() { s.postman.work(ctx) })
	}
	l = &bounded{Listener: l, most: s.cfg.Limits.Connections, each: s.cfg.Limits.PerAddress, exempt: s.cfg.Auth.believes, by: map[string]int{}}
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // a connection is one request, so that counting them bounds both
	h := &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		ReadHeaderTimeout: s.cfg.Limits.Header,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	var err error
	select {
	case err = <-served:
		cancel()
	case <-ctx.Done():
		drain, stop := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
		defer stop()
		if h.Shutdown(drain) != nil {
			h.Close()
		}
	}
	work.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	static, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // it is embedded
	}
	mux.Handle("GET /assets/", cached(http.StripPrefix("/assets/", http.FileServerFS(static))))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.Handle("GET /metrics", s.meters.handler())
	page := func(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(pattern, s.page(h))
	}
	page("GET /{$}", s.feed)
	page("GET /papers/{slug}", s.paper)
	page("POST /papers", s.submit)
	page("POST /papers/{slug}/vote", s.vote)
	page("POST /papers/{slug}/runs", s.start)
	page("GET /subscribe", s.subscribePage)
	page("POST /subscribe", s.subscribe)
	page("GET /subscribe/confirm", s.confirmPage)
	page("POST /subscribe/confirm", s.confirm)
	page("GET /unsubscribe", s.leavePage)
	page("POST /unsubscribe", s.leave)
	page("GET /compare/{field}", s.compare)
	page("POST /compare/runs", s.start)
	page("GET /jobs/{id}", s.job)
	page("GET /jobs/{id}/events", s.events)
	page("POST /jobs/{id}/stop", s.stop)
	page("GET /runs/{id}", s.run)
	page("GET /runs/{id}/{file}", s.runFile)
	for pattern, h := range s.apiRoutes() {
		page(pattern, h)
	}
	if s.cfg.Auth != nil {
		page("GET /login", s.loginPage)
		page("POST /login", s.login)
		page("POST /logout", s.logout)
	}
	page("/", func(http.ResponseWriter, *http.Request) error { return notFound("page") })
	s.routed = mux
	return s.guard(s.meters.watch(mux))
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if err := s.cfg.Shelf.Ping(r.Context()); err != nil {
		http.Error(w, "the database cannot be read", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
