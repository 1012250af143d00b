package mailbox

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// halves is a store on two servers, of which the one with the odd slots may hang or
// refuse.
type halves struct {
	*memstore.Store
	mu sync.Mutex
	// hang holds calls back until it is closed, away refuses them.
	hang chan struct{}
	away error
}

func (h *halves) Place(slot im.Slot) string { return [...]string{"even", "odd"}[slot%2] }

func (h *halves) set(hang chan struct{}, away error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hang, h.away = hang, away
}

// reach fails a call that needs the server that is away.
func (h *halves) reach(ctx context.Context, slots []im.Slot) error {
	h.mu.Lock()
	hang, away := h.hang, h.away
	h.mu.Unlock()
	for _, slot := range slots {
		if slot%2 == 0 {
			continue
		}
		if hang != nil {
			select {
			case <-hang:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return away
	}
	return nil
}

func (h *halves) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	if err := h.reach(ctx, slots); err != nil {
		return nil, err
	}
	return h.Store.Acquire(ctx, owner, slots)
}

func (h *halves) Owners(ctx context.Context, slots []im.Slot) ([]store.Owner, error) {
	if err := h.reach(ctx, slots); err != nil {
		return nil, err
	}
	return h.Store.Owners(ctx, slots)
}

// Slots of a server that is there are served while another hangs or is away; the
// others come when it is back, and the log says so once.
func TestPartOfTheStoreIsAway(t *testing.T) {
	h := &halves{Store: memstore.New(time.Now), hang: make(chan struct{}), away: errors.New("it is away")}
	var out lines
	cfg := DefaultConfig()
	cfg.Node, cfg.Shared, cfg.AuditEvery = "a", true, time.Hour
	cfg.Logger = slog.New(slog.NewTextHandler(&out, nil))
	m := New(cfg, h)
	if err := m.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	m.Assign(store.AllSlots())
	if m.Useful() == nil {
		t.Error("a mailbox without slots is of use")
	}
	awaitHeld(t, m, im.Slots/2)
	if m.Useful() != nil || m.Health() == nil {
		t.Errorf("with half the slots: %v, %v", m.Useful(), m.Health())
	}
	close(h.hang)
	if err := m.Tried(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := m.Health(); err == nil || !strings.Contains(err.Error(), "2048 of 4096") || !strings.Contains(err.Error(), "it is away") {
		t.Errorf("health: %v", err)
	}
	if err := m.auditOnce(); err != nil {
		t.Errorf("audit of what is there: %v", err)
	}
	h.set(nil, nil)
	if err := m.Settled(testContext(t)); err != nil {
		t.Fatal(err)
	}
	h.set(nil, errors.New("away again"))
	if err := m.auditOnce(); err == nil || strings.Count(err.Error(), "away again") != 1 {
		t.Errorf("audit: %v", err)
	}
	for text, times := range map[string]int{"cannot be acquired yet": 1, "server=odd slots=2048": 1, "acquired again": 1} {
		if n := strings.Count(out.String(), text); n != times {
			t.Errorf("%q is logged %d times:\n%s", text, n, out.String())
		}
	}
}

// lines is what is logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// awaitHeld waits until so many slots are served.
func awaitHeld(t *testing.T, m *Mailbox, n int) {
	t.Helper()
	deadline := testContext(t)
	for {
		changed := m.slots.Watch()
		if m.slots.Count() == n {
			return
		}
		select {
		case <-changed:
		case <-deadline.Done():
			t.Fatalf("%d slots are served, not %d", m.slots.Count(), n)
		}
	}
}
