package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/patience"
)

// secrets are what must be in no log, by what it is.
type secrets map[string]string

// check looks for them in a log, also in the forms that bytes take there.
func (s secrets) check(t *testing.T, of, log string) {
	t.Helper()
	for what, secret := range s {
		if len(secret) < 8 {
			t.Fatalf("%s is too short to be looked for: %q", what, secret)
		}
		quoted, _ := json.Marshal(secret)
		forms := map[string]string{
			"": secret, " in hex": hex.EncodeToString([]byte(secret)), " quoted": strings.Trim(string(quoted), `"`),
			" in base64":         base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)],
			" in base64 for URL": base64.RawURLEncoding.EncodeToString([]byte(secret))[:len(secret)],
		}
		for form, text := range forms {
			if i := strings.Index(log, text); i >= 0 {
				t.Errorf("the log of the %s has the %s%s: %.300s", of, what, form, log[max(0, i-200):])
			}
		}
	}
}

func trimmed(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// Passwords, tokens and what people write are in no log, whatever happens: every
// role runs at level debug, users do everything they can do, and much of it
// wrong.
func TestLogsHaveNoSecrets(t *testing.T) {
	inBothShapes(t, setup{every: []string{"--log-level", "debug"}, front: []string{"--workers", "2"}}, logsHaveNoSecrets)
}

func logsHaveNoSecrets(t *testing.T, p *product) {
	planted := secrets{
		"password": "pass-Zebra-4711", "wrong password": "wrong-Zebra-4712", "message": "body-Zebra-4713 \"quoted\"",
		"greeting": "greeting-Zebra-4714", "note to a contact": "note-Zebra-4715", "forged token": "sk_forged-Zebra-4716",
		"operator's token":  trimmed(t, filepath.Join(p.Data, account.OperatorTokenFile)),
		"text of a payment": "payment-Zebra-4717", "notice": "notice-Zebra-4718", "text of a withdrawal": "withdrawal-Zebra-4719",
		"frame that is none": "frame-Zebra-4720", "body that is no JSON": "json-Zebra-4721", "path": "path-Zebra-4722",
		"hash of a device's secret": "hash-Zebra-4723-of-a-secret-0000",
	}
	if p.shared != nil {
		planted["cluster's secret"] = trimmed(t, filepath.Join(p.shared.data, "cluster.secret"))
	}
	everything(t, p.server, planted)
	provoke(t, p, planted)
	p.stop(t)
	for _, n := range p.parts {
		planted.check(t, n.args[0], n.logs.String())
		// The test looks at what it should: everybody was talkative.
		if !strings.Contains(n.logs.String(), `"level":"DEBUG"`) {
			t.Errorf("the log of the %s has nothing of level debug:\n%s", n.args[0], n.logs)
		}
	}
	if !strings.Contains(p.logs.String(), `"worker":`) {
		t.Error("the workers have logged nothing")
	}
}

// everything lets two users do what users do; tokens join the secrets.
func everything(t *testing.T, g *server, planted secrets) {
	t.Helper()
	w := &world{server: g, http: "http://" + g.HTTP}
	users := make([]*user, 2)
	for i, name := range []string{"ann", "bob"} {
		res, err := w.api("").Register(testContext(t), name, planted["password"], "first")
		if err != nil {
			t.Fatal(err)
		}
		users[i] = &user{w: w, name: name, id: client.UserID(res.User), api: w.api(res.Token), token: res.Token}
		planted["token of "+name] = res.Token
	}
	ann, bob := users[0], users[1]
	ac, bc := ann.dial(t, "tcp://"+g.Link, ann.token), bob.dial(t, "ws://"+g.Link+"/link", bob.token)
	makeFriends(t, ann, bob, ac, bc)
	if _, err := ac.SendText(testContext(t), bob.id, planted["message"]); err != nil {
		t.Fatal(err)
	}
	next(t, bc, client.Message)
	res, err := w.api("").Login(testContext(t), "ann", planted["password"], "second")
	if err != nil {
		t.Fatal(err)
	}
	planted["second token of ann"] = res.Token
	operator := planted["operator's token"]
	type object = map[string]any
	key := func(name string) object { return object{"name": name, "askedMs": time.Now().UnixMilli()} }
	for _, c := range []struct {
		method, token string
		body          object
	}{
		{"TreasuryService/TopUp", operator, object{"user": ann.id, "reference": "r1", "cents": 1000, "text": planted["text of a payment"]}},
		{"EnvelopeService/Send", ann.token, object{"key": key("one"), "to": []any{bob.id}, "total": 100, "shares": 1, "greeting": planted["greeting"]}},
		{"WalletService/Withdraw", ann.token, object{"key": key("two"), "cents": 10, "text": planted["text of a withdrawal"]}},
		{"AdminService/Notify", operator, object{"content": object{"type": "CONTENT_TYPE_TEXT", "body": []byte(planted["notice"])}}},
		{"AdminService/Provision", operator, object{"users": []any{object{"user": 77, "tokenHashes": [][]byte{[]byte(planted["hash of a device's secret"])}}}}},
	} {
		if err := call(g.HTTP, c.token, c.method, c.body, nil); err != nil {
			t.Errorf("%s: %v", c.method, err)
		}
	}
	ac.Close()
	bc.Close()
}

// post asks for a method; what it answers is not looked at.
func post(t *testing.T, g *server, method, token string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request(t, http.MethodPost, "http://"+g.HTTP+"/skein.v1."+method, token, string(text))
}

func request(t *testing.T, method, url, token, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// provoke does what goes wrong.
func provoke(t *testing.T, p *product, planted secrets) {
	t.Helper()
	g := p.server
	api := "http://" + g.HTTP + "/skein.v1."
	for range 15 {
		// More than are borne.
		post(t, g, "AccountService/Login", "", map[string]any{"name": "ann", "password": planted["wrong password"]})
	}
	post(t, g, "AccountService/Register", "", map[string]any{"name": "ann", "password": planted["wrong password"]})
	post(t, g, "AccountService/Register", "", map[string]any{"name": planted["path"] + "\n", "password": planted["wrong password"]})
	for _, token := range []string{planted["forged token"], planted["token of ann"] + "x", planted["operator's token"]} {
		post(t, g, "MessageService/Send", token, map[string]any{"to": 1, "content": map[string]any{"body": []byte(planted["message"])}})
		post(t, g, "TreasuryService/TopUp", token, map[string]any{"user": 1 << 40, "reference": planted["text of a payment"], "cents": -5})
	}
	post(t, g, "ContactService/Request", planted["token of ann"], map[string]any{"peer": 999, "note": planted["note to a contact"]})
	request(t, http.MethodPost, api+"MessageService/Send", planted["token of ann"], "{"+planted["body that is no JSON"])
	request(t, http.MethodGet, "http://"+g.HTTP+"/"+planted["path"]+"?token="+planted["forged token"], planted["forged token"], "")
	addrs := []string{g.Link, g.HTTP}
	for _, s := range p.parts {
		addrs = append(addrs, s.Ops)
		if s.Roles != "" {
			addrs = append(addrs, s.Roles)
		}
		request(t, http.MethodPost, "http://"+s.Ops+"/drain", planted["forged token"], "")
		request(t, http.MethodPut, "http://"+s.Ops+"/log-level", planted["operator's token"], planted["path"])
	}
	for _, addr := range addrs {
		for _, line := range []string{planted["frame that is none"], "GET /link HTTP/1.1\r\nAuthorization: " + planted["forged token"] + "\r\n\r\n", "\x01\xff\xff\xff\xff" + planted["frame that is none"]} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte(line))
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = c.Read(make([]byte, 64))
			c.Close()
		}
	}
	wrong, err := client.Dial(testContext(t), client.Options{Addr: "tcp://" + g.Link, Token: planted["forged token"]})
	if err == nil {
		wrong.Close()
		t.Error("a forged token is welcome")
	}
	if workers := workersOf(t, g); len(workers) > 0 {
		if err := syscall.Kill(workers[0], syscall.SIGABRT); err != nil {
			t.Fatal(err)
		}
	}
	patience.Until(t, "the worker is started again", func() (bool, any) {
		return metric(t, g, "skein_worker_restarts_total") >= 1 && metric(t, g, "skein_workers_ready") == 2, nil
	})
}

// The level changes while a node runs; workers follow, also those that are
// started later.
func TestLogLevel(t *testing.T) {
	inBothShapes(t, setup{front: []string{"--workers", "1"}}, logLevel)
}

func logLevel(t *testing.T, p *product) {
	s := p.server
	token := filepath.Join(s.Data, account.OperatorTokenFile)
	level := func(args ...string) string {
		t.Helper()
		out, err := run(t, "", append(append([]string{"log-level"}, args...), "--ops", s.Ops, "--token-file", token, "--json")...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	if got := level(); got != `{"level":"info","workers":1}` {
		t.Fatalf("at first %s", got)
	}
	ann := newUser(t, &world{server: s, http: "http://" + s.HTTP}, "ann")
	debugs := func() int { return strings.Count(s.logs.String(), `"msg":"login"`) }
	ann.dial(t, "tcp://"+s.Link, ann.token).Close()
	if n := debugs(); n != 0 {
		t.Fatalf("%d lines of level debug", n)
	}
	if got := level("debug"); got != `{"level":"debug","workers":1}` {
		t.Fatalf("then %s", got)
	}
	wants := func(n int) {
		t.Helper()
		c := ann.dial(t, "tcp://"+s.Link, ann.token)
		patience.Until(t, "the worker says more", func() (bool, any) { return debugs() >= n, s.logs.String() })
		c.Close()
	}
	wants(1)
	for _, pid := range workersOf(t, s) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	patience.Until(t, "the worker is started again", func() (bool, any) {
		return metric(t, s, "skein_worker_restarts_total") >= 1 && metric(t, s, "skein_workers_ready") == 1, nil
	})
	before := debugs()
	patience.Until(t, "the new worker says more", func() (bool, any) {
		ann.dial(t, "tcp://"+s.Link, ann.token).Close()
		return debugs() > before, s.logs.String()
	})
	for name, status := range map[string]int{"loud": http.StatusBadRequest, strings.Repeat("debug", 100): http.StatusBadRequest, "warn": http.StatusOK} {
		if got := request(t, http.MethodPut, "http://"+s.Ops+"/log-level", trimmed(t, token), name); got != status {
			t.Errorf("%.10q: %d", name, got)
		}
	}
	if got := request(t, http.MethodPut, "http://"+s.Ops+"/log-level", "wrong", "debug"); got != http.StatusUnauthorized {
		t.Errorf("without the operator's token: %d", got)
	}
}
