package entity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestSend(t *testing.T) {
	a := newUserActor(t, 1, 2)
	sent := a.must(send(2, 1, "hello")).(*im.Sent)
	if want := (im.Sent{Seq: 1, ClientSeq: 1, PairID: 1, Time: a.now}); *sent != want {
		t.Fatalf("got %+v, want %+v", *sent, want)
	}
	out := a.take()
	if len(out) != 1 || out[0].To != im.User(2) || out[0].Seq != 1 || string(out[0].Body.Content.Body) != "hello" || out[0].Body.PairID != 1 {
		t.Fatalf("sent on the link: %+v", out)
	}
	if !a.pending {
		t.Fatal("the user is not marked pending")
	}
	if st := a.ent.Status(); st.Outstanding != 1 || st.Due == 0 || st.Head != 1 {
		t.Fatalf("status %+v", st)
	}
}

// The same client_seq gets the same answer: at once, after a reload from the
// log, and after one from a snapshot.
func TestSendRepeated(t *testing.T) {
	a := newUserActor(t, 1, 2)
	first := *a.must(send(2, 1, "hello")).(*im.Sent)
	a.refuses(send(9, 2, "no friend"), im.NotContact)
	check := func(when string) {
		t.Helper()
		head := a.ent.Status().Head
		a.now += 1000
		if again := *a.must(send(2, 1, "hello")).(*im.Sent); again != first {
			t.Fatalf("%s: first %+v, then %+v", when, first, again)
		}
		a.refuses(send(9, 2, "no friend"), im.NotContact)
		a.refuses(send(2, 1, "other"), im.Conflict)
		a.refuses(send(3, 1, "hello"), im.Conflict)
		a.refuses(send(9, 2, "other"), im.Conflict)
		a.refuses(&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: im.Content{Type: im.ContentCustom, Body: []byte("hello")}}, im.Conflict)
		if a.ent.Status().Head != head {
			t.Fatalf("%s: a repeated send left an entry", when)
		}
	}
	check("at once")
	a.restart()
	check("from the log")
	a.snapshot()
	a.restart()
	check("from a snapshot")
}

// A refusal is for good even if the two become friends meanwhile.
func TestRefusedSendStaysRefused(t *testing.T) {
	a, b := newUserActor(t, 1), newUserActor(t, 2)
	a.refuses(send(2, 1, "hello"), im.NotContact)
	a.must(contact(im.ContactRequest, 2))
	exchange(a, b)
	b.must(contact(im.ContactAccept, 1))
	exchange(a, b)
	a.refuses(send(2, 1, "hello"), im.NotContact)
	a.must(send(2, 2, "hello"))
}

func TestSendToBlocked(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(contact(im.ContactBlock, 2))
	a.refuses(send(2, 1, "hello"), im.Blocked)
	a.must(contact(im.ContactUnblock, 2))
	a.refuses(send(2, 1, "hello"), im.Blocked)
	a.refuses(send(2, 2, "hello"), im.NotContact)
}

func TestSendGap(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "one"))
	_, err := a.do(send(2, 3, "three"))
	if e := im.AsError(err); e.Kind != im.SequenceGap || e.Expected != 2 {
		t.Fatalf("got %v", err)
	}
	a.must(send(2, 2, "two"))
	a.must(send(2, 3, "three"))
}

func TestSendWithoutClientSeq(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for want := im.ClientSeq(1); want <= 3; want++ {
		if sent := a.must(send(2, 0, "same")).(*im.Sent); sent.ClientSeq != want {
			t.Fatalf("client_seq %d, want %d", sent.ClientSeq, want)
		}
	}
}

// Each device counts for itself.
func TestSendOfTwoDevices(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for i := range im.ClientSeq(3) {
		for _, d := range []im.DeviceID{1, 2} {
			cmd := send(2, i+1, fmt.Sprint("from ", d))
			cmd.Device = d
			if sent := a.must(cmd).(*im.Sent); sent.Seq != im.Seq(2*i)+im.Seq(d) {
				t.Fatalf("device %d, client_seq %d: %+v", d, i+1, sent)
			}
		}
	}
}

func TestSendStale(t *testing.T) {
	a := newUserActor(t, 1)
	last := im.ClientSeq(3*im.AnswerWindow + 7)
	for cs := im.ClientSeq(1); cs <= last; cs++ {
		a.refuses(send(9, cs, "x"), im.NotContact)
	}
	for range 2 {
		oldest := last - im.AnswerWindow + 1
		a.refuses(send(9, oldest, "x"), im.NotContact)
		a.refuses(send(9, oldest-1, "x"), im.Stale)
		a.refuses(send(9, 1, "other"), im.Stale)
		a.snapshot()
		a.restart()
	}
}

// Retrying cannot help these, but they leave no trace either.
func TestSendMalformed(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for _, c := range []struct {
		cmd  *im.Send
		kind im.ErrorKind
	}{
		{&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: im.Content{Type: 7}}, im.Invalid},
		{&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: im.Content{Type: im.ContentText, Body: []byte{0xff}}}, im.Invalid},
		{send(2, 1, strings.Repeat("x", im.MaxBody+1)), im.TooLarge},
		{&im.Send{To: 2, Device: 9, ClientSeq: 1, Content: text("x")}, im.Unauthenticated},
		{&im.Send{To: 2, Device: 0, ClientSeq: 1, Content: text("x")}, im.Unauthenticated},
	} {
		a.refuses(c.cmd, c.kind)
	}
	if a.ent.Status().Head != 0 {
		t.Fatal("a malformed send left an entry")
	}
	a.must(send(2, 1, strings.Repeat("x", im.MaxBody)))
}

// A full window refuses for the moment; the client_seq stays free.
func TestSendWindow(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	for cs := range im.ClientSeq(im.LinkWindow) {
		a.must(send(2, cs+1, "x"))
	}
	next := im.ClientSeq(im.LinkWindow + 1)
	a.refuses(send(2, next, "x"), im.Busy)
	a.must(send(3, next, "another peer has room"))
	a.refuses(send(2, next+1, "x"), im.Busy)
	a.must(contact(im.ContactRemove, 2))
	a.must(contact(im.ContactRequest, 2))
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	a.refuses(send(2, next+1, "x"), im.NotContact)
}

func TestSendWindowReopens(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for cs := range im.ClientSeq(im.LinkWindow) {
		a.must(send(2, cs+1, "x"))
	}
	next := im.ClientSeq(im.LinkWindow + 1)
	a.refuses(send(2, next, "x"), im.Busy)
	a.restart()
	a.refuses(send(2, next, "x"), im.Busy)
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	a.must(send(2, next, "x"))
	a.refuses(send(2, next+1, "x"), im.Busy)
}

func numbered(to im.UserID, id uint64, body string) *im.SendNumbered {
	return &im.SendNumbered{To: to, SendID: id, Content: text(body)}
}

// bodies are those of messages, in the order they were sent.
func bodies(out []*Message) string {
	var list []string
	for _, m := range out {
		list = append(list, string(m.Body.Content.Body))
	}
	return strings.Join(list, " ")
}

func TestNumberedInAnyOrder(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	for _, id := range []uint64{3, 2, 5, 3} {
		if sent := a.must(numbered(2, id, fmt.Sprint(id))).(*im.Sent); sent.Seq != 0 {
			t.Fatalf("send id %d was sent early: %+v", id, sent)
		}
	}
	a.restart()
	if sent := a.must(numbered(3, 1, "1")).(*im.Sent); sent.Seq != 1 || sent.PairID != 1 {
		t.Fatalf("got %+v", sent)
	}
	if got := bodies(a.take()); got != "1 2 3" {
		t.Fatalf("sent %q", got)
	}
	a.must(numbered(2, 4, "4"))
	if got := bodies(a.take()); got != "4 5" {
		t.Fatalf("sent %q", got)
	}
	if len(a.records) != 4 {
		t.Fatalf("records are left: %v", a.records)
	}
	for id := range uint64(5) {
		if sent := a.must(numbered(2, id+1, "again")).(*im.Sent); *sent != (im.Sent{}) {
			t.Fatalf("send id %d again: %+v", id+1, sent)
		}
	}
	if got := bodies(a.take()); got != "" {
		t.Fatalf("sent %q", got)
	}
}

func TestNumberedLimits(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.refuses(numbered(2, 0, "x"), im.Invalid)
	a.refuses(numbered(9, 1, "x"), im.NotContact)
	a.refuses(numbered(9, 7, "x"), im.NotContact)
	a.refuses(&im.SendNumbered{To: 2, SendID: 1, Content: im.Content{Type: 9}}, im.Invalid)
	a.must(numbered(2, im.EarlyWindow, "x"))
	_, err := a.do(numbered(2, im.EarlyWindow+1, "x"))
	if e := im.AsError(err); e.Kind != im.SequenceGap || e.Expected != 1 {
		t.Fatalf("got %v", err)
	}
	newActor(t, im.User(4)).refuses(numbered(2, 1, "x"), im.NotFound)
}

// A number that waits is taken: whatever comes under it later is not, and
// says so.
func TestNumberedWaitingIsTaken(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	a.must(numbered(2, 2, "first"))
	a.refuses(numbered(3, 2, "second"), im.Conflict)
	a.must(contact(im.ContactRemove, 2))
	// It was accepted before they parted, so repeating it says so.
	a.must(numbered(2, 2, "first"))
	a.refuses(numbered(3, 2, "second"), im.Conflict)
}

// One that waited for its number and lost its receiver meanwhile comes back,
// and those behind it go on.
func TestNumberedRefusedInDrain(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	a.must(numbered(2, 2, "2"))
	a.must(numbered(3, 3, "3"))
	a.must(contact(im.ContactRemove, 2))
	a.take()
	a.must(numbered(3, 1, "1"))
	if got := bodies(a.take()); got != "1 3" {
		t.Fatalf("sent %q", got)
	}
	for range 2 {
		c := a.must(&im.Counters{}).(*im.CountersInfo)
		if c.SendID != 3 {
			t.Fatalf("counters %+v", c)
		}
		a.restart()
	}
	exchange(a, newUserActor(t, 3, 1))
	a.receive(&Message{From: im.User(3), To: a.addr, Ack: 2})
	a.snapshot()
	if c := a.must(&im.Counters{}).(*im.CountersInfo); c.SendAckID != c.SendID {
		t.Fatalf("counters %+v", c)
	}
}

// A full link holds a waiting number back; no other send may take it.
func TestNumberedWaitsForRoom(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	for id := range uint64(im.LinkWindow - 1) {
		a.must(numbered(2, id+1, "x"))
	}
	next := uint64(im.LinkWindow + 1)
	a.must(numbered(2, next, "waits"))
	a.must(numbered(2, next-1, "fills the window"))
	a.take()
	a.refuses(numbered(3, next, "takes its number"), im.Conflict)
	a.refuses(send(3, 1, "takes its number"), im.Busy)
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	if got := bodies(a.take()); got != "waits" {
		t.Fatalf("sent %q", got)
	}
	a.must(send(3, 1, "goes now"))
}

// What waits for its predecessors is bounded in bytes, over restarts too; the
// next send is taken always, and lets the others go.
func TestEarlyBytes(t *testing.T) {
	a := newUserActor(t, 1, 2)
	body := strings.Repeat("x", im.MaxBody)
	id := uint64(2)
	for ; id < 2+maxEarlyBytes/im.MaxBody; id++ {
		a.must(numbered(2, id, body))
	}
	a.refuses(numbered(2, id, "x"), im.Busy)
	a.must(numbered(2, id-1, body))
	a.restart()
	a.refuses(numbered(2, id, "x"), im.Busy)
	a.must(numbered(2, 1, body))
	if c := a.must(&im.Counters{}).(*im.CountersInfo); c.SendID != id-1 {
		t.Fatalf("%d were sent", c.SendID)
	}
	a.must(numbered(2, id+5, body))
	if got := a.user().earlyBytes; got != im.MaxBody {
		t.Fatalf("%d bytes wait", got)
	}
}

// An active device does not hold many more answers than repeats can get.
func TestAnswersAreBounded(t *testing.T) {
	var d device
	for cs := range im.ClientSeq(3000) {
		d.answer(cs+1, sendAnswer{seq: im.Seq(cs + 1)})
		if kept := d.kept(); len(kept) != min(int(cs)+1, im.AnswerWindow) || kept[len(kept)-1].seq != im.Seq(cs+1) {
			t.Fatalf("after %d answers %d are kept", cs+1, len(kept))
		}
		if cap(d.answers) > maxAnswers {
			t.Fatalf("room for %d", cap(d.answers))
		}
	}
}
