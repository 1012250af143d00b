package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// shared is what a node has whose store others share.
type shared struct {
	store      engine
	membership *cluster.Membership
	// joined: there is a membership; others' links may come before.
	joined atomic.Bool
}

// openShared connects to the store that nodes share, if there is one.
func (n *Node) openShared(ctx context.Context, log *slog.Logger) error {
	if n.cfg.Store == config.StorePebble {
		return nil
	}
	st, err := openEngine(ctx, &n.cfg, log)
	if err != nil {
		return err
	}
	n.shared = &shared{store: st}
	return nil
}

// awaitShared is openShared as soon as the store is there.
func (n *Node) awaitShared(ctx context.Context) error {
	once := newOnceLogged(n.log)
	defer once.open.Store(true)
	return n.await(ctx, "the store", func(ctx context.Context) error { return n.openShared(ctx, slog.New(once)) })
}

// enter makes the node's membership take effect as soon as the records are there.
func (n *Node) enter(ctx context.Context) error {
	return n.await(ctx, "the nodes' records", n.shared.membership.Start)
}

// record is what the node says of itself at first.
func (n *Node) record() cluster.Member {
	return cluster.Member{
		Node: n.name, Started: im.Millis(time.Now().UnixMilli()), State: cluster.Up, Version: n.version(),
	}
}

// join makes the node one of those that share the store. A mailbox begins to
// acquire its share of the slots.
func (n *Node) join(ctx context.Context) error {
	if n.shared == nil {
		return nil
	}
	self := n.record()
	if n.back != nil {
		self.Roles, self.Weight = cmp.Or(n.cfg.RoleAdvertise, n.advertised(n.addrs.Roles)), float64(n.cfg.Weight)
	}
	n.regions.introduce(n, &self)
	n.shared.membership = cluster.New(cluster.Config{
		Records: n.shared.store, Self: self, Changed: n.membersChanged, Lapsed: n.doubt, Superseded: n.fail, Logger: n.log,
	})
	n.shared.joined.Store(true)
	if err := n.enter(ctx); err != nil {
		return err
	}
	n.log.Info("joined the cluster", "node", self.Node)
	if n.back == nil {
		return nil
	}
	// Slots whose server is away are acquired when it is back.
	if err := n.back.mailbox.Tried(ctx); err != nil {
		return err
	}
	if err := n.back.mailbox.Health(); err != nil {
		n.log.Warn("the node starts without some of its slots, and goes on trying", "err", err)
	}
	return nil
}

// membersChanged hears who is there now.
func (n *Node) membersChanged(members []cluster.Member, table *cluster.Table) {
	mine := table.SlotsOf(n.name)
	n.log.Info("the cluster has changed", "members", len(members), "mailboxes", len(table.Nodes()), "slots_here", len(mine))
	n.route.Update(members, table)
	n.regions.update(n, members)
	if n.inner != nil {
		n.inner.Update(members, table)
	}
	if n.back != nil {
		n.back.mailbox.Assign(mine)
	}
	n.tellCrew()
	n.resettle(members)
}

// doubt hears that others may have taken the node's slots.
func (n *Node) doubt() {
	n.log.Warn("the node's record may have expired; asking whether its slots are still its own")
	if n.back != nil {
		n.back.mailbox.Audit()
	}
}

// announce tells the others where clients reach this node. A standby is none of
// them: its store is another one.
func (n *Node) announce() {
	if n.shared == nil || n.opts.Role == Monitor || n.opts.Role == Standby {
		return
	}
	n.shared.membership.Update(func(self *cluster.Member) {
		self.Ops = n.advertised(n.addrs.Ops)
		if n.router != nil {
			self.Router = n.advertised(n.addrs.Router)
		}
		if n.front != nil {
			self.Link, self.HTTP = n.advertised(n.addrs.Link), n.advertised(n.addrs.HTTP)
			self.MaxLinks, self.TLS = int64(n.cfg.MaxConns), n.cfg.TLSCert != ""
		}
	})
	if n.front != nil {
		n.tasks.Go(n.reportLinks)
		n.resettling.allow()
	}
}

// turnAway tells routers to send no more clients here. A gateway drains from
// now on; mailboxes do when the clients have gone.
func (n *Node) turnAway() {
	if n.front == nil || n.shared == nil || n.shared.membership == nil {
		return
	}
	n.shared.membership.Update(func(self *cluster.Member) {
		self.Link, self.HTTP = "", ""
		if n.back == nil {
			self.State = cluster.Draining
		}
	})
}

// reportEvery is how often the others are told how many clients a node has.
const reportEvery = 2 * time.Second

// reportLinks tells them, until the node stops.
func (n *Node) reportLinks() {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.stopping:
			return
		case <-tick.C:
			links := n.links()
			n.shared.membership.Update(func(self *cluster.Member) { self.Links = links })
		}
	}
}

// elsewhere carries link messages for entities that other nodes serve.
func (n *Node) elsewhere(m *entity.Message) bool {
	if n.shared == nil || n.back.mailbox.Serves(m.To) {
		return false
	}
	n.route.Forward(m)
	return true
}

// announceSlots tells the other nodes, and the gateways, what this one serves.
func (n *Node) announceSlots(slots []im.Slot, epochs []im.Epoch) {
	n.route.Announce(slots, epochs)
	n.back.roles.Announce(slots, epochs)
}

// hands reports whether a node is there that says when it has handed slots over;
// those of earlier versions do not, and do not count how often they have written
// their records either.
func (n *Node) hands(node string) bool {
	members, _ := n.shared.membership.Members()
	return slices.ContainsFunc(members, func(m cluster.Member) bool { return m.Node == node && m.Beat > 0 })
}

// served hears that another node serves slots: what was sent to them in vain goes
// out again, to that node.
func (n *Node) served(node string, slots []im.Slot, epochs []im.Epoch) {
	n.stale()
	if len(epochs) > 0 && n.shared.joined.Load() {
		n.route.Learn(node, slots, epochs)
	}
	n.back.mailbox.AcquiredElsewhere(node, slots, epochs)
}

// left hears that another node has handed over slots.
func (n *Node) left(slots []im.Slot, epochs []im.Epoch) {
	if n.back != nil {
		n.back.mailbox.Released(slots, epochs)
	}
}

// reached hears that there is a way to another node again, or from it: what was
// sent to its slots in vain, or whose acks were lost, goes out again.
func (n *Node) reached(node string) {
	if n.shared == nil || !n.shared.joined.Load() {
		return
	}
	n.shared.membership.Refused(node, false)
	if _, table := n.shared.membership.Members(); n.back != nil {
		n.back.mailbox.Hurry(table.SlotsOf(node))
	}
}

// missed hears that there is no way to another node.
func (n *Node) missed(node string, err error) {
	if n.shared != nil && n.shared.joined.Load() {
		n.shared.membership.Refused(node, errors.Is(err, syscall.ECONNREFUSED))
	}
}

// stale asks for the newest members.
func (n *Node) stale() {
	if n.shared != nil && n.shared.joined.Load() {
		n.shared.membership.Refresh()
	}
}

// handOver gives the node's slots to the others, if there are any.
func (n *Node) handOver(ctx context.Context) error {
	if n.shared == nil || n.shared.membership == nil {
		return nil
	}
	m := n.shared.membership
	m.Update(func(self *cluster.Member) { self.State = cluster.Draining })
	if err := m.Sync(ctx); err != nil || n.back == nil {
		return err
	}
	if _, table := m.Members(); len(table.SlotsOf(n.name)) > 0 {
		// Nobody else is there.
		return nil
	}
	return n.back.mailbox.Settled(ctx)
}

// part leaves the cluster.
func (s *shared) part(ctx context.Context) error {
	if s == nil || s.membership == nil {
		return nil
	}
	return s.membership.Leave(ctx)
}
