package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func gzipped(t testing.TB, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOversizedBodies(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	padding := func(n int) string { return `{"name":"` + strings.Repeat("x", n-11) + `"}` }
	for name, c := range map[string]struct {
		body   io.Reader
		gzip   bool
		status int
	}{
		"just fits":          {strings.NewReader(padding(maxBody)), false, 400},
		"one byte too many":  {strings.NewReader(padding(maxBody + 1)), false, 429},
		"without length":     {io.MultiReader(strings.NewReader(padding(maxBody + 1))), false, 429},
		"bomb":               {strings.NewReader(gzipped(t, make([]byte, 64<<20))), true, 429},
		"compressed, fits":   {strings.NewReader(gzipped(t, []byte(padding(maxBody)))), true, 400},
		"compressed, beyond": {strings.NewReader(gzipped(t, []byte(padding(maxBody+1)))), true, 429},
	} {
		req, err := http.NewRequest(http.MethodPost, srv.URL+loginPath, c.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c.gzip {
			req.Header.Set("Content-Encoding", "gzip")
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e := readError(t, res)
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: status %d (%s), want %d", name, res.StatusCode, e.Message, c.status)
		}
	}
}

// A length that is too large is enough; the body is not waited for.
func TestOversizedLengthIsRefusedAtOnce(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = time.Hour })
	srv := f.server(t, nil)
	c, r := rawConn(t, srv)
	write(t, c, "POST "+loginPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if e := readError(t, res); res.StatusCode != 429 || e.Details[0].Debug.Kind != "ERROR_KIND_TOO_LARGE" {
		t.Errorf("status %d, %+v", res.StatusCode, e)
	}
}

// A body without end is not read to its end.
func TestEndlessBodyIsCutOff(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	req, err := http.NewRequest(http.MethodPost, srv.URL+loginPath, endless{})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if e := readError(t, res); res.StatusCode != 429 || e.Details[0].Debug.Kind != "ERROR_KIND_TOO_LARGE" {
		t.Errorf("status %d, %+v", res.StatusCode, e)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// rawConn speaks to a server byte by byte.
func rawConn(t testing.TB, srv *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

// Who may not call a method is told so whatever the body is, even none.
func TestStrangersAreRefusedBeforeTheirBody(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 10 * time.Millisecond })
	srv := f.server(t, nil)
	c, r := rawConn(t, srv)
	write(t, c, "POST /skein.v1.AdminService/Provision HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\nno JSON")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if e := readError(t, res); res.StatusCode != 401 || e.Code != "unauthenticated" {
		t.Errorf("status %d, %+v, want 401", res.StatusCode, e)
	}
	if !res.Close {
		t.Error("the connection may be used again")
	}
}

// The headers never end.
func TestSlowHeadersAreCutOff(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, func(s *http.Server) {
		if s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 || s.WriteTimeout <= 0 || s.MaxHeaderBytes <= 0 {
			t.Errorf("a limit is missing: %+v", s)
		}
		s.ReadHeaderTimeout = 20 * time.Millisecond
	})
	c, r := rawConn(t, srv)
	write(t, c, "POST / HTTP/1.1\r\nHost: x\r\nX: ")
	if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, io.EOF) {
		t.Logf("the connection ended with %v", err)
	}
}

// The body never ends, while a poll on the same server may wait.
func TestSlowBodiesAreCutOffAndPollsAreNot(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 30 * time.Millisecond })
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	polled := make(chan *http.Response, 1)
	go func() { polled <- post(t, srv, "/skein.v1.MessageService/Sync", token, `{"waitMs":60000}`) }()
	waitForPolls(t, f, 1)

	c, r := rawConn(t, srv)
	write(t, c, "POST "+loginPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := readError(t, res); res.StatusCode != 504 || e.Code != "deadline_exceeded" {
		t.Errorf("status %d, %+v", res.StatusCode, e)
	}
	res.Body.Close()
	if !res.Close {
		t.Error("the connection may be used again")
	}

	// The poll began earlier, so its body's deadline has passed as well.
	f.mailbox.Append(1, 2, "worth waiting for")
	var got struct{ Head string }
	if err := json.NewDecoder((<-polled).Body).Decode(&got); err != nil || got.Head != "1" {
		t.Errorf("the poll got %+v, %v", got, err)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	req, err := http.NewRequest(http.MethodGet, srv.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X", strings.Repeat("x", 200<<10))
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	for range 2 {
		f.mailbox.Append(1, 2, strings.Repeat("long ", 1000))
	}
	for path, want := range map[string]string{"/skein.v1.MessageService/Sync": "gzip", countersPath: ""} {
		res := post(t, srv, path, token, "{}", "Accept-Encoding", "gzip")
		if got := res.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: encoding %q, want %q", path, got, want)
		}
	}
}
