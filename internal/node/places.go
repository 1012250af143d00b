package node

import (
	"cmp"
	"net"
	"slices"
	"sync/atomic"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/relay"
)

// places are where clients of other regions are sent whose users live in this one: as
// the settings say, or to the gateways among the nodes that share the store, or to this
// process.
func (n *Node) places(members []cluster.Member) relay.Places {
	p := relay.Places{Links: n.cfg.RegionLinkAddresses(), HTTP: n.cfg.RegionHTTPAddresses()}
	own := n.ownPlaces()
	if n.shared != nil {
		own = gatewayPlaces(members)
	}
	if len(p.Links) == 0 && len(p.HTTP) == 0 {
		return own
	}
	if len(p.Links) == 0 {
		p.Links = own.Links
	}
	if len(p.HTTP) == 0 {
		p.HTTP = own.HTTP
	}
	return p
}

// ownPlaces are where this process is reached, if it has links of clients.
func (n *Node) ownPlaces() (p relay.Places) {
	if n.opts.Role != Serve {
		return p
	}
	if reachable(n.cfg.Link) {
		p.Links = []string{n.cfg.Link}
	}
	if reachable(n.cfg.HTTP) {
		p.HTTP = []string{baseURL(n.cfg.HTTP, n.cfg.TLSCert != "")}
	}
	return p
}

// gatewayPlaces are the gateways that clients may be sent to, any of them.
func gatewayPlaces(members []cluster.Member) relay.Places {
	p := relay.Places{Alike: true}
	for _, m := range slices.SortedFunc(slices.Values(cluster.Nodes(members)), func(a, b cluster.Member) int { return cmp.Compare(a.Node, b.Node) }) {
		if m.Link == "" || m.State != cluster.Up {
			continue
		}
		p.Links = append(p.Links, m.Link)
		if m.HTTP != "" {
			p.HTTP = append(p.HTTP, baseURL(m.HTTP, m.TLS))
		}
	}
	return p
}

func baseURL(hostport string, secure bool) string {
	if secure {
		return "https://" + hostport
	}
	return "http://" + hostport
}

// reachable reports whether a listener's address says where to connect to.
func reachable(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" || host == "" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsUnspecified()
}

// spread gives clients the addresses of a region; where any of them will do, each client
// begins with another one.
func (n *Node) spread(reach func(im.Region) im.Reach) func(im.Region) (links, http []string) {
	var turn atomic.Uint64
	return func(of im.Region) (links, http []string) {
		r := reach(of)
		if !r.Alike {
			return r.Links, r.HTTP
		}
		k := turn.Add(1)
		return rotated(r.Links, k), rotated(r.HTTP, k)
	}
}

// rotated is a list that begins with another one of its elements.
func rotated(list []string, by uint64) []string {
	if len(list) == 0 {
		return nil
	}
	k := int(by % uint64(len(list)))
	return slices.Concat(list[k:], list[:k])
}
