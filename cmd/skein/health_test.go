package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/config"
)

func TestHealthOfARunningNode(t *testing.T) {
	addrs := startServer(t)
	for _, args := range [][]string{{addrs.Ops}, {"http://" + addrs.Ops}, {"--ops", addrs.Ops}, {"--live", "--ops", addrs.Ops}} {
		if out, err := runCommand(t, append([]string{"health", "--data", addrs.Data}, args...)...); err != nil || out != "ok\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	t.Setenv("SKEIN_OPS", addrs.Ops)
	t.Setenv("SKEIN_DATA", addrs.Data)
	if out, err := runCommand(t, "health", "--json"); err != nil || !strings.Contains(out, `"ok":true`) {
		t.Errorf("settings of the environment: %q, %v", out, err)
	}
}

// A node that is not ready is alive; both need the token where the node asks
// for it.
func TestHealthOfAnUnreadyNode(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, account.OperatorTokenFile), []byte("op_of-this-test-only\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer op_of-this-test-only" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	for name, tc := range map[string]struct {
		args []string
		good bool
		out  string
	}{
		"not ready":     {[]string{"--data", data}, false, "stopping"},
		"live":          {[]string{"--data", data, "--live"}, true, "stopping"},
		"without token": {[]string{"--data", t.TempDir()}, false, "who are you?"},
		"token file":    {[]string{"--token-file", filepath.Join(data, account.OperatorTokenFile)}, false, "stopping"},
	} {
		out, err := runCommand(t, append([]string{"health", srv.URL}, tc.args...)...)
		var code exitCode
		if (err == nil) != tc.good || err != nil && (!errors.As(err, &code) || code != 1) || !strings.Contains(out, tc.out) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	srv.Close()
	if _, err := runCommand(t, "health", srv.URL, "--live"); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody: %v", err)
	}
}

func TestHereIsOnThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:7070": "127.0.0.1:7070", ":7070": "127.0.0.1:7070", "[::]:7070": "127.0.0.1:7070",
		"127.0.0.1:7070": "127.0.0.1:7070", "10.0.0.7:7070": "10.0.0.7:7070", "node-1:7070": "node-1:7070",
	} {
		if got := here(listen); got != want {
			t.Errorf("%s is reached at %s", listen, got)
		}
	}
}

// Where nobody has said which, the node that is there is asked.
func TestHealthFindsTheNode(t *testing.T) {
	serve, mailbox := config.Default().Ops, config.DefaultFor("mailbox").Ops
	var up []string
	listens := func(addr string) bool { return slices.Contains(up, addr) }
	for _, c := range []struct {
		up        []string
		ops, want string
	}{
		{nil, serve, serve},
		{[]string{serve, mailbox}, serve, serve},
		{[]string{mailbox}, serve, mailbox},
		{[]string{mailbox}, "0.0.0.0:7171", "127.0.0.1:7171"},
	} {
		up = c.up
		if got := opsHere(c.ops, listens); got != c.want {
			t.Errorf("with %v, %s is asked at %s", c.up, c.ops, got)
		}
	}
}
