package entity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// fair is users 1..n, all friends, with 1,000 cents each.
type fair struct {
	// generation is that of the purses' store.
	generation im.Generation
	t          tester
	users      []*actor
	// purses are made as somebody writes to them.
	purses map[im.Addr]*actor
	keys   int
}

func newFair(t tester, n int) *fair {
	t.Helper()
	f := &fair{t: t, purses: map[im.Addr]*actor{}}
	for id := 1; id <= n; id++ {
		var friends []im.UserID
		for o := 1; o <= n; o++ {
			if o != id {
				friends = append(friends, im.UserID(o))
			}
		}
		f.users = append(f.users, newUserActor(t, im.UserID(id), friends...))
	}
	for id := 1; id <= n; id++ {
		f.topUp(im.UserID(id), 1000)
	}
	return f
}

func (f *fair) user(id im.UserID) *actor { return f.users[id-1] }

func (f *fair) topUp(id im.UserID, cents im.Cents) {
	f.t.Helper()
	f.keys++
	ref := fmt.Sprint("top up ", f.keys)
	f.at(im.Payment(im.TopUpOf(ref))).must(&im.TopUp{Reference: ref, User: id, Cents: cents})
	f.exchange()
}

// at is the actor of an address.
func (f *fair) at(a im.Addr) *actor {
	f.t.Helper()
	if a.Kind == im.KindUser {
		return f.users[a.ID-1]
	}
	if f.purses[a] == nil {
		f.purses[a] = newActor(f.t, a)
		f.purses[a].now, f.purses[a].generation = f.users[0].now, f.generation
	}
	return f.purses[a]
}

// exchange carries messages until nobody has any.
func (f *fair) exchange() {
	f.t.Helper()
	for quiet := false; !quiet; {
		quiet = true
		for _, a := range f.all() {
			out := a.out
			a.out = nil
			for _, m := range out {
				quiet = false
				f.at(m.To).receive(m)
			}
		}
	}
}

func (f *fair) all() []*actor {
	all := f.users[:len(f.users):len(f.users)]
	byAddr := func(a, b im.Addr) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	}
	for _, a := range slices.SortedFunc(maps.Keys(f.purses), byAddr) {
		all = append(all, f.purses[a])
	}
	return all
}

// advance lets time pass for everybody.
func (f *fair) advance(ms im.Millis) {
	f.t.Helper()
	for _, a := range f.all() {
		a.advance(ms)
	}
	f.exchange()
}

func (f *fair) key() im.Key {
	f.keys++
	return im.Key{Name: fmt.Sprint("key ", f.keys), Asked: f.users[0].now}
}

func (f *fair) balance(id im.UserID) im.Cents {
	f.t.Helper()
	return f.user(id).must(&im.GetWallet{}).(*im.WalletInfo).Balance
}

func (f *fair) wantBalances(want ...im.Cents) {
	f.t.Helper()
	for i, c := range want {
		if got := f.balance(im.UserID(i + 1)); got != c {
			f.t.Fatalf("user %d has %d cents, want %d", i+1, got, c)
		}
	}
}

// send creates an envelope of user 1 for others.
func (f *fair) send(total im.Cents, shares uint32, to ...im.UserID) *actor {
	f.t.Helper()
	res := f.user(1).must(&im.CreateEnvelope{Key: f.key(), To: to, Total: total, Shares: shares, Text: "all the best"})
	f.exchange()
	return f.at(im.Envelope(res.(*im.EnvelopeCreated).Envelope))
}

// lastEntry is what the last entry of a user shows.
func (a *actor) lastEntry() wire.Entry {
	a.t.Helper()
	var e wire.Entry
	if err := e.Unmarshal(a.visible[len(a.visible)-1]); err != nil {
		a.t.Fatalf("%v", err)
	}
	return e
}

func TestTopUpOnce(t *testing.T) {
	f := newFair(t, 1)
	cmd := &im.TopUp{Reference: "bank 7", User: 1, Cents: 50, Text: "salary"}
	pay := f.at(im.Payment(im.TopUpOf("bank 7")))
	first := *pay.must(cmd).(*im.PaymentInfo)
	pay.restart()
	if again := *pay.must(cmd).(*im.PaymentInfo); again != first || first.State != im.PaymentToppedUp {
		t.Fatalf("answers %+v and %+v", first, again)
	}
	f.exchange()
	f.wantBalances(1050)
	pay.refuses(&im.TopUp{Reference: "bank 7", User: 1, Cents: 51}, im.Conflict)
	pay.refuses(&im.TopUp{Reference: "bank 7", User: 2, Cents: 50}, im.Conflict)
	// Another reference with the same hash.
	pay.refuses(&im.TopUp{Reference: "bank 8", User: 1, Cents: 50}, im.Conflict)
	pay.refuses(&im.Settle{Paid: true}, im.Invalid)
	for _, c := range []im.Cents{0, -1} {
		f.at(im.Payment(im.TopUpOf("x"))).refuses(&im.TopUp{Reference: "x", User: 1, Cents: c}, im.Invalid)
	}
	f.at(im.Payment(im.TopUpOf("x"))).refuses(&im.TopUp{Reference: "x", User: 1, Cents: im.MaxMoney + 1}, im.Invalid)
	f.at(im.Payment(im.TopUpOf("x"))).refuses(&im.GetPayment{}, im.NotFound)
	e := f.user(1).lastEntry()
	if m := e.Money; e.Kind != wire.EntryMoney || m.Event != im.ToppedUp || m.Cents != 50 || m.Balance != 1050 || m.Prev != 1 ||
		string(e.Content.Body) != "salary" {
		t.Fatalf("the entry shows %+v, %+v", e, m)
	}
}

// A wallet that is full takes nothing more; the money waits until there is
// room.
func TestFullWallet(t *testing.T) {
	f := newFair(t, 2)
	f.topUp(1, im.MaxMoney-1000)
	f.topUp(1, 5)
	f.wantBalances(im.MaxMoney)
	f.user(1).must(&im.Withdraw{Key: f.key(), Cents: 7})
	f.exchange()
	f.advance(60_000)
	f.wantBalances(im.MaxMoney - 2)
}

func TestWithdraw(t *testing.T) {
	for _, paid := range []bool{true, false} {
		f := newFair(t, 1)
		cmd := &im.Withdraw{Key: f.key(), Cents: 300, Text: "rent"}
		first := *f.user(1).must(cmd).(*im.Withdrawal)
		f.wantBalances(700)
		f.exchange()
		f.user(1).restart()
		if again := *f.user(1).must(cmd).(*im.Withdrawal); again != first {
			t.Fatalf("answers %+v and %+v", first, again)
		}
		other := *cmd
		other.Cents = 301
		f.user(1).refuses(&other, im.Conflict)
		pay := f.at(im.Payment(first.Payment))
		if info := pay.must(&im.GetPayment{}).(*im.PaymentInfo); info.State != im.PaymentHeld || info.Cents != 300 || info.Text != "rent" {
			t.Fatalf("held: %+v", info)
		}
		pay.must(&im.Settle{Paid: paid})
		pay.must(&im.Settle{Paid: paid})
		pay.refuses(&im.Settle{Paid: !paid}, im.Conflict)
		f.exchange()
		if paid {
			f.wantBalances(700)
		} else {
			f.wantBalances(1000)
		}
		f.user(1).refuses(&im.Withdraw{Key: f.key(), Cents: 1001}, im.Insufficient)
	}
}

func TestCreateEnvelopeRefusals(t *testing.T) {
	f := newFair(t, 3)
	good := func() *im.CreateEnvelope {
		return &im.CreateEnvelope{Key: f.key(), To: []im.UserID{2, 3}, Total: 100, Shares: 2}
	}
	for what, test := range map[string]struct {
		change func(*im.CreateEnvelope)
		kind   im.ErrorKind
	}{
		"nothing":       {func(c *im.CreateEnvelope) { c.Total = 0 }, im.Invalid},
		"negative":      {func(c *im.CreateEnvelope) { c.Total = -5 }, im.Invalid},
		"overflow":      {func(c *im.CreateEnvelope) { c.Total = 1 << 62 }, im.Invalid},
		"overdraft":     {func(c *im.CreateEnvelope) { c.Total = 1001 }, im.Insufficient},
		"less than one": {func(c *im.CreateEnvelope) { c.Total, c.Shares = 2, 3 }, im.Invalid},
		"no shares":     {func(c *im.CreateEnvelope) { c.Shares = 0 }, im.Invalid},
		"many shares":   {func(c *im.CreateEnvelope) { c.Shares = im.MaxShares + 1 }, im.Invalid},
		"nobody":        {func(c *im.CreateEnvelope) { c.To = nil }, im.Invalid},
		"twice":         {func(c *im.CreateEnvelope) { c.To = []im.UserID{2, 2} }, im.Invalid},
		"oneself":       {func(c *im.CreateEnvelope) { c.To = []im.UserID{1} }, im.Invalid},
		"a stranger":    {func(c *im.CreateEnvelope) { c.To = []im.UserID{2, 9} }, im.NotContact},
		"rule":          {func(c *im.CreateEnvelope) { c.Rule = 2 }, im.Invalid},
		"long text":     {func(c *im.CreateEnvelope) { c.Text = string(make([]byte, im.MaxEnvelopeText+1)) }, im.TooLarge},
		"bad text":      {func(c *im.CreateEnvelope) { c.Text = "\xff" }, im.Invalid},
		"short":         {func(c *im.CreateEnvelope) { c.Lifetime = im.MinLifetime - 1 }, im.Invalid},
		"long":          {func(c *im.CreateEnvelope) { c.Lifetime = im.MaxLifetime + 1 }, im.Invalid},
		"no key":        {func(c *im.CreateEnvelope) { c.Key.Name = "" }, im.Invalid},
		"no time":       {func(c *im.CreateEnvelope) { c.Key.Asked = 0 }, im.Invalid},
		"old key":       {func(c *im.CreateEnvelope) { c.Key.Asked -= im.KeyAge }, im.Stale},
		"future key":    {func(c *im.CreateEnvelope) { c.Key.Asked += im.KeyAhead + 1 }, im.Invalid},
	} {
		c := good()
		test.change(c)
		before := len(f.user(1).log)
		if res, err := f.user(1).do(c); im.KindOf(err) != test.kind || len(f.user(1).log) != before {
			t.Errorf("%s: %+v, %v; want %v", what, res, err, test.kind)
		}
	}
	f.user(1).must(good())
}

func TestCreateEnvelopeOnce(t *testing.T) {
	f := newFair(t, 2)
	cmd := &im.CreateEnvelope{Key: f.key(), To: []im.UserID{2}, Total: 100, Shares: 1, Text: "x", Device: 1}
	first := *f.user(1).must(cmd).(*im.EnvelopeCreated)
	f.user(1).restart()
	if again := *f.user(1).must(cmd).(*im.EnvelopeCreated); again != first {
		t.Fatalf("answers %+v and %+v", first, again)
	}
	other := *cmd
	other.Text = "y"
	f.user(1).refuses(&other, im.Conflict)
	f.exchange()
	f.wantBalances(900, 1000)
	sent, got := f.user(1).lastEntry(), f.user(2).lastEntry()
	if m := sent.Money; m.Event != im.EnvelopeSent || sent.Peer != 2 || !sent.Outgoing || sent.Device != 1 || m.Cents != -100 || m.Balance != 900 ||
		m.Ref != uint64(first.Envelope) || m.Receivers != 1 || m.Expires != first.Expires {
		t.Errorf("the sender sees %+v %+v", sent, m)
	}
	if m := got.Money; m.Event != im.EnvelopeReceived || got.Peer != 1 || got.Outgoing || m.Cents != 0 || m.Total != 100 || m.Shares != 1 ||
		string(got.Content.Body) != "x" {
		t.Errorf("the receiver sees %+v %+v", got, m)
	}
}

// Two envelopes of the same batch cannot spend the same money.
func TestNoOverdraftWithinABatch(t *testing.T) {
	f := newFair(t, 2)
	a := f.user(1)
	a.call(func(tx *Tx) {
		for range 2 {
			_, err := a.ent.Handle(tx, &im.CreateEnvelope{Key: f.key(), To: []im.UserID{2}, Total: 600, Shares: 1})
			if kind := im.KindOf(err); kind != 0 && kind != im.Insufficient {
				t.Fatal(err)
			}
		}
	})
	f.wantBalances(400)
}

// The statement is a chain back through the log, and adds up.
func TestStatement(t *testing.T) {
	f := newFair(t, 2)
	env := f.send(10, 1, 2)
	f.user(1).must(send(2, 1, "between"))
	f.user(2).must(send(1, 1, "and back"))
	f.exchange()
	env.must(&im.Open{User: 2})
	f.exchange()
	f.topUp(1, 20)
	for id, want := range map[im.UserID][]im.Cents{1: {20, -10, 1000}, 2: {10, 1000}} {
		w := f.user(id).must(&im.GetWallet{}).(*im.WalletInfo)
		balance, seq := w.Balance, w.LastSeq
		for _, cents := range want {
			var e wire.Entry
			if err := e.Unmarshal(f.user(id).visible[seq-1]); err != nil || e.Money.Cents != cents || e.Money.Balance != balance {
				t.Fatalf("user %d entry %d is %+v, want %d and then %d (%v)", id, seq, e.Money, cents, balance, err)
			}
			balance, seq = balance-cents, e.Money.Prev
		}
		if balance != 0 || seq != 0 {
			t.Fatalf("user %d: the statement goes on at %d with %d cents", id, seq, balance)
		}
	}
}

// What ended long ago is forgotten; what belongs to it is not taken any more.
func TestDealingsAreForgotten(t *testing.T) {
	f := newFair(t, 2)
	env := f.send(10, 1, 2)
	f.user(2).out = nil
	env.must(&im.Open{User: 2})
	last := env.out[0]
	f.exchange()
	now := f.user(1).now + im.DefaultLifetime + im.WalletMemory
	for id := im.UserID(1); id <= 2; id++ {
		a := f.user(id)
		a.now = now
		a.snapshot()
		if n := len(a.user().dealings()); n != 0 {
			t.Fatalf("user %d remembers %d dealings", id, n)
		}
		a.restart()
		if got, want := picture(a.load().(*user), true), picture(a.user(), true); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	first := *last
	first.Seq = 1
	before := len(f.user(2).log)
	f.user(2).receive(&first)
	f.user(2).receive(last)
	if len(f.user(2).log) != before {
		t.Fatal("an old message was taken")
	}
	f.wantBalances(990, 1010)
}

// What is not over, or not acknowledged, is remembered however old it is.
func TestUnfinishedDealingsAreRemembered(t *testing.T) {
	f := newFair(t, 2)
	held := f.key()
	f.user(1).must(&im.Withdraw{Key: held, Cents: 5})
	f.exchange()
	f.advance(10_000)
	lost := f.key()
	f.user(1).must(&im.CreateEnvelope{Key: lost, To: []im.UserID{2}, Total: 10, Shares: 1})
	f.user(1).out = nil
	f.user(1).now += im.DefaultLifetime + im.WalletMemory
	f.user(1).snapshot()
	// The top up is forgotten.
	if n := len(f.user(1).user().dealings()); n != 2 {
		t.Fatalf("%d dealings are left", n)
	}
	// One that somebody else made, and still owes an ack, too.
	p := f.user(1).user().pairs[im.Envelope(im.EnvelopeOf(1, lost))]
	p.deal.finished = true
	if p.over(f.user(1).now) {
		t.Fatal("what is not acknowledged is over")
	}
	f.at(im.Payment(im.WithdrawalOf(1, held))).must(&im.Settle{})
	f.exchange()
	f.advance(60_000)
	f.wantBalances(990)
}

// The hand-coded record of a dealing is what the generated code writes.
func TestDealingRecord(t *testing.T) {
	f := newFair(t, 2)
	res := f.user(1).must(&im.CreateEnvelope{Key: f.key(), To: []im.UserID{2}, Total: 10, Shares: 1}).(*im.EnvelopeCreated)
	f.user(1).snapshot()
	addr := im.Envelope(res.Envelope)
	p := f.user(1).user().pairs[addr]
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&storev1.Dealing{
		Link:    &storev1.PurseLink{Peer: storedAddr(addr), Out: 1, Outstanding: []uint64{uint64(newRef(2, false))}},
		UntilMs: int64(res.Expires), Seq: uint64(res.Seq), Hash: p.deal.hash,
	})
	if got := f.user(1).records[dealingKey(addr)]; err != nil || string(got) != string(want) {
		t.Fatalf("got\n%x, want\n%x (%v)", got, want, err)
	}
}
