package node

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/uplink"
)

// startRelay makes this process a relay: one of the nodes that share the store,
// which has no mailboxes, and leads to other regions for those that do.
func (n *Node) startRelay(ctx context.Context) error {
	switch {
	case n.shared == nil:
		return im.Errorf(im.Invalid, "a relay in a process of its own is for nodes that share a store: give its settings, such as --store redis --redis HOST:PORT; others have their relay in 'skein serve' or 'skein mailbox'")
	case n.cfg.Region == "" || n.cfg.RelayCert == "":
		return im.Errorf(im.Invalid, "a relay needs --region, --directory, --regions, --relay-cert, --relay-key and --relay-ca")
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	secret, err := n.clusterSecret()
	if err != nil {
		return err
	}
	if err := n.startTraces(); err != nil {
		return err
	}
	n.route = n.newRoute(secret, true)
	n.regions, err = n.openRelay(region.Config{Whole: n.route, Carry: func(m *entity.Message) bool {
		n.route.Forward(m)
		return true
	}})
	if err != nil {
		return err
	}
	if err := n.serveWays(secret); err != nil {
		return err
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	n.startRegions()
	return nil
}

// serveWays lets the region's mailbox nodes reach the relay.
func (n *Node) serveWays(secret string) (err error) {
	rs := n.regions
	rs.roles, err = remote.NewServer(remote.ServerConfig{
		Secret: []byte(secret), Node: n.name, Logger: n.log,
		Ways: func(to im.Region) remote.Way {
			if c := rs.far[to]; c != nil {
				return &way{c, rs.relay, to}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	n.addrs.Roles, err = n.listenRoles(cmp.Or(n.cfg.RoleListen, config.DefaultWayListen), rs.roles)
	return err
}

// way is a relay's way to another region.
type way struct {
	*remote.Client
	relay *relay.Relay
	to    im.Region
}

// Receive implements remote.Way.
func (w *way) Receive(m *entity.Message) { w.relay.Send(w.to, m, 0) }

// Reach implements remote.Way.
func (w *way) Reach() im.Reach { return w.relay.Reach(w.to) }

// introduce says in the node's record that it leads to other regions.
func (rs *regions) introduce(n *Node, self *cluster.Member) {
	if rs == nil || rs.roles == nil {
		return
	}
	var names []string
	for _, r := range rs.relay.Regions() {
		names = append(names, string(r))
	}
	self.Relay = cmp.Or(n.cfg.RoleAdvertise, n.advertised(n.addrs.Roles))
	self.Region, self.Directory, self.Regions = n.cfg.Region, string(n.cfg.DirectoryRegion()), strings.Join(names, ",")
}

// openUplink leads to other regions over relays in processes of their own.
func (n *Node) openUplink(cfg region.Config) (_ *regions, err error) {
	secret, err := n.clusterSecret()
	if err != nil {
		return nil, err
	}
	rs := &regions{log: n.log}
	cfg.Self, cfg.Directory, cfg.Logger = im.Region(n.cfg.Region), n.cfg.DirectoryRegion(), n.log
	instance := randomInstance()
	everything := slices.Collect(func(yield func(im.Slot) bool) {
		for s := im.Slot(0); s < im.Slots && yield(s); s++ {
		}
	})
	rs.uplink, err = uplink.New(uplink.Config{
		Self: cfg.Self, Directory: cfg.Directory, Logger: n.log, Open: func() { n.back.mailbox.Hurry(everything) },
		Dial: func(relay cluster.Member, to im.Region, heard func(*im.Reach)) (route.Link, error) {
			return remote.NewClient(remote.ClientConfig{
				Addr: relay.Relay, Secret: []byte(secret), Node: n.name, Instance: instance, Logger: n.log,
				Region: to, Reach: heard, FailFast: true,
			})
		},
	})
	if err != nil {
		return nil, err
	}
	cfg.Far = rs.uplink.Far
	cfg.Send = func(to im.Region, m *entity.Message, _ uint8) { rs.uplink.Send(to, m) }
	cfg.Places = n.spread(rs.uplink.Reach)
	rs.region, err = region.New(cfg)
	return rs, err
}

// update hears who is there now.
func (rs *regions) update(n *Node, members []cluster.Member) {
	switch {
	case rs == nil:
	case rs.uplink != nil:
		rs.uplink.Update(members)
	default:
		rs.relay.SetPlaces(n.places(members))
	}
}
