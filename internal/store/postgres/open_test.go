package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// server is one of the test's own.
func server(t *testing.T, settings ...string) *pgtest.Server {
	t.Helper()
	s, err := pgtest.Start(settings...)
	need(t, s, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"no URL":          func(o *Options) { o.URL = "" },
		"no such key":     func(o *Options) { o.URL = "postgres://127.0.0.1/x?sslmode=perhaps" },
		"quoted schema":   func(o *Options) { o.Schema = `a"b` },
		"long schema":     func(o *Options) { o.Schema = strings.Repeat("x", 64) },
		"schema of its":   func(o *Options) { o.Schema = "pg_x" },
		"digit first":     func(o *Options) { o.Schema = "1x" },
		"standbys":        func(o *Options) { o.Standbys = -2 },
		"reply":           func(o *Options) { o.ReplyTimeout = 1 },
		"connections":     func(o *Options) { o.Connections = -1 },
		"many connection": func(o *Options) { o.Connections = 257 },
	} {
		o := Options{URL: "postgres://127.0.0.1:1/x", Timeout: time.Millisecond}
		change(&o)
		if s, err := Open(t.Context(), o); err == nil || strings.Contains(err.Error(), "refused") {
			if err == nil {
				_ = s.Close()
			}
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfirming(t *testing.T) {
	for names, want := range map[string]int{
		"": 0, " ": 0, "*": 1, "a": 1, "a, b": 1, "ANY 1 (a, b)": 1, "any 2(a,b,c)": 2, "FIRST 3 (a, b, c)": 3, "2 (a, b)": 2,
		"first_one, b": 1, `"any 5 (x)"`: 1,
	} {
		if got := confirming(names); got != want {
			t.Errorf("%q: %d", names, got)
		}
	}
}

// TestOpenRefuses: what cannot work, or would lose data, is refused with words that
// help; and it is said if waiting may help.
func TestOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		url, want string
		away      bool
	}{
		"nobody there": {"postgres://skein@127.0.0.1:1/x", "refused", true},
		"a standby":    {cluster(t).Standbys()[0].URL(), "it is a standby", true},
		"two clusters": {pgtest.URL(single(t), cluster(t).Primary), "different clusters", false},
		"no database":  {strings.Replace(single(t).URL(), "/postgres?", "/nowhere?", 1), "nowhere", false},
	} {
		if _, err := Open(t.Context(), options(test.url)); err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, store.ErrAway) != test.away {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnfitServer: a server that may destroy what it has acknowledged is refused.
func TestUnfitServer(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, unfit := range []struct{ setting, value, fit, want string }{
		{"fsync", "off", "on", "fsync is off"},
		{"full_page_writes", "off", "on", "full_page_writes is off"},
		{"default_transaction_read_only", "on", "off", "read-only"},
	} {
		if err := s.Set(t.Context(), unfit.setting, unfit.value); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), options(s.URL())); err == nil || !strings.Contains(err.Error(), unfit.want) {
			t.Errorf("%s is %s: %v", unfit.setting, unfit.value, err)
		}
		if err := s.Set(t.Context(), unfit.setting, unfit.fit); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWarnings: the operator is told what a server's settings put at risk.
func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		url      string
		standbys int
		want     string
	}{
		"alone":            {single(t).URL(), FromServer, "it waits for no standby"},
		"standbys":         {pgtest.URL(cluster(t).Servers...), FromServer, ""},
		"too few standbys": {single(t).URL(), 1, "it waits for 0 standbys"},
	} {
		var out strings.Builder
		opts := options(test.url)
		opts.Standbys, opts.Logger = test.standbys, slog.New(slog.NewTextHandler(&out, nil))
		s, err := Open(t.Context(), opts)
		if (err == nil) != (test.standbys == FromServer) {
			t.Fatalf("%s: %v", name, err)
		}
		if err == nil {
			_ = s.Close()
		}
		if got := out.String(); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: logged %q", name, got)
		}
	}
}

// TestPassword: it comes from a file that may change, and is in no message.
func TestPassword(t *testing.T) {
	t.Parallel()
	s := single(t)
	db := fmt.Sprintf("d%d", shared.schemas.Add(1))
	for _, sql := range []string{"CREATE ROLE plain LOGIN PASSWORD 'secret1'", "CREATE DATABASE " + db + " OWNER plain"} {
		if _, err := s.Query(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	restore, err := s.Authenticate("plain")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(restore)
	opts := options("postgres://plain@" + s.Addr + "/" + db + "?sslmode=disable")
	opts.PasswordFile = filepath.Join(t.TempDir(), "password")
	if _, err := Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), opts.PasswordFile) {
		t.Fatalf("without the file: %v", err)
	}
	for password, right := range map[string]bool{"secret1\n": true, "secret2\n": false} {
		if err := os.WriteFile(opts.PasswordFile, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := Open(t.Context(), opts)
		if (err == nil) != right {
			t.Fatalf("password %q: %v", password, err)
		}
		if err == nil {
			_ = st.Close()
		} else if !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), "secret") {
			t.Fatalf("error %q", err)
		}
	}
}

// TestTLS: connections are encrypted, and only servers whose certificate is right
// are talked to.
func TestTLS(t *testing.T) {
	t.Parallel()
	single(t)                       // or skip
	h := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	h.Close()
	cert := h.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s := server(t)
	err = s.Encrypt(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	opts := options(s.URL()) // which says that there is no TLS
	opts.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	st := mustOpen(t, opts)
	a := im.User(1)
	if err := st.Commit(t.Context(), storetest.One(a, storetest.Acquire(t, st, a), 1, "x")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Query(t.Context(), "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name = 'skein'"); err != nil || n[0] == "0" {
		t.Errorf("%v connections are encrypted, %v", n, err)
	}
	opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if s, err := Open(t.Context(), opts); err == nil {
		_ = s.Close()
		t.Fatal("an unknown certificate was accepted")
	}
}

// TestFormat: data of a newer version is refused, and strange data too.
func TestFormat(t *testing.T) {
	t.Parallel()
	servers := single(t)
	opts := options(servers.URL())
	_ = mustOpen(t, opts)
	_ = mustOpen(t, opts)
	for value, want := range map[string]error{"2": store.ErrNewer, "-1": store.ErrCorrupt, "1": nil} {
		if _, err := servers.Query(t.Context(), fmt.Sprintf("UPDATE %s.format SET version = %s", opts.Schema, value)); err != nil {
			t.Fatal(err)
		}
		st, err := Open(t.Context(), opts)
		if !errors.Is(err, want) {
			t.Errorf("format %s: %v", value, err)
		}
		if err == nil {
			_ = st.Close()
		}
	}
}

// TestOpenAtOnce: of many that start on an empty database, none fails.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	opts := options(single(t).URL())
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			s, err := Open(context.Background(), opts)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestClosed: calls fail, and closing twice does not.
func TestClosed(t *testing.T) {
	s := mustOpen(t, options(single(t).URL()))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadLog(t.Context(), im.User(1), 1, 1, 1); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, &store.Batch{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestRecommendedSettings starts a server with the postgresql.conf of
// docs/STORAGE.md, and less memory.
func TestRecommendedSettings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "STORAGE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "### postgresql.conf, and who promotes\n\n```\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no postgresql.conf in docs/STORAGE.md")
	}
	var settings []string
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "#")
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		settings = append(settings, name+"="+strings.Trim(strings.TrimSpace(value), "'"))
	}
	s := server(t, append(settings, "shared_buffers=64MB")...)
	names, err := s.Query(t.Context(), "SHOW synchronous_standby_names")
	if err != nil || confirming(names[0]) != 1 {
		t.Errorf("it waits for %q, %v", names, err)
	}
}
