package uplink

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
)

// way is the way to one region.
type way struct {
	u     *Uplink
	to    im.Region
	route *route.Mailbox

	mu sync.Mutex
	// relays are those that lead there, by name.
	relays map[string]*hop
	// all are those of them, and used those that slots are placed on, as package route was
	// told last.
	all, used []cluster.Member
	// since is when there was no relay yet; alone: it is logged that there is none.
	since time.Time
	alone bool
}

// hop is a process that leads to the region.
type hop struct {
	// member is as the cluster has it, but with Roles where the links go.
	member cluster.Member
	// reach is what it has said last, nil while there is no link; since when
	// it is up, or not.
	reach *im.Reach
	up    bool
	since time.Time
}

func newWay(u *Uplink, to im.Region) *way {
	w := &way{u: u, to: to, relays: map[string]*hop{}, since: u.cfg.Now()}
	w.route = route.New(route.Config{Logger: u.cfg.Logger, Dial: w.dial, After: u.cfg.After, Now: u.cfg.Now, Rand: u.cfg.Rand})
	return w
}

// dial makes a link for a relay as it is now known. The caller has the mutex.
func (w *way) dial(m cluster.Member) (route.Link, error) {
	r := w.relays[m.Node]
	return w.u.cfg.Dial(m, w.to, func(reach *im.Reach) { w.heard(r, reach) })
}

// update says which relays there are.
func (w *way) update(list []cluster.Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	relays := make(map[string]*hop, len(list))
	for _, m := range list {
		m.Roles, m.Weight = m.Relay, 0
		r := w.relays[m.Node]
		if r == nil || r.member.Roles != m.Roles {
			r = &hop{since: w.u.cfg.Now()}
		}
		r.member = m
		relays[m.Node] = r
	}
	w.relays = relays
	w.tell()
	w.place()
}

// tell logs when nobody leads to the region, and when somebody does again. The caller
// has the mutex.
func (w *way) tell() {
	if alone := len(w.relays) == 0; alone != w.alone {
		w.alone = alone
		if alone {
			w.u.cfg.Logger.Warn("no relay of this region leads to another one: what is for its users waits until one does", "region", w.to)
		} else {
			w.u.cfg.Logger.Info("there is a relay that leads to the region", "region", w.to)
		}
	}
}

// heard takes what a relay says, or nil when its link is lost. A relay that has gone,
// even if it has come back, is another one: its last link may end after the next has begun.
func (w *way) heard(r *hop, reach *im.Reach) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.relays[r.member.Node] != r {
		return
	}
	r.reach = reach
	if up := reach != nil && reach.Up; up != r.up {
		r.up, r.since = up, w.u.cfg.Now()
	}
	w.place()
}

// place puts the slots on the relays that are of use. The caller has the mutex.
func (w *way) place() {
	var all, linked, up []cluster.Member
	for _, name := range slices.Sorted(maps.Keys(w.relays)) {
		r := w.relays[name]
		all = append(all, r.member)
		if r.reach != nil {
			linked = append(linked, r.member)
		}
		if r.up {
			up = append(up, r.member)
		}
	}
	if len(up) == 0 {
		up = linked
	}
	if slices.Equal(all, w.all) && slices.Equal(up, w.used) {
		return
	}
	w.route.Update(all, cluster.NewTable(up))
	news := !slices.EqualFunc(up, w.used, func(a, b cluster.Member) bool { return a.Node == b.Node })
	w.all, w.used = all, up
	if len(up) > 0 && news {
		w.u.cfg.Open()
	}
}

// reach is what the relays say of the region: the first of those that are up, by
// name.
func (w *way) reach() im.Reach {
	w.mu.Lock()
	defer w.mu.Unlock()
	var best *hop
	for _, r := range w.relays {
		if r.reach == nil {
			continue
		}
		if best == nil || r.up && !best.up || r.up == best.up && r.member.Node < best.member.Node {
			best = r
		}
	}
	if best == nil {
		return im.Reach{}
	}
	return *best.reach
}
