package uplink

import (
	"cmp"
	"slices"

	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/route"
)

// Stats are an Uplink's gauges and counters.
type Stats struct {
	// Regions is how many others there are, CutOff how many of them no relay is
	// connected with, Relays how many links to relays are connected with their region.
	Regions, CutOff, Relays int
	// Dropped link messages found no relay that is linked, Repeated commands were
	// submitted to another one.
	Dropped, Repeated uint64
}

// Stats returns them.
func (u *Uplink) Stats() (st Stats) {
	for _, w := range *u.ways.Load() {
		up := w.connected()
		st.Regions++
		st.Relays += up
		if up == 0 {
			st.CutOff++
		}
		r := w.route.Stats()
		st.Dropped, st.Repeated = st.Dropped+r.Dropped, st.Repeated+r.Repeated
	}
	return st
}

// Links are those to all relays for all regions.
func (u *Uplink) Links() (links []route.Link) {
	for _, w := range *u.ways.Load() {
		links = append(links, w.route.Links()...)
	}
	return links
}

// connected is how many relays are connected with the region.
func (w *way) connected() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.relays {
		if r.up {
			n++
		}
	}
	return n
}

// Status lists how each relay stands with each other region, by region and
// relay.
func (u *Uplink) Status() []relay.Status {
	var list []relay.Status
	for _, w := range *u.ways.Load() {
		list = append(list, w.status()...)
	}
	slices.SortFunc(list, func(a, b relay.Status) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Relay, b.Relay))
	})
	return list
}

func (w *way) status() []relay.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.relays) == 0 {
		return []relay.Status{{Region: w.to, Since: w.since, Cause: "no relay of this region leads there"}}
	}
	var list []relay.Status
	for name, r := range w.relays {
		s := relay.Status{Region: w.to, Relay: name, Addr: r.member.Relay, Up: r.up, Since: r.since}
		switch {
		case r.reach == nil:
			s.Cause = "there is no link to the relay"
		case !r.up:
			s.Cause = "the relay is not connected with the region"
		default:
			s.Links, s.HTTP = r.reach.Links, r.reach.HTTP
		}
		list = append(list, s)
	}
	return list
}
