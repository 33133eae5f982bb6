package shelf

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A State is where a job stands.
type State string

const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Stopped State = "stopped" // by a reader
)

// A Job is a run that a reader has asked for.
type Job struct {
	ID         string            `json:"id"`
	Visitor    string            `json:"-"`
	Experiment string            `json:"experiment"`
	Size       string            `json:"size"`
	Settings   map[string]string `json:"settings,omitempty"` // what the reader set
	Run        string            `json:"run,omitempty"`      // once it has begun
	State      State             `json:"state"`
	Error      string            `json:"error,omitempty"` // why it failed
	Created    time.Time         `json:"created"`
}

// AddJob queues a job, gives it its ID, and returns it.
func (s *Shelf) AddJob(ctx context.Context, j Job) (Job, error) {
	settings, err := json.Marshal(j.Settings)
	if err != nil {
		return j, fmt.Errorf("shelf: %w", err)
	}
	j.ID, j.State, j.Created = "j"+strings.ToLower(rand.Text()[:11]), Queued, s.Now().UTC().Truncate(time.Second)
	if _, err := s.db.ExecContext(ctx, "INSERT INTO jobs (id, visitor, experiment, size, settings, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
		j.ID, j.Visitor, j.Experiment, j.Size, string(settings), j.State, j.Created.Unix()); err != nil {
		return j, fmt.Errorf("shelf: %w", err)
	}
	return j, nil
}

// SetJob records what became of a job: its run, state and error.
func (s *Shelf) SetJob(ctx context.Context, j Job) error {
	if _, err := s.db.ExecContext(ctx, "UPDATE jobs SET run = ?, state = ?, error = ? WHERE id = ?", j.Run, j.State, j.Error, j.ID); err != nil {
		return fmt.Errorf("shelf: %w", err)
	}
	return nil
}

// Job returns the job of that ID.
func (s *Shelf) Job(ctx context.Context, id string) (Job, error) {
	js, err := s.jobs(ctx, "WHERE id = ?", id)
	if err == nil && len(js) == 0 {
		err = fmt.Errorf("shelf: job %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Job{}, err
	}
	return js[0], nil
}

// OpenJobs lists the jobs that are queued or were running, the oldest first.
func (s *Shelf) OpenJobs(ctx context.Context) ([]Job, error) {
	return s.jobs(ctx, "WHERE state IN (?, ?) ORDER BY n", Queued, Running)
}

func (s *Shelf) jobs(ctx context.Context, where string, args ...any) ([]Job, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, visitor, experiment, size, settings, run, state, error, created FROM jobs "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	defer rows.Close()
	var js []Job
	for rows.Next() {
		j, err := scanJob(rows)
		if err != nil {
			return nil, fmt.Errorf("shelf: %w", err)
		}
		js = append(js, j)
	}
	return js, rows.Err()
}

func scanJob(r *sql.Rows) (j Job, err error) {
	var settings string
	var created int64
	if err := r.Scan(&j.ID, &j.Visitor, &j.Experiment, &j.Size, &settings, &j.Run, &j.State, &j.Error, &created); err != nil {
		return j, err
	}
	j.Created = time.Unix(created, 0).UTC()
	if err := json.Unmarshal([]byte(settings), &j.Settings); err != nil {
		return j, errors.Join(fmt.Errorf("settings of job %s", j.ID), err)
	}
	return j, nil
}
