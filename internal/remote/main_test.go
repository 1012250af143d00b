package remote

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testSecret = []byte("a secret of the tests")

// quick is a heartbeat that finds dead links soon.
var quick = Heartbeat{Every: 100 * time.Millisecond, Dead: 2 * time.Second, Idle: 3 * time.Second}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// listen opens a listener and returns the address for a client.
func listen(t testing.TB, network string) (net.Listener, string) {
	t.Helper()
	where := "127.0.0.1:0"
	if network == "unix" {
		where = filepath.Join(t.TempDir(), "link")
	}
	ln, err := net.Listen(network, where)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" {
		return ln, "unix:" + where
	}
	return ln, ln.Addr().String()
}

// serve runs a server until the test ends.
func serve(t testing.TB, ln net.Listener, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.Secret == nil {
		cfg.Secret = testSecret
	}
	if cfg.Heartbeat == (Heartbeat{}) {
		cfg.Heartbeat = quick
	}
	if cfg.Logger == nil {
		cfg.Logger = discard()
	}
	cfg.Node = "mailbox"
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		stop(s)
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// stop ends a server without waiting for its clients.
func stop(s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx)
}

// connect makes a client that lives until the test ends.
func connect(t testing.TB, cfg ClientConfig) *Client {
	t.Helper()
	if cfg.Secret == nil {
		cfg.Secret = testSecret
	}
	if cfg.Heartbeat == (Heartbeat{}) {
		cfg.Heartbeat = quick
	}
	if cfg.Logger == nil {
		cfg.Logger = discard()
	}
	cfg.Node = "gateway"
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(c) })
	return c
}

// hangUp ends a client at once.
func hangUp(c *Client) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.Close(ctx)
}

// within is a context for one step of a test.
func within(t testing.TB) context.Context { return patience.Context(t) }

// do submits a command and returns its result.
func do(t testing.TB, m im.Mailbox, to im.Addr, cmd im.Command) im.Result {
	t.Helper()
	res, err := im.Do(within(t), m, to, cmd)
	if err != nil {
		t.Fatalf("%T: %v", cmd, err)
	}
	return res
}
