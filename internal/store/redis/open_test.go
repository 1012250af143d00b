package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
)

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no address":    func(o *Options) { o.Addresses = nil },
		"braces":        func(o *Options) { o.Prefix = "a{b}" },
		"long prefix":   func(o *Options) { o.Prefix = strings.Repeat("x", 65) },
		"replicas":      func(o *Options) { o.Replicas = -1 },
		"reply":         func(o *Options) { o.ReplyTimeout, o.ReplicaTimeout = 1, 2 },
		"connections":   func(o *Options) { o.Connections = -1 },
		"two of a kind": func(o *Options) { o.Password, o.PasswordFile = "x", "y" },
	} {
		o := Options{Addresses: []string{"127.0.0.1:1"}}
		change(&o)
		if s, err := Open(t.Context(), o); err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		}
	}
	o := Options{Addresses: []string{"x"}, ReplyTimeout: 1e8}
	if err := o.complete(); err != nil || o.ReplicaTimeout != o.ReplyTimeout {
		t.Errorf("a short reply timeout: %v, %v", o.ReplicaTimeout, err)
	}
}

// server is one of the test's own.
func server(t *testing.T, settings ...string) *redistest.Server {
	t.Helper()
	single(t) // or skip
	s, err := redistest.Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestPassword: it comes from a file that may change, and is in no message.
func TestPassword(t *testing.T) {
	s := server(t)
	if _, err := s.Do(t.Context(), "ACL", "SETUSER", "skein", "on", ">secret1", "~*", "+@all"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	opts := Options{Addresses: []string{s.Addr}, Username: "skein", PasswordFile: file, Logger: quiet()}
	if _, err := Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("without the file: %v", err)
	}
	for password, right := range map[string]bool{"secret1\n": true, "secret2\n": false} {
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := Open(t.Context(), opts)
		if (err == nil) != right {
			t.Fatalf("password %q: %v", password, err)
		}
		if err == nil {
			_ = st.Close()
		} else if !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "secret") {
			t.Fatalf("error %q", err)
		}
	}
}

// TestOpenRefuses: what cannot work, or would destroy data, is refused with
// words that help.
func TestOpenRefuses(t *testing.T) {
	primary := server(t)
	replica := server(t, "--replicaof", strings.Replace(primary.Addr, ":", " ", 1))
	evicting := server(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	for name, test := range map[string]struct {
		addrs []string
		want  string
	}{
		"nobody there":            {[]string{"127.0.0.1:1"}, "refused"},
		"a replica":               {[]string{replica.Addr}, "replica"},
		"two that are no cluster": {[]string{primary.Addr, evicting.Addr}, "not part of a cluster"},
		"eviction":                {[]string{evicting.Addr}, "noeviction"},
	} {
		if _, err := Open(t.Context(), Options{Addresses: test.addrs, Logger: quiet()}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFormat: data of a newer version is refused, and strange data too.
func TestFormat(t *testing.T) {
	servers := single(t)
	opts := options(servers, 0)
	s := mustOpen(t, opts)
	_ = mustOpen(t, opts)
	for value, want := range map[string]error{"2": store.ErrNewer, "x": store.ErrCorrupt, "1": nil} {
		if _, err := servers.Servers[0].Do(t.Context(), "SET", s.keys.format(), value); err != nil {
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

// TestWarnings: the operator is told what a server's settings put at risk.
func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		replicas int
		want     string
	}{
		"no log":      {nil, 0, "appendonly is off"},
		"everysec":    {[]string{"--appendonly", "yes"}, 0, "appendfsync is everysec"},
		"safe":        {redistest.Safe(), 0, ""},
		"no replicas": {redistest.Safe(), 1, "it has 0 replicas"},
	} {
		var out strings.Builder
		opts := Options{
			Addresses: []string{server(t, test.settings...).Addr}, Replicas: test.replicas,
			ReplicaTimeout: 1e6, Logger: slog.New(slog.NewTextHandler(&out, nil)),
		}
		s, err := Open(t.Context(), opts)
		if (err == nil) != (test.replicas == 0) {
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

// TestMemoryFull: a server that is out of memory refuses commits whole, and
// still answers reads.
func TestMemoryFull(t *testing.T) {
	srv := server(t)
	s := mustOpen(t, Options{Addresses: []string{srv.Addr}, Logger: quiet()})
	ctx, a := t.Context(), im.User(1)
	epoch := storetest.Acquire(t, s, a)
	if err := s.Commit(ctx, storetest.One(a, epoch, 1, "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Do(ctx, "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	b := storetest.One(a, epoch, 2, "y")
	b.Changes[0].Delete = []string{"k"} // which alone would be allowed
	if err := s.Commit(ctx, b); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("commit: %v", err)
	}
	if got := storetest.Texts(t, s, a); len(got) != 1 {
		t.Fatalf("log %q", got)
	}
}

// TestManyFail: what goes wrong for many slots at once is told once. To tell it for
// each of them, for each again, took minutes.
func TestManyFail(t *testing.T) {
	srv := server(t)
	s := mustOpen(t, Options{Addresses: []string{srv.Addr}, Logger: quiet()})
	slots := make([]im.Slot, 300)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	told := func(what string, err error) {
		t.Helper()
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", what, len(fmt.Sprint(err)))
		}
	}
	if _, err := srv.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Acquire(t.Context(), "a", slots)
	told("no memory", err)
	srv.Pause()
	defer srv.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = s.Owners(ctx, slots)
	told("no answer", err)
}

// TestClosed: calls fail, and closing twice does not.
func TestClosed(t *testing.T) {
	s := mustOpen(t, options(single(t), 0))
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

// TestRecommendedSettings starts a server with the redis.conf of
// docs/STORAGE.md.
func TestRecommendedSettings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "STORAGE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "### redis.conf\n\n```\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no redis.conf in docs/STORAGE.md")
	}
	var settings []string
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		settings = append(settings, "--"+fields[0])
		for _, f := range fields[1:] {
			settings = append(settings, strings.Trim(f, `"`))
		}
	}
	server(t, settings...)
}
