package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
)

// front is what clients talk to.
type front struct {
	api     *api.API
	gateway *gateway.Gateway
	links   *link.Server
}

// newFront makes the roles that clients talk to, in front of a mailbox.
func (n *Node) newFront(m im.Mailbox, tlsConfig *tls.Config) (*front, error) {
	hasher, err := account.NewHasher(account.DefaultHasherConfig())
	if err != nil {
		return nil, err
	}
	accounts, err := account.NewService(account.Config{Mailbox: m, Hasher: hasher, Rand: rand.Reader, Now: time.Now})
	if err != nil {
		return nil, err
	}
	next, err := newSessionIDs()
	if err != nil {
		return nil, err
	}
	f := &front{}
	f.api, err = api.New(api.Config{Mailbox: m, Accounts: accounts, Operator: n.operator, NextSession: next, Logger: n.log})
	if err != nil {
		return nil, err
	}
	f.gateway, err = gateway.New(gateway.Config{
		Mailbox: m, ParseToken: account.ParseToken, Caller: f.api, NextSession: next, Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	f.links = link.NewServer(link.Config{
		Handler: f.gateway, TLS: tlsConfig, MaxConns: n.cfg.MaxConns, Engine: n.cfg.LinkEngine, Logger: n.log,
	})
	return f, nil
}

// newSessionIDs gives out identifiers that no other process does, as likely as
// random numbers of 63 bits allow: a mailbox has sessions of many gateways.
func newSessionIDs() (func() im.SessionID, error) {
	var start [8]byte
	if _, err := rand.Read(start[:]); err != nil {
		return nil, err
	}
	var last atomic.Uint64
	last.Store(binary.LittleEndian.Uint64(start[:]) >> 1)
	return func() im.SessionID { return im.SessionID(last.Add(1)) }, nil
}

// startFront opens the listeners for clients.
func (n *Node) startFront() error {
	tlsConfig, err := n.loadTLS()
	if err != nil {
		return err
	}
	if n.front, err = n.newFront(n.back.mailbox, tlsConfig); err != nil {
		return err
	}
	if err := n.openLinks(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", n.front.api)
	mux.Handle("/link", n.front.links)
	n.addrs.HTTP, err = n.serveHTTP(n.cfg.HTTP, mux, func(s *http.Server) { s.TLSConfig = tlsConfig })
	if err != nil {
		return err
	}
	return n.serveArticle()
}

func (n *Node) loadTLS() (*tls.Config, error) {
	if n.cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(n.cfg.TLSCert, n.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("cannot use the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func (n *Node) openLinks() error {
	ln, err := link.Listen(context.Background(), n.cfg.Link)
	if err != nil {
		return fmt.Errorf("cannot listen for links: %w", err)
	}
	n.addrs.Link = ln.Addr().String()
	n.run("links", func() error { return n.front.links.Serve(ln) })
	return nil
}

// drain sends the clients away, and waits until they have gone.
func (f *front) drain(ctx context.Context) error {
	f.api.Drain()
	err := f.links.Shutdown(ctx)
	f.gateway.Wait()
	return err
}
