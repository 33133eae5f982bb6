package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/runner"
)

func (c *console) workerCommand() *cobra.Command {
	var jobs int
	var server runner.Remote
	cmd := &cobra.Command{
		Use:   "worker --nats URL",
		Short: "Work on the runs of a NATS server, until Ctrl-C",
		Long: `worker takes cells of all runs on a NATS server and computes them, until it is
stopped. The server is one of your own, which the runs use by --nats too, or the
one inside a run that was started with --listen. Any number of workers may come
and go at any time: cells of a worker that is gone are given to others.

A worker takes only cells of runs that were started by the same build of assay.`,
		Example: `  assay worker --nats nats://host:4222 --nats-creds me.creds
  assay run dpm-solver-pp --listen :4222 --secret key   on one machine, and
  assay worker --nats nats://host:4222 --secret key     on the others`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if jobs < 0 {
				return usagef("", "--jobs = %d: must not be negative", jobs)
			}
			to, err := remote(server)
			if err != nil {
				return err
			}
			if to == nil {
				return usagef(seeHelp(cmd), "assay worker needs a server: --nats URL")
			}
			return c.work(cmd.Context(), *to, jobs)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&jobs, "jobs", 0, "cells at once (default: one a core)")
	addNATS(flags, &server)
	flags.StringVar(&server.SecretFile, "secret", "", "`FILE` with the secret of a run started with --listen")
	return cmd
}

// work is assay worker. Ctrl-C is its normal end.
func (c *console) work(ctx context.Context, server runner.Remote, jobs int) error {
	lookup := func(name string) (*lab.Experiment, bool) {
		e, err := experimentNamed(name)
		return e, err == nil
	}
	bar := c.progress("working", "cells")
	defer bar.close()
	done, failed := 0, 0
	err := runner.Work(ctx, server, lookup, jobs, func(e runner.Event) {
		if e.Note != "" {
			c.note("%s", e.Note)
		}
		if e.Result == nil {
			return
		}
		done++
		if e.Result.Err != "" {
			failed++
		}
		bar.set(done, 0, e.Experiment+": "+e.Result.Cell.String())
	})
	bar.close()
	if err != nil && !errors.Is(context.Cause(ctx), errInterrupted) {
		return err
	}
	c.said.Do(func() {}) // nothing to go on with: whoever runs the run does
	fmt.Fprintf(c.out, "%d cells done, of which %d failed\n", done, failed)
	return nil
}
