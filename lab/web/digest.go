package web

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/assay-lab/assay/lab/mail"
	"github.com/assay-lab/assay/lab/shelf"
)

// A postman sends the mails: those that ask to confirm, and the digests.
//
// A mail is recorded as sent once the mail server has taken it. A crash between the two
// sends it again, ten minutes later, under the same Message-ID if it is a digest: a
// mail twice is better than none.
type postman struct {
	server *Server
	wake   chan struct{}
	site   string // public address, for links

	turn sync.Mutex // of rounds: one at a time
	down int        // rounds in a row that found no mail server

	mu      sync.Mutex
	next    time.Time               // when the next mail may go
	digests map[window]shelf.Digest // of the last rounds
	until   time.Time               // which all of them end at
}

// A window is the time that a digest tells of.
type window struct{ since, until int64 }

const (
	mailsAtOnce = 4
	mailGap     = 100 * time.Millisecond // from one mail to the next: ten a second
	mailBatch   = 2 * mailsAtOnce        // taken from the shelf at once
	mailPause   = time.Minute            // from one look to the next
	mostPause   = time.Hour              // while there is no mail server
	mostDigests = 64                     // kept, of some hundred kilobytes each
)

func (p *postman) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// work sends what is to be sent until ctx is done. What is on its way then has the
// time that open answers have.
func (p *postman) work(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		time.Sleep(p.server.cfg.Drain)
		stop()
	})()
	for {
		pause := p.round(ctx, sending)
		select {
		case <-p.wake:
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// round sends everything that is due, and says how long to wait for the next one.
func (p *postman) round(ctx, sending context.Context) time.Duration {
	p.turn.Lock()
	defer p.turn.Unlock()
	sh := p.server.cfg.Shelf
	err := sh.Expire(ctx)
	for more := true; more && err == nil && ctx.Err() == nil; {
		more, err = p.batch(ctx, sending)
	}
	switch {
	case errors.Is(err, mail.ErrUnavailable):
		p.down++
		return min(mailPause<<min(p.down-1, 10), mostPause)
	case err != nil && ctx.Err() == nil:
		p.server.cfg.Log.Error("mail", "err", err)
	case err == nil:
		p.down = 0
	}
	return mailPause
}

// batch sends a few mails, and says whether there were any. Its error is that of the
// shelf, or mail.ErrUnavailable: then the others are given back.
func (p *postman) batch(ctx, sending context.Context) (any bool, err error) {
	sh := p.server.cfg.Shelf
	rs, err := sh.Waiting(ctx, mailBatch)
	if err != nil {
		return false, err
	}
	subs, err := sh.Due(ctx, mailBatch)
	if err != nil {
		return false, err
	}
	settled := context.WithoutCancel(ctx) // what was taken is settled also at the end
	var jobs []func() error
	for _, r := range rs {
		jobs = append(jobs, func() error { return p.ask(sending, settled, r) })
	}
	for _, sub := range subs {
		jobs = append(jobs, func() error { return p.tell(sending, settled, sub) })
	}
	done, failed := p.all(ctx, jobs)
	restR, restS := rs[min(done, len(rs)):], subs[max(0, done-len(rs)):]
	return len(jobs) > 0, errors.Join(failed, sh.Release(settled, restR, restS))
}

// all does the jobs, a few at once, up to the first error. It says how many were begun.
func (p *postman) all(ctx context.Context, jobs []func() error) (begun int, failed error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, mailsAtOnce)
	stop := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return failed != nil || ctx.Err() != nil
	}
	for _, job := range jobs {
		slots <- struct{}{}
		if stop() {
			break
		}
		begun++
		wg.Go(func() {
			defer func() { <-slots }()
			if err := job(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	wg.Wait()
	return begun, failed
}

// send hands a mail to the mail server, when it is its turn.
func (p *postman) send(ctx context.Context, m mail.Message) error {
	p.mu.Lock()
	wait := time.Until(p.next)
	p.next = time.Now().Add(max(wait, 0) + mailGap)
	p.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return p.server.cfg.Mail.Send(ctx, m)
}

// ask mails the owner of an address the link that confirms.
func (p *postman) ask(sending, settled context.Context, r shelf.Request) error {
	sh := p.server.cfg.Shelf
	m, err := mail.Confirmation(p.site, r, sh.Now())
	if err == nil {
		err = p.send(sending, m)
	}
	p.count("confirmation", r.Token, err)
	switch {
	case err == nil:
		return sh.Mailed(settled, r)
	case errors.Is(err, mail.ErrUnavailable):
		return errors.Join(err, sh.Release(settled, []shelf.Request{r}, nil))
	}
	return sh.NotMailed(settled, r, errors.Is(err, mail.ErrRefused))
}

// tell mails a subscriber what is new, if anything is.
func (p *postman) tell(sending, settled context.Context, sub shelf.Subscriber) error {
	sh := p.server.cfg.Shelf
	until := shelf.Hour(sh.Now())
	d, err := p.digest(settled, sub.Told, until)
	if err != nil {
		return errors.Join(err, sh.Release(settled, nil, []shelf.Subscriber{sub}))
	}
	if d.Empty() {
		return sh.Sent(settled, sub, until)
	}
	m, err := mail.News(p.site, sub, d, until, sh.Now())
	if err == nil {
		err = p.send(sending, m)
	}
	p.count("digest", sub.Token, err)
	switch {
	case err == nil:
		return sh.Sent(settled, sub, until)
	case errors.Is(err, mail.ErrUnavailable):
		return errors.Join(err, sh.Release(settled, nil, []shelf.Subscriber{sub}))
	}
	ended, err := sh.NotSent(settled, sub, errors.Is(err, mail.ErrRefused))
	if ended {
		p.server.cfg.Log.Info("a subscription has ended: its address was refused too often")
	}
	return err
}

// digest is what happened in a window. All subscribers that know the same share it.
func (p *postman) digest(ctx context.Context, since, until time.Time) (shelf.Digest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := window{since.Unix(), until.Unix()}
	if d, ok := p.digests[w]; ok {
		return d, nil
	}
	d, err := p.server.cfg.Shelf.Digest(ctx, since, until)
	if err != nil {
		return d, err
	}
	if len(p.digests) == 0 || len(p.digests) >= mostDigests || !p.until.Equal(until) {
		p.digests, p.until = map[window]shelf.Digest{}, until
	}
	p.digests[w] = d
	return d, nil
}

// count tells the meters and the log of a mail. What a mail server says may repeat what
// was mailed to it: the log is not to have the token.
func (p *postman) count(kind, token string, err error) {
	state := "sent"
	switch {
	case errors.Is(err, mail.ErrRefused):
		state = "refused"
	case err != nil:
		state = "failed"
	}
	if err != nil {
		p.server.cfg.Log.Warn("mail", "kind", kind, "state", state, "err", strings.ReplaceAll(err.Error(), token, "TOKEN"))
	}
	p.server.meters.mails.WithLabelValues(kind, state).Inc()
}
