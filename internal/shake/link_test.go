package shake

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/wire"
)

// serveLinks is a gateway with a desk, where user 2 may log in.
func (s *scene) serveLinks(desk *Desk) (addr string) {
	t := s.t
	t.Helper()
	var sessions atomic.Uint64
	g, err := gateway.New(gateway.Config{
		Mailbox: s.mailbox, Shaker: desk, Logger: slog.New(slog.DiscardHandler),
		ParseToken:  func(string) (im.UserID, im.DeviceID, [32]byte, error) { return 2, 1, [32]byte{1}, nil },
		NextSession: func() im.SessionID { return im.SessionID(sessions.Add(1)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := link.NewServer(link.Config{Handler: g})
	ln, err := link.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		g.Wait()
	})
	return "tcp://" + ln.Addr().String()
}

// A client shakes over its link, wins as often as it may, and finds the money in
// its timeline.
func TestOverTheLink(t *testing.T) {
	m := startMailbox(t, memstore.New(time.Now), "only")
	t.Cleanup(m.Stop)
	s := newScene(t, m)
	t.Cleanup(func() {
		for _, d := range s.desks {
			if err := d.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	arrived := make(chan client.Entry, linearLimit)
	c, err := client.Dial(t.Context(), client.Options{Addr: s.serveLinks(s.desks[0]), Token: "any", OnEntry: func(_ *client.Client, e client.Entry) error {
		if e.Kind == client.EntryKind(wire.EntryMoney) && string(e.Content.Body) == title {
			arrived <- e
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if out, err := c.Shake(t.Context(), 12345); err != nil || out.ShakeOutcome != client.ShakeClosed {
		t.Errorf("of a campaign that is not there: %+v, %v", out, err)
	}
	cents := im.Cents(0)
	for {
		out, err := c.Shake(t.Context(), uint64(s.campaign))
		if err != nil {
			t.Fatal(err)
		}
		if out.ShakeOutcome == client.ShakeLimit {
			break
		}
		if out.ShakeOutcome == client.ShakeWon {
			cents += out.Cents
		}
	}
	for range linearLimit {
		<-arrived
	}
	if has := do[*im.WalletInfo](s, im.User(2), &im.GetWallet{}).Balance; has != cents {
		t.Errorf("won %d cents, and has %d", cents, has)
	}
}
