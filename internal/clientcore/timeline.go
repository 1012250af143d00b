package clientcore

import (
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// timeline is the receiving half: acked <= taken <= received <= head.
type timeline struct {
	// known: the cursors are, from the server or from a kept state.
	known    bool
	received im.Seq
	taken    im.Seq
	acked    im.Seq
	head     im.Seq
	// generation is the one that all of them are in; nil: not known.
	generation *im.Generation
	// unacked is how many bytes of entries came since the last ack.
	unacked int
	// unseen are received sequences after taken that the application does
	// not get: its own sends, and entries that show nothing.
	unseen []span

	// ahead is what would follow in a stream of entries that are beyond a
	// gap; 0: there is no gap. pull: the server is to be asked for what
	// follows received.
	ahead im.Seq
	pull  bool
	// paused drops entries until unpause; left says that some were.
	paused, left bool

	entries []wire.Entry
}

type span struct{ from, to im.Seq }

// open begins a connection on which delivery starts after cursor.
func (t *timeline) open(cursor, head im.Seq) {
	t.head = max(t.head, head)
	// What the last connection was told may have been lost with it.
	t.acked = 0
	if !t.known {
		t.known = true
		t.received, t.taken, t.acked = cursor, cursor, cursor
	}
	if cursor > t.received {
		t.pull = true
	}
}

// rewind goes back to what the timeline still has of what has come, and returns
// how many entries that costs.
func (t *timeline) rewind(kept im.Seq) (lost uint64) {
	if t.received > kept {
		lost = uint64(t.received - kept)
	}
	t.received, t.taken, t.acked = min(t.received, kept), min(t.taken, kept), min(t.acked, kept)
	t.head = t.received
	t.unseen = slices.DeleteFunc(t.unseen, func(s span) bool { return s.from > kept })
	if n := len(t.unseen); n > 0 {
		t.unseen[n-1].to = min(t.unseen[n-1].to, kept)
	}
	return lost
}

// close forgets what belongs to the connection.
func (t *timeline) close() {
	t.ahead, t.pull, t.left = 0, false, false
	t.entries = t.entries[:0]
}

func (t *timeline) deliver(payload []byte) error {
	return wire.RangeDeliver(payload, func(b []byte) error {
		var e wire.Entry
		if err := e.Unmarshal(b); err != nil {
			return err
		}
		if e.Seq == 0 {
			return im.Errorf(im.Invalid, "an entry without a sequence")
		}
		if t.arrived(&e) {
			t.unacked += len(b)
			if e.Kind == wire.EntryFiller {
				t.skip(e.Seq)
			} else {
				t.entries = append(t.entries, e)
			}
		}
		return nil
	})
}

// saw counts an entry as seen that this device made itself.
func (t *timeline) saw(seq im.Seq) {
	if t.arrived(&wire.Entry{Seq: seq}) {
		t.skip(seq)
	}
}

// arrived moves received if the entry is next, or stands for all up to it that
// is gone. Repeated entries are dropped; one beyond a gap asks for what is
// missing, once for the whole stream that follows it.
func (t *timeline) arrived(e *wire.Entry) bool {
	seq := e.Seq
	t.head = max(t.head, seq)
	switch {
	case seq <= t.received:
		return false
	case (seq == t.received+1 || e.Kind == wire.EntryGone) && !t.paused:
		t.received = seq
		t.ahead = 0
		return true
	}
	if t.paused {
		t.left = true
	} else if seq != t.ahead {
		t.pull = true
	}
	t.ahead = seq + 1
	return false
}

func (t *timeline) unpause() {
	t.paused = false
	if t.left {
		t.left = false
		t.pull = true
	}
}

// skip notes that the application will not take seq, which was received.
func (t *timeline) skip(seq im.Seq) {
	if n := len(t.unseen); n > 0 && t.unseen[n-1].to+1 == seq {
		t.unseen[n-1].to = seq
	} else {
		t.unseen = append(t.unseen, span{seq, seq})
	}
	t.absorb()
}

func (t *timeline) take(seq im.Seq) {
	t.taken = max(t.taken, min(seq, t.received))
	t.absorb()
}

// absorb moves taken over what the application does not get.
func (t *timeline) absorb() {
	n := 0
	for n < len(t.unseen) && t.unseen[n].from <= t.taken+1 {
		t.taken = max(t.taken, t.unseen[n].to)
		n++
	}
	if n > 0 {
		t.unseen = append(t.unseen[:0], t.unseen[n:]...)
	}
}
