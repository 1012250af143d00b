package clientcore

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func wantSeqs(t *testing.T, got []im.Seq, want ...im.Seq) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

func TestDuplicatesAreDroppedAndGapsPulledOnce(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 6})
	wantSeqs(t, deliver(t, c, 1, 2, 2, 1, 3), 1, 2, 3)
	want(t, written(t, c))
	wantSeqs(t, deliver(t, c, 5))
	want(t, written(t, c), "pull 3")
	// The rest of the stream was under way and asks for nothing more.
	wantSeqs(t, deliver(t, c, 6, 7))
	want(t, written(t, c))
	// A stream that starts again in the wrong place does.
	wantSeqs(t, deliver(t, c, 6))
	want(t, written(t, c), "pull 3")
	wantSeqs(t, deliver(t, c, 4, 5, 6), 4, 5, 6)
	if c.Head() != 7 || c.Received() != 6 {
		t.Errorf("head %d, received %d", c.Head(), c.Received())
	}
}

func TestOwnSendsMoveTheCursor(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b")
	written(t, c)
	wantSeqs(t, deliver(t, c, 1), 1)
	answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 2, InTimeline: true})
	wantSeqs(t, deliver(t, c, 3), 3)
	answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 4, InTimeline: true})
	if cur, _ := c.Cursor(); cur != 0 {
		t.Fatalf("cursor %d before anything was taken", cur)
	}
	c.Taken(1)
	want(t, describe(t, c.AppendAck(nil)), "ack 2")
	c.Taken(3)
	want(t, describe(t, c.AppendAck(nil)), "ack 4")
	want(t, describe(t, c.AppendAck(nil)))
}

func TestOwnSendBeyondAGapPulls(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a")
	written(t, c)
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 3, InTimeline: true}), "a=3")
	want(t, written(t, c), "pull 0")
	wantSeqs(t, deliver(t, c, 1, 2, 3), 1, 2, 3)
}

// The answer to a repetition may stand for an entry as well.
func TestRepeatedAnswerMovesTheCursor(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a")
	written(t, c)
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1}), "a=1")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1, InTimeline: true}))
	if c.Received() != 1 {
		t.Errorf("received %d", c.Received())
	}
}

func TestEntriesThatShowNothing(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	filler := wire.AppendEntry(nil, &wire.Entry{Seq: 1})
	if err := c.Frame(wire.TypeDeliver, wire.AppendDeliver(nil, [][]byte{filler})); err != nil {
		t.Fatal(err)
	}
	wantSeqs(t, seqsOf(c))
	want(t, describe(t, c.AppendAck(nil)), "ack 1")
}

func TestAckIsDueByCountAndBytes(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	for s := im.Seq(1); s < ackEntries; s++ {
		deliver(t, c, s)
	}
	c.Taken(ackEntries - 1)
	if c.AckDue() || !c.AckPending() {
		t.Error("due too early")
	}
	deliver(t, c, ackEntries)
	c.Taken(ackEntries)
	if !c.AckDue() {
		t.Error("not due by count")
	}
	want(t, describe(t, c.AppendAck(nil)), "ack 64")
	big := wire.AppendEntry(nil, &wire.Entry{Seq: ackEntries + 1, Kind: wire.EntryMessage,
		Content: im.Content{Type: im.ContentCustom, Body: make([]byte, ackBytes)}})
	if err := c.Frame(wire.TypeDeliver, wire.AppendDeliver(nil, [][]byte{big})); err != nil {
		t.Fatal(err)
	}
	if c.AckDue() {
		t.Error("due before the application took it")
	}
	c.Taken(ackEntries + 1)
	if !c.AckDue() {
		t.Error("not due by bytes")
	}
	c.AppendAck(nil)
	deliver(t, c, ackEntries+2)
	c.Taken(ackEntries + 2)
	if c.AckDue() {
		t.Error("due by bytes that were acknowledged")
	}
}

// Nobody takes what did not come.
func TestTakenIsBounded(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 50})
	deliver(t, c, 1)
	c.Taken(40)
	want(t, describe(t, c.AppendAck(nil)), "ack 1")
}

func TestAckIsRepeatedAfterReconnecting(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	deliver(t, c, 1, 2)
	c.Taken(1)
	want(t, describe(t, c.AppendAck(nil)), "ack 1")
	c.Disconnected()
	if cur, ok := c.Cursor(); cur != 1 || !ok {
		t.Fatalf("cursor %d, %v", cur, ok)
	}
	c.Welcome(Welcome{User: self, Cursor: 1, Head: 2})
	want(t, describe(t, c.AppendAck(nil)), "ack 1")
	// 2 was received before, though the application had not taken it.
	wantSeqs(t, deliver(t, c, 2, 3), 3)
}

func TestPauseLeavesEntriesAtTheServer(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	wantSeqs(t, deliver(t, c, 1), 1)
	c.Pause()
	wantSeqs(t, deliver(t, c, 2, 3))
	mustSend(t, c, "a")
	want(t, written(t, c), "1:a")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 4, InTimeline: true}), "a=4")
	want(t, written(t, c))
	c.Unpause()
	want(t, written(t, c), "pull 1")
	wantSeqs(t, deliver(t, c, 5))
	want(t, written(t, c))
	wantSeqs(t, deliver(t, c, 2, 3, 4, 5), 2, 3, 4, 5)
	// Without anything left behind there is nothing to ask for.
	c.Pause()
	c.Unpause()
	want(t, written(t, c))
}

func TestWelcomeBeyondTheCursorPulls(t *testing.T) {
	c := connected(t, Config{}, State{HasCursor: true, Cursor: 3}, Welcome{Cursor: 5, Head: 6})
	want(t, written(t, c), "pull 3")
}

func TestFramesThatCannotBe(t *testing.T) {
	for name, tc := range map[string]struct {
		typ     wire.Type
		payload []byte
	}{
		"malformed deliver":    {wire.TypeDeliver, []byte{0x0a}},
		"malformed entry":      {wire.TypeDeliver, []byte{0x0a, 1, 0x08}},
		"entry without seq":    {wire.TypeDeliver, wire.AppendDeliver(nil, [][]byte{nil})},
		"malformed answer":     {wire.TypeSendAck, []byte{0x08}},
		"answer to nothing":    {wire.TypeSendAck, nil},
		"answer from tomorrow": {wire.TypeSendAck, wire.AppendSendAck(nil, &wire.SendAck{ClientSeq: 3})},
		"a send":               {wire.TypeSend, nil},
	} {
		c := connected(t, Config{}, State{}, Welcome{ClientSeq: 2})
		if err := c.Frame(tc.typ, tc.payload); im.KindOf(err) != im.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := New[string](Config{}, State{})
	if err := c.Frame(wire.TypeDeliver, nil); im.KindOf(err) != im.Invalid {
		t.Errorf("before welcome: %v", err)
	}
}

func TestSendAndAnswerDoNotAllocate(t *testing.T) {
	c := New[uint64](Config{}, State{})
	c.Welcome(Welcome{User: self})
	content := text("hello")
	entry := make([]byte, 0, 64)
	buf := make([]byte, 0, 4096)
	var seq im.Seq
	var cs im.ClientSeq
	entries := make([][]byte, 1)
	round := func() {
		seq++
		cs++
		if err := c.Send(9, content, uint64(cs)); err != nil {
			t.Fatal(err)
		}
		buf = c.AppendFrames(buf[:0], 1<<20)
		buf = wire.AppendSendAck(buf[:0], &wire.SendAck{ClientSeq: cs, Seq: seq, InTimeline: true})
		if err := c.Frame(wire.TypeSendAck, buf); err != nil {
			t.Fatal(err)
		}
		seq++
		entries[0] = wire.AppendEntry(entry[:0], &wire.Entry{Seq: seq, Kind: wire.EntryMessage, Content: content})
		buf = wire.AppendDeliver(buf[:0], entries)
		if err := c.Frame(wire.TypeDeliver, buf); err != nil {
			t.Fatal(err)
		}
		c.Taken(seq)
		buf = c.AppendAck(buf[:0])
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}
