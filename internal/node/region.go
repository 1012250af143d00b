package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/uplink"
)

// regions are what makes a node part of several regions. The connections to the
// others are its own, or those of relays in other processes.
type regions struct {
	region *region.Region
	// uplink is nil in a node that has a relay, relay in all others.
	uplink *uplink.Uplink
	relay  *relay.Relay
	// far are the mailboxes of other regions, as far as they may be asked, of
	// a relay.
	far map[im.Region]*remote.Client
	// guests lets other regions ask this one.
	guests *remote.Server
	// roles lets mailbox nodes reach a relay in a process of its own.
	roles *remote.Server
	log   *slog.Logger
	// linkTotal is of an uplink's links.
	linkTotal linkTotal
	once      sync.Once
}

// relaySecret is what role links between regions show each other. It is no
// secret: who is at the other end was proven by certificates before.
const relaySecret = "skein role link between regions"

// carry is the mailbox's way to other regions and, of this one, to entities that
// other nodes serve.
func (n *Node) carry(m *entity.Message) bool {
	if n.regions != nil && n.regions.region.Forward(m) {
		return true
	}
	return n.elsewhere(m)
}

// receive takes link messages from the other nodes of this region.
func (n *Node) receive(m *entity.Message) {
	if n.regions != nil {
		n.regions.region.Receive(m)
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
// A relay listens, but nothing is taken or sent yet.
func (n *Node) newRegions() error {
	if n.cfg.Region == "" {
		return nil
	}
	whole, err := n.openInner()
	if err != nil {
		return err
	}
	cfg := region.Config{Local: n.back.mailbox, Whole: whole, Carry: n.elsewhere}
	if n.cfg.RelaysElsewhere() {
		n.regions, err = n.openUplink(cfg)
	} else {
		n.regions, err = n.openRelay(cfg)
	}
	return err
}

// openRelay connects with other regions from this process.
func (n *Node) openRelay(cfg region.Config) (*regions, error) {
	creds, err := relay.LoadCredentials(n.cfg.RelayCert, n.cfg.RelayKey, n.cfg.RelayCA)
	if err != nil {
		return nil, err
	}
	rs := &regions{far: map[im.Region]*remote.Client{}, log: n.log}
	cfg.Self, cfg.Directory, cfg.Logger = im.Region(n.cfg.Region), n.cfg.DirectoryRegion(), n.log
	cfg.Far = func(of im.Region) im.Mailbox {
		if c := rs.far[of]; c != nil {
			return c
		}
		return nil
	}
	cfg.Send = func(to im.Region, m *entity.Message, hops uint8) { rs.relay.Send(to, m, hops) }
	cfg.Places = n.spread(func(of im.Region) im.Reach { return rs.relay.Reach(of) })
	if rs.region, err = region.New(cfg); err != nil {
		return nil, err
	}
	rs.relay, err = relay.New(relay.Config{
		Region: cfg.Self, Peers: n.cfg.Peers(), Listen: n.cfg.RelayListen, Credentials: creds, Logger: n.log,
		Places:  n.places(nil),
		Deliver: n.relayed(rs.region.Deliver), Nudge: rs.region.Nudge,
	})
	var op *net.OpError
	if errors.As(err, &op) {
		return nil, cannotListen("--relay-listen", n.cfg.RelayListen, op)
	}
	if err != nil {
		return nil, err
	}
	if err := rs.connect(n); err != nil {
		rs.relay.Stop()
		return nil, err
	}
	n.addrs.Relay = rs.relay.Addr()
	return rs, nil
}

// farHeartbeat finds out about as soon that the other end of a role link is silent
// as relays do for messages: then another relay of the region may answer.
var farHeartbeat = remote.Heartbeat{Every: time.Second, Dead: relay.DefaultPatience, Idle: 2 * relay.DefaultPatience}

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
			Heartbeat: farHeartbeat,
			Dial:      func(ctx context.Context) (net.Conn, error) { return rs.relay.DialRole(ctx, name) },
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startRegions begins to take messages of other regions, and to send.
func (n *Node) startRegions() {
	rs := n.regions
	if rs == nil || rs.relay == nil {
		return
	}
	n.run("role links of regions", func() error { return rs.guests.Serve(rs.relay.Roles()) })
	rs.relay.Start()
}

// status is how it stands with the other regions.
func (rs *regions) status() []relay.Status {
	if rs.relay != nil {
		return rs.relay.Status()
	}
	return rs.uplink.Status()
}

// drainPatience is how long other regions may take to confirm what they were sent,
// when this relay stops.
const drainPatience = 3 * time.Second

// drain waits for that, and lets other regions turn to other relays. What is not
// confirmed is sent again by those who have it.
func (rs *regions) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := rs.relay.Drain(ctx); err != nil {
		rs.log.Warn("the relay stops before it is done", "err", err)
	}
}

// stop ends it; the mailbox is still there.
func (rs *regions) stop(ctx context.Context) (err error) {
	if rs == nil {
		return nil
	}
	rs.once.Do(func() {
		rs.region.Stop()
		if rs.uplink != nil {
			rs.uplink.Close(ctx)
			return
		}
		var errs []error
		if rs.roles != nil {
			errs = append(errs, rs.roles.Shutdown(ctx))
		}
		rs.drain(ctx)
		for _, c := range rs.far {
			c.Close(ctx)
		}
		if rs.guests != nil {
			errs = append(errs, rs.guests.Shutdown(ctx))
		}
		rs.relay.Stop()
		err = errors.Join(errs...)
	})
	return err
}
