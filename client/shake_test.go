package client

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestShake(t *testing.T) {
	s := newFakeServer(t)
	answers := map[im.CampaignID]im.Shaken{
		1: {Outcome: im.ShakeNothing}, 2: {Outcome: im.ShakeWon, Cents: 500}, 3: {Outcome: im.ShakeLimit},
		4: {Outcome: im.ShakeClosed}, 1 << 63: {Outcome: im.ShakeBusy, RetryAfterMS: 300},
	}
	s.onShake = func(m wire.Shake) *im.Shaken {
		out := answers[m.Campaign]
		return &out
	}
	c := dialFake(t, s, Options{})
	for campaign, want := range answers {
		out, err := c.Shake(t.Context(), uint64(campaign))
		var e *Error
		if want.Outcome == im.ShakeBusy {
			if !errors.As(err, &e) || e.Kind != Busy || e.RetryAfterMS != 300 {
				t.Errorf("busy: %+v, %v", out, err)
			}
			continue
		}
		if err != nil || out != (Outcome{want.Outcome, want.Cents}) {
			t.Errorf("campaign %d: %+v, %v; want %+v", campaign, out, err, want)
		}
	}
}

// Shakes are answered in any order.
func TestShakesAreAnsweredByID(t *testing.T) {
	s := newFakeServer(t)
	var held []wire.Shake
	s.onShake = func(m wire.Shake) *im.Shaken {
		if held = append(held, m); len(held) == 3 {
			for i := range held {
				m := held[len(held)-1-i]
				s.link.say(wire.AppendShakenFrame(nil, &wire.Shaken{ID: m.ID, Shaken: im.Shaken{Outcome: im.ShakeWon, Cents: im.Cents(m.Campaign)}}))
			}
		}
		return nil
	}
	c := dialFake(t, s, Options{})
	var all sync.WaitGroup
	for campaign := range uint64(3) {
		all.Go(func() {
			if out, err := c.Shake(t.Context(), campaign); err != nil || out.Cents != im.Cents(campaign) {
				t.Errorf("campaign %d: %+v, %v", campaign, out, err)
			}
		})
	}
	all.Wait()
}

func TestShakeWithoutAnswer(t *testing.T) {
	s := newFakeServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	var cut bool
	s.onShake = func(wire.Shake) *im.Shaken {
		if cut {
			s.link.Close()
		}
		cancel()
		return nil
	}
	c := dialFake(t, s, Options{})
	if _, err := c.Shake(ctx, 1); im.KindOf(err) != Unavailable {
		t.Errorf("given up: %v", err)
	}
	s.look(func() { cut = true })
	// It is not repeated: it may have won.
	if _, err := c.Shake(t.Context(), 1); im.KindOf(err) != Unavailable {
		t.Errorf("the link broke: %v", err)
	}
	c.Close()
	if _, err := c.Shake(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
