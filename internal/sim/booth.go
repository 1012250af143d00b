package sim

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// booth is a SET of a gateway for one campaign: it keeps a queue of leases,
// answers shakes from it, and claims a lease durably before it says "won". It
// dies with its gateway, with a word or without.
type booth struct {
	w    *world
	f    *fest
	g    *gateway
	life int
	id   im.SetID
	// queue are leases nobody has shaken for.
	queue []im.Lease
	asked bool
}

// boothPeriod bounds the time between requests for leases.
const boothPeriod = 400 * time.Millisecond

func newBooth(f *fest, g *gateway) {
	b := &booth{w: f.from.w, f: f, g: g}
	f.booths = append(f.booths, b)
	b.begin()
}

// begin is what a new process does: it takes an identifier of its own.
func (b *booth) begin() {
	b.w.sets++
	b.id, b.life, b.queue = b.w.sets, b.g.life, nil
	b.poll(b.id)
}

// poll asks for leases now and then.
func (b *booth) poll(id im.SetID) {
	w := b.w
	if b.id != id || w.now > b.f.over() {
		return
	}
	w.after(w.between(10*time.Millisecond, boothPeriod), func() { b.poll(id) })
	switch {
	case b.g.up && b.life != b.g.life:
		b.begin()
		return
	case !b.g.up || b.asked || b.id != id:
		return
	}
	b.asked = true
	cmd := &im.RenewSets{Sets: []im.SetWant{{Set: b.id, Want: uint32(w.rng.IntN(6))}}}
	w.request(b.f.addr, cmd, func(res im.Result, err error) {
		b.asked = false
		if err == nil && b.id == id {
			b.queue = append(b.queue, res.(*im.Leases).Leases...)
			b.tidy()
		}
	})
}

// over is when nobody needs booths any more.
func (f *fest) over() time.Duration {
	return time.Duration(f.cmd.End-epochStart)*time.Millisecond + 6*time.Second
}

// tidy returns some leases, as a process does that ends in peace.
func (b *booth) tidy() {
	if len(b.queue) == 0 || !b.w.chance(0.1) {
		return
	}
	n := 1 + b.w.rng.IntN(len(b.queue))
	cmd := &im.ReturnLeases{}
	for _, l := range b.queue[:n] {
		cmd.Leases = append(cmd.Leases, l.ID)
	}
	b.queue = slices.Delete(b.queue, 0, n)
	b.w.request(b.f.addr, cmd, func(im.Result, error) {})
}

// shake is one by a user, at some booth. Leases that may have expired are
// claimed all the same: the campaign is to refuse them.
func (f *fest) shake(u *user) {
	b := f.booths[u.w.rng.IntN(len(f.booths))]
	if !b.g.up || b.life != b.g.life || len(b.queue) == 0 {
		return
	}
	lease := b.queue[0]
	b.queue = b.queue[1:]
	w := b.w
	if w.defect == WonEarly {
		w.bank.win(f, u, lease)
	}
	id := b.id
	cmd := &im.Claim{Lease: lease.ID, Set: lease.Set, User: u.id}
	w.persistAt(f.addr, 1000, cmd, func(res im.Result, err error) {
		w.logf("%v: claims lease %d of %v: %+v, %v", u, lease.ID, f.addr, res, err)
		if err != nil {
			w.fail("%v: claim of lease %d: %v", u, lease.ID, err)
		}
		c := res.(*im.Claimed)
		switch {
		case c.Outcome == im.ClaimWon && c.Cents != lease.Cents:
			w.fail("%v wins %d cents with lease %d of %d", u, c.Cents, lease.ID, lease.Cents)
		case c.Outcome == im.ClaimWon:
			w.bank.win(f, u, lease)
			if w.chance(0.2) {
				w.bank.claimAgain(f, cmd)
			}
		case c.Outcome == im.ClaimLimit && b.id == id:
			b.queue = append(b.queue, lease)
		}
	})
}

// win is told to the user.
func (b *bank) win(f *fest, u *user, l im.Lease) {
	b.told = append(b.told, promise{"a win", f.addr, u.id, l.ID, l.Cents})
}

// claimAgain repeats a claim that won: it wins again, the same.
func (b *bank) claimAgain(f *fest, cmd *im.Claim) {
	again := *cmd
	b.w.request(f.addr, &again, func(res im.Result, err error) {
		if err == nil && res.(*im.Claimed).Outcome != im.ClaimWon {
			b.w.fail("a repeated claim of lease %d is answered %+v", cmd.Lease, res)
		}
	})
}
