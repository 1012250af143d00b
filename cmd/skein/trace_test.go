package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skein-im/skein/client"
)

// ask runs 'skein trace'.
func ask(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var b, progress bytes.Buffer
	cmd := newTraceCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&b)
	cmd.SetErr(&progress)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(t.Context())
	return b.String() + progress.String(), err
}

// /trace prints what 'skein trace' takes.
func TestTraceFromTheChat(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	addrs := startServer(t)
	api := client.NewAPI("http://"+addrs.HTTP, "", nil)
	bob, err := api.Register(t.Context(), "bob", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := sit(t, "--addr", "tcp://"+addrs.Link, "--http", "http://"+addrs.HTTP, "--user", "alice",
		"--state", filepath.Join(dir, "alice.json"), "--register", "--password-file", password)
	alice.sees("You are alice.")
	alice.types("/trace hello")
	alice.sees("Say /to NAME first")
	alice.types("/add bob")
	alice.sees("you asked bob")
	bobs := api.WithToken(bob.GetToken())
	me, _, err := bobs.LookupUser(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bobs.AcceptContact(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	alice.sees("bob accepted your request")
	alice.types("/to bob")
	alice.types("/trace hello, planted words")
	alice.sees("you -> bob: hello")
	said := alice.seesOne(regexp.MustCompile(`skein trace [0-9a-f]{16}`))
	alice.leaves()
	id := strings.Fields(said)[2]
	out, err := ask(t, id, "--ops", addrs.Ops)
	if err != nil || !strings.Contains(out, "mailbox.commit") || strings.Contains(out, "planted") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := ask(t, "--slow", "3", "--ops", addrs.Ops+",127.0.0.1:1"); err != nil || !strings.HasPrefix(out, id) || !strings.Contains(out, "127.0.0.1:1: unavailable") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTraceSaysWhatIsWrong(t *testing.T) {
	addrs := startServer(t)
	for want, args := range map[string][]string{
		"16 hexadecimal digits":     {"xyz"},
		"give the id of a trace":    {},
		"from 1 to 32":              {"--slow", "33"},
		"no process could be asked": {"8000000000000001", "--ops", "127.0.0.1:1"},
		"exit status 1":             {"8000000000000001", "--ops", addrs.Ops},
	} {
		if out, err := ask(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q (%s)", args, err, want, out)
		}
	}
}
