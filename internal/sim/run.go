package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// Options select a run.
type Options struct {
	Seed   uint64
	Defect Defect
	// Trace gets everything that happens, when it is not nil.
	Trace io.Writer
}

// Report says what a run did.
type Report struct {
	Steps, Commits int
	Virtual        time.Duration
	// Entries, and among them messages sent, received and refused.
	Entries, Sent, Received, Refused int
	// Traced counts steps at which a message's trace was looked at.
	Traced int
	// Trimmed are the entries that were let go of.
	Trimmed int
	// What went wrong: commits that failed or were fenced, loads, those that
	// failed, entities put out of memory, messages sent again.
	Failed, Fenced, Loads, LoadErrors, Evicted, Resent uint64
	// Awaited counts waits for slots to be handed over, Forced slots that were taken
	// after one of them, and Corrected answers that named another owner.
	Awaited, Forced, Corrected int
	// Resumed counts sessions that gateways resumed, Unresumed those that
	// they gave up.
	Resumed, Unresumed uint64
	// Money counts changes of balances, Opened shares of envelopes, Won
	// envelopes of campaigns, and Told those of which users heard at desks.
	Money, Opened, Won, Told int
}

// Add sums reports.
func (r *Report) Add(o Report) {
	r.Steps += o.Steps
	r.Commits += o.Commits
	r.Virtual += o.Virtual
	r.Entries += o.Entries
	r.Sent += o.Sent
	r.Received += o.Received
	r.Refused += o.Refused
	r.Traced += o.Traced
	r.Trimmed += o.Trimmed
	r.Failed += o.Failed
	r.Fenced += o.Fenced
	r.Loads += o.Loads
	r.LoadErrors += o.LoadErrors
	r.Evicted += o.Evicted
	r.Resent += o.Resent
	r.Awaited += o.Awaited
	r.Forced += o.Forced
	r.Corrected += o.Corrected
	r.Resumed += o.Resumed
	r.Unresumed += o.Unresumed
	r.Money += o.Money
	r.Opened += o.Opened
	r.Won += o.Won
	r.Told += o.Told
}

// count adds what a core did.
func (r *Report) count(st *shard.Stats) {
	r.Failed += st.CommitErrors
	r.Fenced += st.Fenced
	r.Loads += st.Loads
	r.LoadErrors += st.LoadErrors
	r.Evicted += st.Evictions
	r.Resent += st.Retransmitted
}

// Run simulates one cluster from beginning to end. The error is an invariant
// that did not hold, or a panic.
func Run(o Options) (r Report, err error) {
	w := newWorld(o)
	defer func() {
		for _, n := range w.nodes {
			n.count()
		}
		for _, g := range w.gateways {
			g.count()
		}
		r = w.stats
		r.Virtual = w.now
		switch p := recover().(type) {
		case nil:
		case violation:
			err = fmt.Errorf("seed %d after %v: %s", o.Seed, w.now, p.text)
		default:
			w.logf("PANIC: %v", p)
			err = fmt.Errorf("seed %d after %v: panic: %v\n%s", o.Seed, w.now, p, debug.Stack())
		}
	}()
	w.run()
	return r, nil
}

func newWorld(o Options) *world {
	rng := rand.New(rand.NewPCG(o.Seed, 0x736b65696e))
	w := &world{
		seed: o.Seed, defect: o.Defect, rng: rng, plan: draw(rng), trace: o.Trace,
		byID: map[im.UserID]*user{}, ledgers: map[im.Addr]*ledger{}, slotPos: map[im.Slot]int{}, bodies: map[string]bool{}, calls: map[im.Command]*call{}, tokens: map[string]*device{},
	}
	w.store = newStorage(w)
	w.net = newNetwork(w)
	for i := range w.plan.users + w.plan.articles {
		u := &user{w: w, id: im.UserID(i + 1), addr: im.User(im.UserID(i + 1)), article: i >= w.plan.users}
		w.users = append(w.users, u)
		w.byID[u.id] = u
		w.addSlot(u.addr.Slot())
	}
	w.bank = newBank(w)
	w.bank.settleIn()
	w.placement = newPlacement(w)
	for i := range w.plan.nodes {
		n := &node{w: w, id: i}
		if w.plan.skew > 0 {
			n.skew = w.between(0, w.plan.skew)
		}
		w.nodes = append(w.nodes, n)
	}
	w.describe()
	for i := range w.plan.gateways {
		w.gateways = append(w.gateways, &gateway{w: w, id: i})
	}
	return w
}

// run is a whole life: start, work with faults, peace, and the reckoning.
func (w *world) run() {
	if w.trace != nil {
		fmt.Fprint(w.trace, w.plan.describe(w.seed))
	}
	w.calm = true
	for _, n := range w.nodes {
		n.boot()
	}
	for _, g := range w.gateways {
		g.boot()
	}
	w.provision()
	w.runUntil(10 * time.Second)
	for _, u := range w.users {
		for _, d := range u.devices {
			w.after(w.between(0, time.Second), d.connect)
		}
	}
	w.logf("work begins")
	w.calm = false
	begin, end := w.now, w.now+w.plan.work
	w.placement.watch()
	for range w.plan.actions {
		w.at(w.between(begin, end), func() { w.users[w.rng.IntN(len(w.users))].act() })
	}
	for _, u := range w.users {
		if u.article {
			w.at(w.between(begin, end), func() { u.write(w.rng.IntN(40)) })
		}
	}
	for _, u := range w.users {
		if w.chance(w.plan.dark) {
			w.at(w.between(begin, end), u.goDark)
		}
	}
	for _, b := range w.plan.blows {
		w.at(w.between(begin, end), func() { w.strike(b) })
	}
	w.bank.open(begin, end)
	w.breakConns()
	w.runUntil(end)
	w.settle()
	w.reckon()
}

// provision makes the users exist, some of them friends.
func (w *world) provision() {
	friends := make([][]im.UserID, len(w.users))
	for i, a := range w.users {
		for j, b := range w.users[:i] {
			if a.article || b.article || w.chance(0.6) {
				friends[i] = append(friends[i], b.id)
				friends[j] = append(friends[j], a.id)
			}
		}
	}
	for i, u := range w.users {
		cmd := &im.Provision{Friends: friends[i]}
		for n := range 1 + w.rng.IntN(w.plan.devices) {
			token := tokenHash(u.id, n)
			cmd.TokenHashes = append(cmd.TokenHashes, token)
			u.addDevice(im.DeviceID(n+1), token)
		}
		u.tokens = len(u.devices)
		u.persist(100, cmd, func(_ im.Result, err error) {
			if err != nil {
				w.fail("%v cannot be provisioned: %v", u, err)
			}
		})
	}
}

// breakConns breaks connections now and then.
func (w *world) breakConns() {
	if w.calm {
		return
	}
	for _, u := range w.users {
		for _, d := range u.devices {
			if d.conn != nil && w.chance(w.plan.breakConn) {
				w.logf("%v: the connection breaks", d)
				d.conn.tear()
			}
		}
	}
	w.after(50*time.Millisecond, w.breakConns)
}

// strike lets a single fault happen.
func (w *world) strike(b blow) {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	w.logf("blow: %v (node %d)", b, n.id)
	switch b {
	case crashNode:
		w.crashNode(n)
	case pauseNode:
		n.stalled = w.now + w.between(0, 5*time.Second)
	case isolateNode:
		n.cutOff = true
		w.after(w.between(0, 4*time.Second), func() { n.cutOff = false })
	case partition:
		w.net.split()
	case crashStore:
		w.crashStore()
	case slowStore:
		w.store.drag = w.between(0, 800*time.Millisecond)
		w.after(w.between(0, 3*time.Second), func() { w.store.drag = 0 })
	case moveSlots:
		w.placement.shuffle()
	case jumpClock:
		n.skew += w.between(-300*time.Millisecond, 300*time.Millisecond)
	case killGateway:
		w.gateways[w.rng.IntN(len(w.gateways))].kill()
	case drainNode:
		w.placement.drain(n)
	case changePolicy:
		w.placement.wish()
	case restartTwo:
		w.restartTwo(n)
	case cutTie:
		w.sever(w.gateways[w.rng.IntN(len(w.gateways))], n, 2*time.Second)
	case cutTies:
		g := w.gateways[w.rng.IntN(len(w.gateways))]
		for _, n := range w.nodes {
			w.sever(g, n, 2*time.Second)
		}
	}
}

// sever breaks the tie of a gateway and a node, if there is one.
func (w *world) sever(g *gateway, n *node, notice time.Duration) {
	if g.up && g.ties[n.id] != nil {
		g.ties[n.id].sever(notice)
	}
}

func (w *world) crashNode(n *node) {
	if w.stop(n) {
		w.after(w.between(0, 4*time.Second), func() { w.start(n) })
	}
}

// restartTwo ends a node and perhaps another one, and starts them at one moment.
func (w *world) restartTwo(n *node) {
	var stopped []*node
	for _, one := range []*node{n, w.nodes[w.rng.IntN(len(w.nodes))]} {
		if w.stop(one) {
			stopped = append(stopped, one)
		}
	}
	w.after(w.between(0, 4*time.Second), func() {
		for _, one := range stopped {
			w.start(one)
		}
	})
}

// stop ends a node's process; false: there is none.
func (w *world) stop(n *node) bool {
	if !n.up {
		return false
	}
	n.crash()
	for _, g := range w.gateways {
		w.sever(g, n, time.Second)
	}
	return true
}

func (w *world) start(n *node) {
	n.boot()
	w.placement.joined(n)
}

func (w *world) crashStore() {
	if !w.store.up {
		return
	}
	w.store.crash()
	w.after(w.between(0, 2*time.Second), func() {
		w.logf("the store is up again")
		w.store.up = true
	})
}
