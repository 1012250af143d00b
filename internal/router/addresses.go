package router

import (
	"cmp"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
)

const (
	// fewAddresses are in an answer unless more are asked for, maxAddresses
	// at most.
	fewAddresses = 3
	maxAddresses = 32
	// loads is how many loads of gateways are told apart. Clients of one
	// moment are spread over all gateways of about the same load; otherwise
	// they would all take the one that was the least loaded.
	loads = 16
)

// Address is where a client may connect.
type Address struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	// Link and HTTP are host:port.
	Link string `json:"link"`
	HTTP string `json:"http"`
	// Load is the share of its links that are taken, from 0 to 1.
	Load float64 `json:"load"`
}

// Addresses answers GET /v1/addresses, best first.
type Addresses struct {
	Addresses []Address `json:"addresses"`
	// Stale: the store could not be reached at last.
	Stale bool `json:"stale"`
}

func (r *Router) addresses(req *http.Request) (any, error) {
	user, err := number(req, "user", 1, uint64(im.MaxUser), 0)
	if err != nil {
		return nil, err
	}
	n, err := number(req, "n", 1, maxAddresses, fewAddresses)
	if err != nil {
		return nil, err
	}
	members, _ := r.cfg.Members.Members()
	choice := choose(members, im.UserID(user), r.counts[askAddresses].Load())
	answer := Addresses{Addresses: []Address{}, Stale: r.cfg.Members.Failed() != nil}
	for _, m := range choice[:min(len(choice), int(n))] {
		answer.Addresses = append(answer.Addresses, Address{m.Node, m.Version, m.Link, m.HTTP, load(&m)})
	}
	if len(choice) == 0 {
		return nil, im.Errorf(im.Unavailable, "no gateway is there for clients; try again soon")
	}
	return answer, nil
}

// gateways are those that clients may be sent to.
func gateways(members []cluster.Member) []cluster.Member {
	var list []cluster.Member
	for _, m := range members {
		if m.Link != "" && m.State == cluster.Up && m.Service == "" {
			list = append(list, m)
		}
	}
	return list
}

// load is how full a gateway is, from 0 to 1.
func load(m *cluster.Member) float64 {
	if m.MaxLinks <= 0 {
		return 0
	}
	return min(1, max(0, float64(m.Links)/float64(m.MaxLinks)))
}

// choose sorts the gateways for a client: of the version that is for its user
// first, if there is a canary; then those with room; of about the same load, in
// an order of the user's own, or of the request's if the user is not known.
func choose(members []cluster.Member, user im.UserID, request uint64) []cluster.Member {
	list := gateways(members)
	canary := cluster.PolicyOf(members).Canary
	key := request
	if user != 0 {
		key = uint64(user)
	}
	type rank struct {
		version, load int
		spread        uint64
	}
	ranks := make(map[string]rank, len(list))
	for i := range list {
		m := &list[i]
		k := rank{load: int(load(m) * loads), spread: spread(m.Node, key)}
		if user != 0 && !canary.Fits(m.Version, im.User(user).Slot()) {
			k.version = 1
		}
		ranks[m.Node] = k
	}
	slices.SortFunc(list, func(a, b cluster.Member) int {
		x, y := ranks[a.Node], ranks[b.Node]
		return cmp.Or(cmp.Compare(x.version, y.version), cmp.Compare(x.load, y.load), cmp.Compare(x.spread, y.spread), cmp.Compare(a.Node, b.Node))
	})
	return list
}

// spread is a number that depends on a node and a key alone.
func spread(node string, key uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendUint(nil, key, 36))
	_, _ = h.Write([]byte{'/'})
	_, _ = h.Write([]byte(node))
	x := h.Sum64()
	// FNV leaves the names' last letters close together.
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Node is one of the nodes in the answer to GET /v1/nodes.
type Node struct {
	cluster.Member
	// Slots is how many it is to serve.
	Slots int `json:"slots"`
}

func (r *Router) nodes(*http.Request) (any, error) {
	members, table := r.cfg.Members.Members()
	due := map[string]int{}
	for slot := range im.Slot(im.Slots) {
		if owner, ok := table.Owner(slot); ok {
			due[owner.Node]++
		}
	}
	nodes := []Node{}
	for _, m := range cluster.Nodes(members) {
		nodes = append(nodes, Node{m, due[m.Node]})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Node, b.Node) })
	return map[string]any{"nodes": nodes, "stale": r.cfg.Members.Failed() != nil}, nil
}

func (r *Router) slots(req *http.Request) (any, error) {
	user, err := number(req, "user", 1, uint64(im.MaxUser), 0)
	if err != nil {
		return nil, err
	}
	if user == 0 {
		return nil, im.Errorf(im.Invalid, "give the user whose slot is asked for, as user=ID")
	}
	_, table := r.cfg.Members.Members()
	slot := im.User(im.UserID(user)).Slot()
	owner, ok := table.Owner(slot)
	if !ok {
		return nil, im.Errorf(im.Unavailable, "no mailbox node is there to serve slot %d", slot)
	}
	return map[string]any{"slot": slot, "node": owner.Node, "roles": owner.Roles, "stale": r.cfg.Members.Failed() != nil}, nil
}
