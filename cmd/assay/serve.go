package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/internal/cache"
	"github.com/assay-lab/assay/lab/web"
)

// serveFlags are what the user asked of assay serve.
type serveFlags struct {
	addr    string
	runs    int
	jobs    int
	verbose bool
	mail    mailFlags
}

func (c *console) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Open the Daily Papers page in a browser",
		Long: `serve answers on an address of this machine with the Daily Papers page: all papers,
their verdicts, and forms that run them in place, on your own files too.

Runs are those of assay run: what one began, the other goes on with. A server that
was stopped goes on with its runs when it is started again.

With a mail server, readers can subscribe to a digest of new papers and verdicts. Mail
providers show a button of their own to unsubscribe where --url begins with https and
the mail server signs what it sends (DKIM).`,
		Example: `  assay serve
  assay serve --addr 127.0.0.1:9000 --runs 2
  assay serve --smtp smtp.example.org:587 --mail-from papers@example.org`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT`; the host must be a loopback address")
	flags.IntVar(&f.runs, "runs", 1, "`N` runs at once; others wait")
	flags.IntVar(&f.jobs, "jobs", 0, "`N` cells of a run at once: 0 for one a core")
	flags.BoolVar(&f.verbose, "verbose", false, "say more of what goes wrong")
	addMail(flags, &f.mail)
	return cmd
}

// serve is assay serve.
func (c *console) serve(ctx context.Context, f serveFlags) error {
	switch {
	case f.runs < 1:
		return usagef("", "--runs = %d: must be at least 1", f.runs)
	case f.jobs < 0:
		return usagef("", "--jobs = %d: must not be negative", f.jobs)
	}
	if err := loopback(f.addr); err != nil {
		return err
	}
	sender, site, err := f.mail.sender()
	if err != nil {
		return err
	}
	dir, err := cache.Dir()
	if err != nil {
		return err
	}
	st, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	sh, err := openShelf(ctx)
	if err != nil {
		return err
	}
	defer sh.Close()
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	s, err := web.New(ctx, web.Config{
		Store: st, Shelf: sh, Uploads: filepath.Join(dir, "uploads"), Runs: f.runs, Jobs: f.jobs,
		Mail: sender, URL: site,
		Log: slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w", f.addr, err)
	}
	c.note("Daily Papers at http://%s/ (Ctrl-C stops it; runs go on at the next start)", l.Addr())
	return s.Serve(ctx, l)
}

// loopback refuses addresses that others could reach: there are no logins.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("", "--addr %s: must be HOST:PORT, such as 127.0.0.1:8080", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usagef("Put a proxy that asks for a password in front of it.", "--addr %s: anyone who reaches it could run things here: must be a loopback address", addr)
	}
	return nil
}
