package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// plan is what a seed makes of a run: how large the cluster is, how tight its
// limits are and what goes wrong. A kind of fault is absent from many runs, so
// that each is also met alone.
type plan struct {
	nodes, cores, gateways int
	users, devices         int
	articles               int
	work                   time.Duration
	actions                int
	sendWindow             int
	// dark is the share of users who switch their devices off for good.
	dark float64

	core shard.Config

	// Links between nodes.
	drop, repeat, late float64
	delay, lateness    time.Duration
	// Connections of devices, and requests.
	lag                 time.Duration
	breakConn, loseDown float64
	loseRequest         float64
	// halfOpen is the share of connections that gateways keep for long after
	// their devices have gone.
	halfOpen float64
	// stallTie is how often role links stall.
	stallTie float64
	// resumeFor and attaching are those of gateways.
	resumeFor time.Duration
	attaching int
	// The store.
	commitDelay, syncDelay time.Duration
	unknown, readFails     float64
	readDelay              time.Duration
	// Turns of a node wait this long at most.
	turnDelay time.Duration
	// skew is how far clocks are apart.
	skew time.Duration
	// staleness is how long a change of the slot table takes to spread.
	staleness time.Duration
	// handOver is how long nodes wait for others to hand over slots. deaf is how much
	// nodes and gateways miss of it: who is there, and what is said of slots.
	handOver time.Duration
	deaf     float64
	// blows are single faults at random moments.
	blows []blow
}

// blow is a single fault.
type blow uint8

const (
	crashNode blow = iota
	pauseNode
	isolateNode
	partition
	crashStore
	slowStore
	moveSlots
	jumpClock
	killGateway
	cutTie
	cutTies
	drainNode
	changePolicy
	restartTwo
	blowKinds
)

var blowNames = [blowKinds]string{
	"crash a node", "pause a node", "cut a node off the store", "partition", "crash the store",
	"slow disk", "move slots", "jump a clock", "kill a gateway",
	"cut a role link", "cut a gateway's role links",
	"drain a node", "change the policy", "restart two nodes at once",
}

func (b blow) String() string { return blowNames[b] }

// draw makes a plan.
func draw(rng *rand.Rand) plan {
	pick := func(lo, hi int) int { return lo + rng.IntN(hi-lo+1) }
	ms := func(lo, hi int) time.Duration { return time.Duration(pick(lo*1000, hi*1000)) * time.Microsecond }
	sometimes := func(p float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return p * rng.Float64()
	}
	p := plan{
		nodes: pick(1, 4), cores: pick(1, 2), gateways: pick(1, 3),
		users: pick(2, 7), devices: 3, articles: pick(0, 1) * 2,
		work: ms(3000, 15000), actions: pick(60, 300), sendWindow: pick(1, 12), dark: sometimes(0.5),
		drop: sometimes(0.25), repeat: sometimes(0.2), late: sometimes(0.1),
		delay: ms(0, 4), lateness: ms(10, 3000),
		lag: ms(0, 20), breakConn: sometimes(0.03), loseDown: sometimes(0.03), loseRequest: sometimes(0.1), halfOpen: sometimes(0.6), stallTie: sometimes(0.02),
		commitDelay: ms(0, 3), syncDelay: ms(0, 20), unknown: sometimes(0.03), readFails: sometimes(0.2), readDelay: ms(0, 10),
		turnDelay: ms(0, 4), skew: time.Duration(sometimes(4000)) * time.Millisecond, staleness: ms(1, 2500),
		handOver: ms(100, 2000), deaf: sometimes(1),
	}
	p.resumeFor = []time.Duration{time.Second, time.Minute}[rng.IntN(2)]
	p.attaching = 1 << pick(0, 6)
	p.core = shard.Config{
		MaxBatchBytes: 200 << pick(0, 10),
		MaxParked:     1 << pick(0, 8),
		MaxHot:        pick(1, 12),
		FlushAfter:    im.Millis(pick(5, 1000)),
		SnapshotEvery: pick(1, 40),
		WindowEntries: 1 << pick(0, 6),
		WindowBytes:   50 << pick(0, 8),
		ReadBytes:     1 << pick(0, 12),
		Logger:        slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if rng.IntN(3) > 0 {
		p.core.Retain = entity.Retention{
			Entries: pick(0, 30), Age: im.Millis(pick(0, 1) * pick(500, 20_000)), Away: im.Millis(pick(0, 1) * pick(15_000, 60_000)),
		}
	}
	for range pick(0, 10) {
		p.blows = append(p.blows, blow(rng.IntN(int(blowKinds))))
	}
	for _, b := range []blow{moveSlots, cutTie, changePolicy} {
		for range pick(0, 5) * pick(0, 1) {
			p.blows = append(p.blows, b)
		}
	}
	return p
}

// describe writes the plan for a trace.
func (p *plan) describe(seed uint64) string {
	core := p.core
	core.Logger = nil
	return fmt.Sprintf("seed %d: %d nodes of %d cores, %d gateways, %d users and %d of the article, %d actions in %v\n"+
		"links: drop %.2f repeat %.2f late %.2f by %v; connections: break %.3f lose %.3f; store: unknown %.3f\n"+
		"core: %+v\nblows: %v\n",
		seed, p.nodes, p.cores, p.gateways, p.users, p.articles, p.actions, p.work,
		p.drop, p.repeat, p.late, p.lateness, p.breakConn, p.loseDown, p.unknown, core, p.blows)
}
