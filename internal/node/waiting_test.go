package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// waiter is a node that starts, and what it logs.
func waiter() (*Node, *strings.Builder) {
	var out strings.Builder
	n := newNode(config.Default(), Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	n.lobby = &lobby{guard: func(h http.Handler) http.Handler { return h }}
	return n, &out
}

// A start waits for what may come, says so once and then every minute, and goes on.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, out := waiter()
		begun := time.Now()
		err := n.await(t.Context(), "the store", func(context.Context) error {
			if time.Since(begun) > 150*time.Second {
				return nil
			}
			return fmt.Errorf("open: %w", store.ErrAway)
		})
		if err != nil {
			t.Fatal(err)
		}
		if waits, there := strings.Count(out.String(), "waits"), strings.Count(out.String(), "is there"); waits != 3 || there != 1 {
			t.Errorf("it waits %d times, and goes on %d times:\n%s", waits, there, out)
		}
		w := httptest.NewRecorder()
		n.lobby.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "waiting for the store") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// What waiting does not help against ends a start, and so does whoever ends it.
func TestAwaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{
			errors.New("a wrong password"), im.Errorf(im.Invalid, "it is a copy"), im.Errorf(im.Unavailable, "read: %w", store.ErrCorrupt), store.ErrNewer,
		} {
			n, out := waiter()
			if got := n.await(t.Context(), "x", func(context.Context) error { return err }); !errors.Is(got, err) || out.Len() > 0 {
				t.Errorf("%v: %v, %s", err, got, out)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		n, _ := waiter()
		if err := n.await(ctx, "x", func(context.Context) error { return im.Errorf(im.Unavailable, "away") }); !strings.Contains(fmt.Sprint(err), "away") {
			t.Error(err)
		}
	})
}

// Attempts to open a store log the same thing once; what an open one says again is
// logged again.
func TestOnceLogged(t *testing.T) {
	var out strings.Builder
	once := newOnceLogged(slog.New(slog.NewTextHandler(&out, nil)))
	log := slog.New(once)
	for range 3 {
		log.Warn("away", "server", "a")
		log.With("more", 1).Warn("away", "server", "b")
	}
	if n := strings.Count(out.String(), "away"); n != 2 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	once.open.Store(true)
	log.Warn("away", "server", "a")
	if n := strings.Count(out.String(), "away"); n != 3 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
