package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
)

// Defaults of DialOptions.
const (
	DefaultDialTimeout  = 10 * time.Second
	DefaultWriteTimeout = 15 * time.Second
)

// DialOptions say how to connect. Zero values mean the defaults.
type DialOptions struct {
	// TLS is used for tls and wss. ServerName defaults to the URL's host.
	TLS *tls.Config
	// NetDial replaces net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Timeout bounds Dial, with TLS and WebSocket handshakes.
	Timeout time.Duration
	// WriteTimeout bounds each Write.
	WriteTimeout time.Duration
	// MaxFrame is how many bytes the payload of a frame may have; the
	// default is im.MaxServerFrame.
	MaxFrame int
}

func (o DialOptions) withDefaults() DialOptions {
	o.Timeout = cmp.Or(o.Timeout, DefaultDialTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, DefaultWriteTimeout)
	o.MaxFrame = cmp.Or(o.MaxFrame, im.MaxServerFrame)
	if o.NetDial == nil {
		d := net.Dialer{KeepAlive: -1}
		o.NetDial = d.DialContext
	}
	return o
}

// Dial connects to tcp://host:port, tls://host:port, ws://host[:port]/path or
// wss://host[:port]/path. Errors are Invalid for a URL that is none of these,
// Unavailable otherwise.
func Dial(ctx context.Context, rawURL string, opts DialOptions) (*ClientConn, error) {
	opts = opts.withDefaults()
	u, addr, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	nc, err := opts.NetDial(ctx, "tcp", addr)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot connect to %s: %w", addr, err)
	}
	c, err := handshake(ctx, nc, u, opts)
	if err != nil {
		nc.Close()
		return nil, im.Errorf(im.Unavailable, "cannot connect to %s: %w", addr, err)
	}
	return c, nil
}

// parseURL checks the URL and finds the address to connect to.
func parseURL(rawURL string) (u *url.URL, addr string, err error) {
	u, err = url.Parse(rawURL)
	if err != nil {
		return nil, "", im.Errorf(im.Invalid, "malformed address: %w", err)
	}
	port := u.Port()
	switch u.Scheme {
	case "ws":
		port = cmp.Or(port, "80")
	case "wss":
		port = cmp.Or(port, "443")
	case "tcp", "tls":
		if strings.Trim(u.Path, "/") != "" {
			return nil, "", im.Errorf(im.Invalid, "address %q: %s has no path", rawURL, u.Scheme)
		}
	default:
		return nil, "", im.Errorf(im.Invalid, "address %q does not begin with tcp://, tls://, ws:// or wss://", rawURL)
	}
	if u.Hostname() == "" || port == "" {
		return nil, "", im.Errorf(im.Invalid, "address %q has no host or no port", rawURL)
	}
	return u, net.JoinHostPort(u.Hostname(), port), nil
}

// handshake brings a connection to where frames begin.
func handshake(ctx context.Context, nc net.Conn, u *url.URL, opts DialOptions) (*ClientConn, error) {
	if u.Scheme == "tls" || u.Scheme == "wss" {
		t := tls.Client(nc, clientTLS(opts.TLS, u.Hostname()))
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		nc = t
	}
	c := newClientConn(nc, opts)
	if u.Scheme == "tcp" || u.Scheme == "tls" {
		return c, nil
	}
	// Cancelling ctx ends whatever the handshake waits for.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	early, err := upgradeClient(nc, u)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	c.in.ws = &wsDecoder{side: ws.StateClientSide}
	c.in.buf.put(early)
	return c, nil
}

func clientTLS(cfg *tls.Config, host string) *tls.Config {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	return cfg
}

// maxResponse is the most bytes the answer to the upgrade may have, with what
// comes behind it in one go.
const maxResponse = 64 << 10

// upgradeClient asks for a WebSocket and returns what came behind the answer.
func upgradeClient(nc net.Conn, u *url.URL) ([]byte, error) {
	conn := struct {
		io.Reader
		io.Writer
	}{io.LimitReader(nc, maxResponse), nc}
	br, _, err := ws.Dialer{}.Upgrade(conn, u)
	if err != nil || br == nil {
		return nil, err
	}
	defer ws.PutReader(br)
	peek, err := br.Peek(br.Buffered())
	return append([]byte(nil), peek...), err
}
