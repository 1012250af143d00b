package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/store/pebble"
)

// Options are what the program gives a node besides its settings.
type Options struct {
	Logger  *slog.Logger
	Version string
}

// Addresses are where a node listens.
type Addresses struct {
	HTTP    string `json:"http"`
	Link    string `json:"link"`
	Ops     string `json:"ops"`
	Article string `json:"article,omitempty"`
	Data    string `json:"data"`
}

// Node is a running process's worth of roles.
type Node struct {
	cfg     config.Config
	log     *slog.Logger
	store   *pebble.Store
	mailbox *mailbox.Mailbox
	gateway *gateway.Gateway
	links   *link.Server
	servers []*http.Server
	api     *api.API
	addrs   Addresses
	ready   atomic.Bool

	tasks  sync.WaitGroup
	failed chan struct{}
	once   sync.Once
	err    error
}

// stopTimeout bounds each step of a stop.
const stopTimeout = 10 * time.Second

// Start starts every role. On error nothing is left running.
func Start(ctx context.Context, cfg config.Config, opts Options) (_ *Node, err error) {
	n := &Node{cfg: cfg, log: opts.Logger, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = n.Stop()
		}
	}()
	tlsConfig, err := loadTLS(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.openStore(); err != nil {
		return nil, err
	}
	mcfg := mailbox.DefaultConfig()
	mcfg.Shards, mcfg.Logger = cfg.Shards, n.log
	n.mailbox = mailbox.New(mcfg, n.store)
	if err := n.mailbox.Start(ctx); err != nil {
		return nil, err
	}
	if err := n.loadArticleData(ctx); err != nil {
		return nil, err
	}
	if err := n.serveClients(tlsConfig, opts); err != nil {
		return nil, err
	}
	n.ready.Store(true)
	return n, nil
}

func loadTLS(cfg config.Config) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("cannot use the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func (n *Node) openStore() error {
	dir, err := filepath.Abs(n.cfg.Data)
	if err != nil {
		return err
	}
	n.addrs.Data = dir
	st, err := pebble.Open(dir, pebble.Options{Logger: n.log, CacheBytes: int64(n.cfg.CacheMB) << 20})
	if err != nil {
		return err
	}
	n.store = st
	return nil
}

// serveClients makes the roles that clients talk to and opens their listeners.
func (n *Node) serveClients(tlsConfig *tls.Config, opts Options) error {
	token, err := account.LoadOrCreateOperatorToken(n.addrs.Data)
	if err != nil {
		return err
	}
	operator := account.NewOperator(token)
	hasher, err := account.NewHasher(account.DefaultHasherConfig())
	if err != nil {
		return err
	}
	accounts, err := account.NewService(account.Config{Mailbox: n.mailbox, Hasher: hasher, Rand: rand.Reader, Now: time.Now})
	if err != nil {
		return err
	}
	var sessions atomic.Uint64
	next := func() im.SessionID { return im.SessionID(sessions.Add(1)) }
	n.api, err = api.New(api.Config{Mailbox: n.mailbox, Accounts: accounts, Operator: operator, NextSession: next, Logger: n.log})
	if err != nil {
		return err
	}
	n.gateway, err = gateway.New(gateway.Config{
		Mailbox: n.mailbox, ParseToken: account.ParseToken, Caller: n.api, NextSession: next, Logger: n.log,
	})
	if err != nil {
		return err
	}
	if err := n.openLinks(tlsConfig); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", n.api)
	mux.Handle("/link", n.links)
	if n.addrs.HTTP, err = n.serveHTTP(n.cfg.HTTP, mux, tlsConfig); err != nil {
		return err
	}
	if n.addrs.Ops, err = n.serveOps(operator); err != nil {
		return err
	}
	return n.serveArticle()
}

func (n *Node) openLinks(tlsConfig *tls.Config) error {
	ln, err := link.Listen(context.Background(), n.cfg.Link)
	if err != nil {
		return fmt.Errorf("cannot listen for links: %w", err)
	}
	n.addrs.Link = ln.Addr().String()
	n.links = link.NewServer(link.Config{Handler: n.gateway, TLS: tlsConfig, MaxConns: n.cfg.MaxConns, Engine: n.cfg.LinkEngine, Logger: n.log})
	n.run("links", func() error { return n.links.Serve(ln) })
	return nil
}

// serveHTTP opens one HTTP listener.
func (n *Node) serveHTTP(addr string, h http.Handler, tlsConfig *tls.Config, tweak ...func(*http.Server)) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("cannot listen for HTTP: %w", err)
	}
	srv := api.NewHTTPServer(h, n.log)
	for _, f := range tweak {
		f(srv)
	}
	n.servers = append(n.servers, srv)
	n.run("http "+addr, func() error {
		if tlsConfig != nil {
			srv.TLSConfig = tlsConfig
			return srv.ServeTLS(ln, "", "")
		}
		return srv.Serve(ln)
	})
	return ln.Addr().String(), nil
}

// run runs a listener; its failure is the node's.
func (n *Node) run(what string, serve func() error) {
	n.tasks.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			n.once.Do(func() {
				n.err = fmt.Errorf("%s: %w", what, err)
				close(n.failed)
			})
		}
	})
}

// Addresses are where the node listens.
func (n *Node) Addresses() Addresses { return n.addrs }

// Failed is closed when a listener has failed; Err then says why.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is why a listener failed, once Failed is closed.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// Health is nil while the node serves everything.
func (n *Node) Health() error {
	if err := n.store.Err(); err != nil {
		return err
	}
	return n.mailbox.Health()
}

// Stop stops everything in order, and returns what went wrong.
func (n *Node) Stop() error {
	n.ready.Store(false)
	errs := []error{n.Err()}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if n.api != nil {
		n.api.Drain()
	}
	if n.links != nil {
		errs = append(errs, n.links.Shutdown(ctx))
		n.gateway.Wait()
	}
	for _, s := range n.servers {
		if err := s.Shutdown(ctx); err != nil {
			// Long polls may still wait; they can come back elsewhere.
			errs = append(errs, s.Close())
		}
	}
	n.tasks.Wait()
	if n.mailbox != nil {
		n.mailbox.Stop()
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
