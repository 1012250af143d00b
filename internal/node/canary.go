package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
)

// resettling sends clients to gateways of the version that a canary means for
// them, whenever that has changed, and again those who have come back because they
// did not get in there. Every process with links does it for its own.
type resettling struct {
	mu sync.Mutex
	// canary and possible are those of the last change that counted: what the
	// operator wants, and whether there was a gateway to send anybody to.
	canary   cluster.Canary
	possible bool
	// places are the gateways to send clients to now.
	places []string
	// stop ends what is under way.
	stop context.CancelFunc
	// allowed: there are links, and the node does not stop.
	allowed bool
}

// version is what a canary knows the node by.
func (n *Node) version() string { return cmp.Or(n.cfg.VersionLabel, n.opts.Version) }

// againAfter is when those who have come back are sent away again, the first time;
// the pause doubles, up to againMost: where they are sent they may be refused for
// long, and each attempt costs them a moment.
const (
	againAfter = 5 * time.Second
	againMost  = 5 * time.Minute
)

// resettle hears who is there now, and what the operator wants. It returns at once.
func (n *Node) resettle(members []cluster.Member) {
	canary := cluster.PolicyOf(members).Canary
	ctx := n.resettling.begin(canary, n.otherGateways(members, canary))
	if ctx == nil {
		return
	}
	n.tasks.Go(func() { againAndAgain(ctx, func() { n.sendAway(ctx, canary) }) })
}

// againAndAgain does something now and after growing pauses, until ctx ends.
func againAndAgain(ctx context.Context, do func()) {
	for pause := againAfter; ; pause = min(2*pause, againMost) {
		do()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// sendAway sends away those for whom other gateways are.
func (n *Node) sendAway(ctx context.Context, canary cluster.Canary) {
	opts := link.DrainOptions{Over: n.drainTime(n.front.open()), Addresses: n.resettling.where()}
	sent, err := n.front.links.SendAway(ctx, opts, func(c link.Conn) bool {
		user, ok := n.front.gateway.User(c)
		return ok && !canary.Fits(n.version(), im.User(user).Slot())
	})
	if sent > 0 {
		n.log.Info("clients were sent to gateways of the version that is for them", "clients", sent, "canary", canary.Version, "percent", canary.Percent, "err", err)
	}
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
func (r *resettling) begin(canary cluster.Canary, places []string) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places = places
	possible := len(places) > 0
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

// where are the gateways to send clients to.
func (r *resettling) where() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.places
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
