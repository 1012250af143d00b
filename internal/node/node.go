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

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/monitor"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/router"
)

// Addresses are where a node listens; empty: it does not.
type Addresses struct {
	HTTP string `json:"http,omitempty"`
	Link string `json:"link,omitempty"`
	Ops  string `json:"ops,omitempty"`
	// Roles is where gateways of other processes reach the mailbox.
	Roles string `json:"roles,omitempty"`
	// Relay is where relays of other regions reach this one.
	Relay string `json:"relay,omitempty"`
	// Standby is where the region's mailboxes reach their standby.
	Standby string `json:"standby,omitempty"`
	// Router is where clients ask for gateways.
	Router  string `json:"router,omitempty"`
	Article string `json:"article,omitempty"`
	Data    string `json:"data"`
	// Dashboard: Ops has it, because the process watches itself or others.
	Dashboard bool `json:"dashboard,omitempty"`
}

// Node is a running process's worth of roles.
type Node struct {
	name string
	cfg  config.Config
	log  *slog.Logger
	opts Options
	// operator recognizes who may do what is not for clients.
	operator account.Operator
	// bearer bounds wrong tokens.
	bearer bearers
	// back is nil in a gateway, front in a mailbox.
	back  *backend
	front *front
	// regions is nil if there is one only.
	regions *regions
	// standby is nil in all others.
	standby *follower
	// attaching is how many logins may be under way; 0: the usual number.
	attaching int
	// route is the way to mailboxes in other processes, if there are any;
	// shared is nil where the store is the node's own.
	route *route.Mailbox
	// inner is the way that the region's nodes have to each other's mailboxes;
	// nil unless there are several regions.
	inner     *route.Mailbox
	linkTotal linkTotal
	shared    *shared
	// workers serve the links; news is for them.
	workers    *workers
	news       chan struct{}
	resettling resettling
	// monitor is nil where nothing is watched.
	monitor *monitor.Monitor
	// router is nil but in a router.
	router  *router.Router
	servers []*http.Server
	// farewell is nil until operations are served, lobby where they are only when
	// everything has started.
	farewell *farewell
	lobby    *lobby
	traces   tracing
	addrs    Addresses
	ready    atomic.Bool

	tasks  sync.WaitGroup
	failed chan struct{}
	once   sync.Once
	err    error
	// drained is closed when an operator wants the node to stop, stopping
	// when it does.
	drained, stopping   chan struct{}
	drainOnce, stopOnce sync.Once
}

func newNode(cfg config.Config, opts Options) *Node {
	return &Node{name: nodeName(&cfg, opts.Role), cfg: cfg, log: opts.Logger, opts: opts, failed: make(chan struct{}), drained: make(chan struct{}), stopping: make(chan struct{}), news: make(chan struct{}, 1)}
}

// Start starts the roles. On error nothing is left running.
func Start(ctx context.Context, cfg config.Config, opts Options) (_ *Node, err error) {
	n := newNode(cfg, opts)
	defer func() {
		if err != nil {
			_ = n.Stop()
		}
	}()
	if n.addrs.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, err
	}
	if err := n.startRoles(ctx); err != nil {
		return nil, err
	}
	if n.addrs.Ops, err = n.serveOps(); err != nil {
		return nil, err
	}
	n.announce()
	if n.monitor != nil {
		n.monitor.Start()
	}
	n.ready.Store(true)
	return n, nil
}

func (n *Node) startRoles(ctx context.Context) (err error) {
	if n.bearer, err = n.newBearers(); err != nil {
		return err
	}
	if err := n.openLobby(); err != nil {
		return err
	}
	if err := n.awaitShared(ctx); err != nil {
		return err
	}
	switch n.opts.Role {
	case Monitor:
		return errors.Join(n.loadCredentials(), n.watchMembers(ctx))
	case Standby:
		return n.startStandby(ctx)
	case Router:
		return n.startRouter(ctx)
	case Relay:
		return n.startRelay(ctx)
	}
	if err := n.startTraces(); err != nil {
		return err
	}
	if n.opts.Role != Gateway {
		if err := n.startBackend(ctx); err != nil {
			return err
		}
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	if n.back != nil {
		if err := n.serveRoles(); err != nil {
			return err
		}
	}
	if err := n.reachMailboxes(ctx); err != nil {
		return err
	}
	if n.back != nil {
		if err := n.loadArticleData(ctx); err != nil {
			return err
		}
	}
	if n.opts.Role == Mailbox {
		return n.serveArticle()
	}
	return n.startFront(ctx)
}

// reachMailboxes makes the way to mailboxes in other processes, if there may be
// any.
func (n *Node) reachMailboxes(ctx context.Context) error {
	if n.back != nil && n.shared == nil {
		return nil
	}
	secret, err := n.clusterSecret()
	if err != nil {
		return err
	}
	if n.shared == nil {
		n.connectMailbox(n.cfg.Mailbox, secret)
		return nil
	}
	n.openRoute(secret)
	if err := n.join(ctx); err != nil || n.back == nil {
		return err
	}
	n.startRegions()
	return nil
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

// serveHTTP opens one HTTP listener, at the address that a flag gives.
func (n *Node) serveHTTP(flag, addr string, h http.Handler, tweak ...func(*http.Server)) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", cannotListen(flag, addr, err)
	}
	n.serveOn(ln, addr, h, tweak...)
	return ln.Addr().String(), nil
}

// serveOn answers at a listener until the node stops.
func (n *Node) serveOn(ln net.Listener, addr string, h http.Handler, tweak ...func(*http.Server)) {
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
}

// run runs a listener; its failure is the node's.
func (n *Node) run(what string, serve func() error) {
	n.tasks.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			n.fail(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// fail tells whoever runs the node that it cannot go on. The first reason counts.
func (n *Node) fail(err error) {
	n.once.Do(func() {
		n.err = err
		close(n.failed)
	})
}

// Addresses are where the node listens.
func (n *Node) Addresses() Addresses {
	a := n.addrs
	a.Dashboard = n.monitor != nil
	return a
}

// Failed is closed when the node cannot go on: a listener has failed, or another
// process has its name. Err then says why.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is why the node cannot go on, once Failed is closed.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// Ready is nil while clients should be sent here: the node is well, and
// somebody serves their links.
func (n *Node) Ready() error {
	if !n.ready.Load() {
		return im.Errorf(im.Unavailable, "starting or stopping")
	}
	if n.workers != nil && n.workers.ready() == 0 {
		return im.Errorf(im.Unavailable, "no worker serves links")
	}
	if n.shared != nil && n.back != nil {
		// While a part of the store is away, no node serves everything.
		return n.back.mailbox.Useful()
	}
	return n.Health()
}

// Health is nil while the node serves everything.
func (n *Node) Health() error {
	switch {
	case n.back != nil:
		return n.back.health()
	case n.route != nil:
		return n.route.Health()
	}
	return nil
}
