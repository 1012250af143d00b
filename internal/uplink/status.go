package uplink

import (
	"cmp"
	"slices"

	"github.com/skein-im/skein/internal/relay"
)

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
