package clientcore

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// gone tells the core that everything up to an entry is no longer kept.
func gone(t *testing.T, c *Core[string], last im.Seq) []im.Seq {
	t.Helper()
	entry := wire.AppendEntry(nil, &wire.Entry{Seq: last, Kind: wire.EntryGone})
	if err := c.Frame(wire.TypeDeliver, wire.AppendDeliver(nil, [][]byte{entry})); err != nil {
		t.Fatal(err)
	}
	return seqsOf(c)
}

// The application hears that entries are gone, and the timeline goes on after
// them.
func TestGoneEntries(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 99})
	wantSeqs(t, deliver(t, c, 1, 2), 1, 2)
	c.Taken(1)
	wantSeqs(t, gone(t, c, 50), 50)
	want(t, describe(t, c.AppendAck(nil)), "ack 1")
	wantSeqs(t, deliver(t, c, 51), 51)
	c.Taken(2)
	c.Taken(50)
	want(t, describe(t, c.AppendAck(nil)), "ack 50")
	// Of no use to a device that has more already.
	wantSeqs(t, gone(t, c, 50))
	want(t, written(t, c))
	// Nor does it need what came before to have come.
	wantSeqs(t, deliver(t, c, 60))
	want(t, written(t, c), "pull 51")
	wantSeqs(t, gone(t, c, 60), 60)
	wantSeqs(t, deliver(t, c, 61), 61)
	want(t, written(t, c))
}

func TestGoneWhilePaused(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 99})
	wantSeqs(t, deliver(t, c, 1), 1)
	c.Pause()
	wantSeqs(t, gone(t, c, 50))
	c.Unpause()
	want(t, written(t, c), "pull 1")
	wantSeqs(t, gone(t, c, 50), 50)
}
