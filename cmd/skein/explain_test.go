package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	"github.com/skein-im/skein/internal/im"
)

// tokenFile is one with an operator's token, as good as any.
func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "operator.token")
	if err := os.WriteFile(name, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What is wrong on a command line is an error that says what would be right.
func TestWrongUsage(t *testing.T) {
	for line, want := range map[string]string{
		"nonsense":                     "'skein --help' lists them",
		"serv":                         "did you mean 'skein serve'?",
		"wallet topup 127.0.0.1:1 a":   "did you mean 'skein wallet top-up'?",
		"cluster nonsense":             "'skein cluster --help' lists them",
		"serve extra":                  "usage: skein serve",
		"serve --nonsense":             "'skein serve --help' lists the flags",
		"notify 127.0.0.1:1":           "usage: skein notify NODE TEXT",
		"serve --http 127.0.0.1:7080x": "http: ",
		"serve --http 127.0.0.1:99999": "http: ",
		"wallet top-up 127.0.0.1:1 alice x --reference r": "not an amount in cents",
	} {
		_, err := runCommand(t, strings.Fields(line)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("skein %s: %v; want %q", line, err, want)
		}
	}
}

// Who gives one of a node's addresses for the other is told so.
func TestOtherAddress(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	token := tokenFile(t)
	for line, want := range map[string]string{
		"drain " + srv.URL:                       "that the node calls operations",
		"region status " + srv.URL:               "that the node calls operations",
		"log-level info --ops " + srv.URL:        "that the node calls operations",
		"notify " + srv.URL + " hello":           "that the node calls HTTP API",
		"wallet settle " + srv.URL + " 1 --paid": "that the node calls HTTP API",
	} {
		_, err := runCommand(t, append(strings.Fields(line), "--token-file", token)...)
		if err == nil || !strings.Contains(err.Error()+advice(err), want) {
			t.Errorf("skein %s: %v %s; want %q", line, err, advice(err), want)
		}
	}
}

func TestAdvice(t *testing.T) {
	refused := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7070}, Err: syscall.ECONNREFUSED}
	if a := advice(connect.NewError(connect.CodeUnavailable, refused)); !strings.Contains(a, "nothing listens at 127.0.0.1:7070") {
		t.Errorf("refused: %q", a)
	}
	unknown := im.Errorf(im.Unauthenticated, "the token is not the operator's")
	if a := advice(unknown); !strings.Contains(a, "--token-file") {
		t.Errorf("wrong token: %q", a)
	}
	moved := &im.Error{Kind: im.Moved, At: &im.Place{HTTP: []string{"http://10.2.0.1:7080"}}}
	if a := advice(moved); !strings.Contains(a, "http://10.2.0.1:7080") {
		t.Errorf("moved: %q", a)
	}
	if a := advice(errors.New("something else")); a != "" {
		t.Errorf("for what is not known: %q", a)
	}
}

// The help of a group of commands is no mistake.
func TestGroups(t *testing.T) {
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"wallet"})
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), "top-up") {
		t.Errorf("%v: %s", err, &out)
	}
}
