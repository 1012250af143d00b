package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Relay connects a region with others.
type Relay struct {
	cfg Config
	// peers are by region; the map does not change.
	peers map[im.Region]*peer
	ln    net.Listener
	roles *roleListener

	// places are told to other regions; draining: nothing new is taken.
	places   atomic.Pointer[Places]
	draining atomic.Bool

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu sync.Mutex
	// conns are those that others have made.
	conns map[*tls.Conn]struct{}
	// handshakes holds an element for each connection in its handshake.
	handshakes chan struct{}
	refused    uint64
}

// peer is another region.
type peer struct {
	out *outbound
	in  Incoming
}

// maxHandshakes is how many connections may be in their handshake.
const maxHandshakes = 32

// New makes a Relay, and listens; Start begins to connect and to accept.
func New(cfg Config) (*Relay, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.Credentials.Check(cfg.Region); err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, peers: map[im.Region]*peer{}, conns: map[*tls.Conn]struct{}{}, handshakes: make(chan struct{}, maxHandshakes)}
	r.SetPlaces(cfg.Places)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for name, addrs := range cfg.Peers {
		out, err := newOutbound(r, name, addrs)
		if err != nil {
			return nil, err
		}
		r.peers[name] = &peer{out: out}
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for relays: %w", err)
	}
	r.ln, r.roles = ln, newRoleListener(ln.Addr())
	return r, nil
}

// Start begins to connect and to accept.
func (r *Relay) Start() {
	r.tasks.Go(r.accept)
	for _, p := range r.peers {
		r.tasks.Go(p.out.run)
	}
}

// Stop ends all connections and waits.
func (r *Relay) Stop() {
	r.cancel()
	r.ln.Close()
	r.roles.Close()
	r.mu.Lock()
	for nc := range r.conns {
		nc.Close()
	}
	r.mu.Unlock()
	r.tasks.Wait()
}

// SetPlaces changes the addresses that the other regions are told; they hear of
// it within a Heartbeat.
func (r *Relay) SetPlaces(p Places) {
	p = p.bounded()
	if old := r.places.Load(); old == nil || !old.equal(&p) {
		r.places.Store(&p)
	}
}

// drainTick is how often is looked whether all has been confirmed.
const drainTick = 5 * time.Millisecond

// Drain lets go of the connections of others, who turn to other relays with what
// has not been confirmed, and waits until everything that waits to be sent
// has been, or ctx ends. Whoever calls Send has stopped.
func (r *Relay) Drain(ctx context.Context) error {
	r.mu.Lock()
	r.draining.Store(true)
	r.ln.Close()
	for tc := range r.conns {
		_ = tc.SetReadDeadline(time.Unix(1, 0))
	}
	r.mu.Unlock()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for r.waiting() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return im.Errorf(im.Unavailable, "messages to other regions were not confirmed; they are sent again: %w", context.Cause(ctx))
		}
	}
	return nil
}

// waiting reports whether a connection has something to send, or to hear confirmed.
func (r *Relay) waiting() bool {
	for _, p := range r.peers {
		if s := p.out.status(); s.Up && s.Queued > 0 {
			return true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns) > 0
}

// Addr is where the Relay listens.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Regions are the other regions, by name.
func (r *Relay) Regions() []im.Region {
	var names []im.Region
	for name := range r.peers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Roles accepts the role links that other regions make.
func (r *Relay) Roles() net.Listener { return r.roles }

// DialRole makes a role link to another region.
func (r *Relay) DialRole(ctx context.Context, to im.Region) (net.Conn, error) {
	p := r.peers[to]
	if p == nil {
		return nil, im.Errorf(im.NotFound, "there is no region %s here", to)
	}
	return p.out.dial(ctx, protoRole)
}

func (r *Relay) dial(ctx context.Context, to im.Region, addr, proto string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.HandshakeTimeout)
	defer cancel()
	d := tls.Dialer{Config: r.cfg.Credentials.client(to, proto)}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if got := nc.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != proto {
		nc.Close()
		return nil, im.Errorf(im.Unimplemented, "the relay of region %s does not speak %s", to, proto)
	}
	return nc, nil
}

// Send carries a message to a region, or drops and counts it.
func (r *Relay) Send(to im.Region, m *entity.Message, hops uint8) {
	if p := r.peers[to]; p != nil && hops <= maxHops {
		p.out.put(m, hops)
	}
}

// Places are the addresses that a region has named, if it has been connected.
func (r *Relay) Places(of im.Region) Places {
	if of == r.cfg.Region {
		return *r.places.Load()
	}
	if p := r.peers[of]; p != nil {
		reach := p.out.Reach()
		return Places{Links: reach.Links, HTTP: reach.HTTP, Alike: reach.Alike}
	}
	return Places{}
}

// Reach says how it stands with a region, as its clients and the nodes of this one
// have to know.
func (r *Relay) Reach(of im.Region) (reach im.Reach) {
	if p := r.peers[of]; p != nil {
		reach = p.out.Reach()
	}
	return reach
}

// Status says how it stands with one other region.
type Status struct {
	Region im.Region `json:"region"`
	// Relay is the process that has the connection; empty: this one.
	Relay string `json:"relay,omitempty"`
	Addr  string `json:"addr"`
	// Up: messages can leave; Since when that is so, or not. Cause is why not.
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	Cause string    `json:"cause,omitempty"`
	// Queued are the bytes that wait, Owing the links that are asked to go on.
	Queued int `json:"queued_bytes"`
	Owing  int `json:"owing"`
	// What left and what came; Dropped are messages that found no room or no
	// connection.
	Sent        uint64 `json:"sent"`
	SentBatches uint64 `json:"sent_batches"`
	SentBytes   uint64 `json:"sent_bytes"`
	RawBytes    uint64 `json:"raw_bytes"`
	Dropped     uint64 `json:"dropped"`
	Received    uint64 `json:"received"`
	Repeated    uint64 `json:"repeated_batches"`
	// Links and HTTP are where the region says that its clients go.
	Links []string `json:"links,omitempty"`
	HTTP  []string `json:"http,omitempty"`
}

// Status lists all other regions, by name.
func (r *Relay) Status() []Status {
	var list []Status
	for _, name := range r.Regions() {
		p := r.peers[name]
		s := p.out.state()
		s.Received, s.Repeated = p.in.counts()
		list = append(list, s)
	}
	return list
}
