package feeds

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// reserved are the networks inside 0.0.0.0/0 and 2000::/3 that are not the public
// internet: this host, private and shared ones, links, documentation, tunnels whose
// other end may be anything.
var reserved = func() (nets []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		nets = append(nets, netip.MustParsePrefix(s))
	}
	return nets
}()

// global holds the public addresses of IPv6. What is outside of it is local, private
// (fc00::/7), or an IPv4 address in disguise (::ffff:0:0/96, 64:ff9b::/96).
var global = netip.MustParsePrefix("2000::/3")

// public reports whether an address is one of the public internet.
func public(a netip.Addr) bool {
	if a.Zone() != "" || a.Is6() && !global.Contains(a) {
		return false
	}
	for _, n := range reserved {
		if n.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// onlyPublic refuses connections to anything but web servers of the public internet.
func onlyPublic(to netip.AddrPort) error {
	if !public(to.Addr()) || to.Port() != 80 && to.Port() != 443 {
		return fmt.Errorf("%s is not a web server of the public internet", to)
	}
	return nil
}

const mostRedirects = 5

// Public is a client for addresses that strangers name. It reaches web servers of the
// public internet only: what it connects to is checked when names have been resolved,
// and again at every redirect. It takes no proxy and keeps no cookies.
func Public() *http.Client { return clientFor(onlyPublic) }

func clientFor(allow func(netip.AddrPort) error) *http.Client {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return allow(to)
	}}
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DialContext: d.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= mostRedirects {
				return fmt.Errorf("more than %d redirects", mostRedirects)
			}
			if !isWeb(r.URL) {
				return errors.New("a redirect to what is not an http or https address")
			}
			return nil
		},
	}
}

// isWeb reports whether a URL is an http or https address without a password.
func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}
