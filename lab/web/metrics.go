package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-lab/assay/lab/shelf"
)

// meters are what /metrics tells of a server.
type meters struct {
	registry *prometheus.Registry
	seconds  *prometheus.HistogramVec
	jobs     *prometheus.CounterVec
	cells    prometheus.Counter
	mails    *prometheus.CounterVec
}

func newMeters(s *Server) *meters {
	m := &meters{
		registry: prometheus.NewRegistry(),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "assay_http_request_seconds", Help: "Time to answer a request, by its pattern and status.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 30},
		}, []string{"pattern", "code"}),
		jobs:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assay_jobs_total", Help: "Jobs that ended, by how."}, []string{"state"}),
		cells: prometheus.NewCounter(prometheus.CounterOpts{Name: "assay_cells_total", Help: "Cells that jobs have finished."}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assay_mails_total", Help: "Mails that were tried, by what they are and what came of it."},
			[]string{"kind", "state"}),
	}
	count := func(state shelf.State) float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		open, err := s.cfg.Shelf.OpenJobs(ctx)
		if err != nil {
			return -1
		}
		running := 0
		for _, j := range open {
			if s.queue.of(j.ID) != nil {
				running++
			}
		}
		if state == shelf.Running {
			return float64(running)
		}
		return float64(len(open) - running)
	}
	m.registry.MustRegister(m.seconds, m.jobs, m.cells, m.mails,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assay_jobs_running", Help: "Jobs under way."}, func() float64 { return count(shelf.Running) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assay_jobs_queued", Help: "Jobs that wait."}, func() float64 { return count(shelf.Queued) }))
	return m
}

func (m *meters) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// watch times all answers but streams, which last as long as readers stay.
func (m *meters) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, c := time.Now(), &coded{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(c, r)
		if w.Header().Get("Content-Type") != "text/event-stream" {
			m.seconds.WithLabelValues(r.Pattern, strconv.Itoa(c.code)).Observe(time.Since(start).Seconds())
		}
	})
}

// coded remembers the status of an answer.
type coded struct {
	http.ResponseWriter
	code int
}

func (c *coded) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *coded) Unwrap() http.ResponseWriter { return c.ResponseWriter }
