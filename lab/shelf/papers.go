package shelf

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Paper is one entry of the feed.
type Paper struct {
	Slug      string    `json:"slug"` // its address: unique, made of a-z, 0-9, '.' and '-'
	Title     string    `json:"title"`
	Authors   []string  `json:"authors"`
	Summary   string    `json:"summary"`
	Topics    []string  `json:"topics"`
	Methods   []string  `json:"methods,omitempty"`
	URL       string    `json:"url"`              // of the abstract: unique
	Source    string    `json:"source,omitempty"` // the feed that brought it; "" for the catalogue
	Published time.Time `json:"published"`
	Runnable  bool      `json:"runnable"`
	Status    string    `json:"status,omitempty"` // verdict of its last runs
	Votes     int       `json:"votes"`
	Voted     bool      `json:"voted,omitempty"` // by the visitor that [Query] names
}

// Put adds papers, or renews those that have the same slug or address. Votes and
// statuses stay. It says how many are new.
func (s *Shelf) Put(ctx context.Context, papers []Paper) (added int, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("shelf: %w", err)
	}
	defer tx.Rollback()
	at := s.Now().Unix()
	for i := range papers {
		isNew, err := put(ctx, tx, &papers[i], at)
		if err != nil {
			return 0, fmt.Errorf("shelf: paper %q: %w", papers[i].Slug, err)
		}
		if isNew {
			added++
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("shelf: %w", err)
	}
	return added, nil
}

func put(ctx context.Context, tx *sql.Tx, p *Paper, at int64) (isNew bool, err error) {
	if p.Slug == "" || p.Title == "" || p.URL == "" {
		return false, errors.New("slug, title and URL must not be empty")
	}
	var n int64
	// A paper of the catalogue is never changed by a feed that brings it too.
	err = tx.QueryRowContext(ctx, `SELECT n FROM papers WHERE slug = ? OR url = ? ORDER BY source`, p.Slug, p.URL).Scan(&n)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		isNew = true
		r, err := tx.ExecContext(ctx, `INSERT INTO papers (slug, title, authors, summary, topics, methods, url, source, published, runnable, added)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.Slug, p.Title, lines(p.Authors), p.Summary, lines(p.Topics), lines(p.Methods), p.URL, p.Source, p.Published.Unix(), p.Runnable, at)
		if err != nil {
			return false, err
		}
		if n, err = r.LastInsertId(); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	default:
		r, err := tx.ExecContext(ctx, `UPDATE papers SET title = ?, authors = ?, summary = ?, topics = ?, methods = ?, published = ?, runnable = ?
			WHERE n = ? AND (source = ? OR ? = '')
			AND (title, authors, summary, topics, methods, published, runnable) IS NOT (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
			p.Title, lines(p.Authors), p.Summary, lines(p.Topics), lines(p.Methods), p.Published.Unix(), p.Runnable, n, p.Source, p.Source)
		if err != nil {
			return false, err
		}
		if changed, err := r.RowsAffected(); err != nil || changed == 0 {
			return false, err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM topics WHERE paper = ?", n); err != nil {
			return false, err
		}
	}
	for _, t := range p.Topics {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO topics VALUES (?, ?, ?)", t, p.Published.Unix(), n); err != nil {
			return false, err
		}
	}
	return isNew, nil
}

func lines(xs []string) string {
	clean := make([]string, len(xs))
	for i, x := range xs {
		clean[i] = strings.Join(strings.Fields(x), " ")
	}
	return strings.Join(clean, "\n")
}

func unlines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

const columns = `p.n, p.slug, p.title, p.authors, p.summary, p.topics, p.methods, p.url, p.source, p.published, p.runnable, p.status, p.votes, p.heat,
	EXISTS (SELECT 1 FROM votes v WHERE v.paper = p.n AND v.visitor = ?)`

// A row is a paper with its place in the orders.
type row struct {
	Paper
	n    int64
	heat float64
}

func scan(r interface{ Scan(...any) error }) (p row, err error) {
	var authors, topics, methods string
	var published int64
	err = r.Scan(&p.n, &p.Slug, &p.Title, &authors, &p.Summary, &topics, &methods, &p.URL, &p.Source, &published, &p.Runnable, &p.Status, &p.Votes, &p.heat, &p.Voted)
	p.Authors, p.Topics, p.Methods = unlines(authors), unlines(topics), unlines(methods)
	p.Published = time.Unix(published, 0).UTC()
	return p, err
}

// Paper returns the paper of that slug, as the visitor sees it.
func (s *Shelf) Paper(ctx context.Context, slug, visitor string) (Paper, error) {
	p, err := scan(s.db.QueryRowContext(ctx, "SELECT "+columns+" FROM papers p WHERE p.slug = ?", visitor, slug))
	if errors.Is(err, sql.ErrNoRows) {
		return Paper{}, fmt.Errorf("shelf: paper %q: %w", slug, ErrNotFound)
	}
	if err != nil {
		return Paper{}, fmt.Errorf("shelf: %w", err)
	}
	return p.Paper, nil
}

// SlugOf is the slug of the paper with that web address.
func (s *Shelf) SlugOf(ctx context.Context, url string) (slug string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT slug FROM papers WHERE url = ?", url).Scan(&slug)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("shelf: paper at %q: %w", url, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("shelf: %w", err)
	}
	return slug, nil
}

// SetStatus records the verdict of a paper's last runs; "" for none. A verdict that is
// another than before is told by the next digests.
func (s *Shelf) SetStatus(ctx context.Context, slug, status string) error {
	fail := func(err error) error { return fmt.Errorf("shelf: verdict of %q: %w", slug, err) }
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO changes (paper, was, became, at) SELECT n, status, ?, ? FROM papers WHERE slug = ? AND status <> ?",
		status, s.Now().Unix(), slug, status); err != nil {
		return fail(err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE papers SET status = ? WHERE slug = ? AND status <> ?", status, slug, status); err != nil {
		return fail(err)
	}
	if err := tx.Commit(); err != nil {
		return fail(err)
	}
	return nil
}

// A Count is a value of a filter and how many papers have it.
type Count struct {
	Name  string
	Count int
}

// Topics lists the topics with the most papers.
func (s *Shelf) Topics(ctx context.Context, limit int) ([]Count, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT topic, count(*) AS k FROM topics GROUP BY topic ORDER BY k DESC, topic LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	defer rows.Close()
	var cs []Count
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Name, &c.Count); err != nil {
			return nil, fmt.Errorf("shelf: %w", err)
		}
		cs = append(cs, c)
	}
	return cs, rows.Err()
}
