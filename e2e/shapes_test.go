package e2e

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// setup are settings of a product's processes: of all, of the one that clients
// connect to, and of those that have mailboxes. In one process they are the same.
type setup struct{ every, front, back []string }

// product is all of Skein that runs for a test, in some shape.
type product struct {
	// server is what clients connect to: the last part.
	*server
	t *testing.T
	// parts are its processes, in the order in which they are started.
	parts []*part
	// store are the settings with which commands find what is kept.
	store []string
	// shared is how nodes find each other, if they do.
	shared *nodes
}

// part is one of a product's processes. Its ports are fixed, so that it can be
// started again where it was.
type part struct {
	*server
	args []string
}

// shape is a way to run the same product.
type shape func(t *testing.T, data string, more setup) *product

// together and apart are the two that every test of what users see runs in: one
// process with everything, and roles in processes of their own that share a store.
const (
	together      = "one process"
	apart         = "two mailboxes over Redis"
	apartPostgres = "two mailboxes over PostgreSQL"
)

var shapes = map[string]shape{
	together: inOne, "workers": withWorkers(inOne),
	"two processes": inTwo, "two processes and workers": withWorkers(inTwo),
	apart: overRedis,
	apartPostgres: func(t *testing.T, data string, more setup) *product {
		return overStore(t, newPostgresNodes(t, data, postgresArgs(t)), more)
	},
}

func inOne(t *testing.T, data string, more setup) *product {
	p := &product{t: t, store: []string{"--data", data}}
	p.add(serveArgs(t, data, slices.Concat(more.every, more.back, more.front)...)...)
	return p
}

func inTwo(t *testing.T, data string, more setup) *product {
	p := &product{t: t, store: []string{"--data", data}}
	m := p.add(mailboxArgs(t, data, slices.Concat(more.every, more.back)...)...)
	p.add(gatewayArgs(t, m.server, slices.Concat(more.every, more.front)...)...)
	return p
}

func overRedis(t *testing.T, data string, more setup) *product {
	return overStore(t, newNodes(t, data), more)
}

// overStore is two mailbox nodes and a gateway over a shared store.
func overStore(t *testing.T, c *nodes, more setup) *product {
	p := &product{t: t, store: c.shared, shared: c}
	for _, name := range []string{"one", "two"} {
		p.add(c.args("mailbox", name, slices.Concat(more.every, more.back)...)...)
	}
	p.add(c.args("gateway", "gate", slices.Concat(more.every, more.front)...)...)
	return p
}

// withWorkers is a shape in which workers have the clients.
func withWorkers(s shape) shape {
	return func(t *testing.T, data string, more setup) *product {
		more.front = append(slices.Clip(more.front), "--workers", "2")
		return s(t, data, more)
	}
}

// add starts one more process, which is what clients connect to until there is
// another.
func (p *product) add(args ...string) *part {
	p.t.Helper()
	n := &part{startNode(p.t, args...), args}
	p.parts = append(p.parts, n)
	p.server = n.server
	return n
}

// again starts a process that has ended, where it was.
func (p *product) again(n *part) {
	p.t.Helper()
	n.server = startNode(p.t, n.args...)
	p.server = p.parts[len(p.parts)-1].server
}

// kill ends all of it at once, as a power cut would.
func (p *product) kill() {
	for _, n := range p.parts {
		n.server.kill()
	}
}

// stop ends all of it as an operator would, clients' side first.
func (p *product) stop(t *testing.T) {
	t.Helper()
	for _, n := range slices.Backward(p.parts) {
		n.server.stop(t)
	}
}

// restart starts all of it again.
func (p *product) restart() {
	p.t.Helper()
	for _, n := range p.parts {
		p.again(n)
	}
}

// world is how users reach it.
func (p *product) world() *world { return &world{server: p.server, http: "http://" + p.HTTP} }

// ops are where all processes are watched.
func (p *product) ops() string {
	var list []string
	for _, n := range p.parts {
		list = append(list, n.Ops)
	}
	return strings.Join(list, ",")
}

// audit counts the money of a product that has ended.
func (p *product) audit() (string, error) {
	p.t.Helper()
	if p.shared != nil {
		p.shared.await("those who died are forgotten", func(st status) bool { return len(st.Nodes) == 0 })
	}
	return run(p.t, "", append([]string{"audit"}, p.store...)...)
}

// inBothShapes runs a test together and apart.
func inBothShapes(t *testing.T, more setup, test func(t *testing.T, p *product)) {
	inShapes(t, []string{together, apart}, more, test)
}

// inEveryShape runs a test in all of them.
func inEveryShape(t *testing.T, test func(t *testing.T, p *product)) {
	inShapes(t, slices.Sorted(maps.Keys(shapes)), setup{}, test)
}

func inShapes(t *testing.T, names []string, more setup, test func(t *testing.T, p *product)) {
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, shapes[name](t, filepath.Join(t.TempDir(), "data"), more))
		})
	}
}
