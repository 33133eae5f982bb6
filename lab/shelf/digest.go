package shelf

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// A Digest is what happened on the shelf in some time.
type Digest struct {
	New      []Paper // what can be run first, then by votes
	More     int     // new papers beyond those
	Trending []Paper // papers that were voted for, without new ones
	Changed  []Change
}

// A Change is a paper whose verdict became another; its status is the new one.
type Change struct {
	Paper
	Was string // "" for none
}

// Empty says that there is nothing to tell.
func (d Digest) Empty() bool { return len(d.New)+len(d.Trending)+len(d.Changed) == 0 }

// Bounds of a digest.
const (
	mostNew      = 20
	mostTrending = 5
	mostChanged  = 20
)

// Digest tells what happened from since until just before until.
func (s *Shelf) Digest(ctx context.Context, since, until time.Time) (d Digest, err error) {
	a, b := since.Unix(), until.Unix()
	fresh, err := s.rows(ctx, "SELECT "+columns+` FROM papers p WHERE p.added >= ? AND p.added < ?
		ORDER BY p.runnable DESC, p.heat DESC, p.published DESC, p.n DESC LIMIT ?`, "", a, b, mostNew)
	if err != nil {
		return d, err
	}
	d.New = page(fresh, mostNew, nil).Papers
	if len(fresh) == mostNew {
		if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM papers WHERE added >= ? AND added < ?", a, b).Scan(&d.More); err != nil {
			return d, found("digest", err)
		}
		d.More -= mostNew
	}
	hot, err := s.rows(ctx, "SELECT "+columns+` FROM papers p WHERE p.n IN (SELECT paper FROM votes WHERE at >= ? AND at < ?)
		AND NOT (p.added >= ? AND p.added < ?) ORDER BY p.heat DESC, p.n DESC LIMIT ?`, "", a, b, a, b, mostTrending)
	if err != nil {
		return d, err
	}
	d.Trending = page(hot, mostTrending, nil).Papers
	d.Changed, err = s.changed(ctx, a, b)
	return d, err
}

// changed are the papers whose verdict at the end is not that of the beginning.
func (s *Shelf) changed(ctx context.Context, since, until int64) ([]Change, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+strings.Replace(columns, "p.status", "last.became", 1)+`, first.was
		FROM (SELECT paper, min(n) AS a, max(n) AS b FROM changes WHERE at >= ? AND at < ? GROUP BY paper) g
		JOIN changes first ON first.n = g.a JOIN changes last ON last.n = g.b JOIN papers p ON p.n = g.paper
		WHERE first.was <> last.became ORDER BY g.b DESC LIMIT ?`, "", since, until, mostChanged)
	if err != nil {
		return nil, found("digest", err)
	}
	defer rows.Close()
	var cs []Change
	for rows.Next() {
		var c Change
		p, err := scan(withMore{rows, &c.Was})
		if err != nil {
			return nil, found("digest", err)
		}
		c.Paper = p.Paper
		cs = append(cs, c)
	}
	return cs, found("digest", rows.Err())
}

// withMore scans one column more than it is asked to.
type withMore struct {
	rows *sql.Rows
	more any
}

func (w withMore) Scan(to ...any) error { return w.rows.Scan(append(to, w.more)...) }
