package entity

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// show is a campaign of user 1, and the SETs that deal with it.
type show struct {
	*fair
	c *actor
}

// newShow is 900 cents in 90 envelopes, 10 a second, from now on.
func newShow(t tester, change func(*im.CreateCampaign)) *show {
	t.Helper()
	s := &show{fair: newFair(t, 3)}
	cmd := &im.CreateCampaign{Key: s.key(), Total: 900, Count: 90, Rate: 10, Start: s.user(1).now, End: s.user(1).now + 60_000,
		Limit: 2, Lease: 2000, Title: "new year"}
	if change != nil {
		change(cmd)
	}
	first := *s.user(1).must(cmd).(*im.CampaignCreated)
	if again := *s.user(1).must(cmd).(*im.CampaignCreated); again != first {
		t.Fatalf("answers %+v and %+v", first, again)
	}
	s.exchange()
	s.c = s.at(im.Campaign(first.Campaign))
	return s
}

// renew asks for envelopes, for SETs 1, 2, ...
func (s *show) renew(wants ...uint32) []im.Lease {
	s.t.Helper()
	cmd := &im.RenewSets{}
	for i, want := range wants {
		cmd.Sets = append(cmd.Sets, im.SetWant{Set: im.SetID(i + 1), Want: want})
	}
	return s.c.must(cmd).(*im.Leases).Leases
}

func (s *show) claim(l im.Lease, user im.UserID) im.ClaimOutcome {
	s.t.Helper()
	return s.c.must(&im.Claim{Lease: l.ID, Set: l.Set, User: user}).(*im.Claimed).Outcome
}

func (s *show) wantClaim(l im.Lease, user im.UserID, want im.ClaimOutcome) {
	s.t.Helper()
	if got := s.claim(l, user); got != want {
		s.t.Fatalf("lease %d for user %d: outcome %d, want %d", l.ID, user, got, want)
	}
}

// wantLast is a win, and whether it is the user's last one.
func (s *show) wantLast(l im.Lease, user im.UserID, last bool) {
	s.t.Helper()
	got := s.c.must(&im.Claim{Lease: l.ID, Set: l.Set, User: user}).(*im.Claimed)
	if got.Outcome != im.ClaimWon || got.Last != last {
		s.t.Fatalf("lease %d for user %d: %+v, want a win with last %v", l.ID, user, got, last)
	}
}

func (s *show) info() *im.CampaignInfo {
	s.t.Helper()
	return s.c.must(&im.GetCampaign{}).(*im.CampaignInfo)
}

func TestCampaignRate(t *testing.T) {
	s := newShow(t, func(c *im.CreateCampaign) { c.Start += 1000; c.Lease = 60_000 })
	if got := s.renew(50); len(got) != 0 {
		t.Fatalf("%d envelopes before the start", len(got))
	}
	dealt := 0
	if !s.c.pending {
		t.Fatal("nobody would wake the campaign at its end")
	}
	s.c.now += 1000
	for second := range 10 {
		for range 20 {
			dealt += len(s.renew(50))
			s.c.now += 50
		}
		// The first is there at once.
		if want := min(10*(second+1), 90); dealt != want {
			t.Fatalf("%d envelopes after %d s, want %d", dealt, second+1, want)
		}
	}
	if n := len(s.renew(50)); n != 0 {
		t.Fatalf("%d more than there are", n)
	}
	s.c.now += 45_000
	s.c.must(&im.ReturnLeases{Leases: []im.LeaseID{90}})
	if l := s.renew(1); len(l) != 1 || l[0].Expires != s.user(1).now+60_000 {
		t.Fatalf("lent beyond the end: %+v", l)
	}
}

// SETs get their turns: of each other in one request, and of those of other
// gateways, who ask on their own.
func TestTurns(t *testing.T) {
	s := newShow(t, func(c *im.CreateCampaign) { c.Rate, c.Lease = 1000, 60_000 })
	s.c.now += 29
	per := map[im.SetID]int{}
	for _, l := range s.renew(50, 50, 50) {
		per[l.Set]++
	}
	if per[1] != 10 || per[2] != 10 || per[3] != 10 {
		t.Fatalf("dealt %v", per)
	}
	ask := func(set im.SetID, want uint32) int {
		return len(s.c.must(&im.RenewSets{Sets: []im.SetWant{{Set: set, Want: want}}}).(*im.Leases).Leases)
	}
	s.c.now += 30
	if a, b := ask(1, 50), ask(2, 50); a != 10 || b != 7 {
		t.Fatalf("set 1 gets %d of 30, set 2 then %d", a, b)
	}
	// Those who want nothing, or are silent, get no turn.
	ask(3, 0)
	ask(2, 0)
	if n := ask(1, 50); n != 13 {
		t.Fatalf("set 1 gets %d of 13", n)
	}
	s.c.now += im.SetSilence
	if n := ask(9, 50); n != 30 {
		t.Fatalf("set 9 gets %d of 30", n)
	}
}

func TestClaims(t *testing.T) {
	s := newShow(t, nil)
	s.c.now += 1000
	l := s.renew(20)
	if len(l) != 11 {
		t.Fatalf("%d leases", len(l))
	}
	s.wantClaim(l[0], 2, im.ClaimWon)
	s.c.restart()
	s.wantLast(l[0], 2, false)
	s.wantClaim(l[0], 3, im.ClaimLate)
	other := l[1]
	other.Set = 7
	s.wantClaim(other, 2, im.ClaimLate)
	s.wantClaim(im.Lease{ID: 99, Set: 1}, 2, im.ClaimLate)
	s.wantLast(l[1], 2, true)
	s.wantLast(l[0], 2, true)
	s.wantClaim(l[2], 2, im.ClaimLimit)
	s.wantClaim(l[2], 3, im.ClaimWon)
	s.c.refuses(&im.Claim{Lease: l[3].ID, Set: 1}, im.Invalid)
	s.exchange()
	s.advance(5000)
	s.wantBalances(100, 1020, 1010)
	e := s.user(2).lastEntry()
	if e.Money.Event != im.CampaignWon || e.Money.Cents != 10 || string(e.Content.Body) != "new year" {
		t.Fatalf("the winner sees %+v %+v", e, e.Money)
	}
	if i := s.info(); i.Won != 3 || i.WonCents != 30 || i.Winners != 2 || i.Issued != 11 || i.Leased != 0 {
		t.Fatalf("info %+v", i)
	}
	s.advance(60_000)
	s.wantClaim(l[4], 3, im.ClaimOver)
	s.wantClaim(l[0], 2, im.ClaimWon)
	s.wantBalances(970, 1020, 1010)
	if i := s.info(); !i.Finished || i.Returned != 870 || s.c.ent.Status().Wake != 0 {
		t.Fatalf("info %+v", i)
	}
	res := s.c.must(&im.RenewSets{Sets: []im.SetWant{{Set: 1, Want: 5}}}).(*im.Leases)
	if !res.Over || len(res.Leases) != 0 {
		t.Fatalf("after the end: %+v", res)
	}
}

// What nobody claims in time is dealt again, under a new lease; the old one is
// worth nothing then.
func TestLeasesExpire(t *testing.T) {
	s := newShow(t, func(c *im.CreateCampaign) { c.Rate, c.Count, c.Rule = 1000, 20, im.SplitRandom })
	s.c.now += 100
	old := s.renew(100)
	s.wantClaim(old[0], 2, im.ClaimWon)
	s.c.must(&im.ReturnLeases{Leases: []im.LeaseID{old[1].ID, old[1].ID, 99, old[0].ID}})
	s.wantClaim(old[1], 2, im.ClaimLate)
	back := s.renew(100)
	if len(back) != 1 || back[0].Cents != old[1].Cents || back[0].ID == old[1].ID {
		t.Fatalf("dealt again: %+v, was %+v", back, old[1])
	}
	s.c.restart()
	s.c.now += 2000
	s.wantClaim(old[2], 2, im.ClaimLate)
	again := s.renew(100)
	if len(again) != 19 {
		t.Fatalf("%d of 19 are dealt again", len(again))
	}
	for _, l := range old {
		if l.ID != old[0].ID {
			s.wantClaim(l, 2, im.ClaimLate)
		}
	}
	sum := old[0].Cents
	for _, l := range again {
		sum += l.Cents
	}
	if sum != 900 {
		t.Fatalf("%d cents are dealt", sum)
	}
	for i, l := range again {
		s.c.now++
		if s.wantClaim(l, im.UserID(100+i), im.ClaimWon); i == 0 {
			s.c.restart()
		}
	}
	if i := s.info(); !i.Finished || i.Returned != 0 || i.WonCents != 900 {
		t.Fatalf("all are won: %+v", i)
	}
}

func TestCampaignBlocks(t *testing.T) {
	s := newShow(t, func(c *im.CreateCampaign) {
		c.Rate, c.Count, c.Total, c.Rule = 100_000, 999, 1000, im.SplitRandom
		c.Lease = 60_000
	})
	s.c.now += 5000
	sum, n := im.Cents(0), 0
	for l := s.renew(300); len(l) > 0; l = s.renew(300) {
		s.c.restart()
		for _, one := range l {
			sum += one.Cents
			n++
		}
	}
	if sum != 1000 || n != 999 {
		t.Fatalf("%d envelopes with %d cents", n, sum)
	}
}

// A snapshot writes what changed, not all winners.
func TestCampaignSnapshotIsSmall(t *testing.T) {
	s := newShow(t, func(c *im.CreateCampaign) { c.Rate, c.Count = 100_000, 900; c.Lease = 60_000 })
	s.c.now += 1000
	for user := im.UserID(100); ; {
		l := s.renew(300)
		if len(l) == 0 {
			break
		}
		for _, one := range l[:len(l)-1] {
			s.wantClaim(one, user, im.ClaimWon)
			user++
		}
	}
	s.c.snapshot()
	l := s.renew(1)
	if len(l) != 0 {
		t.Fatal("there are more")
	}
	s.c.receive(&Message{From: im.User(100), To: s.c.addr, Ack: 1})
	tx := &Tx{Self: s.c.addr, Now: s.c.now}
	s.c.ent.Snapshot(tx)
	var keys []string
	bytes := 0
	for _, r := range tx.Put {
		keys, bytes = append(keys, r.Key), bytes+len(r.Value)
	}
	if want := []string{headKey, pageKey(0)}; !slices.Equal(keys, want) || bytes > 4096 {
		t.Fatalf("wrote %v, %d bytes; want %v", keys, bytes, want)
	}
}

func TestCreateCampaignRefusals(t *testing.T) {
	f := newFair(t, 1)
	now := f.user(1).now
	for what, test := range map[string]struct {
		change func(*im.CreateCampaign)
		kind   im.ErrorKind
	}{
		"nothing":   {func(c *im.CreateCampaign) { c.Total = 0 }, im.Invalid},
		"too few":   {func(c *im.CreateCampaign) { c.Total = 9 }, im.Invalid},
		"overdraft": {func(c *im.CreateCampaign) { c.Total = 1001 }, im.Insufficient},
		"no count":  {func(c *im.CreateCampaign) { c.Count = 0 }, im.Invalid},
		"count":     {func(c *im.CreateCampaign) { c.Count = im.MaxCampaign + 1 }, im.Invalid},
		"no rate":   {func(c *im.CreateCampaign) { c.Rate = 0 }, im.Invalid},
		"no limit":  {func(c *im.CreateCampaign) { c.Limit = 0 }, im.Invalid},
		"limit":     {func(c *im.CreateCampaign) { c.Limit = im.MaxWins + 1 }, im.Invalid},
		"rate":      {func(c *im.CreateCampaign) { c.Rate = im.MaxRate + 1 }, im.Invalid},
		"rule":      {func(c *im.CreateCampaign) { c.Rule = 9 }, im.Invalid},
		"backwards": {func(c *im.CreateCampaign) { c.End = c.Start }, im.Invalid},
		"long":      {func(c *im.CreateCampaign) { c.End = c.Start + im.MaxCampaignTime + 1 }, im.Invalid},
		"past":      {func(c *im.CreateCampaign) { c.Start, c.End = now-2, now-1 }, im.Invalid},
		"far":       {func(c *im.CreateCampaign) { c.Start += 3 * im.MaxCampaignTime; c.End += 3 * im.MaxCampaignTime }, im.Invalid},
		"lease":     {func(c *im.CreateCampaign) { c.Lease = 1 }, im.Invalid},
		"title":     {func(c *im.CreateCampaign) { c.Title = "\xff" }, im.Invalid},
		"key":       {func(c *im.CreateCampaign) { c.Key.Name = "" }, im.Invalid},
	} {
		c := &im.CreateCampaign{Key: f.key(), Total: 100, Count: 10, Rate: 1, Start: now, End: now + 1000, Limit: 1, Lease: 1000}
		test.change(c)
		if res, err := f.user(1).do(c); im.KindOf(err) != test.kind {
			t.Errorf("%s: %+v, %v; want %v", what, res, err, test.kind)
		}
	}
	f.at(im.Campaign(3)).refuses(&im.GetCampaign{}, im.NotFound)
	f.at(im.Campaign(3)).refuses(&im.Claim{Lease: 1, Set: 1, User: 1}, im.NotFound)
}
