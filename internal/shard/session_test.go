package shard

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// The answer to a repeated send stands for no entry, even if the entry is the
// next one that its session waits for.
func TestRepeatedSendToLaggingSession(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 4 })
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.finish()
	for n := range im.LinkSeq(4) {
		h.link(2, 1, n+1)
	}
	h.send(1, 2, 1, 0)
	h.commit()
	h.drain()
	h.send(1, 2, 1, 1)
	h.finish()
	h.expect("reply send 1: seq 5 shown false")
}

func TestDeliveryKeepsToWindow(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 2 })
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	h.finish()
	h.drain()
	for n := range im.LinkSeq(5) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.expect("deliver 1: 1..2", "ack user/1 to user/2: 5")
	s.ack(2)
	h.finish()
	h.expect("reply ack", "deliver 1: 3..4")
}

func TestDeliveryKeepsToWindowBytes(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowBytes = 30 })
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.finish()
	h.drain()
	for n := range im.LinkSeq(5) {
		h.link(2, 1, n+1)
	}
	h.commit()
	// The one that exceeds the bound still goes.
	h.expect("deliver 1: 1..2", "ack user/1 to user/2: 5")
}
