package shake

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/store/memstore"
)

// shaken and opened are operations of the histories: who did it, where.
type (
	shaken struct {
		user im.UserID
		out  im.Shaken
	}
	opening struct {
		envelope im.EnvelopeID
		user     im.UserID
		cents    im.Cents
		kind     im.ErrorKind
	}
)

// history collects operations of many goroutines.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) add(client int, call time.Duration, what any) {
	done := time.Since(h.began)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: what, Call: int64(call), Output: what, Return: int64(done)})
}

// split makes one history of each key.
func split(ops []porcupine.Operation, key func(any) uint64) [][]porcupine.Operation {
	parts := map[uint64][]porcupine.Operation{}
	for _, op := range ops {
		k := key(op.Input)
		parts[k] = append(parts[k], op)
	}
	var list [][]porcupine.Operation
	for _, part := range parts {
		list = append(list, part)
	}
	return list
}

// shakeModel is what each user may see of a campaign: wins up to the limit, and
// the limit only then. After Busy the shake may have won.
func shakeModel(limit int) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			return split(ops, func(in any) uint64 { return uint64(in.(shaken).user) })
		},
		Init: func() []any { return []any{0} },
		Step: func(state, in, _ any) []any {
			n := state.(int)
			switch in.(shaken).out.Outcome {
			case im.ShakeWon:
				if n < limit {
					return []any{n + 1}
				}
			case im.ShakeLimit:
				if n >= limit {
					return []any{n}
				}
			case im.ShakeBusy:
				if n < limit {
					return []any{n, n + 1}
				}
				return []any{n}
			case im.ShakeNothing:
				return []any{n}
			}
			return nil
		},
	}).ToModel()
}

// shares is an envelope: who has opened what.
type shares struct {
	by  map[im.UserID]im.Cents
	sum im.Cents
}

// openModel is an envelope with some shares of a sum: everyone gets one, always
// the same, until all are gone, and all together make the sum.
func openModel(count int, total im.Cents) porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			return split(ops, func(in any) uint64 { return uint64(in.(opening).envelope) })
		},
		Init: func() any { return &shares{} },
		Step: func(state, in, _ any) (bool, any) {
			s, o := state.(*shares), in.(opening)
			cents, again := s.by[o.user]
			switch {
			case o.kind == im.AllGone:
				return len(s.by) == count && !again, s
			case o.kind != im.KindUnspecified:
				return false, s
			case again:
				return cents == o.cents, s
			case len(s.by) == count, s.sum+o.cents > total, len(s.by) == count-1 && s.sum+o.cents != total:
				return false, s
			}
			next := &shares{by: maps.Clone(s.by), sum: s.sum + o.cents}
			if next.by == nil {
				next.by = map[im.UserID]im.Cents{}
			}
			next.by[o.user] = o.cents
			return true, next
		},
		Equal: func(a, b any) bool { return maps.Equal(a.(*shares).by, b.(*shares).by) },
	}
}

// moving is a mailbox that another one takes over from.
type moving struct {
	im.Mailbox
	now atomic.Pointer[mailbox.Mailbox]
}

// Submit implements im.Mailbox.
func (m *moving) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	m.now.Load().Submit(to, cmd, done)
}

func startMailbox(t *testing.T, st *memstore.Store, node string) *mailbox.Mailbox {
	t.Helper()
	cfg := mailbox.DefaultConfig()
	cfg.Node, cfg.Logger, cfg.Admission.Threshold = node, slog.New(slog.DiscardHandler), 0
	m := mailbox.New(cfg, st)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	title          = "new year"
	linearUsers    = 100
	linearShares   = 40
	linearLimit    = 3
	linearClients  = 50
	envelopeCents  = 1000
	linearWins     = 200
	linearOpenings = 3000
)

// scene is a real mailbox with two desks, a campaign and some envelopes.
type scene struct {
	t         *testing.T
	mailbox   *moving
	desks     []*Desk
	campaign  im.CampaignID
	envelopes []im.EnvelopeID
	history
	won, opened atomic.Int64
}

func do[T any](s *scene, to im.Addr, cmd im.Command) T {
	s.t.Helper()
	res, err := im.Ask[T](s.t.Context(), s.mailbox, to, cmd)
	if err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
	return res
}

func (s *scene) provision(user im.UserID, friends ...im.UserID) {
	s.t.Helper()
	if _, err := im.Do(s.t.Context(), s.mailbox, im.User(user), &im.Provision{Friends: friends, TokenHashes: [][32]byte{{1}}}); err != nil {
		s.t.Fatal(err)
	}
}

func newScene(t *testing.T, first *mailbox.Mailbox) *scene {
	s := &scene{t: t, mailbox: &moving{}}
	s.began = time.Now()
	s.mailbox.now.Store(first)
	for range 2 {
		d, err := New(Config{Mailbox: s.mailbox, Logger: slog.New(slog.DiscardHandler), Sets: 2, Pace: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		s.desks = append(s.desks, d)
	}
	var friends []im.UserID
	for user := im.UserID(2); user < 2+linearUsers; user++ {
		friends = append(friends, user)
		s.provision(user, 1)
	}
	s.provision(1, friends...)
	do[*im.PaymentInfo](s, im.Payment(im.TopUpOf("all")), &im.TopUp{Reference: "all", User: 1, Cents: 1_000_000})
	now := im.Millis(time.Now().UnixMilli())
	for do[*im.WalletInfo](s, im.User(1), &im.GetWallet{}).Balance == 0 {
	}
	for i := range 3 {
		e := do[*im.EnvelopeCreated](s, im.User(1), &im.CreateEnvelope{Key: im.Key{Name: fmt.Sprint(i), Asked: now}, To: friends,
			Total: envelopeCents, Shares: linearShares, Rule: im.SplitRandom})
		s.envelopes = append(s.envelopes, e.Envelope)
	}
	s.campaign = do[*im.CampaignCreated](s, im.User(1), &im.CreateCampaign{Key: im.Key{Name: "c", Asked: now}, Total: 10_000, Count: 2000,
		Rule: im.SplitRandom, Rate: 2000, Start: now, End: now + 60_000, Limit: linearLimit, Lease: 500, Title: title}).Campaign
	return s
}

// client shakes and opens until there is enough of both.
func (s *scene) client(id int, wins, openings int64) {
	rng := rand.New(rand.NewPCG(7, uint64(id)))
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for s.won.Load() < wins || s.opened.Load() < openings {
		select {
		case <-pace.C:
		case <-s.t.Context().Done():
			return
		}
		if user := im.UserID(2 + rng.IntN(linearUsers)); rng.IntN(2) == 0 {
			s.shake(id, user, s.desks[rng.IntN(len(s.desks))])
		} else {
			s.open(id, user, s.envelopes[rng.IntN(len(s.envelopes))])
		}
	}
}

func (s *scene) shake(id int, user im.UserID, d *Desk) {
	call := time.Since(s.began)
	answer := make(chan im.Shaken, 1)
	d.Shake(user, s.campaign, func(out im.Shaken) { answer <- out })
	out := <-answer
	if out.Outcome == im.ShakeWon {
		s.won.Add(1)
	}
	s.add(id, call, shaken{user, out})
}

// open opens until it is known what became of it.
func (s *scene) open(id int, user im.UserID, e im.EnvelopeID) {
	call := time.Since(s.began)
	for {
		o, err := im.Ask[*im.Opened](s.t.Context(), s.mailbox, im.Envelope(e), &im.Open{User: user})
		kind := im.KindOf(err)
		switch {
		case kind.Temporary() && s.t.Context().Err() == nil:
			continue
		case err == nil:
			s.add(id, call, opening{e, user, o.Cents, kind})
		default:
			s.add(id, call, opening{e, user, 0, kind})
		}
		s.opened.Add(1)
		return
	}
}

func (s *scene) run(wins, openings int64) *sync.WaitGroup {
	var all sync.WaitGroup
	for id := range linearClients {
		all.Go(func() { s.client(id, wins, openings) })
	}
	return &all
}

// What many goroutines see of a campaign and of envelopes, while one mailbox
// takes over from another that does not know it yet, can be put in an order in
// which it makes sense.
func TestLinearizable(t *testing.T) {
	st := memstore.New(time.Now)
	first := startMailbox(t, st, "first")
	s := newScene(t, first)
	s.run(linearWins/2, linearOpenings/2).Wait()
	rest := s.run(linearWins, linearOpenings)
	second := startMailbox(t, st, "second")
	s.mailbox.now.Store(second)
	first.Stop()
	rest.Wait()
	repeated := uint64(0)
	for _, d := range s.desks {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		repeated += d.Stats().Repeated
	}
	info := do[*im.CampaignInfo](s, im.Campaign(s.campaign), &im.GetCampaign{})
	second.Stop()
	t.Logf("%d claims were repeated", repeated)
	s.judge(info)
}

func (s *scene) judge(info *im.CampaignInfo) {
	t := s.t
	t.Helper()
	var shakes, opens []porcupine.Operation
	counts := map[im.ShakeOutcome]int{}
	for _, op := range s.ops {
		switch in := op.Input.(type) {
		case shaken:
			shakes = append(shakes, op)
			counts[in.out.Outcome]++
		case opening:
			opens = append(opens, op)
		}
	}
	if told := counts[im.ShakeWon]; int(info.Won) < told || int(info.Won) > told+counts[im.ShakeBusy] {
		t.Errorf("%d wins were told, and %d were busy; the campaign says %d", told, counts[im.ShakeBusy], info.Won)
	}
	for what, res := range map[string]porcupine.CheckResult{
		"shakes":   porcupine.CheckOperationsTimeout(shakeModel(linearLimit), shakes, time.Minute),
		"openings": porcupine.CheckOperationsTimeout(openModel(linearShares, envelopeCents), opens, time.Minute),
	} {
		if res != porcupine.Ok {
			t.Errorf("%s: %v", what, res)
		}
	}
	t.Logf("%d shakes %v, %d openings; the campaign: %d won", len(shakes), counts, len(opens), info.Won)
}

// The models refuse what must not happen.
func TestModelsCanFail(t *testing.T) {
	op := func(call, ret int64, what any) porcupine.Operation {
		return porcupine.Operation{Input: what, Call: call, Output: what, Return: ret}
	}
	won := shaken{5, im.Shaken{Outcome: im.ShakeWon}}
	limit := shaken{5, im.Shaken{Outcome: im.ShakeLimit}}
	busy := shaken{5, im.Shaken{Outcome: im.ShakeBusy}}
	for what, test := range map[string]struct {
		model porcupine.Model
		ops   []porcupine.Operation
		want  bool
	}{
		"limit reached":        {shakeModel(1), []porcupine.Operation{op(0, 1, won), op(2, 3, limit)}, true},
		"limit reached busily": {shakeModel(1), []porcupine.Operation{op(0, 1, busy), op(2, 3, limit)}, true},
		"limit not reached":    {shakeModel(1), []porcupine.Operation{op(0, 1, limit), op(2, 3, won)}, false},
		"over the limit":       {shakeModel(1), []porcupine.Operation{op(0, 1, won), op(0, 1, won)}, false},
		"all opened":           {openModel(2, 9), []porcupine.Operation{op(0, 1, opening{1, 5, 4, 0}), op(2, 3, opening{1, 6, 5, 0})}, true},
		"wrong sum":            {openModel(2, 9), []porcupine.Operation{op(0, 1, opening{1, 5, 4, 0}), op(2, 3, opening{1, 6, 4, 0})}, false},
		"opened twice":         {openModel(2, 9), []porcupine.Operation{op(0, 1, opening{1, 5, 4, 0}), op(2, 3, opening{1, 5, 5, 0})}, false},
		"gone too early":       {openModel(1, 9), []porcupine.Operation{op(0, 1, opening{1, 5, 0, im.AllGone}), op(2, 3, opening{1, 6, 9, 0})}, false},
	} {
		if got := porcupine.CheckOperations(test.model, test.ops); got != test.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
