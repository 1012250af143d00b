package regions

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
)

// relayHost is where a relay runs that is a process of its own.
type relayHost struct {
	sight
	s     *site
	index int
	proc  *relayProc
	// cutIn: the nodes of the region do not reach it; cutOut: other regions do not.
	cutIn, cutOut bool
	// paused: the process does nothing until then; lapsed: its record in the cluster has
	// expired.
	paused time.Duration
	lapsed bool
}

func (h *relayHost) name() string { return fmt.Sprintf("%s/relay%d", h.s.name, h.index) }

// alive is the process, if there is one.
func (h *relayHost) alive() *relayProc {
	if h.proc == nil || h.proc.dead {
		return nil
	}
	return h.proc
}

// relayProc is one life of a relay's process: a Region and the queues of production, with
// connections and links that are models.
type relayProc struct {
	h      *relayHost
	life   uint64
	s      *site
	region *region.Region
	// out, in and conns are by region; at counts the relays of a region that were out
	// of reach.
	out    []*relay.Outgoing
	in     []relay.Incoming
	conns  []*conn
	at     []int
	paying []bool
	// ties are those of nodes.
	ties []*tie
	dead bool
	// calls are those of other regions that it has not answered.
	calls []func()
}

// boot starts a process.
func (h *relayHost) boot() {
	s, w := h.s, h.s.w
	if h.alive() != nil {
		return
	}
	h.sight = sight{s.placed, s.version}
	n := len(w.sites)
	w.lives++
	r := &relayProc{life: w.lives, h: h, s: s, out: make([]*relay.Outgoing, n), in: make([]relay.Incoming, n), conns: make([]*conn, n), at: make([]int, n), paying: make([]bool, n)}
	var err error
	r.region, err = region.New(region.Config{
		Self: s.name, Directory: names[0], Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Whole: &whole{s: s, sight: &h.sight, enter: r.enter, cut: func() bool { return h.cutIn }}, Carry: r.carry,
		Far:    func(of im.Region) im.Mailbox { return w.far(s, of, r.enter, func() bool { return h.cutOut }) },
		Send:   func(to im.Region, m *entity.Message, hops uint8) { r.put(w.site(to).index, m, hops) },
		Places: func(im.Region) (links, http []string) { return nil, nil },
	})
	if err != nil {
		w.failf("%v", err)
	}
	h.proc = r
	w.logf("%s starts", h.name())
	for x := range w.sites {
		if x == s.index {
			continue
		}
		r.at[x] = w.rng.IntN(len(w.sites[x].relays))
		r.out[x] = relay.NewOutgoing(relay.OutgoingConfig{
			Stream: r.stream(x), Pack: func(dst, raw []byte) []byte { return append(dst, raw...) },
			MaxQueue: w.relayQueue, MaxOwing: 4, Grace: relay.DefaultGrace, Patience: relay.DefaultPatience,
		}, w.time())
		w.after(w.between(0, 50*time.Millisecond), func() { r.enter(func() { r.dial(x) }) })
	}
	s.introduce()
}

// kill ends the process, with all that it has.
func (h *relayHost) kill() {
	r, w := h.alive(), h.s.w
	if r == nil {
		return
	}
	w.logf("%s dies", h.name())
	w.report.Strays += int(r.region.Stats().Strays)
	r.dead = true
	r.region.Stop()
	for _, t := range slices.Clone(r.ties) {
		t.breaks(100 * time.Millisecond)
	}
	for _, s := range w.sites {
		for _, o := range s.relays {
			if p := o.alive(); p != nil && p.conns[h.s.index] != nil && p.conns[h.s.index].to == r {
				p.conns[h.s.index].breaks(100 * time.Millisecond)
			}
		}
	}
	for _, broken := range r.calls {
		w.after(0, broken)
	}
	h.s.introduce()
}

// enter runs f when the process gets to it; never, if it dies before.
func (r *relayProc) enter(f func()) {
	switch w := r.s.w; {
	case r.dead:
	case r.h.paused > w.now:
		w.after(r.h.paused-w.now, func() { r.enter(f) })
	default:
		f()
	}
}

// carry takes a link message to the node that serves its entity, unless it gets lost.
func (r *relayProc) carry(m *entity.Message) bool {
	w, h := r.s.w, r.h.serving(r.s, m.To)
	if r.s.w.opts.Defect == RelayLooksOnce {
		h = r.s.hosts[0]
	}
	w.report.Carried++
	w.logf("%s: link %v -> %v seq %d ack %d kind %d to %s", r.h.name(), m.From, m.To, m.Seq, m.Ack, m.Body.Kind, h.name())
	if r.h.cutIn || w.chance(w.lose) {
		w.report.Lost++
		return true
	}
	w.after(w.between(0, w.delay), func() {
		if at := h.alive(); at != nil && !r.h.cutIn {
			at.region.Receive(m)
		}
	})
	return true
}

// put takes a message for another region, from a node or from the Region here.
func (r *relayProc) put(x int, m *entity.Message, hops uint8) {
	w := r.s.w
	m = w.falseAck(m)
	w.lastSeq[[2]im.Addr{m.From, m.To}] = max(w.lastSeq[[2]im.Addr{m.From, m.To}], m.Seq)
	if w.opts.Defect == RelayAcksEarly && m.Seq != 0 && m.To.Kind == im.KindUser {
		r.carry(&entity.Message{From: m.To, To: m.From, Ack: m.Seq})
	}
	w.logf("%s: link %v -> %v seq %d ack %d kind %d to %s, hops %d", r.h.name(), m.From, m.To, m.Seq, m.Ack, m.Body.Kind, w.sites[x].name, hops)
	if r.out[x].Put(w.time(), m, hops) {
		w.after(w.between(0, 2*time.Millisecond), func() { r.enter(func() { r.pump(x) }) })
	}
}

// stream names what the relay sends to a region, in this life.
func (r *relayProc) stream(x int) uint64 { return r.life<<8 | uint64(x) }

// pay asks those to go on whose messages were dropped.
func (r *relayProc) pay(x int) {
	w := r.s.w
	if r.paying[x] || !r.out[x].Owes() {
		return
	}
	r.paying[x] = true
	w.after(relay.PayEvery, func() {
		r.enter(func() {
			r.paying[x] = false
			if r.conns[x] == nil {
				return
			}
			due := r.out[x].Due()
			slices.SortFunc(due, func(a, b relay.Debt) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			for _, d := range due {
				w.report.Nudged++
				r.region.Nudge(d.From, d.To)
			}
			r.pay(x)
		})
	})
}

// strain is a single fault of one of the relays: it dies, stands still, or is cut off
// from the nodes or the other regions.
func (s *site) strain() {
	w, h := s.w, s.relays[s.w.rng.IntN(len(s.relays))]
	if w.calm {
		return
	}
	last := w.between(0, 5*time.Second)
	switch w.rng.IntN(4) {
	case 0:
		w.report.Strained[0]++
		h.kill()
		w.after(last, h.boot)
	case 1:
		w.logf("%s is paused for %v", h.name(), last)
		w.report.Strained[1]++
		h.paused = w.now + last
		w.after(w.between(time.Second, 4*time.Second), func() { h.lapse(h.paused > w.now) })
		w.after(last+time.Millisecond, func() { h.lapse(false) })
	case 2:
		w.logf("%s is cut off from its nodes for %v", h.name(), last)
		w.report.Strained[2]++
		h.cutIn = true
		w.after(last, func() { h.cutIn = false })
	default:
		w.logf("%s is cut off from other regions for %v", h.name(), last)
		w.report.Strained[3]++
		h.cutOut = true
		w.after(last, func() { h.cutOut = false })
	}
}

// ease ends these faults.
func (s *site) ease() {
	for _, h := range s.relays {
		h.cutIn, h.cutOut, h.paused = false, false, 0
		h.lapse(false)
	}
}

// lapse says whether the relay's record has expired.
func (h *relayHost) lapse(lapsed bool) {
	if h.lapsed != lapsed {
		h.lapsed = lapsed
		h.s.introduce()
	}
}

// introduce tells the nodes which relays there are, sooner or later.
func (s *site) introduce() {
	for _, h := range s.hosts {
		s.w.after(s.w.between(0, s.w.staleness), func() {
			if p := h.alive(); p != nil {
				p.uplink.Update(s.members())
			}
		})
	}
}

// members are the relays as the cluster has them.
func (s *site) members() (list []cluster.Member) {
	var others []string
	for _, o := range s.w.sites {
		if o != s {
			others = append(others, string(o.name))
		}
	}
	for _, h := range s.relays {
		if h.alive() != nil && !h.lapsed {
			list = append(list, cluster.Member{
				Node: h.name(), State: cluster.Up, Relay: h.name(), Region: string(s.name), Directory: string(names[0]), Regions: strings.Join(others, ","),
			})
		}
	}
	return list
}
