package mailbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/wire"
)

func testContext(t *testing.T) context.Context { return patience.Context(t) }

// open starts a mailbox on a store in memory; the returned function stops
// both.
func open(t *testing.T, fs vfs.FS) (*Mailbox, func()) {
	t.Helper()
	st, err := pebble.Open("data", pebble.Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	// The machine may be too busy with other tests for what is not to be
	// shed here.
	cfg.Admission.Threshold = 0
	m := New(cfg, st)
	if err := m.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return m, func() {
		m.Stop()
		if n := m.control.Stats().Queued; n != 0 {
			t.Errorf("the controller knows of %d inputs after the stop", n)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

func provision(t *testing.T, m *Mailbox, id im.UserID, friends ...im.UserID) {
	t.Helper()
	hash := sha256.Sum256(fmt.Appendf(nil, "secret %d", id))
	if _, err := im.Do(testContext(t), m, im.User(id), &im.Provision{Friends: friends, TokenHashes: [][32]byte{hash}}); err != nil {
		t.Fatal(err)
	}
}

// inbox collects what a session is delivered.
type inbox struct {
	entries chan wire.Entry
	kicked  chan im.CloseCode
}

func newInbox() *inbox {
	return &inbox{entries: make(chan wire.Entry, 10000), kicked: make(chan im.CloseCode, 1)}
}

func (b *inbox) Deliver(first, last im.Seq, entries [][]byte) {
	for i, raw := range entries {
		var e wire.Entry
		if err := e.Unmarshal(raw); err != nil || e.Seq != first+im.Seq(i) {
			panic(fmt.Sprintf("entry %d: %v, seq %d", first+im.Seq(i), err, e.Seq))
		}
		b.entries <- e
	}
}

func (b *inbox) Kick(code im.CloseCode, _ string) { b.kicked <- code }

func attach(t *testing.T, m *Mailbox, id im.UserID, session im.SessionID, cursor *im.Seq) *inbox {
	t.Helper()
	b := newInbox()
	hash := sha256.Sum256(fmt.Appendf(nil, "secret %d", id))
	if _, err := im.Do(testContext(t), m, im.User(id), &im.Attach{Device: 1, TokenHash: hash, Session: session, Cursor: cursor, Sink: b}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *inbox) next(t *testing.T) wire.Entry {
	t.Helper()
	select {
	case e := <-b.entries:
		return e
	case <-testContext(t).Done():
		t.Fatal("no entry arrived")
		return wire.Entry{}
	}
}

func text(s string) im.Content { return im.Content{Type: im.ContentText, Body: []byte(s)} }

func TestTwoPeopleChat(t *testing.T) {
	fs := vfs.NewMem()
	m, stop := open(t, fs)
	provision(t, m, 1, 2)
	provision(t, m, 2, 1)
	alice, bob := attach(t, m, 1, 11, nil), attach(t, m, 2, 22, nil)

	const n = 1000
	for i := range n {
		m.Submit(im.User(1), &im.Send{To: 2, Device: 1, Session: 11, ClientSeq: im.ClientSeq(i + 1), Content: text(fmt.Sprint(i))}, nil)
	}
	for i := range n {
		if e := bob.next(t); string(e.Content.Body) != fmt.Sprint(i) || e.Peer != 1 || e.Outgoing || e.PairID != uint64(i+1) {
			t.Fatalf("message %d: %+v", i, e)
		}
	}
	if len(alice.entries) != 0 {
		t.Fatalf("alice was delivered %d of her own messages", len(alice.entries))
	}
	m.Submit(im.User(2), &im.AckDelivered{Device: 1, Session: 22, Seq: n}, nil)
	stop()

	m, stop = open(t, fs)
	defer stop()
	res, err := im.Do(testContext(t), m, im.User(1), &im.Counters{Device: 1})
	if c := res.(*im.CountersInfo); err != nil || c.SendID != n || c.SendAckID != n || c.ClientSeq != n {
		t.Fatalf("after a restart: %+v %v", res, err)
	}
	res, err = im.Do(testContext(t), m, im.User(2), &im.Counters{Device: 1})
	if c := res.(*im.CountersInfo); err != nil || c.RecvID != n || c.ClientRecvID != n {
		t.Fatalf("after a restart: %+v %v", res, err)
	}
	zero := im.Seq(0)
	late := attach(t, m, 2, 23, &zero)
	for i := range n {
		if e := late.next(t); string(e.Content.Body) != fmt.Sprint(i) {
			t.Fatalf("message %d again: %+v", i, e)
		}
		if i%100 == 99 {
			m.Submit(im.User(2), &im.AckDelivered{Device: 1, Session: 23, Seq: im.Seq(i + 1)}, nil)
		}
	}
	page, from, err := m.ReadConversation(testContext(t), 1, n, 10)
	if err != nil || len(page) != 10 || from != n-10 {
		t.Fatalf("a page of history: %d entries, then %d, %v", len(page), from, err)
	}
}

// TestAThousandPairsStartAtOnce: everyone asks, is accepted and writes, all at
// the same time, with entities that have never been loaded.
func TestAThousandPairsStartAtOnce(t *testing.T) {
	m, stop := open(t, vfs.NewMem())
	defer stop()
	const pairs = 1000
	var wg sync.WaitGroup
	for i := range im.UserID(pairs) {
		asker, asked := 2*i+1, 2*i+2
		provision(t, m, asker)
		provision(t, m, asked)
		a, b := attach(t, m, asker, im.SessionID(asker), nil), attach(t, m, asked, im.SessionID(asked), nil)
		wg.Go(func() { startPair(t, m, asker, asked, a, b) })
	}
	wg.Wait()
}

func startPair(t *testing.T, m *Mailbox, asker, asked im.UserID, a, b *inbox) {
	do := func(user im.UserID, cmd im.Command) {
		if _, err := im.Do(testContext(t), m, im.User(user), cmd); err != nil {
			t.Errorf("user %d: %T: %v", user, cmd, err)
		}
	}
	want := func(box *inbox, ok func(e *wire.Entry) bool) {
		select {
		case e := <-box.entries:
			if !ok(&e) {
				t.Errorf("users %d and %d: unexpected entry %+v", asker, asked, e)
			}
		case <-testContext(t).Done():
			t.Errorf("users %d and %d: an entry does not come", asker, asked)
		}
	}
	contact := func(event wire.ContactEvent) func(*wire.Entry) bool {
		return func(e *wire.Entry) bool { return e.Kind == wire.EntryContact && e.Contact == event }
	}
	do(asker, &im.Contact{Op: im.ContactRequest, Peer: asked})
	want(a, contact(wire.ContactRequested))
	want(b, contact(wire.ContactRequested))
	do(asked, &im.Contact{Op: im.ContactAccept, Peer: asker})
	want(b, contact(wire.ContactAccepted))
	want(a, contact(wire.ContactAccepted))
	do(asker, &im.Send{To: asked, Device: 1, Session: im.SessionID(asker), ClientSeq: 1, Content: text("first")})
	want(b, func(e *wire.Entry) bool { return string(e.Content.Body) == "first" })
}
