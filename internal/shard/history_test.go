package shard

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// trimming makes a core that keeps so many entries.
func trimming(t *testing.T, entries int, adjust ...func(*Config)) *harness {
	t.Helper()
	h := newHarness(t, append(adjust, func(c *Config) {
		c.Retain = entity.Retention{Entries: entries}
	})...)
	h.befriend(1, 2)
	return h
}

// receive lets messages n.. from user 2 arrive at user 1, whose devices then have
// all, and writes a snapshot.
func (h *harness) receive(from, to im.LinkSeq) {
	h.t.Helper()
	for n := from; n <= to; n++ {
		h.link(2, 1, n)
	}
	h.finish()
	for d := im.DeviceID(1); d <= 2; d++ {
		h.do("ack", im.User(1), &im.AckDelivered{Device: d, Seq: im.Seq(to)})
	}
	h.now += h.core.cfg.FlushAfter
	h.core.Tick(h.now)
	h.finish()
	h.drain()
}

// A device that comes for what is gone is told so, and gets the rest.
func TestGoneIsSaid(t *testing.T) {
	h := trimming(t, 3)
	h.receive(1, 10)
	if got := h.saved(im.User(1)).trimmed; got != 7 || h.core.Stats.Trimmed != 7 {
		t.Fatalf("%d entries are gone, %d were counted", got, h.core.Stats.Trimmed)
	}
	s := h.attach(1, 1, 5)
	h.finish()
	h.expect("reply attach 1: head 10 cursor 5", "deliver 1: 6..7", "deliver 1: 8..10")
	if want := []string{"gone up to 7", "link 8", "link 9", "link 10"}; !slices.Equal(s.got, want) {
		t.Fatalf("got %q", s.got)
	}
	h.do("pull", im.User(1), &im.Redeliver{Session: s.id, Seq: 2})
	h.finish()
	h.expect("deliver 1: 3..7", "reply pull", "deliver 1: 8..10")
	// Another owner knows it from the store.
	h.epoch++
	h.own()
	h.drain()
	h.attach(1, 1, 0)
	h.finish()
	h.expect("reply attach 2: head 10 cursor 0", "deliver 2: 1..7", "deliver 2: 8..10")
}

// A log that lacks more than the entity knew when it was loaded.
func TestGoneUnknown(t *testing.T) {
	h := trimming(t, 0)
	h.receive(1, 10)
	h.saved(im.User(1)).trimmed = 7
	h.attach(1, 1, 5)
	h.finish()
	h.expect("reply attach 1: head 10 cursor 5", "deliver 1: 6..7", "deliver 1: 8..10")
}

// What is gone takes no room in a session's window.
func TestGoneAndWindow(t *testing.T) {
	h := trimming(t, 3, func(c *Config) { c.WindowEntries = 2 })
	h.receive(1, 10)
	s := h.attach(1, 1, 0)
	h.finish()
	h.expect("reply attach 1: head 10 cursor 0", "deliver 1: 1..7", "deliver 1: 8..9")
	s.ack(7)
	h.finish()
	h.expect("reply ack")
	s.ack(8)
	h.finish()
	h.expect("reply ack", "deliver 1: 10..10")
}

// Entries that go while they are being read for a session.
func TestGoneDuringRead(t *testing.T) {
	h := trimming(t, 3, func(c *Config) { c.ReadBytes = 1 })
	h.receive(1, 3)
	h.attach(1, 1, 0)
	h.commit()
	reads := h.timelines
	if len(reads) != 1 || reads[0].from != 1 {
		t.Fatalf("reads %+v", reads)
	}
	late := h.saved(im.User(1)).read(1, 1, 1)
	h.timelines = nil
	h.receive(4, 10)
	h.core.TimelineRead(h.now, reads[0].addr, reads[0].session, late, nil)
	h.expect("deliver 1: 1..7")
	h.finish()
	h.expect("deliver 1: 8..8", "deliver 1: 9..9", "deliver 1: 10..10")
}

// A refused commit lets nothing go.
func TestGoneOnlyWhenDurable(t *testing.T) {
	h := trimming(t, 3)
	for n := range im.LinkSeq(10) {
		h.link(2, 1, n+1)
	}
	h.finish()
	for d := im.DeviceID(1); d <= 2; d++ {
		h.do("ack", im.User(1), &im.AckDelivered{Device: d, Seq: 10})
	}
	h.do("tidy", im.User(1), &im.Tidy{})
	h.attach(1, 1, 0)
	h.drain()
	b := h.cut()
	if got := b.Changes.Changes[0].Trim; got != 8 {
		t.Fatalf("the change lets go of what is before %d", got)
	}
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.expect("reply tidy", "reply attach 1: head 10 cursor 0", "deliver 1: 1..7")
}
