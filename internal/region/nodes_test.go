package region

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// another is a second node's Region over the mailbox of one. carried are the
// messages that it has for the first one.
func (p *pair) another(r *Region, carried chan<- *entity.Message) *Region {
	p.t.Helper()
	cfg := r.cfg
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Carry = func(m *entity.Message) bool {
		carried <- m
		return true
	}
	again, err := New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(again.Stop)
	return again
}

// next waits for what comes.
func next[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing comes")
	}
	return v
}

// A user moves away and comes back by one node; the other one, which has not
// heard of it, serves them all the same.
func TestNodesHearLate(t *testing.T) {
	p := newPair(t)
	carried := make(chan *entity.Message, 10)
	other := p.another(p.east, carried)
	p.must(p.east, im.User(1), &im.Provision{})
	p.must(other, im.User(1), &im.ListDevices{})
	move := func(r *Region, to im.Region) {
		t.Helper()
		if _, err := r.Move(t.Context(), 1, to); err != nil {
			t.Fatal(err)
		}
	}
	move(p.east, "west")
	p.refused("a user who has left by another node", im.Moved, other, im.User(1), &im.ListDevices{})
	move(p.west, "east")
	if h, _ := other.homes.known(1); h.Region != "west" {
		t.Fatalf("the other node has heard: %+v", h)
	}
	m := &entity.Message{From: im.User(2), To: im.User(1), Seq: 1}
	other.Deliver("west", m, 1)
	if got := <-carried; got != m || other.Stats().Strays != 0 {
		t.Errorf("a message for who has come back: %+v, %+v", got, other.Stats())
	}
	p.must(other, im.User(1), &im.ListDevices{})
	move(other, "west")
	move(p.west, "east")
	// It thinks that the user is in west, and moves them there again.
	if moved, err := other.Move(t.Context(), 1, "west"); err != nil || moved.Home.Version != 6 {
		t.Errorf("%+v, %v", moved, err)
	}
}

// Word of a user who has moved goes on to the node whose entity sent something in
// vain, and not to the entity.
func TestCorrectionsFindTheirNode(t *testing.T) {
	p := newPair(t)
	carried := make(chan *entity.Message, 10)
	other := p.another(p.east, carried)
	p.must(p.east, im.User(1), &im.Provision{})
	p.must(p.west, im.User(2), &im.Provision{})
	p.must(other, im.User(1), &im.ListDevices{})
	word := &entity.Message{From: im.User(2), To: im.User(1), Body: entity.HomeBody(entity.BodyMoved, im.Home{Region: "north", Version: 9})}
	other.Deliver("west", word, 0)
	if !other.Forward(word) || next(t, carried) != word || next(t, carried) != word {
		t.Fatal("it is not carried on")
	}
	for what, r := range map[string]*Region{"who took it": other, "who gets it": p.east} {
		r.Receive(word)
		if h, _ := r.homes.known(2); h.Version != 9 {
			t.Errorf("%s believes %+v", what, h)
		}
	}
}

// Word of a move that comes to where its receiver lived goes on to where they live,
// and is answered with that; the answer goes no further.
func TestCorrectionsFollow(t *testing.T) {
	p := newPair(t)
	p.must(p.east, im.User(1), &im.Provision{})
	p.must(p.west, im.User(2), &im.Provision{})
	if _, err := p.west.Move(t.Context(), 2, "east"); err != nil {
		t.Fatal(err)
	}
	type sent struct {
		to   im.Region
		m    *entity.Message
		hops uint8
	}
	var out []sent
	p.west.cfg.Send = func(to im.Region, m *entity.Message, hops uint8) { out = append(out, sent{to, m, hops}) }
	deliver := func(hops uint8) {
		t.Helper()
		word := &entity.Message{From: im.User(1), To: im.User(2), Body: entity.HomeBody(entity.BodyMoved, im.Home{Region: "north", Version: 9})}
		p.west.Deliver("north", word, hops)
		// What was asked of the own copy has been answered when this is.
		p.must(p.west, im.HomeAddr(2), &im.GetHome{})
	}
	deliver(maxHops)
	if len(out) != 0 {
		t.Fatalf("it goes on for ever: %+v", out)
	}
	done := make(chan struct{})
	p.west.cfg.Send = func(to im.Region, m *entity.Message, hops uint8) {
		if out = append(out, sent{to, m, hops}); len(out) == 2 {
			close(done)
		}
	}
	deliver(0)
	<-done
	if out[0].to != "north" || out[0].m.From != im.User(2) || out[0].hops != maxHops || out[0].m.Body.Home().Region != "east" {
		t.Errorf("the answer is %+v", out[0])
	}
	if out[1].to != "east" || out[1].m.From != im.User(1) || out[1].hops != 1 {
		t.Errorf("what goes on is %+v", out[1])
	}
}

// Word of a move goes on to where its receiver lives by what the own copy of the home says,
// even if memory says that they live here: where it comes from another region, and where
// it begins.
func TestCorrectionsFollowWhatTheCopySays(t *testing.T) {
	for what, test := range map[string]struct {
		word func(r *Region, m *entity.Message)
		want []im.Region
	}{
		"from another region": {func(r *Region, m *entity.Message) { r.Deliver("north", m, 0) }, []im.Region{"north", "east"}},
		"from an entity here": {func(r *Region, m *entity.Message) { r.Forward(m) }, []im.Region{"east"}},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPair(t)
			p.must(p.east, im.User(1), &im.Provision{})
			p.must(p.west, im.User(2), &im.Provision{})
			other := p.another(p.west, make(chan *entity.Message, 10))
			p.must(other, im.User(2), &im.ListDevices{})
			if _, err := p.west.Move(t.Context(), 2, "east"); err != nil {
				t.Fatal(err)
			}
			sent := make(chan im.Region, 10)
			other.cfg.Send = func(to im.Region, _ *entity.Message, _ uint8) { sent <- to }
			test.word(other, &entity.Message{From: im.User(1), To: im.User(2), Body: entity.HomeBody(entity.BodyMoved, im.Home{Region: "north", Version: 9})})
			for _, want := range test.want {
				if to := next(t, sent); to != want {
					t.Errorf("%s hears of it, not %s", to, want)
				}
			}
		})
	}
}
