package node

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/router"
)

// startRouter makes this process a router: one of the nodes that share the
// store, which serves nothing but says who serves what.
func (n *Node) startRouter(ctx context.Context) error {
	if n.shared == nil {
		return im.Errorf(im.Invalid, "a router tells of nodes that share a store: give its settings, such as --store redis --redis HOST:PORT")
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	n.shared.membership = cluster.New(cluster.Config{
		Records: n.shared.store, Self: n.record(), Superseded: n.fail, Logger: n.log,
	})
	if err := n.enter(ctx); err != nil {
		return err
	}
	guard := onlyHere
	if !loopback(n.cfg.RouterListen) {
		guard = n.requireOperator
	}
	unlimited, err := n.cfg.UnlimitedNetworks()
	if err != nil {
		return err
	}
	n.router = router.New(router.Config{
		Members: n.shared.membership, Guard: guard, Logger: n.log,
		Rate: n.cfg.RouterRatePerAddr, Burst: burst * n.cfg.RouterRatePerAddr, Exempt: unlimited,
		Register: func(ctx context.Context, m cluster.Member, ttl time.Duration) error {
			return cluster.PutService(ctx, n.shared.store, m, ttl)
		},
	})
	tlsConfig, err := n.loadTLS()
	if err != nil {
		return err
	}
	n.addrs.Router, err = n.serveHTTP("--router-listen", n.cfg.RouterListen, n.router, func(s *http.Server) {
		// Nothing that is asked here is long.
		s.TLSConfig = tlsConfig
		s.WriteTimeout, s.MaxHeaderBytes = routerTimeout, routerHeader
	})
	return err
}

const (
	routerTimeout = 10 * time.Second
	routerHeader  = 8 << 10
)

func (n *Node) routerCollector() prometheus.Collector {
	c := &collector[router.Stats]{samples: func() []router.Stats { return []router.Stats{n.router.Stats()} }}
	c.countEach("skein_router_requests_total", "Questions to the router.", "question", router.Questions[:], func(s *router.Stats) []uint64 { return s.Asked[:] })
	c.count("skein_router_errors_total", "Those of them that were answered with an error.", func(s *router.Stats) float64 { return float64(s.Failed) })
	c.count("skein_router_refused_total", "Requests refused because their address makes too many.", func(s *router.Stats) float64 { return float64(s.Refused) })
	c.gauge("skein_router_gateways", "Gateways that clients are sent to.", func(s *router.Stats) float64 { return float64(s.Gateways) })
	c.gauge("skein_router_services", "Servers that were registered by hand.", func(s *router.Stats) float64 { return float64(s.Services) })
	c.gauge("skein_router_stale", "1 while the router cannot reach the store and says what it knew last.", func(s *router.Stats) float64 { return truth(s.Stale) })
	return c
}
