package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skein-im/skein/client"
)

// Target is the server that load is put on: one that runs already, or one of
// the run's own.
type Target struct {
	// Links are the link addresses of a server that runs already, like
	// tcp://127.0.0.1:7001 or tls://chat.example.org:443, HTTP is the base
	// URL of its API. Empty: a server of the run's own.
	Links []string `json:"links,omitempty"`
	HTTP  string   `json:"http,omitempty"`
	// OperatorToken is that of the running server.
	OperatorToken string `json:"-"`
	// ServerPIDs are processes whose CPU time and memory are reported,
	// with all that they have started.
	ServerPIDs []int `json:"-"`
	// CA is a PEM certificate to trust besides the system's.
	CA []byte `json:"-"`
	// TLS: the own server speaks it.
	TLS bool `json:"tls,omitempty"`
	// Program is the binary of the own server, and of the load generator's
	// processes, Data the server's directory; empty: a temporary one.
	// ServerArgs are passed on to it.
	Program    string   `json:"-"`
	Data       string   `json:"-"`
	ServerArgs []string `json:"server_args,omitempty"`
}

func (t *Target) own() bool { return len(t.Links) == 0 }

func (t *Target) validate() error {
	if t.own() != (t.HTTP == "") {
		return errors.New("a running server needs both its link address and its HTTP address")
	}
	if !t.own() && t.OperatorToken == "" {
		return errors.New("the running server's operator token is needed to make users")
	}
	return nil
}

// target is a server that runs.
type target struct {
	Target
	// server is the own one; temp has what of it is to be removed.
	server *server
	temp   string
	args   []string
	// addrs are where links are opened, name whom TLS asks for.
	addrs []netip.AddrPort
	name  string
	http  *http.Client
	// api has the operator's token.
	api *client.API
}

// apiConns is how many HTTP connections are kept.
const apiConns = 16

// openTarget finds the server, or starts one that takes so many links.
func openTarget(ctx context.Context, cfg *Target, maxConns int) (t *target, err error) {
	t = &target{Target: *cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if t.own() {
		if err := t.prepare(maxConns); err != nil {
			return t, err
		}
		if err := t.start(ctx); err != nil {
			return t, err
		}
	} else if err := t.resolve(ctx); err != nil {
		return t, err
	}
	return t, t.dialAPI()
}

// prepare makes the directory, and the certificate, of an own server.
func (t *target) prepare(maxConns int) (err error) {
	if t.temp, err = os.MkdirTemp("", "skein-bench-"); err != nil {
		return err
	}
	if t.Data == "" {
		t.Data = filepath.Join(t.temp, "data")
	}
	// Some more than there will be: a connection that is repeated may
	// come before the server has noticed the end of the first.
	t.args = []string{"--max-conns", strconv.Itoa(maxConns + maxConns/16 + 64)}
	if t.TLS {
		cert, key := filepath.Join(t.temp, "cert.pem"), filepath.Join(t.temp, "key.pem")
		if t.CA, err = selfSigned(cert, key); err != nil {
			return fmt.Errorf("a certificate for the server: %w", err)
		}
		t.args = append(t.args, "--tls-cert", cert, "--tls-key", key)
	}
	t.args = append(t.args, t.ServerArgs...)
	return nil
}

// start starts the own server.
func (t *target) start(ctx context.Context) (err error) {
	if t.server, err = startServer(ctx, t.Program, t.Data, t.args); err != nil {
		return err
	}
	if t.OperatorToken, err = t.server.operatorToken(); err != nil {
		return err
	}
	t.ServerPIDs = []int{t.server.cmd.Process.Pid}
	t.HTTP = "http://" + t.server.HTTP
	if t.TLS {
		t.HTTP = "https://" + t.server.HTTP
	}
	addr, err := netip.ParseAddrPort(t.server.Link)
	t.addrs, t.name = []netip.AddrPort{addr}, addr.Addr().String()
	return err
}

// restart starts the own server anew on what it has stored, so that its memory
// holds nothing of what came before.
func (t *target) restart(ctx context.Context) error {
	if t.server == nil {
		return nil
	}
	err := t.halt()
	if err == nil {
		err = t.start(ctx)
	}
	if err == nil {
		err = t.dialAPI()
	}
	return err
}

// resolve reads the addresses of a running server.
func (t *target) resolve(ctx context.Context) error {
	for _, link := range t.Links {
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "tcp" && u.Scheme != "tls" || u.Port() == "" {
			return fmt.Errorf("%q is not a link address like tcp://127.0.0.1:7001 or tls://chat.example.org:7001", link)
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
		if err != nil {
			return err
		}
		addr, err := netip.ParseAddrPort(net.JoinHostPort(ips[0].Unmap().String(), u.Port()))
		if err != nil {
			return err
		}
		t.addrs = append(t.addrs, addr)
		t.TLS, t.name = u.Scheme == "tls", u.Hostname()
	}
	return nil
}

func (t *target) dialAPI() error {
	transport := &http.Transport{MaxIdleConnsPerHost: apiConns, DisableCompression: true}
	if len(t.CA) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(t.CA) {
			return errors.New("the certificate to trust is not one")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	t.http = &http.Client{Transport: transport}
	t.api = client.NewAPI(t.HTTP, t.OperatorToken, t.http)
	return nil
}

// halt stops the own server, and leaves its data.
func (t *target) halt() error {
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
	if t.server == nil {
		return nil
	}
	err := t.server.stop()
	t.server = nil
	return err
}

// close stops the own server.
func (t *target) close() error {
	err := t.halt()
	if t.temp != "" {
		err = errors.Join(err, os.RemoveAll(t.temp))
	}
	return err
}
