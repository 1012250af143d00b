package account

import (
	"crypto/rand"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/account/fakemailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap makes hashing take microseconds.
var cheap = Params{MemoryKiB: 8, Passes: 1, Lanes: 1}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newTestHasher(t testing.TB, cfg HasherConfig) *Hasher {
	t.Helper()
	cfg.Params, cfg.Rand = cheap, rand.Reader
	h, err := NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newTestService(t testing.TB) (*Service, *fakemailbox.Mailbox, *clock) {
	t.Helper()
	m := &fakemailbox.Mailbox{}
	c := &clock{time.Unix(1_000_000, 0)}
	s, err := NewService(Config{
		Mailbox: m, Hasher: newTestHasher(t, HasherConfig{Concurrent: 2, Waiting: 64}), Rand: rand.Reader, Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, m, c
}
