package link

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// deliver is a frame with a text.
func deliver(text string) []byte { return wire.AppendFrame(nil, wire.TypeDeliver, []byte(text)) }

// numbered makes the Value of each connection its number.
func numbered(r *recorder) {
	var n atomic.Int64
	r.onOpen = func(c Conn) { c.SetValue(n.Add(1)) }
}

func odd(c Conn) bool { return c.Value().(int64)%2 == 1 }

// TestBroadcast: those that are wanted get it, in order with what else the
// same goroutine sends.
func TestBroadcast(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		const n = 20
		r := newRig(t, kind, Config{}, numbered)
		clients, conns := map[int64]*ClientConn{}, map[int64]Conn{}
		for range n {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			conn := wait(t, r.opened, "connection")
			wait(t, r.frames, "frame")
			number := conn.Value().(int64)
			clients[number], conns[number] = c, conn
		}
		// One that has not got as far as frames is none of them.
		if r.kind != "pipe" {
			r.rawDial(t)
		}
		clients[1].Close()
		wait(t, r.closed, "end")
		big := string(bytes.Repeat([]byte("x"), 100000))
		for _, c := range conns {
			_ = c.Send(deliver("before"))
		}
		for text, want := range map[string]func(Conn) bool{"for odd ones": odd, big: odd} {
			if reached, err := r.srv.Broadcast(t.Context(), deliver(text), want); reached != n/2-1 || err != nil {
				t.Errorf("reached %d: %v", reached, err)
			}
		}
		if reached, err := r.srv.Broadcast(t.Context(), append(deliver("for"), deliver("all")...), nil); reached != n-1 || err != nil {
			t.Errorf("reached %d: %v", reached, err)
		}
		for number, c := range clients {
			if number == 1 {
				continue
			}
			_ = conns[number].Send(deliver("after"))
			got := map[string]bool{}
			want := []string{"before", "for", "all", "after"}
			if number%2 == 1 {
				want = append(want, "for odd ones", big)
			}
			last := ""
			for range want {
				_, p := mustRead(t, c)
				got[string(p)], last = true, string(p)
			}
			for _, text := range want {
				if !got[text] || last != "after" {
					t.Errorf("connection %d did not get %.20q, or not in order", number, text)
				}
			}
		}
	})
}

// TestBroadcastToThoseWhoDoNotRead: they are closed as by Send, and do not keep
// the others waiting.
func TestBroadcastToThoseWhoDoNotRead(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{MaxQueue: 100 << 10}, nil)
		for range 2 {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame")
			if len(r.opened) == 2 {
				go func() {
					for {
						if _, _, err := c.ReadFrame(); err != nil {
							return
						}
					}
				}()
			}
		}
		wait(t, r.opened, "connection")
		reader := wait(t, r.opened, "connection")
		slow := func(c Conn) bool { return c != reader }
		frames := wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 50<<10))
		for reached := 1; reached == 1; {
			var err error
			if reached, err = r.srv.Broadcast(t.Context(), frames, slow); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.srv.Stats().Slow; n != 1 {
			t.Errorf("%d slow connections counted", n)
		}
		if reached, err := r.srv.Broadcast(t.Context(), frames, nil); reached != 1 || err != nil {
			t.Errorf("reached %d: %v", reached, err)
		}
	})
}

func TestBroadcastsAreBounded(t *testing.T) {
	r := newRig(t, "pipe", Config{}, nil)
	mustWrite(t, r.dial(t), hello(0))
	wait(t, r.frames, "frame")
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, maxBroadcasts)
	for range maxBroadcasts {
		go func() {
			_, err := r.srv.Broadcast(t.Context(), deliver("x"), func(Conn) bool {
				inside <- struct{}{}
				<-leave
				return false
			})
			done <- err
		}()
	}
	for range maxBroadcasts {
		wait(t, inside, "broadcast")
	}
	if _, err := r.srv.Broadcast(t.Context(), deliver("x"), nil); im.KindOf(err) != im.Busy {
		t.Errorf("one more: %v", err)
	}
	close(leave)
	for range maxBroadcasts {
		if err := wait(t, done, "end"); err != nil {
			t.Error(err)
		}
	}
}

func TestBroadcastEnds(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		if reached, err := r.srv.Broadcast(t.Context(), deliver("x"), nil); reached != 0 || err != nil {
			t.Errorf("reached %d of nobody: %v", reached, err)
		}
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		wait(t, r.frames, "frame")
		if _, err := r.srv.Broadcast(t.Context(), []byte{1, 5}, nil); im.KindOf(err) != im.Invalid {
			t.Errorf("half a frame: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		cancel(why)
		// It may have gone through all before it hears of it.
		if reached, err := r.srv.Broadcast(ctx, deliver("x"), nil); !errors.Is(err, why) || reached > 1 {
			t.Errorf("reached %d: %v", reached, err)
		}
		c.Close()
		wait(t, r.closed, "end")
		r.stop(t)
		r.serving <- nil
		if reached, err := r.srv.Broadcast(t.Context(), deliver("x"), nil); reached != 0 || err != nil {
			t.Errorf("reached %d after the end: %v", reached, err)
		}
	})
}
