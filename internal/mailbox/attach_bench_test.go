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
	"github.com/skein-im/skein/internal/store/pebble"
)

// idle is the end of sessions that get nothing.
type idle struct{}

func (idle) Deliver(im.Seq, im.Seq, [][]byte) {}
func (idle) Kick(im.CloseCode, string)        {}

// crowd submits a command for each of n users, not more than a window at a
// time, and waits for the answers.
func crowd(b *testing.B, m *Mailbox, n int, command func(user im.UserID) im.Command) {
	b.Helper()
	window := make(chan struct{}, 200)
	var wg sync.WaitGroup
	done := im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
		if err != nil {
			b.Error(err)
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

// BenchmarkAttach attaches b.N users with a device each and nothing else, on a
// real disk: cold, with a mailbox that has just started, and hot, again.
func BenchmarkAttach(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	dir := b.TempDir()
	start := func() (*Mailbox, func()) {
		st, err := pebble.Open(dir, pebble.Options{Logger: log, CacheBytes: 1 << 20})
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
	crowd(b, m, b.N, func(user im.UserID) im.Command {
		return &im.Provision{TokenHashes: [][32]byte{tokenHash(user)}}
	})
	stop()
	m, stop = start()
	defer stop()
	attach := func(user im.UserID) im.Command {
		return &im.Attach{Device: 1, TokenHash: tokenHash(user), Session: im.SessionID(user), Sink: idle{}}
	}
	before, commits, cpu := heap(), m.Stats().Commits, cpuTime()
	b.ResetTimer()
	crowd(b, m, b.N, attach)
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/1000/float64(b.N), "cold-cpu-us/op")
	b.ReportMetric((heap()-before)/float64(b.N), "heap-B/user")
	cpu = cpuTime()
	crowd(b, m, b.N, attach)
	b.ReportMetric(float64(cpuTime()-cpu)/1000/float64(b.N), "hot-cpu-us/op")
	if st := m.Stats(); st.Commits != commits || st.Entries > 0 || st.Records > 0 {
		b.Errorf("attaching wrote to the store: %+v", st)
	}
}
