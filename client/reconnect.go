package client

import (
	"errors"
	"net/url"
	"strings"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// stable is how long a link must last for the backoff to start over.
const stable = time.Second

// run keeps a link up until the client ends.
func (c *Client) run() {
	defer c.end()
	places := places{home: c.opts.Addr}
	attempt := 0
	for c.ctx.Err() == nil {
		addr := places.next()
		began := time.Now()
		s, err := c.login(addr)
		if err == nil {
			c.opts.Logger.Info("connected", "addr", addr, "user", uint64(c.Self().User))
			c.opts.OnLink(c, true, nil)
			err = s.serve()
			c.opts.OnLink(c, false, err)
			if time.Since(began) >= stable {
				attempt = 0
			}
			places.worked()
		}
		if c.ctx.Err() != nil {
			return
		}
		after, final := c.judge(err, &places)
		if final != nil {
			c.fail(final)
			return
		}
		wait := after + c.opts.Backoff.wait(attempt)
		attempt++
		c.opts.Logger.Info("not connected", "addr", addr, "err", err, "retry_in", wait)
		c.pause(wait)
	}
}

// judge decides what to do after a link's end: come back after a while, or
// give up.
func (c *Client) judge(err error, places *places) (after time.Duration, final error) {
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
	var bye *goodbye
	if errors.As(err, &bye) {
		if !bye.Code.Reconnect() {
			return 0, &bye.CloseError
		}
		places.moved(bye.addresses)
		return bye.after, nil
	}
	return 0, nil
}

func (c *Client) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// goodbye is a CloseError and what only the client needs of it.
type goodbye struct {
	CloseError
	after     time.Duration
	addresses []string
}

// Unwrap lets callers find the CloseError.
func (g *goodbye) Unwrap() error { return &g.CloseError }

// closeError reads a Close frame.
func closeError(payload []byte) error {
	var m skeinv1.Close
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		return err
	}
	return &goodbye{
		CloseError: CloseError{Code: im.CloseCode(m.GetCode()), Reason: m.GetReason()},
		after:      time.Duration(m.GetRetryAfterMs()) * time.Millisecond,
		addresses:  m.GetAddresses(),
	}
}

// linkError gives an error of the link the form that callers see.
func linkError(err error) error {
	var closed *link.CloseError
	if errors.As(err, &closed) {
		return &goodbye{CloseError: CloseError{Code: closed.Code, Reason: closed.Reason}, after: closed.RetryAfter}
	}
	var e *im.Error
	if errors.As(err, &e) {
		return err
	}
	return im.Errorf(im.Unavailable, "the link broke: %w", err)
}

// places is where to connect: where the server sent the client, best first,
// then home.
type places struct {
	home  string
	sent  []string
	tried int
}

// maxPlaces bounds what a server can make a client try.
const maxPlaces = 16

func (p *places) next() string {
	if p.tried < len(p.sent) {
		p.tried++
		return p.sent[p.tried-1]
	}
	p.sent, p.tried = nil, 0
	return p.home
}

// worked makes the last place the first to try.
func (p *places) worked() {
	if p.tried > 0 {
		p.sent, p.tried = p.sent[p.tried-1:], 0
	}
}

// moved takes the addresses a server named.
func (p *places) moved(addresses []string) {
	if len(addresses) == 0 {
		return
	}
	p.sent, p.tried = nil, 0
	for _, a := range addresses[:min(len(addresses), maxPlaces)] {
		if a, ok := p.resolve(a); ok {
			p.sent = append(p.sent, a)
		}
	}
}

// resolve makes an address a URL like home's. A client that was told to speak
// TLS does not stop doing so because a server says so.
func (p *places) resolve(addr string) (string, bool) {
	home, err := url.Parse(p.home)
	if err != nil {
		return "", false
	}
	if !strings.Contains(addr, "://") {
		addr = (&url.URL{Scheme: home.Scheme, Host: addr, Path: home.Path}).String()
	}
	u, err := parseAddr(addr)
	if err != nil || secure(home) && !secure(u) {
		return "", false
	}
	return addr, true
}

func secure(u *url.URL) bool { return u.Scheme == "tls" || u.Scheme == "wss" }

func parseAddr(addr string) (*url.URL, error) {
	// A bare host:port is no URL, and not worth another error than the rest.
	if u, err := url.Parse(addr); err == nil && u.Hostname() != "" {
		switch u.Scheme {
		case "tcp", "tls", "ws", "wss":
			return u, nil
		}
	}
	return nil, im.Errorf(im.Invalid, "address %q is not like tcp://host:port, tls://host:port, ws://host/link or wss://host/link", addr)
}
