package gateway

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

func TestPingCarriesBytes(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	for _, n := range []int{0, 1, wire.MaxPing} {
		payload := bytes.Repeat([]byte{7}, n)
		c.write(wire.AppendFrame(nil, wire.TypePing, payload))
		if got := c.read(wire.TypePong); !bytes.Equal(got, payload) {
			t.Errorf("%x came back as %x", payload, got)
		}
	}
	c.write(wire.AppendFrame(nil, wire.TypePing, make([]byte, wire.MaxPing+1)))
	c.expectClose(im.CloseProtocol)
}

// Notices are for those who have logged in, wherever their mailbox is.
func TestNotices(t *testing.T) {
	r := newRig(t, nil)
	fresh := r.dial(t)
	waiting := r.hail(t)
	r.take(t)
	a, _ := r.login(t)
	b, sink := r.login(t)
	sink.Kick(im.CloseUnavailable, "moving")
	r.take(t)
	notice := message(t, wire.TypeNotice, &skeinv1.Notice{Id: 77})
	reached, err := r.srv.Broadcast(t.Context(), notice, r.g.LoggedIn)
	if reached != 2 || err != nil {
		t.Errorf("reached %d: %v", reached, err)
	}
	for _, c := range []*client{a, b} {
		var n skeinv1.Notice
		if c.readMessage(wire.TypeNotice, &n); n.Id != 77 {
			t.Errorf("notice %v", &n)
		}
	}
	waiting.roundTrip()
	fresh.write(wire.AppendPing(nil))
	fresh.expectClose(im.CloseProtocol)
}

// Bodies that wait for their answers are bounded, wherever they wait.
func TestBytesAreBounded(t *testing.T) {
	body := strings.Repeat("x", im.MaxBody-1)
	for name, tc := range map[string]struct {
		tune func(g *Config)
		fit  int
	}{
		"per connection": {func(g *Config) { g.MaxConnBytes = 3 * im.MaxBody }, 6},
		"per user":       {func(g *Config) { g.MaxUserBytes = 5 * im.MaxBody }, 5},
		"in all":         {func(g *Config) { g.MaxBytes = 4 * im.MaxBody }, 4},
		"not below one":  {func(g *Config) { g.MaxConnBytes, g.MaxUserBytes, g.MaxBytes = 1, 1, 1 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(g *Config, _ *link.Config) { tc.tune(g) })
			c, sink := r.login(t)
			d, _ := r.login(t)
			var taken []submitted
			for i := range im.ClientSeq(4) {
				for _, c := range []*client{c, d} {
					c.write(sendFrame(i+1, text(body)))
					c.write(wire.AppendPing(nil))
					if typ, _, err := c.ReadFrame(); err != nil {
						t.Fatal(err)
					} else if typ == wire.TypeSendAck {
						c.read(wire.TypePong)
						continue
					}
					taken = append(taken, r.take(t))
				}
			}
			if st := r.g.Stats(); len(taken) != tc.fit || st.Bytes != int64(tc.fit*im.MaxBody) {
				t.Errorf("%d were taken, of %d bytes, want %d", len(taken), st.Bytes, tc.fit)
			}
			// Those of a connection that ends while they wait here, too.
			sink.Kick(im.CloseUnavailable, "moving")
			for _, s := range taken {
				s.complete(nil, errGone)
			}
			c.Close()
			d.Close()
			r.stop(t)
			if st := r.g.Stats(); st.Bytes != 0 {
				t.Errorf("%d bytes are left", st.Bytes)
			}
			for i := range r.g.freight.shards {
				if n := len(r.g.freight.shards[i].users); n != 0 {
					t.Errorf("%d users are left", n)
				}
			}
		})
	}
}

func oneAtATime() *admit.Buckets {
	return admit.NewBuckets(admit.BucketsConfig{Rate: 0.5, Burst: 1, Size: 16})
}

func TestDevicesAreLimited(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.Sends, g.Calls = oneAtATime(), oneAtATime()
		g.Caller = callerFunc(func(context.Context, im.UserID, im.DeviceID, string, []byte) ([]byte, error) { return nil, nil })
	})
	c, _ := r.login(t)
	c.write(append(sendFrame(1, text("x")), sendFrame(2, text("x"))...))
	if ack := c.readSendAck(); ack.ClientSeq != 2 || im.KindOf(ack.Error) != im.Busy || ack.Error.RetryAfterMS != 2000 {
		t.Errorf("ack %+v: %v", ack, ack.Error)
	}
	if _, cmd := takeAs[*im.Send](t, r); cmd.ClientSeq != 1 {
		t.Errorf("send %d was taken", cmd.ClientSeq)
	}
	c.call(1, "ok")
	if m := c.answer(); m.Error != nil {
		t.Errorf("answer %v", m)
	}
	c.call(2, "ok")
	if m := c.answer(); m.GetError().GetKind() != skeinv1.ErrorKind_ERROR_KIND_BUSY || m.GetError().GetRetryAfterMs() != 2000 {
		t.Errorf("answer %v", m)
	}
	if st := r.g.Stats(); st.Limited != 2 || st.Refused[im.Busy] != 1 || st.CallRefused[im.Busy] != 1 {
		t.Errorf("stats %+v", st)
	}
}

// An address that logs in too fast is told to come back, before its tokens are
// looked at.
func TestAddressesAreLimited(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) { g.Logins = oneAtATime() })
	ln, err := link.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(ln) }()
	var clients [2]*client
	for i := range clients {
		conn, err := link.Dial(t.Context(), "tcp://"+ln.Addr().String(), link.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(testTimeout))
		clients[i] = &client{t, r, conn}
		clients[i].write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
		if i == 0 {
			r.take(t)
		}
	}
	if m := clients[1].expectClose(im.CloseOverloaded); m.RetryAfterMs != 2000 {
		t.Errorf("closed with %v", m)
	}
	clients[0].roundTrip()
	clients[0].Close()
	clients[1].Close()
	r.stop(t)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// leveled is a mailbox that admits up to a level.
type leveled struct {
	*mailbox
	level atomic.Uint32
}

func (m *leveled) Level() im.Level { return im.Level(m.level.Load()) }

// What the mailbox would refuse is refused here.
func TestLevelIsHeeded(t *testing.T) {
	mbox := &leveled{mailbox: &mailbox{cmds: make(chan submitted, 10)}}
	mbox.level.Store(uint32(im.AnyLevel))
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.Mailbox = mbox
		g.Caller = callerFunc(func(context.Context, im.UserID, im.DeviceID, string, []byte) ([]byte, error) { return nil, nil })
	})
	r.mbox = mbox.mailbox
	c, sink := r.login(t)
	sends := admit.LevelOf(admit.Live, alice, admit.Hour(1790000000123))
	mbox.level.Store(uint32(sends))
	c.write(sendFrame(1, text("x")))
	r.take(t).complete(&im.Sent{ClientSeq: 1}, nil)
	c.readSendAck()
	c.call(1, "ok")
	if m := c.answer(); m.GetError().GetKind() != skeinv1.ErrorKind_ERROR_KIND_BUSY || m.GetError().GetRetryAfterMs() == 0 {
		t.Errorf("answer %v", m)
	}
	mbox.level.Store(uint32(sends - 1))
	c.write(sendFrame(2, text("x")))
	if ack := c.readSendAck(); im.KindOf(ack.Error) != im.Busy || ack.Error.RetryAfterMS == 0 {
		t.Errorf("ack %+v: %v", ack, ack.Error)
	}
	// What frees resources, and sessions that are there, are not held up.
	c.write(ackFrame(0))
	r.take(t).complete(nil, nil)
	sink.Kick(im.CloseUnavailable, "moving")
	r.takeResume(t, 1, 2, 0)
	if st := r.g.Stats(); st.Shed != 2 {
		t.Errorf("stats %+v", st)
	}
}
