package mailbox

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/wire"
)

// trimmed is a mailbox whose users 1 and 2 have written to each other, and that
// has let go of all but the last entries.
func trimmed(t *testing.T, messages, kept int) *Mailbox {
	t.Helper()
	st := memstore.New(time.Now)
	cfg := DefaultConfig()
	cfg.Logger, cfg.Admission.Threshold = slog.New(slog.DiscardHandler), 0
	cfg.Core.Retain = entity.Retention{Entries: kept}
	m := New(cfg, st)
	if err := m.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	provision(t, m, 1, 2)
	provision(t, m, 2, 1)
	bob := attach(t, m, 2, 22, nil)
	for n := range messages {
		must(t, m, 1, &im.Send{To: 2, Device: 1, Content: text(fmt.Sprint(n + 1))})
		bob.next(t)
	}
	for _, user := range []im.UserID{1, 2} {
		must(t, m, user, &im.AckDelivered{Device: 1, Seq: im.Seq(messages)})
	}
	for tidied := false; !tidied; {
		// What was sent is let go of when its ack has come.
		must(t, m, 1, &im.Tidy{})
		page, err := m.ReadTimeline(testContext(t), 1, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		tidied = entryOf(t, page[0]).Seq == im.Seq(messages-kept)
	}
	return m
}

func must(t *testing.T, m *Mailbox, user im.UserID, cmd im.Command) {
	t.Helper()
	if _, err := im.Do(testContext(t), m, im.User(user), cmd); err != nil {
		t.Fatalf("user %d: %T: %v", user, cmd, err)
	}
}

func entryOf(t *testing.T, raw []byte) (e wire.Entry) {
	t.Helper()
	if err := e.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestReadTrimmedTimeline(t *testing.T) {
	m := trimmed(t, 20, 5)
	for after, want := range map[im.Seq][]im.Seq{0: {15, 16, 17}, 14: {15, 16, 17}, 15: {16, 17, 18}, 18: {19, 20}, 20: nil} {
		page, err := m.ReadTimeline(testContext(t), 1, after, 3)
		if err != nil || len(page) != len(want) {
			t.Fatalf("after %d: %d entries, %v", after, len(page), err)
		}
		for i, raw := range page {
			kind := wire.EntryMessage
			if want[i] == 15 {
				kind = wire.EntryGone
			}
			if e := entryOf(t, raw); e.Seq != want[i] || e.Kind != kind {
				t.Fatalf("after %d: %+v", after, e)
			}
		}
	}
}

// History ends where the log begins.
func TestReadTrimmedConversation(t *testing.T) {
	m := trimmed(t, 20, 5)
	page, next, err := m.ReadConversation(testContext(t), 1, 18, 2)
	if err != nil || len(page) != 2 || next != 16 {
		t.Fatalf("%d entries, then %d, %v", len(page), next, err)
	}
	page, next, err = m.ReadConversation(testContext(t), 1, next, 10)
	if err != nil || len(page) != 1 || next != 0 {
		t.Fatalf("%d entries, then %d, %v", len(page), next, err)
	}
	page, next, err = m.ReadConversation(testContext(t), 1, 3, 10)
	if err != nil || len(page) != 0 || next != 0 {
		t.Fatalf("%d entries, then %d, %v", len(page), next, err)
	}
	if _, _, err := m.ReadConversation(testContext(t), 1, 21, 10); im.KindOf(err) != im.NotFound {
		t.Fatal(err)
	}
}
