package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site is a region and its standby.
type site struct {
	identity []string
	copy     string
	standby  *server
	region   *server
}

// startSite starts a standby and the region that it is for.
func startSite(t *testing.T, mode string) *site {
	t.Helper()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	s := &site{copy: filepath.Join(dir, "copy"), identity: []string{
		"--region", "east", "--relay-cert", filepath.Join(certs, "east.pem"),
		"--relay-key", filepath.Join(certs, "east-key.pem"), "--relay-ca", filepath.Join(certs, "ca.pem"),
	}}
	s.standby = startNode(t, append([]string{"standby", "--json", "--data", s.copy, "--ops", "127.0.0.1:0",
		"--standby-listen", "127.0.0.1:0"}, s.identity...)...)
	s.region = start(t, filepath.Join(dir, "region"), s.serving("--standby", s.standby.Standby, "--standby-mode", mode)...)
	return s
}

func (s *site) serving(more ...string) []string {
	return append(append([]string{"--relay-listen", "127.0.0.1:0"}, s.identity...), more...)
}

// lose kills the region and everything that it has stored, and serves from the
// copy at the same addresses.
func (s *site) lose(t *testing.T) {
	t.Helper()
	at := s.region.fixed()
	s.region.kill()
	if err := os.RemoveAll(s.region.Data); err != nil {
		t.Fatal(err)
	}
	if _, err := launch(serveArgs(s.copy, s.serving()...)...); err == nil {
		t.Fatal("a server serves from what is a standby's")
	}
	s.standby.stop(t)
	s.promote(t, at)
}

// promote serves from the copy, at some addresses.
func (s *site) promote(t *testing.T, at []string) {
	t.Helper()
	out, err := run(t, "", "standby", "promote", "--data", s.copy)
	if err != nil || !strings.Contains(out, "the region's store now") {
		t.Fatalf("%v: %s", err, out)
	}
	s.region = start(t, s.copy, s.serving(at...)...)
}

// TestStandby loses a region in the middle of a chat, with everything that it
// has stored. Its synchronous standby goes on: nothing is lost, repeated or
// reordered.
func TestStandby(t *testing.T) {
	t.Parallel()
	s := startSite(t, "sync")
	finished, verdict := longChat(t, s.region, 50, "--friends", "10", "--rate", "300")
	between(t, finished, verdict)
	began := time.Now()
	s.lose(t)
	t.Logf("served again after %v", time.Since(began))
	r := verdict()
	r.check(t)
	s.region.stop(t)
}
