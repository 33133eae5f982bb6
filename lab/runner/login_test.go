package runner

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/assay-lab/assay/lab"
)

// natsServer is an outside server in this process, behind a real socket.
func natsServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true
	o.JetStream, o.StoreDir = !o.NoJetStreamStrict, t.TempDir()
	srv, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("server not ready")
	}
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

// login runs a small experiment on the server.
func login(t *testing.T, r Remote) error {
	t.Helper()
	run, err := (&Runner{Store: openStore(t, t.TempDir()), Remote: &r, Jobs: 2}).Run(t.Context(), experiments["test/a"], lab.Quick, values("n", "4"))
	if err == nil && len(run.Results) != 4 {
		t.Errorf("%d results", len(run.Results))
	}
	return err
}

func TestLogin(t *testing.T) {
	t.Parallel()
	type row struct {
		what string
		r    Remote
		want string // in the error; "" means let in
	}
	check := func(t *testing.T, rows []row) {
		for _, row := range rows {
			err := login(t, row.r)
			switch {
			case row.want == "" && err != nil:
				t.Errorf("%s: %v", row.what, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%s: got %v, want an error with %q", row.what, err, row.want)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("%s: the error has the password in it: %v", row.what, err)
			}
		}
	}
	t.Run("user and password", func(t *testing.T) {
		url := natsServer(t, server.Options{Username: "ann", Password: "s3cret"}).ClientURL()
		check(t, []row{
			{"the right password", Remote{URL: url, User: "ann", Password: "s3cret"}, ""},
			{"the right password in the URL", Remote{URL: strings.Replace(url, "nats://", "nats://ann:s3cret@", 1)}, ""},
			{"a wrong one", Remote{URL: url, User: "ann", Password: "s3cret2"}, "Authorization"},
			{"a wrong one in the URL", Remote{URL: strings.Replace(url, "nats://", "nats://ann:s3cret2@", 1)}, "Authorization"},
			{"none", Remote{URL: url}, "Authorization"},
		})
	})
	t.Run("token", func(t *testing.T) {
		url := natsServer(t, server.Options{Authorization: "s3cret"}).ClientURL()
		check(t, []row{
			{"the right token", Remote{URL: url, Token: "s3cret"}, ""},
			{"a wrong one", Remote{URL: url, Token: "s3cret2"}, "Authorization"},
		})
	})
	t.Run("TLS", func(t *testing.T) {
		dir := t.TempDir()
		ca, conf := certificates(t, dir)
		srv := natsServer(t, server.Options{TLSConfig: conf, TLSVerify: true, TLSTimeout: 5})
		url := strings.Replace(srv.ClientURL(), "nats://", "tls://", 1)
		cert, key := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
		check(t, []row{
			{"authority, certificate and key", Remote{URL: url, CA: ca, Cert: cert, Key: key}, ""},
			{"an authority that is not trusted", Remote{URL: url, Cert: cert, Key: key}, "certificate"},
			{"no certificate of the client", Remote{URL: url, CA: ca}, "tls"},
			{"a certificate without its key", Remote{URL: url, CA: ca, Cert: cert}, "both are needed"},
			{"an authority that is not there", Remote{URL: url, CA: ca + "x"}, "CA: open"},
		})
	})
	t.Run("credentials file", func(t *testing.T) {
		dir := t.TempDir()
		good, opts := operator(t, dir)
		url := natsServer(t, opts).ClientURL()
		_, _ = operator(t, filepath.Join(dir, "other"))
		check(t, []row{
			{"the account's user", Remote{URL: url, Creds: good}, ""},
			{"another operator's user", Remote{URL: url, Creds: filepath.Join(dir, "other", "user.creds")}, "Authorization"},
			{"a file that is not there", Remote{URL: url, Creds: good + "x"}, "credentials: open"},
		})
	})
	t.Run("a server that will not do", func(t *testing.T) {
		url := natsServer(t, server.Options{NoJetStreamStrict: true}).ClientURL()
		check(t, []row{
			{"no JetStream", Remote{URL: url}, "nats-server -js"},
			{"nobody there", Remote{URL: "nats://" + freeAddr(t)}, "no servers available"},
			{"no URL", Remote{}, "no URL"},
			{"two ways at once", Remote{URL: url, Token: "x", User: "ann"}, "more than one way"},
		})
	})
}

// certificates makes an authority, a server's certificate and, in files, a
// client's.
func certificates(t *testing.T, dir string) (caFile string, conf *tls.Config) {
	t.Helper()
	type pair struct {
		cert *x509.Certificate
		key  *ecdsa.PrivateKey
	}
	serial := int64(0)
	issue := func(name string, by *pair) *pair {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		serial++
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: by == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		p := &pair{c, key}
		if by == nil {
			by = p
		}
		der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
		if err != nil {
			t.Fatal(err)
		}
		if p.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := issue("authority", nil)
	srv, client := issue("server", ca), issue("client", ca)
	write("client.pem", "CERTIFICATE", client.cert.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(client.key)
	if err != nil {
		t.Fatal(err)
	}
	write("client.key", "PRIVATE KEY", der)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return write("ca.pem", "CERTIFICATE", ca.cert.Raw), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{srv.cert.Raw}, PrivateKey: srv.key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
}

// operator makes an operator with an account and a user's credentials file, and
// a server's options to trust them.
func operator(t *testing.T, dir string) (creds string, o server.Options) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	pair := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := make()
		must(err)
		pub, err := k.PublicKey()
		must(err)
		return k, pub
	}
	op, opPub := pair(nkeys.CreateOperator)
	sys, sysPub := pair(nkeys.CreateAccount)
	acc, accPub := pair(nkeys.CreateAccount)
	user, userPub := pair(nkeys.CreateUser)
	_ = sys
	opClaims := jwt.NewOperatorClaims(opPub)
	opClaims.SystemAccount = sysPub
	_, err := opClaims.Encode(op)
	must(err)
	resolver := &server.MemAccResolver{}
	for _, pub := range []string{sysPub, accPub} {
		c := jwt.NewAccountClaims(pub)
		if pub == accPub {
			c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		}
		token, err := c.Encode(op)
		must(err)
		must(resolver.Store(pub, token))
	}
	token, err := jwt.NewUserClaims(userPub).Encode(acc)
	must(err)
	seed, err := user.Seed()
	must(err)
	file, err := jwt.FormatUserConfig(token, seed)
	must(err)
	must(os.MkdirAll(dir, 0o755))
	creds = filepath.Join(dir, "user.creds")
	must(os.WriteFile(creds, file, 0o600))
	return creds, server.Options{TrustedOperators: []*jwt.OperatorClaims{opClaims}, AccountResolver: resolver, SystemAccount: sysPub}
}
