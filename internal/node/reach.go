package node

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/route"
)

// openRoute makes the way to mailboxes in other processes; Update says where
// they are.
func (n *Node) openRoute(secret string) {
	var id [8]byte
	// It never fails.
	_, _ = rand.Read(id[:])
	instance := binary.LittleEndian.Uint64(id[:]) | 1
	n.route = route.New(route.Config{
		Logger: n.log, Stale: n.stale,
		Dial: func(m cluster.Member) (route.Link, error) {
			return remote.NewClient(remote.ClientConfig{
				Addr: m.Roles, Secret: []byte(secret), Node: n.processName(), Instance: instance, Logger: n.log,
			})
		},
	})
}

// connectMailbox makes the one mailbox process at an address serve everything.
func (n *Node) connectMailbox(addr, secret string) {
	n.openRoute(secret)
	only := []cluster.Member{{Node: "mailbox", State: cluster.Up, Roles: addr}}
	n.route.Update(only, cluster.NewTable(only))
}

// linkStats are the counters of the links to mailboxes in other processes.
func (n *Node) linkStats() remote.ClientStats {
	var sum remote.ClientStats
	for _, l := range n.route.Links() {
		if c, ok := l.(*remote.Client); ok {
			sum.Add(c.Stats())
		}
	}
	return sum
}
