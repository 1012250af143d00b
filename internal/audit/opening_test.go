package audit

import (
	"strings"
	"testing"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// forgetful is a site at rest whose wallets' logs have lost their beginnings.
func forgetful(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.fill()
	s.m.Stop()
	s.retain = entity.Retention{Entries: 2, Away: 1}
	s.start()
	for id := im.UserID(1); id <= 3; id++ {
		for s.first(id) == 1 {
			s.must(im.User(id), &im.Tidy{})
		}
	}
	s.m.Stop()
	return s
}

// first is the first entry that a user's log has.
func (s *site) first(id im.UserID) im.Seq {
	s.t.Helper()
	log, err := s.st.ReadLog(s.t.Context(), im.User(id), 1, 1, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	return log[0].Seq
}

// What wallets had where their logs begin follows from what others have sent
// them and taken from them.
func TestTrimmedLogsAddUp(t *testing.T) {
	s := forgetful(t)
	r := s.audit()
	if !r.OK() || r.In != 6000 || r.Out != 40 || r.Held() != 5960 {
		t.Fatalf("%+v", r)
	}
}

func TestErrorsBehindTrimmedLogs(t *testing.T) {
	var h storev1.UserHead
	for what, test := range map[string]struct {
		plant func(s *site)
		where im.Addr
		why   string
	}{
		"money made before the log begins": {func(s *site) {
			// Nothing that is kept says otherwise.
			s.commit(store.Change{Addr: im.User(3), Trim: 1 << 40})
			s.edit(im.User(3), "h", &h, func() { h.Balance, h.Trimmed = h.Balance+5, h.Seq })
		}, im.User(3), "where its log begins"},
		"a payment that nobody made": {func(s *site) {
			s.commit(store.Change{Addr: im.Payment(im.TopUpOf("d")), Trim: 1 << 40})
		}, im.User(3), "where its log begins"},
		"entries that are missing": {func(s *site) {
			s.edit(im.User(3), "h", &h, func() { h.Trimmed = 1 })
		}, im.User(3), "are missing"},
		"money from nowhere": {func(s *site) { s.forge(5, func(*storev1.Event) {}) }, im.User(2), "has taken 1 messages of payment/99, which has sent 0"},
		"a wrong balance in an entry": {func(s *site) {
			s.forge(5, func(ev *storev1.Event) { ev.Entry.Money.Balance++ })
		}, im.User(2), "says 5 cents"},
	} {
		t.Run(what, func(t *testing.T) {
			s := forgetful(t)
			test.plant(s)
			r := s.audit()
			for _, p := range r.Problems {
				if p.Entity == test.where && strings.Contains(p.Detail, test.why) {
					return
				}
			}
			t.Fatalf("found %d problems: %v", r.Found, r.Problems)
		})
	}
}
