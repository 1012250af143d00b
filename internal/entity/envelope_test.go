package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestOpen(t *testing.T) {
	f := newFair(t, 4)
	env := f.send(100, 2, 2, 3, 4)
	env.refuses(&im.Open{User: 1}, im.PermissionDenied)
	env.refuses(&im.Open{User: 9}, im.PermissionDenied)
	first := *env.must(&im.Open{User: 2}).(*im.Opened)
	env.restart()
	env.now++
	if again := *env.must(&im.Open{User: 2}).(*im.Opened); again != first || first.Sender != 1 || first.Cents != 50 {
		t.Fatalf("answers %+v and %+v", first, again)
	}
	env.must(&im.Open{User: 3})
	env.refuses(&im.Open{User: 4}, im.AllGone)
	f.exchange()
	// What the restart has forgotten to be acknowledged is sent again first.
	f.advance(10_000)
	f.wantBalances(900, 1050, 1050, 1000)
	e := f.user(2).lastEntry()
	if m := e.Money; m.Event != im.EnvelopeOpened || m.Cents != 50 || e.Peer != 1 {
		t.Fatalf("the opener sees %+v %+v", e, m)
	}
	if m := f.user(1).lastEntry().Money; m.Event != im.EnvelopeFinished || m.Cents != 0 {
		t.Fatalf("the sender sees %+v", m)
	}
	f.advance(2 * im.DefaultLifetime)
	env.refuses(&im.Open{User: 4}, im.AllGone)
	if *env.must(&im.Open{User: 3}).(*im.Opened) == first {
		t.Fatal("two openings have one answer")
	}
	f.wantBalances(900, 1050, 1050, 1000)
}

func TestEnvelopeExpires(t *testing.T) {
	f := newFair(t, 3)
	env := f.send(101, 2, 2, 3)
	env.must(&im.Open{User: 2})
	f.exchange()
	env.now += im.DefaultLifetime
	env.refuses(&im.Open{User: 3}, im.Expired)
	env.now -= im.DefaultLifetime
	if due := env.ent.Status().Wake; due != env.now+im.DefaultLifetime {
		t.Fatalf("wakes at %d", due)
	}
	f.advance(im.DefaultLifetime)
	env.refuses(&im.Open{User: 3}, im.Expired)
	opened := f.balance(2) - 1000
	f.wantBalances(1000-opened, 1000+opened, 1000)
	info := env.must(&im.GetEnvelope{User: 3}).(*im.EnvelopeInfo)
	if !info.Finished || info.Returned != 101-opened || len(info.Openings) != 1 || info.Openings[0].User != 2 || len(info.To) != 2 || info.Text != "all the best" {
		t.Fatalf("info %+v", info)
	}
	env.refuses(&im.GetEnvelope{User: 9}, im.PermissionDenied)
	if st := env.ent.Status(); st.Wake != 0 || st.Outstanding != 0 {
		t.Fatalf("status %+v", st)
	}
	env.snapshot()
	if env.pending {
		t.Fatal("the mark is left")
	}
}

// Money for an envelope that there is already goes back.
func TestSecondFundingReturns(t *testing.T) {
	f := newFair(t, 2)
	env := f.send(100, 1, 2)
	a := f.user(2)
	a.must(&im.CreateEnvelope{Key: f.key(), To: []im.UserID{1}, Total: 70, Shares: 1})
	m := a.take()[0]
	from := *m
	from.To = env.addr
	env.receive(&from)
	back := env.take()[0]
	if tr := transferIn(&back.Body); tr.Cents != 70 || im.MoneyEvent(tr.Event) != im.MoneyReturned || back.To != a.addr {
		t.Fatalf("comes back as %+v", tr)
	}
	f.at(im.Envelope(7)).refuses(&im.Open{User: 1}, im.NotFound)
	f.at(im.Envelope(7)).refuses(&im.GetEnvelope{User: 1}, im.NotFound)
}

// A receiver who is no friend any more is shown nothing.
func TestNoticeFromAFormerFriend(t *testing.T) {
	f := newFair(t, 2)
	f.user(2).must(contact(im.ContactBlock, 1))
	f.user(2).out = nil
	before := len(f.user(2).visible)
	f.send(10, 1, 2)
	if n := len(f.user(2).visible); n != before+1 || f.user(2).lastEntry().Kind != 0 {
		t.Fatalf("shown %d entries, the last is %+v", n-before, f.user(2).lastEntry())
	}
	f.advance(im.DefaultLifetime)
	f.wantBalances(1000, 1000)
}

// 500 friends open 500 shares, in one batch: exactly the total, no cent less
// than one each.
func TestFiveHundredOpenAtOnce(t *testing.T) {
	env := newActor(t, im.Envelope(5))
	sender := newUserActor(t, 1)
	var to []im.UserID
	for id := range im.UserID(500) {
		to = append(to, id+2)
	}
	sender.must(&im.Provision{Friends: to})
	pay := newActor(t, im.Payment(im.TopUpOf("x")))
	pay.must(&im.TopUp{Reference: "x", User: 1, Cents: 12_345})
	exchange(pay, sender)
	sender.must(&im.CreateEnvelope{Key: im.Key{Name: "k", Asked: sender.now}, To: to, Total: 12_345, Shares: 500, Rule: im.SplitRandom})
	fund := sender.take()[0]
	fund.To = env.addr
	env.receive(fund)
	if n := len(env.take()); n != 500 {
		t.Fatalf("%d notices", n)
	}
	sum := im.Cents(0)
	env.call(func(tx *Tx) {
		for _, id := range to {
			res, err := env.ent.Handle(tx, &im.Open{User: id})
			if err != nil || res.(*im.Opened).Cents < 1 {
				t.Fatalf("%+v, %v", res, err)
			}
			sum += res.(*im.Opened).Cents
		}
	})
	if sum != 12_345 {
		t.Fatalf("%d cents", sum)
	}
}
