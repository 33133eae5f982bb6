package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// errInterrupted is the cause of a context that Ctrl-C cancelled.
var errInterrupted = errors.New("stopped by Ctrl-C")

// grace is how long work has to stop after Ctrl-C. What is on disk is safe at
// any moment, so a cell that ignores its context is left behind.
const grace = 900 * time.Millisecond

// watchInterrupt cancels the context at the first Ctrl-C (or SIGTERM) and ends
// the process at the second, or when the work has not stopped after the grace.
func (c *console) watchInterrupt(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel(errInterrupted)
		select {
		case <-signals:
		case <-time.After(grace):
		}
		c.clearBar()
		c.sayStopped()
		os.Exit(statusStopped)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// sayStopped prints, once, what Ctrl-C left behind.
func (c *console) sayStopped() {
	c.said.Do(func() {
		if c.live {
			fmt.Fprint(c.err, "\r\x1b[K") // the terminal has echoed ^C
		}
		if c.resumable.Load() {
			fmt.Fprintf(c.err, "Stopped. What is finished is kept; to go on from there:\n  %s\n", c.commandLine)
			return
		}
		fmt.Fprintln(c.err, "Stopped.")
	})
}

// shellLine writes a command line as a shell reads it. The values of flags that
// hold secrets are left out.
func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		name, _, joined := strings.Cut(a, "=")
		switch {
		case secretFlags[name] && joined:
			a = name + "=..."
		case i > 0 && secretFlags[argv[i-1]]:
			a = "..."
		}
		words[i] = shellQuote(a)
	}
	return strings.Join(words, " ")
}

// secretFlags are the flags whose values must not be printed.
var secretFlags = map[string]bool{"--nats-password": true, "--nats-token": true}

func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
