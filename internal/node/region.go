package node

import (
	"context"
	"net"
	"sync"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/remote"
)

// regions are what makes a node's mailbox part of several regions.
type regions struct {
	relay  *relay.Relay
	region *region.Region
	// far are the mailboxes of other regions, as far as they may be asked.
	far map[im.Region]*remote.Client
	// guests lets other regions ask this one.
	guests *remote.Server
	once   sync.Once
}

// relaySecret is what role links between regions show each other. It is no
// secret: who is at the other end was proven by certificates before.
const relaySecret = "skein role link between regions"

// carry is the mailbox's way to other regions and, of this one, to entities that
// other nodes serve.
func (n *Node) carry(m *entity.Message) bool {
	if n.back.regions != nil && n.back.regions.region.Forward(m) {
		return true
	}
	return n.elsewhere(m)
}

// receive takes link messages from the other nodes of this region.
func (n *Node) receive(m *entity.Message) {
	if n.back.regions != nil {
		n.back.regions.region.Receive(m)
		return
	}
	n.back.mailbox.Receive(m)
}

// openInner makes the way to the mailboxes of all nodes of this region, past
// what these have before them for gateways: Regions ask each other's mailboxes,
// and not each other.
func (n *Node) openInner() (im.Mailbox, error) {
	if n.shared == nil {
		return nil, nil
	}
	if err := n.loadCredentials(); err != nil {
		return nil, err
	}
	secret, err := n.clusterSecret()
	if err != nil {
		return nil, err
	}
	n.inner = n.newRoute(secret, true)
	return n.inner, nil
}

// newRegions connects the node's mailbox with other regions, if there are any.
// The relay listens, but nothing is taken or sent yet.
func (n *Node) newRegions() error {
	if n.cfg.Region == "" {
		return nil
	}
	creds, err := relay.LoadCredentials(n.cfg.RelayCert, n.cfg.RelayKey, n.cfg.RelayCA)
	if err != nil {
		return err
	}
	rs := &regions{far: map[im.Region]*remote.Client{}}
	self := im.Region(n.cfg.Region)
	whole, err := n.openInner()
	if err != nil {
		return err
	}
	rs.region, err = region.New(region.Config{
		Self: self, Directory: n.cfg.DirectoryRegion(), Local: n.back.mailbox, Logger: n.log,
		Whole: whole, Carry: n.elsewhere,
		Far: func(of im.Region) im.Mailbox {
			if c := rs.far[of]; c != nil {
				return c
			}
			return nil
		},
		Send: func(to im.Region, m *entity.Message, hops uint8) { rs.relay.Send(to, m, hops) },
		Places: func(of im.Region) (links, http []string) {
			p := rs.relay.Places(of)
			return p.Links, p.HTTP
		},
	})
	if err != nil {
		return err
	}
	rs.relay, err = relay.New(relay.Config{
		Region: self, Peers: n.cfg.Peers(), Listen: n.cfg.RelayListen, Credentials: creds, Logger: n.log,
		Places:  n.places(),
		Deliver: n.relayed(rs.region.Deliver), Nudge: rs.region.Nudge,
	})
	if err != nil {
		return err
	}
	if err := rs.connect(n); err != nil {
		rs.relay.Stop()
		return err
	}
	n.back.regions, n.addrs.Relay = rs, rs.relay.Addr()
	return nil
}

// connect makes the role links between regions.
func (rs *regions) connect(n *Node) error {
	var err error
	rs.guests, err = remote.NewServer(remote.ServerConfig{
		Mailbox: rs.region.Guest(), Secret: []byte(relaySecret), Node: n.cfg.Region, Logger: n.log,
	})
	if err != nil {
		return err
	}
	for _, name := range rs.relay.Regions() {
		rs.far[name], err = remote.NewClient(remote.ClientConfig{
			Addr: string(name), Secret: []byte(relaySecret), Node: n.cfg.Region, Logger: n.log,
			Dial: func(ctx context.Context) (net.Conn, error) { return rs.relay.DialRole(ctx, name) },
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// places are where clients reach this region.
func (n *Node) places() relay.Places {
	p := relay.Places{Links: n.cfg.RegionLinkAddresses(), HTTP: n.cfg.RegionHTTPAddresses()}
	if n.opts.Role != Serve {
		// Gateways are elsewhere.
		return p
	}
	if len(p.Links) == 0 && reachable(n.cfg.Link) {
		p.Links = []string{n.cfg.Link}
	}
	if len(p.HTTP) == 0 && reachable(n.cfg.HTTP) {
		scheme := "http://"
		if n.cfg.TLSCert != "" {
			scheme = "https://"
		}
		p.HTTP = []string{scheme + n.cfg.HTTP}
	}
	return p
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

// startRegions begins to take messages of other regions, and to send.
func (n *Node) startRegions() {
	rs := n.back.regions
	if rs == nil {
		return
	}
	n.run("role links of regions", func() error { return rs.guests.Serve(rs.relay.Roles()) })
	rs.relay.Start()
}

// stop ends it; the mailbox is still there.
func (rs *regions) stop(ctx context.Context) (err error) {
	if rs == nil {
		return nil
	}
	rs.once.Do(func() {
		rs.region.Stop()
		for _, c := range rs.far {
			c.Close(ctx)
		}
		if rs.guests != nil {
			err = rs.guests.Shutdown(ctx)
		}
		rs.relay.Stop()
	})
	return err
}
