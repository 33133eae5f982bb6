package shelf

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Period is how often a subscriber gets a digest.
type Period string

const (
	Daily  Period = "daily"
	Weekly Period = "weekly"
)

// ParsePeriod reads a period; "" is weekly.
func ParsePeriod(s string) (Period, error) {
	switch p := Period(s); p {
	case "":
		return Weekly, nil
	case Daily, Weekly:
		return p, nil
	}
	return "", fmt.Errorf("period = %q: must be daily or weekly", s)
}

// Length is the time from one digest to the next.
func (p Period) Length() time.Duration {
	if p == Daily {
		return 24 * time.Hour
	}
	return 7 * 24 * time.Hour
}

const (
	// RequestLife is how long a request can be confirmed.
	RequestLife = 3 * 24 * time.Hour
	requestGap  = time.Hour        // between two mails that ask an address to confirm
	lease       = 10 * time.Minute // of what is taken to be sent
	onTime      = time.Hour        // late at most, and the next digest makes up for it
	mostRefused = 3                // times in a row, which ends a subscription
)

// A Request is a wish for a digest that the owner of the address has to confirm.
type Request struct {
	Address  string
	Period   Period
	Token    string // of the link that confirms
	failures int
}

// A Subscriber gets a digest.
type Subscriber struct {
	Address   string
	Period    Period
	Token     string // of the link that ends the subscription
	Confirmed time.Time
	Told      time.Time // the digests so far told of what was before
	Due       time.Time // the next one
	failures  int
}

// Subscribe notes the wish for a digest, also of who has one, to change its period. The
// owner of the address is asked by mail, once an hour at most: what is asked sooner
// changes nothing. So nothing tells who subscribes from who does not.
func (s *Shelf) Subscribe(ctx context.Context, address string, p Period) error {
	at := s.Now()
	// A link that was mailed before stays good.
	_, err := s.db.ExecContext(ctx, `INSERT INTO requests (address, period, token, asked) VALUES (?, ?, ?, ?)
		ON CONFLICT (address) DO UPDATE SET period = excluded.period, token = coalesce(token, excluded.token), asked = excluded.asked,
			waits = 1, later = 0, failures = 0
		WHERE asked <= ?`, address, p, rand.Text(), at.Unix(), at.Add(-requestGap).Unix())
	if err != nil {
		return fmt.Errorf("shelf: subscribe: %w", err)
	}
	return nil
}

// Request is the request of that token, while it can be confirmed.
func (s *Shelf) Request(ctx context.Context, token string) (r Request, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT address, period, token FROM requests WHERE token = ? AND asked > ?", token, s.Now().Add(-RequestLife).Unix()).
		Scan(&r.Address, &r.Period, &r.Token)
	return r, found("request", err)
}

// found makes an error of ours: a token is not repeated, for it may go into a log.
func found(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("shelf: %s: %w", what, ErrNotFound)
	}
	return fmt.Errorf("shelf: %s: %w", what, err)
}

// Confirm makes a subscriber of a request, or changes the period of one. It can be
// repeated.
func (s *Shelf) Confirm(ctx context.Context, token string) (Subscriber, error) {
	r, err := s.Request(ctx, token)
	if err != nil {
		return Subscriber{}, err
	}
	at := s.Now()
	length := int64(r.Period.Length().Seconds())
	row := s.db.QueryRowContext(ctx, `INSERT INTO subscribers (address, period, token, confirmed, told, due) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (address) DO UPDATE SET failures = 0, refusals = 0, later = 0, period = excluded.period,
			due = CASE WHEN period = excluded.period THEN due ELSE told + ? END
		RETURNING `+subscriberColumns,
		r.Address, r.Period, rand.Text(), at.Unix(), at.Unix(), at.Unix()+length, length)
	sub, err := scanSubscriber(row)
	return sub, found("confirm", err)
}

// Hour is the last full hour of which everything is on the shelf. Digests end at full
// hours, and so begin there but for the first: many subscribers share one. What a slow
// writer puts on the shelf bears the time when the writer began: hence the minutes.
func Hour(at time.Time) time.Time { return at.Add(-5 * time.Minute).UTC().Truncate(time.Hour) }

// Subscriber is the subscriber of that token.
func (s *Shelf) Subscriber(ctx context.Context, token string) (Subscriber, error) {
	sub, err := scanSubscriber(s.db.QueryRowContext(ctx, "SELECT "+subscriberColumns+" FROM subscribers WHERE token = ?", token))
	return sub, found("subscriber", err)
}

// Unsubscribe forgets the subscriber of that token, and makes void the links that were
// mailed to confirm the address.
func (s *Shelf) Unsubscribe(ctx context.Context, token string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return found("unsubscribe", err)
	}
	defer tx.Rollback()
	var address string
	if err := tx.QueryRowContext(ctx, "DELETE FROM subscribers WHERE token = ? RETURNING address", token).Scan(&address); err != nil {
		return found("unsubscribe", err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE requests SET token = NULL, waits = 0 WHERE address = ?", address); err != nil {
		return found("unsubscribe", err)
	}
	return found("unsubscribe", tx.Commit())
}

// Expire forgets the requests that can no longer be confirmed, and those of who has
// unsubscribed once an hour has passed.
func (s *Shelf) Expire(ctx context.Context) error {
	at := s.Now()
	_, err := s.db.ExecContext(ctx, "DELETE FROM requests WHERE asked <= ? OR token IS NULL AND asked <= ?", at.Add(-RequestLife).Unix(), at.Add(-requestGap).Unix())
	return found("expire", err)
}

// Waiting takes some of the requests whose mail is to be sent. What is taken is not
// given again for ten minutes, also to another process, and has to be settled by
// [Shelf.Mailed], [Shelf.NotMailed] or [Shelf.Release].
func (s *Shelf) Waiting(ctx context.Context, limit int) ([]Request, error) {
	at := s.Now()
	rows, err := s.db.QueryContext(ctx, `UPDATE requests SET later = ? WHERE n IN
		(SELECT n FROM requests WHERE waits = 1 AND later <= ? AND token IS NOT NULL ORDER BY later, n LIMIT ?)
		RETURNING address, period, token, failures`, at.Add(lease).Unix(), at.Unix(), limit)
	if err != nil {
		return nil, found("requests", err)
	}
	defer rows.Close()
	var rs []Request
	for rows.Next() {
		var r Request
		if err := rows.Scan(&r.Address, &r.Period, &r.Token, &r.failures); err != nil {
			return nil, found("requests", err)
		}
		rs = append(rs, r)
	}
	return rs, found("requests", rows.Err())
}

// Mailed records that the mail of a request has been sent.
func (s *Shelf) Mailed(ctx context.Context, r Request) error {
	_, err := s.db.ExecContext(ctx, "UPDATE requests SET waits = 0, asked = ? WHERE token = ?", s.Now().Unix(), r.Token)
	return found("request", err)
}

// NotMailed records that the mail of a request could not be sent: it is tried again
// later, or given up when the address is refused.
func (s *Shelf) NotMailed(ctx context.Context, r Request, refused bool) error {
	_, err := s.db.ExecContext(ctx, "UPDATE requests SET waits = ?, later = ?, failures = failures + 1 WHERE token = ?",
		!refused, s.Now().Add(backOff(r.failures)).Unix(), r.Token)
	return found("request", err)
}

// backOff is how long to wait after so many failures before this one.
func backOff(failures int) time.Duration {
	return min(15*time.Minute<<min(failures, 8), 24*time.Hour)
}

// Due takes some of the subscribers whose digest is due, as [Shelf.Waiting] does. Each
// is settled by [Shelf.Sent], [Shelf.NotSent] or [Shelf.Release].
func (s *Shelf) Due(ctx context.Context, limit int) ([]Subscriber, error) {
	at := s.Now()
	rows, err := s.db.QueryContext(ctx, `UPDATE subscribers SET later = ? WHERE n IN
		(SELECT n FROM subscribers WHERE due <= ? AND later <= ? ORDER BY due, n LIMIT ?)
		RETURNING `+subscriberColumns, at.Add(lease).Unix(), at.Unix(), at.Unix(), limit)
	if err != nil {
		return nil, found("subscribers", err)
	}
	defer rows.Close()
	var subs []Subscriber
	for rows.Next() {
		sub, err := scanSubscriber(rows)
		if err != nil {
			return nil, found("subscribers", err)
		}
		subs = append(subs, sub)
	}
	return subs, found("subscribers", rows.Err())
}

// Sent records that a subscriber knows of what was before until. The next digest is a
// period after this one: to the minute of when it was due, if it was about on time.
func (s *Shelf) Sent(ctx context.Context, sub Subscriber, until time.Time) error {
	due := s.Now()
	if due.Sub(sub.Due) < onTime {
		due = sub.Due
	}
	due = due.Add(sub.Period.Length())
	_, err := s.db.ExecContext(ctx, "UPDATE subscribers SET told = ?, due = ?, later = 0, failures = 0, refusals = 0 WHERE token = ?",
		until.Unix(), due.Unix(), sub.Token)
	return found("subscriber", err)
}

// NotSent records that a digest could not be sent. It is tried again later; where the
// address is refused, a day later, and the third refusal in a row ends the subscription.
func (s *Shelf) NotSent(ctx context.Context, sub Subscriber, refused bool) (ended bool, err error) {
	wait, more := backOff(sub.failures), 0
	if refused {
		wait, more = 24*time.Hour, 1
	}
	var refusals int
	err = s.db.QueryRowContext(ctx, "UPDATE subscribers SET later = ?, failures = failures + 1, refusals = refusals + ? WHERE token = ? RETURNING refusals",
		s.Now().Add(wait).Unix(), more, sub.Token).Scan(&refusals)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // unsubscribed meanwhile
	}
	if err == nil && refusals >= mostRefused {
		ended, err = true, s.Unsubscribe(ctx, sub.Token)
	}
	return ended, found("subscriber", err)
}

// Release gives back what was taken and not tried.
func (s *Shelf) Release(ctx context.Context, rs []Request, subs []Subscriber) error {
	for _, r := range rs {
		if _, err := s.db.ExecContext(ctx, "UPDATE requests SET later = 0 WHERE token = ?", r.Token); err != nil {
			return found("release", err)
		}
	}
	for _, sub := range subs {
		if _, err := s.db.ExecContext(ctx, "UPDATE subscribers SET later = 0 WHERE token = ?", sub.Token); err != nil {
			return found("release", err)
		}
	}
	return nil
}

const subscriberColumns = "address, period, token, confirmed, told, due, failures"

func scanSubscriber(r interface{ Scan(...any) error }) (sub Subscriber, err error) {
	var confirmed, told, due int64
	err = r.Scan(&sub.Address, &sub.Period, &sub.Token, &confirmed, &told, &due, &sub.failures)
	sub.Confirmed, sub.Told, sub.Due = time.Unix(confirmed, 0).UTC(), time.Unix(told, 0).UTC(), time.Unix(due, 0).UTC()
	return sub, err
}
