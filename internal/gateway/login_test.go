package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

func TestLogin(t *testing.T) {
	cursor := uint64(41)
	for _, sent := range []*uint64{nil, &cursor} {
		r := newRig(t, nil)
		c := r.dial(t)
		c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, Cursor: sent, HeartbeatMs: 10000, Agent: "test"}))
		s, attach := takeAs[*im.Attach](t, r)
		if s.to != im.User(alice) || attach.Device != phone || attach.TokenHash != hash || attach.Session != 1 || attach.Poll || attach.Sink == nil {
			t.Errorf("attached %+v at %v", attach, s.to)
		}
		if (attach.Cursor == nil) != (sent == nil) || sent != nil && *attach.Cursor != 41 {
			t.Errorf("cursor %v, want %v", attach.Cursor, sent)
		}
		s.complete(&im.Attached{Name: "alice", Head: 50, Cursor: 41, ClientSeq: 12}, nil)
		var w skeinv1.Welcome
		c.readMessage(wire.TypeWelcome, &w)
		got := fmt.Sprint(w.User, w.Device, w.Name, w.Head, w.Cursor, w.ClientSeq, w.HeartbeatMs, w.TimeMs, w.SendWindow)
		if want := fmt.Sprint(uint64(alice), 3, "alice", 50, 41, 12, 10000, 1790000000123, 256); got != want {
			t.Errorf("welcome: %s, want %s", got, want)
		}
		if st := r.g.Stats(); st.Connections != 1 || st.Sessions != 1 || st.Logins != 1 || st.FramesIn[wire.TypeHello] != 1 || st.FramesOut[wire.TypeWelcome] != 1 {
			t.Errorf("stats %+v", st)
		}
		c.Close()
		r.takeDetach(t, 1)
	}
}

func TestHeartbeatIsBounded(t *testing.T) {
	for wish, want := range map[uint32]uint32{0: 60000, 1: 5000, 5000: 5000, 5001: 5001, 299999: 299999, 300001: 300000, 1<<32 - 1: 300000} {
		if got := bounded(wish); got != want {
			t.Errorf("asked for %d ms, got %d, want %d", wish, got, want)
		}
	}
}

func TestIdleIsOneAndAHalfHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.dial(t)
		c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, HeartbeatMs: 10000}))
		r.take(t).complete(&im.Attached{}, nil)
		c.read(wire.TypeWelcome)
		_ = c.SetReadDeadline(time.Time{})
		begin := time.Now()
		for range 10 {
			// The bubble's clock stands still while anything can run.
			<-time.After(14 * time.Second)
			c.roundTrip()
		}
		c.expectClose(im.CloseIdle)
		if took := time.Since(begin); took != 155*time.Second {
			t.Errorf("closed after %v, want 155 s", took)
		}
		c.Close()
		r.takeDetach(t, 1)
		r.stop(t)
	})
}

func TestLoginRefused(t *testing.T) {
	for _, tc := range []struct {
		err    error
		code   im.CloseCode
		retry  uint32
		reason string
	}{
		{im.Errorf(im.Unauthenticated, "revoked"), im.CloseUnauthenticated, 0, "revoked"},
		{im.Errorf(im.NotFound, "no such user"), im.CloseUnauthenticated, 0, "no such user"},
		{im.Errorf(im.Invalid, "cursor beyond the end"), im.CloseProtocol, 0, "cursor beyond the end"},
		{&im.Error{Kind: im.Busy, Detail: "busy", RetryAfterMS: 200}, im.CloseOverloaded, 300, "busy"},
		{&im.Error{Kind: im.Unavailable, Detail: "moving", RetryAfterMS: 100}, im.CloseUnavailable, 200, "moving"},
		{errors.New("disk /secret/path failed"), im.CloseInternal, 100, "internal error"},
		{nil, im.CloseInternal, 100, "Attach was answered with <nil>"},
	} {
		// A tenth of a second of spread.
		r := newRig(t, func(g *Config, _ *link.Config) {
			g.Rand = func(int64) int64 { return int64(100 * time.Millisecond) }
			// Nothing is tried again.
			g.LoginFor = 1
		})
		c := r.dial(t)
		c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
		r.take(t).complete(nil, tc.err)
		m := c.expectClose(tc.code)
		if m.Reason != tc.reason || m.RetryAfterMs != tc.retry {
			t.Errorf("%v: closed with %v", tc.err, m)
		}
		c.Close()
		r.stop(t)
		// Nothing was attached, so nothing is detached.
		r.quiet(t)
		if st := r.g.Stats(); st.LoginRefused[max(im.Internal, im.KindOf(tc.err))] != 1 || st.Logins != 0 {
			t.Errorf("%v: stats %+v", tc.err, st)
		}
	}
}

func TestBadHello(t *testing.T) {
	for name, tc := range map[string]struct {
		frame []byte
		code  im.CloseCode
	}{
		"version 0":      {message(t, wire.TypeHello, &skeinv1.Hello{Token: secret}), im.CloseVersion},
		"version 2":      {message(t, wire.TypeHello, &skeinv1.Hello{Version: 2, Token: secret}), im.CloseVersion},
		"no token":       {message(t, wire.TypeHello, &skeinv1.Hello{Version: 1}), im.CloseUnauthenticated},
		"bad token":      {message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: "x"}), im.CloseUnauthenticated},
		"malformed":      {wire.AppendFrame(nil, wire.TypeHello, []byte{0x0a}), im.CloseProtocol},
		"over the limit": {wire.AppendFrame(nil, wire.TypeHello, make([]byte, 4097)), im.CloseTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.dial(t)
			// The server may hang up before it has read all of it.
			_ = c.Write(tc.frame)
			c.expectClose(tc.code)
			c.Close()
			r.stop(t)
			r.quiet(t)
		})
	}
}

// allTypes are the known types, and unknown ones.
func allTypes() []wire.Type {
	types := []wire.Type{0, wire.Types, 64}
	for typ := wire.TypePing; typ < wire.Types; typ++ {
		types = append(types, typ)
	}
	return types
}

func TestOnlyHelloComesFirst(t *testing.T) {
	for _, typ := range allTypes() {
		if typ == wire.TypeHello {
			continue
		}
		r := newRig(t, nil)
		c := r.dial(t)
		c.write(wire.AppendFrame(nil, typ, nil))
		c.expectClose(im.CloseProtocol)
		c.Close()
		r.stop(t)
		r.quiet(t)
	}
}

func TestFramesBeforeWelcome(t *testing.T) {
	for _, typ := range allTypes() {
		r := newRig(t, nil)
		c := r.dial(t)
		c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
		s, attach := takeAs[*im.Attach](t, r)
		c.write(wire.AppendFrame(nil, typ, nil))
		switch typ {
		case wire.TypePing:
			c.read(wire.TypePong)
			c.Close()
		case wire.TypeClose:
			c.expectClose(im.CloseNormal)
		default:
			c.expectClose(im.CloseProtocol)
		}
		c.Close()
		// The mailbox may have granted the Attach or not: Detach comes
		// behind it, and no Welcome.
		r.takeDetach(t, attach.Session)
		s.complete(&im.Attached{}, nil)
		if st := r.g.Stats(); st.Sessions != 0 || st.FramesOut[wire.TypeWelcome] != 0 {
			t.Errorf("%v: %d sessions, %d welcomes", typ, st.Sessions, st.FramesOut[wire.TypeWelcome])
		}
		r.stop(t)
		r.quiet(t)
	}
}

func TestNewRefusesHalfAConfig(t *testing.T) {
	whole := Config{Mailbox: &mailbox{}, ParseToken: parseToken, NextSession: func() im.SessionID { return 1 }, Logger: slog.Default()}
	if _, err := New(whole); err != nil {
		t.Fatal(err)
	}
	for i, strip := range []func(c *Config){
		func(c *Config) { c.Mailbox = nil }, func(c *Config) { c.ParseToken = nil },
		func(c *Config) { c.NextSession = nil }, func(c *Config) { c.Logger = nil },
	} {
		half := whole
		strip(&half)
		if _, err := New(half); err == nil {
			t.Errorf("config %d was accepted", i)
		}
	}
}
