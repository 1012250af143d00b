package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

const (
	countersPath = "/skein.v1.MessageService/Counters"
	loginPath    = "/skein.v1.AccountService/Login"
)

// wireError is the JSON form of an error, as programs without Connect see it.
type wireError struct {
	Code    string
	Message string
	Details []struct {
		Type  string
		Debug struct{ Kind string }
	}
}

func readError(t testing.TB, res *http.Response) wireError {
	t.Helper()
	var e wireError
	if err := json.NewDecoder(res.Body).Decode(&e); err != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	return e
}

func TestErrorsHaveTheDocumentedForm(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
		if _, ok := cmd.(*im.Counters); ok {
			return &im.Error{Kind: im.Busy, RetryAfterMS: 1001, Detail: "too much to do"}
		}
		return nil
	}
	res := post(t, srv, countersPath, token, "{}")
	e := readError(t, res)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "2" || e.Code != "resource_exhausted" || e.Message != "too much to do" {
		t.Errorf("status %d, headers %v, %+v", res.StatusCode, res.Header, e)
	}
	if len(e.Details) != 1 || e.Details[0].Type != "skein.v1.Error" || e.Details[0].Debug.Kind != "ERROR_KIND_BUSY" {
		t.Errorf("details %+v", e.Details)
	}
	for h, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := res.Header.Get(h); got != want {
			t.Errorf("%s: %q", h, got)
		}
	}
	for h := range res.Header {
		if strings.HasPrefix(h, "Access-Control") {
			t.Errorf("header %s allows other origins", h)
		}
	}
}

// Every kind has a code, and Internal never shows why.
func TestKindsMapToCodes(t *testing.T) {
	want := map[im.ErrorKind]int{
		im.Internal: 500, im.Invalid: 400, im.Unauthenticated: 401, im.PermissionDenied: 403, im.NotFound: 404,
		im.AlreadyExists: 409, im.Conflict: 409, im.SequenceGap: 400, im.Stale: 400, im.TooLarge: 429,
		im.NotContact: 403, im.Blocked: 403, im.Busy: 429, im.Unavailable: 503, im.Unimplemented: 501,
		im.Insufficient: 400, im.Expired: 400, im.AllGone: 400, im.Moved: 400,
	}
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	for kind := im.Internal; kind.String()[0] != 'k'; kind++ {
		f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
			if _, ok := cmd.(*im.Counters); ok {
				return im.Errorf(kind, "because")
			}
			return nil
		}
		res := post(t, srv, countersPath, token, "{}")
		e := readError(t, res)
		if res.StatusCode != want[kind] {
			t.Errorf("%v: status %d, want %d", kind, res.StatusCode, want[kind])
		}
		if got, want := e.Details[0].Debug.Kind, skeinv1.ErrorKind(kind).String(); got != want {
			t.Errorf("%v: detail of kind %s", kind, got)
		}
		if temporary := res.Header.Get("Retry-After") != ""; temporary != kind.Temporary() {
			t.Errorf("%v: Retry-After %q", kind, res.Header.Get("Retry-After"))
		}
		if hidden := e.Message != "because"; hidden != (kind == im.Internal) {
			t.Errorf("%v: message %q", kind, e.Message)
		}
	}
}

func TestDefectsAreHiddenAndLoggedOnce(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	for name, fail := range map[string]func() error{
		"a foreign error":   func() error { return errors.New("open /var/secret: denied") },
		"an internal error": func() error { return im.Errorf(im.Internal, "open /var/secret: denied") },
		"a panic":           func() error { panic("open /var/secret: denied") },
	} {
		before := strings.Count(f.logged.String(), "/var/secret")
		f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
			if _, ok := cmd.(*im.Counters); ok {
				return fail()
			}
			return nil
		}
		res := post(t, srv, countersPath, token, "{}")
		e := readError(t, res)
		if res.StatusCode != 500 || e.Message != "internal error" {
			t.Errorf("%s: status %d, %+v", name, res.StatusCode, e)
		}
		if n := strings.Count(f.logged.String(), "/var/secret") - before; n != 1 {
			t.Errorf("%s: logged %d times", name, n)
		}
	}
	if log := f.logged.String(); strings.Contains(log, token[3:]) || !strings.Contains(log, "MessageService/Counters") {
		t.Errorf("the log: %s", log)
	}
}

func TestMalformedRequests(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	for name, c := range map[string]struct {
		body, contentType string
		want              int
	}{
		"no JSON":              {`{"a"`, "application/json", 400},
		"empty JSON":           {``, "application/json", 400},
		"wrong type":           {`{"limit":"many"}`, "application/json", 400},
		"negative":             {`{"cursor":-1}`, "application/json", 400},
		"deep JSON":            {strings.Repeat(`{"a":`, 50000) + "1" + strings.Repeat("}", 50000)[:6000], "application/json", 400},
		"no protobuf":          {"\x0a\xff", "application/proto", 400},
		"unknown content type": {`{}`, "text/plain", 415},
		"form":                 {`a=b`, "application/x-www-form-urlencoded", 415},
	} {
		res := post(t, srv, "/skein.v1.MessageService/Sync", token, c.body, "Content-Type", c.contentType)
		if res.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, c.want)
		}
	}
	res := post(t, srv, "/skein.v1.MessageService/Nothing", token, "{}")
	if e := readError(t, res); res.StatusCode != 501 || e.Code != "unimplemented" || !strings.Contains(e.Message, "/openapi.json") {
		t.Errorf("unknown method: status %d, %+v", res.StatusCode, e)
	}
	if res := post(t, srv, "/nowhere", token, "{}"); res.StatusCode != 404 {
		t.Errorf("no method at all: status %d", res.StatusCode)
	}
	get, err := srv.Client().Get(srv.URL + countersPath)
	if err != nil {
		t.Fatal(err)
	}
	get.Body.Close()
	if get.StatusCode != 405 {
		t.Errorf("GET of a method: status %d", get.StatusCode)
	}
}

func TestOtherOriginsGetNoPermission(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	req, err := http.NewRequest(http.MethodOptions, srv.URL+loginPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://example.com")
	req.Header.Set("Access-Control-Request-Method", "POST")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: status %d, %v", res.StatusCode, res.Header)
	}
}

func TestFailedLoginsAreCountedByAddress(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	for i := 0; ; i++ {
		_, err := dial(srv, "").Login(t.Context(), connect.NewRequest(&skeinv1.LoginRequest{
			Name: "n" + strconv.Itoa(i), Password: password,
		}))
		if connect.CodeOf(err) == connect.CodeUnauthenticated && i < 1000 {
			continue
		}
		wantError(t, "the last of many failed logins", err, connect.CodeResourceExhausted, im.Busy)
		if d := detail(err); d.GetRetryAfterMs() == 0 || i < 100 {
			t.Errorf("after %d failures come back after %d ms", i, d.GetRetryAfterMs())
		}
		return
	}
}

func TestNewChecksConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an API without anything")
	}
}
