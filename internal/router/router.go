package router

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
)

// Members is the part of a cluster.Membership that a router needs.
type Members interface {
	Members() ([]cluster.Member, *cluster.Table)
	// Failed is why what Members says may be old.
	Failed() error
	// Sync reads the members again.
	Sync(ctx context.Context) error
}

// Config is what a Router needs.
type Config struct {
	Members Members
	// Register writes the record of a server that somebody registers.
	Register func(ctx context.Context, m cluster.Member, ttl time.Duration) error
	// Guard keeps strangers from what is not for clients; nil: everything is
	// for everybody who reaches the listener.
	Guard func(http.Handler) http.Handler
	// Rate is how many requests per second an address may make, or a /64 network
	// of IPv6, after Burst of them at once; 0: any number. It does not hold for
	// addresses in Exempt.
	Rate, Burst int
	Exempt      []netip.Prefix
	Logger      *slog.Logger
	// Now is the time; nil: time.Now.
	Now func() time.Time
}

// Router answers over HTTP who serves what.
type Router struct {
	cfg    Config
	mux    *http.ServeMux
	limit  *limit
	counts [questions]atomic.Uint64
	failed atomic.Uint64
}

// question is what a router can be asked.
type question int

const (
	askAddresses question = iota
	askNodes
	askSlots
	askServers
	askRegister
	questions
)

// Questions are the names of what a router can be asked, as in Stats.
var Questions = [questions]string{"addresses", "nodes", "slots", "servers", "register"}

// Stats are a router's counters.
type Stats struct {
	// Asked are the requests, by question; Failed are those of them that were
	// answered with an error.
	Asked  [questions]uint64
	Failed uint64
	// Refused are requests of addresses that make too many; they are not among
	// Asked.
	Refused uint64
	// Gateways is how many clients are sent to, Services how many servers are
	// registered by hand.
	Gateways, Services int
	// Stale: the store could not be reached at last.
	Stale bool
}

// New makes a Router.
func New(cfg Config) *Router {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Guard == nil {
		cfg.Guard = func(h http.Handler) http.Handler { return h }
	}
	r := &Router{cfg: cfg, mux: http.NewServeMux(), limit: newLimit(&cfg)}
	r.mux.Handle("GET /v1/addresses", r.answer(askAddresses, r.addresses))
	inside := func(pattern string, q question, f answerer) { r.mux.Handle(pattern, cfg.Guard(r.answer(q, f))) }
	inside("GET /v1/nodes", askNodes, r.nodes)
	inside("GET /v1/slots", askSlots, r.slots)
	inside("GET /server", askServers, r.servers)
	inside("GET /server/", askServers, r.servers)
	inside("GET /regist/{kind}/{region}", askRegister, r.register)
	inside("GET /regist/{kind}/{region}/", askRegister, r.register)
	return r
}

// ServeHTTP implements http.Handler.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := r.limit.check(req.RemoteAddr); err != nil {
		r.write(w, nil, err)
		return
	}
	r.mux.ServeHTTP(w, req)
}

// Stats returns the counters.
func (r *Router) Stats() Stats {
	members, _ := r.cfg.Members.Members()
	s := Stats{
		Failed: r.failed.Load(), Refused: r.limit.refused(), Gateways: len(gateways(members)),
		Services: len(cluster.Services(members)), Stale: r.cfg.Members.Failed() != nil,
	}
	for i := range s.Asked {
		s.Asked[i] = r.counts[i].Load()
	}
	return s
}

// answerer answers a question with what is to be sent as JSON.
type answerer func(req *http.Request) (any, error)

func (r *Router) answer(q question, f answerer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.counts[q].Add(1)
		v, err := f(req)
		if err != nil {
			r.failed.Add(1)
		}
		r.write(w, v, err)
	})
}

// write sends an answer, or the error that there is instead.
func (r *Router) write(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		v = r.refusal(w, err)
	}
	_ = json.NewEncoder(w).Encode(v)
}

// refusal is the body of an answer that is an error, whose status it writes.
func (r *Router) refusal(w http.ResponseWriter, err error) any {
	e := im.AsError(err)
	if e.Kind == im.Internal {
		r.cfg.Logger.Error("a request failed", "err", err)
		e = &im.Error{Kind: im.Internal, Detail: "internal error"}
	}
	if e.Kind.Temporary() {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, (int(e.RetryAfterMS)+999)/1000)))
	}
	w.WriteHeader(statusOf(e.Kind))
	return map[string]any{"error": map[string]string{"kind": e.Kind.String(), "detail": e.Detail}}
}

func statusOf(k im.ErrorKind) int {
	switch k {
	case im.Invalid:
		return http.StatusBadRequest
	case im.PermissionDenied:
		return http.StatusForbidden
	case im.NotFound:
		return http.StatusNotFound
	case im.AlreadyExists, im.Conflict:
		return http.StatusConflict
	case im.TooLarge, im.Busy:
		return http.StatusTooManyRequests
	case im.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// number reads an optional number of a query; without it, it is fallback.
func number(req *http.Request, name string, least, most, fallback uint64) (uint64, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, im.Errorf(im.Invalid, "%s is a number from %d to %d", name, least, most)
	}
	return n, nil
}
