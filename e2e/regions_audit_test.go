package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every cent is accounted for over two regions of several nodes each, whose
// stores are in Redis.
func TestAuditOfRegionsOnRedis(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	east, west := openWides(t, dir)
	spendAcross(t, east.gate, west.gate, east.one, west.two)
	eastFile, westFile := east.settings(filepath.Join(dir, "east.toml")), west.settings(filepath.Join(dir, "west.toml"))
	if out, err := run(t, "", "audit", "--config", eastFile, "--region-config", westFile); err == nil {
		t.Fatalf("stores that are being served were audited: %s", out)
	}
	for _, w := range []*wide{east, west} {
		for _, s := range []*server{w.gate, w.one, w.two} {
			s.stop(t)
		}
	}
	checkBooks(t, "--config", eastFile, "--region-config", westFile)
	if out, err := run(t, "", "audit", "--config", eastFile); err == nil {
		t.Fatalf("one region's books agree without the other's: %s", out)
	}
}

// settings writes a file with where the region's store is.
func (w *wide) settings(path string) string {
	w.t.Helper()
	var text strings.Builder
	for i := 0; i < len(w.shared); i += 2 {
		fmt.Fprintf(&text, "%s = %q\n", strings.ReplaceAll(strings.TrimPrefix(w.shared[i], "--"), "-", "_"), w.shared[i+1])
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}
