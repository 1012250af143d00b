package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// noJitter waits as long as it may.
func noJitter(n int64) int64 { return n - 1 }

func dialFake(t *testing.T, s *fakeServer, opts Options) *Client {
	t.Helper()
	c, err := tryFake(t.Context(), s, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func tryFake(ctx context.Context, s *fakeServer, opts Options) (*Client, error) {
	if opts.Addr == "" {
		opts.Addr = "tcp://home:1"
	}
	opts.Token, opts.dial = "token", s.dial
	if opts.Backoff.Jitter == nil {
		opts.Backoff.Jitter = noJitter
	}
	return Dial(ctx, opts)
}

func mustSend(t *testing.T, c *Client, body string) Receipt {
	t.Helper()
	r, err := c.SendText(t.Context(), 9, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantAccepted(t *testing.T, s *fakeServer, want ...string) {
	t.Helper()
	s.look(func() {
		if diff := cmp.Diff(want, s.accepted); diff != "" {
			t.Errorf("accepted (-want +got)\n%s", diff)
		}
	})
}

func TestSendAndReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.arrive("before")
		c := dialFake(t, s, Options{Heartbeat: 20 * time.Second, Agent: "test"})
		if diff := cmp.Diff(Identity{User: 7, Device: 2, Name: "alice"}, c.Self()); diff != "" {
			t.Error(diff)
		}
		e := <-c.Entries()
		if e.Seq != 1 || string(e.Content.Body) != "before" || e.Kind != Message || e.Peer != 9 || !e.Time.Equal(time.UnixMilli(1000)) {
			t.Errorf("entry %+v", e)
		}
		r := mustSend(t, c, "hello")
		if diff := cmp.Diff(Receipt{Seq: 2, ClientSeq: 1, PairID: 1, Time: time.UnixMilli(1000)}, r); diff != "" {
			t.Error(diff)
		}
		s.arrive("after")
		if e := <-c.Entries(); e.Seq != 3 {
			t.Errorf("entry %+v", e)
		}
		synctest.Wait()
		if c.Cursor() != 3 || c.Head() != 3 || !c.Connected() {
			t.Errorf("cursor %d, head %d", c.Cursor(), c.Head())
		}
		s.look(func() {
			h := s.hellos[0]
			if h.GetToken() != "token" || h.Cursor != nil || h.GetHeartbeatMs() != 20_000 || h.GetAgent() != "test" || h.GetVersion() != 1 {
				t.Errorf("hello %v", h)
			}
		})
	})
}

// The link dies after the server has accepted a message and before it could
// say so.
func TestSendSurvivesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		cuts := 0
		s.onSend = func(*wire.Send) (*im.Error, bool) { cuts++; return nil, cuts == 1 }
		c := dialFake(t, s, Options{})
		if r := mustSend(t, c, "a"); r.Seq != 1 || r.ClientSeq != 1 {
			t.Errorf("receipt %+v", r)
		}
		mustSend(t, c, "b")
		wantAccepted(t, s, "a", "b")
		s.look(func() {
			if len(s.hellos) != 2 {
				t.Errorf("%d logins", len(s.hellos))
			}
		})
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.onSend = func(m *wire.Send) (*im.Error, bool) {
			if m.To == 10 {
				return &im.Error{Kind: im.NotContact, Detail: "no"}, false
			}
			return nil, false
		}
		c := dialFake(t, s, Options{})
		_, err := c.SendText(t.Context(), 10, "x")
		var e *Error
		if !errors.As(err, &e) || e.Kind != NotContact || e.Detail != "no" {
			t.Errorf("error %v", err)
		}
		if _, err := c.Send(t.Context(), 9, Content{Type: ContentText, Body: []byte{0xff}}); KindOf(err) != Invalid {
			t.Errorf("text that is not UTF-8: %v", err)
		}
		mustSend(t, c, "y")
		wantAccepted(t, s, "y")
	})
}

func TestBusyIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		var at []time.Duration
		begin := time.Now()
		s.onSend = func(*wire.Send) (*im.Error, bool) {
			at = append(at, time.Since(begin))
			if len(at) < 3 {
				return &im.Error{Kind: im.Busy, RetryAfterMS: 700}, false
			}
			return nil, false
		}
		c := dialFake(t, s, Options{})
		mustSend(t, c, "a")
		mustSend(t, c, "b")
		wantAccepted(t, s, "a", "b")
		want := []time.Duration{0, 900 * time.Millisecond, 2 * time.Second, 2 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
	})
}

func TestCodesThatEndTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		s.look(func() { s.mute = true })
		failed := make(chan error, 2)
		if err := c.SendAsync(9, Text("x"), func(_ Receipt, err error) { failed <- err }); err != nil {
			t.Fatal(err)
		}
		go func() {
			failed <- c.Call(context.Background(), "x", &skeinv1.LogoutRequest{}, new(skeinv1.LogoutResponse))
		}()
		s.look(func() { s.onCall = func(*skeinv1.Call) *skeinv1.Answer { return nil } })
		synctest.Wait()
		s.look(func() { s.mute = false })
		s.cut(&skeinv1.Close{Code: skeinv1.CloseCode_CLOSE_CODE_REVOKED, Reason: "logged out"})
		<-c.Done()
		var ce *CloseError
		if err := c.Err(); !errors.As(err, &ce) || ce.Code != CloseRevoked || ce.Reason != "logged out" || KindOf(err) != Unauthenticated {
			t.Errorf("error %v", err)
		}
		<-failed
		<-failed
		if _, open := <-c.Entries(); open {
			t.Error("entries are not closed")
		}
		for _, err := range []error{
			func() error { _, err := c.SendText(t.Context(), 9, "x"); return err }(),
			c.SendAsync(9, Text("x"), nil),
			c.Call(t.Context(), "x", &skeinv1.LogoutRequest{}, new(skeinv1.LogoutResponse)),
		} {
			if !errors.As(err, &ce) {
				t.Errorf("after the end: %v", err)
			}
		}
		s.look(func() {
			if len(s.hellos) != 1 {
				t.Errorf("%d logins", len(s.hellos))
			}
		})
	})
}

func TestDialGivesUpWhenItIsUseless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.greet = func() *skeinv1.Close {
			return &skeinv1.Close{Code: skeinv1.CloseCode_CLOSE_CODE_UNAUTHENTICATED}
		}
		if _, err := tryFake(t.Context(), s, Options{}); KindOf(err) != Unauthenticated {
			t.Errorf("error %v", err)
		}
		if _, err := tryFake(t.Context(), s, Options{Addr: "http://home"}); KindOf(err) != Invalid {
			t.Errorf("wrong address: %v", err)
		}
		if _, err := Dial(t.Context(), Options{Addr: "tcp://home:1"}); KindOf(err) != Invalid {
			t.Errorf("no token: %v", err)
		}
	})
}

func TestDialTriesUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		refused := errors.New("refused")
		s.refuseDial = func(string) error { return refused }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := tryFake(ctx, s, Options{Backoff: Backoff{Min: time.Second, Max: 3 * time.Second}})
		if !errors.Is(err, refused) || !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != Unavailable {
			t.Errorf("error %v", err)
		}
		var gaps []time.Duration
		for i := 1; i < len(s.dials); i++ {
			gaps = append(gaps, s.dials[i].at.Sub(s.dials[i-1].at))
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}; !slices.Equal(gaps, want) {
			t.Errorf("waited %v, want %v", gaps, want)
		}
	})
}

func TestGoodbyeSaysWhenAndWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{Addr: "ws://home:1/link", Backoff: Backoff{Min: time.Millisecond, Max: time.Millisecond}})
		s.look(func() {
			s.refuseDial = func(addr string) error {
				if addr == "tcp://first:1" {
					return errors.New("refused")
				}
				return nil
			}
		})
		begin := time.Now()
		s.cut(&skeinv1.Close{Code: skeinv1.CloseCode_CLOSE_CODE_GOING_AWAY, RetryAfterMs: 5000, Addresses: []string{"tcp://first:1", "second:2"}})
		mustSend(t, c, "a")
		s.cut(nil)
		synctest.Wait()
		mustSend(t, c, "b")
		var addrs []string
		for _, d := range s.dials {
			addrs = append(addrs, d.addr)
		}
		if want := []string{"ws://home:1/link", "tcp://first:1", "ws://second:2/link", "ws://second:2/link"}; !slices.Equal(addrs, want) {
			t.Errorf("tried %q", addrs)
		}
		if after := s.dials[1].at.Sub(begin); after < 5*time.Second || after > 6*time.Second {
			t.Errorf("came back after %v", after)
		}
	})
}

func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		var got []Notice
		c := dialFake(t, s, Options{OnNotice: func(_ *Client, n Notice) { got = append(got, n) }})
		mustSend(t, c, "a")
		s.look(func() {
			// Frames that this version does not know are skipped.
			s.link.say(wire.AppendFrame(nil, 60, []byte("?")))
			s.link.sayMessage(wire.TypeNotice, &skeinv1.Notice{Id: 5, TimeMs: 7, Content: &skeinv1.Content{
				Type: skeinv1.ContentType_CONTENT_TYPE_TEXT, Body: []byte("back at ten"),
			}})
		})
		synctest.Wait()
		want := []Notice{{ID: 5, Time: time.UnixMilli(7), Content: Text("back at ten")}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("notices (-want +got)\n%s", diff)
		}
		mustSend(t, c, "b")
		wantAccepted(t, s, "a", "b")
	})
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		time.Sleep(5*time.Minute + time.Second)
		s.look(func() {
			if s.pings != 5 || len(s.hellos) != 1 {
				t.Errorf("%d pings and %d logins in 5 minutes", s.pings, len(s.hellos))
			}
			s.mute = true
		})
		// A quiet server that died is found out, and left.
		time.Sleep(91 * time.Second)
		if c.Connected() {
			t.Error("a dead link lives on")
		}
		s.look(func() { s.mute = false })
		mustSend(t, c, "a")
	})
}

// What waits for the server makes the client look after the link sooner.
func TestDeadLinkIsFoundSoonerWithSendsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		s.look(func() { s.mute = true })
		begin := time.Now()
		s.onSend = func(*wire.Send) (*im.Error, bool) {
			s.greet = func() *skeinv1.Close { s.mute = false; return nil }
			return nil, false
		}
		mustSend(t, c, "a")
		if took := time.Since(begin); took > 16*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestServerThatNeverWelcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.mute = true
		go func() {
			time.Sleep(15 * time.Second)
			s.look(func() { s.mute = false })
		}()
		dialFake(t, s, Options{})
		s.look(func() {
			if len(s.dials) != 3 {
				t.Errorf("%d attempts in 20 s", len(s.dials))
			}
		})
	})
}

func TestCloseSaysGoodbyeAndWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.arrive("a", "b")
		c := dialFake(t, s, Options{OnEntry: func(*Client, Entry) error { return nil }})
		synctest.Wait()
		s.look(func() {
			s.onSend = func(*wire.Send) (*im.Error, bool) { s.mute = true; return nil, false }
			if len(s.acks) != 0 {
				t.Errorf("acks %v before any delay", s.acks)
			}
		})
		failed := make(chan error, 1)
		go func() {
			_, err := c.SendText(context.Background(), 9, "x")
			failed <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, ErrClosed) || !errors.Is(c.Err(), ErrClosed) {
			t.Errorf("send: %v, client: %v", err, c.Err())
		}
		synctest.Wait()
		s.look(func() {
			if s.bye.GetCode() != skeinv1.CloseCode_CLOSE_CODE_NORMAL || s.cursor != 2 {
				t.Errorf("goodbye %v at cursor %d", s.bye, s.cursor)
			}
		})
	})
}

// Whatever breaks whenever, everything arrives once and in order, both ways.
func TestChaos(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func chaos(t *testing.T, rng *rand.Rand) {
	s := newFakeServer(t)
	s.window = 10
	s.onSend = func(*wire.Send) (*im.Error, bool) {
		switch rng.IntN(20) {
		case 0:
			return nil, true
		case 1:
			return &im.Error{Kind: im.Busy, RetryAfterMS: 10}, false
		case 2:
			return &im.Error{Kind: im.Unavailable}, true
		}
		return nil, false
	}
	const messages = 300
	feed := rand.New(rand.NewPCG(rng.Uint64(), 2))
	go func() {
		for i := range messages {
			s.arrive(fmt.Sprint(i))
			time.Sleep(time.Duration(feed.IntN(40)) * time.Millisecond)
			if feed.IntN(15) == 0 {
				s.cut(nil)
			}
		}
	}()
	got := map[Seq]bool{}
	var incoming, sent []string
	done := make(chan struct{})
	c := dialFake(t, s, Options{Queue: 4, Outbox: 64, OnEntry: func(c *Client, e Entry) error {
		if got[e.Seq] {
			t.Errorf("entry %d came twice", e.Seq)
		}
		got[e.Seq] = true
		if !e.Outgoing {
			if incoming = append(incoming, string(e.Content.Body)); len(incoming) == messages {
				close(done)
			}
		}
		time.Sleep(5 * time.Millisecond)
		return nil
	}})
	for i := range messages {
		sent = append(sent, fmt.Sprint(i))
		mustSend(t, c, sent[i])
	}
	<-done
	c.Close()
	if !slices.Equal(incoming, sent) {
		t.Errorf("got %q", incoming)
	}
	wantAccepted(t, s, sent...)
}
