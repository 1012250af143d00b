package mailbox

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
)

var _ im.Leveler = (*Mailbox)(nil)

// An overloaded mailbox refuses what matters least, says when to come back,
// and counts it.
func TestShedding(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	m := New(cfg, memstore.New(time.Now))
	defer m.Stop()
	if m.Level() != im.AnyLevel {
		t.Fatalf("level %d", m.Level())
	}
	// A second in which everything waits for a second: what is processed is
	// a third of what comes.
	m.control.Tick(0)
	for user := range im.UserID(3000) {
		m.control.Admit(admit.LevelOf(admit.Class(1+user%6), user, 1))
		if user%3 == 0 {
			m.control.Observe(time.Second)
		}
	}
	m.control.Tick(time.Second)
	if m.Level() == im.AnyLevel {
		t.Fatal("not overloaded")
	}
	refused := make(chan error, 1)
	m.Submit(im.User(1), &im.Provision{}, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { refused <- err }))
	m.Submit(im.User(1), &im.Detach{}, nil)
	_, noPage := m.ReadTimeline(t.Context(), 1, 0, 10)
	_, _, noHistory := m.ReadConversation(t.Context(), 1, 5, 10)
	for _, err := range []error{<-refused, noPage, noHistory} {
		if im.KindOf(err) != im.Busy || im.AsError(err).RetryAfterMS < 100 {
			t.Errorf("got %v", err)
		}
	}
	st := m.Stats()
	if st.Admission.Shed[admit.Bulk] != 1 || st.Admission.Shed[admit.Reads] != 2 || st.Admission.Level != m.Level() || st.Admission.MeanQueued != time.Second {
		t.Errorf("%+v", st.Admission)
	}
	if st.Queued != 1 || st.QueuedBytes == 0 || st.Queued > st.QueueSize || st.QueuedBytes > st.QueueBytes {
		t.Errorf("%d inputs of %d bytes are queued, at most %d of %d", st.Queued, st.QueuedBytes, st.QueueSize, st.QueueBytes)
	}
}
