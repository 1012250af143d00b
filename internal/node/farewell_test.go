package node

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skein-im/skein/internal/config"
)

// When nobody answers any more at the address of operations, which is what 'skein
// drain' waits for, the next node can be started with the same settings.
func TestGoneWhenOperationsAre(t *testing.T) {
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.HTTP, cfg.Link, cfg.Ops, cfg.RoleListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	for range 3 {
		n, err := Start(t.Context(), cfg, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		at := n.Addresses()
		cfg.HTTP, cfg.Link, cfg.Ops, cfg.RoleListen = at.HTTP, at.Link, at.Ops, at.Roles
		stopped := make(chan error, 1)
		go func() { stopped <- n.Stop() }()
		for last := ""; ; {
			res, err := http.Get("http://" + at.Ops + "/readyz")
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err != nil {
				continue
			}
			res.Body.Close()
			if now := res.Status; now != last {
				last = now
				t.Log(now)
			}
		}
		next, err := Start(context.WithoutCancel(t.Context()), cfg, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatalf("operations are gone, but: %v", err)
		}
		if err := errors.Join(<-stopped, next.Stop()); err != nil {
			t.Fatal(err)
		}
	}
}
