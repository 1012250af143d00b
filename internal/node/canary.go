package node

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
)

// resettling sends clients to gateways of the version that a canary means for
// them, whenever that has changed. Every process with links does it for its own.
type resettling struct {
	mu sync.Mutex
	// canary and possible are those of the last change that counted: what the
	// operator wants, and whether there was a gateway to send anybody to.
	canary   cluster.Canary
	possible bool
	// stop ends what is under way.
	stop context.CancelFunc
	// allowed: there are links, and the node does not stop.
	allowed bool
}

// version is what a canary knows the node by.
func (n *Node) version() string { return cmp.Or(n.cfg.VersionLabel, n.opts.Version) }

// resettle hears who is there now, and what the operator wants. It returns at once.
func (n *Node) resettle(members []cluster.Member) {
	canary := cluster.PolicyOf(members).Canary
	places := n.otherGateways(members, canary)
	ctx := n.resettling.begin(canary, len(places) > 0)
	if ctx == nil {
		return
	}
	n.tasks.Go(func() {
		sent, err := n.front.links.SendAway(ctx, link.DrainOptions{Over: n.drainTime(n.front.open()), Addresses: places}, func(c link.Conn) bool {
			user, ok := n.front.gateway.User(c)
			return ok && !canary.Fits(n.version(), im.User(user).Slot())
		})
		if err == nil && sent > 0 {
			n.log.Info("clients were sent to gateways of the version that is for them", "clients", sent, "canary", canary.Version, "percent", canary.Percent)
		}
	})
}

// otherGateways are the addresses of those gateways that are for the other users:
// of the canary's version, or of all others.
func (n *Node) otherGateways(members []cluster.Member, c cluster.Canary) (places []string) {
	if c.Version == "" {
		return nil
	}
	for _, m := range cluster.Nodes(members) {
		if m.Link != "" && m.State == cluster.Up && (m.Version == c.Version) != (n.version() == c.Version) {
			places = append(places, m.Link)
		}
	}
	slices.Sort(places)
	return places
}

// begin is the context to send clients away in, or nil if nothing has changed or
// there is nowhere to send them. What was under way ends.
func (r *resettling) begin(canary cluster.Canary, possible bool) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.allowed || canary == r.canary && possible == r.possible {
		return nil
	}
	r.canary, r.possible = canary, possible
	if r.stop != nil {
		r.stop()
	}
	if !possible {
		r.stop = nil
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	return ctx
}

// allow is for when there are links; until then, nothing is begun.
func (r *resettling) allow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed = true
}

// end stops for good.
func (r *resettling) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed = false
	if r.stop != nil {
		r.stop()
	}
}
