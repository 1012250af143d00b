package relay

import (
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

// Two processes of a region send to one of another: each message is taken, none
// for a repetition of the other's.
func TestSeveralSenders(t *testing.T) {
	a := newAuthority(t)
	west := free(t)
	peers := map[im.Region]string{"west": west}
	grace := func(c *Config) { c.Grace = time.Minute }
	one, two := a.relay("east", free(t), peers, grace), a.relay("east", free(t), peers, grace)
	w := a.relay("west", west, map[im.Region]string{"east": free(t)})
	const n = 200
	for i := range n {
		one.Send("west", message(2*i+1), 0)
		two.Send("west", message(2*i+2), 0)
		seen := map[im.LinkSeq]bool{wait(t, w.got).Seq: true, wait(t, w.got).Seq: true}
		if !seen[im.LinkSeq(2*i+1)] || !seen[im.LinkSeq(2*i+2)] {
			t.Fatalf("round %d brings %v", i, seen)
		}
	}
	if s := w.Status()[0]; s.Repeated != 0 || s.Received != 2*n {
		t.Errorf("%+v", s)
	}
}

// Of a region with two relays, the other one is used when one is gone.
func TestAnotherRelay(t *testing.T) {
	a := newAuthority(t)
	first, second := free(t), free(t)
	e := a.relay("east", free(t), map[im.Region]string{"west": first + "|" + second}, func(c *Config) { c.Grace = time.Minute })
	back := map[im.Region]string{"east": free(t)}
	at := map[string]*end{first: a.relay("west", first, back), second: a.relay("west", second, back)}
	e.Send("west", message(1), 0)
	used := first
	select {
	case <-at[first].got:
	case <-at[second].got:
		used = second
	case <-time.After(patience.Limit):
		t.Fatal("nothing comes")
	}
	at[used].Stop()
	delete(at, used)
	e.Send("west", message(2), 0)
	for addr, w := range at {
		m := wait(t, w.got)
		if m.Seq == 1 {
			// It was not confirmed, and the other relay has not seen it.
			m = wait(t, w.got)
		}
		if m.Seq != 2 || e.Status()[0].Addr != addr {
			t.Errorf("message %d comes by %s", m.Seq, e.Status()[0].Addr)
		}
	}
}

// The streams that are remembered are bounded; the newest are.
func TestStreamsAreForgotten(t *testing.T) {
	var in Incoming
	for s := range uint64(2 * maxStreams) {
		if in.Begin(s+1) != 0 || !in.fresh(s+1, 5) || in.fresh(s+1, 5) {
			t.Fatalf("stream %d is not new", s+1)
		}
		if s > 0 && in.Begin(1) != 5 {
			t.Fatal("a stream in use was forgotten")
		}
	}
	if len(in.last) != maxStreams || len(in.order) != maxStreams {
		t.Errorf("%d streams are remembered", len(in.last))
	}
	if !in.fresh(2, 1) {
		t.Error("a forgotten stream is not heard")
	}
}
