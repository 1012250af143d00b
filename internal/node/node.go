package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/config"
)

// Role says which roles a process has.
type Role uint8

const (
	// Serve is all of them.
	Serve Role = iota
	// Mailbox is the store and the mailbox, for gateways elsewhere.
	Mailbox
	// Gateway is what clients talk to, with the mailbox elsewhere.
	Gateway
)

// Options are what the program gives a node besides its settings.
type Options struct {
	Role    Role
	Logger  *slog.Logger
	Version string
}

// Addresses are where a node listens; empty: it does not.
type Addresses struct {
	HTTP    string `json:"http,omitempty"`
	Link    string `json:"link,omitempty"`
	Ops     string `json:"ops"`
	Article string `json:"article,omitempty"`
	Data    string `json:"data"`
}

// Node is a running process's worth of roles.
type Node struct {
	cfg  config.Config
	log  *slog.Logger
	opts Options
	// operator recognizes who may do what is not for clients.
	operator account.Operator
	// back is nil in a gateway, front in a mailbox.
	back    *backend
	front   *front
	servers []*http.Server
	addrs   Addresses
	ready   atomic.Bool

	tasks  sync.WaitGroup
	failed chan struct{}
	once   sync.Once
	err    error
}

// stopTimeout bounds each step of a stop.
const stopTimeout = 10 * time.Second

// Start starts the roles. On error nothing is left running.
func Start(ctx context.Context, cfg config.Config, opts Options) (_ *Node, err error) {
	n := &Node{cfg: cfg, log: opts.Logger, opts: opts, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = n.Stop()
		}
	}()
	if n.addrs.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, err
	}
	if err := n.startBackend(ctx); err != nil {
		return nil, err
	}
	if err := n.loadCredentials(); err != nil {
		return nil, err
	}
	if err := n.startFront(); err != nil {
		return nil, err
	}
	if n.addrs.Ops, err = n.serveOps(); err != nil {
		return nil, err
	}
	n.ready.Store(true)
	return n, nil
}

// loadCredentials reads, or makes, what tells the operator from others.
func (n *Node) loadCredentials() error {
	if err := os.MkdirAll(n.addrs.Data, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	token, err := account.LoadOrCreateOperatorToken(n.addrs.Data)
	if err != nil {
		return err
	}
	n.operator = account.NewOperator(token)
	return nil
}

// serveHTTP opens one HTTP listener.
func (n *Node) serveHTTP(addr string, h http.Handler, tweak ...func(*http.Server)) (string, error) {
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
		if srv.TLSConfig != nil {
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
	if n.back != nil {
		return n.back.health()
	}
	return nil
}

// Stop stops everything in order, and returns what went wrong.
func (n *Node) Stop() error {
	n.ready.Store(false)
	errs := []error{n.Err()}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if n.front != nil {
		errs = append(errs, n.front.drain(ctx))
	}
	for _, s := range n.servers {
		if err := s.Shutdown(ctx); err != nil {
			// Long polls may still wait; they can come back elsewhere.
			errs = append(errs, s.Close())
		}
	}
	n.tasks.Wait()
	if n.back != nil {
		errs = append(errs, n.back.stop())
	}
	return errors.Join(errs...)
}
