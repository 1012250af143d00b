package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

// runCommand runs the program in this process.
func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// From a top-up through an envelope to the audit of the stopped store.
func TestEnvelopeBetweenTwoPeople(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.HTTP, cfg.Link, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n, err := node.Start(context.Background(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	defer stop()
	addrs, dir := n.Addresses(), t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	chat := func(user string) *person {
		return sit(t, "--user", user, "--register", "--password-file", password, "--http", "http://"+addrs.HTTP,
			"--addr", "tcp://"+addrs.Link, "--state", filepath.Join(dir, user))
	}
	ann := chat("ann")
	ann.sees("You are ann")
	bob := chat("bob")
	bob.sees("You are bob")
	ann.types("/add bob")
	bob.sees("asks to be your contact")
	bob.types("/accept ann")
	ann.sees("accepted your request")
	ann.types("/to bob")
	ann.types("/gift 500")
	ann.sees("not enough money")

	token := []string{"--token-file", filepath.Join(addrs.Data, "operator.token")}
	out, err := runCommand(t, append([]string{"wallet", "top-up", addrs.HTTP, "ann", "12345", "--reference", "r1"}, token...)...)
	if err != nil || !strings.Contains(out, "12345 cents for user 4294967296") {
		t.Fatalf("top-up: %s %v", out, err)
	}
	for who, want := range map[string]string{"nobody": `cannot find user "nobody"`, "99": "there is no user 99"} {
		if _, err := runCommand(t, append([]string{"wallet", "top-up", addrs.HTTP, who, "1", "--reference", "r2"}, token...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a top-up of %s: %v", who, err)
		}
	}
	ann.sees("123.45 came into your wallet")
	for line, want := range map[string]string{
		"/gift": "How much?", "/gift 5 @nobody": "There is no user nobody.", "/open": "No envelope has come yet.", "/open x": "There is no such envelope.",
		"/open 7": "There is no such envelope.", "/shake": "Which campaign?", "/shake x": "Which campaign?", "/shake 7": "This campaign has not begun",
	} {
		ann.types(line)
		ann.sees(want)
	}
	ann.types("/gift 500 1 good luck")
	bob.sees("an envelope from ann, number ")
	bob.sees(": good luck")
	bob.types("/open")
	bob.seesBoth("It has 5.00 for you.", "5.00 from an envelope")
	bob.types("/open")
	bob.sees("It has 5.00 for you.")
	bob.types("/balance")
	bob.sees("You have 5.00.")
	ann.sees("all of your envelope ")
	ann.types("/statement")
	ann.sees("-5.00      118.45  you sent an envelope of 5.00, number ")
	bob.types("/gift 2 @ann")
	ann.sees("an envelope from bob, number ")

	args := append([]string{"campaign", "create", addrs.HTTP, "--sponsor", "ann", "--total", "1000", "--count", "10",
		"--rate", "500", "--title", "New Year", "--name", "c1", "--asked", "0"}, token...)
	out, err = runCommand(t, args...)
	id := regexp.MustCompile(`Campaign (\d+) begins`).FindStringSubmatch(out)
	if err != nil || id == nil {
		t.Fatalf("campaign create: %s %v", out, err)
	}
	ann.sees("you funded a campaign with 10.00")
	out, err = runCommand(t, append([]string{"campaign", "show", addrs.HTTP, id[1]}, token...)...)
	if err != nil || !strings.Contains(out, "New Year: 1000 cents in 10 envelopes") {
		t.Fatalf("campaign show: %s %v", out, err)
	}
	for won := regexp.MustCompile(`You won|Nothing|busy`); ; {
		bob.types("/shake " + id[1])
		if bob.seesOne(won) == "You won" {
			break
		}
	}
	// The entry may have come before the answer, or may come only now.
	bob.types("/statement")
	bob.sees("you won 1.00 in campaign")
	bob.types("/shake " + id[1])
	bob.sees("You have won as often as you may.")
	ann.leaves()
	bob.leaves()
	stop()
	out, err = runCommand(t, "audit", "--data", addrs.Data)
	if err != nil || !strings.Contains(out, "Every cent is accounted for.") || !strings.Contains(out, "12345 cents") {
		t.Fatalf("audit: %s %v", out, err)
	}
	if out, err = runCommand(t, "audit", "--data", filepath.Join(dir, "nothing")); err == nil {
		t.Fatalf("an audit of nothing says %s", out)
	}
}
