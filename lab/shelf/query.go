package shelf

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// An Order is an order of the feed.
type Order string

const (
	ByDate  Order = "date"  // the newest first
	ByTrend Order = "trend" // the most votes first, each of which fades
)

// A Query asks for a page of the feed.
type Query struct {
	Text    string // words that title, summary, topics or methods must have; the last may be begun only
	Order   Order  // default [ByDate]; not heeded with Text, which has its own order
	Topic   string
	Status  string    // verdict of the last runs
	Run     bool      // only what can be run
	Since   time.Time // zero: from the beginning
	Visitor string    // whose votes are marked
	Limit   int       // default 20, at most 100
	After   string    // [Page.Next] of the page before
}

// A Page is a part of the feed.
type Page struct {
	Papers []Paper `json:"papers"`
	Next   string  `json:"next,omitempty"` // for [Query.After]; "" at the end
}

// ErrQuery is wrapped by errors about what a query says.
var ErrQuery = errors.New("bad query")

// searched bounds the matches of a text that are ranked, of each kind: the newest ones.
const searched = 200

// Find returns the page that the query asks for.
func (s *Shelf) Find(ctx context.Context, q Query) (Page, error) {
	switch {
	case q.Limit == 0:
		q.Limit = 20
	case q.Limit < 0 || q.Limit > 100:
		return Page{}, fmt.Errorf("shelf: limit %d: must be from 1 to 100: %w", q.Limit, ErrQuery)
	}
	if q.Order == "" {
		q.Order = ByDate
	}
	if q.Order != ByDate && q.Order != ByTrend {
		return Page{}, fmt.Errorf("shelf: order %q: must be date or trend: %w", q.Order, ErrQuery)
	}
	if strings.TrimSpace(q.Text) != "" {
		return s.search(ctx, q)
	}
	return s.browse(ctx, q)
}

// conditions are what a query wants of papers p.
func (q *Query) conditions() (where []string, args []any) {
	and := func(w string, a ...any) { where, args = append(where, w), append(args, a...) }
	if q.Topic != "" {
		and("p.n IN (SELECT paper FROM topics WHERE topic = ?)", q.Topic)
	}
	if q.Status != "" {
		and("p.status = ? AND p.runnable = 1", q.Status)
	}
	if q.Run {
		and("p.runnable = 1")
	}
	if !q.Since.IsZero() {
		and("p.published >= ?", q.Since.Unix())
	}
	return where, args
}

func (s *Shelf) browse(ctx context.Context, q Query) (Page, error) {
	from, key, n := "papers p", map[Order]string{ByDate: "p.published", ByTrend: "p.heat"}[q.Order], "p.n"
	var of []any
	if q.Topic != "" && q.Order == ByDate { // in the order of the topic's own index
		from, key, n, of = "topics t JOIN papers p ON p.n = t.paper AND t.topic = ?", "t.published", "t.paper", []any{q.Topic}
		q.Topic = ""
	}
	where, args := q.conditions()
	if q.After != "" {
		at, row, err := parseCursor(q.After)
		if err != nil {
			return Page{}, err
		}
		where, args = append(where, "("+key+", "+n+") < (?, ?)"), append(args, at, row)
	}
	text := "SELECT " + columns + " FROM " + from
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	text += " ORDER BY " + key + " DESC, " + n + " DESC LIMIT ?"
	all := append(append([]any{q.Visitor}, of...), args...)
	found, err := s.rows(ctx, text, append(all, q.Limit+1)...)
	if err != nil {
		return Page{}, err
	}
	return page(found, q.Limit, func(p row) string {
		at := float64(p.Published.Unix())
		if q.Order == ByTrend {
			at = p.heat
		}
		return cursor(at, p.n)
	}), nil
}

// search has papers first whose title, topics and methods have all words, then those that have
// them anywhere; of both, what can be run and then what is newest. It ranks the
// catalogue and the newest matches, without the statistics of all matches that a score
// such as BM25 needs: they take a hundred times as long as the rest.
func (s *Shelf) search(ctx context.Context, q Query) (Page, error) {
	match := matchQuery(q.Text)
	if match == "" {
		return Page{}, nil
	}
	skip := 0
	if q.After != "" {
		at, _, err := parseCursor(q.After)
		if err != nil {
			return Page{}, err
		}
		if skip = int(at); skip < 0 || skip > searched {
			return Page{}, fmt.Errorf("shelf: after %q: not a place in a search: %w", q.After, ErrQuery)
		}
	}
	if topic := matchWords(q.Topic); len(topic) > 0 { // exactly that topic: see conditions
		match = "{topics} : (" + strings.Join(topic, " ") + ") AND (" + match + ")"
	}
	where, args := q.conditions()
	if len(where) > 0 {
		where = []string{"WHERE " + strings.Join(where, " AND ")}
	}
	text := `SELECT ` + columns + ` FROM (
		SELECT p.n, row_number() OVER (ORDER BY m.tier, p.runnable DESC, p.published DESC, p.n DESC) AS place FROM (
			SELECT rowid AS n, min(tier) AS tier FROM (
				SELECT * FROM (SELECT rowid, 0 AS tier FROM names WHERE names MATCH ? ORDER BY rowid DESC LIMIT ?)
				UNION ALL SELECT * FROM (SELECT rowid, 1 FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?)
				UNION ALL SELECT rowid, 0 FROM names WHERE names MATCH ? AND rowid <= ?
				UNION ALL SELECT rowid, 1 FROM words WHERE words MATCH ? AND rowid <= ?
			) GROUP BY rowid
		) m JOIN papers p ON p.n = m.n ` + strings.Join(where, "") + `
	) f JOIN papers p ON p.n = f.n WHERE f.place > ? AND f.place <= ? ORDER BY f.place`
	all := []any{q.Visitor, match, searched, match, searched, match, catalogueRows, match, catalogueRows}
	found, err := s.rows(ctx, text, append(append(all, args...), skip, skip+q.Limit+1)...)
	if err != nil {
		return Page{}, err
	}
	return page(found, q.Limit, func(row) string { return cursor(float64(skip+q.Limit), 0) }), nil
}

// catalogueRows are the first papers of a shelf, those of the catalogue: a search
// always ranks them.
const catalogueRows = 100

// matchQuery is FTS5's form of words that all must be there, the last as a beginning.
func matchQuery(text string) string {
	words := matchWords(text)
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, " ") + "*"
}

// matchWords are the words of a text, quoted for FTS5.
func matchWords(text string) []string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	const most = 12
	words = words[:min(len(words), most)]
	for i, w := range words {
		words[i] = `"` + w + `"`
	}
	return words
}

func (s *Shelf) rows(ctx context.Context, text string, args ...any) ([]row, error) {
	rows, err := s.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("shelf: %w", err)
		}
		found = append(found, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("shelf: %w", err)
	}
	return found, nil
}

// page cuts off the paper that only says that there are more.
func page(found []row, limit int, next func(row) string) (p Page) {
	if len(found) > limit {
		found = found[:limit]
		p.Next = next(found[limit-1])
	}
	for _, f := range found {
		p.Papers = append(p.Papers, f.Paper)
	}
	return p
}

// A cursor is a place in an order: the value there, and the row that breaks ties.
func cursor(at float64, n int64) string {
	text := strconv.FormatFloat(at, 'g', -1, 64) + " " + strconv.FormatInt(n, 10)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseCursor(s string) (at float64, n int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		first, second, _ := strings.Cut(string(b), " ")
		if at, err = strconv.ParseFloat(first, 64); err == nil {
			n, err = strconv.ParseInt(second, 10, 64)
		}
	}
	if err != nil || math.IsNaN(at) || math.IsInf(at, 0) {
		return 0, 0, fmt.Errorf("shelf: after %q: no page ended there: %w", s, ErrQuery)
	}
	return at, n, nil
}
