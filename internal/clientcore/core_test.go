package clientcore

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

const self im.UserID = 7

func text(s string) im.Content { return im.Content{Type: im.ContentText, Body: []byte(s)} }

// connected returns a core that has been welcomed by a server that knows
// nothing of it.
func connected(t *testing.T, cfg Config, st State, w Welcome) *Core[string] {
	t.Helper()
	c := New[string](cfg, st)
	w.User = self
	c.Welcome(w)
	return c
}

func mustSend(t *testing.T, c *Core[string], bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if err := c.Send(9, text(b), b); err != nil {
			t.Fatal(err)
		}
	}
}

// written lists what the core wants to write, as "5:body", "ack 3", "pull 2".
func written(t *testing.T, c *Core[string]) []string {
	t.Helper()
	return describe(t, c.AppendFrames(nil, 1<<20))
}

func describe(t *testing.T, b []byte) []string {
	t.Helper()
	var got []string
	for len(b) > 0 {
		typ, payload, n, err := wire.Parse(b, 1<<20)
		if err != nil || n == 0 {
			t.Fatalf("bad frame %x: %v", b, err)
		}
		b = b[n:]
		switch typ {
		case wire.TypeSend:
			var m wire.Send
			if err := m.Unmarshal(payload); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d:%s", m.ClientSeq, m.Content.Body))
		case wire.TypeAck:
			var m wire.Ack
			if err := m.Unmarshal(payload); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("ack %d", m.Seq))
		case wire.TypePull:
			var m wire.Pull
			if err := m.Unmarshal(payload); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("pull %d", m.Seq))
		default:
			t.Fatalf("wrote a %v", typ)
		}
	}
	return got
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

// answer hands in one SendAck and lists the sends it answered.
func answer(t *testing.T, c *Core[string], a wire.SendAck) []string {
	t.Helper()
	if err := c.Frame(wire.TypeSendAck, wire.AppendSendAck(nil, &a)); err != nil {
		t.Fatal(err)
	}
	return answered(c)
}

func answered(c *Core[string]) []string {
	var got []string
	for _, a := range c.Answers() {
		s := fmt.Sprintf("%s=%d", a.Tag, a.Seq)
		if a.Err != nil {
			s = a.Tag + " " + a.Err.Kind.String()
		}
		got = append(got, s)
	}
	return got
}

func refusal(cs im.ClientSeq, kind im.ErrorKind) wire.SendAck {
	return wire.SendAck{ClientSeq: cs, Error: &im.Error{Kind: kind}}
}

// deliver hands in entries and lists those that came out.
func deliver(t *testing.T, c *Core[string], seqs ...im.Seq) []im.Seq {
	t.Helper()
	var entries [][]byte
	for _, s := range seqs {
		entries = append(entries, wire.AppendEntry(nil, &wire.Entry{Seq: s, Kind: wire.EntryMessage, Peer: 9}))
	}
	if err := c.Frame(wire.TypeDeliver, wire.AppendDeliver(nil, entries)); err != nil {
		t.Fatal(err)
	}
	return seqsOf(c)
}

func seqsOf(c *Core[string]) []im.Seq {
	var got []im.Seq
	for _, e := range c.Entries() {
		got = append(got, e.Seq)
	}
	return got
}

func TestSendsWaitForWelcomeAndWindow(t *testing.T) {
	c := New[string](Config{}, State{})
	mustSend(t, c, "a", "b", "c")
	want(t, written(t, c))
	c.Welcome(Welcome{User: self, ClientSeq: 4, SendWindow: 2})
	want(t, written(t, c), "5:a", "6:b")
	if c.Ready() {
		t.Error("ready beyond the window")
	}
	want(t, answer(t, c, wire.SendAck{ClientSeq: 5, Seq: 1}), "a=1")
	want(t, written(t, c), "7:c")
}

func TestWindowCountsFromTheFirstUnanswered(t *testing.T) {
	c := connected(t, Config{Window: 2}, State{}, Welcome{})
	mustSend(t, c, "a", "b", "c")
	want(t, written(t, c), "1:a", "2:b")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 2}), "b=2")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 2}))
	want(t, written(t, c))
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1}), "a=1")
	want(t, written(t, c), "3:c")
}

func TestEverythingUnansweredIsSentAgain(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b", "c")
	want(t, written(t, c), "1:a", "2:b", "3:c")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1}), "a=1")
	c.Disconnected()
	want(t, written(t, c))
	// The server has taken 2 as well; its answer was lost.
	c.Welcome(Welcome{User: self, ClientSeq: 2, Head: 2})
	want(t, written(t, c), "2:b", "3:c")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 2}), "b=2")
	// A second answer changes nothing.
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 2}))
}

func TestLimitCutsWhatIsWrittenAtOnce(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b")
	want(t, describe(t, c.AppendFrames(nil, 1)), "1:a")
	if !c.Ready() {
		t.Error("not ready with a send left")
	}
	want(t, describe(t, c.AppendFrames(nil, 1)), "2:b")
}

func TestRefusalsThatAreFinal(t *testing.T) {
	for _, kind := range []im.ErrorKind{im.NotContact, im.Blocked, im.Conflict, im.Stale} {
		c := connected(t, Config{}, State{}, Welcome{})
		mustSend(t, c, "a", "b")
		written(t, c)
		want(t, answer(t, c, refusal(1, kind)), "a "+kind.String())
		want(t, written(t, c))
		want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 5}), "b=5")
	}
}

// A refusal such as Invalid leaves the client_seq free; the later sends keep
// theirs and something else takes it up.
func TestFreeNumberIsFilled(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b", "c")
	written(t, c)
	want(t, answer(t, c, refusal(1, im.Invalid)), "a invalid")
	want(t, written(t, c), "1:")
	for cs := im.ClientSeq(2); cs <= 3; cs++ {
		want(t, answer(t, c, wire.SendAck{ClientSeq: cs, Error: &im.Error{Kind: im.SequenceGap, Expected: 1}}))
	}
	want(t, written(t, c), "2:b", "3:c")
	want(t, answer(t, c, refusal(1, im.NotContact)))
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Seq: 1}), "b=1")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 3, Seq: 2}), "c=2")
	if c.Unanswered() != 0 {
		t.Errorf("%d unanswered", c.Unanswered())
	}
}

func TestNumberThatCannotBeFilledEndsTheConnection(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a")
	written(t, c)
	answer(t, c, refusal(1, im.Invalid))
	written(t, c)
	a := refusal(1, im.Invalid)
	if err := c.Frame(wire.TypeSendAck, wire.AppendSendAck(nil, &a)); im.KindOf(err) != im.SequenceGap {
		t.Fatalf("error %v", err)
	}
}

func TestBusyHoldsEverythingBehindIt(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b", "c")
	written(t, c)
	want(t, answer(t, c, wire.SendAck{ClientSeq: 2, Error: &im.Error{Kind: im.Busy, RetryAfterMS: 40}}))
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1}), "a=1")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 3, Error: &im.Error{Kind: im.SequenceGap, Expected: 2}}))
	mustSend(t, c, "d")
	want(t, written(t, c))
	if ms, attempt, ok := c.Hold(); ms != 40 || attempt != 1 || !ok {
		t.Fatalf("hold %d, %d, %v", ms, attempt, ok)
	}
	c.Resume()
	want(t, written(t, c), "2:b", "3:c", "4:d")
	answer(t, c, refusal(2, im.Unavailable))
	if ms, attempt, ok := c.Hold(); ms != 0 || attempt != 2 || !ok {
		t.Fatalf("second hold %d, %d, %v", ms, attempt, ok)
	}
	c.Resume()
	// 3 and 4 are still to be answered, so only 2 goes out again.
	want(t, written(t, c), "2:b")
}

// Each transmission causes at most one other, whatever the order of answers
// and however often they come.
func TestRefusedTwiceIsSentAgainOnce(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b")
	written(t, c)
	gap := wire.SendAck{ClientSeq: 2, Error: &im.Error{Kind: im.SequenceGap, Expected: 1}}
	answer(t, c, gap)
	answer(t, c, gap)
	answer(t, c, refusal(2, im.Busy))
	want(t, written(t, c), "2:b")
	if _, _, held := c.Hold(); held {
		t.Error("held by an answer to nothing")
	}
	answer(t, c, refusal(2, im.Invalid))
	want(t, answer(t, c, refusal(2, im.Invalid)))
	want(t, answer(t, c, wire.SendAck{ClientSeq: 1, Seq: 1}), "a=1")
	want(t, written(t, c), "2:")
}

func TestGapBelowWhatWasAnswered(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{ClientSeq: 5})
	mustSend(t, c, "a", "b")
	written(t, c)
	a := wire.SendAck{ClientSeq: 7, Error: &im.Error{Kind: im.SequenceGap, Expected: 3}}
	if err := c.Frame(wire.TypeSendAck, wire.AppendSendAck(nil, &a)); im.KindOf(err) != im.SequenceGap {
		t.Fatalf("error %v", err)
	}
	a = wire.SendAck{ClientSeq: 6, Error: &im.Error{Kind: im.SequenceGap, Expected: 6}}
	if err := c.Frame(wire.TypeSendAck, wire.AppendSendAck(nil, &a)); im.KindOf(err) != im.SequenceGap {
		t.Fatalf("a gap before the first: error %v", err)
	}
	// The server has forgotten 3 to 5: what it never had gets new numbers.
	c.Disconnected()
	c.Welcome(Welcome{User: self, ClientSeq: 2})
	want(t, written(t, c), "3:a", "4:b")
}

func TestAnotherProgramUsedTheDevice(t *testing.T) {
	st := State{Numbered: true, ClientSeq: 3, Unanswered: []wire.Send{{To: 9, ClientSeq: 3, Content: text("kept")}}}
	c := connected(t, Config{}, st, Welcome{ClientSeq: 10})
	mustSend(t, c, "new")
	want(t, written(t, c), "3:kept", "11:new")
	want(t, answer(t, c, refusal(3, im.Conflict)), " conflict")
	want(t, answer(t, c, wire.SendAck{ClientSeq: 11, Seq: 20}), "new=20")
}

func TestStateSurvivesARestart(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 2})
	mustSend(t, c, "a", "b")
	deliver(t, c, 1, 2)
	c.Taken(1)
	st := c.Export()
	if diff := cmp.Diff(State{Numbered: true, ClientSeq: 2, HasCursor: true, Cursor: 1, Unanswered: []wire.Send{
		{To: 9, ClientSeq: 1, Content: text("a")}, {To: 9, ClientSeq: 2, Content: text("b")},
	}}, st); diff != "" {
		t.Fatal(diff)
	}
	c = connected(t, Config{}, st, Welcome{ClientSeq: 1, Head: 3, Cursor: 1})
	want(t, written(t, c), "1:a", "2:b")
	if diff := cmp.Diff([]im.Seq{2, 3}, deliver(t, c, 2, 3)); diff != "" {
		t.Fatal(diff)
	}
}

func TestDeviceThatKeptNothingLearnsFromWelcome(t *testing.T) {
	c := New[string](Config{}, State{})
	if _, ok := c.Cursor(); ok {
		t.Error("a cursor out of nothing")
	}
	c.Welcome(Welcome{User: self, ClientSeq: 8, Cursor: 20, Head: 22})
	if cur, ok := c.Cursor(); cur != 20 || !ok {
		t.Errorf("cursor %d, %v", cur, ok)
	}
	mustSend(t, c, "a")
	want(t, written(t, c), "9:a")
	if diff := cmp.Diff([]im.Seq{21}, deliver(t, c, 20, 21)); diff != "" {
		t.Error(diff)
	}
}

func TestSendChecks(t *testing.T) {
	c := New[string](Config{Outbox: 1}, State{})
	for _, tc := range []struct {
		to   im.UserID
		body im.Content
		kind im.ErrorKind
	}{
		{9, im.Content{Type: im.ContentText, Body: []byte{0xff}}, im.Invalid},
		{9, im.Content{}, im.Invalid},
		{9, im.Content{Type: im.ContentCustom, Body: make([]byte, im.MaxBody+1)}, im.TooLarge},
		{0, text("a"), im.Invalid},
		{9, text("a"), im.KindUnspecified},
		{9, text("b"), im.Busy},
	} {
		if err := c.Send(tc.to, tc.body, ""); im.KindOf(err) != tc.kind {
			t.Errorf("to %d: %v, want %v", tc.to, err, tc.kind)
		}
	}
}

func TestAbandonedSendsAreNamedOnce(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{})
	mustSend(t, c, "a", "b", "c", "d")
	written(t, c)
	answer(t, c, wire.SendAck{ClientSeq: 3, Seq: 1})
	answer(t, c, refusal(2, im.Invalid))
	want(t, c.Abandon(), "a", "d")
	want(t, c.Abandon())
	if c.Unanswered() != 0 || c.Ready() {
		t.Error("something is left")
	}
}
