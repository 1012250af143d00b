package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// A node whose store is shared may be started before that is there, or while a part
// of it is away that the start needs: it waits, says for what, in its log and at
// the address of operations, and goes on by itself. What waiting does not help
// against, such as a wrong password or settings that would lose data, ends the start.

const (
	// leastWait and mostWait are between two attempts.
	leastWait = 200 * time.Millisecond
	mostWait  = 2 * time.Second
	// waitTold is how often it is logged that the same is still waited for.
	waitTold = time.Minute
)

// await makes a step of the start again until it succeeds, or fails for a reason
// that does not pass.
func (n *Node) await(ctx context.Context, what string, step func(ctx context.Context) error) error {
	var since, told time.Time
	var last string
	for pause := leastWait; ; pause = min(2*pause, mostWait) {
		err := step(ctx)
		if err == nil && !since.IsZero() {
			n.log.Info("what was waited for is there; the node goes on starting", "what", what, "after", time.Since(since).Round(time.Millisecond))
		}
		if err == nil || !mayPass(err) || ctx.Err() != nil {
			return err
		}
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		if text := err.Error(); text != last || now.Sub(told) > waitTold {
			last, told = text, now
			n.log.Warn("the node waits, and goes on by itself", "for", what, "since", now.Sub(since).Round(time.Millisecond), "err", err)
		}
		n.lobby.tell(fmt.Sprintf("starting: waiting for %s: %v", what, err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting for %s: %w", what, err)
		}
	}
}

// mayPass reports whether an error of a shared store is one that waiting helps
// against.
func mayPass(err error) bool {
	for _, never := range []error{store.ErrCorrupt, store.ErrNewer, store.ErrFailed} {
		if errors.Is(err, never) {
			return false
		}
	}
	return errors.Is(err, store.ErrAway) || im.KindOf(err) == im.Unavailable
}

// lobby answers at the address of operations from the beginning of a start that may
// have to wait until there is more to answer.
type lobby struct {
	why  atomic.Pointer[string]
	full atomic.Pointer[http.Handler]
	// guard is before what is said meanwhile.
	guard func(http.Handler) http.Handler
}

// openLobby opens the address of operations.
func (n *Node) openLobby() (err error) {
	if n.cfg.Store == config.StorePebble {
		return nil
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	n.lobby = &lobby{guard: func(h http.Handler) http.Handler { return h }}
	if !loopback(n.cfg.Ops) {
		n.lobby.guard = n.requireOperator
	}
	n.addrs.Ops, err = n.listenOps(n.lobby)
	return err
}

// tell says what is waited for.
func (l *lobby) tell(why string) {
	if l != nil {
		l.why.Store(&why)
	}
}

// ServeHTTP implements http.Handler.
func (l *lobby) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := l.full.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	l.guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		why := "starting"
		if p := l.why.Load(); p != nil {
			why = *p
		}
		http.Error(w, why, http.StatusServiceUnavailable)
	})).ServeHTTP(w, r)
}

// onceLogged passes each record on once until it is opened: attempts to open a store
// say the same each time.
type onceLogged struct {
	slog.Handler
	*heard
}

type heard struct {
	open atomic.Bool
	mu   sync.Mutex
	said map[string]bool
}

func newOnceLogged(log *slog.Logger) onceLogged {
	return onceLogged{log.Handler(), &heard{said: map[string]bool{}}}
}

// Handle implements slog.Handler.
func (o onceLogged) Handle(ctx context.Context, r slog.Record) error {
	if !o.open.Load() && o.again(r) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// again reports whether a record was passed on before.
func (h *heard) again(r slog.Record) bool {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += "\n" + a.String()
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.said[text]
	h.said[text] = true
	return was
}

// WithAttrs implements slog.Handler.
func (o onceLogged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return onceLogged{o.Handler.WithAttrs(attrs), o.heard}
}

// WithGroup implements slog.Handler.
func (o onceLogged) WithGroup(name string) slog.Handler {
	return onceLogged{o.Handler.WithGroup(name), o.heard}
}
