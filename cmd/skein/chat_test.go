package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
	"github.com/skein-im/skein/internal/patience"
)

// startServer runs a node on free ports.
func startServer(t *testing.T) node.Addresses {
	t.Helper()
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.HTTP, cfg.Link, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n, err := node.Start(context.Background(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n.Addresses()
}

// person is somebody at a chat, without a terminal.
type person struct {
	t    *testing.T
	in   *io.PipeWriter
	done chan error

	mu      sync.Mutex
	said    string
	changed chan struct{}
}

// Write implements io.Writer for what the chat prints.
func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said += string(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

// sit starts a chat.
func sit(t *testing.T, args ...string) *person {
	t.Helper()
	r, w := io.Pipe()
	p := &person{t: t, in: w, done: make(chan error, 1), changed: make(chan struct{})}
	cmd := newChatCommand()
	cmd.SetArgs(args)
	cmd.SetIn(r)
	cmd.SetOut(p)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	go func() { p.done <- cmd.ExecuteContext(t.Context()) }()
	return p
}

func (p *person) types(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits for words to be printed, and takes everything up to them away.
func (p *person) sees(words string) {
	p.t.Helper()
	p.seesOne(regexp.MustCompile(regexp.QuoteMeta(words)))
}

// seesOne is sees for words of a kind; it returns which.
func (p *person) seesOne(words *regexp.Regexp) string {
	p.t.Helper()
	timeout := time.After(patience.Limit)
	for {
		p.mu.Lock()
		said, at := p.said, words.FindStringIndex(p.said)
		if at != nil {
			p.said = said[at[1]:]
		}
		changed := p.changed
		p.mu.Unlock()
		if at != nil {
			return said[at[0]:at[1]]
		}
		select {
		case <-changed:
		case err := <-p.done:
			p.t.Fatalf("it ended with %v instead of %q, after %q", err, words, p.said)
		case <-timeout:
			p.t.Fatalf("no %q in %q", words, p.said)
		}
	}
}

// seesBoth is sees for two things that come in either order.
func (p *person) seesBoth(one, other string) {
	p.t.Helper()
	a, b := regexp.QuoteMeta(one), regexp.QuoteMeta(other)
	p.seesOne(regexp.MustCompile("(?s)" + a + ".*" + b + "|" + b + ".*" + a))
}

func (p *person) leaves() {
	p.t.Helper()
	p.types("/quit")
	if err := <-p.done; err != nil {
		p.t.Fatal(err)
	}
}

func TestTwoPeopleChat(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	addrs := startServer(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := func(name string, more ...string) []string {
		return append([]string{"--addr", "tcp://" + addrs.Link, "--http", "http://" + addrs.HTTP, "--user", name,
			"--state", filepath.Join(dir, name+".json")}, more...)
	}
	alice := sit(t, flags("Alice", "--register", "--password-file", password)...)
	alice.sees("You are Alice.")
	bob := sit(t, flags("bob", "--register", "--password-file", password)...)
	bob.sees("You are bob.")

	alice.types("/contacts")
	alice.sees("no contacts yet")
	alice.types("hello?")
	alice.sees("Say /to NAME first")
	alice.types("/add nobody")
	alice.sees("no user nobody")
	alice.types("/to bob")
	alice.sees("Writing to bob.")
	alice.types("too early")
	alice.sees("you are not contacts")
	alice.types("/add bob")
	alice.sees("you asked bob to be your contact")
	// The name comes from the request, and was checked.
	bob.sees("Alice asks to be your contact")
	bob.types("/accept alice")
	alice.sees("bob accepted your request")
	alice.types("hello, 世界")
	alice.sees("you -> bob: hello, 世界")
	bob.sees("Alice: hello, 世界")
	bob.types("/to alice")
	bob.types("//shrug\x1b[31m")
	bob.sees("you -> Alice: /shrug")
	alice.sees("bob: /shrug\uFFFD[31m")
	bob.types("/history 5")
	bob.sees("Alice: hello, 世界")
	bob.sees("you -> Alice: /shrug")
	bob.types("/contacts")
	bob.sees("Alice  contact")
	bob.types("/devices")
	bob.sees("1  skein chat")
	bob.sees("this one, online")
	bob.types("/nonsense")
	bob.sees("no command /nonsense")
	bob.types("/accept")
	bob.sees("Who? /accept NAME")
	bob.types("/help")
	bob.sees("/quit")
	bob.leaves()

	// What comes meanwhile is shown at the next start, without a password.
	alice.types("are you there?")
	alice.sees("you -> bob")
	alice.types("/block bob")
	alice.sees("you blocked bob")
	bob = sit(t, flags("bob")...)
	bob.sees("Alice: are you there?")
	bob.types("/wait 2")
	bob.types("/history 1")
	bob.leaves()
	if strings.Contains(bob.said, "hello") {
		t.Errorf("what was seen comes again: %q", bob.said)
	}
	alice.leaves()

	info, err := os.Stat(filepath.Join(dir, "bob.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state is open to %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.json.*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestScriptsSeeWhatHasCome(t *testing.T) {
	t.Setenv("LC_ALL", "zh_CN.UTF-8")
	addrs := startServer(t)
	dir := t.TempDir()
	api := client.NewAPI("http://"+addrs.HTTP, "", nil)
	a, err := api.Register(t.Context(), "a", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Register(t.Context(), "b", "correct horse", ""); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := func(lines ...string) (string, error) {
		var out bytes.Buffer
		cmd := newChatCommand()
		cmd.SetArgs([]string{"--addr", "tcp://" + addrs.Link, "--http", "http://" + addrs.HTTP, "--user", "b",
			"--state", filepath.Join(dir, "b.json"), "--password-file", password})
		cmd.SetIn(strings.NewReader(strings.Join(lines, "\n")))
		cmd.SetOut(&out)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := script("/add a", fmt.Sprintf("/add #%d", a.GetUser()), "/wait 1", "/to x", "/wait 1 0")
	for _, want := range []string{"你是 b。", "你请求加 a 为联系人", "没有用户 x", "时限内来了 0 条，应有 1 条"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q, %v", want, out, err)
		}
	}
	// A login that was revoked is not kept trying.
	b, err := api.Login(t.Context(), "b", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := api.WithToken(b.GetToken()).RevokeDevice(t.Context(), client.DeviceID(b.GetDevice()-1)); err != nil {
		t.Fatal(err)
	}
	if _, err := script("/contacts"); err == nil || !strings.Contains(err.Error(), "已失效") {
		t.Errorf("revoked: %v", err)
	}
}

// Who chats is told when the connection is gone for long, and when it is back.
func TestServerGoesAndComesBack(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.HTTP, cfg.Link, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	start := func() *node.Node {
		n, err := node.Start(context.Background(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := start()
	cfg.HTTP, cfg.Link, cfg.Ops = n.Addresses().HTTP, n.Addresses().Link, n.Addresses().Ops
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The address needs no scheme.
	alice := sit(t, "--addr", "tcp://"+cfg.Link, "--http", cfg.HTTP, "--user", "alice", "--register",
		"--password-file", password, "--state", filepath.Join(t.TempDir(), "state"))
	alice.sees("You are alice.")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	alice.sees("The connection is gone")
	n = start()
	defer n.Stop()
	alice.sees("Connected again.")
	alice.leaves()
}

func TestLoginsThatFail(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	addrs := startServer(t)
	state := filepath.Join(t.TempDir(), "state")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("wrong password"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"--addr", "tcp://" + addrs.Link, "--http", "http://" + addrs.HTTP, "--user", "x", "--state", state}
	for want, args := range map[string][]string{
		"--password-file": nil,
		"cannot log in: wrong user name or password": {"--password-file", password},
		"no such file": {"--password-file", "/no/such/file"},
	} {
		cmd := newChatCommand()
		cmd.SetArgs(append(base[:len(base):len(base)], args...))
		cmd.SetIn(strings.NewReader(""))
		cmd.SetOut(io.Discard)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("a failed login is kept")
	}
}

// Both languages say everything, with the same places for names and numbers.
func TestLanguages(t *testing.T) {
	verb := regexp.MustCompile(`%(\[\d\])?[a-z]`)
	var compare func(path string, en, zh reflect.Value)
	compare = func(path string, en, zh reflect.Value) {
		if en.Kind() == reflect.Map {
			if en.Len() != zh.Len() {
				t.Errorf("%s: %d and %d texts", path, en.Len(), zh.Len())
			}
			for _, k := range en.MapKeys() {
				if z := zh.MapIndex(k); z.IsValid() {
					compare(fmt.Sprintf("%s[%v]", path, k), en.MapIndex(k), z)
				} else {
					t.Errorf("%s[%v] is missing in Chinese", path, k)
				}
			}
			return
		}
		e, z := verb.FindAllString(en.String(), -1), verb.FindAllString(zh.String(), -1)
		if en.String() == "" || zh.String() == "" || !reflect.DeepEqual(e, z) {
			t.Errorf("%s: %q and %q", path, en.String(), zh.String())
		}
	}
	en, zh := reflect.ValueOf(english), reflect.ValueOf(chinese)
	for i := range en.NumField() {
		compare(en.Type().Field(i).Name, en.Field(i), zh.Field(i))
	}
	for _, tc := range []struct {
		env  map[string]string
		want *words
	}{
		{nil, &english},
		{map[string]string{"LANG": "zh_TW.UTF-8"}, &chinese},
		{map[string]string{"LANG": "zh_CN", "LC_ALL": "C"}, &english},
		{map[string]string{"LANG": "de_DE", "LC_MESSAGES": "zh"}, &chinese},
	} {
		if wordsFor(func(k string) string { return tc.env[k] }) != tc.want {
			t.Errorf("%v speaks the other language", tc.env)
		}
	}
}

// What the server says of a person's input is said in Chinese, too.
func TestChineseDetails(t *testing.T) {
	addrs := startServer(t)
	api := client.NewAPI("http://"+addrs.HTTP, "", nil)
	register := func(name, password string) (*client.API, error) {
		r, err := api.Register(t.Context(), name, password, "")
		return api.WithToken(r.GetToken()), err
	}
	_, badName := register("小明", "correct horse")
	_, badPassword := register("ming", "short")
	ming, err := register("ming", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	self, _, err := ming.LookupUser(t.Context(), "ming")
	if err != nil {
		t.Fatal(err)
	}
	_, withSelf := ming.RequestContact(t.Context(), self, "")
	for _, err := range []error{badName, badPassword, withSelf} {
		if said := chinese.why(err); !regexp.MustCompile(`\p{Han}`).MatchString(said) {
			t.Errorf("%v is %q in Chinese", err, said)
		}
		if said := english.why(err); strings.Contains(said, "invalid:") {
			t.Errorf("%v is %q in English", err, said)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\x1b]0;x\x07\r\nb\tc\u202ed世"); got != "a\uFFFD]0;x\uFFFD\uFFFD b c\uFFFDd世" {
		t.Errorf("%q", got)
	}
}

func TestStatePaths(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", "/c")
	got, err := defaultStatePath("http://h:1/x", "../Évil")
	if err != nil || got != "/c/skein/chat-..__vil@h_1.json" {
		t.Errorf("%q, %v", got, err)
	}
}
