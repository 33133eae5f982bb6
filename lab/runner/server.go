package runner

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// embedded is a NATS server inside this process. It logs nothing, catches no
// signals and opens no socket unless it was told to listen.
type embedded struct {
	srv *server.Server
	dir string // JetStream insists on a folder, even to keep everything in memory
	tok string // "" when it does not listen
}

// startEmbedded starts a server for one run.
func startEmbedded(ctx context.Context, dir, listen, secretFile string) (*embedded, error) {
	opts := &server.Options{
		ServerName: "assay", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: dir, DisableJetStreamBanner: true,
		MaxPayload: server.MAX_PAYLOAD_MAX_SIZE, MaxPending: 64 << 20,
	}
	em := &embedded{dir: dir}
	if listen != "" {
		host, port, err := net.SplitHostPort(listen)
		if err != nil {
			return nil, fmt.Errorf("runner: listen = %q: must be host:port: %w", listen, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("runner: listen = %q: the port must be a number from 0 (any) to 65535", listen)
		}
		if em.tok, err = makeSecret(ctx, secretFile); err != nil {
			return nil, err
		}
		opts.DontListen, opts.Host, opts.Port, opts.Authorization = false, host, int(n), em.tok
		if n == 0 {
			opts.Port = server.RANDOM_PORT
		}
	}
	// A killed run leaves its folder behind; nothing in it is needed.
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("runner: queue: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("runner: queue: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("runner: queue: %w", err)
	}
	em.srv = srv
	var log firstFatal
	srv.SetLogger(&log, false, false)
	srv.Start()
	if why := log.text(); why != "" || !srv.JetStreamEnabled() {
		em.stop()
		return nil, fmt.Errorf("runner: the NATS server inside this process did not start: %s", cmp.Or(why, "JetStream is not enabled"))
	}
	return em, nil
}

// firstFatal is a server's log that keeps why it could not start, and prints
// nothing.
type firstFatal struct {
	mu  sync.Mutex
	why string
}

func (l *firstFatal) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = cmp.Or(l.why, fmt.Sprintf(format, v...))
}

func (l *firstFatal) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

func (l *firstFatal) Errorf(string, ...any)  {}
func (l *firstFatal) Warnf(string, ...any)   {}
func (l *firstFatal) Noticef(string, ...any) {}
func (l *firstFatal) Debugf(string, ...any)  {}
func (l *firstFatal) Tracef(string, ...any)  {}

// connect connects without a socket.
func (em *embedded) connect(say func(string)) (*nats.Conn, error) {
	opts := append(clientOptions(say), nats.InProcessServer(em.srv))
	if em.tok != "" {
		opts = append(opts, nats.Token(em.tok))
	}
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("runner: queue: %w", err)
	}
	return nc, nil
}

// addr is where it listens; nil if it does not.
func (em *embedded) addr() net.Addr { return em.srv.Addr() }

func (em *embedded) stop() {
	em.srv.Shutdown()
	em.srv.WaitForShutdown()
	os.RemoveAll(em.dir)
}
