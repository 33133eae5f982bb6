package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progress shows how far long work is: on a terminal as one line that is
// redrawn in place, elsewhere as a plain line now and then.
type progress struct {
	c     *console
	title string
	unit  string // of the rate: "cells", "steps"

	mu          sync.Mutex
	done, total int
	note        string // what is going on just now
	began       time.Time
	first       int // done at the first report: finished earlier, not part of the rate
	told        time.Time
	toldDone    int
	closed      bool
	stop        chan struct{}
}

const (
	redrawEvery = 200 * time.Millisecond
	tellEvery   = 10 * time.Second // plain lines: at least this often while something moves,
	tellAtMost  = 2 * time.Second  // and at most this often, every tenth of the work
)

// margin keeps room for the ^C that a terminal shows.
const margin = 3

// progress begins to show work. Call close when it is over.
func (c *console) progress(title, unit string) *progress {
	now := time.Now()
	p := &progress{c: c, title: title, unit: unit, began: now, told: now, first: -1, stop: make(chan struct{})}
	if c.live {
		c.mu.Lock()
		c.bar = p
		c.mu.Unlock()
		go p.redraw()
	}
	return p
}

// set reports that done of total are finished, and what is going on.
func (p *progress) set(done, total int, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.first < 0 {
		p.first, p.toldDone, p.began = done, done, time.Now()
	}
	p.done, p.total, p.note = done, total, note
	if !p.c.live {
		p.tell()
	}
}

// tell prints a plain line when it is time to.
func (p *progress) tell() {
	since := time.Since(p.told)
	tenth := p.total > 0 && (p.done-p.toldDone)*10 >= p.total
	if p.done == p.toldDone || p.done == p.total || since < tellAtMost || !tenth && since < tellEvery {
		return
	}
	p.told, p.toldDone = time.Now(), p.done
	if p.total == 0 {
		fmt.Fprintf(p.c.err, "%s: %d %s  %s\n", p.title, p.done, p.unit, p.note)
		return
	}
	fmt.Fprintf(p.c.err, "%s: %d of %d %s (%d %%)%s\n", p.title, p.done, p.total, p.unit, 100*p.done/max(p.total, 1), p.pace(", "))
}

// pace is the rate and the time left, "" while neither is known.
func (p *progress) pace(before string) string {
	n, took := p.done-p.first, time.Since(p.began)
	if n <= 0 || took < 300*time.Millisecond {
		return ""
	}
	rate := float64(n) / took.Seconds()
	left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
	return fmt.Sprintf("%s%s, %s left", before, perSecond(rate), roundDuration(left))
}

// redraw draws the line again and again until close.
func (p *progress) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.c.mu.Lock()
			if p.c.bar == p {
				fmt.Fprint(p.c.err, "\r"+p.line()+"\x1b[K")
			}
			p.c.mu.Unlock()
		}
	}
}

// line is the progress line, no wider than the terminal.
func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.total == 0 && p.done == 0:
		return cut(p.title+": starting", p.c.width-margin)
	case p.total == 0: // nobody knows how much there is
		return cut(fmt.Sprintf("%s: %d %s  %s", p.title, p.done, p.unit, p.note), p.c.width-margin)
	}
	const bar = 16
	full := bar * p.done / p.total
	tail := fmt.Sprintf("  %3d %%  %d/%d%s", 100*p.done/p.total, p.done, p.total, p.pace("  "))
	room := p.c.width - margin - bar - 2 - utf8.RuneCountInString(tail)
	head := cut(p.title, room)
	if p.note != "" {
		tail += cut("  "+p.note, room-utf8.RuneCountInString(head))
	}
	return head + "  " + p.blocks(full, bar-full) + tail
}

func (p *progress) blocks(full, rest int) string {
	done, open := strings.Repeat("━", full), strings.Repeat("━", rest)
	if p.c.errColor {
		return "\x1b[36m" + done + "\x1b[0;2m" + open + "\x1b[0m"
	}
	return done + strings.Repeat("·", rest)
}

// close takes the line off the screen and says how long the work took.
func (p *progress) close() (took time.Duration) {
	p.mu.Lock()
	took = time.Since(p.began)
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return took
	}
	close(p.stop)
	if p.c.live {
		p.c.clearBar()
	}
	return took
}

// clearBar takes the progress line off the screen.
func (c *console) clearBar() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		fmt.Fprint(c.err, "\r\x1b[K")
		c.bar = nil
	}
}

// perSecond writes a rate with two digits that matter.
func perSecond(rate float64) string {
	switch {
	case rate >= 10:
		return fmt.Sprintf("%.0f/s", rate)
	case rate >= 1:
		return fmt.Sprintf("%.1f/s", rate)
	case rate*60 >= 1:
		return fmt.Sprintf("%.1f/min", rate*60)
	}
	return fmt.Sprintf("%.1f/h", rate*3600)
}

// roundDuration writes a duration no finer than a reader cares for.
func roundDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
