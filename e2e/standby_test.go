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
	// program is that of the standby, which serves when the region is lost.
	program    string
	identity   []string
	certs      string
	data, copy string
	standby    *server
	region     *server
}

// newSite prepares a region and its standby.
func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	return &site{program: binary, certs: certs, data: filepath.Join(dir, "region"), copy: filepath.Join(dir, "copy"), identity: []string{
		"--region", "east", "--relay-cert", filepath.Join(certs, "east.pem"),
		"--relay-key", filepath.Join(certs, "east-key.pem"), "--relay-ca", filepath.Join(certs, "ca.pem"),
	}}
}

// startSite starts a standby and the region that it is for.
func startSite(t *testing.T, mode string) *site {
	t.Helper()
	s := newSite(t)
	s.startStandby(t)
	s.region = start(t, s.data, s.serving("--standby", s.standby.Standby, "--standby-mode", mode)...)
	return s
}

func (s *site) startStandby(t *testing.T) {
	t.Helper()
	s.standby = startProgram(t, s.program, append([]string{"standby", "--json", "--data", s.copy, "--ops", "127.0.0.1:0",
		"--standby-listen", "127.0.0.1:0"}, s.identity...)...)
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
	if _, err := launchProgram(s.program, serveArgs(t, s.copy, s.serving()...)...); err == nil {
		t.Fatal("a server serves from what is a standby's")
	}
	s.standby.stop(t)
	s.promote(t, at)
}

// promote serves from the copy, at some addresses.
func (s *site) promote(t *testing.T, at []string) {
	t.Helper()
	out, err := runProgram(t, s.program, "", "standby", "promote", "--data", s.copy)
	if err != nil || !strings.Contains(out, "the region's store now") {
		t.Fatalf("%v: %s", err, out)
	}
	s.region = startProgram(t, s.program, serveArgs(t, s.copy, s.serving(at...)...)...)
}

// TestStandby loses a region in the middle of a chat, with everything that it
// has stored. Its synchronous standby goes on: nothing is lost, repeated or
// reordered.
func TestStandby(t *testing.T) {
	t.Parallel()
	s := startSite(t, "sync")
	finished, verdict := longChat(t, s.region, 50, "--friends", "10", "--rate", "200")
	between(t, finished, verdict)
	began := time.Now()
	s.lose(t)
	t.Logf("served again after %v", time.Since(began))
	r := verdict()
	r.check(t)
	s.region.stop(t)
}
