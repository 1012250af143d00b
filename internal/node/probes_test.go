package node

import (
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/patience"
)

// A gateway is well and ready while it reaches its mailbox, and says why it is
// not otherwise; a mailbox stands on its own feet.
func TestProbesByRole(t *testing.T) {
	cfg := testConfig(t)
	socket := "unix:" + filepath.Join(t.TempDir(), "roles")
	cfg.Mailbox = socket
	quiet := slog.New(slog.DiscardHandler)
	g, err := Start(t.Context(), cfg, Options{Role: Gateway, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	probe := func(n *Node, path string) (int, string) {
		t.Helper()
		return fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+path, "")
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, why := probe(g, path); status != http.StatusServiceUnavailable || !strings.Contains(why, "mailbox") {
			t.Errorf("a gateway without a mailbox: %s: %d %s", path, status, why)
		}
	}
	if _, page := probe(g, "/metrics"); !strings.Contains(page, "\nskein_healthy 0\n") || !strings.Contains(page, "\nskein_ready 0\n") {
		t.Error("the metrics say otherwise")
	}
	cfg.RoleListen = socket
	m, err := Start(t.Context(), cfg, Options{Role: Mailbox, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	// It connects in the background.
	patience.Until(t, "the gateway reaches its mailbox", func() (bool, any) { return g.Health() == nil, g.Health() })
	for _, n := range []*Node{g, m} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, why := probe(n, path); status != http.StatusOK {
				t.Errorf("%s: %s: %d %s", n.opts.Role, path, status, why)
			}
		}
	}
	g.ready.Store(false)
	if status, why := probe(g, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(why, "stopping") {
		t.Errorf("a gateway that stops: %d %s", status, why)
	}
	if status, why := probe(g, "/healthz"); status != http.StatusOK {
		t.Errorf("a gateway that stops is ill: %d %s", status, why)
	}
	if err := errors.Join(g.Stop(), m.Stop()); err != nil {
		t.Fatal(err)
	}
}
