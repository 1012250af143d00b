package standbys

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
)

// plan is what a seed draws: how large the world is, and how bad.
type plan struct {
	sync                  bool
	nodes, slots          int
	queued                int
	storeDelay, linkDelay time.Duration
	unknown, readFails    float64
	move, bare, blow      float64
	pace                  time.Duration
}

func (w *world) draw() {
	sometimes := func(p float64) float64 { return p * w.rng.Float64() * float64(w.rng.IntN(2)) }
	w.plan = plan{
		sync: w.rng.IntN(2) == 0, nodes: 1 + w.rng.IntN(3), slots: 1 + w.rng.IntN(4),
		queued:     []int{300, 3000, 1 << 20}[w.rng.IntN(3)],
		storeDelay: w.between(10*time.Microsecond, 20*time.Millisecond),
		linkDelay:  w.between(100*time.Microsecond, 60*time.Millisecond),
		unknown:    sometimes(0.1), readFails: sometimes(0.03),
		move: 0.02 + sometimes(0.2), bare: sometimes(0.02), blow: 0.2 + w.rng.Float64(),
		pace: w.between(20*time.Millisecond, 200*time.Millisecond),
	}
	w.logf("%+v", w.plan)
}

// generation is what there is until the region is lost; then the copy is the
// next one's store.
type generation struct {
	store *memstore.Store
	// slots are those that are used, with their entities.
	slots    []im.Slot
	subjects map[im.Slot][]im.Addr
	// places are the addresses of what package standby keeps for slots: the lowest
	// identifier of the kind that is in the slot.
	places map[im.Slot]im.Addr
	// bare are slots that were written to without a number.
	bare map[im.Slot]bool
	// gone are entities that were removed for good.
	gone map[im.Addr]bool
	// history is what slots were after each of their commits.
	history map[im.Slot]map[uint64]string
	// held is who has acquired a slot last, and done so to the end.
	held map[im.Slot]tenure
	acks []ack
	// storeCrashes counts the store's crashes: a call that spans one fails.
	storeCrashes int
	entries      int

	nodes   []*node
	standby *standbyProc
	links   []*link
	dialed  int
}

type tenure struct {
	node  *node
	life  int
	epoch im.Epoch
}

// populate picks slots, with some entities in each.
func (g *generation) populate(slots int) {
	g.subjects, g.gone = map[im.Slot][]im.Addr{}, map[im.Addr]bool{}
	g.places, g.bare = map[im.Slot]im.Addr{}, map[im.Slot]bool{}
	for id := im.UserID(1); len(g.slots) < slots; id++ {
		a := im.User(id)
		g.slots = append(g.slots, a.Slot())
		g.subjects[a.Slot()] = append([]im.Addr{a}, inSlot(im.KindEnvelope, a.Slot(), 4)...)
		g.places[a.Slot()] = inSlot(im.KindPosition, a.Slot(), 1)[0]
	}
}

// inSlot are the first addresses of a kind that are in a slot.
func inSlot(kind im.Kind, slot im.Slot, n int) (list []im.Addr) {
	for id := uint64(1); len(list) < n; id++ {
		if a := (im.Addr{Kind: kind, ID: id}); a.Slot() == slot {
			list = append(list, a)
		}
	}
	return list
}

// begin makes the nodes of a generation, and a standby with an empty store.
func (w *world) begin() {
	w.history, w.held, w.acks = map[im.Slot]map[uint64]string{}, map[im.Slot]tenure{}, nil
	for _, slot := range w.slots {
		w.history[slot] = map[uint64]string{}
		w.remember(slot)
	}
	w.standby = newStandby(w)
	w.standby.boot()
	w.nodes = nil
	for i := range w.plan.nodes {
		w.nodes = append(w.nodes, &node{w: w, index: i})
		w.nodes[i].boot()
	}
}

// run is a whole life: a region with a standby, which is lost, and what was its
// copy, with a standby of its own.
func (w *world) run() {
	w.store = memstore.New(time.Now)
	w.populate(w.plan.slots)
	for range 2 {
		w.begin()
		end := w.now() + w.between(2*time.Second, 30*time.Second)
		w.after(w.between(0, time.Second), w.trouble)
		w.runUntil(end)
		if w.rng.IntN(3) == 0 {
			w.settle()
		}
		if !w.lose() {
			return
		}
	}
	w.begin()
	w.settle()
}

// settle lets the faults end, and expects that the copy becomes what the region
// is.
func (w *world) settle() {
	w.calm = true
	for _, n := range w.nodes {
		n.heal()
	}
	w.standby.heal()
	w.runUntil(w.now() + 30*time.Second)
	for _, n := range w.nodes {
		n.quiet = true
	}
	w.runUntil(w.now() + 30*time.Second)
	w.checkSettled()
	for _, n := range w.nodes {
		n.quiet = false
	}
	w.calm = false
}

// trouble makes single faults, again and again.
func (w *world) trouble() {
	if !w.calm && w.chance(w.plan.blow) {
		w.blow()
	}
	w.after(w.between(0, 2*time.Second), w.trouble)
}

func (w *world) blow() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	switch w.rng.IntN(9) {
	case 0:
		n.crash()
	case 1:
		w.standby.crash()
	case 2:
		w.crashStore()
	case 3:
		n.partition(w.between(0, 15*time.Second))
	case 4:
		n.slow(w.between(0, 3*time.Second))
	case 5:
		w.standby.arm()
	default:
		w.disturbLink()
	}
}

// crashStore: the region's store loses what is under way, or a part of it.
func (w *world) crashStore() {
	w.logf("the region's store crashes")
	w.report.Crashes++
	w.storeCrashes++
	w.store.CrashUnsynced(func(memstore.Part) bool { return w.rng.IntN(2) == 0 })
	for _, slot := range w.slots {
		w.remember(slot)
	}
}

// lose ends the region for good and promotes its copy. It is false when the copy
// cannot be the next region.
func (w *world) lose() bool {
	w.logf("the region is lost")
	w.report.Lost++
	behind, held := w.behind(), w.tenants()
	for _, n := range w.nodes {
		n.gone = true
		n.kill()
	}
	if w.rng.IntN(2) == 0 {
		w.runUntil(w.now() + w.between(0, time.Second))
	}
	w.standby.stop()
	w.admit()
	w.agenda.Clear()
	whole := w.checkLost(behind, held)
	if !whole {
		return false
	}
	w.store = w.standby.store.Store
	return true
}

// end stops everything.
func (w *world) end() {
	for _, n := range w.nodes {
		n.kill()
	}
	if w.standby != nil {
		w.standby.stop()
	}
}
