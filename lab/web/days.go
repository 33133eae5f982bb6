package web

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/assay-lab/assay/lab/shelf"
)

// A group is the cards below one heading.
type group struct {
	Heading string // "" where the order is not that of time
	Cards   []card
}

// grouped puts cards, the newest first, below days; those of the catalogue, of which
// the month is known, below months.
func grouped(cards []card, now time.Time) []group {
	var gs []group
	for _, c := range cards {
		h := heading(c.Paper, now)
		if len(gs) == 0 || gs[len(gs)-1].Heading != h {
			gs = append(gs, group{Heading: h})
		}
		g := &gs[len(gs)-1]
		g.Cards = append(g.Cards, c)
	}
	return gs
}

func heading(p shelf.Paper, now time.Time) string {
	t := p.Published.UTC()
	if p.Source == "" {
		return t.Format("January 2006")
	}
	date := t.Format("2 January 2006")
	switch date {
	case now.UTC().Format("2 January 2006"):
		return "Today, " + date
	case now.UTC().AddDate(0, 0, -1).Format("2 January 2006"):
		return "Yesterday, " + date
	}
	return t.Format("Monday, 2 January 2006")
}

// appeared is when a paper came out, as exactly as it is known.
func appeared(p shelf.Paper) string {
	if p.Source == "" {
		return p.Published.UTC().Format("January 2006")
	}
	return p.Published.UTC().Format("2 Jan 2006")
}

// found says what a page of the feed shows: how many papers, and of which; "" for the
// feed as it begins.
func found(v url.Values, n int, more bool) string {
	var of []string
	if q := strings.TrimSpace(v.Get("q")); q != "" {
		of = append(of, "for “"+q+"”")
	}
	if topic := v.Get("topic"); topic != "" {
		of = append(of, "on "+topic)
	}
	if verdict := v.Get("verdict"); verdict != "" {
		of = append(of, "of which the last runs say “"+verdict+"”")
	}
	if v.Get("run") != "" {
		of = append(of, "that can be run")
	}
	if since := v.Get("since"); since != "" {
		of = append(of, "of the last "+since)
	}
	if len(of) == 0 && n > 0 {
		return ""
	}
	head := count(n, "paper", "papers")
	switch {
	case n == 0:
		head = "No paper"
	case v.Get("after") != "":
		head = "More papers"
	case more:
		head = fmt.Sprintf("The first %d papers", n)
	}
	return strings.Join(append([]string{head}, of...), " ")
}
