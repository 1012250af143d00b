package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/shake"
	"github.com/skein-im/skein/internal/wire"
)

// front is what clients talk to.
type front struct {
	tls     *tls.Config
	api     *api.API
	gateway *gateway.Gateway
	links   *link.Server
	// shakes holds what campaigns have lent to this process.
	shakes *shake.Desk
	// limit bounds the links of each address.
	limit *admit.ConnLimit
	// hasher and meter are looked at for metrics.
	hasher *account.Hasher
	meter  *apiMeter
}

// newFront makes the roles that clients talk to, in front of a mailbox.
func (n *Node) newFront() (_ *front, err error) {
	f, m, limits := &front{meter: newAPIMeter()}, n.mailbox(), n.newLimits()
	if f.tls, err = n.loadTLS(); err != nil {
		return nil, err
	}
	next, err := newSessionIDs()
	if err != nil {
		return nil, err
	}
	if f.shakes, err = shake.New(shake.Config{Mailbox: m, Logger: n.log}); err != nil {
		return nil, err
	}
	if err := n.newAPI(f, m, next, limits); err != nil {
		return nil, err
	}
	f.gateway, err = gateway.New(gateway.Config{
		Mailbox: m, ParseToken: account.ParseToken, Caller: f.api, NextSession: next, Logger: n.log,
		Sends: limits.sends, Calls: limits.calls, MaxAttaching: n.attaching,
		Shaker: f.shakes, Shakes: limits.shakes, Sampler: n.traces.sampler, Traces: n.traces.recorder,
	})
	if err != nil {
		return nil, err
	}
	if err := n.newLinks(f); err != nil {
		return nil, err
	}
	return f, nil
}

// newAPI makes what is called over HTTP, and over links.
func (n *Node) newAPI(f *front, m im.Mailbox, next func() im.SessionID, limits *limits) (err error) {
	if f.hasher, err = account.NewHasher(account.DefaultHasherConfig()); err != nil {
		return err
	}
	accounts, err := account.NewService(account.Config{Mailbox: m, Hasher: f.hasher, Rand: rand.Reader, Now: time.Now})
	if err != nil {
		return err
	}
	f.api, err = api.New(api.Config{
		Mailbox: m, Accounts: accounts, Operator: n.operator, NextSession: next, Logger: n.log,
		Limit: limits.check, Notify: n.notify, Shake: f.shakes.Ask,
		Guard: n.bearer[listenerHTTP], Observe: f.meter.observe,
		Sampler: n.traces.sampler, Traces: n.traces.recorder,
	})
	return err
}

// newLinks makes what takes clients' links for a gateway.
func (n *Node) newLinks(f *front) (err error) {
	if f.limit, err = n.newConnLimit(); err != nil {
		return err
	}
	began := time.Now()
	f.links = link.NewServer(link.Config{
		Handler: f.gateway, TLS: f.tls, MaxConns: n.cfg.MaxConns, Engine: n.cfg.LinkEngine, Logger: n.log,
		MaxBytes: n.cfg.ConnMemoryMB << 20, MaxLoopBytes: loopBytes(n.cfg.ConnMemoryMB << 20),
		Accept: func(from netip.Addr) bool { return f.limit.Open(time.Since(began), from) == admit.Accepted },
		Gone:   f.limit.Close,
	})
	return nil
}

// loopBytes is what one loop may hold of what all may: more than its share,
// since not all are busy at the same time.
func loopBytes(all int) int { return min(all, 2*all/runtime.GOMAXPROCS(0)) }

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
func (n *Node) startFront(ctx context.Context) error {
	var err error
	if n.front, err = n.newFront(); err != nil {
		return err
	}
	if err := n.openLinks(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", n.front.api)
	mux.Handle("/link", n.front.links)
	n.addrs.HTTP, err = n.serveHTTP("--http", n.cfg.HTTP, mux, func(s *http.Server) { s.TLSConfig = n.front.tls })
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
		return nil, fmt.Errorf("cannot use the TLS certificate %s with the key %s: %w", n.cfg.TLSCert, n.cfg.TLSKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// openLinks opens the listener for long links, here or in workers.
func (n *Node) openLinks(ctx context.Context) error {
	count := n.cfg.Workers
	if count == 0 {
		count = WorkersFor(n.cfg.MaxConns, openFiles())
	}
	if count > 0 {
		return n.startWorkers(ctx, count)
	}
	ln, err := link.Listen(ctx, n.cfg.Link)
	if err != nil {
		return cannotListen("--link", n.cfg.Link, err)
	}
	n.serveLinks(ln)
	return nil
}

func (n *Node) serveLinks(ln net.Listener) {
	n.addrs.Link = ln.Addr().String()
	n.run("links", func() error { return n.front.links.Serve(ln) })
}

// notify hands a notice to every link of this process and of its workers.
func (n *Node) notify(ctx context.Context, notice api.Notice) (uint64, error) {
	frame, err := wire.AppendMessage(nil, wire.TypeNotice, &skeinv1.Notice{
		Id: notice.ID, TimeMs: int64(notice.Time),
		Content: &skeinv1.Content{Type: skeinv1.ContentType(notice.Content.Type), Body: notice.Content.Body},
	})
	if err != nil {
		return 0, err
	}
	reached, err := n.front.notify(ctx, frame)
	if err == nil && n.workers != nil {
		var theirs uint64
		theirs, err = n.workers.notify(ctx, frame)
		reached += theirs
	}
	return reached, err
}

// frontSample are the counters of one process that has links.
type frontSample struct {
	Gateway gateway.Stats        `json:"gateway"`
	Links   link.Stats           `json:"links"`
	Limit   admit.ConnLimitStats `json:"limit"`
	// Remote is of the links to mailboxes in other processes.
	Remote  remote.ClientStats `json:"remote"`
	Shakes  shake.Stats        `json:"shakes"`
	API     apiSample          `json:"api"`
	Traces  traceStats         `json:"traces"`
	Process processSample      `json:"process"`
	// MaxLinks and MaxHeld bound the links and the bytes held for them.
	MaxLinks int `json:"max_links"`
	MaxHeld  int `json:"max_held"`
	// Polls are the long polls that wait, Hashing the passwords that are
	// hashed or wait for it.
	Polls      int `json:"polls"`
	MaxPolls   int `json:"max_polls"`
	Hashing    int `json:"hashing"`
	MaxHashing int `json:"max_hashing"`
}

func (n *Node) frontSample() frontSample {
	f := n.front
	s := frontSample{
		Gateway: f.gateway.Stats(), Links: f.links.Stats(), Limit: f.limit.Stats(), Shakes: f.shakes.Stats(),
		Traces: n.traces.stats(),
		API:    f.meter.sample(), Process: sampleProcess(), MaxHeld: n.cfg.ConnMemoryMB << 20,
		Polls: f.api.Polls(), MaxPolls: api.DefaultMaxPolls,
	}
	_, s.Hashing, s.MaxHashing = f.hasher.Load()
	if n.workers == nil {
		s.MaxLinks = n.cfg.MaxConns
	}
	if n.route != nil {
		s.Remote = n.linkStats()
	}
	return s
}

func (f *front) open() int64 { return int64(f.links.Stats().Open) }

// frontSamples are the counters of this process and of its workers.
func (n *Node) frontSamples() []frontSample {
	all := []frontSample{n.frontSample()}
	if n.workers != nil && n.workers.supervisor != nil {
		all = append(all, n.workers.samples()...)
	}
	return all
}

// drain sends the clients away over some time, and waits until they have gone.
func (f *front) drain(ctx context.Context, over time.Duration, elsewhere []string) error {
	f.api.Drain()
	err := f.links.Drain(ctx, link.DrainOptions{Over: over, Addresses: elsewhere})
	f.gateway.Wait()
	// Nobody shakes any more; what was lent goes back while there is a
	// mailbox to take it.
	return errors.Join(err, f.shakes.Close(ctx))
}

// notify hands a frame to every link of this process that has logged in.
func (f *front) notify(ctx context.Context, frame []byte) (uint64, error) {
	reached, err := f.links.Broadcast(ctx, frame, f.gateway.LoggedIn)
	return uint64(reached), err
}
