package gateway

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

type callerFunc func(ctx context.Context, user im.UserID, device im.DeviceID, method string, body []byte) ([]byte, error)

func (f callerFunc) Call(ctx context.Context, user im.UserID, device im.DeviceID, method string, body []byte) ([]byte, error) {
	return f(ctx, user, device, method, body)
}

func (c *client) call(id uint64, method string) {
	c.t.Helper()
	c.write(message(c.t, wire.TypeCall, &skeinv1.Call{Id: id, Method: method, Body: []byte("question")}))
}

func (c *client) answer() *skeinv1.Answer {
	c.t.Helper()
	m := new(skeinv1.Answer)
	c.readMessage(wire.TypeAnswer, m)
	return m
}

func withCaller(f callerFunc) func(g *Config, _ *link.Config) {
	return func(g *Config, _ *link.Config) { g.Caller = f }
}

func TestCall(t *testing.T) {
	r := newRig(t, withCaller(func(_ context.Context, user im.UserID, device im.DeviceID, method string, body []byte) ([]byte, error) {
		switch method {
		case "fail":
			return []byte("lost"), &im.Error{Kind: im.Busy, Detail: "later", RetryAfterMS: 7}
		case "huge":
			return make([]byte, im.MaxServerFrame), nil
		case "foreign":
			return nil, fmt.Errorf("open /var/secret: no")
		}
		return fmt.Appendf(nil, "%d %d %s %s", user, device, method, body), nil
	}))
	c, _ := r.login(t)
	c.call(1, "ok")
	if m := c.answer(); m.Id != 1 || string(m.Body) != "4294967303 3 ok question" || m.Error != nil {
		t.Errorf("answer %v", m)
	}
	c.call(2, "fail")
	if m := c.answer(); m.Id != 2 || m.Body != nil || *wire.ErrorFromProto(m.Error) != (im.Error{Kind: im.Busy, Detail: "later", RetryAfterMS: 7}) {
		t.Errorf("answer %v", m)
	}
	c.call(3, "huge")
	if m := c.answer(); m.Id != 3 || m.Body != nil || m.GetError().GetKind() != skeinv1.ErrorKind_ERROR_KIND_TOO_LARGE {
		t.Errorf("answer %v", m.GetError())
	}
	c.call(4, "foreign")
	if m := c.answer(); m.Id != 4 || m.GetError().GetDetail() != "internal error" {
		t.Errorf("answer %v", m)
	}
	if st := r.g.Stats(); st.Calls != 4 || st.CallRefused[im.Busy] != 1 || st.CallRefused[im.TooLarge] != 1 || st.CallRefused[im.Internal] != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestCallWithoutCaller(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	c.call(1, "ok")
	if m := c.answer(); m.GetError().GetKind() != skeinv1.ErrorKind_ERROR_KIND_UNIMPLEMENTED {
		t.Errorf("answer %v", m)
	}
}

func TestCallsAreBounded(t *testing.T) {
	for name, tc := range map[string]struct{ all, fit int }{
		"per connection": {DefaultMaxCalls, MaxConnCalls},
		"in all":         {3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			finish := make(chan struct{})
			r := newRig(t, func(g *Config, _ *link.Config) {
				g.MaxCalls = tc.all
				g.Caller = callerFunc(func(context.Context, im.UserID, im.DeviceID, string, []byte) ([]byte, error) {
					<-finish
					return nil, nil
				})
			})
			c, _ := r.login(t)
			for id := range uint64(tc.fit + 1) {
				c.call(id, "wait")
			}
			if m := c.answer(); m.Id != uint64(tc.fit) || m.GetError().GetKind() != skeinv1.ErrorKind_ERROR_KIND_BUSY || m.Error.RetryAfterMs == 0 {
				t.Errorf("answer %v", m)
			}
			close(finish)
			for range tc.fit {
				if m := c.answer(); m.Error != nil {
					t.Errorf("answer %v", m)
				}
			}
			r.g.Wait()
			c.call(99, "wait")
			if m := c.answer(); m.Id != 99 || m.Error != nil {
				t.Errorf("answer %v", m)
			}
		})
	}
}

func TestCallEndsWithTheConnection(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	r := newRig(t, withCaller(func(ctx context.Context, _ im.UserID, _ im.DeviceID, _ string, _ []byte) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}))
	c, _ := r.login(t)
	c.call(1, "wait")
	<-begun
	c.Close()
	if err := <-ended; err != context.Canceled {
		t.Errorf("the call ended with %v", err)
	}
}

func TestCallTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withCaller(func(ctx context.Context, _ im.UserID, _ im.DeviceID, _ string, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, im.Errorf(im.Unavailable, "too slow")
		}))
		c, _ := r.login(t)
		begin := time.Now()
		c.call(1, "wait")
		if m := c.answer(); m.GetError().GetDetail() != "too slow" || time.Since(begin) != DefaultCallTimeout {
			t.Errorf("answer %v after %v", m, time.Since(begin))
		}
		c.Close()
		r.takeDetach(t, 1)
		r.stop(t)
	})
}
