package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Remote is a NATS server with JetStream and what it takes to be let in. URL
// must be set; at most one of user and password, token, secret file and
// credentials file.
type Remote struct {
	URL string // "nats://host:4222", "tls://host:4222"; several are separated by commas

	CA        string // file of certificates to trust instead of the system's
	Cert, Key string // files of the client's own certificate and its key

	User, Password string
	Token          string
	SecretFile     string // file with the token, readable by its owner only: the one of [Runner.SecretFile]
	Creds          string // credentials file (JWT and key)
}

// options checks what was given and turns it into the client's.
func (r Remote) options() ([]nats.Option, error) {
	if r.URL == "" {
		return nil, errors.New("runner: no URL of a NATS server")
	}
	ways := 0
	for _, set := range []bool{r.User != "" || r.Password != "", r.Token != "", r.SecretFile != "", r.Creds != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("runner: more than one way to log in to the NATS server: give user and password, a token, a secret file or a credentials file")
	}
	if (r.Cert == "") != (r.Key == "") {
		return nil, fmt.Errorf("runner: client certificate %q with key %q: both are needed", r.Cert, r.Key)
	}
	for what, path := range map[string]string{"CA": r.CA, "client certificate": r.Cert, "client key": r.Key, "credentials": r.Creds} {
		if path == "" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("runner: %s: %w", what, err)
		}
	}
	var opts []nats.Option
	if r.CA != "" {
		opts = append(opts, nats.RootCAs(r.CA))
	}
	if r.Cert != "" {
		opts = append(opts, nats.ClientCert(r.Cert, r.Key))
	}
	switch {
	case r.User != "" || r.Password != "":
		opts = append(opts, nats.UserInfo(r.User, r.Password))
	case r.Token != "":
		opts = append(opts, nats.Token(r.Token))
	case r.SecretFile != "":
		secret, err := readSecret(r.SecretFile)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Token(secret))
	case r.Creds != "":
		opts = append(opts, nats.UserCredentials(r.Creds))
	}
	return opts, nil
}

// connect opens a connection that comes back by itself whenever it breaks. say
// is told about that, from other goroutines.
func (r Remote) connect(ctx context.Context, say func(string)) (*nats.Conn, error) {
	opts, err := r.options()
	if err != nil {
		return nil, err
	}
	opts = append(append(opts, nats.Timeout(5*time.Second)), clientOptions(say)...)
	type result struct {
		nc  *nats.Conn
		err error
	}
	c := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(r.URL, opts...)
		c <- result{nc, err}
	}()
	select {
	case got := <-c:
		if got.err != nil {
			return nil, fmt.Errorf("runner: NATS server at %s: %w", r.redacted(), got.err)
		}
		return got.nc, nil
	case <-ctx.Done():
		go func() {
			if got := <-c; got.nc != nil {
				got.nc.Close()
			}
		}()
		return nil, fmt.Errorf("runner: NATS server at %s: %w", r.redacted(), context.Cause(ctx))
	}
}

func clientOptions(say func(string)) []nats.Option {
	return []nats.Option{
		nats.Name("assay"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				say("connection to the NATS server lost, trying again: " + err.Error())
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { say("connected to the NATS server again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { say("NATS: " + err.Error()) }),
	}
}

// closedError says why a connection will not come back: the server does not
// accept its login any more.
func closedError(nc *nats.Conn) error {
	if !nc.IsClosed() {
		return nil
	}
	return fmt.Errorf("runner: connection to the NATS server closed: %w", cmp.Or(nc.LastError(), nats.ErrConnectionClosed))
}

// redacted is the URL without passwords.
func (r Remote) redacted() string {
	urls := strings.Split(r.URL, ",")
	for i, s := range urls {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil {
			urls[i] = u.Redacted()
		}
	}
	return strings.Join(urls, ",")
}
