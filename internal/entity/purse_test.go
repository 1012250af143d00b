package entity

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// purseOf is the purse of an actor's entity.
func purseOf(ent Entity) *purse {
	switch e := ent.(type) {
	case *envelope:
		return &e.purse
	case *campaign:
		return &e.purse
	case *payment:
		return &e.purse
	}
	return nil
}

// lives writes down what a line keeps of generations, but for what may be learned
// again.
func lives(l *line, of forks) string {
	g := l.generations
	if g == nil {
		g = &generations{}
	}
	return fmt.Sprintf(" forks %v noted %d bases %v stopped %v", of, g.noted, g.bases, g.stopped)
}

// sketch writes down the state of a purse that survives.
func sketch(ent Entity, acks bool) string {
	p := purseOf(ent)
	var b strings.Builder
	fmt.Fprintf(&b, "head %d ends %d finished %v\n", p.head, p.ends, p.finished)
	if acks {
		fmt.Fprintf(&b, "outstanding %d\n", p.outstanding)
	}
	for _, one := range p.order {
		fmt.Fprintf(&b, "%v out %d in %d wins %v%s", one.peer, one.out, one.in, one.wins, lives(&one.line, p.forks))
		if acks {
			fmt.Fprintf(&b, " acked %d refs %v", one.acked, one.refs)
		}
		b.WriteString("\n")
	}
	switch e := ent.(type) {
	case *envelope:
		fmt.Fprintf(&b, "terms %v split %v openings %v left %d\n", e.terms, e.split, e.openings, e.left)
		for _, id := range slices.Sorted(maps.Keys(e.receivers)) {
			fmt.Fprintf(&b, "receiver %d %v\n", id, e.receivers[id])
		}
	case *campaign:
		fmt.Fprintf(&b, "terms %v issued %d block %v last %d free %v won %d %d\n", e.terms, e.issued, e.block, e.lastLease, e.free, e.won, e.wonCents)
		for _, id := range slices.Sorted(maps.Keys(e.leases)) {
			fmt.Fprintf(&b, "lease %d %v\n", id, e.leases[id])
		}
		for _, id := range slices.Sorted(maps.Keys(e.holders)) {
			fmt.Fprintf(&b, "lease %d won by %d\n", id, e.holders[id])
		}
	case *payment:
		fmt.Fprintf(&b, "terms %v top up %v\n", e.terms, e.topUp)
	}
	return b.String()
}

// market is a fair where anything may happen, and messages may get lost.
type market struct {
	*fair
	t         *rapid.T
	envelopes []im.EnvelopeID
	campaigns []im.CampaignID
	payments  []im.PaymentID
	leases    map[im.CampaignID][]im.Lease
	broughtIn im.Cents
}

func newMarket(t *rapid.T) *market {
	return &market{fair: newFair(t, 3), t: t, leases: map[im.CampaignID][]im.Lease{}, broughtIn: 3000}
}

func (m *market) draw(what string, n int) int { return rapid.IntRange(0, n-1).Draw(m.t, what) }

// act does one random thing; errors are part of the game.
func (m *market) act() {
	id := im.UserID(1 + m.draw("user", 3))
	u := m.user(id)
	amount := im.Cents(m.draw("cents", 800))
	switch m.draw("action", 11) {
	case 0, 1:
		to := []im.UserID{1 + id%3, 1 + (id+1)%3}[:1+m.draw("receivers", 2)]
		res, err := u.do(&im.CreateEnvelope{Key: m.key(), To: to, Total: amount, Shares: uint32(1 + m.draw("shares", 4)),
			Rule: im.SplitRule(m.draw("rule", 2)), Lifetime: im.MinLifetime * im.Millis(1+m.draw("lifetime", 20))})
		if err == nil {
			m.envelopes = append(m.envelopes, res.(*im.EnvelopeCreated).Envelope)
		}
	case 2, 3:
		if len(m.envelopes) > 0 {
			m.at(im.Envelope(m.envelopes[m.draw("envelope", len(m.envelopes))])).do(&im.Open{User: id})
		}
	case 4:
		res, err := u.do(&im.CreateCampaign{Key: m.key(), Total: amount, Count: uint32(1 + m.draw("count", 9)), Rate: 5, Rule: im.SplitRule(m.draw("rule", 2)),
			Start: u.now, End: u.now + 8000, Limit: 2, Lease: 500})
		if err == nil {
			m.campaigns = append(m.campaigns, res.(*im.CampaignCreated).Campaign)
		}
	case 5, 6:
		m.shake(id)
	case 7:
		m.pay(u, amount)
	case 8:
		for _, a := range m.all() {
			if m.draw("lost", 3) == 0 {
				a.out = nil
			}
		}
		m.exchange()
	case 9:
		m.advance(im.Millis(m.draw("ms", 3000)))
	case 10:
		for _, a := range m.all() {
			switch m.draw("maintenance", 5) {
			case 0:
				a.snapshot()
			case 1:
				a.restart()
			case 2:
				// Its store is gone, and a copy that lacks nothing goes on.
				m.generation++
				a.goOn(a.copied(), m.generation)
			}
		}
	}
}

func (m *market) shake(id im.UserID) {
	if len(m.campaigns) == 0 {
		return
	}
	c := m.campaigns[m.draw("campaign", len(m.campaigns))]
	a := m.at(im.Campaign(c))
	if res, err := a.do(&im.RenewSets{Sets: []im.SetWant{{Set: 1, Want: uint32(m.draw("want", 3))}, {Set: 2, Want: 1}}}); err == nil {
		m.leases[c] = append(m.leases[c], res.(*im.Leases).Leases...)
	}
	if l := m.leases[c]; len(l) > 0 {
		one := l[m.draw("lease", len(l))]
		if m.draw("give back", 4) == 0 {
			a.do(&im.ReturnLeases{Leases: []im.LeaseID{one.ID}})
		} else {
			a.do(&im.Claim{Lease: one.ID, Set: one.Set, User: id})
		}
	}
}

func (m *market) pay(u *actor, amount im.Cents) {
	switch m.draw("payment", 3) {
	case 0:
		m.topUp(im.UserID(u.addr.ID), amount+1)
		m.broughtIn += amount + 1
	case 1:
		if res, err := u.do(&im.Withdraw{Key: m.key(), Cents: amount}); err == nil {
			m.payments = append(m.payments, res.(*im.Withdrawal).Payment)
		}
	case 2:
		if len(m.payments) > 0 {
			m.at(im.Payment(m.payments[m.draw("settled", len(m.payments))])).do(&im.Settle{Paid: m.draw("paid", 2) == 0})
		}
	}
}

// check compares what is in memory with what is in the store.
func (m *market) check(acks bool) {
	for _, a := range m.all() {
		live, stored := "", ""
		if a.addr.Kind == im.KindUser {
			live, stored = picture(a.user(), acks), picture(a.load().(*user), acks)
		} else {
			live, stored = sketch(a.ent, acks), sketch(a.load(), acks)
		}
		if live != stored {
			m.t.Fatalf("%v live:\n%s\nstored:\n%s", a.addr, live, stored)
		}
	}
}

// total is all the money there is once everything has arrived.
func (m *market) total() (held, out im.Cents) {
	for _, a := range m.all() {
		switch e := a.ent.(type) {
		case *user:
			held += Holding(e)
		case *envelope:
			held += e.left
		case *campaign:
			if e.terms != nil && e.finished == nil {
				held += im.Cents(e.terms.Total) - e.wonCents
			}
		case *payment:
			if e.terms != nil && !e.topUp && e.finished == nil {
				held += im.Cents(e.terms.Cents)
			}
			out += im.Cents(e.finished.GetPaid())
		}
	}
	return held, out
}

// Whatever happens, the state in the store is the state in memory, and when
// everything has arrived, all money is there.
func TestMoneyReplayEquivalence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMarket(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.act()
			m.check(false)
		}
		for range 12 {
			m.advance(60_000)
		}
		if held, out := m.total(); held+out != m.broughtIn {
			t.Fatalf("%d cents came in, %d are held and %d went out", m.broughtIn, held, out)
		}
		for _, a := range m.all() {
			if st := a.ent.Status(); st.Outstanding > 0 || st.Wake != 0 {
				t.Fatalf("%v is not done: %+v", a.addr, st)
			}
			a.snapshot()
			if a.pending {
				t.Fatalf("%v is still marked", a.addr)
			}
		}
		m.check(true)
	})
}

// The encoding of events does not change.
func TestPurseEventGolden(t *testing.T) {
	ev := &storev1.PurseEvent{
		TimeMs: 1000, From: &storev1.Addr{Kind: 1, Id: 7}, LinkIn: 3,
		Outs:           []*storev1.LinkOut{{To: &storev1.Addr{Kind: 1, Id: 8}, Link: 2, Transfer: &storev1.Transfer{Event: 3, Cents: 50, User: 7, UntilMs: 9000}}},
		EnvelopeFunded: &storev1.EnvelopeFunded{Terms: &storev1.EnvelopeTerms{Sender: 7, Total: 100, Shares: 2, Rule: 1, Receivers: []uint64{8, 9}}, Split: []int64{60, 40}},
		EnvelopeOpened: &storev1.EnvelopeShare{User: 8, Cents: 60, TimeMs: 1001},
		CampaignFunded: &storev1.CampaignTerms{Sponsor: 7, Name: "k", Total: 10, Count: 5, Rate: 2, StartMs: 1, EndMs: 2, Limit: 1, LeaseMs: 100, Title: "t"},
		CampaignDealt:  &storev1.CampaignDealt{Block: []int64{1, 2}, Deals: []*storev1.Deal{{Lease: 4, Number: 1, Cents: 1, Set: 6, ExpiresMs: 77, Before: 3}}},
		CampaignWon:    &storev1.CampaignWin{Lease: 4, User: 8, Cents: 1, TimeMs: 5},
		LeasesReturned: &storev1.LeasesReturned{Leases: []uint64{4}},
		PaymentMade:    &storev1.PaymentMade{Terms: &storev1.PaymentTerms{Reference: "r", User: 8, Cents: 5, Text: "x", CreatedMs: 4}, TopUp: true},
		Finished:       &storev1.PurseFinished{Returned: 1, Paid: 2},
	}
	const want = "08e807120408011007180322130a040801100810021a0908031032180728a8462a120a0c08071064180220014202080912023c28" +
		"32070808103c18e9073a16080712016b180a2005300238014002480150645a017442120a020102120c0804100118012006284d30034a0808041008180120" +
		"0552030a01045a100a0c0a01721008180522017828041001620408011002"
	got, err := proto.MarshalOptions{Deterministic: true}.Marshal(ev)
	if err != nil || hex.EncodeToString(got) != want {
		t.Fatalf("encoded as\n%x (%v)", got, err)
	}
}

func TestPurseReplayRefusesDamage(t *testing.T) {
	for _, kind := range []im.Kind{im.KindEnvelope, im.KindCampaign, im.KindPayment} {
		ent, err := New(im.Addr{Kind: kind, ID: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := ent.Replay(im.LogEntry{Seq: 2}); im.KindOf(err) != im.Internal {
			t.Errorf("%v: a gap: %v", kind, err)
		}
		if err := ent.Replay(im.LogEntry{Seq: 1, Value: []byte{0xff}}); im.KindOf(err) != im.Internal {
			t.Errorf("%v: damage: %v", kind, err)
		}
		for key, value := range map[string][]byte{"x": {}, headKey: {0xff}, pageKey(0): {0xff}, pageKey(1): {0x0a, 2, 16, 3}} {
			ent, _ := New(im.Addr{Kind: kind, ID: 1})
			if _, err := ent.Restore([]im.Record{{Key: key, Value: value}}); im.KindOf(err) != im.Internal {
				t.Errorf("%v: record %q = %x: %v", kind, key, value, err)
			}
		}
	}
}

// Whatever is in the store, reading it does not panic, nor does working with
// what could be read.
func FuzzPurse(f *testing.F) {
	s := newShow(f, nil)
	s.c.now += 1000
	l := s.renew(5)
	s.claim(l[0], 2)
	s.c.snapshot()
	env := s.send(10, 2, 2, 3)
	env.must(&im.Open{User: 2})
	env.snapshot()
	for _, a := range s.all() {
		if a.addr.Kind == im.KindUser {
			continue
		}
		for _, value := range a.log {
			f.Add(uint8(a.addr.Kind), a.records[headKey], a.records[pageKey(0)], value)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, head, page, value []byte) {
		a := im.Addr{Kind: im.Kind(kind), ID: 1}
		ent, err := New(a)
		if err != nil || purseOf(ent) == nil {
			return
		}
		seq, err := ent.Restore([]im.Record{{Key: headKey, Value: head}, {Key: pageKey(0), Value: page}})
		if err != nil || ent.Replay(im.LogEntry{Seq: seq + 1, Value: value}) != nil {
			return
		}
		tx := &Tx{Self: a, Now: 1_700_000_000_000, Jitter: func(int64) int64 { return 0 }}
		ent.Start(tx)
		for _, cmd := range []im.Command{&im.Open{User: 2}, &im.Open{User: 3}, &im.RenewSets{Sets: []im.SetWant{{Set: 1, Want: 3}}},
			&im.Claim{Lease: 1, Set: 1, User: 2}, &im.GetCampaign{}, &im.GetEnvelope{User: 2}, &im.GetPayment{}, &im.Settle{}} {
			_, _ = ent.Handle(tx, cmd)
		}
		ent.Snapshot(tx)
	})
}
