package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/assay-lab/assay/lab/web"
)

// loginFlags say who may use a server.
type loginFlags struct {
	auth      string
	proxies   []string
	cert, key string
}

func (f *loginFlags) add(all *pflag.FlagSet) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&f.auth, "auth", "", "`HOW` users log in: file:PATH, with lines that assay serve password or htpasswd -B writes; or header:NAME, in which a reverse proxy names the user")
	flags.StringArrayVar(&f.proxies, "proxy", nil, "network of a reverse proxy, as `CIDR`, whose X-Forwarded-For, X-Forwarded-Proto and header of --auth are believed, beside those of this machine; repeatable")
	flags.StringVar(&f.cert, "tls-cert", "", "`FILE` of certificates to serve HTTPS with; read at the start")
	flags.StringVar(&f.key, "tls-key", "", "`FILE` of its key")
	group(all, flags, "For others than this machine")
}

// resolve reads the flags for a server at an address; auth is nil without logins and
// certificate without HTTPS.
func (f *loginFlags) resolve(addr string) (auth *web.Auth, certificate *tls.Config, err error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, usagef("", "--addr %s: must be HOST:PORT, such as 127.0.0.1:8080", addr)
	}
	if auth, err = f.resolveAuth(); err != nil {
		return nil, nil, err
	}
	if certificate, err = f.resolveTLS(); err != nil {
		return nil, nil, err
	}
	ip := net.ParseIP(host)
	switch local := host == "localhost" || ip != nil && ip.IsLoopback(); {
	case local:
	case auth == nil:
		return nil, nil, usagef("Say how users log in, with --auth; see: assay serve --help", "--addr %s: anyone who reaches it could run things here: without --auth it must be a loopback address", addr)
	case certificate == nil && len(f.proxies) == 0:
		return nil, nil, usagef("Give --tls-cert and --tls-key, or --proxy for what puts HTTPS in front of it.", "--addr %s: logins would cross the network in the clear", addr)
	}
	return auth, certificate, nil
}

func (f *loginFlags) resolveAuth() (*web.Auth, error) {
	var a web.Auth
	switch how, what, _ := strings.Cut(f.auth, ":"); {
	case f.auth == "" && len(f.proxies) == 0:
		return nil, nil
	case f.auth == "":
		return nil, usagef("", "--proxy without --auth: only what users log in with is asked of a proxy")
	case how == "file" && what != "":
		a.Passwords = what
	case how == "header" && what != "":
		a.Header = what
	default:
		return nil, usagef("", "--auth %s: must be file:PATH or header:NAME", f.auth)
	}
	for _, s := range f.proxies {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, usagef("", "--proxy %s: must be a network, such as 10.0.0.1/32", s)
		}
		a.Proxies = append(a.Proxies, n.Masked())
	}
	return &a, nil
}

func (f *loginFlags) resolveTLS() (*tls.Config, error) {
	if (f.cert == "") != (f.key == "") {
		return nil, usagef("", "--tls-cert and --tls-key: give both or none")
	}
	if f.cert == "" {
		return nil, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.cert, f.key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}, nil
}

// limitFlags say what readers may take.
type limitFlags struct{ memory, space int64 }

func (f *limitFlags) add(all *pflag.FlagSet) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Int64Var(&f.memory, "memory", 0, "`MB` of memory that a run may take: 0 for half of this machine's")
	flags.Int64Var(&f.space, "space", 2048, "`MB` of disk for readers' files; those that no run has make room")
	group(all, flags, "Bounds")
}

func (f *limitFlags) resolve() (l web.Limits, err error) {
	switch {
	case f.memory != 0 && f.memory < leastMemory:
		return l, usagef("", "--memory = %d: must be 0 or at least %d", f.memory, leastMemory)
	case f.space < 1:
		return l, usagef("", "--space = %d: must be at least 1", f.space)
	}
	l.Space = f.space << 20
	return l, nil
}

// leastMemory is what a run needs at least, in MB.
const leastMemory = 256

// memoryBytes is what a run may take; 0: any.
func (f *limitFlags) memoryBytes() int64 {
	if f.memory == 0 {
		return machineMemory() / 2
	}
	return f.memory << 20
}

// machineMemory is how many bytes of memory there are, for this machine or container; 0
// where that cannot be found out.
func machineMemory() (bytes int64) {
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		var kB int64
		if _, err := fmt.Fscanf(f, "MemTotal: %d kB", &kB); err == nil {
			bytes = kB << 10
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && (bytes == 0 || n < bytes) {
			bytes = n
		}
	}
	return bytes
}

func (c *console) passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password FILE NAME",
		Short: "Give a user of --auth file:FILE a password",
		Long: `password adds a user to a file of passwords, which it makes when it is not there, or
gives one a new password, which ends the user's logins. It asks twice on a terminal,
and else reads one line. A server notices by itself.`,
		Example: `  assay serve password users.txt ada`,
		Args:    takes(2, 2, "a file and a user: FILE NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := c.askPassword(cmd.Context(), os.Stdin, args[1])
			if err != nil {
				return err
			}
			if err := web.SetPassword(args[0], args[1], password); err != nil {
				return err
			}
			c.note("%s: %s has a new password", args[0], args[1])
			return nil
		},
	}
}

// askPassword reads a password: twice, unseen, from a terminal, or a line.
func (c *console) askPassword(ctx context.Context, in *os.File, name string) (string, error) {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadBytes('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		return string(bytes.TrimRight(line, "\r\n")), nil
	}
	seen, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(fd, seen) // also when Ctrl-C leaves the reading behind
	var typed [2]string
	for i, prompt := range []string{"Password for " + name + ": ", "Again: "} {
		answer := make(chan error, 1)
		go func() {
			fmt.Fprint(c.err, prompt)
			b, err := term.ReadPassword(fd)
			fmt.Fprintln(c.err)
			typed[i] = string(b)
			answer <- err
		}()
		select {
		case err := <-answer:
			if err != nil {
				return "", err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if err := web.CheckPassword(typed[i]); err != nil {
			return "", err
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return typed[0], nil
}
