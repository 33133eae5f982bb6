package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/lab/runner"
)

const clusterFlags = "For a cluster of workers"

// addNATS adds the flags that say which NATS server to use and how to be let in.
func addNATS(all *pflag.FlagSet, r *runner.Remote) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&r.URL, "nats", "", "NATS server with JetStream: `URL`, several with commas")
	flags.StringVar(&r.CA, "nats-ca", "", "`FILE` of certificates to trust for TLS")
	flags.StringVar(&r.Cert, "nats-cert", "", "`FILE` of our own certificate for TLS")
	flags.StringVar(&r.Key, "nats-key", "", "`FILE` of its key")
	flags.StringVar(&r.User, "nats-user", "", "log in as `NAME`")
	flags.StringVar(&r.Password, "nats-password", "", "with this `PASSWORD` (or $ASSAY_NATS_PASSWORD)")
	flags.StringVar(&r.Token, "nats-token", "", "log in with this `TOKEN` (or $ASSAY_NATS_TOKEN)")
	flags.StringVar(&r.Creds, "nats-creds", "", "log in with a credentials `FILE`")
	group(all, flags, clusterFlags)
}

// remote fills in what the environment has: secrets on a command line can be
// seen by others on the machine. It is nil when no server is named.
func remote(r runner.Remote) (*runner.Remote, error) {
	if r.URL == "" {
		url := r.URL
		r.SecretFile = ""
		if r != (runner.Remote{URL: url}) {
			return nil, usagef("", "--nats-... without --nats: give the server's URL")
		}
		return nil, nil
	}
	if r.User != "" && r.Password == "" {
		r.Password = os.Getenv("ASSAY_NATS_PASSWORD")
	}
	if r.User == "" && r.Token == "" && r.Creds == "" && r.SecretFile == "" {
		r.Token = os.Getenv("ASSAY_NATS_TOKEN")
	}
	return &r, nil
}
