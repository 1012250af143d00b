package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skein-im/skein/internal/im"
)

// maxScrapes is how many scrapes may run at a time; each asks every worker.
const maxScrapes = 8

// serveOps serves health, metrics and profiles. Off loopback it asks for the
// operator's token.
func (n *Node) serveOps() (string, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg.MustRegister(n.collectors()...)
	if err := n.newMonitor(reg); err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", n.healthz)
	mux.HandleFunc("/readyz", n.readyz)
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.Handle("POST /drain", n.requireOperator(http.HandlerFunc(n.drainz)))
	mux.HandleFunc("GET /drain", n.drainz)
	if n.regions != nil {
		mux.HandleFunc("GET /regions", n.regionsz)
		mux.Handle("POST /regions/move", n.requireOperator(http.HandlerFunc(n.movez)))
	}
	mux.HandleFunc("GET /traces", n.serveTrace)
	mux.HandleFunc("GET /traces/slow", n.serveSlowTraces)
	mux.Handle("PUT /log-level", n.requireOperator(http.HandlerFunc(n.putLogLevel)))
	mux.HandleFunc("GET /log-level", n.getLogLevel)
	mux.HandleFunc("GET /talkers", n.serveTalkers)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	var h http.Handler = mux
	if !loopback(n.cfg.Ops) {
		h = n.requireOperator(mux)
	}
	h = n.withMonitor(h)
	if n.lobby != nil {
		n.lobby.full.Store(&h)
		return n.addrs.Ops, nil
	}
	return n.listenOps(h)
}

func (n *Node) listenOps(h http.Handler) (string, error) {
	ln, err := net.Listen("tcp", n.cfg.Ops)
	if err != nil {
		return "", cannotListen("--ops", n.cfg.Ops, err)
	}
	if n.farewell, err = newFarewell(ln); err != nil {
		return "", errors.Join(err, ln.Close())
	}
	n.serveOn(ln, n.cfg.Ops, h)
	return ln.Addr().String(), nil
}

// loopback reports whether an address can be reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// requireOperator lets those through that show the operator's token.
func (n *Node) requireOperator(h http.Handler) http.Handler {
	guard := n.bearer[listenerOps]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := guard.Check(r.RemoteAddr); err != nil {
			e := im.AsError(err)
			w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfterMS+999)/1000))
			http.Error(w, e.Detail, http.StatusTooManyRequests)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !n.operator.Match(token) {
			guard.Failed(r.RemoteAddr)
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "send the operator token as a bearer token", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// healthz says whether the node keeps its promises: it does not when the
// store takes no writes.
func (n *Node) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := n.Health(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// drainz tells how many links there are still. A POST makes the node send its
// clients away and stop, as SIGTERM does.
func (n *Node) drainz(w http.ResponseWriter, r *http.Request) {
	status := DrainStatus{}
	if n.front != nil {
		status.Links = n.links()
	}
	if r.Method == http.MethodPost {
		n.Drain()
	}
	select {
	case <-n.drained:
		status.Draining = true
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}

// DrainStatus is what /drain on the ops listener answers.
type DrainStatus struct {
	Draining bool  `json:"draining"`
	Links    int64 `json:"links"`
}

// readyz says whether clients should be sent here.
func (n *Node) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := n.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
