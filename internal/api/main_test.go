package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/account/fakemailbox"
	"github.com/skein-im/skein/internal/im"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password      = "correct horse"
	operatorToken = "op_of-these-tests-only"
)

// fixture is an API on a fake mailbox, with a log to look at.
type fixture struct {
	*API
	mailbox *fakemailbox.Mailbox
	logged  *logBuffer
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	m, log := &fakemailbox.Mailbox{}, &logBuffer{}
	hasher, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}, Concurrent: 1, Waiting: 10, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.NewService(account.Config{Mailbox: m, Hasher: hasher, Rand: rand.Reader, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var session atomic.Uint64
	cfg := Config{
		Mailbox: m, Accounts: accounts, Operator: account.NewOperator(operatorToken),
		NextSession: func() im.SessionID { return im.SessionID(session.Add(1)) },
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{API: a, mailbox: m, logged: log}
}

// server serves the fixture as production does, until the test ends.
func (f *fixture) server(t testing.TB, change func(*http.Server)) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewHTTPServer(f.API, f.log)
	if change != nil {
		change(srv.Config)
	}
	srv.Start()
	t.Cleanup(func() {
		f.Drain()
		srv.Close()
	})
	return srv
}

// clients are generated clients with one token.
type clients struct {
	rpc.AccountServiceClient
	rpc.ContactServiceClient
	rpc.MessageServiceClient
	rpc.AdminServiceClient
}

// bearing makes a client send a token.
func bearing(token string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			if token != "" {
				req.Header().Set("Authorization", "Bearer "+token)
			}
			return next(ctx, req)
		}
	}))
}

func dial(srv *httptest.Server, token string, opts ...connect.ClientOption) clients {
	opts = append(opts, bearing(token))
	return clients{
		rpc.NewAccountServiceClient(srv.Client(), srv.URL, opts...),
		rpc.NewContactServiceClient(srv.Client(), srv.URL, opts...),
		rpc.NewMessageServiceClient(srv.Client(), srv.URL, opts...),
		rpc.NewAdminServiceClient(srv.Client(), srv.URL, opts...),
	}
}

// codecs are the two ways every generated client can talk.
func codecs() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"protobuf": nil,
		"json":     {connect.WithProtoJSON()},
	}
}

func register(t testing.TB, srv *httptest.Server, name string) *skeinv1.RegisterResponse {
	t.Helper()
	return must(t)(dial(srv, "").Register(t.Context(), connect.NewRequest(&skeinv1.RegisterRequest{
		Name: name, Password: password, DeviceName: name + "'s phone",
	}))).(*skeinv1.RegisterResponse)
}

// must takes a response and its error, in one expression.
func must(t testing.TB) func(res connect.AnyResponse, err error) any {
	t.Helper()
	return func(res connect.AnyResponse, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return res.Any()
	}
}

// detail is the skein.v1.Error of an error, nil when there is none.
func detail(err error) *skeinv1.Error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return nil
	}
	for _, d := range ce.Details() {
		if m, err := d.Value(); err == nil {
			if e, ok := m.(*skeinv1.Error); ok {
				return e
			}
		}
	}
	return nil
}

// wantError checks the code and the kind of an error that came over HTTP.
func wantError(t testing.TB, what string, err error, code connect.Code, kind im.ErrorKind) {
	t.Helper()
	d := detail(err)
	if connect.CodeOf(err) != code || d == nil || im.ErrorKind(d.Kind) != kind {
		t.Errorf("%s: %v with detail %v, want %v with kind %v", what, err, d, code, kind)
	}
}

// post sends a request as curl would.
func post(t testing.TB, srv *httptest.Server, path, token, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// befriend makes users 1 and 2 friends, with one device each, and returns the
// devices' tokens.
func befriend(t testing.TB, m *fakemailbox.Mailbox) (string, string) {
	t.Helper()
	var tokens [2]string
	for i := range 2 {
		user, secret := im.UserID(i+1), account.Secret([]byte(fmt.Sprintf("secret-of-user-%05d", i)))
		_, err := im.Do(t.Context(), m, im.User(user), &im.Provision{
			Friends: []im.UserID{3 - user}, TokenHashes: [][32]byte{secret.Hash()},
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = account.Token(user, 1, secret)
	}
	return tokens[0], tokens[1]
}
