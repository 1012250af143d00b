package shard

import (
	"errors"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// What was dropped with its slots must not keep the next batch full.
func TestBatchHasRoomAfterDrop(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxBatchBytes = 100 })
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	b := h.cut()
	h.send(1, 2, 2, 0)
	h.send(1, 2, 3, 0)
	if !h.core.Full() {
		t.Fatal("the batch has room")
	}
	h.core.Done(h.now, b, errors.New("fate unknown"))
	h.expect("reply send 1: unavailable", "reply send 2: unavailable", "reply send 3: unavailable")
	if h.core.Full() {
		t.Fatal("the batch is full of what was dropped")
	}
}

// Records count towards a batch's size as log entries do.
func TestRecordsFillBatch(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxBatchBytes = 100 })
	h.befriend(1, 2)
	h.do("early", im.User(1), &im.SendNumbered{To: 2, SendID: 2, Content: text(strings.Repeat("x", 100))})
	if !h.core.Full() {
		t.Fatal("the batch has room")
	}
}
