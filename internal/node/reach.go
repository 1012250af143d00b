package node

import (
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/telemetry"
)

// openRoute makes the way to mailboxes in other processes; Update says where
// they are.
func (n *Node) openRoute(secret string) { n.route = n.newRoute(secret, false) }

// newRoute makes such a way; inner: to the mailboxes themselves.
func (n *Node) newRoute(secret string, inner bool) *route.Mailbox {
	instance := randomInstance()
	var r *route.Mailbox
	r = route.New(route.Config{
		Logger: n.log, Stale: n.stale,
		Dial: func(m cluster.Member) (route.Link, error) {
			return remote.NewClient(remote.ClientConfig{
				Addr: m.Roles, Secret: []byte(secret), Node: n.name, Instance: instance, Inner: inner, Logger: n.log,
				Up: func() { n.reached(m.Node) }, Down: func(err error) { n.missed(m.Node, err) },
				Served: func(slots []im.Slot, epochs []im.Epoch) { r.Learn(m.Node, slots, epochs) },
				Left: func(slots []im.Slot, epochs []im.Epoch) {
					r.Leave(m.Node, slots, epochs)
					n.left(slots, epochs)
				},
			})
		},
	})
	return r
}

// randomInstance tells the sessions of one way to mailboxes from those of others.
func randomInstance() uint64 {
	var id [8]byte
	// It never fails.
	_, _ = rand.Read(id[:])
	return binary.LittleEndian.Uint64(id[:]) | 1
}

// connectMailbox makes the one mailbox process at an address serve everything.
func (n *Node) connectMailbox(addr, secret string) {
	n.openRoute(secret)
	only := []cluster.Member{{Node: "mailbox", State: cluster.Up, Roles: addr}}
	n.route.Update(only, cluster.NewTable(only))
}

// linkTotal sums up links that come and go, so that what those that have gone
// have counted stays.
type linkTotal struct {
	mu   sync.Mutex
	last map[*remote.Client]remote.ClientStats
	gone remote.ClientStats
}

// linkStats are the counters of the links to mailboxes in other processes.
func (n *Node) linkStats() remote.ClientStats {
	links := n.route.Links()
	if n.inner != nil {
		links = append(links, n.inner.Links()...)
	}
	return n.linkTotal.sum(links)
}

// sum adds up the links that there are and those that have gone.
func (t *linkTotal) sum(links []route.Link) remote.ClientStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := map[*remote.Client]remote.ClientStats{}
	for _, l := range links {
		if c, ok := l.(*remote.Client); ok {
			now[c] = c.Stats()
			delete(t.last, c)
		}
	}
	for _, st := range t.last {
		telemetry.AddCounters(&t.gone, &st)
	}
	t.last = now
	sum := t.gone
	for _, st := range now {
		sum.Add(st)
	}
	return sum
}
