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
	login   loginFlags
	limits  limitFlags
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
was stopped goes on with its runs when it is started again. Each runs in a process of
its own, with a lower priority and a bound on its memory. Programs do by JSON what
readers do by the page: /api describes it.

Without --auth only this machine is answered, and nobody logs in. With it the server
may listen on any address: running experiments, sending files and adding papers then
need a login; reading, searching and voting do not. Passwords never cross a network
in the clear: beyond this machine, --tls-cert or a --proxy with HTTPS is needed too.

With a mail server, readers can subscribe to a digest of new papers and verdicts. Mail
providers show a button of their own to unsubscribe where --url begins with https and
the mail server signs what it sends (DKIM).`,
		Example: `  assay serve
  assay serve --addr 127.0.0.1:9000 --runs 2
  assay serve password users.txt ada
  assay serve --addr :443 --auth file:users.txt --tls-cert cert.pem --tls-key key.pem
  assay serve --addr 10.0.0.2:8080 --auth header:X-Remote-User --proxy 10.0.0.1/32
  assay serve --smtp smtp.example.org:587 --mail-from papers@example.org`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT`; without --auth the host must be a loopback address")
	flags.IntVar(&f.runs, "runs", 1, "`N` runs at once; others wait")
	flags.IntVar(&f.jobs, "jobs", 0, "`N` cells of a run at once: 0 for one a core")
	flags.BoolVar(&f.verbose, "verbose", false, "say more of what goes wrong")
	f.login.add(flags)
	f.limits.add(flags)
	addMail(flags, &f.mail)
	cmd.AddCommand(c.passwordCommand())
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
	auth, certificate, err := f.login.resolve(f.addr)
	if err != nil {
		return err
	}
	limits, err := f.limits.resolve()
	if err != nil {
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
		Store: st, Shelf: sh, Uploads: filepath.Join(dir, "uploads"), Runs: f.runs, Run: jobStarter{jobs: f.jobs, memory: f.limits.memoryBytes()}.run,
		Auth: auth, TLS: certificate, Limits: limits, Mail: sender, URL: site,
		Log: slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w", f.addr, err)
	}
	scheme, whom := "http", ""
	if certificate != nil {
		scheme = "https"
	}
	if auth == nil {
		whom = " for this machine only"
	}
	c.note("Daily Papers at %s://%s/%s (Ctrl-C stops it; runs go on at the next start)", scheme, l.Addr(), whom)
	return s.Serve(ctx, l)
}
