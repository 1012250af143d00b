package mailbox

import (
	"context"
	"encoding/binary"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/store/pebble"
)

// idle is the end of sessions that get nothing.
type idle struct{}

func (idle) Deliver(im.Seq, im.Seq, [][]byte) {}
func (idle) Kick(im.CloseCode, string)        {}

// crowd submits a command for each of n users, not more than a window at a
// time, and waits for the answers.
func crowd(tb testing.TB, m *Mailbox, n int, command func(user im.UserID) im.Command) {
	tb.Helper()
	window := make(chan struct{}, 200)
	var wg sync.WaitGroup
	done := im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
		if err != nil {
			tb.Error(err)
		}
		<-window
		wg.Done()
	})
	for user := range im.UserID(n) {
		window <- struct{}{}
		wg.Add(1)
		m.Submit(im.User(user+1), command(user+1), done)
	}
	wg.Wait()
}

func tokenHash(user im.UserID) (h [32]byte) {
	binary.BigEndian.PutUint64(h[:], uint64(user))
	return h
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// attachAs is the login of a user's only device.
func attachAs(user im.UserID) im.Command {
	return &im.Attach{Device: 1, TokenHash: tokenHash(user), Session: im.SessionID(user), Sink: idle{}}
}

func provisionAs(user im.UserID) im.Command {
	return &im.Provision{TokenHashes: [][32]byte{tokenHash(user)}}
}

// TestAttachedUsersAreSmall: what a connected user who does nothing takes in
// memory is bounded, and attaching writes nothing.
func TestAttachedUsersAreSmall(t *testing.T) {
	const users, most = 5000, 800
	st := memstore.New(time.Now)
	start := func() *Mailbox {
		cfg := DefaultConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.Admission.Threshold = 0
		m := New(cfg, st)
		if err := m.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := start()
	crowd(t, m, users, provisionAs)
	m.Stop()
	m = start()
	defer m.Stop()
	before, commits := heap(), m.Stats().Commits
	crowd(t, m, users, attachAs)
	if each := (heap() - before) / users; each > most {
		t.Errorf("%.0f bytes for each user, at most %d are right", each, most)
	}
	if st := m.Stats(); st.Sessions != users || st.Commits != commits {
		t.Errorf("%d sessions, %d commits", st.Sessions, st.Commits-commits)
	}
}

// BenchmarkAttach attaches b.N users with a device each and nothing else, on a
// real disk: cold, with a mailbox that has just started, and hot, again.
func BenchmarkAttach(b *testing.B) {
	b.Run("cache=1MiB", func(b *testing.B) { benchmarkAttach(b, 1<<20) })
	b.Run("cache=64MiB", func(b *testing.B) { benchmarkAttach(b, 64<<20) })
}

func benchmarkAttach(b *testing.B, cache int64) {
	log := slog.New(slog.DiscardHandler)
	dir := b.TempDir()
	start := func() (*Mailbox, func()) {
		st, err := pebble.Open(dir, pebble.Options{Logger: log, CacheBytes: cache})
		if err != nil {
			b.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.Logger = log
		cfg.Admission.Threshold = 0
		m := New(cfg, st)
		if err := m.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		return m, func() {
			m.Stop()
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	m, stop := start()
	crowd(b, m, b.N, provisionAs)
	stop()
	m, stop = start()
	defer stop()
	before, cpu := heap(), cpuTime()
	b.ResetTimer()
	crowd(b, m, b.N, attachAs)
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/1000/float64(b.N), "cold-cpu-us/op")
	b.ReportMetric((heap()-before)/float64(b.N), "heap-B/user")
	cpu = cpuTime()
	crowd(b, m, b.N, attachAs)
	b.ReportMetric(float64(cpuTime()-cpu)/1000/float64(b.N), "hot-cpu-us/op")
}
